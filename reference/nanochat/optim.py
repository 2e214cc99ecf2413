"""The optimizers: AdamW for the embedding and the output layer, Muon for the matrices of the blocks.

AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) gives every number a step size of its own. Muon (Jordan
2024, kellerjordan.github.io/posts/muon) sees a matrix as what it is, a map: its step is as large in every
direction of the map, however lopsided the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

if TYPE_CHECKING:
    from nanochat.gpt import GPT

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5. Five steps bring every singular value from 0.01 to 1 near 1 (0.68 to 1.13);
they do not converge to 1 exactly, which would take more steps and gain nothing."""
WIDTH_OF_LEARNING_RATES = 768
"""The width of the model for which AdamW's learning rates were tuned."""


class AdamW(Optimizer):
    """Adam with weight decay that does not pass through the gradient; the same as `torch.optim.AdamW`."""

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
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]  # torch overloads it
        """Change every parameter that has a gradient; return what `closure` returns, if there is one."""
        loss = evaluated(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        lr, eps = group["lr"], group["eps"]
        beta1, beta2 = group["betas"]

        parameter.mul_(1 - lr * group["weight_decay"])
        mean, square = state["mean"], state["square"]
        mean.mul_(beta1).add_(gradient, alpha=1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)

        # Both averages begin at zero, so that after t steps they hold only 1 - beta^t of a whole average.
        unbiased_mean = mean / (1 - beta1 ** state["step"])
        unbiased_square = square / (1 - beta2 ** state["step"])
        parameter.addcdiv_(unbiased_mean, unbiased_square.sqrt() + eps, value=-lr)


class Muon(Optimizer):
    """Momentum, made orthogonal. For matrices only; anything else is a ValueError."""

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
        """Take another group, as the constructor does for each. ValueError if it holds what is no matrix."""
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if parameter.ndim != 2:
                self.param_groups.pop()
                raise ValueError(
                    f"Muon is for matrices and got a parameter of shape {tuple(parameter.shape)}; "
                    "give it to AdamW"
                )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]  # torch overloads it
        """Change every parameter that has a gradient; return what `closure` returns, if there is one."""
        loss = evaluated(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["average"] = torch.zeros_like(parameter)
        average = state["average"].lerp_(gradient, 1 - group["momentum"])
        # Nesterov looks one step ahead: the gradient counts once more, the average a little less.
        smoothed = gradient.lerp(average, group["momentum"]) if group["nesterov"] else average

        rows, columns = parameter.shape
        # An orthogonal tall matrix has entries of size 1/sqrt(rows): the factor makes its step as large, for
        # each output, as that of a square one.
        scale = max(1.0, rows / columns) ** 0.5
        parameter.add_(orthogonal(smoothed, group["ns_steps"]), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """Return the matrix with its singular vectors kept and its singular values brought near 1.

    By Newton-Schulz iteration: a polynomial of the matrix acts on its singular values alone, and takes matrix
    products only. Float32 throughout.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if tall else matrix  # the products below are of the size of the shorter side
    x = x / (x.norm() + 1e-7)  # no singular value above 1, where the polynomial would leave its range
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def make_optimizers(
    model: GPT, unembedding_lr: float, embedding_lr: float, matrix_lr: float, weight_decay: float
) -> list[Optimizer]:
    """Return [AdamW, Muon], which share out the parameters of `model`, each to one of them.

    The learning rates of AdamW are scaled with the width of the model: wider layers take smaller steps.
    """
    scale = (model.config.n_embd / WIDTH_OF_LEARNING_RATES) ** -0.5
    embedding = {"params": [model.transformer.wte.weight], "lr": embedding_lr * scale}
    head = {"params": [model.lm_head.weight], "lr": unembedding_lr * scale}
    matrices = list(model.transformer.h.parameters())

    adamw = AdamW([embedding, head], betas=(0.8, 0.95), eps=1e-10, weight_decay=weight_decay)
    muon = Muon(matrices, lr=matrix_lr)
    optimizers: list[Optimizer] = [adamw, muon]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            # For a schedule, which multiplies it and must not multiply its own product.
            group["initial_lr"] = group["lr"]
    return optimizers


def evaluated(closure: Callable[[], Any] | None) -> Any:
    """Return what `closure` returns, computed with gradients; None if there is none."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
