"""`grader variants make` and `list`: what is written, what the manifest says, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.bugs import catalogue, manifest, variant
from grader.bugs.choose import by_seed, seed_of
from grader.cli import main

from .conftest import Make, files_in

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
BUGS = catalogue.load(3)
CRITERIA = list(dict.fromkeys(bug.criterion for bug in BUGS))
SECRET = "the secret of the course"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A file with the secret of a course."""
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return str(file)


def package(files: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("nanochat/"): text for name, text in files.items()}


def test_a_seed_makes_one_bug_for_each_criterion(make: Make) -> None:
    files, record = make("--seed", "7")
    chosen = by_seed(BUGS, REFERENCE, "7")
    assert package(files) == variant.with_bugs(REFERENCE, chosen.bugs) != REFERENCE
    assert [bug["id"] for bug in record["bugs"]] == [bug.id for bug in chosen.bugs]
    assert sorted({bug["criterion"] for bug in record["bugs"]}) == sorted(CRITERIA)
    assert [bug["choice"] for bug in record["bugs"]] == [bug.choice for bug in chosen.bugs]


def test_the_same_inputs_give_the_same_bytes_and_others_do_not(make: Make) -> None:
    first, again, other = make("--seed", "7"), make("--seed", "7"), make("--seed", "8")
    assert first == again
    assert first[1]["seed_sha256"] != other[1]["seed_sha256"]
    seeds = {json.dumps(make("--seed", str(seed), "--disguise")[0]) for seed in range(3)}
    assert len(seeds) == 3


def test_another_process_with_other_hashes_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for number in ("1", "2"):
        folder = tmp_path / number
        command = [
            sys.executable,
            "-m",
            "grader",
            "variants",
            "make",
            "--seed",
            "7",
            "--disguise",
            "--out",
            folder,
        ]
        environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": number, "PATH": ""}
        result = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
        )
        made.append((files_in(folder), result.stdout))
    assert made[0] == made[1]


def test_without_a_seed_it_is_the_student_copy(make: Make) -> None:
    files, record = make("--level", "all")
    assert record["level"] == "all"
    assert package(files) == variant.sources_of(ROOT / "student" / "nanochat")
    assert record["seed_sha256"] is None


def test_a_clean_control_is_the_reference(make: Make) -> None:
    files, record = make("--bugs", "none", "--seed", "7")
    assert package(files) == REFERENCE
    assert record["bugs"] == []


def test_named_bugs_are_bound_by_the_seed(make: Make) -> None:
    names = [BUGS[0].id, BUGS[-1].id]
    files, record = make("--bugs", ",".join(reversed(names)), "--seed", "7")
    assert package(files) == variant.with_bugs(REFERENCE, [BUGS[0].bound("7"), BUGS[-1].bound("7")])
    assert [bug["id"] for bug in record["bugs"]] == names


def test_only_bugs_of_a_difficulty_are_chosen(make: Make) -> None:
    _, record = make("--seed", "7", "--difficulty", "1")
    assert {bug["difficulty"] for bug in record["bugs"]} == {1}
    _, record = make("--seed", "7", "--difficulty", "2..3")
    assert {bug["difficulty"] for bug in record["bugs"]} <= {2, 3}


def test_more_than_there_are_is_said_on_stderr_and_in_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["variants", "make", "--seed", "7", "--per-criterion", "500", "--out", str(tmp_path / "a")]) == 0
    )
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert sorted(record["missing"]) == sorted(CRITERIA)
    assert f"{CRITERIA[0]} gets {record['missing'][CRITERIA[0]]} fewer than asked for" in err
    assert len(record["bugs"]) + len(record["passed_over"]) == len(BUGS)


def test_the_manifest_says_of_what_it_was_made(tmp_path: Path, secret: str) -> None:
    file = tmp_path / "alice.json"
    folder = tmp_path / "alice"
    arguments = ["--seed", "2026", "--for", "alice", "--secret-file", secret, "--manifest", str(file)]
    assert main(["variants", "make", *arguments, "--out", str(folder)]) == 0
    record = json.loads(file.read_text())
    seed = seed_of("alice", SECRET.encode(), "2026", 3)
    assert record["student"] == "alice"
    assert record["seed_sha256"] == manifest.sha256(seed)
    assert record["variant_sha256"] == manifest.hash_of_sources(package(files_in(folder)))
    assert record["reference_sha256"] == manifest.hash_of_sources(REFERENCE)
    assert record["catalogue_sha256"] == manifest.hash_of_catalogue(list(reversed(BUGS)))
    assert record["catalogue_sha256"] != manifest.hash_of_catalogue(BUGS[1:])
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert not any(
        name in text for text in (file.read_text(), *files_in(folder).values()) for name in (seed, SECRET)
    )
    assert "alice" not in "".join(files_in(folder).values())


def test_a_manifest_in_the_students_folder_is_refused(tmp_path: Path, refuse: Callable[..., str]) -> None:
    folder = tmp_path / "alice"
    folder.mkdir()
    for inside in ("bugs.json", "nanochat/bugs.json", "../alice/bugs.json"):
        said = refuse(
            "variants", "make", "--seed", "7", "--manifest", str(folder / inside), "--out", str(folder)
        )
        assert "which the student gets: put it somewhere else" in said
    link = tmp_path / "link"
    link.symlink_to(folder)
    said = refuse("variants", "make", "--manifest", str(link / "bugs.json"), "--out", str(folder))
    assert "which the student gets" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--for", "alice"], "--for and --secret-file go together"),
        (["--secret-file", "x"], "--for and --secret-file go together"),
        (["--for", "alice", "--secret-file", "/nowhere"], "--secret-file /nowhere: No such file"),
        (["--bugs", "none", "--difficulty", "1"], "give one of the two"),
        (["--per-criterion", "2"], "give --seed or --for"),
        (["--difficulty", "1"], "give --seed or --for"),
        (["--disguise"], "--disguise needs --seed or --for"),
        (["--bugs", "nonsense"], "there is no bug nonsense; there are "),
        (["--manifest", "/nowhere/x.json"], "there is no folder /nowhere"),
        (["--level", "9"], "there is no such level; there are "),
    ],
)
def test_what_cannot_be_made_is_refused(
    tmp_path: Path, refuse: Callable[..., str], options: list[str], message: str
) -> None:
    assert message in refuse("variants", "make", *options, "--out", str(tmp_path / "out"))


def test_a_short_secret_is_refused(tmp_path: Path, refuse: Callable[..., str]) -> None:
    (tmp_path / "secret").write_text("short\n")
    options = ["--for", "alice", "--secret-file", str(tmp_path / "secret")]
    said = refuse("variants", "make", *options, "--out", str(tmp_path / "out"))
    assert "--for alice: the secret has 5 bytes and must have at least 16" in said


@pytest.mark.parametrize(
    "options", [["--difficulty", "4"], ["--difficulty", "2..1"], ["--per-criterion", "0"]]
)
def test_numbers_out_of_range_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["variants", "make", "--seed", "7", *options, "--out", "x"])
    assert stopped.value.code == 2
    assert f"argument {options[0]}" in capsys.readouterr().err


def test_a_manifest_that_cannot_be_written_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    arguments = ["--manifest", str(tmp_path / "there"), "--out", str(tmp_path / "out")]
    assert main(["variants", "make", *arguments]) == 2
    assert "Is a directory" in capsys.readouterr().err


def test_a_grader_without_the_reference_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    monkeypatch.setattr("grader.bugs.command.REPOSITORY", tmp_path)
    assert "no reference/nanochat" in refuse("variants", "make", "--out", str(tmp_path / "out"))


def test_the_list_can_be_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*options: str) -> list[dict[str, object]]:
        assert main(["variants", "list", "--json", *options]) == 0
        found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return found

    every_level = listed()
    everything = listed("--level", "3")
    assert [bug for bug in every_level if bug["level"] == 3] == everything
    assert {bug["level"] for bug in every_level} == {1, 2, 3}
    assert [bug["id"] for bug in everything] == [bug.id for bug in BUGS]
    some = listed("--criterion", CRITERIA[0], "--difficulty", "1..2")
    assert some == [b for b in everything if b["criterion"] == CRITERIA[0] and b["difficulty"] in (1, 2)]
    assert main(["variants", "list", "--level", "3", "--criterion", "colour"]) == 2
    assert f"--criterion colour: there are {', '.join(CRITERIA)}" in capsys.readouterr().err


def test_the_list_shows_difficulty_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variants", "list"]) == 0
    shown = capsys.readouterr().out
    for bug in BUGS:
        assert f"{bug.id}  ({bug.criterion}, difficulty {bug.difficulty}, {bug.symptom})" in shown
        assert bug.source in shown
