"""What a property sees is the same whether the submission runs in this process or in its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grader.sandbox.local import LocalProbe
from grader.sandbox.process import ProcessProbe
from specs.outcomes import GraderFault, SubmissionMemory, SubmissionRaised
from specs.probe import Probe as ProbeProtocol

Probe = LocalProbe | ProcessProbe


def call(probe: Probe, function: str, *arguments: Any, module: str = "nanochat.calls") -> Any:
    return probe("selftest.call", module=module, function=function, arguments=list(arguments))


def raised_by(probe: Probe, function: str, module: str = "nanochat.calls") -> SubmissionRaised:
    raised = probe.attempt("selftest.call", module=module, function=function)
    assert isinstance(raised, SubmissionRaised)
    return raised


def test_a_probe_is_a_probe(probe: Probe) -> None:
    as_declared: ProbeProtocol = probe
    assert (as_declared.device, as_declared.dtype) == ("cpu", "float32")


def test_values_go_there_and_back(probe: Probe) -> None:
    value = {"tokens": [1, 2], "logits": np.ones((2, 3), np.float32), ("a", None): (b"x", 2.5, True)}
    received = probe("selftest.echo", value=value)
    np.testing.assert_array_equal(received.pop("logits"), value.pop("logits"))
    assert received == value


def test_what_was_sent_is_not_shared_with_the_submission(probe: Probe) -> None:
    sent = np.zeros(3)
    received = probe("selftest.echo", value=sent)
    received[0] = 1
    assert sent[0] == 0


def test_an_exception_comes_with_types_message_and_the_submissions_frames(probe: Probe) -> None:
    with pytest.raises(SubmissionRaised) as caught:
        call(probe, "raise_value_error")
    raised = caught.value
    assert raised.types == ["ValueError", "Exception", "BaseException", "object"]
    assert raised.is_a("ValueError")
    assert raised.message == "seven is not even"
    assert 'File "nanochat/calls.py", line' in raised.traceback
    assert "selftest.py" not in raised.traceback
    assert raised.traceback.endswith("ValueError: seven is not even\n")


def test_an_exception_inside_torch_shows_no_path_of_this_machine(probe: Probe) -> None:
    raised = raised_by(probe, "divide_in_torch")
    assert raised.types[0] == "RuntimeError"
    assert ' "/' not in raised.traceback


def test_attempt_returns_the_exception_or_the_value(probe: Probe) -> None:
    assert raised_by(probe, "raise_value_error").message == "seven is not even"
    assert probe.attempt("selftest.echo", value=3) == 3


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("raise_hostile", "HostileError", "<no text: making it raised SystemExit>"),
        ("raise_lookalike", "Lookalike", "fine"),
        ("raise_surrogate", "ValueError", "lone \\ud800 surrogate"),
        ("exit_politely", "SystemExit", "0"),
        ("no_such_function", "AttributeError", "module 'nanochat.calls' has no attribute 'no_such_function'"),
    ],
)
def test_whatever_is_raised_is_described(probe: Probe, function: str, kind: str, message: str) -> None:
    raised = raised_by(probe, function)
    assert raised.types[0] == kind
    assert raised.message == message


def test_a_long_message_is_cut(probe: Probe) -> None:
    raised = raised_by(probe, "raise_long")
    assert len(raised.message) == 2_000
    assert len(raised.traceback) <= 6_000


def test_a_recursion_is_described_shortly(probe: Probe) -> None:
    raised = raised_by(probe, "recurse")
    assert raised.is_a("RecursionError")
    assert raised.traceback.count("in recurse") < 25


def test_a_memory_error_is_a_matter_of_memory(probe: Probe) -> None:
    with pytest.raises(SubmissionMemory):
        call(probe, "raise_memory_error")
    with pytest.raises(SubmissionMemory, match="can't allocate memory"):
        call(probe, "eat_torch_memory")


@pytest.mark.parametrize(
    ("function", "place"),
    [
        ("return_object", r"value\['value'\] is a object"),
        ("return_subclass", r"value\['value'\]\['logits'\]\[1\] is a nanochat\.calls\.Number"),
        ("return_large", r"value\['value'\] makes the message larger than"),
    ],
)
def test_what_is_no_plain_value_is_the_submissions_error(probe: Probe, function: str, place: str) -> None:
    with pytest.raises(
        SubmissionRaised, match=f"selftest.call returned what is no plain value: {place}"
    ) as caught:
        call(probe, function)
    # A property that demands a ValueError must not be content with this one.
    assert not caught.value.is_a("ValueError")


@pytest.mark.parametrize(
    ("module", "kind", "message"),
    [
        ("nanochat.raises", "ValueError", "not today"),
        ("nanochat.exits_politely", "SystemExit", "0"),
        ("nanochat.absent", "ModuleNotFoundError", "No module named 'nanochat.absent'"),
    ],
)
def test_an_import_that_raises_raises_each_time(probe: Probe, module: str, kind: str, message: str) -> None:
    for _ in range(2):
        raised = raised_by(probe, "anything", module)
        assert raised.types[0] == kind
        assert raised.message == message


def test_an_unknown_probe_is_the_graders_fault(probe: Probe) -> None:
    with pytest.raises(
        GraderFault, match=r"no probe is called 'selftest\.ecco'.*did you mean selftest\.echo"
    ):
        probe("selftest.ecco")


def test_a_question_that_is_not_plain_is_the_graders_fault(probe: Probe) -> None:
    with pytest.raises(GraderFault, match=r"value\['arguments'\]\['value'\] is a set"):
        probe("selftest.echo", value={1})


def test_torch_has_one_thread(probe: Probe) -> None:
    assert call(probe, "threads") == 1


def test_memory_is_seen_from_outside(probe: Probe) -> None:
    assert 50 << 20 < probe.resident_bytes() < 2 << 30


@pytest.mark.parametrize("size", [500, 3_000_000])
def test_memory_that_nobody_wrote_holds_the_same_everywhere(probe: Probe, size: int) -> None:
    assert call(probe, "unwritten", size) == [[pytest.approx(0.74706, abs=1e-5)], [0.74609375]]
