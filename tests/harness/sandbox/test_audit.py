"""At basic Python refuses the files that are neither its own nor the submission's, and goes on with those."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.sandbox.launch import ForkServer
from grader.sandbox.process import ProcessProbe
from specs.outcomes import SubmissionRaised

HOSTILE = Path(__file__).parents[1] / "submissions" / "hostile"
READING = ["read", "read at a low level", "read by a link", "list", "scan"]
CHANGING = ["write", "remove", "rename", "link", "make a folder", "change its mode"]


@pytest.fixture(scope="module")
def process(server: ForkServer) -> Iterator[ProcessProbe]:
    with ProcessProbe(HOSTILE, isolation="basic", server=server) as probe:
        yield probe


def on_file(process: ProcessProbe, action: str, path: Path) -> Any:
    return process.attempt(
        "selftest.call", module="nanochat.calls", function="on_file", arguments=[action, str(path)]
    )


@pytest.fixture
def open_to_all(tmp_path: Path) -> Path:
    """Return a file that everybody may read, write and remove, so that only Python is in the way."""
    file = tmp_path / "beside.txt"
    file.write_text("secret", encoding="utf-8")
    file.chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o777)
    return file


@pytest.mark.parametrize("action", [*READING, *CHANGING])
def test_a_file_of_others_is_refused(process: ProcessProbe, open_to_all: Path, action: str) -> None:
    refused = on_file(process, action, open_to_all)
    assert isinstance(refused, SubmissionRaised)
    assert refused.is_a("PermissionError")
    assert open_to_all.read_text(encoding="utf-8") == "secret"
    assert [file.name for file in open_to_all.parent.iterdir()] == ["beside.txt"]


@pytest.mark.parametrize("action", ["read", "list", "scan"])
@pytest.mark.parametrize(
    "file", [HOSTILE / "nanochat" / "calls.py", Path(pytest.__file__)], ids=["own", "Python"]
)
def test_a_file_of_its_own_or_of_python_is_read(process: ProcessProbe, file: Path, action: str) -> None:
    assert on_file(process, action, file)


@pytest.mark.parametrize("action", CHANGING)
def test_its_own_code_is_not_changed(process: ProcessProbe, action: str) -> None:
    file = HOSTILE / "nanochat" / "__init__.py"
    assert isinstance(on_file(process, action, file), SubmissionRaised)


@pytest.mark.parametrize("package", ["grader/run.py", "specs/law.py"])
def test_the_judge_is_hidden(process: ProcessProbe, package: str) -> None:
    refused = on_file(process, "read", Path(__file__).parents[3] / package)
    assert isinstance(refused, SubmissionRaised)
    assert refused.is_a("PermissionError")


def test_its_folder_is_its_own(process: ProcessProbe) -> None:
    for action in ("write", "read", "change its mode", "rename", "remove"):
        done = on_file(process, action, Path("mine" if action == "remove" else "some.txt"))
        assert not isinstance(done, SubmissionRaised), (action, done)
