"""What is let through for CUDA's driver, and no more; and which level is taken with a GPU."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from grader import doctor
from grader.sandbox import isolation, kernel, landlock, seccomp
from grader.sandbox.isolation import _in_a_fork as in_a_fork
from specs.outcomes import GraderFault

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="levels beyond basic are Linux's")
filters = pytest.mark.skipif(not seccomp.available(), reason="no filter is known for this machine")

DRIVERLESS = "libcuda.so.1: cannot open shared object file"


def refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PermissionError:
        return True
    return False


def of_this_machine(kind: int) -> socket.socket:
    return socket.socket(socket.AF_UNIX, kind)


def listen() -> None:
    with of_this_machine(socket.SOCK_SEQPACKET) as one:
        one.bind(f"\0nanograder-{os.getpid()}")
        one.listen()


def sockets_refused(*, cuda: bool) -> str:
    """Return the names of what a filter refuses, asked in a fork that has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as mine:
        attempts: dict[str, Callable[[], object]] = {
            "stream": lambda: of_this_machine(socket.SOCK_STREAM).close(),
            "stream, closed at exec": lambda: of_this_machine(
                socket.SOCK_STREAM | socket.SOCK_CLOEXEC
            ).close(),
            "listen": listen,
            "datagram": lambda: of_this_machine(socket.SOCK_DGRAM).close(),
            "datagram, closed at exec": lambda: of_this_machine(
                socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
            ).close(),
            "connect": lambda: mine.connect("\0nobody"),
            "internet": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
            "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        }

        def work() -> str:
            kernel.gain_nothing()
            seccomp.restrict(cuda=cuda)
            return ", ".join(name for name, attempt in attempts.items() if refused(attempt))

        return in_a_fork(work)


@filters
def test_the_driver_may_listen_on_a_socket_of_this_machine_and_nothing_may_connect() -> None:
    least = "datagram, datagram, closed at exec, connect, internet, netlink"
    assert sockets_refused(cuda=True) == least
    assert sockets_refused(cuda=False) == f"stream, stream, closed at exec, listen, {least}"


@pytest.mark.skipif(not landlock.abi(), reason="the kernel has no Landlock")
def test_files_that_may_be_changed_are_not_made(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.touch()

    def work() -> str:
        kernel.gain_nothing()
        landlock.restrict([], [], changed=[str(tmp_path), "/proc/self/task"])
        there.write_text("changed")
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("named")
        return f"{refused(new.touch)} {refused(lambda: Path('/proc/self/comm').write_text('named'))}"

    assert in_a_fork(work) == "True True"
    assert there.read_text() == "changed"


@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="no GPU here")
@pytest.mark.parametrize("level", isolation.ISOLATIONS)
def test_the_driver_starts_at_every_level_that_works(level: str) -> None:
    if not isolation.tried(level).works:
        pytest.skip(f"{level} does not work here")
    assert isolation.tried(level, "cuda") == isolation.Trial(level, works=True)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU here")
def test_without_a_gpu_the_submissions_process_says_so() -> None:
    assert not isolation.tried("basic", "cuda").works
    assert isolation.choose(None, "cuda") == "basic"
    assert isolation.choose("basic", "cuda") == "basic"


def test_a_driver_that_starts_at_some_levels_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(level: str, device: str = "cpu") -> isolation.Trial:
        works = device == "cpu" or level != "strict"
        return isolation.Trial(
            level, works=works, why_not="" if works else "CUDA's driver does not start there (error 304)"
        )

    monkeypatch.setattr(isolation, "tried", tried)
    assert isolation.choose(None) == "strict"
    assert isolation.choose(None, "cuda") == "medium"
    assert isolation.choose("basic", "cuda") == "basic"
    with pytest.raises(
        GraderFault,
        match=r"strict does not work with device cuda .*\(error 304\)\n.*--isolation medium works here",
    ):
        isolation.choose("strict", "cuda")


def test_the_doctor_tries_the_levels_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_torch", lambda: {"torch": "2.13", "CUDA": "13.0", "GPU": "a GPU"})
    monkeypatch.setattr(
        isolation,
        "tried",
        lambda level, device="cpu": isolation.Trial(
            level, works=device == "cpu" or level == "basic", why_not=DRIVERLESS
        ),
    )
    page = doctor.page(doctor.examine())
    assert f"strict  with --device cuda does not work: {DRIVERLESS}" in page
    assert "basic   with --device cuda works\n" in page
    assert page.endswith("`grader run` takes isolation strict here.\nWith --device cuda it takes basic.\n")
