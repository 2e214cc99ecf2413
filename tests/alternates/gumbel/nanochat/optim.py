"""Optimizers that take many parameters at a time: AdamW by lists, Muon by stacks of matrices of one shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def with_gradient(group: dict[str, Any]) -> list[Any]:
    """Return the parameters of a group that have a gradient."""
    return [p for p in group["params"] if p.grad is not None]


class AdamW(Optimizer):
    """Every operation on all parameters of a group at once."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step."""
        loss = None
        if closure:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if weights := with_gradient(group):
                self.step_group(group, weights)
        return loss

    def step_group(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        """Make one step of the parameters of a group."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight].update(
                    step=torch.zeros(()), first=torch.zeros_like(weight), second=torch.zeros_like(weight)
                )
        steps, first, second = (
            [self.state[weight][name] for weight in weights] for name in ("step", "first", "second")
        )
        gradients = [weight.grad for weight in weights]
        beta1, beta2 = group["betas"]
        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_sqrt(second)
        torch._foreach_div_(roots, [(1 - beta2 ** step.item()) ** 0.5 for step in steps])
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        sizes = [-group["lr"] / (1 - beta1 ** step.item()) for step in steps]
        torch._foreach_addcdiv_(weights, first, roots, sizes)


class Muon(Optimizer):
    """Matrices of one shape and of one group make a batch of the iteration."""

    def __init__(
        self,
        params: Any,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        params = list(params)
        for group in params:
            given = group["params"] if isinstance(group, dict) else [group]
            for weight in [given] if isinstance(given, Tensor) else list(given):
                if weight.dim() != 2:
                    raise ValueError(f"Muon takes matrices, not {tuple(weight.shape)}")
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step."""
        loss = None
        if closure:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for stack in stacks(with_gradient(group)):
                self.step_stack(group, stack)
        return loss

    def step_stack(self, group: dict[str, Any], weights: list[Any]) -> None:
        """Make one step of matrices of one shape."""
        momentum = group["momentum"]
        gradients = torch.stack([weight.grad for weight in weights])
        averages = torch.stack(
            [self.state[weight].get("average", torch.zeros_like(weight)) for weight in weights]
        )
        averages = averages.lerp(gradients, 1 - momentum)
        for weight, average in zip(weights, averages.unbind(), strict=True):
            # Cloned: a view would keep, and save, the whole stack.
            self.state[weight]["average"] = average.clone()
        directions = gradients.lerp(averages, momentum) if group["nesterov"] else averages
        steps = orthogonal(directions, group["ns_steps"])
        rows, columns = weights[0].shape
        size = group["lr"] * max(1.0, rows / columns) ** 0.5
        torch._foreach_sub_(weights, list((size * steps).unbind()))


def stacks(weights: list[Any]) -> Iterator[list[Any]]:
    """Yield the parameters of each shape."""
    by_shape = defaultdict(list)
    for weight in weights:
        by_shape[weight.shape].append(weight)
    yield from by_shape.values()


def orthogonal(stack: Tensor, steps: int) -> Tensor:
    """Return the stack (matrices, rows, columns) with every matrix nearly orthogonal."""
    wide = stack if stack.size(-2) <= stack.size(-1) else stack.mT
    wide = wide / (wide.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(steps):
        gram = torch.bmm(wide, wide.mT)
        wide = 3.4445 * wide + torch.bmm(torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), wide)
    return wide if stack.size(-2) <= stack.size(-1) else wide.mT
