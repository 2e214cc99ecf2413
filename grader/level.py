"""What a level is, as its file says and with its properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.report import Visibility
from grader.tomlplace import Places, TomlPath
from grader.verdict import ExpectedCriterion, ExpectedLevel, ExpectedProperty
from specs.outcomes import GraderFault

if TYPE_CHECKING:
    from specs.law import Law


@dataclass(frozen=True)
class LevelLimits:
    """What one submission may use while a level is graded; what each means says `grader.sandbox.limits`."""

    call_seconds: float = 20.0
    property_seconds: float = 120.0
    submission_seconds: float = 600.0
    processor_seconds: float = 600.0
    memory_mebibytes: float = 2048.0
    processes: int = 256
    output_mebibytes: float = 8.0
    disk_mebibytes: float = 256.0


@dataclass(frozen=True)
class Criterion:
    """One acceptance criterion of a level."""

    id: str
    title: str
    statement: str
    points: float
    hints: tuple[str, ...]
    """By stage, each telling more than the one before."""
    modules: tuple[str, ...]
    visibility: Visibility = "visible"
    """Of its properties, unless said otherwise of one."""
    laws: tuple[Law, ...] = ()
    """Its properties; empty until `levels.load_laws`."""


@dataclass(frozen=True)
class PropertySetting:
    """What a level's file says of one property."""

    weight: float | None = None
    """Its share of the criterion's points beside others; None for what its `@law` says."""
    visibility: Visibility | None = None
    """None for its criterion's."""
    counterexample: bool = True
    """Whether students see the smallest input that breaks it."""


@dataclass(frozen=True)
class Level:
    """One unit of the course."""

    number: int
    title: str
    objective: str
    time_estimate: str
    limits: LevelLimits
    criteria: tuple[Criterion, ...]
    files: tuple[str, ...] = ()
    """The modules of the contract that its properties are about: mutants are made of them."""
    parts: tuple[str, ...] = ()
    """Other modules of the reference that hold a part of these: mutants are made of them, too.

    A function of another level's module is named like `gpt.py:GPT.generate`; its mutants belong here.
    """
    hint_stages: int | None = None
    """The last stage of hints that anybody is shown; None for all."""
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Laws that count only where others hold, too; see `grader.verdict.ExpectedProperty`."""
    settings: Mapping[str, PropertySetting] = field(default_factory=dict)
    """What the file says of single properties, by id."""
    places: Places = field(default_factory=Places, compare=False, repr=False)
    """Where the file says all this."""
    named: Mapping[str, TomlPath] = field(default_factory=dict, compare=False, repr=False)
    """Where the file names a property."""

    @property
    def laws(self) -> tuple[Law, ...]:
        """Every property of the level, in the order in which it is judged."""
        return tuple(law for criterion in self.criteria for law in criterion.laws)

    def fault(self, path: TomlPath, reason: str) -> GraderFault:
        """Return the error to raise over an entry of the level's file."""
        return GraderFault(f"{self.places.at(path)}: {reason}")

    def expected(self, *, hints: int = 0) -> ExpectedLevel:
        """Return what must be judged, with hints up to a stage: known before any submission is looked at."""
        shown = hints if self.hint_stages is None else min(hints, self.hint_stages)
        return ExpectedLevel(
            self.number,
            self.title,
            tuple(
                ExpectedCriterion(
                    one.id,
                    one.title,
                    one.statement,
                    one.points,
                    tuple(self.expected_property(one, law) for law in one.laws),
                    one.hints[:shown],
                )
                for one in self.criteria
            ),
        )

    def expected_property(self, criterion: Criterion, law: Law) -> ExpectedProperty:
        """Return what must be judged of one property."""
        said = self.settings.get(law.id, PropertySetting())
        return ExpectedProperty(
            law.id,
            law.title,
            law.weight if said.weight is None else said.weight,
            self.needs.get(law.id, ()),
            said.visibility or criterion.visibility,
            said.counterexample,
        )
