"""Submissions that are right but for one part, which does not answer at all."""

from __future__ import annotations

from dataclasses import dataclass

Sources = dict[str, str]


@dataclass(frozen=True)
class Hostile:
    """One way not to answer: the line to put where, and what must become of it."""

    name: str
    file: str
    before: str
    """A line of the reference; the new one is put after it."""
    line: str
    verdict: str
    """Of every property that is concerned."""
    says: str
    """A part of the message."""
    concerned: tuple[str, ...]
    """Properties that must have this verdict, among others."""
    spared: tuple[str, ...]
    """Criteria that must pass all the same."""

    @property
    def only(self) -> str:
        """The criteria to grade: those named here, since a whole level for each case takes minutes."""
        return ",".join(dict.fromkeys([*self.spared, *(law.split(".")[0] for law in self.concerned)]))

    def applied(self, sources: Sources) -> Sources:
        """Return the sources with the line put in."""
        text = sources[self.file]
        assert text.count(self.before) == 1, f"{self.name}: {self.before!r} must be there once"
        return {**sources, self.file: text.replace(self.before, self.before + self.line)}


FLOPS = "        parameters = sum(parameter.numel() for parameter in self.parameters())\n"
OTHERS = ("grouped", "tools")

HOSTILE = [
    Hostile(
        "does not import",
        "engine.py",
        "import math\n",
        "this is no Python\n",
        "error",
        "SyntaxError",
        ("cache.every_split_equals_uncached", "tools.the_result_is_forced_in_order"),
        ("attention",),
    ),
    Hostile(
        "lacks a name",
        "engine.py",
        '__all__ = ["Engine", "KVCache", "sample_next_token", "use_calculator"]\n',
        "",
        "error",
        "sample_next_token",
        ("sampling.draws_follow_the_distribution",),
        ("rotary", "attention", "grouped"),
    ),
    Hostile(
        "hangs at import",
        "tools.py",
        "import ast\n",
        "while True:\n    pass\n",
        "timeout",
        "nanochat.tools",
        ("cache.all_splits_of_a_short_sequence_agree", "tools.arithmetic_is_pythons"),
        ("attention",),
    ),
    Hostile(
        "hangs in a call",
        "gpt.py",
        FLOPS,
        "        while True:\n            pass\n",
        "timeout",
        "20",
        ("attention.flops_are_counted_by_the_formula",),
        OTHERS,
    ),
    Hostile(
        "leaves with exit code 0",
        "gpt.py",
        FLOPS,
        "        __import__('os')._exit(0)\n",
        "error",
        "exit code 0",
        ("attention.flops_are_counted_by_the_formula",),
        OTHERS,
    ),
    Hostile(
        "prints a gigabyte",
        "gpt.py",
        FLOPS,
        "        for _ in range(1024):\n            print('x' * (1 << 20))\n",
        "error",
        "print",
        ("attention.flops_are_counted_by_the_formula",),
        OTHERS,
    ),
    Hostile(
        "eats memory",
        "gpt.py",
        FLOPS,
        "        eaten = []\n        while True:\n            eaten.append(bytearray(1 << 28))\n",
        "memory",
        "memory",
        ("attention.flops_are_counted_by_the_formula",),
        OTHERS,
    ),
]


def lacking(sources: Sources) -> Sources:
    """Return the sources without `sample_next_token`, whose callers still import it by name."""
    renamed = sources["engine.py"].replace("def sample_next_token(", "def draw_next_token(")
    return {**sources, "engine.py": renamed}


def sources_of(case: Hostile, sources: Sources) -> Sources:
    """Return the modules of a hostile submission."""
    return lacking(sources) if case.name == "lacks a name" else case.applied(sources)
