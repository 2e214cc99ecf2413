"""A submission in its own process: what it does becomes the right outcome, and the next call is answered."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil ships no types
import pytest

from grader.sandbox import forkserver, launch
from grader.sandbox.launch import ForkServer
from grader.sandbox.limits import Limits
from grader.sandbox.process import ProcessProbe
from specs.outcomes import (
    GraderFault,
    SubmissionDied,
    SubmissionMemory,
    SubmissionRaised,
    SubmissionStopped,
    SubmissionTimeout,
)
from tests.harness.background import ROOT, Background

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def call(probe: ProcessProbe, function: str, *arguments: Any, module: str = "nanochat.calls") -> Any:
    return probe("selftest.call", module=module, function=function, arguments=list(arguments))


def pid_of(probe: ProcessProbe) -> int:
    assert probe("selftest.echo", value=1) == 1
    assert probe._child is not None
    assert probe._child.process_id is not None
    return probe._child.process_id


def lives(process_id: int) -> bool:
    try:
        return bool(psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def forks_without(background: Background) -> set[int]:
    """Return every process that came from a fork server of ours, wherever it is by now, except ended ones."""
    found = set()
    for one in psutil.process_iter(["cmdline", "status", "ppid"]):
        command = " ".join(one.info["cmdline"] or ())
        if "forkserver.py" in command and one.info["status"] != psutil.STATUS_ZOMBIE:
            with contextlib.suppress(psutil.NoSuchProcess):
                # One that got away has the first process for a parent. Others may grade beside these tests.
                ours = one.info["ppid"] == 1 or os.getpid() in {parent.pid for parent in one.parents()}
                if ours and not background.runs(one):
                    found.add(one.pid)
    return found


@pytest.fixture
def forks(background: Background) -> Callable[[], set[int]]:
    """Return what finds the forks that tests have made."""
    return partial(forks_without, background)


def ends_within_a_second(process_id: int) -> bool:
    for _ in range(100):
        if not lives(process_id):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("function", "stop", "message"),
    [
        ("hang", SubmissionTimeout, r"no answer within 1\.5 s"),
        ("hang_deaf", SubmissionTimeout, r"no answer within 1\.5 s"),
        ("exit_hard", SubmissionDied, r"process ended \(exit code 0\) before it answered"),
        ("segfault", SubmissionDied, r"process ended \(signal SIGSEGV\)"),
        ("kill_itself", SubmissionMemory, "killed from outside"),
        ("print_forever", SubmissionDied, "printed more than the 1048576 bytes"),
        ("print_from_thread", SubmissionDied, "printed more than the 1048576 bytes"),
        ("eat_memory", SubmissionMemory, "memory"),
        ("eat_torch_memory", SubmissionMemory, "can't allocate memory"),
        ("eat_shared_memory", SubmissionMemory, r"held \d+ MiB of memory, more than the 700 MiB"),
        ("eat_memory_in_child", SubmissionMemory, r"held \d+ MiB of memory, more than the 700 MiB"),
        ("write_garbage", SubmissionDied, "that is no answer"),
        ("write_huge_length", SubmissionDied, "a frame of 4294967295 bytes"),
        ("write_half", SubmissionTimeout, "no answer"),
        ("flood_wire", SubmissionDied, "that is no answer"),
        ("flood_imports", SubmissionDied, "messages about imports"),
        ("close_wire", SubmissionDied, "closed its connection"),
        ("close_everything", SubmissionDied, "closed its connection"),
    ],
)
def test_what_stops_a_submission_is_told(
    process: ProcessProbe, function: str, stop: type[SubmissionStopped], message: str
) -> None:
    if function == "kill_itself" and process.isolation == "strict":
        pytest.skip("the first process of a namespace cannot kill itself")
    before = pid_of(process)
    began = time.monotonic()
    with pytest.raises(stop, match=message):
        call(process, function)
    assert time.monotonic() - began < 5
    assert not lives(before)


@pytest.mark.parametrize(
    "message",
    [None, {"call": -1, "value": 1}, {"import": 1, "event": "importing"}, {"import": "nanochat.calls"}],
    ids=str,
)
def test_a_message_of_the_submissions_own_is_no_answer(process: ProcessProbe, message: Any) -> None:
    with pytest.raises(SubmissionDied, match="that is no answer"):
        call(process, "write_value", message)


def test_a_submission_has_so_many_modules_and_no_more(server: ForkServer) -> None:
    # A probe of its own, which imports nothing any more afterwards.
    with ProcessProbe(SUBMISSIONS / "hostile", server=server) as probe:
        with pytest.raises(SubmissionDied, match="messages about imports"):
            call(probe, "announce_modules")
        assert len(probe.modules) == 1000


def test_names_that_are_announced_do_not_pile_up(server: ForkServer) -> None:
    with ProcessProbe(SUBMISSIONS / "hostile", server=server) as probe:
        for number in range(40):
            with pytest.raises(SubmissionDied, match="exit code 0"):
                call(probe, "end_importing", f"nanochat.{number}".ljust(200, "\U0001f300"))
        assert len(probe._stopped_imports) == 32
        # What a process is told goes through a socket that takes some 200 kB at once.
        assert probe("selftest.echo", value=1) == 1


@pytest.mark.parametrize("module", ["nanochat.never", ["nanochat.never"]], ids=str)
def test_a_stop_that_never_was_is_no_answer(process: ProcessProbe, module: Any) -> None:
    with pytest.raises(SubmissionDied, match="that is no answer: a stop that never was"):
        call(process, "write_value", {"call": process._calls + 1, "stopped": module})


def test_an_answer_given_in_advance_is_not_the_next_answer(process: ProcessProbe) -> None:
    forged = {"call": process._calls + 1, "value": "forged"}
    assert call(process, "write_value", forged) == "forged"  # it may answer itself what it likes
    with pytest.raises(SubmissionDied, match=r"that is no answer: an answer (to question|before)"):
        process("selftest.echo", value=1)


def test_a_submission_that_never_reads_does_not_block_the_judge(process: ProcessProbe) -> None:
    call(process, "freeze_after_answer")
    time.sleep(0.5)
    began = time.monotonic()
    with pytest.raises(SubmissionTimeout):
        process("selftest.size", value=bytes(8 << 20))
    assert time.monotonic() - began < 4


def test_a_submission_that_closes_its_questions_has_died(process: ProcessProbe) -> None:
    call(process, "close_questions")
    with pytest.raises(SubmissionDied, match=r"closed its connection|ended"):
        process("selftest.size", value=bytes(8 << 20))


def test_a_raised_exception_costs_no_process(process: ProcessProbe) -> None:
    before = pid_of(process)
    with pytest.raises(SubmissionRaised):
        call(process, "raise_value_error")
    assert pid_of(process) == before


@pytest.mark.parametrize(
    ("module", "stop", "message"),
    [
        ("nanochat.hangs", SubmissionTimeout, "no answer within"),
        ("nanochat.exits", SubmissionDied, "exit code 0"),
        ("nanochat.eats", SubmissionMemory, "memory"),
        ("nanochat.imports_hanging", SubmissionTimeout, "nanochat.hangs|no answer within"),
    ],
)
def test_an_import_that_stops_is_tried_once(
    process: ProcessProbe, module: str, stop: type[SubmissionStopped], message: str
) -> None:
    with pytest.raises(stop, match=message):
        call(process, "anything", module=module)
    before = pid_of(process)
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(stop, match=rf"importing nanochat\.\w+ stopped an earlier process: .*({message})"):
            call(process, "anything", module=module)
    assert time.monotonic() - began < 1
    assert pid_of(process) == before


def test_a_package_that_hangs_is_tried_once_for_all_its_modules() -> None:
    with ProcessProbe(SUBMISSIONS / "hangs_at_import", limits=Limits(call_seconds=1)) as probe:
        with pytest.raises(SubmissionTimeout, match="no answer within 1 s"):
            call(probe, "double", 1)
        with pytest.raises(SubmissionTimeout, match="importing nanochat stopped an earlier process"):
            call(probe, "double", 1, module="nanochat.other")
        assert probe("selftest.echo", value=1) == 1


def test_a_package_without_init_is_a_package() -> None:
    with ProcessProbe(SUBMISSIONS / "namespace") as probe:
        assert call(probe, "double", 4) == 8


def test_a_submission_without_nanochat_raises(tmp_path: Path) -> None:
    with ProcessProbe(tmp_path) as probe, pytest.raises(SubmissionRaised, match="no folder nanochat/"):
        call(probe, "double", 4)


def test_all_calls_together_have_a_limit() -> None:
    limits = Limits(call_seconds=5, submission_seconds=1)
    with ProcessProbe(SUBMISSIONS / "hostile", limits=limits) as probe:
        with pytest.raises(SubmissionTimeout):
            call(probe, "hang")
        began = time.monotonic()
        with pytest.raises(SubmissionTimeout, match="used up the 1 s that it has in all"):
            probe("selftest.echo", value=1)
        assert time.monotonic() - began < 0.1


def test_what_it_printed_is_kept_for_the_report() -> None:
    with ProcessProbe(SUBMISSIONS / "hostile") as probe:
        call(probe, "print_little")
        assert "hello from the submission\n" in probe.captured_output
        assert "and its errors\n" in probe.captured_output
        with pytest.raises(SubmissionDied):
            call(probe, "print_forever")
        assert len(probe.captured_output) < 66_000
        assert probe.captured_output.endswith("bytes more\n")


@linux_only
def test_a_fork_that_holds_every_descriptor_delays_nothing_and_goes_with_it(
    process: ProcessProbe, forks: Callable[[], set[int]]
) -> None:
    process._kill()
    before = forks()
    began = time.monotonic()
    with pytest.raises(SubmissionDied, match="exit code 0"):
        call(process, "leave_fork_and_exit")
    assert time.monotonic() - began < 2
    assert forks() <= before


@linux_only
@pytest.mark.parametrize("function", ["leave_fork", "leave_session", "leave_orphan"])
def test_what_a_submission_started_ends_with_it(
    process: ProcessProbe, forks: Callable[[], set[int]], function: str
) -> None:
    process._kill()
    before = forks()
    call(process, function)
    new = forks() - before
    assert len(new) >= 3  # its keeper, itself, and what it started
    process._kill()
    # Its keeper is the last to go, a moment after it has told so.
    until = time.monotonic() + 5
    while forks() & new and time.monotonic() < until:
        time.sleep(0.01)
    assert not forks() & new


@linux_only
def test_a_submission_process_ends_with_its_judge(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    judge = (
        "import os, sys, time; from pathlib import Path; from grader.sandbox.process import ProcessProbe\n"
        "probe = ProcessProbe(Path(sys.argv[1])); probe('selftest.echo', value=1)\n"
        "Path(sys.argv[2]).write_text(str(probe._child.process_id))\n"
        "os.kill(os.getpid(), 9)"
    )
    root = Path(launch.__file__).parents[2]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", judge, SUBMISSIONS / "hostile", note],
        check=False,
        cwd=root,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert killed.returncode == -signal.SIGKILL
    assert ends_within_a_second(int(note.read_text()))
    until = time.monotonic() + 5
    while (left := list(temporary.iterdir())) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == [], "its keeper clears away what a killed judge cannot"


@linux_only
def test_nothing_is_left_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.harness.sandbox.nothing_left", str(tmp_path)]
    looked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert looked.returncode == 0, looked.stderr


def test_a_probe_that_is_closed_before_its_first_call_leaves_nothing(tmp_path: Path) -> None:
    probe = ProcessProbe(tmp_path)
    assert probe._child is not None
    assert probe._own_server is not None
    server, folder = probe._own_server._process, probe._child.folder
    probe.close()
    probe.close()
    assert server.returncode is not None
    assert not folder.exists()


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOGRADER_SEED", "secret")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    with ProcessProbe(SUBMISSIONS / "hostile") as probe:
        environment = call(probe, "environment")
        state = call(probe, "state")
    assert set(environment) <= {
        "PATH", "LANG", "LC_CTYPE", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR",
        *(name for name in environment if name.startswith("KMP_")),  # torch sets these
        *(name for name in environment if name.startswith(("CUDA_", "NVIDIA_"))),
    }  # fmt: skip
    assert environment["HOME"] == environment["TMPDIR"] == state["cwd"]
    assert state["stdin"] == b""
    assert state["flags"] == [1, 1, 1]
    assert state["path"][-1] == str(SUBMISSIONS / "hostile")
    assert len(state["argv"]) == 1


def test_the_judge_is_not_in_the_submissions_process(process: ProcessProbe) -> None:
    modules = call(process, "state")["judge_modules"]
    ours = {"grader", "grader.sandbox", "specs", "specs.probes"}
    beside = {f"grader.sandbox.{name}" for name in forkserver._OURS}
    assert {name for name in modules if not name.startswith("specs.probes.")} <= ours | beside


@pytest.mark.parametrize(
    "module",
    [
        "specs.oracles",
        "specs.oracles.gpt",
        "specs.outcomes",
        "specs.compare",
        "grader.session",
        "grader.sandbox.process",
    ],
)
def test_the_judge_cannot_be_imported_there(process: ProcessProbe, module: str) -> None:
    with pytest.raises(SubmissionRaised, match="belongs to the judge"):
        call(process, "import_by_name", module)


def test_files_have_a_limit(process: ProcessProbe) -> None:
    assert call(process, "write_file", 1 << 20)
    with pytest.raises(SubmissionRaised, match="File too large"):
        call(process, "write_file", (1 << 20) + 1)


def test_the_versions_are_known(process: ProcessProbe) -> None:
    process("selftest.echo", value=1)
    assert set(process.versions) >= {"python", "numpy", "torch"}


def test_a_process_that_cannot_start_is_the_graders_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(GraderFault, match=r"cannot start a fork server with .*no-python"):
        ProcessProbe(SUBMISSIONS / "hostile")
    assert os.listdir(tmp_path) == []


def test_a_process_that_never_gets_ready_is_the_graders_fault() -> None:
    with (
        ProcessProbe(SUBMISSIONS / "hostile", limits=Limits(start_seconds=0.05)) as probe,
        pytest.raises(GraderFault, match=r"did not become ready: no answer within 0\.05 s"),
    ):
        probe("selftest.echo", value=1)


def test_a_python_without_torch_is_the_graders_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = shutil.which("true")
    monkeypatch.setattr(sys, "executable", bare)
    # It ends at once, perhaps before it is asked for anything.
    with (
        pytest.raises(GraderFault, match=r"did not become ready: .*\n.*imports torch"),
        ProcessProbe(SUBMISSIONS / "hostile") as probe,
    ):
        probe("selftest.echo", value=1)


def test_a_gpu_that_is_not_there_is_the_graders_fault() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with (
        ProcessProbe(SUBMISSIONS / "hostile", device="cuda") as probe,
        pytest.raises(GraderFault, match="torch sees no GPU here: choose device 'cpu'"),
    ):
        probe("selftest.echo", value=1)


def test_the_process_starts_in_the_background() -> None:
    began = time.monotonic()
    with ProcessProbe(SUBMISSIONS / "hostile"):
        assert time.monotonic() - began < 0.3
