"""What laws about memory share: histories of a cache, and what the instruments said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from specs.compare import broken, expect, expect_number
from specs.oracles.memory import Shape, Step, tokens_held
from specs.probe import Probe

Steps = list[Step]


def history_of(probe: Probe, shape: Shape, steps: Sequence[Step]) -> dict[str, Any]:
    """Return the bytes that a cache holds, new and after each step."""
    answer: dict[str, Any] = probe(
        "memory.cache_history", shape=shape.plain(), steps=[list(step) for step in steps]
    )
    return answer


def check_history(answer: dict[str, Any], shape: Shape, steps: Sequence[Step]) -> None:
    """Require every count of a history to obey the bound; name the first step after which it does not."""
    step = growth_step(answer)
    for instrument, held in instruments(answer):
        expect(len(held) == 1 + len(steps), f"got {len(held)} counts by {instrument}, want {1 + len(steps)}")
        for number, (got, tokens) in enumerate(zip(held, [0, *tokens_held(steps)], strict=True)):
            allowed = shape.allowed(tokens, step)
            if got <= allowed:
                continue
            done = [f"{do} {count}" if count else do for do, count in steps[:number]]
            broken(
                f"a cache with seq_len={shape.seq_len} holds {tokens} tokens and {got:,} bytes, that is "
                f"{got / shape.slot_bytes:.0f} slots of {shape.slot_bytes} bytes, by {instrument}; allowed: "
                f"twice {shape.slots(tokens, step)} slots, {allowed:,} bytes. First broken: step {number}"
                + (f": {', '.join(done[-6:])}" if done else ", when the cache was made")
            )


def growth_step(answer: dict[str, Any]) -> int:
    """Return the growth step of an answer: from 1 to 1024."""
    step = answer["growth_step"]
    expect(type(step) is int and 1 <= step <= 1024, f"the growth step is {step!r}")
    return int(step)


def instruments(answer: dict[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Yield the counts of each instrument that there is, with its name: on a GPU both must hold."""
    for name, label in (("ledger", "the ledger of tensors"), ("allocator", "the GPU's allocator")):
        held = answer[name]
        if held is not None:
            for count in held:
                expect_number(count, f"bytes held, by {label}")
            yield label, held
