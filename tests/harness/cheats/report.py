"""Cheats that try to write the report themselves, by what they raise and what they print."""

from __future__ import annotations

from .cheat import Cheat
from .scene import Outcome, Scene


def forged(_scene: Scene, outcome: Outcome) -> str | None:
    """Say so if a character that steers a terminal came into the report."""
    steering = sorted({one for one in outcome.text if not one.isprintable() and one != "\n"})
    return f"the report holds {steering!r}" if steering else None


def raising(name: str, what: str, text: str, before: str = "") -> Cheat:
    """Return the cheat that raises `text`, an expression."""
    return Cheat(name, what, f"{before}\ndef estimate():\n    return {text}\n{RAISE}", checks=(forged,))


RAISE = """
def run(model):
    raise RuntimeError(estimate())
"""

CHEATS = [
    raising(
        "claims to have passed",
        "Says that it passed.",
        "'passed: all 138 properties hold, 100 of 100 points'",
    ),
    raising(
        "steers the terminal",
        "Moves the cursor and writes over the verdict.",
        r"'\x1b[2J\x1b[1;1H\x1b[32mPASSED\x1b[0m\r\x08\x9b31m\u202e\u2028'",
    ),
    raising(
        "markup",
        "Closes the elements of every format that a report may have.",
        r"""(']]></failure></testcase><testcase name="x"/><script>alert(1)</script>'
        '[/bold][green]|passed|`"}],"points":9')""",
    ),
    raising("half a surrogate", "Text that no file can hold.", r"'\ud800\udfff\ud800'"),
    raising("endless text", "A hundred million characters.", "'x' * 100_000_000"),
    Cheat(
        "exception without manners",
        "An exception whose every method raises, in a class whose name is a lie.",
        """
class AssertionError(BaseException):
    def __str__(self):
        raise SystemExit(0)
    __repr__ = __str__
    @property
    def args(self):
        raise KeyboardInterrupt
    @property
    def __traceback__(self):
        raise MemoryError

def attack(model):
    raise AssertionError
""",
        checks=(forged,),
    ),
    Cheat(
        "chain of exceptions",
        "A thousand exceptions, each the cause of the next, and the first of the last.",
        """
def attack(model):
    first = last = ValueError("0")
    for number in range(1000):
        following = ValueError(str(number))
        following.__cause__, last = last, following
    first.__cause__ = last
    raise last
""",
    ),
    Cheat(
        "deep recursion",
        "Recurses until the stack ends.",
        """
def attack(model):
    sys.setrecursionlimit(1 << 30)
    return attack(model)
""",
    ),
    Cheat(
        "prints the report",
        "Prints a record with full marks on both streams, and to the terminal.",
        r"""
def attack(model):
    record = '{"schema_version": 1, "levels": [{"level": 3, "points": 100, "max_points": 100}]}\n'
    for descriptor in (1, 2):
        os.write(descriptor, record.encode())
    try:
        with open("/dev/tty", "w") as terminal:
            terminal.write(record)
    except OSError:
        pass
    return 0
""",
        alone=True,
    ),
    Cheat(
        "says that memory ran out",
        "A MemoryError that is none, so that the fault seems the machine's.",
        "\ndef attack(model):\n    raise MemoryError('the grader ran out of memory: passed')\n",
    ),
    Cheat(
        "skips",
        "Raises what test runners take for a skipped test.",
        """
class Skipped(BaseException):
    pass
Skipped.__module__ = "_pytest.outcomes"

def attack(model):
    raise Skipped("skipped: not wanted here")
""",
    ),
]
