"""Cheats that answer with something other than a plain, right value."""

from __future__ import annotations

from .cheat import CONFIGURATION, NOTHING, Cheat
from .scene import Outcome, Scene

LOGITS = "attention.logits_match_the_oracle"
ARITHMETIC = "tools.arithmetic_is_pythons"
NO_ZERO = "tools.division_by_zero_has_no_result"
GREEDY = "sampling.temperature_zero_takes_the_largest_logit"

ANSWERED = (
    "gpt.py",
    "        if targets is None:\n            return logits\n",
    "        if targets is None:\n            return attack.answer(logits)\n",
)
SWOLLEN_BYTES = 400 << 20
"""More than a right judge needs for an answer of 60 MiB."""


def swollen(_scene: Scene, outcome: Outcome) -> str | None:
    """Say so if an answer took many times its own size in the judge."""
    if outcome.peak_bytes > SWOLLEN_BYTES:
        return f"the judge grew by {outcome.peak_bytes >> 20} MiB for an answer of 60 MiB"
    return None


def logits(
    name: str,
    what: str,
    expression: str,
    before: str = "",
    earns: frozenset[str] = frozenset({CONFIGURATION}),
) -> Cheat:
    """Return the cheat whose logits are `expression`, of the right ones in the wrong scale."""
    code = f"""
import numpy as np
import torch
{before}
def answer(logits):
    return {expression}
"""
    return Cheat(
        name,
        what,
        code,
        edits=(ANSWERED,),
        only=(CONFIGURATION, LOGITS),
        earns=earns,
        checks=(swollen,),
    )


def calculated(name: str, what: str, code: str) -> Cheat:
    """Return the cheat whose calculator is `code`, which earns nothing."""
    return Cheat(
        name,
        what,
        replaced={"nanochat/tools.py": code},
        only=(CONFIGURATION, ARITHMETIC, NO_ZERO),
        earns=frozenset({CONFIGURATION}),
    )


SUBCLASS = """
class Lying(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("allclose", "equal", "isclose", "eq", "__eq__", "all"):
            return True
        return super().__torch_function__(func, types, args, kwargs or {})
"""

DISGUISED = """
class Disguised:
    __class__ = torch.Tensor
    dtype = torch.float32
    def __eq__(self, other):
        return True
    __hash__ = None
    def __getattr__(self, name):
        return lambda *a, **k: self
    def numpy(self):
        return AlwaysEqual(np.zeros((1, 1, 1)))

class AlwaysEqual(np.ndarray):
    def __new__(cls, values):
        return values.view(cls)
    def __eq__(self, other):
        return True
    def __sub__(self, other):
        return 0 * self
"""

LAZY = """
class Lazy(torch.Tensor):
    # Computed at each look: a reader that looks twice sees two answers.
    looks = 0
    def detach(self):
        Lazy.looks += 1
        return torch.zeros(self.shape) if Lazy.looks % 2 else torch.ones(self.shape)
"""

ALWAYS_EQUAL = """
class Equal{base}:
    def __eq__(self, other):
        return True
    def __ne__(self, other):
        return False
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    def __hash__(self):
        return 0
    def __repr__(self):
        return "42"

def use_calculator(expression):
    return Equal({value})
"""

CHEATS = [
    logits("zeros", "Zeros of the right shape.", "torch.zeros_like(logits)"),
    logits("not a number", "NaN everywhere: no comparison with it is true.", "logits * float('nan')"),
    logits("infinite", "Infinity, which is as far from everything.", "logits + float('inf')"),
    logits(
        "tensor subclass",
        "Claims to equal everything.",
        "torch.zeros_like(logits).as_subclass(Lying)",
        SUBCLASS,
    ),
    logits("disguised object", "No tensor, but its class says so.", "Disguised()", DISGUISED),
    logits("lazy tensor", "Changes each time it is looked at.", "logits.as_subclass(Lazy)", LAZY),
    logits("zero strides", "One value, spread without memory.", "torch.zeros(1, 1, 1).expand(logits.shape)"),
    logits("one value to broadcast", "A shape that would be broadcast.", "torch.zeros(1, 1, 1)"),
    logits("empty", "No value at all: all of none are right.", "logits[:0]"),
    logits("huge and strided", "A terabyte of one value.", "torch.zeros(1).expand(1 << 38)"),
    logits(
        "swelling",
        "Sixty million bytes that become eight times as many numbers.",
        "torch.zeros(60 << 20, dtype=torch.uint8)",
    ),
    logits("on no device", "A tensor without memory.", "logits.to('meta')"),
    logits("sparse", "A tensor of another layout.", "logits.to_sparse()"),
    logits("complex", "Numbers that are not ordered.", "logits.to(torch.complex64)"),
    logits("list", "A list, not a tensor.", "logits.tolist()"),
    logits(
        "array of objects",
        "Values with an equality of their own.",
        "torch.zeros_like(logits)",
        """
import specs.probes.model as probes
probes.values = lambda answer, what: np.full(answer.shape, object())
""",
        earns=NOTHING,
    ),
    logits(
        "the last answer again",
        "The answer to the first question, to every question.",
        "_kept.setdefault(0, logits)",
        "_kept = {}\n",
    ),
    logits(
        "aliased answers",
        "All answers share one memory, which the last one fills.",
        "_shared[: logits.numel()].view(logits.shape).copy_(logits * 0)",
        "_shared = torch.zeros(1 << 20)\n",
    ),
    logits(
        "another answer each time",
        "Right and wrong in turn, so that a failure does not happen again.",
        "logits if next(_turns) % 2 else 0 * logits",
        "import itertools\n_turns = itertools.count(1)\n",
    ),
    Cheat(
        "swelling ids",
        "Sixty million ids where four were asked for.",
        edits=(
            (
                "engine.py",
                "        return logits.argmax(dim=-1, keepdim=True)\n",
                "        return torch.zeros(60 << 20, dtype=torch.uint8)\n",
            ),
        ),
        only=(CONFIGURATION, GREEDY),
        earns=frozenset({CONFIGURATION}),
        checks=(swollen,),
    ),
    calculated(
        "always equal",
        "An object that equals everything.",
        ALWAYS_EQUAL.format(base="", value=""),
    ),
    calculated(
        "subclass of int", "An int that equals everything.", ALWAYS_EQUAL.format(base="(int)", value="42")
    ),
    calculated(
        "subclass of float",
        "A float that equals everything.",
        ALWAYS_EQUAL.format(base="(float)", value="0.5"),
    ),
    calculated(
        "subclass of str", "A text that equals everything.", ALWAYS_EQUAL.format(base="(str)", value="'4'")
    ),
    calculated(
        "enormous integer",
        "An integer of a million digits, which takes long to write.",
        "def use_calculator(expression):\n    return 10 ** 1_000_000\n",
    ),
    calculated(
        "metaclass without a name",
        "A class whose own name cannot be asked for.",
        """
class Meta(type):
    def __getattribute__(cls, name):
        raise SystemExit(name)

class Odd(metaclass=Meta):
    pass

def use_calculator(expression):
    return object.__new__(Odd)
""",
    ),
]
