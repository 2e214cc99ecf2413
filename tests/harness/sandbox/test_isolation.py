"""What each level of isolation keeps from a submission, and what correct code may still do."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader import doctor
from grader.cli import main
from grader.sandbox import cgroup, isolation, kernel, landlock, seccomp
from grader.sandbox.launch import ForkServer
from grader.sandbox.process import ProcessProbe
from specs.outcomes import (
    GraderFault,
    SubmissionDied,
    SubmissionRaised,
    SubmissionStopped,
    SubmissionTimeout,
)

from .conftest import LEVELS, LIMITS, SUBMISSIONS

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="levels beyond basic are Linux's")


def call(probe: ProcessProbe, function: str, *arguments: Any) -> Any:
    return probe("selftest.call", module="nanochat.calls", function=function, arguments=list(arguments))


def only_at(probe: ProcessProbe, *levels: str) -> None:
    if probe.isolation not in levels:
        pytest.skip(f"{probe.isolation} does not keep this away")


def test_the_judge_and_the_reference_cannot_be_read(process: ProcessProbe, tmp_path: Path) -> None:
    only_at(process, "strict", "medium")
    (tmp_path / "other").write_text("a secret")
    # Not the Python installation, which may lie in the repository, and is there to be read.
    files = [ROOT / "reference/nanochat/gpt.py", ROOT / "specs/oracles/gpt.py", ROOT / "grader/session.py"]
    hidden = [*map(str, files), str(tmp_path / "other"), "/etc/passwd", f"/proc/{os.getpid()}/environ"]
    assert call(process, "exists", hidden) == []
    own = str(SUBMISSIONS / "hostile/nanochat/calls.py")
    assert call(process, "exists", [own]) == [own]


def test_it_has_no_privileges_and_can_gain_none(process: ProcessProbe) -> None:
    status = call(process, "own_status")
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    if os.geteuid() == 0 or process.isolation == "strict":  # who holds none cannot bound them
        assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    if process.isolation != "basic":
        assert status["Seccomp"] == "2"
    if process.isolation == "strict" and os.geteuid() == 0:
        assert status["Uid"].split()[0] != "0"


def test_it_sees_only_its_own_processes(process: ProcessProbe) -> None:
    only_at(process, "strict")
    assert call(process, "processes_seen") == [1]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_it_has_no_network(process: ProcessProbe, family: int) -> None:
    only_at(process, "strict", "medium")
    with pytest.raises(SubmissionRaised, match="Operation not permitted"):
        call(process, "try_socket", int(family))


def test_its_files_have_a_limit_together(process: ProcessProbe, server: ForkServer) -> None:
    limits = replace(LIMITS, disk_bytes=8 << 20, file_bytes=8 << 20, call_seconds=5.0)
    hostile = SUBMISSIONS / "hostile"
    with ProcessProbe(hostile, limits=limits, isolation=process.isolation, server=server) as probe:
        if process.isolation == "strict":
            with pytest.raises(SubmissionRaised, match="No space left on device"):
                call(probe, "fill_disk", 20)
        else:
            with pytest.raises(SubmissionDied, match=r"files held \d+ MiB, more than the 8 MiB allowed"):
                call(probe, "fill_disk", 20)


def test_processor_time_has_a_limit(process: ProcessProbe, server: ForkServer) -> None:
    limits = replace(LIMITS, processor_seconds=1.0, call_seconds=30.0)
    hostile = SUBMISSIONS / "hostile"
    with (
        ProcessProbe(hostile, limits=limits, isolation=process.isolation, server=server) as probe,
        pytest.raises(SubmissionTimeout, match="used up 1 s of processor time"),
    ):
        call(probe, "burn")


def test_a_property_has_its_own_time(process: ProcessProbe, server: ForkServer) -> None:
    limits = replace(LIMITS, property_seconds=0.2)
    hostile = SUBMISSIONS / "hostile"
    with ProcessProbe(hostile, limits=limits, isolation=process.isolation, server=server) as probe:
        with pytest.raises(SubmissionTimeout, match=r"no answer within 0\.2 s"):
            call(probe, "hang")
        with pytest.raises(SubmissionTimeout, match=r"used up the 0\.2 s that it has for one property"):
            probe("selftest.echo", value=1)
        probe.begin()
        assert probe("selftest.echo", value=1) == 1


def test_processes_have_a_limit(process: ProcessProbe, server: ForkServer) -> None:
    limits = replace(LIMITS, processes=20, call_seconds=5.0)
    hostile = SUBMISSIONS / "hostile"
    with (
        ProcessProbe(hostile, limits=limits, isolation=process.isolation, server=server) as probe,
        pytest.raises((SubmissionRaised, SubmissionStopped), match=r"unavailable|started 2"),
    ):
        call(probe, "fork_many", 25)


def test_correct_code_may_use_processes(process: ProcessProbe) -> None:
    if process.isolation == "medium":
        pytest.skip("a lock between processes is a file in /dev/shm, which Landlock keeps away")
    assert call(process, "use_multiprocessing") == 42


@pytest.mark.parametrize(
    ("function", "name"), [("patch_a_probe", "selftest.echo"), ("patch_a_code", "values.tensor")]
)
def test_a_changed_probe_is_no_answer(process: ProcessProbe, function: str, name: str) -> None:
    with pytest.raises(SubmissionDied, match=rf"the submission changed specs\.probes\.{name}"):
        call(process, function)


def test_a_submission_that_others_cannot_read_is_graded(server: ForkServer, tmp_path: Path) -> None:
    package = tmp_path / "nanochat"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "calls.py").write_text("def double(number):\n    return 2 * number\n")
    for path in (package / "__init__.py", package / "calls.py", package, tmp_path):
        path.chmod(0o700 if path.is_dir() else 0o600)
    for level in LEVELS:
        with ProcessProbe(tmp_path, limits=LIMITS, isolation=level, server=server) as probe:
            assert call(probe, "double", 4) == 8, level


def test_a_fork_server_that_is_killed_is_replaced() -> None:
    with ForkServer() as own, ProcessProbe(SUBMISSIONS / "hostile", limits=LIMITS, server=own) as probe:
        assert call(probe, "double", 4) == 8
        own._process.kill()
        own._process.wait()
        assert probe._child is not None
        for _ in range(100):
            if probe._child.ended():
                break
            time.sleep(0.05)
        with pytest.raises(SubmissionDied, match="ended"):
            call(probe, "double", 4)
        assert call(probe, "double", 5) == 10


def test_control_groups_go_when_their_submission_goes(process: ProcessProbe) -> None:
    parents = cgroup.parent_folders()
    if parents is None:
        pytest.skip("no control group can be made here")
    call(process, "double", 1)
    assert process._child is not None
    assert process._child.told["group"]
    process._kill()
    mine = f"nanograder-{os.getpid()}-*"
    assert [path for parent in parents.values() for path in parent.glob(mine)] == []


def test_what_does_not_work_is_not_replaced_in_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(level: str, device: str = "cpu") -> isolation.Trial:  # noqa: ARG001  # as the real one
        return isolation.Trial(level, works=level != "strict", why_not="unshare: not permitted")

    monkeypatch.setattr(isolation, "tried", tried)
    assert isolation.choose(None) == "medium"
    assert isolation.choose("none") == "none"
    with pytest.raises(GraderFault, match=r"strict does not work .*not permitted\n.*--isolation medium"):
        isolation.choose("strict")
    reference = str(ROOT / "reference")
    words = ["run", "--level", "3", "--submission", reference, "--isolation", "strict"]
    assert main(words) == 3
    assert "isolation strict does not work" in capsys.readouterr().err
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "strict  does not work" in shown
    assert "because: unshare: not permitted" in shown
    assert "takes isolation medium here" in shown


def test_the_doctor_says_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    found = doctor.examine()
    assert found.strongest == LEVELS[0]
    assert set(found.machine) >= {"system", "processors", "memory", "Python", "torch", "CUDA", "seccomp"}
    assert main(["doctor", "--json"]) == 0
    assert '"strongest"' in capsys.readouterr().out


def test_a_machine_without_torch_is_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "cannot be imported" in doctor.examine().machine["torch"]


def test_the_kernels_refusals_are_errors() -> None:
    with pytest.raises(OSError, match="mount of tmpfs at /nowhere/at/all"):
        kernel.mount("tmpfs", "/nowhere/at/all", "tmpfs", 0)
    with pytest.raises(OSError, match="mount_setattr"):
        kernel.make_read_only("/nowhere/at/all")
    with pytest.raises(OSError, match="system call"):
        kernel.system_call(444, b"x", 1 << 20, 0)


def test_a_machine_without_landlock_or_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(OSError, match="no Landlock"):
        landlock.restrict([], [])
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    assert not seccomp.available()
    with pytest.raises(OSError, match="riscv64"):
        seccomp.restrict()
