"""Experiments on streams of the submission's `Engine` and `GPT.generate` whose caller acts meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from specs.probes.building import build_model
from specs.probes.generation import Stream, append, columns, new_engine, plain, scripted_model
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
    for stream in streams.values():
        next(stream, None)
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
def prompt_changed(
    prompt: list[int], script: dict[str, Any], options: dict[str, Any], change: str, sequence_len: int
) -> dict[str, Stream]:
    """Return what `generate` yields to a caller that changes its prompt after each column, and to another."""
    model = scripted_model(script, len(prompt), sequence_len, 0)
    given, found = list(prompt), Stream(tokens=[], masks=[])
    for pair in itertools.islice(new_engine(model).generate(given, **options), sequence_len + 50):
        append(found, [pair])
        changed(given, change, found["tokens"][-1][0])
    left = new_engine(model).generate(list(prompt), **options)
    return {"changed": found, "left alone": columns(left, sequence_len + 50)}


@probe
def slow_prompt_changed(
    config: dict[str, int], weights: dict[str, Any], prompt: list[int], options: dict[str, Any], change: str
) -> dict[str, list[Any]]:
    """Return what `GPT.generate` yields to a caller that changes its prompt after each id, and to another."""
    model = build_model(config, weights, dtype="float32")
    given: list[Any] = list(prompt)
    found = []
    for token in itertools.islice(model.generate(given, **options), 100):
        found.append(plain(token))
        changed(given, change, found[-1])
    left = itertools.islice(model.generate(list(prompt), **options), 100)
    return {"changed": found, "left alone": [plain(token) for token in left]}


def changed(prompt: list[Any], change: str, token: Any) -> None:
    """Change a prompt in place: "append" a token to it, "clear" it, or "replace" its ids."""
    if change == "append":
        prompt.append(token)
    elif change == "clear":
        prompt.clear()
    else:
        prompt[:] = [0] * len(prompt)


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
