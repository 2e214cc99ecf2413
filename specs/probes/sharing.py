"""Experiments on `GPT.setup_optimizers`: how it shares out the parameters. The model never runs."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from specs.probes.loading import imported
from specs.probes.optimizers import single
from specs.probes.registry import probe
from specs.probes.setting import torch_device
from specs.probes.signatures import called
from specs.probes.traces import usual_defaults
from specs.probes.values import values

Arrays = dict[str, NDArray[Any]]
ORDER = ["unembedding_lr", "embedding_lr", "matrix_lr", "weight_decay"]


@probe
def groups(
    config: dict[str, int],
    options: dict[str, float],
    earlier: dict[str, float] | None = None,
    frozen: str | None = None,
) -> dict[str, Any]:
    """Return the names of the model's parameters, and what each group of each optimizer holds.

    With `earlier`, optimizers have been made with these options before. Parameters whose name begins with
    `frozen` are not trained; "thawed" are the names of those that are afterwards.

    A group is its "kind" (Muon, AdamW or another class), its "parameters" by name, "lr" and "initial_lr"; a
    tensor that is no parameter of the model has the name "?".
    """
    with usual_defaults():
        model = model_of(config)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        still = [] if frozen is None else [name for name in names.values() if name.startswith(frozen)]
        for name in still:
            model.get_parameter(name).requires_grad_(False)
        if earlier is not None:
            model.setup_optimizers(**earlier)
        optimizers = model.setup_optimizers(**options)
        found = [
            {
                "kind": kind_of(optimizer),
                "parameters": [names.get(id(parameter), "?") for parameter in group["params"]],
                "lr": number(group["lr"]),
                "initial_lr": number(group.get("initial_lr")),
            }
            for optimizer in optimizers
            for group in optimizer.param_groups
        ]
        thawed = [name for name in still if model.get_parameter(name).requires_grad]
        return {"names": sorted(names.values()), "groups": found, "thawed": thawed}


@probe
def shapes(config: dict[str, int]) -> dict[str, list[int]]:
    """Return the shape of every parameter by its name."""
    return {name: list(parameter.shape) for name, parameter in model_of(config).named_parameters()}


@probe
def walk(
    config: dict[str, int],
    options: dict[str, float],
    starts: Arrays,
    gradients: list[Arrays],
    multipliers: list[float],
    times: int = 1,
    in_order: bool = False,
) -> list[Arrays]:
    """Return all parameters after each step of all optimizers, from `starts`, with the gradients given.

    Before a step the learning rate of every group is the one it was made with times the multiplier. With
    `times` above 1 optimizers are made so many times, and the last are used: the others have stepped with the
    gradients given last, at other rates. With `in_order`, options are given without their names.
    """
    with usual_defaults():
        model = model_of(config)
        parameters = dict(model.named_parameters())
        # In the order of the contract, whichever they came in.
        options = {name: options[name] for name in ORDER if name in options}
        for _ in range(times - 1):
            earlier = called(model.setup_optimizers, options, not in_order)
            make_step(earlier, parameters, gradients[-1])
            for group in (group for optimizer in earlier for group in optimizer.param_groups):
                group["lr"] *= 0.7
        with torch.no_grad():
            for name, start in starts.items():
                parameters[name].copy_(single(start))
        optimizers = called(model.setup_optimizers, options, not in_order)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        rates = [group["lr"] for group in groups]
        found = []
        for now, multiplier in zip(gradients, multipliers, strict=True):
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate * multiplier
            make_step(optimizers, parameters, now)
            found.append({name: values(parameter, name) for name, parameter in parameters.items()})
        return found


def make_step(optimizers: Any, parameters: dict[str, Any], gradients: Arrays) -> None:
    """Make a step of each optimizer with these gradients."""
    for name, gradient in gradients.items():
        parameters[name].grad = single(gradient)
    for optimizer in optimizers:
        optimizer.step()


@probe
def side_effects(config: dict[str, int], starts: Arrays) -> list[str]:
    """Return what making optimizers changed of the model."""
    with usual_defaults():
        model = model_of(config)
        before = dict(model.named_parameters())
        with torch.no_grad():
            for name, start in starts.items():
                before[name].copy_(single(start))
        training = model.training
        model.setup_optimizers()
        after = dict(model.named_parameters())
        changed = [name for name, parameter in before.items() if after.get(name) is not parameter]
        changed += [
            name for name, start in starts.items() if not torch.equal(after[name].detach(), single(start))
        ]
        changed += [
            f"whether {name} is trained" for name, parameter in after.items() if not parameter.requires_grad
        ]
        changed += [f"the gradient of {name}" for name, one in after.items() if one.grad is not None]
        return changed + ([] if model.training == training else ["the mode of the model"])


def model_of(config: dict[str, int]) -> Any:
    """Return the submission's GPT, not initialised: what is in its parameters matters to nobody here."""
    gpt = imported("nanochat.gpt")
    return gpt.GPT(gpt.GPTConfig(**config)).to(torch_device())


def kind_of(optimizer: Any) -> str:
    """Return "Muon" or "AdamW" for the submission's, torch's AdamW, and what is derived from them."""
    optim = imported("nanochat.optim")
    if isinstance(optim.Muon, type) and isinstance(optimizer, optim.Muon):
        return "Muon"
    if isinstance(optimizer, torch.optim.AdamW) or (
        isinstance(optim.AdamW, type) and isinstance(optimizer, optim.AdamW)
    ):
        return "AdamW"
    return type(optimizer).__name__


def number(value: Any) -> float | None:
    """Return a learning rate, which may be kept as a tensor; None if there is none."""
    return None if value is None else float(value)
