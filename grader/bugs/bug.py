"""What a bug is: one way to break the reference in one place, with the choices that it leaves open."""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass, field, replace

from grader.bugs.pattern import Edit

SYMPTOMS = ("silent", "crash", "nonfinite", "hang", "memory")
"""Wrong values, an exception, infinities or NaN, no answer, or more memory than is allowed."""

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
"""How the replacement of an edit names a parameter."""


@dataclass(frozen=True)
class Bug:
    """One way to break the reference in one place."""

    id: str
    level: int
    criterion: str
    """The criterion that must fail with this bug alone, and no other."""
    title: str
    story: str
    """How someone comes to write this, and what it does."""
    hint: str
    source: str
    """Where the bug was seen in public or in the course that the project grew from."""
    symptom: str
    """One of SYMPTOMS, as the criterion sees it."""
    classic: bool
    """Whether it is in the student copy that the repository carries."""
    expected: tuple[str, ...]
    """Properties that must be among those that fail."""
    edits: tuple[Edit, ...]
    difficulty: int
    """1: any use shows it. 2: one configuration or a boundary. 3: only where several of these meet."""
    witness: str
    """ "file.function" in `grader.bugs.witnesses`: what it returns differs from the reference's."""
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """Choices of source text, by the name that stands as `${name}` in the replacements."""
    disturbs: tuple[str, ...] = ()
    """Other criteria that this bug is known to break: normally none."""
    conflicts: tuple[str, ...] = ()
    """Ids of bugs that make no sense beside this one."""
    choice: dict[str, str] = field(default_factory=dict, hash=False)
    """What each parameter stands for; empty until the bug is bound."""

    def bound(self, seed: int | str) -> Bug:
        """Return this bug with a choice for each parameter, the same for a seed on every machine.

        The choice with the highest hash wins, so that another choice or another bug moves no other one.
        """
        return self.with_choice(
            {
                name: max(choices, key=lambda choice: digest(f"{seed}|{self.id}|{name}|{choice}"))
                for name, choices in self.parameters.items()
            }
        )

    def instances(self) -> list[Bug]:
        """Return this bug once for every combination of its parameters, bound."""
        names = list(self.parameters)
        return [
            self.with_choice(dict(zip(names, chosen, strict=True)))
            for chosen in itertools.product(*self.parameters.values())
        ]

    def first(self) -> Bug:
        """Return this bug with the first choice for each parameter, or as it is if it is bound."""
        return self if self.choice or not self.parameters else self.instances()[0]

    def with_choice(self, choice: dict[str, str]) -> Bug:
        """Return this bug with edits in which each parameter is what `choice` says."""
        edits = tuple(
            replace(edit, replace=PLACEHOLDER.sub(lambda found: choice[found[1]], edit.replace))
            for edit in self.edits
        )
        return replace(self, edits=edits, choice=choice)

    def placeholders(self) -> set[str]:
        """Return the names of parameters that the replacements use."""
        return {name for edit in self.edits for name in PLACEHOLDER.findall(edit.replace)}


def digest(text: str) -> bytes:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).digest()
