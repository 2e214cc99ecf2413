"""What the documents show is what the project does: the report, the tree, the commands."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """Return what stands between the marks of a generated block."""
    found = re.search(rf"<!-- {name} -->\n```\n(.*?)\n?```\n<!-- /{name} -->", README, re.DOTALL)
    assert found, f"README.md has no block {name}"
    return found[1]


def without_times(report: str) -> list[str]:
    """Return the lines of a report without seconds, trailing blanks and what the machine offers."""
    report = re.sub(r"isolation \w+", "isolation strict", report)
    return [re.sub(r"\s*\d+\.\d( s)?(?=$| \(only)", "", line).rstrip() for line in report.splitlines()]


def test_the_report_is_a_real_one() -> None:
    command = re.search(r"For `grader (run .*?)`:", README)
    assert command
    result = subprocess.run(
        [sys.executable, "-m", "grader", *command[1].split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert result.returncode == 1, result.stderr
    assert without_times(block("report")) == without_times(result.stdout.strip("\n"))


def test_the_tree_names_what_is_there() -> None:
    named = {line.split()[0].rstrip("/") for line in block("tree").splitlines() if line[:1].strip()}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if listed.returncode:
        pytest.skip("not a Git checkout")
    there = {path.split("/")[0] for path in listed.stdout.splitlines()}
    assert named == {name for name in there if not name.startswith(".")}


def test_every_path_in_the_tree_exists() -> None:
    parent = Path()
    for line in block("tree").splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            parent = Path(name)
            assert (ROOT / name).exists(), name
        else:
            assert (ROOT / parent / name).exists(), f"{parent}/{name}"


def test_there_are_two_commands_and_ci_runs_the_second() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert len(commands) == 2
    assert all(command.startswith("sh setup.sh && .venv/bin/") for command in commands)
    assert commands[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_and_paths_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (ROOT / target).exists(), target
    for path in re.findall(
        r"`((?:specs|grader|tests|notebooks|benchmarks|reference|student|integrations)/[\w./-]*)`", text
    ):
        assert (ROOT / path).exists(), path


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                assert any(choice.dest == name and choice.help for choice in action._choices_actions), name
                yield from parsers(inner)


def test_every_command_and_option_says_what_it_is_for() -> None:
    for parser in parsers(cli.parser()):
        assert parser.format_help()
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction):
                assert action.help, f"{parser.prog} {action.dest}"
