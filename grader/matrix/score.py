"""The report of a mutation run: scores by file and by property, and every survivor with its diff."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from grader.matrix.equivalent import Equivalent
from grader.matrix.mutation import Judged


def survivors(judged: Sequence[Judged], known: Collection[Equivalent]) -> list[Judged]:
    """Return the mutants that nothing noticed and that are not recorded as equivalent."""
    keys = {one.key for one in known}
    return [one for one in judged if not one.killed and one.mutant.key not in keys]


def record(
    judged: Sequence[Judged], known: Collection[Equivalent], sources: Mapping[str, str], laws: Collection[str]
) -> dict[str, Any]:
    """Return the whole run as plain values that JSON can hold."""
    keys = {one.key: one.reason for one in known}
    return {
        "schema_version": 1,
        "files": {file: scores(here, known) for file, here in by_file(judged).items()},
        "all": scores(judged, known),
        "properties": by_law(judged, laws),
        "mutants": [
            {
                "id": one.mutant.id,
                "function": one.mutant.function,
                "operator": one.mutant.operator,
                "before": one.mutant.before,
                "after": one.mutant.after,
                "occurrence": one.mutant.occurrence,
                "status": status(one, keys),
                "equivalent": keys.get(one.mutant.key),
                "killers": list(one.row.killers) if one.row else [],
                "kinds": sorted({cell.kind for cell in one.row.cells if cell.noticed}) if one.row else [],
                "properties": one.laws,
                "seconds": round(one.row.seconds, 4) if one.row else 0.0,
                "diff": "" if one.killed else diff(one, sources),
            }
            for one in judged
        ],
    }


def status(one: Judged, equivalent: Collection[tuple[str, str, str, str, str, int]]) -> str:
    """Return what became of a mutant, in one word."""
    if one.killed:
        return "crashed" if one.only_crashes else "killed"
    if one.mutant.key in equivalent:
        return "equivalent"
    return "survived" if one.laws else "not run"


def scores(judged: Sequence[Judged], known: Collection[Equivalent]) -> dict[str, Any]:
    """Return the counts of some mutants, and the share of those not equivalent that were noticed."""
    keys = {one.key for one in known}
    counts = Counter(status(one, keys) for one in judged)
    killed = counts["killed"] + counts["crashed"]
    counted = len(judged) - counts["equivalent"]
    return {
        "mutants": len(judged),
        "killed": killed,
        "crashed only": counts["crashed"],
        "survived": counts["survived"],
        "not run": counts["not run"],
        "equivalent": counts["equivalent"],
        "score": round(killed / counted, 4) if counted else 1.0,
    }


def by_file(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Return the mutants of each file."""
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.mutant.file, []).append(one)
    return found


def by_law(judged: Sequence[Judged], laws: Collection[str]) -> dict[str, dict[str, int]]:
    """Return, for each property, how many mutants it was tried on, noticed, and was the first to notice."""
    rows = [one.row for one in judged if one.row]
    tried = Counter(cell.law for row in rows for cell in row.cells)
    noticed = Counter(law for row in rows for law in row.killers)
    first = Counter(row.killers[0] for row in rows if row.killers)
    return {law: {"tried": tried[law], "noticed": noticed[law], "first": first[law]} for law in sorted(laws)}


def diff(one: Judged, sources: Mapping[str, str]) -> str:
    """Return what a mutant changes, as a diff without context."""
    file = one.mutant.file
    lines = difflib.unified_diff(
        sources[file].splitlines(),
        one.mutant.text.splitlines(),
        file,
        f"{file} ({one.mutant.operator})",
        "",
        "",
        0,
        "",
    )
    return "\n".join(lines)


def page(run: Mapping[str, Any]) -> str:
    """Return the report for a person, as Markdown."""
    columns = ("mutants", "killed", "crashed only", "survived", "not run", "equivalent")
    lines = ["| file | " + " | ".join(columns) + " | score |", "|---" * (len(columns) + 2) + "|"]
    for name, counts in [*run["files"].items(), ("all", run["all"])]:
        numbers = " | ".join(str(counts[column]) for column in columns)
        lines.append(f"| {name} | {numbers} | {counts['score']:.1%} |")
    lines += ["", "| property | tried on | noticed | noticed first |", "|---|---|---|---|"]
    ranked = sorted(run["properties"].items(), key=lambda one: (-one[1]["noticed"], one[0]))
    lines += [f"| {law} | {n['tried']} | {n['noticed']} | {n['first']} |" for law, n in ranked]
    for mutant in run["mutants"]:
        if mutant["status"] in ("survived", "not run"):
            why = (
                f"{mutant['properties']} properties run it" if mutant["properties"] else "no property runs it"
            )
            lines += ["", f"{mutant['id']}, in {mutant['function'] or 'the module'}: {why}", mutant["diff"]]
    return "\n".join(lines) + "\n"
