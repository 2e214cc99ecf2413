"""A level of two criteria that takes no time, and submissions whose file `answer.py` says what they do.

Run as a script it is `grader` on this level, in a process of its own that a test can kill:
`python toy.py FOLDER_OF_LEVELS ARGUMENTS...`, or `node` for the judge that a worker of a cluster starts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grader import cli, levels, run
from grader.batch import local, node
from grader.batch.engine import grade_task
from grader.batch.similar import known
from specs.law import law
from specs.outcomes import GraderFault, LawBroken

LEVEL = """
[level]
number = 9
title = "Sums & <b>differences</b>"
objective = "Count."
time_estimate = "1 minute"

[limits]

[[criterion]]
id = "sums"
title = "Adding"
statement = "Numbers add up."
points = 60
hints = ["Count on your fingers.", "1 and 2 is 3.", "Add one to two."]
modules = ["toy_sums"]

[[criterion]]
id = "order"
title = "Order"
statement = "Order does not matter."
points = 40
hints = ["Swap them."]
modules = ["toy_order"]
"""

WORK = '''"""What the copies that are handed out have."""

def rotate(x, cos, sin):
    """Turn the two halves of a head by an angle that grows with the position."""
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat([x1 * cos + x2 * sin, x2 * cos - x1 * sin], dim=-1)


def count(text, part):
    # Also where parts overlap, which is what the contract says of a count.
    found = 0
    for start in range(len(text)):
        found += text.startswith(part, start)
    return found
'''
"""A reference of one module."""

EVIL = "=cmd()\x1b[31m </script><b>& \x00\ud800"
"""What a submission may say."""

Set = Callable[[Any, str, Any], None]


class Probe:
    """Answers for a submission: right, wrong, half, slow (right), fault (ours), lost (its judge dies)."""

    device = "cpu"
    dtype = "float32"

    def __init__(self, folder: Path) -> None:
        self.kind = (folder / "nanochat" / "answer.py").read_text().split()[0]

    def __call__(self, name: str, /, **arguments: int) -> int:
        if self.kind == "slow":
            time.sleep(0.3)
        if self.kind == "fault":
            raise GraderFault("no process can be had")
        if self.kind == "lost":
            os.kill(os.getpid(), signal.SIGKILL)
        right = sum(arguments.values())
        wrong = self.kind == "wrong" or (self.kind == "half" and name == "sum.of")
        return right + 1 if wrong else right

    attempt = __call__

    def resident_bytes(self) -> int:
        return 1

    def processor_seconds(self) -> float:
        return 1.0

    def begin(self) -> None:
        pass

    def renew(self) -> None:
        pass


def modules() -> list[types.ModuleType]:
    """Return the modules of properties that the level names."""
    sums, order = types.ModuleType("toy_sums"), types.ModuleType("toy_order")

    def test_of_two(probe: Any) -> None:
        """The sum of two numbers is right, be they < or > than 0."""
        if (got := probe("sum.of", a=1, b=2)) != 3:
            raise LawBroken(f"got {got}, want 3 {EVIL}")

    def test_of_one(probe: Any) -> None:
        """The sum of one number is the number."""
        if (got := probe("sum.of", a=1)) != 1:
            raise LawBroken(f"got {got}, want 1")

    def test_swapped(probe: Any) -> None:
        """Swapping two numbers does not change their sum."""
        if (got := probe("order.of", b=2, a=1)) != 3:
            raise LawBroken(f"swapped: got {got}, want 3")

    for module, function in ((sums, test_of_two), (sums, test_of_one), (order, test_swapped)):
        made = types.FunctionType(
            function.__code__,
            {**globals(), "CRITERION": module.__name__.removeprefix("toy_")},
            function.__name__,
        )
        made.__doc__, made.__module__ = function.__doc__, module.__name__
        made.__annotations__ = function.__annotations__
        setattr(module, function.__name__, law()(made))
    return [sums, order]


@contextlib.contextmanager
def open_probe(_: Any, folder: Path, *__: Any) -> Iterator[Probe]:
    yield Probe(folder)


def install(folder: Path, set_attribute: Set) -> None:
    """Make level 9, whose file is written to `folder`, the only one, and have it graded without a sandbox."""
    folder.mkdir(exist_ok=True)
    (folder / "level9.toml").write_text(LEVEL)
    set_attribute(levels, "FOLDER", folder)
    set_attribute(run, "open_probe", open_probe)
    set_attribute(run, "open_server", contextlib.nullcontext)
    # The real one takes seconds, and reads levels that are not there now.
    handed_out = known.of({"work.py": WORK}, [WORK, WORK.replace("x2 * cos -", "x2 * cos +")])
    set_attribute(known, "known", lambda: handed_out)
    set_attribute(known, "version", lambda: "toy")
    for call in (local.LocalEngine.__init__, node.main):
        set_attribute(call, "__defaults__", (grade_task, contextlib.nullcontext))


def submission(folder: Path, student: str, kind: str) -> Path:
    """Write a student's submission, other than every other one's."""
    package = folder / student / "nanochat"
    package.mkdir(parents=True)
    (package / "answer.py").write_text(f"{kind} {student}\n")
    return package.parent


if __name__ == "__main__":
    for one in modules():
        sys.modules[one.__name__] = one
    install(Path(sys.argv[1]), setattr)
    sys.exit(node.main() if sys.argv[2:] == ["node"] else cli.main(sys.argv[2:]))
