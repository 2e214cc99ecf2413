"""Witnesses of training and fine-tuning: steps, schedules, evaluations and loops of a small model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from grader.bugs.witnesses.setting import Modules, attempt, generator, some

Batch = tuple[Tensor, Tensor]

VOCABULARY = 13


class Pairs(nn.Module):
    """Says the next token from this one alone, and notes in which mode it was run."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = generator(seed)
        self.rows = nn.Parameter(torch.randn(VOCABULARY, 5, generator=rng) * 2)
        self.head = nn.Parameter(torch.randn(VOCABULARY, 5, generator=rng))
        self.loose = nn.Parameter(torch.randn(VOCABULARY, generator=rng))
        self.modes: list[bool] = []

    def forward(self, idx: Tensor, targets: Tensor | None = None, loss_reduction: str = "mean") -> Tensor:
        """Return logits, or the loss as that of a GPT."""
        self.modes.append(self.training)
        logits = F.embedding(idx, self.rows) @ self.head.T + self.loose
        if targets is None:
            return logits
        return F.cross_entropy(
            logits.reshape(-1, VOCABULARY), targets.reshape(-1), ignore_index=-1, reduction=loss_reduction
        )


def optimizers(model: Pairs) -> list[torch.optim.Optimizer]:
    """Return two optimizers that share out `rows` and `head`; `loose` belongs to none."""
    made: list[torch.optim.Optimizer] = [
        torch.optim.SGD([{"params": [model.rows], "initial_lr": 0.1}], lr=0.1),
        torch.optim.SGD(
            [{"params": [model.head], "initial_lr": 0.3}, {"params": [], "initial_lr": 0.2}], lr=0.3
        ),
    ]
    return made


def batch(seed: int, rows: int, columns: int, counting: int) -> Batch:
    """Return inputs and targets, of which the first `counting` count."""
    ids = torch.randint(0, VOCABULARY, (2, rows, columns), generator=generator(seed))
    targets = ids[1].clone()
    targets.view(-1)[counting:] = -1
    return ids[0].int(), targets


SHAPES: list[list[tuple[int, int, int]]] = [
    [(2, 3, 6)],
    [(2, 3, 6), (2, 3, 6)],
    [(2, 4, 8), (1, 5, 1), (1, 2, 2)],
    [(1, 3, 2), (1, 3, 0)],
    [(1, 3, 0)],
]


def steps(modules: Modules) -> Any:
    """Return losses, norms and parameters of train steps in several forms."""
    train = modules["train"]
    found: list[Any] = []
    for seed, shapes in enumerate(SHAPES * 2):
        for grad_clip in (None, 0.2, 1000.0):
            model = Pairs(seed)
            held = optimizers(model)
            model.rows.grad = torch.ones_like(model.rows)
            for time in range(2):
                cut = [batch(seed + time, *shape) for shape in shapes]
                micro: Any = iter(cut) if seed % 2 else cut
                limit = {} if grad_clip is None else {"grad_clip": grad_clip}
                found.append(attempt(lambda: list(train.train_step(model, held, micro, **limit))))  # noqa: B023  # called at once
                found += some(model.rows) + some(model.head) + some(model.loose)
    return found


def schedules(modules: Modules) -> Any:
    """Return the multipliers of whole trainings, what is refused, and learning rates set twice."""
    train = modules["train"]
    found: list[Any] = []
    for num_steps, warmup, warmdown, final in (
        (10, 0.3, 0.4, 0.1),
        (200, 0.1, 0.25, 0.0),
        (7, 0.0, 1.0, 0.5),
    ):
        for step in range(num_steps + 3):
            found.append(attempt(lambda: train.lr_multiplier(step, num_steps, warmup, warmdown, final)))  # noqa: B023  # called at once
    for arguments in ((3, 10, 0.7, 0.6), (3, 10, -0.1, 0.2), (-1, 10, 0.1, 0.2), (-2, 20)):
        found.append(attempt(lambda: train.lr_multiplier(*arguments)))  # noqa: B023  # called at once
    for seed in range(2):
        held = optimizers(Pairs(seed))
        for multiplier in (0.5, 0.25, 1.0):
            train.set_learning_rates(held, multiplier)
            found.append([group["lr"] for one in held for group in one.param_groups])
    return found


class Spoken:
    """A tokenizer whose conversations come with their ids and their mask."""

    def render_conversation(self, conversation: Any, max_tokens: int = 2048) -> tuple[list[int], list[int]]:
        """Return ids and mask."""
        return conversation["ids"][:max_tokens], conversation["mask"][:max_tokens]


def fine_tuning(modules: Modules) -> Any:
    """Return batches of conversations, their dtypes, what is refused, and how many were read first."""
    sft = modules["sft"]
    found: list[Any] = []
    for seed, sizes in enumerate(([5, 2, 9, 4, 4], [3, 3, 8])):
        talks = [
            {
                "ids": torch.randint(1, 40, (size,), generator=generator(seed + size)).tolist(),
                "mask": [(place * (seed + 2) // 3) % 2 for place in range(size - 1)] + [1],
            }
            for size in sizes
        ]
        for batch_size in (0, 1, 2, 5):
            for limit in (4, 2048):
                made = attempt(lambda: list(sft.sft_batches(talks, Spoken(), batch_size, limit)))  # noqa: B023  # called at once
                found.append(made if isinstance(made, str) else [described(one) for one in made])
    for count in (400, 500):
        taken: list[int] = []
        first = next(iter(sft.sft_batches(reading(count, taken), Spoken(), 2)))
        found.append([described(first), len(taken)])
    for zeros in ([0, 3, 0, 0, 5], [0, 0]):
        talks = [
            {"ids": [7, *zeros], "mask": [0, *(1 for _ in zeros)]},
            {"ids": [0, 7, 0, 8], "mask": [1] * 4},
        ]
        for made in sft.sft_batches(talks, Spoken(), 2):
            found.append(described(made))
        for made in sft.sft_batches(talks, Spoken(), 2, device="meta"):
            found.append([part.device.type for part in made])
    return found


def described(made: Sequence[Tensor]) -> list[Any]:
    """Return the numbers and the dtypes of a batch."""
    return [[part.tolist(), str(part.dtype)] for part in made]


def reading(count: int, taken: list[int]) -> Iterator[dict[str, Any]]:
    """Yield short conversations, and note each that is taken."""
    for number in range(count):
        taken.append(number)
        yield {"ids": [1, 2, 3], "mask": [0, 1, 1]}


def evaluations(modules: Modules) -> Any:
    """Return losses, bits per byte, and the mode and gradients that an evaluation leaves."""
    train = modules["train"]
    sizes = [1, 2, 3, 1, 2, 3, 1, 2, 0, 0, 1, 1, 7]
    found: list[Any] = []
    for seed, shapes in enumerate(SHAPES):
        for training in (True, False):
            model = Pairs(seed).train(training)
            batches = [batch(seed, *shape) for shape in shapes]
            found.append(attempt(lambda: train.evaluate(model, batches)))  # noqa: B023  # called at once
            found.append(attempt(lambda: train.evaluate_bits_per_byte(model, batches, sizes)))  # noqa: B023  # called at once
            found.append([model.training, model.modes, model.rows.grad is None])
            longer = [size * 40 for size in sizes]
            found.append(attempt(lambda: train.evaluate_bits_per_byte(model, batches, longer)))  # noqa: B023  # called at once
            torch.rand(1)
            before = torch.get_rng_state()
            train.evaluate(model, batches)
            found.append(torch.equal(before, torch.get_rng_state()))
            more = [(*one, {"epoch": 0}) for one in batches]
            found.append(attempt(lambda: train.evaluate(model, more)))  # noqa: B023  # called at once
            found.append([targets.tolist() for _, targets in batches])
    return found


def loops(modules: Modules) -> Any:
    """Return histories, events, modes and parameters of trainings."""
    train = modules["train"]
    found: list[Any] = []
    options: list[dict[str, Any]] = [
        {"grad_clip": 0.1},
        {"accumulation": 2, "warmup_ratio": 0.5, "validate_every": 2, "grad_clip": 0.2},
        {"accumulation": 3, "first_step": 1, "warmup_ratio": 0.6, "final_lr_frac": 0.5},
    ]
    for seed, chosen in enumerate(options):
        for available in (20, 5):
            model = Pairs(seed).train(bool(seed % 2))
            events: list[Any] = []
            history = attempt(lambda: loop(train, model, seed, available, events, chosen))  # noqa: B023  # called at once
            found += [history, events, model.training, model.modes, some(model.rows), some(model.head)]
    for seed in range(2):
        model = Pairs(seed)
        listed = [batch(seed + number, 2, 3, 6) for number in range(4)]
        found += [attempt(lambda: train.fit(model, optimizers(model), listed, 3)), some(model.rows)]  # noqa: B023  # called at once
    return found


def loop(
    train: Any, model: Pairs, seed: int, available: int, events: list[Any], options: dict[str, Any]
) -> Any:
    """Return the history of a training of five steps, and note what it takes."""

    def batches() -> Iterator[Batch]:
        for number in range(available):
            events.append(number)
            yield batch(seed + number, 2, 3, 6)

    def validation() -> list[Batch]:
        events.append("validation")
        return [batch(90, 2, 3, 6), batch(91, 2, 3, 1)]

    return train.fit(
        model,
        optimizers(model),
        batches(),
        5,
        validation=validation,
        on_step=lambda entry: events.append(["step", entry["step"]]),
        **options,
    )


def many(modules: Modules) -> Any:
    """Return what becomes of many batches, of one that comes again, and of a limit that is an integer."""
    train = modules["train"]
    found: list[Any] = []
    for seed in range(2):
        model, sizes = Pairs(seed), [1, 2, 3] * 4 + [7]
        small, large = batch(seed, 1, 2, 2), batch(seed + 1, 4, 5, 20)
        batches = [small] * 1200 + [large]
        found.append(attempt(lambda: train.evaluate(model, batches)))  # noqa: B023  # called at once
        found.append(attempt(lambda: train.evaluate_bits_per_byte(model, batches, sizes)))  # noqa: B023  # called at once
        with torch.no_grad():
            model.head.mul_(50)
        found.append(attempt(lambda: list(train.train_step(model, optimizers(model), [small] * 3, 1))))  # noqa: B023  # called at once
        found += some(model.rows) + some(model.head)
    return found
