"""One question answered: runs a probe, and makes what came of it into one payload.

Used beside the submission, wherever that is: in its process (child.py) and in the judge's (local.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from grader.sandbox import wire
from grader.sandbox.integrity import Changed
from specs.probes import registry
from specs.probes.loading import StoppedBefore
from specs.probes.raised import describe


class NotPlain(Exception):
    """A probe returned what cannot cross the wire.

    Not a ValueError, as `WireError` is: a property that demands a ValueError must not be content with it.
    """


def answer(
    number: int,
    name: str,
    arguments: dict[str, Any],
    submission: Path,
    let_through: tuple[type[BaseException], ...] = (),
    check: Callable[[], None] | None = None,
) -> tuple[bytes, BaseException | None]:
    """Run the probe `name`; return the payload that answers question `number`, and what was raised.

    The payload is {"call": number} with one of {"value": ...}, {"raised": Raised}, {"stopped": module} and
    {"changed": what}, the last if `check` says so when the probe is done. Exceptions of the classes in
    `let_through` are raised.
    """
    try:
        value = registry.run(name, arguments)
        if check is not None:
            check()
        return _value_payload(number, name, value), None
    except let_through:
        raise
    except Changed as change:
        return wire.encode({"call": number, "changed": str(change)}), change
    except StoppedBefore as stop:
        return wire.encode({"call": number, "stopped": stop.module}), stop
    except BaseException as error:  # noqa: BLE001  # sys.exit() is an answer, too
        return wire.encode({"call": number, "raised": dict(describe(error, submission))}), error


def _value_payload(number: int, name: str, value: Any) -> bytes:
    try:
        return wire.encode({"call": number, "value": value}, wire.ANSWER_BYTES)
    except wire.WireError as error:
        raise NotPlain(f"{name} returned what is no plain value: {error}") from error
