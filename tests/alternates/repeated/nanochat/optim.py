"""Optimizers as pure functions of value, gradient and memory; the classes only call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

Memory = dict[str, Tensor]
Rule = Callable[[Tensor, Tensor, Memory, dict[str, Any]], tuple[Tensor, Memory]]


class _ByRule(Optimizer):
    """Applies a rule to each parameter that has a gradient."""

    rule: Rule

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Replace values and memories by what the rule makes of them."""
        with torch.enable_grad():
            loss = closure() if closure else None
        pairs = [(weight, group) for group in self.param_groups for weight in group["params"]]
        for weight, group in pairs:
            if weight.grad is None:
                continue
            value, memory = type(self).rule(weight, weight.grad, self.state[weight], group)
            weight.copy_(value)
            self.state[weight] = memory
        return loss


def adamw(value: Tensor, gradient: Tensor, memory: Memory, o: dict[str, Any]) -> tuple[Tensor, Memory]:
    """One step of AdamW; the corrections are formed on the device, in float32."""
    t = memory.get("step", torch.zeros((), device=value.device)) + 1
    moments = memory.get("moments", torch.zeros(2, *value.shape, device=value.device))
    betas = torch.tensor(o["betas"], device=value.device)
    each = betas.view(2, *[1] * value.ndim)
    moments = each * moments + (1 - each) * torch.stack((gradient, gradient * gradient))
    mean, square = moments / (1 - each**t)
    decayed = value - o["lr"] * o["weight_decay"] * value
    return decayed - o["lr"] * mean / (torch.sqrt(square) + o["eps"]), {"step": t, "moments": moments}


def muon(value: Tensor, gradient: Tensor, memory: Memory, o: dict[str, Any]) -> tuple[Tensor, Memory]:
    """One step of Muon."""
    m = o["momentum"]
    average = m * memory.get("average", torch.zeros_like(value)) + (1 - m) * gradient
    direction = m * average + (1 - m) * gradient if o["nesterov"] else average
    rows, columns = value.shape
    factor = (rows / columns) ** 0.5 if rows > columns else 1.0
    return value - o["lr"] * factor * orthogonal(direction, o["ns_steps"]), {"average": average}


def orthogonal(x: Tensor, steps: int) -> Tensor:
    """x times a polynomial of x^T x or of x x^T, whichever is smaller; no transposition."""
    x = x / (torch.linalg.matrix_norm(x) + 1e-7)
    tall = x.size(0) > x.size(1)
    identity = torch.eye(min(x.shape), device=x.device)
    for _ in range(steps):
        square = x.mT @ x if tall else x @ x.mT
        polynomial = 3.4445 * identity + square @ (2.0315 * square - 4.7750 * identity)
        x = x @ polynomial if tall else polynomial @ x
    return x


class AdamW(_ByRule):
    """Adam with decoupled weight decay."""

    rule = staticmethod(adamw)

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})


class Muon(_ByRule):
    """Orthogonal momentum."""

    rule = staticmethod(muon)

    def __init__(
        self,
        params: Any,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps})
        wrong = [tuple(w.shape) for group in self.param_groups for w in group["params"] if w.dim() != 2]
        if wrong:
            raise ValueError(f"not matrices: {wrong}")
