"""The notebooks as they are stored: generated, deterministic, and with nothing of the machine that ran it."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted((ROOT / "notebooks").glob("level[0-9]*.py"))

OF_A_MACHINE = re.compile(r"(?<![\w.<])/\w|[A-Z]:\\|0x[0-9a-f]{6}|\d\d:\d\d")
"""An absolute path, an address in memory, or a time."""


@pytest.fixture(scope="module", params=SOURCES, ids=lambda path: path.stem)
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def path(source: Path) -> Path:
    return source.with_suffix(".ipynb")


@pytest.fixture
def stored(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


@pytest.fixture
def criteria(source: Path) -> list[str]:
    level = tomllib.loads((ROOT / "specs" / f"{source.stem}.toml").read_text(encoding="utf-8"))
    return [criterion["id"] for criterion in level["criterion"]]


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_source_has_its_notebook() -> None:
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks == {source.stem for source in SOURCES}
    assert {"level1", "level3"} <= notebooks


def test_a_name_that_is_none_is_refused(build: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["level9"]) == 2
    assert "there is no notebook level9; there are level1, " in capsys.readouterr().err


def test_cells_are_those_of_the_source(
    build: ModuleType, source: Path, path: Path, stored: dict[str, Any]
) -> None:
    """Everything but outputs and counts is what the source says; else run `python notebooks/build.py`."""
    made = build.cells(source.read_text(encoding="utf-8"))
    emptied = json.loads(path.read_text(encoding="utf-8"))
    for cell in code_cells(emptied):
        cell["outputs"], cell["execution_count"] = [], None
    assert [cell["id"] for cell in emptied["cells"]] == [cell["id"] for cell in made]
    assert build.notebook(emptied["cells"]) == build.notebook(made), "run python notebooks/build.py"
    assert build.notebook(stored["cells"]) == path.read_text(encoding="utf-8")


def test_the_notebook_is_valid(path: Path) -> None:
    """It is a notebook of format 4.5 for a kernel called python3."""
    nbformat = pytest.importorskip("nbformat", reason="the format's own checker")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


def test_each_criterion_has_its_sections(stored: dict[str, Any], criteria: list[str]) -> None:
    """Each criterion of the level, in its order, has an explanation, an experiment and an acceptance cell."""
    ids = [cell["id"] for cell in stored["cells"]]
    for end in ("-experiment", "-acceptance"):
        assert [name.removesuffix(end) for name in ids if name.endswith(end)] == criteria
    assert [name for name in ids if name in criteria] == criteria


def test_every_acceptance_cell_asserts(stored: dict[str, Any]) -> None:
    """An acceptance cell holds assertions, each with a message that is not just a constant truth."""
    for cell in code_cells(stored):
        if not cell["id"].endswith("-acceptance"):
            continue
        asserts = [node for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.Assert)]
        assert asserts, f"{cell['id']} asserts nothing"
        for node in asserts:
            where = f"{cell['id']}, line {node.lineno}"
            assert node.msg is not None, f"{where} has no message"
            assert not isinstance(node.test, ast.Constant | ast.Tuple), f"{where} always has the same outcome"


def test_experiments_draw_a_picture(stored: dict[str, Any]) -> None:
    """Each experiment stores exactly one picture, and no cell stores an error."""
    for cell in code_cells(stored):
        pictures = [output for output in cell["outputs"] if "image/png" in output.get("data", {})]
        assert len(pictures) == cell["id"].endswith("-experiment"), cell["id"]
        assert all(output["output_type"] != "error" for output in cell["outputs"]), cell["id"]


def test_nothing_of_the_machine_is_stored(path: Path, stored: dict[str, Any]) -> None:
    """No stored text holds an absolute path, a time or an address; nothing but tags is in the metadata."""
    for cell in stored["cells"]:
        assert set(cell["metadata"]) <= {"tags"}, cell["id"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = output.get("text", "") + "".join(data.get("text/plain", ""))
            assert not OF_A_MACHINE.search(text), f"{cell['id']}: {text}"
            assert output.get("metadata", {}) == {}, cell["id"]
            assert set(data) <= {"text/plain", "image/png"}, cell["id"]
    assert path.stat().st_size < 1_000_000


def test_counts_are_those_of_one_run(stored: dict[str, Any]) -> None:
    """Cells were run once, from top to bottom, in a fresh kernel."""
    counts = [cell["execution_count"] for cell in code_cells(stored)]
    assert counts == list(range(1, len(counts) + 1))


def test_two_cells_of_one_name_are_refused(build: ModuleType) -> None:
    with pytest.raises(ValueError, match="names of cells must differ"):
        build.cells("# %% twice\n1\n# %% twice\n2\n")
