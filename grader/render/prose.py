"""What is said of a criterion wherever there is room for a text only."""

from __future__ import annotations

from collections.abc import Iterator

from grader.render.escape import visible
from grader.report import CriterionReport, PropertyReport


def criterion_text(criterion: CriterionReport, *, longest: int = 20_000) -> str:
    """Return what a criterion states, how many laws hold, and each broken law with its smallest input."""
    holding = len(criterion.properties) - len(criterion.broken)
    lines = [criterion.statement, f"{holding} of {len(criterion.properties)} laws hold."]
    if waiting := sum(bool(one.counts_with) for one in criterion.properties):
        lines.append(f"{waiting} of them count only once others hold.")
    lines += [f"Hint {stage}: {hint}" for stage, hint in enumerate(criterion.hints, 1)]
    for one in criterion.broken:
        lines += ["", *property_lines(one)]
    text = visible("\n".join(lines))
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest} characters more)"


def property_lines(one: PropertyReport) -> Iterator[str]:
    """Yield the lines that say how a law is broken."""
    yield f"{one.verdict}: {one.id}"
    yield f"  law: {one.title}"
    yield from (f"  {line}" for line in one.message.splitlines())
    if one.counterexample:
        yield f"  smallest input: {input_text(one)}"


def input_text(one: PropertyReport) -> str:
    """Return the input that shows it; "" if there is none."""
    return ", ".join(f"{name}={value}" for name, value in (one.counterexample or {}).items())
