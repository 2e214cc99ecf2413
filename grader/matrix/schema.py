"""The public mutation-testing report schema (mutation-testing-elements, version 2), for its viewers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from grader.levels import Level
from grader.matrix.equivalent import Equivalent
from grader.matrix.mutation import Judged
from grader.matrix.outcome import Row

SCHEMA = "https://raw.githubusercontent.com/stryker-mutator/mutation-testing-elements/master/packages/report-schema/src/mutation-testing-report-schema.json"


def of_mutants(
    judged: Sequence[Judged], known: Collection[Equivalent], sources: Mapping[str, str], level: Level
) -> dict[str, Any]:
    """Return the report of a mutation run."""
    reasons = {one.key: one.reason for one in known}
    entries: dict[str, list[dict[str, Any]]] = {}
    for one in judged:
        entries.setdefault(one.mutant.file, []).append(
            mutant(
                one.mutant.id,
                one.mutant.operator,
                one.mutant.lines,
                one.mutant.after,
                one.row,
                reasons.get(one.mutant.key),
            )
        )
    return report(entries, sources, level)


def mutant(
    name: str,
    operator: str,
    lines: tuple[int, int],
    replacement: str,
    row: Row | None,
    equivalent: str | None = None,
) -> dict[str, Any]:
    """Return one mutant as the schema wants it; lines and columns count from 1."""
    killers = list(row.killers) if row else []
    kinds = {cell.kind for cell in row.cells if cell.noticed} if row else set()
    entry: dict[str, Any] = {
        "id": name,
        "mutatorName": operator,
        "replacement": replacement,
        "location": {"start": {"line": lines[0], "column": 1}, "end": {"line": lines[1] + 1, "column": 1}},
        "status": status(killers, kinds, row, equivalent),
        "killedBy": killers,
        "coveredBy": [cell.law for cell in row.cells] if row else [],
        "testsCompleted": len(row.cells) if row else 0,
        "duration": round(1000 * row.seconds) if row else 0,
    }
    said = equivalent or next((cell.message for cell in row.cells if cell.noticed), "") if row else equivalent
    return entry | ({"statusReason": said} if said else {})


def status(killers: Sequence[str], kinds: Collection[str], row: Row | None, equivalent: str | None) -> str:
    """Return the schema's word for what became of a mutant."""
    if killers:
        return "Timeout" if set(kinds) == {"timeout"} else "Killed"
    if equivalent:
        return "Ignored"
    return "Survived" if row and row.cells else "NoCoverage"


def report(
    entries: Mapping[str, list[dict[str, Any]]], sources: Mapping[str, str], level: Level
) -> dict[str, Any]:
    """Return a whole report."""
    return {
        "$schema": SCHEMA,
        "schemaVersion": "2",
        "thresholds": {"high": 95, "low": 80},
        "projectRoot": "reference/nanochat",
        "files": {
            file: {"language": "python", "source": sources[file], "mutants": mutants}
            for file, mutants in entries.items()
        },
        "testFiles": {
            f"specs/level{level.number}/{criterion.id}": {
                "tests": [{"id": law.id, "name": law.title} for law in criterion.laws]
            }
            for criterion in level.criteria
        },
        "framework": {"name": "nanograder"},
    }
