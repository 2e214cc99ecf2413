"""Experiments on several streams of the submission's `Engine`, and on its two ways to generate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from specs.probes.generation import columns, new_engine, plain, scripted_model
from specs.probes.registry import probe


@probe
def modes(
    script: dict[str, Any], lengths: list[int], ends: list[tuple[int, str]], training: bool, engines: int
) -> list[str]:
    """Return the modules of a model whose mode is another when streams that overlapped have ended.

    There is one for each of `lengths`, its columns; all have given a column before the first of `ends`: which
    stream, and whether it is read to its end, closed or dropped.
    """
    model = scripted_model(script, 1, 64, 0)
    model.train(training)
    asked = [new_engine(model) for _ in range(engines)]
    streams: dict[int, Iterator[Any]] = {
        i: iter(asked[i % engines].generate([0], max_tokens=length)) for i, length in enumerate(lengths)
    }
    for i in streams:  # none is named: what is dropped below would still be held by its name
        next(streams[i], None)
    for i, way in ends:
        ended = streams.pop(i)
        if way == "read":
            for _ in ended:
                pass
        elif way == "closed" and hasattr(ended, "close"):  # an iterator of one's own need not have it
            ended.close()
        del ended
    return [name or "the model" for name, part in model.named_modules() if part.training != training]


@probe
def both_ways(
    prompt: list[int], script: dict[str, Any], options: dict[str, Any], sequence_len: int, in_order: bool
) -> dict[str, Any]:
    """Return what `generate` yields and what `generate_batch` returns, for the same arguments.

    With `in_order`, the number of rows has no name.
    """
    named = dict(options)
    rows = [named.pop("num_samples")] if in_order and "num_samples" in named else []
    model = scripted_model(script, len(prompt), sequence_len, 0)
    stream = columns(new_engine(model).generate(list(prompt), *rows, **named), sequence_len + 50)
    sequences, masks = new_engine(model).generate_batch(list(prompt), *rows, **named)
    return {"stream": stream, "batch": {"tokens": plain(sequences), "masks": plain(masks)}}
