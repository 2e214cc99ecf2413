"""torch's own AdamW, and a Muon in the manner of torch.optim: gather, then one function for all tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["AdamW", "Muon"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
EPS = 1e-7


class AdamW(torch.optim.AdamW):
    """torch's, with its fused kernel unless another is asked for."""

    def __init__(self, params: Any, *arguments: Any, fused: bool = True, **options: Any) -> None:
        super().__init__(params, *arguments, fused=fused, **options)


class Muon(Optimizer):
    """Momentum orthogonalized by Newton-Schulz."""

    def __init__(
        self,
        params: Any,
        lr: float = 2e-2,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(f"Muon only supports 2D parameters, found one of size {p.size()}")

    def _init_group(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], bufs: list[Tensor]
    ) -> None:
        for p in group["params"]:
            if p.grad is None:
                continue
            params.append(p)
            grads.append(p.grad)
            state = self.state[p]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(p.grad, memory_format=torch.preserve_format)
            bufs.append(state["momentum_buffer"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Perform a single optimization step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params: list[Tensor] = []
            grads: list[Tensor] = []
            bufs: list[Tensor] = []
            self._init_group(group, params, grads, bufs)
            muon(
                params,
                grads,
                bufs,
                lr=group["lr"],
                momentum=group["momentum"],
                nesterov=group["nesterov"],
                ns_steps=group["ns_steps"],
            )
        return loss


def muon(
    params: list[Tensor],
    grads: list[Tensor],
    bufs: list[Tensor],
    *,
    lr: float,
    momentum: float,
    nesterov: bool,
    ns_steps: int,
) -> None:
    """Step each of the tensors."""
    for param, grad, buf in zip(params, grads, bufs, strict=True):
        buf.lerp_(grad, 1 - momentum)
        update = grad.lerp(buf, momentum) if nesterov else buf
        update = zeropower_via_newtonschulz(update, ns_steps)
        param.add_(update, alpha=-lr * max(1, param.size(0) / param.size(1)) ** 0.5)


def zeropower_via_newtonschulz(grad: Tensor, ns_steps: int) -> Tensor:
    """Return the orthogonalized gradient, by fused multiply-add products."""
    a, b, c = COEFFICIENTS
    ortho = grad.clone()
    if grad.size(0) > grad.size(1):
        ortho = ortho.T
    ortho.div_(ortho.norm().add_(EPS))
    for _ in range(ns_steps):
        gram = ortho @ ortho.T
        gram_update = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        ortho = torch.addmm(ortho, gram_update, ortho, beta=a)
    return ortho.T if grad.size(0) > grad.size(1) else ortho
