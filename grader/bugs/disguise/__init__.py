"""Rewrites of a copy that change how it reads and nothing that it does.

Each kind finds candidates in a module (`order`, `branches`, `spelling`, `names`, `prose`), the seed picks
some of them, and `apply` makes those whose result the formatter would leave alone. The kinds run one after
another, each on the text that the last one left. Bugs come first: their patterns are for the reference.
"""

from __future__ import annotations

from collections.abc import Iterable

from grader.bugs.disguise import branches, names, order, prose, spelling
from grader.bugs.disguise.apply import rewritten
from grader.bugs.disguise.module import Finder, Module

KINDS: dict[str, tuple[Finder, float]] = {
    "functions": (order.functions, 1.0),
    "statements": (order.statements, 0.5),
    "branches": (branches.find, 0.5),
    "spelling": (spelling.find, 0.5),
    "names": (names.find, 0.9),
    "prose": (prose.find, 0.7),
}
"""What finds the candidates of each kind, and what share of them is made."""


def disguised(sources: dict[str, str], seed: str, kinds: Iterable[str] = tuple(KINDS)) -> dict[str, str]:
    """Return the modules rewritten by a seed: same behaviour, same names for others, another text."""
    return {name: disguised_module(text, f"{seed}|{name}", kinds) for name, text in sources.items()}


def disguised_module(text: str, seed: str, kinds: Iterable[str] = tuple(KINDS)) -> str:
    """Return the text of one module rewritten by a seed."""
    for kind in kinds:
        find, share = KINDS[kind]
        module = Module(text)
        text = rewritten(module, find(module, f"{kind}|{seed}"), f"{kind}|{seed}", share)
    return text
