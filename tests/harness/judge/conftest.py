"""A level of two criteria whose properties ask for sums, and a probe without a submission."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from grader import levels, run
from specs.law import law
from specs.outcomes import LawBroken, SubmissionRaised

CRITERION = "sums"

LEVEL = """
[level]
number = 9
title = "Sums"
objective = "Add."
time_estimate = "1 minute"

[limits]
call_seconds = 1
submission_seconds = 2
memory_mebibytes = 3
output_mebibytes = 4

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


class FakeProbe:
    """Answers every call with the value of a function of the arguments; the right answer is their sum."""

    device = "cpu"
    dtype = "float32"

    def __init__(self, answer: Callable[..., Any] = lambda *values: sum(values)) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []
        self.renewed = 0

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        assert name == "sum.of"
        self.asked.append(tuple(arguments.values()))
        return self.answer(*arguments.values())

    def attempt(self, name: str, /, **arguments: Any) -> Any:
        try:
            return self(name, **arguments)
        except SubmissionRaised as raised:
            return raised

    def resident_bytes(self) -> int:
        return 1

    def processor_seconds(self) -> float:
        return 1.0

    def begin(self) -> None:
        pass

    def renew(self) -> None:
        self.renewed += 1


@pytest.fixture
def fake() -> type[FakeProbe]:
    """The class of probes that answer with a function's value."""
    return FakeProbe


def toy_modules() -> list[types.ModuleType]:
    """Return the modules of properties that the level names."""
    sums, order = types.ModuleType("toy_sums"), types.ModuleType("toy_order")

    def test_of_two(probe: Any, a: int, b: int) -> None:
        """The sum of two numbers is right."""
        if (got := probe("sum.of", a=a, b=b)) != a + b:
            raise LawBroken(f"sum of {a} and {b}: got {got}, want {a + b}")

    def test_of_none(probe: Any) -> None:
        """The sum of no numbers is zero."""
        if (got := probe("sum.of")) != 0:
            raise LawBroken(f"sum of nothing: got {got}, want 0")

    def test_swapped(probe: Any, a: int, b: int) -> None:
        """Swapping two numbers does not change their sum."""
        if probe("sum.of", a=a, b=b) != probe("sum.of", a=b, b=a):
            raise LawBroken("swapping changes the sum")

    two: dict[str, Any] = dict.fromkeys("ab", st.integers(0, 1000))
    for module, function, drawn, weight in (
        (sums, test_of_two, two, 1.0),
        (sums, test_of_none, {}, 3.0),
        (order, test_swapped, two, 1.0),
    ):
        function.__module__ = module.__name__
        made = types.FunctionType(
            function.__code__,
            {**globals(), "CRITERION": module.__name__.removeprefix("toy_")},
            function.__name__,
        )
        made.__doc__, made.__module__ = function.__doc__, module.__name__
        made.__annotations__ = function.__annotations__
        setattr(module, function.__name__, law(examples=30, weight=weight, **drawn)(made))
    return [sums, order]


@pytest.fixture
def level_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of levels that holds level 9 alone."""
    for module in toy_modules():
        monkeypatch.setitem(sys.modules, module.__name__, module)
    folder = tmp_path / "levels"
    folder.mkdir()
    (folder / "level9.toml").write_text(LEVEL)
    monkeypatch.setattr(levels, "FOLDER", folder)
    return folder


@pytest.fixture
def level(level_folder: Path) -> levels.Level:
    """Level 9 with its properties."""
    assert level_folder
    return levels.load(9)


@pytest.fixture
def submit(level_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a folder that looks like a submission, whose every call a function answers."""
    assert level_folder

    def make(answer: Callable[..., Any] = lambda *values: sum(values)) -> Path:
        @contextlib.contextmanager
        def open_fake(*_: Any) -> Iterator[FakeProbe]:
            yield FakeProbe(answer)

        monkeypatch.setattr(run, "open_probe", open_fake)
        monkeypatch.setattr(run, "open_server", contextlib.nullcontext)
        folder = tmp_path / "work of a student"
        (folder / "nanochat").mkdir(parents=True, exist_ok=True)
        return folder

    return make
