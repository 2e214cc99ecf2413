"""Probes on the hostile submission, in this process and in one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.sandbox import isolation
from grader.sandbox.launch import ForkServer
from grader.sandbox.limits import Limits
from grader.sandbox.local import LocalProbe
from grader.sandbox.process import ProcessProbe
from grader.sandbox.start import ISOLATIONS

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
LIMITS = Limits(
    call_seconds=1.5, submission_seconds=600, memory_bytes=700 << 20, output_bytes=1 << 20, file_bytes=1 << 20
)


LEVELS = [level for level in ISOLATIONS if isolation.tried(level).works]
"""The levels of isolation that this machine offers, the strongest first."""


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    """One fork server for all tests."""
    with ForkServer() as shared:
        yield shared


@pytest.fixture(scope="session", params=LEVELS)
def session_process(request: pytest.FixtureRequest, server: ForkServer) -> Iterator[ProcessProbe]:
    """One probe a level for all tests: each also shows that it works after whatever the last one did."""
    with ProcessProbe(
        SUBMISSIONS / "hostile", limits=LIMITS, isolation=request.param, server=server
    ) as probe:
        yield probe


@pytest.fixture
def process(session_process: ProcessProbe) -> Iterator[ProcessProbe]:
    """Return a probe on the hostile submission, and check afterwards that it still answers."""
    session_process.begin()
    yield session_process
    assert session_process("selftest.call", module="nanochat.calls", function="double", arguments=[21]) == 42


@pytest.fixture(params=["local", *LEVELS])
def probe(request: pytest.FixtureRequest, server: ForkServer) -> Iterator[LocalProbe | ProcessProbe]:
    """Return a probe of each kind on the hostile submission."""
    hostile = SUBMISSIONS / "hostile"
    made: LocalProbe | ProcessProbe
    if request.param == "local":
        made = LocalProbe(hostile)
    else:
        made = ProcessProbe(hostile, limits=LIMITS, isolation=request.param, server=server)
    with made as probe:
        yield probe
        answer = probe("selftest.call", module="nanochat.calls", function="double", arguments=[21])
        assert answer == 42
