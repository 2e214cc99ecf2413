"""Probes on the hostile submission, in this process and in one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.sandbox.limits import Limits
from grader.sandbox.local import LocalProbe
from grader.sandbox.process import ProcessProbe

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
LIMITS = Limits(
    call_seconds=1.5, submission_seconds=600, memory_bytes=700 << 20, output_bytes=1 << 20, file_bytes=1 << 20
)


@pytest.fixture(scope="session")
def session_process() -> Iterator[ProcessProbe]:
    """One probe for all tests: every test also shows that it works after whatever the last one did."""
    with ProcessProbe(SUBMISSIONS / "hostile", limits=LIMITS) as probe:
        yield probe


@pytest.fixture
def process(session_process: ProcessProbe) -> Iterator[ProcessProbe]:
    """Return a probe on the hostile submission, and check afterwards that it still answers."""
    yield session_process
    assert session_process("selftest.call", module="nanochat.calls", function="double", arguments=[21]) == 42


@pytest.fixture(params=["local", "process"])
def probe(request: pytest.FixtureRequest) -> Iterator[LocalProbe | ProcessProbe]:
    """Return a probe of either kind on the hostile submission."""
    if request.param == "process":
        yield request.getfixturevalue("process")
        return
    with LocalProbe(SUBMISSIONS / "hostile") as local:
        yield local
        assert local("selftest.call", module="nanochat.calls", function="double", arguments=[21]) == 42
