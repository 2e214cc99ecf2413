"""Cheats that write to the judge themselves."""

from __future__ import annotations

from .cheat import Cheat
from .scene import Outcome, Scene

FLOOD_BYTES = 600 << 20
"""What the flood below would have the judge keep."""


def flooded(_scene: Scene, outcome: Outcome) -> str | None:
    """Say so if the judge kept what it was flooded with: one frame and its copies are 64 MiB each."""
    if outcome.peak_bytes > FLOOD_BYTES / 2:
        return f"the judge grew by {outcome.peak_bytes >> 20} MiB"
    return None


def written(name: str, what: str, data: str, then: str = "return 0") -> Cheat:
    """Return the cheat that writes `data`, an expression, to the judge in the middle of a question."""
    code = f"""
def attack(model):
    number = local("number", 1)
    write_all({data})
    {then}
"""
    return Cheat(name, what, code)


CHEATS = [
    written(
        "forged answer",
        "Answers a question itself, with the wrong value, before the probe does.",
        'frame_of({"call": number, "value": {"flops": 1.0}})',
    ),
    written(
        "answer twice",
        "Answers each question twice, so that the second is taken for the next question's.",
        '2 * frame_of({"call": number, "value": {"flops": 0.0}})',
    ),
    written(
        "answers to questions to come",
        "Writes the answers to the next hundred questions at once.",
        'b"".join(frame_of({"call": number + i, "value": "accepted"}) for i in range(1, 100))',
    ),
    written(
        "verdict on the wire",
        "Sends the verdicts that it would like.",
        'frame_of({"call": number, "verdict": "passed", "points": 100})',
    ),
    written("nothing on the wire", "Sends None, which a reader may take for no message.", "frame_of(None)"),
    written(
        "always equal on the wire",
        "Sends NaN, infinities and nested containers in place of numbers.",
        'frame_of({"call": number, "value": {"flops": [float("nan"), float("inf"), {"flops": ()}]}})',
    ),
    written(
        "boolean for a number",
        "Numbers its answer True, which equals 1.",
        'frame_of({"call": True, "value": {"flops": 0.0}})',
    ),
    written(
        "forged stop",
        "Says that an import stopped an earlier process, when none did.",
        'frame_of({"call": number, "stopped": "nanochat.gpt"})',
    ),
    written(
        "forged exception",
        "Says that it raised something, with the wrong types in every field.",
        """frame_of({"call": number, "raised":
        {"types": [1], "message": 2, "traceback": 3, "out_of_memory": 4}})""",
    ),
    written(
        "frame of four gigabytes",
        "Claims a frame of 4 GiB and sends nothing of it.",
        r'b"\xff\xff\xff\xff"',
        "time.sleep(3600)",
    ),
    written(
        "half a frame",
        "Sends half an answer and sleeps.",
        'frame_of({"call": number, "value": "x" * 1000})[:500]',
        "time.sleep(3600)",
    ),
    written(
        "array that lies",
        "Sends an array whose shape claims 2**60 values over eight bytes.",
        r"""(lambda header: (12 + len(header)).to_bytes(4, "big") + len(header).to_bytes(4, "big") + header
        + bytes(8))(b'["a","float32",1152921504606846976]')""",
        "time.sleep(3600)",
    ),
    written(
        "bracket bomb",
        "Sends a header of four million brackets.",
        r"""(lambda header: (4 + len(header)).to_bytes(4, "big") + len(header).to_bytes(4, "big") + header)(
        b"[" * (1 << 22))""",
        "time.sleep(3600)",
    ),
    written("garbage", "Sends random bytes.", "os.urandom(4096)", "time.sleep(3600)"),
    written("not JSON", "Sends a frame that holds a pickle.", r'b"\0\0\0\x08\0\0\0\x04" + b"\x80\x04N."'),
    Cheat(
        "closed wire",
        "Closes every descriptor it has and goes on.",
        """
def attack(model):
    os.closerange(3, 256)
    time.sleep(3600)
""",
    ),
    Cheat(
        "answers an hour late",
        "Sleeps through the deadline with every signal ignored, then answers.",
        """
import signal

def attack(model):
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    deadline = time.time() + 30
    while time.time() < deadline:
        time.sleep(0.1)
    return 0
""",
    ),
    Cheat(
        "flood of imports",
        "Tells of importing modules whose names fill the judge's memory.",
        f"""
def attack(model):
    piece = frame_of({{"import": "x" * (30 << 20), "event": "importing"}})
    for descriptor in pipes()[:4]:
        sent = 0
        while sent < {FLOOD_BYTES}:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(descriptor, rest):]
            sent += len(piece)
""",
        checks=(flooded,),
    ),
    Cheat(
        "thread that answers first",
        "A thread answers every later question before the probe has run.",
        """
def _answer():
    mark()
    for _ in range(200):
        number = answered[0]
        for later in range(number, number + 8):
            write_all(frame_of({"call": later, "value": {"flops": 0.0}}))
        time.sleep(0.01)

answered = [1]

def attack(model):
    answered[0] = local("number", 1)
    threading.Thread(target=_answer, daemon=True).start()
    time.sleep(0.05)
    return 0
""",
        earns=frozenset({"attention.a_configuration_has_the_defaults_of_the_contract"}),
        only=(
            "attention.a_configuration_has_the_defaults_of_the_contract",
            "attention.flops_are_counted_by_the_formula",
        ),
    ),
]
