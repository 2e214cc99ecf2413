"""The cells of level2.ipynb, in order. `python notebooks/build.py level2` runs them and writes the notebook.

A cell begins with a line `# %% name` (code) or `# %% [markdown] name` (text, each line a comment).
Edit this file, never the notebook.
"""
# ruff: noqa: E402  # each cell imports what it needs, so that a module that is broken spoils its own cells only

# %% [markdown] introduction
# # Level 2: training that depends neither on the size of a batch nor on an interruption
#
# **Objective.** Train a model so that neither the size of a batch nor an interruption changes what it learns.
# The package in `student/nanochat` nearly does: several of the criteria below do not hold yet. Find out which
# and why, and repair the code.
#
# **Acceptance criteria**
#
# | | criterion | what must hold |
# |---|---|---|
# | 1 | Accumulation | A step on several micro-batches is the step on all of them together. |
# | 2 | Schedule | Every step has the learning rate that the schedule says, to the last. |
# | 3 | Optimizers | Every parameter has one optimizer, the right one, and moves as the formulas say. |
# | 4 | Fine-tuning | The loss is taken on what the assistant must produce, and on nothing else. |
# | 5 | Loop | The loop takes the batches that it needs, and evaluates without a trace. |
# | 6 | Checkpoints | Training that was interrupted goes on as if it had never stopped. |
#
# **Time estimate:** 1-2 hours.
#
# **How to work**
#
# 1. Run all cells. Each section explains, makes an experiment with a picture, and ends with an acceptance
#    cell whose assertions must hold. The stored pictures show correct code: compare yours with them.
# 2. Edit `student/nanochat/*.py`. Then restart the kernel: Python does not read a changed module again.
# 3. Ask the grader, which tests far more than this notebook: `grader run --level 2`

# %% [markdown] setup
# ## Set-up
#
# Whatever lies in the submission's folder is what runs: the last assertion of this cell makes sure of it.

# %% setup-cell
import math
import os
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

root = next(
    folder
    for folder in [Path.cwd(), *Path.cwd().parents]
    if (folder / "notebooks" / "level2.ipynb").is_file() or (folder / "notebooks" / "level2.py").is_file()
)
submission = (root / os.environ.get("NANOCHAT_SUBMISSION", "student")).resolve()
sys.path.insert(0, str(submission))

import nanochat

assert Path(nanochat.__file__).resolve().parent == submission / "nanochat", (
    f"nanochat came from {nanochat.__file__} and not from {submission}: restart the kernel, and "
    "uninstall any other package of this name"
)

torch.set_num_threads(1)  # the models are so small that a second thread would only wait
plt.rcParams.update(
    {"figure.dpi": 80, "figure.constrained_layout.use": True, "axes.titlesize": 10, "axes.grid": False}
)
print(f"nanochat comes from {os.path.relpath(submission, root)}/")

# %% [markdown] helpers
# Some helpers. `attempt` is for experiments, which go on when the code under them raises; `must_run` is for
# acceptance cells, which do not. The model reads three bytes and guesses the next: small enough to train,
# and none of the submission's, so that its bugs do not mix with those of training.


# %% helpers-cell
def attempt(function, *arguments, **options):
    """Return (what the function returns, "") or (None, the exception in words)."""
    try:
        return function(*arguments, **options), ""
    except Exception as error:  # noqa: BLE001  # an experiment shows whatever happens
        return None, f"raised {type(error).__name__}"


def must_run(what, function, *arguments, **options):
    """Return what the function returns; an exception becomes a failed assertion that says what was asked."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


class Reader(nn.Module):
    """Guesses the next of `vocabulary` tokens from the last three."""

    def __init__(self, vocabulary=32, width=24, seed=0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.rows = nn.Parameter(torch.randn(3, vocabulary, width, generator=draw) * 0.5)
        self.head = nn.Parameter(torch.randn(vocabulary, width, generator=draw) / width**0.5)
        self.modes = []

    def forward(self, idx, targets=None, kv_cache=None, loss_reduction="mean"):
        del kv_cache  # each token is guessed from three, anew
        self.modes.append(self.training)
        x = sum(
            F.embedding(F.pad(idx.long(), (back, 0))[:, : idx.size(1)], self.rows[back]) for back in range(3)
        )
        logits = torch.tanh(x) @ self.head.T
        if targets is None:
            return logits
        return F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction=loss_reduction
        )


def random_batch(seed, rows, columns, counting=None):
    """Return inputs and targets of 32 tokens, of which the first `counting` targets count."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randint(0, 32, (rows, columns), generator=draw, dtype=torch.int32)
    targets = torch.randint(0, 32, (rows, columns), generator=draw)
    if counting is not None:
        targets.view(-1)[counting:] = -1
    return inputs, targets


def descent(model, lr=0.1):
    """Return plain gradient descent on all parameters, with its initial learning rate."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for group in optimizer.param_groups:
        group["initial_lr"] = lr
    return optimizer


def right_gradient(model, batches):
    """Return the gradient of the mean loss over all targets that count, as one vector."""
    counted = sum(int((targets != -1).sum()) for _, targets in batches)
    total = sum(model(inputs, targets, loss_reduction="sum") for inputs, targets in batches) / counted
    return torch.cat(
        [gradient.flatten() for gradient in torch.autograd.grad(total, list(model.parameters()))]
    )


def vector(model):
    """Return all parameters as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


# %% [markdown] accumulation
# ## 1. Gradient accumulation and clipping
#
# A batch that does not fit into memory is cut into micro-batches, whose gradients are added up before the
# optimizers move. With $n_i$ targets that count in micro-batch $i$, the gradient of the step is
#
# $$g = \frac{1}{\sum_i n_i} \sum_i \sum_{t \in i} \nabla \ell_t$$
#
# and not the mean of each micro-batch's mean. It is clipped once, when it is complete:
# $g \leftarrow g \cdot \min(1, c / \lVert g \rVert)$.
#
# **Experiment.** The same sixteen rows, cut into 1 to 16 micro-batches: the norm that `train_step` reports.

# %% accumulation-experiment
from nanochat import train

inputs, targets = random_batch(0, 16, 8, counting=100)
pieces = [1, 2, 4, 8, 16]
norms, problems = [], set()
for count in pieces:
    model = Reader()
    cut = list(zip(inputs.chunk(count), targets.chunk(count), strict=True))
    answer, problem = attempt(train.train_step, model, [descent(model)], cut)
    norms.append(answer[1] if answer else np.nan)
    problems |= {problem} - {""}
right = float(right_gradient(Reader(), [(inputs, targets)]).norm())
figure, axis = plt.subplots(figsize=(7, 3))
axis.axhline(right, color="gray", label="the norm of the whole batch's gradient")
axis.plot(pieces, norms, "o", label="train_step" + "".join(f": {problem}" for problem in sorted(problems)))
axis.set(title="The norm of the gradient", xlabel="micro-batches", ylabel="norm", ylim=(0, None))
axis.legend()
plt.show()

# %% [markdown] accumulation-look
# All points lie on the line: the cut does not matter.
#
# **Acceptance.** Gradient, loss and norm are those of all targets together, whatever the cut; one that is too
# long is clipped to the limit.

# %% accumulation-acceptance
for shapes in [[(4, 6, None)], [(2, 6, None)] * 3, [(2, 8, 16), (1, 4, 1), (1, 3, 0)]]:
    batches = [random_batch(place, *shape) for place, shape in enumerate(shapes)]
    for grad_clip in (None, 0.05):
        model, reference = Reader(), Reader()
        want = right_gradient(reference, batches)
        loss, norm = must_run("train_step", train.train_step, model, [descent(model)], batches, grad_clip)
        assert abs(norm - float(want.norm())) < 1e-3 * float(want.norm()), (
            f"train_step on {len(batches)} micro-batches says a norm of {norm:.4f}, wanted "
            f"{float(want.norm()):.4f}: by which number must every sum of losses be divided?"
        )
        if grad_clip is not None:
            want = want * min(1.0, grad_clip / float(want.norm()))
        moved = (vector(reference) - vector(model)) / 0.1
        assert float((moved - want).norm()) < 1e-3 * float(want.norm()), (
            f"on {len(batches)} micro-batches with grad_clip={grad_clip} parameters moved by a gradient of "
            f"length {float(moved.norm()):.4f}, wanted {float(want.norm()):.4f}"
        )
        counted = sum(int((targets != -1).sum()) for _, targets in batches)
        sums = sum(reference(*batch, loss_reduction="sum").item() for batch in batches)
        assert abs(loss - sums / counted) < 1e-4, (
            f"the loss reported is {loss:.4f}, wanted {sums / counted:.4f}"
        )
print("1. Accumulation: every assertion holds")

# %% [markdown] schedule
# ## 2. The learning-rate schedule
#
# A training of $N$ steps warms up in its first `round(warmup_ratio * N)` steps, $(s + 1) / \mathrm{warmup}$,
# stays at 1, and falls in its last `round(warmdown_ratio * N)` steps by equal amounts to `final_lr_frac`,
# which the last step, $N - 1$, has exactly.
#
# **Experiment.** Three schedules of a training of 100 steps, and a few steps beyond.

# %% schedule-experiment
figure, axis = plt.subplots(figsize=(7, 3))
for warmup, warmdown, final in [(0.1, 0.2, 0.0), (0.3, 0.5, 0.1), (0.0, 1.0, 0.5)]:
    curve, problem = attempt(
        lambda: [train.lr_multiplier(step, 100, warmup, warmdown, final) for step in range(110)]  # noqa: B023  # called at once
    )
    label = f"warm-up {warmup}, warm-down {warmdown}, to {final}" + (f": {problem}" if problem else "")
    axis.plot(curve or [], ".-", markersize=3, label=label)
axis.axvline(99, color="gray", linewidth=0.8)
axis.set(title="The multiplier of the learning rate", xlabel="step", ylabel="multiplier")
axis.legend(fontsize=8)
plt.show()

# %% [markdown] schedule-look
# **Acceptance.** Each step has its multiplier, and learning rates are the initial ones times it, however
# often they are set.

# %% schedule-acceptance
for steps, warmup, warmdown, final in [(10, 0.2, 0.3, 0.1), (200, 0.1, 0.25, 0.0), (50, 0.0, 1.0, 0.5)]:
    up, down = round(warmup * steps), round(warmdown * steps)
    for step in range(steps + 5):
        place = min(step, steps - 1)
        want = (place + 1) / up if place < up else 1.0
        if place >= steps - down:
            want = 1.0 - (1.0 - final) * (place - (steps - down) + 1) / down
        got = must_run("lr_multiplier", train.lr_multiplier, step, steps, warmup, warmdown, final)
        assert abs(got - want) < 1e-9, (
            f"step {step} of {steps} with warm-up {warmup}, warm-down {warmdown} to {final}: it is "
            f"{got:.4f}, wanted {want:.4f}"
        )
optimizer = descent(Reader(), lr=0.4)
for multiplier in (0.5, 0.5, 1.0):
    train.set_learning_rates([optimizer], multiplier)
    assert abs(optimizer.param_groups[0]["lr"] - 0.4 * multiplier) < 1e-9, (
        f"after the multiplier {multiplier} the learning rate is {optimizer.param_groups[0]['lr']}, wanted "
        f"{0.4 * multiplier}: the initial one times the multiplier, whatever was set before"
    )
print("2. Schedule: every assertion holds")

# %% [markdown] optimizers
# ## 3. Optimizers and parameter groups
#
# AdamW divides each number's smoothed gradient by the root of its smoothed square. Muon takes a matrix as a
# whole: it replaces the smoothed gradient by an almost orthogonal matrix near it, so that all directions move
# alike. Matrices of the blocks go to Muon, embedding and head to AdamW.
#
# **Experiment.** The singular values of a random gradient, and those of the step that Muon makes of it.

# %% optimizers-experiment
from nanochat import optim

gradient = torch.randn(24, 40, generator=torch.Generator().manual_seed(1))
parameter = nn.Parameter(torch.zeros(24, 40))
parameter.grad = gradient.clone()
_, problem = attempt(lambda: optim.Muon([parameter], lr=1.0).step())
figure, axis = plt.subplots(figsize=(7, 3))
spread = torch.linalg.svdvals(gradient)
axis.plot((spread / spread.mean()).numpy(), "o-", label="the gradient's, over their mean")
axis.plot(torch.linalg.svdvals(parameter.detach()).numpy(), "s-", label=f"the step's {problem}")
axis.set(title="Singular values before and after", xlabel="number", ylabel="singular value", ylim=(0, None))
axis.legend()
plt.show()

# %% [markdown] optimizers-look
# **Acceptance.** AdamW makes the steps of torch's AdamW, the singular values of Muon's are near 1, and every
# parameter of a model belongs to the right optimizer.

# %% optimizers-acceptance
ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)) for _ in range(2))
options = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-10, "weight_decay": 0.1}
mine, torchs = optim.AdamW([ours], **options), torch.optim.AdamW([theirs], **options)
for step in range(5):
    for one in (ours, theirs):
        one.grad = torch.sin(torch.arange(12.0).reshape(3, 4) + step)
    must_run("AdamW.step", mine.step)
    torchs.step()
assert float((ours - theirs).detach().abs().max()) < 1e-5, (
    "AdamW does not make the steps of torch.optim.AdamW"
)

values = torch.linalg.svdvals(parameter.detach())
assert 0.5 < float(values.min()) <= float(values.max()) < 1.5, (
    f"the step of Muon has singular values from {float(values.min()):.2f} to {float(values.max()):.2f}, "
    "wanted all near 1"
)

from nanochat.gpt import GPT, GPTConfig

gpt = GPT(GPTConfig(sequence_len=16, vocab_size=30, n_layer=2, n_head=2, n_kv_head=2, n_embd=16))
gpt.init_weights()
names = {id(parameter): name for name, parameter in gpt.named_parameters()}
held = {}
for optimizer in must_run("setup_optimizers", gpt.setup_optimizers):
    for group in optimizer.param_groups:
        for one in group["params"]:
            assert id(one) not in held, f"{names[id(one)]} belongs to two groups"
            held[id(one)] = isinstance(optimizer, optim.Muon)
for identity, name in names.items():
    assert identity in held, f"{name} belongs to no optimizer"
    assert held[identity] == (".h." in name), (
        f"{name} belongs to {'Muon' if held[identity] else 'AdamW'}: matrices of the blocks go to Muon, "
        "embedding and head to AdamW"
    )
print("3. Optimizers: every assertion holds")

# %% [markdown] finetuning
# ## 4. Fine-tuning on conversations
#
# A conversation is a row of tokens with a mask, 1 on what the assistant must produce. The target of each
# place is the token that follows, if the mask *of that token* is 1, and -1 if not. Shorter rows are padded at
# their end.
#
# **Experiment.** Two short conversations as a batch: what is read at each place, and what is learned there.


# %% finetuning-experiment
class Letters:
    """A tokenizer for which every character is a token; capitals are what the assistant must produce."""

    def render_conversation(self, conversation, max_tokens=2048):
        text = conversation["messages"][-1]["content"]
        return [ord(c) for c in text][:max_tokens], [int(c.isupper()) for c in text][:max_tokens]


def talk(text):
    return {"messages": [{"role": "user", "content": "-"}, {"role": "assistant", "content": text}]}


from nanochat import sft

talks = [talk("<what is it|ADOGE"), talk("<two|IIE")]
batches, problem = attempt(lambda: list(sft.sft_batches(talks, Letters(), 2)))
figure, axis = plt.subplots(figsize=(10, 2.4))
if problem:
    axis.set_title(problem)
else:
    inputs, targets = (part.tolist() for part in batches[0])
    for row, (read, learned) in enumerate(zip(inputs, targets, strict=True)):
        for place, (one, target) in enumerate(zip(read, learned, strict=True)):
            axis.add_patch(
                plt.Rectangle((place, -row), 0.95, 0.9, color="tab:blue" if target != -1 else "lightgray")
            )
            text = (chr(one) if one > 31 else "·") + (
                f"→{chr(target)}" if target != -1 and target > 31 else ""
            )
            axis.text(place + 0.45, -row + 0.4, text, ha="center", va="center", fontsize=9)
    axis.set(xlim=(0, len(inputs[0])), ylim=(-1.1, 1), yticks=[], xlabel="place in the row")
    axis.set_title("Blue: a target is learned at this place")
plt.show()

# %% [markdown] finetuning-look
# Blue begins at the last token of the question, where the first token of the answer must be written.
#
# **Acceptance.** Targets are exactly the tokens of the assistant, each at the place before it, and nothing of
# the padding.

# %% finetuning-acceptance
texts = ["abCDe", "ABc", "xYzZ", "qq", "mNOPQRst"]
rows = []
for inputs, targets in must_run(
    "sft_batches", lambda: list(sft.sft_batches([talk(text) for text in texts], Letters(), 2))
):
    assert (inputs.dtype, targets.dtype) == (torch.int32, torch.int64), "inputs are int32 and targets int64"
    rows += list(zip(inputs.tolist(), targets.tolist(), strict=True))
assert len(rows) == len(texts), f"{len(rows)} rows came of {len(texts)} conversations"
for text, (inputs, targets) in zip(texts, rows, strict=True):
    want = [ord(c) if c.isupper() else -1 for c in text[1:]]
    assert inputs[: len(want)] == [ord(c) for c in text[:-1]], f"the inputs of {text!r} are not its tokens"
    assert targets[: len(want)] == want, (
        f"the targets of {text!r} are {targets}, wanted {want}: the next token where it is a capital"
    )
    assert set(targets[len(want) :]) <= {-1}, f"padding behind {text!r} is learned: {targets}"
print("4. Fine-tuning: every assertion holds")

# %% [markdown] loop
# ## 5. The training loop and evaluation
#
# `fit` takes `accumulation` batches for each step, sets the learning rates, makes the step, and now and then
# evaluates on other data: in eval mode, without a gradient, and without a trace.
#
# **Experiment.** A real training of a few seconds: a model that reads three bytes learns the text that ships
# with this project.

# %% loop-experiment
stories = (root / "reference" / "data" / "stories.txt").read_text(encoding="utf-8")
text = torch.tensor([min(byte, 127) for byte in stories.encode()])
cut = len(text) * 9 // 10


def batches_of(part, seed):
    """Yield batches of (16, 32) bytes from random places of a part of the text, without end."""
    draw = torch.Generator().manual_seed(seed)
    while True:
        starts = torch.randint(0, len(part) - 33, (16,), generator=draw)
        windows = torch.stack([part[start : start + 33] for start in starts.tolist()])
        yield windows[:, :-1].int(), windows[:, 1:]


held_out = [batch for batch, _ in zip(batches_of(text[cut:], 1), range(4), strict=False)]
model = Reader(vocabulary=128, width=48)
adamw = torch.optim.AdamW(model.parameters(), lr=0.02)
adamw.param_groups[0]["initial_lr"] = 0.02
history, problem = attempt(
    train.fit,
    model,
    [adamw],
    batches_of(text[:cut], 2),
    150,
    warmup_ratio=0.05,
    warmdown_ratio=0.4,
    validation=lambda: held_out,
    validate_every=10,
)
figure, (left, right_axis) = plt.subplots(1, 2, figsize=(10, 3))
history = history or []
left.plot([entry["step"] for entry in history], [entry["loss"] for entry in history], label="training")
measured = [entry for entry in history if "validation_loss" in entry]
left.plot(
    [entry["step"] for entry in measured],
    [entry["validation_loss"] for entry in measured],
    "o-",
    label="validation",
)
left.axhline(math.log(128), color="gray", linewidth=0.8, label="guessing")
left.set(title=f"Loss {problem}", xlabel="step", ylabel="nats for each byte", ylim=(0, None))
left.legend()
right_axis.plot([entry["step"] for entry in history], [entry["grad_norm"] for entry in history])
right_axis.set(title="Norm of the gradient, before it is clipped to 1", xlabel="step", ylim=(0, None))
plt.show()

# %% [markdown] loop-look
# The loss falls from that of guessing, and validation falls with it.
#
# **Acceptance.** `fit` takes exactly the batches that it needs, evaluates in eval mode when it is due, gives
# the mode back, and its validation loss is the mean over targets.

# %% loop-acceptance
taken = []


def numbered():
    for number in range(20):
        taken.append(number)
        yield random_batch(number, 2, 4)


validation = [random_batch(50, 2, 4, counting=7), random_batch(51, 2, 4, counting=1)]
model = Reader().eval()
history = must_run(
    "fit",
    train.fit,
    model,
    [descent(model)],
    numbered(),
    5,
    accumulation=2,
    validation=lambda: validation,
    validate_every=2,
)
assert taken == list(range(10)), f"five steps of two batches took the batches {taken}, wanted 0 to 9"
assert [entry["step"] for entry in history] == list(range(5)), (
    "there must be an entry for each of the steps 0 to 4"
)
measured = [entry["step"] for entry in history if "validation_loss" in entry]
assert measured == [1, 3, 4], f"validation came after the steps {measured}, wanted 1, 3 and 4, the last"
assert model.modes.count(True) == 10, "the ten micro-batches must run in training mode, and nothing else"
assert model.training is False, "fit must give the model its mode back, which was eval"
with torch.no_grad():
    want = sum(float(model(*batch, loss_reduction="sum")) for batch in validation) / 8
got = history[-1]["validation_loss"]
assert abs(got - want) < 1e-4, f"the validation loss is {got:.4f}, wanted {want:.4f}, the mean over 8 targets"
model.train()
before = vector(model)
must_run("evaluate", train.evaluate, model, validation)
assert model.training, "evaluate left a model in eval mode that was in training mode"
assert torch.equal(before, vector(model)), "evaluate changed the parameters"
bits = must_run("evaluate_bits_per_byte", train.evaluate_bits_per_byte, model, validation, [1] * 31 + [3])
sizes = sum(
    3 if target == 31 else 1 for _, targets in validation for target in targets[targets != -1].tolist()
)
assert abs(bits - want * 8 / math.log(2) / sizes) < 1e-4, (
    "bits per byte: the losses over log(2) and over all bytes"
)
print("5. Loop: every assertion holds")

# %% [markdown] checkpoint
# ## 6. Checkpoints
#
# What the next step depends on: the parameters, what each optimizer remembers of earlier steps, the learning
# rates, the place in the data. Whatever is missing shows in the first step after a restart.
#
# **Experiment.** Twelve steps in one go, and the same with a checkpoint after six, loaded into another model.


# %% checkpoint-experiment
def made(seed):
    """Return a model and an optimizer with a memory."""
    model = Reader(seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    optimizer.param_groups[0]["initial_lr"] = 0.05
    return model, optimizer


def plain_steps(model, optimizer, numbers):
    """Make steps by torch alone, and return their losses."""
    losses = []
    for number in numbers:
        loss = model(*random_batch(number % 3, 4, 8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def interrupted(folder):
    """Return the losses of twelve steps with a checkpoint in the middle, the model, and what was loaded."""
    model, optimizer = made(0)
    losses = plain_steps(model, optimizer, range(6))
    train.save_checkpoint(folder, model, [optimizer], 6, {"epoch": 1, "token": 7})
    model, optimizer = made(9)
    loaded = train.load_checkpoint(folder, model, [optimizer])
    return losses + plain_steps(model, optimizer, range(6, 12)), model, loaded


model, optimizer = made(0)
straight = plain_steps(model, optimizer, range(12))
with tempfile.TemporaryDirectory() as folder:
    answer, problem = attempt(interrupted, folder)
figure, axis = plt.subplots(figsize=(7, 3))
axis.plot(straight, "o-", markersize=9, label="in one go")
axis.plot(answer[0] if answer else [], "s-", markersize=4, label=f"with a checkpoint after six {problem}")
axis.axvline(5.5, color="gray", linewidth=0.8)
axis.set(title="Loss", xlabel="step", ylabel="loss")
axis.legend()
plt.show()

# %% [markdown] checkpoint-look
# The two curves are one.
#
# **Acceptance.** After the checkpoint every loss and every parameter is the same, bit for bit.

# %% checkpoint-acceptance
with tempfile.TemporaryDirectory() as folder:
    losses, loaded_model, loaded = must_run("saving and loading", interrupted, Path(folder, "new", "folder"))
assert loaded == {"step": 6, "data_state": {"epoch": 1, "token": 7}}, f"load_checkpoint returned {loaded}"
assert losses == straight, "after the checkpoint the losses are others: what does the optimizer remember?"
assert torch.equal(vector(loaded_model), vector(model)), "after the checkpoint the parameters are others"
print("6. Checkpoints: every assertion holds")

# %% [markdown] summary
# ## What now
#
# If every acceptance cell passes, ask the grader, which draws its inputs at random and goes further in each
# criterion: `grader run --level 2` (with `--hints` if you are stuck).
