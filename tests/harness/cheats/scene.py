"""Where a cheat is graded: canaries that it may harm, and the look afterwards that finds what it harmed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grader.run import Request, grade_submission
from grader.sandbox.launch import ForkServer

from .cheat import Cheat, Sources

ROOT = Path(__file__).parents[3]
GONE_SECONDS = 2.0
"""How long what was killed may take to be gone."""


@dataclass(frozen=True)
class Outcome:
    """What came of a grading."""

    verdicts: dict[str, str]
    text: str
    """The whole record, as JSON."""
    returncode: int = 0
    """Of the judge, where it was a process of its own."""
    peak_bytes: int = 0
    """How much the judge's largest memory grew."""

    @property
    def passed(self) -> frozenset[str]:
        """Return the ids of the properties that passed."""
        return frozenset(name for name, verdict in self.verdicts.items() if verdict == "passed")


class Scene:
    """A folder with secrets and with a submission, sockets that listen, and a name to find processes by."""

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(4)
        self.secret = f"secret-{secrets.token_hex(16)}"
        self.mark = f"ng{self.token}"
        self.folder = folder
        self.submission = folder / "submission"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        for file in ("beside/secret.txt", "other/nanochat/gpt.py", "home/.ssh/id_ed25519"):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {self.secret}\n")
        self.memory = self.secret.encode()
        self._sockets = self._listen()

    def write(self, cheat: Cheat, reference: Sources) -> None:
        """Write the submission of a cheat, and remember how everything is now."""
        for name, text in cheat.sources(reference).items():
            path = self.submission / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._told(text), encoding="utf-8")
        if cheat.build:
            cheat.build(self.submission)
        self._before = self._snapshot()

    def grade(self, cheat: Cheat, isolation: str, server: ForkServer) -> Outcome:
        """Grade the submission, in this process or in one of its own."""
        if cheat.alone:
            return self._grade_alone(cheat, isolation)
        before = _resident_bytes()
        report = grade_submission(
            Request(str(self.submission), levels=(3,), isolation=isolation, only=cheat.only), server=server
        )
        return _outcome(asdict(report), 0, _peak_bytes() - before)

    def harm(self) -> list[str]:
        """Return what is not as it was, after whatever was killed has had time to go."""
        deadline = time.monotonic() + GONE_SECONDS
        while (found := self._found()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def heard(self) -> list[str]:
        """Return the sockets at which something has arrived."""
        found = []
        for name, listening in self._sockets.items():
            with contextlib.suppress(BlockingIOError):
                if listening.type == socket.SOCK_STREAM:
                    listening.accept()[0].close()
                else:
                    listening.recv(1)
                found.append(name)
        return found

    def close(self) -> None:
        """End what is left, so that one cheat does not spoil the next."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for listening in self._sockets.values():
            listening.close()
        for file in self._shared():
            file.unlink(missing_ok=True)

    def processes(self) -> list[int]:
        """Return the ids of the processes that bear the scene's mark."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                if (folder / "comm").read_text(errors="replace").strip() == self.mark and state != "Z":
                    found.append(int(folder.name))
        return found

    def _found(self) -> list[str]:
        found = [f"process {process} is left" for process in self.processes()]
        found += [f"{path.name} is left in the temporary folder" for path in self.temporary.iterdir()]
        found += [f"{path} is left" for path in self._shared()]
        now = self._snapshot()
        found += [f"{name} was changed" for name, state in self._before.items() if now.get(name) != state]
        return found + [f"{name} was made" for name in now if name not in self._before]

    def _shared(self) -> list[Path]:
        folders = ("/dev/shm", "/tmp", "/var/tmp")
        return [path for folder in folders for path in Path(folder).glob(f"{self.mark}*")]

    def _snapshot(self) -> dict[str, str]:
        """Return the state of every file but those of the temporary folder."""
        states = {}
        for parent, folders, files in os.walk(self.folder):
            if Path(parent) == self.folder:
                folders.remove("temporary")
            for name in [*folders, *files]:
                path = Path(parent, name)
                state = path.lstat()
                held = f"{state.st_mode} {state.st_uid}"
                if path.is_file() and not path.is_symlink():
                    held += hashlib.sha256(path.read_bytes()).hexdigest()
                states[str(path.relative_to(self.folder))] = held
        return states

    def _told(self, text: str) -> str:
        words = {
            "@SCENE@": str(self.folder),
            "@MARK@": self.mark,
            "@IPC@": os.readlink("/proc/self/ns/ipc"),
            "@TCP@": str(self._sockets["tcp"].getsockname()[1]),
            "@UDP@": str(self._sockets["udp"].getsockname()[1]),
        }
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    def _listen(self) -> dict[str, socket.socket]:
        addresses: dict[str, tuple[int, int, Any]] = {
            "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            # Bound where the path is short: a socket's path has at most 107 bytes.
            "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.mark}"),
        }
        listening = {}
        for name, (family, kind, address) in addresses.items():
            one = socket.socket(family, kind)
            one.bind(address)
            if kind == socket.SOCK_STREAM:
                one.listen()
            one.setblocking(False)
            listening[name] = one
        return listening

    def _grade_alone(self, cheat: Cheat, isolation: str) -> Outcome:
        command = [sys.executable, "-m", "grader", "run", "--level", "3", "--json", "--jobs", "1"]
        command += ["--isolation", isolation, "--only", ",".join(cheat.only)]
        environment = {**os.environ, "TMPDIR": str(self.temporary), "HOME": str(self.folder / "home")}
        result = subprocess.run(
            [*command, "--submission", str(self.submission)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=environment,
            timeout=120,
            start_new_session=True,
        )
        if result.returncode not in (0, 1):
            return Outcome({}, result.stdout + result.stderr, result.returncode)
        return _outcome(json.loads(result.stdout), result.returncode, 0)


def _outcome(record: dict[str, Any], returncode: int, peak_bytes: int) -> Outcome:
    verdicts = {
        one["id"]: one["verdict"]
        for level in record["levels"]
        for criterion in level["criteria"]
        for one in criterion["properties"]
    }
    return Outcome(verdicts, json.dumps(record, ensure_ascii=False), returncode, peak_bytes)


def _resident_bytes() -> int:
    """Return this process's memory, and let its peak begin here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
