"""What only the probe in this process does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grader.sandbox.local import LocalProbe
from specs.outcomes import SubmissionRaised
from specs.probes import setting

SUBMISSIONS = Path(__file__).parents[1] / "submissions"


def test_the_exception_itself_is_the_cause_for_a_debugger() -> None:
    with LocalProbe(SUBMISSIONS / "hostile") as probe, pytest.raises(SubmissionRaised) as caught:
        probe("selftest.call", module="nanochat.calls", function="raise_value_error")
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.__cause__.__traceback__ is not None


def test_a_keyboard_interrupt_passes_through(tmp_path: Path) -> None:
    (tmp_path / "nanochat").mkdir()
    (tmp_path / "nanochat" / "gpt.py").write_text("def stop():\n    raise KeyboardInterrupt\n")
    with LocalProbe(tmp_path) as probe, pytest.raises(KeyboardInterrupt):
        probe("selftest.call", module="nanochat.gpt", function="stop")


def test_one_process_holds_one_submission_at_a_time() -> None:
    question = {"module": "nanochat.calls", "function": "double", "arguments": [2]}
    with LocalProbe(SUBMISSIONS / "hostile") as first, LocalProbe(SUBMISSIONS / "namespace") as second:
        assert first("selftest.call", **question) == 4
        with pytest.raises(SubmissionRaised, match="already holds another nanochat"):
            second("selftest.call", **question)
        first.close()
        assert second("selftest.call", **question) == 4


def test_close_leaves_nothing_behind() -> None:
    path, finders = list(sys.path), list(sys.meta_path)
    with LocalProbe(SUBMISSIONS / "hostile") as probe:
        probe("selftest.call", module="nanochat.calls", function="double", arguments=[2])
        assert "nanochat.calls" in sys.modules
    assert not [name for name in sys.modules if name.split(".")[0] == "nanochat"]
    assert (sys.path, sys.meta_path) == (path, finders)
    with pytest.raises(LookupError, match="no submission is set"):
        setting.get()
