"""Rows, bugs and records for tests that judge nothing."""

from __future__ import annotations

from typing import Any

from grader.bugs.bug import Bug
from grader.bugs.pattern import Edit
from grader.bugs.records import Place
from grader.matrix.certificate import Certificate, Judgement
from grader.matrix.combined import Finding, Variant
from grader.matrix.outcome import Cell, Kind, Proof, Row
from grader.tomlplace import places

RECORD = '[[bug]]\nid = "b"\nwitness = "w"\nexpected = ["e"]\n'
PLACE = Place(places(RECORD, "level3/rotary.toml"), 0, "b")
VERDICTS: dict[str, Any] = {
    "law broken": "failed",
    "non-finite": "failed",
    "raised": "error",
    "died": "error",
}


def cell(law: str, kind: Kind = "passed", message: str = "", **inputs: str) -> Cell:
    """Return a cell."""
    return Cell(law, VERDICTS.get(kind, kind), kind, message, inputs or None, 0.5)


def row(name: str, *cells: Cell, **proof: Any) -> Row:
    """Return a row."""
    return Row(name, cells, Proof(**proof), 1.0)


CALM = cell("cache.two")


def bug(name: str = "b", criterion: str = "rotary", **changes: Any) -> Bug:
    """Return a bug of one edit."""
    fields = {
        "level": 3,
        "title": f"The bug {name}",
        "story": "",
        "hint": "",
        "source": "",
        "symptom": "silent",
        "classic": False,
        "expected": (f"{criterion}.one",),
        "edits": (Edit("gpt.py", "f", ("1",), "2"),),
        "difficulty": 1,
        "witness": "rotary.tables",
    }
    return Bug(id=name, criterion=criterion, **{**fields, **changes})


def certificate() -> Certificate:
    """Return a certificate of three bugs, one of which nothing notices."""
    found = Certificate(3, 7, (), row("reference", cell("rotary.one"), cell("cache.two")))
    found.correct["alternate other"] = row("alternate other", cell("rotary.one"), cell("cache.two"))
    rows = {
        "turns-wrong": (cell("rotary.one", "law broken", "got <b>1</b>, want 2", x="</script>"), CALM),
        "cache-crash": (cell("rotary.one"), cell("cache.two", "raised", "KeyError: 'k'", n="3")),
        "quiet": (cell("rotary.one"), CALM),
    }
    for name, cells in rows.items():
        refused = ("level3/rotary.toml:1: bug 'quiet': no property notices it",) if name == "quiet" else ()
        criterion = "cache" if name == "cache-crash" else "rotary"
        made = bug(name, criterion, difficulty=2 if name == "quiet" else 1)
        found.bugs.append(Judgement(made, {"gpt.py": "x = 1\n"}, row(name, *cells), True, refused))
    variant = Variant("student copy", tuple(one.bug for one in found.bugs[:2]))
    found.variants.append(Finding(variant, 6, 1.5, ()))
    found.repeated = {"quiet": []}
    return found
