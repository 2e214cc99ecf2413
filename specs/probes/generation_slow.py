"""Experiments on `GPT.generate`, and the engine beside it, over several texts and sets of parameters."""

from __future__ import annotations

import itertools
from typing import Any

from specs.probes.building import build_model, load
from specs.probes.generation import new_engine
from specs.probes.orders import outcome
from specs.probes.registry import probe

Arrays = dict[str, Any]


@probe
def one_after_another(
    config: dict[str, int], weights: list[Arrays], calls: list[dict[str, Any]]
) -> list[Any]:
    """Return the ids that one model, or its engine, writes at each call.

    A call holds which "weights" the model is given before, the "way", "slow" or "engine", the "prompt", and
    the "options".
    """
    model = build_model(config, weights[0], dtype="float32")
    engine = new_engine(model)

    def answer(call: dict[str, Any]) -> list[int]:
        options, prompt = call["options"], list(call["prompt"])
        if call["way"] == "slow":
            written = itertools.islice(model.generate(prompt, **options), options["max_tokens"] + 9)
            return [int(token) for token in written]
        return [int(column[0]) for column, _ in itertools.islice(engine.generate(prompt, **options), 99)]

    answers = []
    for call in calls:
        given = weights[call["weights"]]
        load(model, {name: value for name, value in given.items() if name not in ("cos", "sin")})
        answers.append(outcome(answer, call))
    return answers
