"""Which properties a mutant is tried on, what is recorded of it, and the file of equivalent mutants."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from grader.bugs.records import Recorded, RecordError
from grader.cli import main
from grader.matrix import command, equivalent, mutation, score
from grader.matrix.equivalent import Equivalent
from grader.matrix.mutation import Judged
from grader.matrix.operators import Mutant, mutants_of
from grader.matrix.outcome import Row

from .made import cell, row

ROOT = Path(__file__).parents[3]
TEXT = "LIMIT = 3\n\n\ndef f(x):\n    return x + 1\n\n\ndef g(x):\n    return x - 2\n"
MUTANTS = mutants_of("m.py", TEXT)
PLUS = next(one for one in MUTANTS if one.after == "return x - 1")
LINES = {"": {"m.py": [1, 4, 8]}, "a.f": {"m.py": [5]}, "a.g": {"m.py": [9]}, "a.none": {}}
REFERENCE = Row("reference", (), row("r").proof, 1.0, LINES)
KNOWN = Equivalent("m.py", "f", "arithmetic", "return x + 1", "return x - 1", "nobody looks")


def test_a_mutant_is_tried_where_its_statement_runs() -> None:
    laws = ("a.f", "a.g", "a.none")
    assert mutation.laws_running(REFERENCE, laws, "m.py", (5, 5)) == ("a.f",)
    assert mutation.laws_running(REFERENCE, laws, "m.py", (6, 7)) == ()
    assert mutation.laws_running(REFERENCE, laws, "m.py", (1, 1)) == ("a.f", "a.g")


def test_a_function_that_is_part_of_another_level_is_judged_there() -> None:
    of_g = [one for one in MUTANTS if one.function == "g"]
    assert of_g
    assert mutation.mutants({"m.py": TEXT}, ["m.py"]) == MUTANTS
    assert mutation.in_places(MUTANTS, ["m.py"]) == MUTANTS
    assert mutation.in_places(MUTANTS, ["m.py:g"]) == of_g
    assert mutation.in_places(MUTANTS, ["m.py"], {"m.py:g"}) == [one for one in MUTANTS if one not in of_g]


def test_the_optimizers_of_a_model_are_level_2s() -> None:
    assert "gpt.py:GPT.setup_optimizers" in command.chosen_places(2, ["gpt.py"])
    assert command.claimed_elsewhere(3) == {"gpt.py:GPT.setup_optimizers"}
    assert command.claimed_elsewhere(2) == frozenset()


def test_a_sample_is_chosen_by_the_seed_and_keeps_the_order() -> None:
    chosen = mutation.sample(MUTANTS, 4, 1)
    assert len(chosen) == 4
    assert chosen == sorted(chosen, key=MUTANTS.index)
    assert chosen == mutation.sample(MUTANTS, 4, 1) != mutation.sample(MUTANTS, 4, 2)
    assert mutation.sample(MUTANTS, None, 1) == mutation.sample(MUTANTS, 1000, 1) == MUTANTS


def judged(*kinds: str) -> Judged:
    """Return a mutant that came out like this."""
    cells = [cell(f"a.{number}", kind) for number, kind in enumerate(kinds)]  # type: ignore[arg-type]  # kinds
    return Judged(PLUS, row(PLUS.id, *cells), len(cells))


def test_a_mutant_is_killed_crashed_equivalent_survived_or_not_run() -> None:
    assert score.status(judged("passed", "law broken"), set()) == "killed"
    assert score.status(judged("raised", "law broken"), set()) == "killed"
    assert score.status(judged("raised", "died"), set()) == "crashed"
    assert score.status(judged("passed"), set()) == "survived"
    assert score.status(judged("passed"), {KNOWN.key}) == "equivalent"
    assert score.status(Judged(PLUS, None, 0), set()) == "not run"


def test_the_score_counts_what_is_not_equivalent() -> None:
    runs = [judged("law broken"), judged("raised"), judged("passed"), Judged(PLUS, None, 0)]
    found = score.scores(runs, [])
    assert (found["mutants"], found["killed"], found["crashed"]) == (4, 2, 1)
    assert (found["survived"], found["not run"], found["score"]) == (1, 1, 0.5)
    assert score.scores(runs[:3], [KNOWN])["score"] == 1.0
    assert score.survivors(runs, [KNOWN]) == []


def test_the_page_shows_each_survivor_with_its_diff() -> None:
    run = score.record([judged("law broken"), judged("passed")], [], {"m.py": TEXT}, ["a.0", "a.1"])
    page = score.page(run)
    assert "| m.py | 2 | 1 | 0 | 1 | 0 | 0 | 50.0% |" in page
    assert "| a.0 | 2 | 1 | 1 |" in page
    assert "| killed | only crashed | survived |" in page
    assert "-    return x + 1\n+    return x - 1" in page
    assert mutation.survivors_of(MUTANTS, run) == [PLUS]


def read(text: str, folder: Path) -> list[Equivalent]:
    """Return the entries of a file."""
    (folder / "equivalent.toml").write_text(text)
    return equivalent.read(folder / "equivalent.toml")


ENTRY = (
    '[[equivalent]]\nfile = "m.py"\nfunction = "f"\noperator = "arithmetic"\n'
    'before = "return x + 1"\nafter = "return x - 1"\nreason = "nobody looks"\n'
)


def test_an_entry_names_a_mutant(tmp_path: Path) -> None:
    assert read(ENTRY, tmp_path) == [KNOWN]
    assert KNOWN.key == PLUS.key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ENTRY.replace("reason", "cause"), "missing or unknown .'cause', 'reason'."),
        (ENTRY.replace("nobody looks", " "), "it needs a reason"),
        (ENTRY + ENTRY, "entry 2 .* stands there twice"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(text, tmp_path)


def stale(known: Equivalent, killed: list[Mutant]) -> list[str]:
    """Return what is said against an entry."""
    return equivalent.stale([known], MUTANTS, killed)


def test_a_stale_entry_is_refused() -> None:
    assert stale(KNOWN, []) == []
    assert "a property notices it" in stale(KNOWN, [PLUS])[0]
    gone = Equivalent("m.py", "f", "arithmetic", "return x * 1", "return x / 1", "gone")
    assert "there is no such mutant any more" in stale(gone, [])[0]
    elsewhere = Equivalent("other.py", "f", "arithmetic", "a", "b", "not mutated in this run")
    assert stale(elsewhere, []) == []


def test_every_entry_of_ours_names_a_mutant_of_the_reference() -> None:
    every = [
        one
        for file in sorted((ROOT / "reference" / "nanochat").glob("*.py"))
        for one in mutants_of(file.name, file.read_text(encoding="utf-8"))
    ]
    assert equivalent.stale(equivalent.read(), every, []) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mutate", "other.py"], "level 3 has the files gpt.py, engine.py, tools.py"),
        (["mutate", "--level", "9"], "there are no mutants for it"),
        (["mutate", "--again", "nothing.json"], "nothing.json: cannot be read"),
        (["variants", "verify", "--bugs", "none-such"], "--bugs none-such: there are "),
        (["variants", "verify", "--level", "9"], "there is no catalogue of bugs for it"),
        (["variants", "verify", "--html", "no/such/folder/m.html"], "no folder no/such/folder"),
    ],
)
def test_wrong_usage_is_told_at_once(
    arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert says in capfd.readouterr().err


def test_a_wrong_record_of_another_level_is_refused(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(level: int, _: str | None) -> list[Recorded]:
        if level == 3:
            return []
        raise RecordError("level1/bpe.toml:7: no witness")

    monkeypatch.setattr(command, "chosen_bugs", chosen)
    parser = argparse.ArgumentParser()
    command.add_verify(parser.add_subparsers())
    options = parser.parse_args(["verify"])
    assert command.verify_command(options) == 1
    assert capfd.readouterr().err == "refused: level1/bpe.toml:7: no witness\n"


@pytest.mark.slow
def test_some_mutants_are_judged(mutated: subprocess.CompletedProcess[str]) -> None:
    assert mutated.returncode in (0, 1), mutated.stderr
    assert "| tools.py | 6 |" in mutated.stdout
    assert '"mutants": ' in mutated.stdout, "the run as JSON"


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_bug_is_certified(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("json", "markdown", "html", "schema")}
    outputs = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    quick = ["--no-correct", "--variants", "0"]
    code = main(["variants", "verify", "--bugs", "tool-output-order", *quick, *outputs])
    out, err = capfd.readouterr()
    assert code == 0, out + err
    assert "caught by their own criterion: 1; disturb no other: 1" in out
    assert "repeated in fresh processes: 1, 0 cells differ" in out
    assert all(path.stat().st_size > 200 for path in files.values())
