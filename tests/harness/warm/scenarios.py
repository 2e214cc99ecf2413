"""Judges variants of known outcome in one warm session and prints their rows as JSON: for test_session.py.

python scenarios.py REFERENCE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from grader.bugs import variant
from grader.matrix.job import Job
from grader.matrix.proof import edited_places
from grader.matrix.sentinel import raising
from grader.matrix.session import Session
from specs.outcomes import GraderFault

FLOPS = "attention.flops_are_counted_by_the_formula"
SIZES = "attention.impossible_widths_are_refused"
CAPPED = "attention.logits_are_capped_smoothly"
KINDS = (FLOPS, SIZES)

COUNTED = "        parameters = sum(parameter.numel() for parameter in self.parameters())\n"
LOGITS = "        logits = LOGIT_CAP * torch.tanh(logits / LOGIT_CAP)\n"


def main() -> None:
    """Print what came of every variant."""
    sources = variant.sources_of(Path(sys.argv[1]) / "nanochat")

    def changed(old: str, new: str, file: str = "gpt.py") -> dict[str, str]:
        assert sources[file].count(old) == 1, old
        return {**sources, file: sources[file].replace(old, new)}

    def added(
        line: str, laws: tuple[str, ...] = KINDS, **how: Any
    ) -> tuple[dict[str, str], tuple[str, ...], Any]:
        return changed(COUNTED, COUNTED + line), laws, how

    everything = {
        "reference": (sources, (FLOPS, SIZES, CAPPED), {}),
        "wrong": added("        return 7\n"),
        "raises": added("        raise KeyError('flops')\n"),
        "hangs": added("        while True:\n            pass\n"),
        "sleeps": added("        import time\n        time.sleep(1000)\n"),
        "dies": added("        __import__('os')._exit(0)\n"),
        # In one bite: what is allocated is filled, and the limit in small bites took over 1.5 s in places.
        "eats": added("        torch.empty(1 << 40)\n"),
        "not finite": (changed(LOGITS, LOGITS + "        logits = logits * float('inf')\n"), (CAPPED,), {}),
        "stops at the first": added("        return 7\n", (FLOPS, SIZES), until="first"),
        "goes on after a crash": added("        raise KeyError('flops')\n", (FLOPS, SIZES), until="broken"),
        "sentinel": ({**sources, "gpt.py": raising(sources["gpt.py"], "GPT.estimate_flops")}, (FLOPS,), {}),
        "does not parse": ({**sources, "gpt.py": "this is no Python\n"}, (FLOPS,), {}),
        "not run": added("        return 7\n", (SIZES,)),
        "lines": (sources, (FLOPS, SIZES), {"lines": True}),
        "witness": (sources, (), {"witness": "rotary.tables"}),
        "witness of a bug": (
            changed("base: float = 10000.0", "base: float = 100.0"),
            (),
            {"witness": "rotary.tables"},
        ),
        "witness that raises": ({**sources, "gpt.py": "1 / 0\n"}, (), {"witness": "rotary.tables"}),
        "witness that hangs": (
            {**sources, "gpt.py": "while True:\n    pass\n"},
            (),
            {"witness": "rotary.tables"},
        ),
    }
    session = Session(3, call_seconds=1.5)
    found: dict[str, Any] = {}
    jobs = []
    for name, (texts, laws, how) in everything.items():
        places = edited_places(sources, texts) if name != "does not parse" and "witness" not in how else {}
        jobs.append(Job(name, texts, laws, places, **how))
    for job, row in session.run(jobs, 2):
        found[job.name] = row.to_record() | {"lines": row.lines, "witness": row.witness}
    try:
        list(session.run([Job("nonsense", sources, ("no.such_property",))]))
    except GraderFault as fault:
        found["fault"] = str(fault)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
