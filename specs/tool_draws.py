"""Calls of the calculator, texts and other parts of rows, drawn for the laws about tools."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from specs.oracles import calculator
from specs.toolcalls import (
    PYTHON_END,
    Call,
    call,
)

SUCCEEDING = [
    ("5+3", "8"),
    ("12*10", "120"),
    ("(1+2)*3", "9"),
    ("2-5", "-3"),
    ("7/2", "3.5"),
    ("10 / 4", "2.5"),
    ("4/2", "2"),
    ("2.5*4", "10"),
    ("5.0", "5"),
    ("1-1.5", "-0.5"),
    ("1-3.0", "-2"),
    ("0.5*3", "1.5"),
    ("100*1000.0", "100000"),
    ("4000000*2500000.0", "10000000000000"),
    ("5-5", "0"),
    ("1/3", "0.3333333333333333"),
    ("7//2", "3"),
    ("1e22", "10000000000000000000000"),
    ("5.0e-1", "0.5"),
    ("0/3", "0"),
    ("'strawberry'.count('r')", "3"),
    ("'abc'.count('z')", "0"),
    ('"a, b, c".count(",")', "2"),
]

FAILING = [
    "1/0",
    "1+",
    "foo",
    "import os",
    "print(1)",
    "2+x",
    "*3",
    "(1+2",
    "hello world",
    "2**3",
    "1,000",
    "'abc'",
    "1e999",
    "True",
]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Draw a block with a result: a worked example, or an operation on two numbers."""
    as_bytes = draw(st.booleans())
    if draw(st.booleans()):
        return call(*draw(st.sampled_from(SUCCEEDING)), as_bytes=as_bytes)
    left, right = draw(st.integers(0, 1500)), draw(st.sampled_from([1, 2, 4, 7, 10, 12, 100]))
    symbol = draw(st.sampled_from("+-*/"))
    built = calculator.binary(calculator.number(str(left)), symbol, calculator.number(str(right)))
    assert built.value is not None
    return call(built.text, calculator.written(built.value), as_bytes=as_bytes)


failing_calls = st.builds(
    lambda text, as_bytes: call(text, None, as_bytes=as_bytes), st.sampled_from(FAILING), st.booleans()
)

# Digits, so that an engine that takes text outside of a block for an expression finds one there.
plain_texts = st.lists(st.sampled_from(list(b"12+ ")), max_size=4)

segments = st.one_of(
    calls(),
    calls(),
    failing_calls,
    plain_texts,
    st.just(Call((), None)),  # an empty block
    st.just([PYTHON_END]),  # an end without a beginning
    # A beginning in an open block begins anew.
    st.builds(
        lambda junk, block: replace(block, junk=tuple(junk)),
        plain_texts.filter(bool),
        st.one_of(calls(), failing_calls),
    ),
)
