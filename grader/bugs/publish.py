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
    """Return the file of a level with only those criteria, modules and properties that are still there."""
    laws = {law for source in modules.values() for law in laws_in(source)}
    holding = {module_of(path) for path, source in modules.items() if laws_in(source)}
    head, *blocks = re.split(r"(?m)^(?=\[\[\w+\]\]$)", text)
    kept = [
        with_names(with_names(with_names(one, "modules", holding), "need", laws), "laws", laws)
        for one in blocks
    ]
    kept = [
        one
        for one in kept
        if not (found := re.match(r'\[\[property\]\]\s+id = "(.*)"', one)) or found[1] in laws
    ]
    if sum(one.startswith("[[criterion]]") for one in kept) < text.count("\n[[criterion]]\n"):
        # What is left does not add up to it.
        head = re.sub(r"(?m)^points = .*\n", "", head)
    return "".join([head, *kept])


def with_names(block: str, key: str, names: Collection[str]) -> str:
    """Return a table with only those `names` in its list `key`, and nothing if none is left."""
    found = re.search(rf"(?ms)^{key} = \[(.*?)\]$", block)
    if found is None:
        if key == "modules" and block.startswith("[[criterion]]"):
            raise ValueError(f"no line `modules = [...]` in {block.splitlines()[1]!r}")
        return block
    left = [name for name in re.findall(r'"([^"]+)"', found[1]) if name in names]
    line = f"{key} = [" + ", ".join(f'"{name}"' for name in left) + "]"
    return block[: found.start()] + line + block[found.end() :] if left else ""


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
