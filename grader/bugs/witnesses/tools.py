"""Witnesses of bugs in the use of tools."""

from __future__ import annotations

from typing import Any

from grader.bugs.witnesses.setting import (
    BOS,
    END,
    PYTHON_END,
    PYTHON_START,
    Bytes,
    Modules,
    StandIn,
    attempt,
    script,
)


def _said(modules: Modules, text: list[int], prompt: int = 1, count: int = 60, **options: Any) -> Any:
    """Return columns, masks and what the model was fed when it says `text`."""
    stand_in = StandIn(script(text, prompt))
    engine = modules["engine"].Engine(stand_in, Bytes())
    options = {"temperature": 0.0, "max_tokens": count, **options}
    return attempt(lambda: [list(map(list, engine.generate([BOS] * prompt, **options))), stand_in.fed])


def _call(expression: str, after: str = "ok") -> list[int]:
    """Return what a model says that has an expression calculated."""
    return [PYTHON_START, *expression.encode(), PYTHON_END, *after.encode()]


def calls(modules: Modules) -> Any:
    """Return what becomes of calls with one row and with two."""
    return [
        _said(modules, _call("12+30")),
        _said(modules, _call("5-5"), num_samples=2),
        _said(modules, _call("10/2")),
        _said(modules, _call("1/3"), count=40),
        _said(modules, _call("1/0")),
        _said(modules, _call("7/2", "."), prompt=3, num_samples=2),
        _said(modules, _call("'naïve, é'.count('é')"), num_samples=2),
    ]


def second(modules: Modules) -> Any:
    """Return what becomes of rows that call twice, close twice, and end inside a block."""
    return [
        _said(modules, [*_call("1+1", "---so"), *_call("20+3", "----end")]),
        _said(modules, [*_call("2*4"), PYTHON_END, *b"and"], num_samples=2),
        _said(modules, [*_call("1/0", "1+1"), PYTHON_END, *b"x"]),
        _said(modules, [*_call("6", ""), *b"8+1", *b"9", PYTHON_END, *b"x"], count=40),
        _said(modules, [PYTHON_START, *b"1+1", END, *b"more"], num_samples=2),
        _said(modules, [65, PYTHON_START, *b"3", BOS, *b"more"]),
    ]


class _Spelling(Bytes):
    """A tokenizer that writes 42 with special tokens."""

    def __init__(self, spelled: list[int]) -> None:
        self.spelled = spelled

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text, unless it is 42."""
        return self.spelled if text == "42" else super().encode(text)


def spelled(modules: Modules) -> Any:
    """Return what becomes of results whose ids are special tokens."""
    found = []
    for ids in ([END, 65], [PYTHON_START, *b"1+1", PYTHON_END]):
        stand_in = StandIn(script([*_call("40+2", ""), *[65] * len(ids), 66, 67, PYTHON_END, 68], 1))
        engine = modules["engine"].Engine(stand_in, _Spelling(ids))
        found.append(attempt(lambda: list(map(list, engine.generate([BOS], temperature=0.0, max_tokens=24)))))  # noqa: B023  # called at once
    return found


def under(modules: Modules) -> Any:
    """Return what becomes of rows whose model would rather end, or call, than hear the result."""
    found = []
    for number, token in enumerate((END, BOS, PYTHON_START)):
        text = _call("11*11", "")
        found.append(_said(modules, [*text, *[token] * (3 + number % 2), *b"so"], num_samples=1 + number % 2))
    return found


def calculator(modules: Modules) -> Any:
    """Return what expressions of all kinds come to."""
    calculate = modules["tools"].use_calculator
    texts = [
        "1+1",
        " 2*3 ",
        "7//2",
        "-7//2",
        "-7%3",
        "7.5%-2",
        "4/2",
        "7/2",
        "9.0/3",
        "2**3",
        "2**0.5",
        "1/0",
        "5%0",
        "1.5//0",
        "0/5",
        "1e308*10",
        "-1e308*10",
        "\n1,000",
        "1,000+1",
        "'a,b,c'.count(',')",
        "'a_b_c'.count('_')",
        "'a;b;c'.count(';')",
        "'a:b:c'.count(':')",
        "'a$b$'.count('$')",
        "'5%, 6%'.count('%')",
        "'aaaa'.count('aa')",
        "\n'banana'.count('ana')",
        "'Strawberry'.count('s')",
        "'ABBA'.count('b')",
        "12345678901234567890//7",
        "3*'ab'.count('b')",
        "\n(1+2)*3",
        "--4",
        "+5",
        "x",
        "'a'",
        "1 2",
        "",
        "\n6*7 ",
    ]
    found = [attempt(lambda: calculate(text)) for text in [*texts, "\t8-1", "   9"]]  # noqa: B023  # called at once
    return [value if isinstance(value, str) else [repr(value), type(value).__name__] for value in found]


def limits(modules: Modules) -> Any:
    """Return what long, deep and large expressions come to."""
    calculate = modules["tools"].use_calculator
    texts = [
        "+".join(["1"] * 51),
        "(" * 20 + "1" + "+1)" * 20,
        "-" * 45 + "1",
        "9" * 90 + "+1",
        "9" * 199,
        "1+" * 99 + "22",
        "1234567890" * 15 + "*2",
        "7" * 60 + "*" + "7" * 60,
        "'" + "ab" * 80 + "'.count('b')",
        f"{10**20}/{10**10}",
        f"{2**80}/4",
    ]
    return [repr(attempt(lambda: calculate(text))) for text in texts]  # noqa: B023  # called at once


def edges(modules: Modules) -> Any:
    """Return what comes of signs side by side, of near misses, and of integers where floats end."""
    calculate = modules["tools"].use_calculator
    largest = 2**1024 - 1
    texts = [
        "2+-3//2",
        "5--7//2",
        "1--7%3",
        "5%",
        "25 %",
        "2(3)",
        "7 (8)",
        "007",
        "012",
        str(largest),
        f"-{largest}",
    ]
    return [repr(attempt(lambda: calculate(text))) for text in texts]  # noqa: B023  # called at once


def results(modules: Modules) -> Any:
    """Return rows with results of many digits."""
    texts = ("9007199254740992+1", "0.1+0.2-0.3", "1/3", "2000001/8", "123456789*1000000007")
    return [_said(modules, _call(text), prompt) for prompt in (1, 2) for text in texts]


class _Turned(Bytes):
    """Numbers the special tokens the other way round."""

    def encode_special(self, token: str) -> int:
        """Return the id of a special token."""
        first = super().get_bos_token_id()
        return 2 * first + 8 - super().encode_special(token)

    def get_bos_token_id(self) -> int:
        """Return the id of the BOS token."""
        return self.encode_special("<|bos|>")


def tokenizers(modules: Modules) -> Any:
    """Return the ids that engines with different tokenizers wait for, one after another."""
    found = []
    for tokenizer in (Bytes(), _Turned(), Bytes()):
        engine = modules["engine"].Engine(None, tokenizer)
        found.append([engine.python_start, engine.python_end])
    return found


def literals(modules: Modules) -> Any:
    """Return counts of texts that begin or end with blanks."""
    texts = ("'ab b'.count(' b')", "'b ab'.count('b ')", "'  a  '.count(' ')", "' a a '.count('a ')")
    return [attempt(lambda: modules["tools"].use_calculator(text)) for text in texts]  # noqa: B023  # called at once
