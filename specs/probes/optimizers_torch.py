"""Experiments on what both share with every optimizer of torch: hooks, and forms of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from specs.probes.loading import imported
from specs.probes.optimizers import Array, Gradients, made, optimizer_of, plain_options, seen, walk
from specs.probes.registry import probe
from specs.probes.traces import usual_defaults

FORMS: dict[str, Callable[[list[torch.nn.Parameter]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "groups": lambda parameters: [{"params": parameters[:1]}, {"params": parameters[1:]}],
}
"""What an optimizer of torch may be given as its parameters."""


@probe
def by_hooks(
    kind: str, starts: list[Array], gradients: Gradients, options: dict[str, Any], removed: int
) -> dict[str, Any]:
    """Return every parameter after each step with hooks, and of each call of these [when, what had moved].

    What had moved is whether a parameter had since the step before. From step `removed` on the hooks are no
    longer registered.
    """
    with usual_defaults():
        parameters = made(starts)
        optimizer = optimizer_of(kind, parameters, options, None)
        found, calls = [], []
        before = seen(parameters)

        def note(when: str) -> None:
            moved = any(not np.array_equal(*pair) for pair in zip(seen(parameters), before, strict=True))
            calls.append([when, moved])

        hooks = [
            optimizer.register_step_pre_hook(lambda *_: note("before")),
            optimizer.register_step_post_hook(lambda *_: note("after")),
        ]
        for number, now in enumerate(gradients):
            if number == removed:
                for hook in hooks:
                    hook.remove()
            found += walk(optimizer, parameters, [now], None)
            before = found[-1]
        return {"path": found, "calls": calls}


@probe
def given_as(kind: str, starts: list[Array], gradients: Gradients, options: dict[str, Any], form: str) -> Any:
    """Return every parameter after each step of an optimizer that is given them in this form, see `FORMS`."""
    with usual_defaults():
        parameters = made(starts)
        make = getattr(imported("nanochat.optim"), kind)
        if form == "added later":
            optimizer = make(parameters[:1], **plain_options(options))
            optimizer.add_param_group({"params": parameters[1:]})
        else:
            optimizer = make(FORMS[form](parameters), **plain_options(options))
        return walk(optimizer, parameters, gradients, None)
