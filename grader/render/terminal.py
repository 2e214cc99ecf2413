"""A report for people: a table of criteria, then each broken criterion with its laws."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.render.command import again
from grader.render.picture import rows
from grader.report import CriterionReport, LevelReport, PropertyReport, Report, Verdict

SHOWN = 3
"""Broken properties of a criterion shown in full unless all are asked for."""

STYLES: dict[Verdict, str] = {
    "passed": "green",
    "failed": "bold red",
    "error": "bold red",
    "timeout": "bold red",
    "memory": "bold red",
    "unstable": "bold yellow",
    "not run": "bold yellow",
}


def render(report: Report, *, width: int = 100, colour: bool = False, verbose: bool = False) -> str:
    """Return the report as text of `width` columns; only commands may be longer, to be copied whole."""
    page = Page(report, width, colour, verbose)
    for level in report.levels:
        page.add_level(level)
    return page.text()


class Page:
    """The text of a report as it grows."""

    def __init__(self, report: Report, width: int, colour: bool, verbose: bool) -> None:
        self.report = report
        self.verbose = verbose
        self.shown: dict[tuple[str, str, str], str] = {}
        """Causes already shown in full, and where: a submission that does not import has one in every law."""
        self.console = Console(
            file=io.StringIO(),
            width=width,
            force_terminal=colour,
            color_system="standard" if colour else None,
            no_color=not colour,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
        )

    def text(self) -> str:
        """Return everything added so far."""
        lines = self.console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # it is our StringIO
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def add_level(self, level: LevelReport) -> None:
        """Add the table of a level, then its broken criteria."""
        self.line(f"Level {level.level}: {level.title}", style="bold")
        self.line(setting(self.report))
        self.console.print(table(level))
        for criterion in level.criteria:
            if criterion.verdict != "passed":
                self.add_criterion(level, criterion)
        self.line(total(self.report, level), style="bold")

    def add_criterion(self, level: LevelReport, criterion: CriterionReport) -> None:
        """Add a broken criterion: what it states, and its broken properties."""
        broken = criterion.broken
        holding = len(criterion.properties) - len(broken)
        head = f"{criterion.id}: {criterion.title}, {holding} of {len(criterion.properties)} properties hold"
        self.line(head, style="bold")
        if void := [one for one in criterion.properties if one.counts_with]:
            wanting = sorted({law for one in void for law in one.counts_with})
            self.line(f"{len(void)} of them count only once these hold: {', '.join(wanting)}", 2)
        self.line(criterion.statement, 2)
        for stage, hint in enumerate(criterion.hints, 1):
            self.line(f"hint {stage}: {hint}", 2, "italic")
        self.line("")
        in_full = broken if self.verbose else broken[:SHOWN]
        for one in in_full:
            self.add_property(level, one)
        if rest := broken[len(in_full) :]:
            self.add_titles(criterion, rest)

    def add_titles(self, criterion: CriterionReport, rest: Sequence[PropertyReport]) -> None:
        """Add the titles of broken properties, or only a number where they say nothing new."""
        self.line(f"{len(rest)} more of {criterion.id} (--verbose shows them like those above):", 2)
        known = [one for one in rest if self.place_shown(one)]
        for one in rest:
            if one not in known:
                self.line(f"{one.id}, {one.verdict}: {one.title}", 4)
        for place in sorted({self.place_shown(one) for one in known}):
            count = sum(self.place_shown(one) == place for one in known)
            self.line(f"{count} for the same reason as {place}", 4)
        self.line("")

    def place_shown(self, one: PropertyReport) -> str:
        """Return the property that already showed this cause; "" for none, and for a broken law.

        Nor for one whose cause may be withheld: then all say the same.
        """
        return (
            "" if one.verdict == "failed" or one.visibility != "visible" else self.shown.get(cause(one), "")
        )

    def add_property(self, level: LevelReport, one: PropertyReport) -> None:
        """Add a broken property: the law, what came instead, the smallest input, how to run it again."""
        self.line(f"{one.verdict}: {one.id}", 2, STYLES[one.verdict])
        self.line(f"law: {one.title}", 4)
        if place := self.place_shown(one):
            self.line(f"{first_line(one.message)} (as for {place})", 4)
        else:
            self.shown[cause(one)] = one.id
            self.line(one.message, 4)
            for row in rows(one.comparison, self.console.width - 6) if one.comparison else ():
                self.console.print(Text(f"      {row}", no_wrap=True), soft_wrap=True)
            if one.traceback:
                self.line(one.traceback.rstrip() if self.verbose else last_place(one.traceback), 6, "dim")
            if one.counterexample:
                values = ", ".join(f"{name}={value}" for name, value in one.counterexample.items())
                self.line(f"smallest input: {values}" if one.verdict in SHRUNK else f"input: {values}", 4)
        command = again(self.report, level.level, one.id)
        self.console.print(Text(f"    again: {command}"), soft_wrap=True)
        self.line("")

    def line(self, text: str, indent: int = 0, style: str = "") -> None:
        """Add text, wrapped and indented."""
        self.console.print(Padding(Text(text, style=style), (0, 0, 0, indent)))


SHRUNK = ("failed", "error", "unstable")
"""Verdicts for which Hypothesis looked for the smallest input; what hangs or dies is not tried again."""


def cause(one: PropertyReport) -> tuple[str, str, str]:
    """Return why a property is broken: verdict, message, and the place in the submission that raised."""
    return one.verdict, one.message, last_place(one.traceback)


def setting(report: Report) -> str:
    """Say what was graded and how."""
    words = [f"submission {report.submission}", f"seed {report.seed}", f"isolation {report.isolation}"]
    words += [f"{report.device} {report.dtype}"]
    if report.only:
        words.append(f"only {', '.join(report.only)}")
    return " · ".join(words)


def table(level: LevelReport) -> Table:
    """Return the table of a level's criteria. The verdict is a word: colour only repeats it."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=False)
    rows.add_column("criterion", no_wrap=True)
    rows.add_column("")
    rows.add_column("verdict", no_wrap=True)
    for heading in ("laws that hold", "points", "seconds"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for one in level.criteria:
        rows.add_row(
            Text(one.id),
            Text(one.title),
            Text(one.verdict, style=STYLES[one.verdict]),
            f"{len(one.properties) - len(one.broken)} of {len(one.properties)}",
            f"{number(one.points)} of {number(one.max_points)}",
            f"{one.seconds:.1f}",
        )
    return rows


def total(report: Report, level: LevelReport) -> str:
    """Return the last line of a level."""
    holding = sum(one.verdict == "passed" for one in level.criteria)
    text = (
        f"Level {level.level}: {number(level.points)} of {number(level.max_points)} points, "
        f"{holding} of {len(level.criteria)} criteria hold, {report.seconds:.1f} s"
    )
    return text + (" (only a part of the level was graded)" if report.only else "")


def number(points: float) -> str:
    """Return points without decimals that say nothing."""
    return f"{points:.2f}".rstrip("0").rstrip(".")


def first_line(text: str) -> str:
    """Return the first line of a text."""
    return text.splitlines()[0] if text else ""


def last_place(traceback: str) -> str:
    """Return the innermost frame of a traceback that lies in `nanochat`, or else the innermost at all."""
    lines = traceback.rstrip().splitlines()
    frames = [i for i, line in enumerate(lines) if line.lstrip().startswith('File "')]
    if not frames:
        return lines[-1] if lines else ""
    inside = [i for i in frames if "nanochat" in lines[i]]
    place = (inside or frames)[-1]
    end = next((i for i in range(place + 1, len(lines)) if not lines[i].startswith("    ")), len(lines))
    return "\n".join(line.strip() for line in lines[place:end] if set(line.strip()) - set("^~"))
