"""One rank of two: makes a train step of the reference on its own micro-batches, and prints what it got.

python two_ranks.py REFERENCE RANK RENDEZVOUS    (RANK "alone": all micro-batches in one process)
"""

from __future__ import annotations

import json
import sys

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, sys.argv[1])

from nanochat.train import train_step  # from the folder named

COUNTING = [[7, 0], [1]]
"""Targets that count, of eight, in the micro-batches of each rank."""


class Pairs(nn.Module):
    """A model of two matrices, and a third that only one rank's batches reach."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.rows = nn.Parameter(torch.randn(9, 4, generator=draw))
        self.head = nn.Parameter(torch.randn(9, 4, generator=draw))
        self.sometimes = nn.Parameter(torch.randn(9, generator=draw))
        self.never = nn.Parameter(torch.ones(2))

    def forward(self, idx: Tensor, targets: Tensor, loss_reduction: str = "mean") -> Tensor:
        logits = F.embedding(idx, self.rows) @ self.head.T
        if idx.size(0) == 1:
            logits = logits + self.sometimes
        return F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction=loss_reduction
        )


def micro_batches(rank: int) -> list[tuple[Tensor, Tensor]]:
    """Return the micro-batches of a rank; those of rank 1 have one row."""
    made = []
    for place, counting in enumerate(COUNTING[rank]):
        draw = torch.Generator().manual_seed(10 * rank + place)
        shape = (1, 8) if rank else (2, 4)
        inputs, targets = (torch.randint(0, 9, shape, generator=draw) for _ in range(2))
        targets.view(-1)[counting:] = -1
        made.append((inputs, targets))
    return made


def main() -> None:
    """Make two steps, the second with clipping, and print losses, norms and parameters as JSON."""
    rank = sys.argv[2]
    if rank != "alone":
        dist.init_process_group("gloo", init_method=f"file://{sys.argv[3]}", rank=int(rank), world_size=2)
    mine = micro_batches(0) + micro_batches(1) if rank == "alone" else micro_batches(int(rank))
    model = Pairs()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    answers = [train_step(model, [optimizer], mine, grad_clip) for grad_clip in (None, 0.1)]
    parameters = [parameter.flatten().tolist() for parameter in model.parameters()]
    print(json.dumps({"answers": answers, "parameters": parameters}))
    if rank != "alone":
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
