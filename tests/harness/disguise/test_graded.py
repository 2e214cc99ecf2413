"""What the properties say of disguised copies: of the reference nothing, of bugs what they always say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from grader.bugs import catalogue, variant
from grader.bugs.disguise import disguised

ROOT = Path(__file__).parents[3]
REFERENCE = variant.sources_of(ROOT / "reference" / "nanochat")
CLASSIC = [bug for bug in catalogue.load(3) if bug.classic]

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


def broken(folder: Path) -> dict[str, str]:
    """Return the criteria of a submission that do not hold, with all that is said of them."""
    command = [sys.executable, "-m", "grader", "run", "--level", "3", "--json", "--submission", folder]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode in (0, 1), result.stderr
    criteria = json.loads(result.stdout)["levels"][0]["criteria"]
    return {
        one["id"]: "; ".join(law["id"] for law in one["properties"] if law["verdict"] != "passed")
        for one in criteria
        if one["verdict"] != "passed"
    }


@pytest.mark.parametrize("seed", ["20", "21"])
def test_the_disguised_reference_passes_everything(tmp_path: Path, seed: str) -> None:
    variant.write(disguised(REFERENCE, seed), tmp_path)
    assert broken(tmp_path) == {}


def test_a_disguised_variant_breaks_what_the_plain_one_breaks(tmp_path: Path) -> None:
    plain = variant.with_bugs(REFERENCE, CLASSIC)
    for name, sources in (("plain", plain), ("disguised", disguised(plain, "22"))):
        (tmp_path / name).mkdir()
        variant.write(sources, tmp_path / name)
    here = broken(tmp_path / "disguised")
    assert here == broken(tmp_path / "plain")
    assert set(here) == {bug.criterion for bug in CLASSIC}
