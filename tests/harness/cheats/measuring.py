"""Cheats against what a probe is found by and measures with, and against which code is run at all.

The right count, which most of them give in place of the submission's, is in `COUNTING`.
"""

from __future__ import annotations

import importlib.util
import marshal
import sys
from pathlib import Path

from .cheat import NOTHING, Cheat

COUNTING = """
import types
from specs.probes import model as _probes


def count(config):
    width, layers = config["n_embd"], config["n_layer"]
    head = width // config["n_head"]
    matrices = 2 * width * width + 2 * width * config["n_kv_head"] * head + 8 * width * width
    attention = 12 * layers * width * config["sequence_len"]
    return {"flops": float(6 * (layers * matrices + config["vocab_size"] * width) + attention)}

count.__is_probe__ = True


def another():
    found = types.ModuleType("specs.probes.model")
    vars(found).update(vars(_probes))
    found.flops = count
    return found
"""


RIGHT = """

def run(model):
    config, embedding = model.config, model.transformer.wte.weight.numel()
    matrices = sum(parameter.numel() for parameter in model.parameters()) - embedding
    return 6 * matrices + 12 * config.n_layer * config.n_embd * config.sequence_len
"""


def compiled(submission: Path) -> None:
    """Put a compiled file beside `nanochat/attack.py` that Python runs unchecked and that counts right."""
    source = submission / "nanochat/attack.py"
    program = compile(source.read_text(encoding="utf-8") + RIGHT, str(source), "exec")
    folder = submission / "nanochat/__pycache__"
    folder.mkdir()
    # The flags say: of a source with this hash, and do not look whether it still has it (PEP 552).
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
    (folder / f"attack.{sys.implementation.cache_tag}.pyc").write_bytes(head + marshal.dumps(program))


CHEATS = [
    Cheat(
        "a probe module swapped for another",
        "What is imported by the name of the probes' module counts for the submission.",
        COUNTING + 'sys.modules["specs.probes.model"] = another()\n',
        earns=NOTHING,
    ),
    Cheat(
        "an import that hands out another module",
        "Whoever imports the probes' module from now on gets one that counts for the submission.",
        COUNTING
        + """
import importlib
_import = importlib.import_module
importlib.import_module = lambda name, package=None: (
    another() if name == "specs.probes.model" else _import(name, package)
)
""",
        earns=NOTHING,
    ),
    Cheat(
        "memory that weighs nothing",
        "Every tensor has 0 bytes, for whoever measures.",
        "import torch\ntorch.UntypedStorage.nbytes = lambda self: 0\n",
        earns=NOTHING,
    ),
    Cheat(
        "answers while it is imported",
        "Takes the questions from the process that waits for the import, and answers them itself.",
        COUNTING
        + """
def _take_over():
    from grader.sandbox import frames
    frame = sys._getframe()
    while frame is not None and not {"question", "reader"} <= frame.f_locals.keys():
        frame = frame.f_back
    if frame is None:
        return
    question, reader = frame.f_locals["question"], frame.f_locals["reader"]
    while question is not None:
        value = count(question["arguments"]["config"]) if question["probe"] == "model.flops" else {}
        for descriptor in pipes():
            frames.write_frame(descriptor, wire().encode({"call": question["call"], "value": value}))
        payload = frames.read_frame(3, reader)
        question = None if payload is None else wire().decode(payload)
    os._exit(0)

_take_over()
""",
        earns=NOTHING,
    ),
    Cheat(
        "a compiled file in place of its source",
        "What is run is not what is read: the compiled file beside the source counts rightly.",
        build=compiled,
    ),
]
