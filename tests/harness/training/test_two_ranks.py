"""Two processes that train together make the step of one process that has all micro-batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).parent / "two_ranks.py"

pytestmark = pytest.mark.slow


def started(rank: str, rendezvous: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(SCRIPT), str(ROOT / "reference"), rank, str(rendezvous)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    answer: dict[str, Any] = json.loads(out)
    return answer


def test_two_ranks_are_one_process(tmp_path: Path) -> None:
    """Unequal numbers of counted targets, an ignored micro-batch, a parameter that one rank alone reaches.

    The second step is clipped: after the gradients of both ranks have been added.
    """
    processes = [started(rank, tmp_path / "rendezvous") for rank in ("0", "1", "alone")]
    first, second, alone = map(said, processes)
    for rank in (first, second):
        for answer, want in zip(rank["answers"], alone["answers"], strict=True):
            assert answer == pytest.approx(want, rel=1e-5)
        for parameter, want in zip(rank["parameters"], alone["parameters"], strict=True):
            assert parameter == pytest.approx(want, rel=1e-5, abs=1e-6)
    assert alone["answers"][1][1] > 0.1, "the second step is meant to be clipped"
