"""What a cheat is: the reference with its count of operations taken out, and an attack put in its place.

The honest part of most cheats is right (`CONFIGURATION` and `AFTER` hold), one property (`FLOPS`) does not:
its count is whatever the attack answers. So a cheat that does nothing but harm earns `HONEST`, and one that
is answered for another property earns too much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scene import Outcome, Scene

CONFIGURATION = "attention.a_configuration_has_the_defaults_of_the_contract"
FLOPS = "attention.flops_are_counted_by_the_formula"
AFTER = "grouped.impossible_groups_are_refused"
"""Judged after FLOPS: it shows that the judge goes on."""

HONEST = frozenset({CONFIGURATION, AFTER})
NOTHING: frozenset[str] = frozenset()

ISOLATION = ("basic", "medium", "strict")
"""Levels with a process of its own, the weakest first."""

Sources = Mapping[str, str]
Check = Callable[["Scene", "Outcome"], str | None]
"""Returns what harm was done, None if none."""

COUNT = re.compile(
    r'(    def estimate_flops\(self\) -> int:\n)        """.*?"""\n.*?\n(?=    def )', re.DOTALL
)

PRELUDE = '''
import ctypes
import fcntl
import os
import stat
import sys
import threading
import time
from pathlib import Path

_SAID = []


def run(model):
    """Attack once in this process; a text is raised, so that the report shows what was found."""
    if not _SAID:
        _SAID.append(attack(model))
    if isinstance(_SAID[0], str):
        raise RuntimeError(_SAID[0])
    return _SAID[0]


def attack(model):
    return 0


def mark():
    """Name this process so that the test finds it."""
    ctypes.CDLL(None).prctl(15, b"@MARK@", 0, 0, 0)


def pipes():
    """Return the descriptors that this process might write to the judge with."""
    found = []
    for descriptor in range(3, 256):
        try:
            mode = os.fstat(descriptor).st_mode
            writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR)
        except OSError:
            continue
        if writable and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            found.append(descriptor)
    return found


def local(name, default=None):
    """Return the local variable of the nearest caller that has one of this name."""
    frame = sys._getframe(1)
    while frame is not None:
        if name in frame.f_locals:
            return frame.f_locals[name]
        frame = frame.f_back
    return default


def wire():
    from grader.sandbox import wire
    return wire


def frame_of(message):
    payload = wire().encode(message)
    return len(payload).to_bytes(4, "big") + payload


def write_all(data):
    for descriptor in pipes():
        try:
            os.write(descriptor, data)
        except OSError:
            continue


def repository():
    """Return the folder in which the judge keeps its code."""
    import specs.probes
    return Path(specs.probes.__file__).parents[2]
'''


@dataclass(frozen=True)
class Cheat:
    """One way to get points without work, or to do harm."""

    name: str
    what: str
    """What it tries, in a line."""
    code: str = ""
    """Runs when `nanochat.gpt` is imported; may define `attack(model)`, which answers for FLOPS."""
    replaced: Sources = field(default_factory=dict)
    """Files by their path in the submission: in place of the reference's, or new."""
    edits: tuple[tuple[str, str, str], ...] = ()
    """Changes of the reference: file, a text that is there once, and what stands in its place."""
    build: Callable[[Path], None] | None = None
    """Makes what no text can be: links, pipes."""
    only: tuple[str, ...] = (CONFIGURATION, FLOPS, AFTER)
    earns: frozenset[str] = HONEST
    rest: frozenset[str] = frozenset({"failed", "error", "timeout", "memory", "unstable"})
    """Verdicts that are right for the properties that it does not earn."""
    stopped_at: str = "basic"
    """The weakest isolation that keeps it from doing harm and from points. Below it both may happen."""
    checks: tuple[Check, ...] = ()
    alone: bool = False
    """Grade it in a process of its own: it may kill the judge."""

    def sources(self, reference: Sources) -> dict[str, str]:
        """Return its files by their path in the submission."""
        files = {f"nanochat/{name}": text for name, text in reference.items()}
        files["nanochat/gpt.py"] = attacked(reference["gpt.py"])
        files["nanochat/attack.py"] = PRELUDE + self.code
        for name, old, new in self.edits:
            text = files[f"nanochat/{name}"]
            assert text.count(old) == 1, f"{self.name}: {old!r} must be there once"
            files[f"nanochat/{name}"] = text.replace(old, new)
        return files | dict(self.replaced)


def attacked(gpt: str) -> str:
    """Return the reference's `gpt.py` with the attack in place of its count of operations."""
    text, count = COUNT.subn(r"\1        return attack.run(self)\n\n", gpt)
    assert count == 1, "estimate_flops is no longer where it was"
    assert text.count("import math\n") == 1
    return text.replace("import math\n", "import math\n\nfrom nanochat import attack\n")


def loot(scene: Scene, outcome: Outcome) -> str | None:
    """Say so if the report shows a secret that the attack has read."""
    return "a secret was read" if scene.secret in outcome.text else None


def trespass(_scene: Scene, outcome: Outcome) -> str | None:
    """Say so if the attack reports that it got through."""
    found = re.search(r"BROKEN: [^\n\"]*", outcome.text)
    return found.group(0) if found else None


def contact(scene: Scene, _outcome: Outcome) -> str | None:
    """Say so if something arrived at one of the test's sockets."""
    heard = scene.heard()
    return f"it reached {', '.join(heard)}" if heard else None
