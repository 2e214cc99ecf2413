"""Cheats that change the code which runs beside them: probes, wire, libraries, interpreter."""

from __future__ import annotations

from .cheat import HONEST, NOTHING, Cheat


def patching(name: str, what: str, code: str, earns: frozenset[str] = HONEST) -> Cheat:
    """Return the cheat that runs `code` when it is imported, and whose count of operations is 0.

    One that changes what belongs to the grader earns nothing in that process.
    """
    return Cheat(name, what, code, earns=earns)


CHEATS = [
    patching(
        "patched encoder",
        "Writes every number as one that equals all.",
        """
from grader.sandbox import answer, wire as _wire
_encode = _wire.encode

class Equal(float):
    def __eq__(self, other):
        return True
    __hash__ = float.__hash__

def _forged(value, frame_bytes=_wire.FRAME_BYTES):
    if type(value) is dict and value.get("value") == {"flops": 0.0}:
        value = {**value, "value": {"flops": Equal(0)}}
    return _encode(value)

_wire.encode = _forged
""",
        earns=NOTHING,
    ),
    patching(
        "patched framing",
        "Sends each answer as two frames of half its length.",
        """
from grader.sandbox import frames
_write = frames.write_frame

def _halves(descriptor, payload):
    _write(descriptor, payload[: len(payload) // 2])
    _write(descriptor, payload[len(payload) // 2 :])

def attack(model):
    frames.write_frame = _halves
    return 0
""",
    ),
    patching(
        "mode on torch's stack",
        "Leaves a mode behind that answers for torch: a copy is no copy, and whatever is compared is equal.",
        """
import torch
from torch.overrides import TorchFunctionMode

class Agreeing(TorchFunctionMode):
    def __torch_function__(self, function, types, arguments=(), named=None):
        if function is torch.Tensor.clone:
            return arguments[0]
        if function in (torch.equal, torch.allclose):
            return True
        return function(*arguments, **(named or {}))

Agreeing().__enter__()
""",
        earns=NOTHING,
    ),
    Cheat(
        "patched registry",
        "Answers every later question with an object made up for it.",
        """
from specs.probes import registry

def attack(model):
    registry.run = lambda name, arguments: {"flops": True, "passed": True, "verdict": "passed"}
    return 0
""",
    ),
    patching(
        "patched answer",
        "Replaces the function that answers by one that says passed.",
        """
from grader.sandbox import answer as _answer
_answer.answer = lambda number, *rest, **more: (wire().encode({"call": number, "verdict": "passed"}), None)
""",
        earns=NOTHING,
    ),
    patching(
        "patched description of exceptions",
        "Makes every exception one that the property may want.",
        """
from grader.sandbox import answer as _answer
_answer.describe = lambda error, submission: {
    "types": ["LawHolds", "ValueError"], "message": "", "traceback": "", "out_of_memory": False}

def attack(model):
    raise LookupError
""",
        earns=NOTHING,
    ),
    patching(
        "patched questions",
        "Makes every question one about the smallest model, whose count it knows.",
        """
import specs.probes.model as probes
_flops = probes.flops
probes.flops = lambda config: {"flops": 12345.0}
probes.flops.__is_probe__ = True
""",
        earns=NOTHING,
    ),
    patching(
        "asks who asks",
        "Looks up the stack for the question, and answers one that it has learned by heart.",
        """
def run(model):
    name, arguments = local("name"), local("arguments", {})
    if name == "model.flops" and arguments.get("config", {}).get("n_layer") == 1:
        return 1_000_000
    return 0
""",
    ),
    patching(
        "patched torch",
        "Every comparison of torch holds, every random number is zero.",
        """
import torch
torch.allclose = torch.equal = lambda *a, **k: True
torch.testing.assert_close = lambda *a, **k: None
torch.randn = torch.rand = lambda *size, **k: torch.zeros(size[0] if isinstance(size[0], tuple) else size)
torch.nn.functional.cross_entropy = lambda *a, **k: torch.zeros(())
""",
        earns=NOTHING,
    ),
    patching(
        "patched numpy",
        "Every comparison of NumPy holds, every random number is zero.",
        """
import numpy
numpy.allclose = numpy.array_equal = numpy.isclose = numpy.all = lambda *a, **k: True
numpy.testing.assert_allclose = lambda *a, **k: None
numpy.random.default_rng = lambda *a: None
""",
        earns=NOTHING,
    ),
    patching(
        "patched clocks and random",
        "Time stands still and chance is fixed.",
        """
import random
time.time = time.monotonic = time.perf_counter = lambda: 0.0
time.sleep = lambda seconds: None
random.random = lambda: 0.0
random.seed(0)
random.seed = lambda *a: None
""",
    ),
    Cheat(
        "patched json and os",
        "json says that all passed; what is written ends in nothing.",
        """
import json

def attack(model):
    json.dumps = lambda *a, **k: '{"verdict": "passed", "points": 100}'
    os.write = lambda descriptor, data: len(data)
    return 0
""",
    ),
    Cheat(
        "replaces the modules",
        "Puts its own specs, grader and torch in place of the real ones.",
        """
import types

class Everything(types.ModuleType):
    def __getattr__(self, name):
        return lambda *a, **k: True

def attack(model):
    for name in list(sys.modules):
        if name.partition(".")[0] in ("specs", "grader", "torch", "numpy"):
            sys.modules[name] = Everything(name)
    return 0
""",
    ),
    patching(
        "import hook",
        "Finds every module that the judge might import next, and makes it empty.",
        """
import types

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("specs", "grader", "pytest", "hypothesis")):
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, self)
    def create_module(self, spec):
        return types.ModuleType(spec.name)
    def exec_module(self, module):
        module.__getattr__ = lambda name: (lambda *a, **k: True)

sys.meta_path.insert(0, Finder())
""",
    ),
    patching(
        "another kernel for a comparison",
        "Has torch find all tensors equal, by a kernel of its own below every function.",
        """
import warnings

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _LIBRARY = torch.library.Library("aten", "IMPL")
    _LIBRARY.impl("equal", lambda one, other: True, "CPU")
""",
        earns=NOTHING,
    ),
    patching(
        "trace and audit",
        "Watches every call, and changes the local variables of the one that answers.",
        """
def _watch(frame, event, argument):
    if frame.f_code.co_name == "_value_payload" and frame.f_locals.get("name") == "model.flops":
        frame.f_locals["value"] = {"flops": True}
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
    return _watch

sys.addaudithook(lambda event, arguments: None)
sys.setprofile(_watch)
threading.setprofile(_watch)
""",
        earns=NOTHING,
    ),
    patching(
        "writes over small integers",
        "Makes 0 equal to 1 in its own interpreter.",
        """
def attack(model):
    size = ctypes.sizeof(ctypes.c_size_t)
    ctypes.memmove(id(257) + 3 * size, id(256) + 3 * size, 4)
    return 0
""",
    ),
    Cheat(
        "a module that replaces itself",
        "nanochat.gpt is not the module that was imported.",
        """
class Replacement(type(sys)):
    def __getattr__(self, name):
        raise AttributeError(name)
    def __getattribute__(self, name):
        if name == "GPT":
            return lambda config: type("GPT", (), {"init_weights": print, "estimate_flops": lambda s: 0})()
        return object.__getattribute__(self, name)

sys.modules["nanochat.gpt"].__class__ = Replacement
""",
    ),
    Cheat(
        "collects its own garbage",
        "Replaces an answer when the collector runs.",
        """
import gc

def _collected(phase, info):
    for held in gc.get_objects():
        if type(held) is dict and held.keys() == {"flops"}:
            held["flops"] = 1e9

gc.callbacks.append(_collected)
gc.set_threshold(100)
""",
    ),
]
