"""Who may import whom, and that the judge stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "grader").rglob("*.py"), *(ROOT / "specs").rglob("*.py")])


def imports(file: Path) -> Iterator[str]:
    """Yield every module that a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", FILES, ids=named)
def test_imports_go_one_way(file: Path) -> None:
    found = set(imports(file))
    roots = {name.split(".")[0] for name in found}
    where = named(file)
    assert not roots & {"reference", "student", "tests", "pickle", "dill"}, where
    if where.startswith("specs/"):
        assert "grader" not in roots, f"{where}: the specification does not know the grader"
    if where.startswith("specs/probes/"):
        judge = {name for name in found if name.startswith("specs.") and not name.startswith("specs.probes")}
        assert not judge, (
            f"{where}: what runs beside a submission must not hold what the judge knows: {judge}"
        )
    elif not where.startswith(("grader/sandbox/", "grader/bugs/witness")):
        assert not roots & {"torch", "nanochat"}, f"{where}: the judge imports neither torch nor a submission"
    if where.startswith("grader/render/"):
        own = {name for name in found if name.startswith("grader.")}
        assert all(name.startswith(("grader.report", "grader.render")) for name in own), own


def test_the_judge_imports_no_torch() -> None:
    code = (
        "import sys; import grader.cli, grader.session; from grader import levels; levels.load(3); "
        "print([m for m in ('torch', 'nanochat', 'tiktoken') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"
