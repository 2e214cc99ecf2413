"""Optimizers with everything that is one number folded into one number (Kingma and Ba 2015, section 2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class NoMatrix(ValueError):
    """A parameter that Muon cannot take."""


class AdamW(torch.optim.Optimizer):
    """p -= lr sqrt(c2) / c1 * m / (sqrt(v) + eps sqrt(c2)): the corrections never touch a tensor."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        beta1, beta2 = betas
        super().__init__(
            params, {"lr": lr, "betas": (beta1, beta2), "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step."""
        loss = torch.enable_grad()(closure)() if closure else None
        for o in self.param_groups:
            for p in filter(lambda p: p.grad is not None, o["params"]):
                s = self.state[p]
                # Both averages in one flat tensor, and the powers of the betas in place of a count.
                averages = s.setdefault("averages", torch.zeros(2 * p.numel(), device=p.device))
                m, v = (part.view(p.shape) for part in averages.split(p.numel()))
                powers = s["powers"] = [
                    beta * power for beta, power in zip(o["betas"], s.get("powers", [1.0, 1.0]), strict=True)
                ]
                beta1, beta2 = o["betas"]
                m += (1 - beta1) * (p.grad - m)
                v += (1 - beta2) * (p.grad.square() - v)
                root = (1 - powers[1]) ** 0.5
                step = o["lr"] * root / (1 - powers[0])
                p -= o["lr"] * o["weight_decay"] * p
                p -= step * m / (v.sqrt() + o["eps"] * root)
        return loss


class Muon(torch.optim.Optimizer):
    """The matrix is never divided by its norm: the coefficients of the first polynomial are."""

    def __init__(
        self,
        params: Any,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take a group of matrices."""
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.dim() != 2:
                raise NoMatrix(f"a parameter with {p.dim()} dimensions is no matrix")

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step."""
        loss = torch.enable_grad()(closure)() if closure else None
        for o in self.param_groups:
            for p in filter(lambda p: p.grad is not None, o["params"]):
                new, old = 1 - o["momentum"], o["momentum"]
                m = self.state[p].get("m")
                m = self.state[p]["m"] = new * p.grad if m is None else old * m + new * p.grad
                u = old * m + new * p.grad if o["nesterov"] else m
                factor = -o["lr"] * max(p.size(0) / p.size(1), 1.0) ** 0.5
                p += newton_schulz(u, o["ns_steps"], factor)
        return loss


def newton_schulz(u: Tensor, steps: int, factor: float) -> Tensor:
    """Return factor times the nearly orthogonal matrix; scale and factor are in the coefficients."""
    if u.size(0) > u.size(1):
        return newton_schulz(u.T, steps, factor).T
    scale = 1.0 / (u.square().sum().sqrt().item() + 1e-7)
    for step in range(steps):
        last = factor if step == steps - 1 else 1.0
        a = (scale * u) @ (scale * u).T
        u = last * scale * (3.4445 * u + (2.0315 * a @ a - 4.7750 * a) @ u)
        scale = 1.0
    return u
