"""Leaves out of a level's specification what the instructor does not publish.

Properties are cut out of the text of their modules, so that what stays looks as it did.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath


class UnknownLaw(ValueError):
    """A criterion or a property was to be published that the level does not have."""


Sources = dict[str, str]
"""Texts of modules by path, "specs/level3/rotary.py"."""


def published_modules(modules: Mapping[str, str], published: Collection[str]) -> Sources:
    """Return the modules with the published properties only; without properties, only if others import it.

    `published` holds ids of criteria and of properties; empty means all. Raises UnknownLaw for one that
    does not exist.
    """
    known = {law for text in modules.values() for law in laws_in(text)}
    known |= {law.split(".")[0] for law in known}
    unknown = sorted(set(published) - known)
    if unknown:
        raise UnknownLaw(f"{', '.join(unknown)}: there are {', '.join(sorted(known))}")
    if not published:
        return dict(modules)
    kept = {path: without_laws(text, published) for path, text in modules.items()}
    needed = {path for path, text in kept.items() if laws_in(text)}
    growing = True
    while growing:
        imports = {name for path in needed for name in imported_by(kept[path])}
        more = {path for path in kept if module_of(path) in imports or path.endswith("__init__.py")} - needed
        needed |= more
        growing = bool(more)
    return {path: text for path, text in kept.items() if path in needed}


def laws_in(source: str) -> dict[str, ast.FunctionDef]:
    """Return the properties that a module defines, by id."""
    tree = ast.parse(source)
    criterion = next(
        (
            str(node.value.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "CRITERION"
            and isinstance(node.value, ast.Constant)
        ),
        "",
    )
    return {
        f"{criterion}.{node.name.removeprefix('test_')}": node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any(is_law(one) for one in node.decorator_list)
    }


def is_law(decorator: ast.expr) -> bool:
    """Say whether a decorator is `@law(...)`."""
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "law"


def without_laws(source: str, published: Collection[str]) -> str:
    """Return a module's text without those properties of which neither id nor criterion is published."""
    lines = source.split("\n")
    for law, node in reversed(laws_in(source).items()):
        if law in published or law.split(".")[0] in published:
            continue
        first = min(one.lineno for one in node.decorator_list) - 1
        last = node.end_lineno or 0
        while last < len(lines) - 1 and not lines[last].strip():
            last += 1
        del lines[first:last]
    return "\n".join(lines).rstrip("\n") + "\n"


def level_file(text: str, modules: Mapping[str, str]) -> str:
    """Return the file of a level with those criteria and modules only that still hold properties."""
    holding = {module_of(path) for path, source in modules.items() if laws_in(source)}
    head, *criteria = re.split(r"(?m)^(?=\[\[criterion\]\]$)", text)
    kept = [head]
    for criterion in criteria:
        found = re.search(r"(?ms)^modules = \[(.*?)\]$", criterion)
        if found is None:
            raise ValueError(f"no line `modules = [...]` in {criterion.splitlines()[1]!r}")
        names = [name for name in re.findall(r'"([^"]+)"', found[1]) if name in holding]
        if names:
            line = "modules = [" + ", ".join(f'"{name}"' for name in names) + "]"
            kept.append(criterion[: found.start()] + line + criterion[found.end() :])
    return "".join(kept)


def module_of(path: str) -> str:
    """Return the name of the module in a file."""
    return ".".join(PurePosixPath(path).with_suffix("").parts)


def imported_by(source: str) -> set[str]:
    """Return what a module imports, at the top or inside a function; not all of the names are modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found
