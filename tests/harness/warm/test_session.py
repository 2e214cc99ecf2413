"""A warm session tells the truth about variants whose outcome is known."""

from __future__ import annotations

from typing import Any

import pytest

from grader.bugs import witness

from .conftest import run_python

FLOPS = "attention.flops_are_counted_by_the_formula"
SIZES = "attention.impossible_widths_are_refused"


def kinds(row: dict[str, Any]) -> dict[str, str]:
    """Return the kind of each cell."""
    return {cell["law"]: cell["kind"] for cell in row["cells"]}


def test_the_reference_is_green(rows: dict[str, Any]) -> None:
    assert set(kinds(rows["reference"]).values()) == {"passed"}
    assert len(rows["reference"]["cells"]) == 3
    assert set(rows["reference"]["proof"]["loaded"]) == {"__init__.py", "gpt.py"}


def test_a_sentinel_is_red(rows: dict[str, Any]) -> None:
    assert kinds(rows["sentinel"]) == {FLOPS: "raised"}


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("wrong", "law broken", "7"),
        ("raises", "raised", "KeyError"),
        ("hangs", "timeout", "1.5 s"),
        ("sleeps", "timeout", "1.5 s"),
        ("dies", "died", "exit code 0"),
        ("eats", "memory", "memory"),
    ],
)
def test_each_outcome_has_its_kind_and_the_next_property_is_still_judged(
    rows: dict[str, Any], name: str, kind: str, says: str
) -> None:
    assert kinds(rows[name]) == {FLOPS: kind, SIZES: "passed"}
    assert says in rows[name]["cells"][0]["message"]


def test_infinite_values_are_told_from_wrong_ones(rows: dict[str, Any]) -> None:
    assert set(kinds(rows["not finite"]).values()) == {"non-finite"}


def test_a_module_that_does_not_parse_raises(rows: dict[str, Any]) -> None:
    assert kinds(rows["does not parse"]) == {FLOPS: "raised"}
    assert "SyntaxError" in rows["does not parse"]["cells"][0]["message"]


def test_a_job_stops_where_it_was_told_to(rows: dict[str, Any]) -> None:
    assert kinds(rows["stops at the first"]) == {FLOPS: "law broken"}
    assert kinds(rows["goes on after a crash"]) == {FLOPS: "raised", SIZES: "passed"}


def test_a_broken_law_comes_with_its_smallest_input(rows: dict[str, Any]) -> None:
    assert rows["wrong"]["cells"][0]["counterexample"]


def test_a_verdict_proves_that_the_edit_ran(rows: dict[str, Any]) -> None:
    proof = rows["wrong"]["proof"]
    assert len(proof["ran"]["gpt.py"]) == 1
    assert proof["missing"] == {}
    proof = rows["not run"]["proof"]
    assert proof["ran"] == {}
    assert len(proof["missing"]["gpt.py"]) == 1


def test_the_lines_that_each_property_runs_are_known(rows: dict[str, Any]) -> None:
    lines = rows["lines"]["lines"]
    assert set(lines) == {"", FLOPS, SIZES}
    assert {"gpt.py", "engine.py", "tools.py"} <= set(lines[""])
    assert set(lines[FLOPS]["gpt.py"]) - set(lines[SIZES]["gpt.py"])


def test_witnesses_run_in_forks(rows: dict[str, Any]) -> None:
    assert "found" in rows["witness"]["witness"]
    assert witness.differ(rows["witness"]["witness"], rows["witness of a bug"]["witness"])
    assert rows["witness that raises"]["witness"] == {"raised": "ZeroDivisionError"}
    assert rows["witness that hangs"]["witness"] == {"raised": "timeout"}


def test_a_fault_of_the_grader_ends_the_session(rows: dict[str, Any]) -> None:
    assert rows["fault"].startswith("nonsense: ")
    assert "no.such_property" in rows["fault"]


PREPARE = "from grader.sandbox import warm; warm.prepare()"


def test_a_session_refuses_an_environment_in_which_forks_may_hang() -> None:
    done = run_python("-c", PREPARE, OMP_NUM_THREADS="2")
    assert "OMP_NUM_THREADS=1 must be set before torch is imported" in done.stderr


def test_a_session_refuses_to_fork_beside_a_thread() -> None:
    started = "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    code = f"{started}; {PREPARE}"
    done = run_python("-c", code)
    assert "runs 2 threads, want 1" in done.stderr
