"""Which inputs are drawn depends on the seed and the property alone."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from grader.seeding import make_repeatable, property_seed, sow
from grader.session import observe
from specs.law import law

CRITERION = "toy"


def test_property_seed_is_pinned() -> None:
    """The seed of a property is the same on every machine: this value is of sha256("0/cache.split")."""
    assert property_seed(0, "cache.split") == 10446057365643641045
    assert property_seed(1, "cache.split") != property_seed(0, "cache.split")
    assert property_seed(0, "cache.other") != property_seed(0, "cache.split")


def test_no_constants_of_loaded_modules(fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded module, which may be the submission's, has no part in what is drawn."""

    @law(examples=100, number=st.integers())
    def test_toy(probe: Any, number: int) -> None:
        """A toy law."""
        probe("sum.of", number=number)

    source = tmp_path / "submitted.py"
    source.write_text("A = [" + ", ".join(str(123_456_000 + i) for i in range(200)) + "]\n")
    module = types.ModuleType("submitted")
    module.__file__ = str(source)

    make_repeatable()
    probes = [fake(), fake()]
    observe(test_toy.law, probes[0], 0)  # type: ignore[attr-defined]  # set by @law
    monkeypatch.setitem(sys.modules, "submitted", module)
    observe(test_toy.law, probes[1], 0)  # type: ignore[attr-defined]  # set by @law
    assert probes[0].asked == probes[1].asked


def test_nothing_is_left_in_the_current_folder(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grading leaves no folder of Hypothesis where the student works."""
    monkeypatch.chdir(tmp_path)

    @law(examples=5, text=st.text())
    def test_toy(probe: Any, text: str) -> None:
        """A toy law."""
        probe("sum.of", number=len(text))

    make_repeatable()
    observe(test_toy.law, fake(), 0)  # type: ignore[attr-defined]  # set by @law
    assert list(tmp_path.iterdir()) == []


def test_sowing_what_draws_nothing() -> None:
    """A property without inputs can be sown."""

    @law()
    def test_toy(probe: Any) -> None:
        """A toy law."""

    sow(test_toy.law, 3)  # type: ignore[attr-defined]  # set by @law
