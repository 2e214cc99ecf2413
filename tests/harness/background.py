"""Commands whose output tests will ask for, run beside the other tests.

The other tests leave half of two processors idle. So what takes minutes begins when pytest knows that it
will be asked for, in the order in which tests will ask, and gives way to whatever else runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil ships no types
import pytest

from grader.sandbox.warm import FORKABLE

ROOT = Path(__file__).parents[2]
PROCESSORS = max(2, os.cpu_count() or 2)
AT_ONCE = PROCESSORS - 1
"""One processor is left to the other tests: two commands beside them on two processors made them slower."""
NICE = 5
"""A call has 20 s, and at a quarter of a processor it still takes two; more would be too nice."""

Done = subprocess.CompletedProcess[str]


class Background:
    """Runs commands, each once, on all processors but one, and on that too once a test waits for them."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=PROCESSORS)
        self._turns = threading.Semaphore(AT_ONCE)
        self._waited_for = False
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._closed = False
        # A test that runs by then may change the environment.
        self._environment = dict(os.environ)
        self._started: dict[Hashable, Future[Done]] = {}

    def begin(
        self,
        key: Hashable,
        command: Sequence[str],
        variables: Mapping[str, str] | None = None,
        given: str | None = None,
    ) -> None:
        """Run a command as soon as its turn comes, with further variables and standard input."""
        assert key not in self._started, f"{key} has begun"
        environment = {**self._environment, **(variables or {})}
        self._started[key] = self._pool.submit(self._run, list(command), environment, given)

    def begin_warm(self, key: Hashable, *arguments: str, given: str | None = None) -> None:
        """Run Python with these arguments, as soon as its turn comes, as a warm session needs it."""
        self.begin(key, [sys.executable, *arguments], warm_variables(), given)

    def begun(self, key: Hashable) -> bool:
        """Say whether a command of this name has been asked for."""
        return key in self._started

    def result(self, key: Hashable) -> Done:
        """Return what came of a command, as soon as it has ended."""
        if not self._waited_for and not self._started[key].done():
            # Tests that wait come last, so no other one wants the processor.
            self._waited_for = True
            self._turns.release(PROCESSORS - AT_ONCE)
        return self._started[key].result()

    def loaded(self, key: Hashable) -> Any:
        """Return the JSON that a command has printed, which must not have failed."""
        done = self.result(key)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def runs(self, process: psutil.Process) -> bool:
        """Say whether a process belongs to a command that runs now, or has ended."""
        try:
            above = {process.pid, *(parent.pid for parent in process.parents())}
        except psutil.NoSuchProcess:
            return True
        with self._lock:
            return any(running.pid in above for running in self._running)

    def close(self) -> None:
        """End what still runs, for tests may stop before they have asked for everything."""
        with self._lock:
            self._closed = True
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, command: list[str], environment: dict[str, str], given: str | None) -> Done:
        with self._turns:
            return self._run_now(command, environment, given)

    def _run_now(self, command: list[str], environment: dict[str, str], given: str | None) -> Done:
        with self._lock:
            assert not self._closed, "nothing begins after the tests"
            process = subprocess.Popen(
                ["nice", "-n", str(NICE), *command],
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process)
        said, complained = process.communicate(given)
        with self._lock:
            self._running.remove(process)
        return Done(command, process.returncode, said, complained)


def warm_variables() -> dict[str, str]:
    """Return what a warm session must find in its environment."""
    return {**FORKABLE, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


BACKGROUND = pytest.StashKey[Background]()


def wanted(session: pytest.Session, fixture: str) -> bool:
    """Say whether a test that will run asks for a fixture."""
    return not session.config.option.collectonly and any(
        fixture in getattr(item, "fixturenames", ()) for item in session.items
    )
