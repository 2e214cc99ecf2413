"""An exception of the submission as plain values, whatever the exception's own methods do."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

from specs.probes.loading import out_of_memory

MESSAGE_CHARACTERS = 2_000
TRACEBACK_CHARACTERS = 6_000
_FRAMES = 20


class Raised(TypedDict):
    """What the judge learns about an exception."""

    types: list[str]
    """Names of the exception's classes, most derived first."""
    message: str
    traceback: str
    """From the submission's first frame on, with paths relative to the submission."""
    out_of_memory: bool


def describe(error: BaseException, submission: Path) -> Raised:
    """Return the record of an exception that running the submission raised. Never raises."""
    return {
        "types": [_class_name(kind) for kind in _class_order(type(error))],
        "message": _text(lambda: str(error), MESSAGE_CHARACTERS),
        "traceback": _text(lambda: _format(error, submission), TRACEBACK_CHARACTERS),
        "out_of_memory": out_of_memory(error),
    }


def _class_name(kind: type) -> str:
    return _text(lambda: kind.__name__, 200)


# Straight from `type`: a metaclass of the submission's could answer `__mro__` with anything.
_class_order: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__


def _text(make: Callable[[], Any], characters: int) -> str:
    """Return the text that `make` makes, shortened in its middle and fit to be printed anywhere."""
    try:
        text = "".join(make())  # a subclass of str becomes a str here
        if len(text) > characters:
            text = f"{text[: characters // 3]} ... {text[-(characters - characters // 3 - 5) :]}"
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    except BaseException as error:  # noqa: BLE001  # __str__ is the submission's code and may raise anything
        return f"<no text: making it raised {type(error).__name__}>"


def _format(error: BaseException, submission: Path) -> str:
    summary = traceback.TracebackException(type(error), error, _from_submission(error, submission))
    text = "".join(_shorten(summary).format())
    for folder in {str(submission), str(submission.resolve())}:
        text = text.replace(folder + "/", "")
    text = text.replace(str(Path(__file__).parents[2]) + "/", "")
    return re.sub(r'"[^"\n]*/site-packages/', '"', text)


def _from_submission(error: BaseException, submission: Path) -> TracebackType | None:
    """Return the part of the traceback that begins in the submission; the last frames if none does."""
    folders = tuple({f"{submission}/", f"{submission.resolve()}/"})
    last: list[TracebackType] = []
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename.startswith(folders):
            return step
        last = [*last[-1:], step]
        step = step.tb_next
    return last[0] if last else None


def _shorten(summary: traceback.TracebackException) -> traceback.TracebackException:
    """Keep the first and the last frames: a recursion has a thousand that say the same."""
    del summary.stack[_FRAMES // 2 : -_FRAMES // 2]
    return summary
