"""A certificate as JSON and as Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from grader.levels import Level
from grader.matrix.certificate import Certificate, Judgement
from grader.matrix.job import fingerprint
from grader.matrix.outcome import KINDS, Row
from grader.run import versions

SCHEMA_VERSION = 1


def record(found: Certificate, sources: Mapping[str, str], level: Level) -> dict[str, Any]:
    """Return the certificate as plain values that JSON can hold."""
    return {
        "schema_version": SCHEMA_VERSION,
        "level": found.level,
        "seed": found.seed,
        "versions": versions(),
        "reference_sha256": fingerprint(json.dumps(dict(sources), sort_keys=True)),
        "properties": [{"id": law.id, "criterion": law.criterion, "title": law.title} for law in level.laws],
        "reference": found.reference.to_record(),
        "correct": {name: row.to_record() for name, row in sorted(found.correct.items())},
        "bugs": [bug_record(one) for one in found.bugs],
        "forms": [
            {"id": one.bug.id, "choice": one.bug.choice, "refused": list(one.refused)} for one in found.forms
        ],
        "bugs_of_other_levels": [
            {"ids": [bug.id for bug, _ in one.bugs], "refused": list(one.refused)} for one in found.foreign
        ],
        "variants": [
            {
                "name": one.variant.name,
                "bugs": [{"id": bug.id, "choice": bug.choice} for bug in one.variant.bugs],
                "checks": one.checks,
                "seconds": one.seconds,
                "refused": list(one.refused),
            }
            for one in found.variants
        ],
        "repeated": found.repeated,
        "refused": found.complaints,
    }


def bug_record(one: Judgement) -> dict[str, Any]:
    """Return what is kept of a bug, with its row."""
    bug = one.bug
    return {
        "id": bug.id,
        "criterion": bug.criterion,
        "title": bug.title,
        "symptom": bug.symptom,
        "difficulty": bug.difficulty,
        "choice": bug.choice,
        "witness": bug.witness,
        "visible": one.visible,
        "expected": list(bug.expected),
        "disturbs": list(bug.disturbs),
        "refused": list(one.refused),
        "row": one.row.to_record(),
    }


def page(run: Mapping[str, Any]) -> str:
    """Return the certificate for a person, as Markdown."""
    criteria = list(dict.fromkeys(law["criterion"] for law in run["properties"]))
    bugs = run["bugs"]
    caught = sum(one["criterion"] in broken(one["row"]) for one in bugs)
    quiet = sum(broken(one["row"]) <= {one["criterion"]} for one in bugs)
    unseen = sum(one["visible"] and not broken(one["row"]) for one in bugs)
    cells = [cell for one in bugs for cell in one["row"]["cells"]]
    correct = sum(passes(row) for row in run["correct"].values())
    checks = sum(one["checks"] for one in run["variants"])
    spent = sum(one["row"]["seconds"] for one in bugs)
    inside = sum(cell["seconds"] for cell in cells)
    kinds = Counter(cell["kind"] for cell in cells)
    packs = run["bugs_of_other_levels"]
    lines = [
        f"# Kill matrix of level {run['level']}, seed {run['seed']}",
        "",
        f"- bugs: {len(bugs)}; caught by their own criterion: {caught}; disturb no other: {quiet}; "
        f"visible and not caught: {unseen}",
        f"- cells: {len(cells)}, " + ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind]),
        f"- other forms of them: {len(run['forms'])}, "
        f"{sum(not one['refused'] for one in run['forms'])} caught by the properties that the record names",
        f"- bugs of other levels: {sum(len(one['ids']) for one in packs)} in {len(packs)} packs, "
        f"{sum(not one['refused'] for one in packs)} of which disturb nothing",
        f"- correct programs that pass: {correct} of {len(run['correct'])}",
        f"- variants: {len(run['variants'])}, with {checks} checks of a criterion",
        f"- repeated in fresh processes: {len(run['repeated'])}, "
        f"{sum(map(len, run['repeated'].values()))} cells differ",
    ]
    if bugs:
        lines.append(
            f"- properties took {inside:.1f} s, forks {spent - inside:.1f} s on top: "
            f"{1000 * (spent - inside) / len(bugs):.0f} ms a bug of {len(run['properties'])} properties"
        )
    lines += ["", *table(bugs, criteria)]
    if run["refused"]:
        lines += ["", "## Refused", "", *(f"- {said}" for said in run["refused"])]
    return "\n".join(lines) + "\n"


def table(bugs: Sequence[Mapping[str, Any]], criteria: Sequence[str]) -> list[str]:
    """Return a row for each bug: in each criterion, how many properties noticed, and how."""
    lines = ["| bug | " + " | ".join(criteria) + " |", "|---" * (len(criteria) + 1) + "|"]
    for one in bugs:
        marks = []
        for criterion in criteria:
            kinds = Counter(
                cell["kind"]
                for cell in one["row"]["cells"]
                if cell["law"].startswith(f"{criterion}.") and cell["verdict"] not in ("passed", "not run")
            )
            said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            marks.append(f"**{said}**" if said and criterion == one["criterion"] else said)
        lines.append(f"| {one['id']} | " + " | ".join(marks) + " |")
    return lines


def broken(row: Mapping[str, Any]) -> set[str]:
    """Return the criteria in which a row has a property that noticed."""
    return {
        cell["law"].split(".")[0] for cell in row["cells"] if cell["verdict"] not in ("passed", "not run")
    }


def passes(row: Mapping[str, Any]) -> bool:
    """Say whether every property of a row passed."""
    return all(cell["verdict"] == "passed" for cell in row["cells"])


def rows_of(found: Certificate) -> dict[str, Row]:
    """Return every full row that may be repeated, by name."""
    return {one.bug.id: one.row for one in found.bugs}
