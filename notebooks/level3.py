"""The cells of level3.ipynb, in order. `python notebooks/build.py` runs them and writes the notebook.

A cell begins with a line `# %% name` (code) or `# %% [markdown] name` (text, each line a comment).
Edit this file, never the notebook.
"""
# ruff: noqa: E402  # each cell imports what it needs, so that a module that is broken spoils its own cells only

# %% [markdown] introduction
# # Level 3: a GPT that answers the same, piece by piece
#
# **Objective.** Make a GPT that answers the same whether it sees a text at once or piece by piece, in bounded
# memory. The package in `student/nanochat` nearly does: several of the criteria below do not hold yet. Find
# out which and why, and repair the code.
#
# **Acceptance criteria**
#
# | | criterion | what must hold |
# |---|---|---|
# | 1 | Rotary embeddings | The model handles long sequences correctly. |
# | 2 | Attention | A token attends to itself and what came before, in a model built of the right parts. |
# | 3 | Grouped queries | Fewer key/value heads than query heads are shared among the right queries. |
# | 4 | KV cache | Decoding in pieces gives what one pass over the text gives. |
# | 5 | Sampling | Tokens are drawn as logits, temperature and top-k say, row by row. |
# | 6 | Memory | Memory follows the tokens held, and generating again adds nothing. |
# | 7 | Tools | A result of the calculator is put into the text in the right order. |
#
# **Time estimate:** 2-3 hours.
#
# **How to work**
#
# 1. Run all cells. Each section explains, makes an experiment with a picture, and ends with an acceptance
#    cell whose assertions must hold. The stored pictures show correct code: compare yours with them.
# 2. Edit `student/nanochat/*.py`. Then restart the kernel: Python does not read a changed module again.
# 3. Ask the grader, which tests far more than this notebook: `grader run --level 3`
#
# `pytest --nbval notebooks/` runs the same cells from a terminal, and `NANOCHAT_SUBMISSION=my/folder` in the
# environment makes them use another package than the one in `student/`. What cells print or draw is not
# compared with what is stored: only exceptions count, so print in your code as much as you like.

# %% [markdown] setup
# ## Set-up
#
# Whatever lies in the submission's folder is what runs: the last assertion of this cell makes sure of it.

# %% setup-cell
import gc
import os
import sys
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

root = next(
    folder
    for folder in [Path.cwd(), *Path.cwd().parents]
    if (folder / "notebooks" / "level3.ipynb").is_file()
)
submission = (root / os.environ.get("NANOCHAT_SUBMISSION", "student")).resolve()
sys.path.insert(0, str(submission))

import nanochat

assert Path(nanochat.__file__).resolve().parent == submission / "nanochat", (
    f"nanochat came from {nanochat.__file__} and not from {submission}: restart the kernel, and "
    "uninstall any other package of this name"
)

torch.set_num_threads(1)  # the models are so small that a second thread would only wait
torch.set_float32_matmul_precision("highest")
torch.set_grad_enabled(False)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
plt.rcParams.update(
    {"figure.dpi": 80, "figure.constrained_layout.use": True, "axes.titlesize": 10, "axes.grid": False}
)
print(f"nanochat comes from {os.path.relpath(submission, root)}/, and models run on: {device.type}")

# %% [markdown] helpers
# Some helpers. `attempt` is for experiments, which go on when the code under them raises; `must_run` is for
# acceptance cells, which do not. Models get random weights of a size at which every part matters.


# %% helpers-cell
def attempt(function, *arguments):
    """Return (what the function returns, "") or (None, the exception in words)."""
    try:
        return function(*arguments), ""
    except Exception as error:  # noqa: BLE001  # an experiment shows whatever happens
        return None, f"raised {type(error).__name__}"


def must_run(what, function, *arguments):
    """Return what the function returns; an exception becomes a failed assertion that says what was asked."""
    try:
        return function(*arguments)
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


def numbers(values):
    """Return a tensor's numbers in NumPy float64."""
    return torch.as_tensor(values).detach().cpu().to(torch.float64).numpy()


def difference(got, want):
    """Return the largest absolute difference, infinite where shapes differ or a number is missing."""
    got, want = numbers(got), np.asarray(want, dtype=np.float64)
    if got.shape != want.shape:
        return np.inf
    return float(np.nan_to_num(np.abs(got - want), nan=np.inf).max())


def on_device(values):
    """Return NumPy numbers as a float32 tensor on the device."""
    return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)


def angle_tables(positions, head_dim):
    """Return the right cos and sin of rotary angles, each (positions, head_dim / 2), in float64."""
    speeds = 10000.0 ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.outer(np.arange(positions), speeds)
    return np.cos(angles), np.sin(angles)


def put_right_tables_in(model):
    """Overwrite the model's rotary tables with the right ones: then a section tests its own subject only."""
    head_dim = model.config.n_embd // model.config.n_head
    for buffer, right in zip((model.cos, model.sin), angle_tables(model.cos.size(1), head_dim), strict=True):
        if buffer.size(-1) == right.shape[-1]:  # section 1 complains if not
            buffer.copy_(on_device(right)[None, :, None, :])


def make_model(seed=0, right_tables=True, **sizes):
    """Return a GPT with random weights of standard deviation 1 / sqrt(inputs); embeddings have 1."""
    from nanochat.gpt import GPT, GPTConfig

    model = GPT(GPTConfig(**{"sequence_len": 64, "vocab_size": 48, **sizes}))
    model.init_weights()
    random = np.random.default_rng(seed)
    for name, parameter in sorted(model.named_parameters()):
        values = random.standard_normal(tuple(parameter.shape))
        if not name.endswith("wte.weight"):
            values /= np.sqrt(parameter.shape[1])
        parameter.copy_(torch.tensor(values, dtype=torch.float32))
    model.to(device).eval()
    if right_tables:
        put_right_tables_in(model)
    return model


def random_ids(seed, rows, length, vocab_size=48):
    """Return token ids (rows, length) on the device."""
    ids = np.random.default_rng(seed).integers(0, vocab_size, (rows, length))
    return torch.tensor(ids, dtype=torch.long, device=device)


# %% [markdown] rotary
# ## 1. Rotary embeddings and long sequences
#
# Attention by itself does not know in which order tokens stand. Rotary embeddings tell it by turning queries
# and keys: channel $i$ of a head and channel $i + D/2$ are the two coordinates of a point, and at position
# $p$ the point is turned by the angle
#
# $$\theta_{p,i} = p \cdot 10000^{-2i/D}, \qquad i = 0, \dots, D/2 - 1$$
#
# $$y_1 = x_1 \cos\theta + x_2 \sin\theta, \qquad y_2 = -x_1 \sin\theta + x_2 \cos\theta$$
#
# where $D$ is the number of channels of a head (`head_dim`). A score compares a query at $p$ with a key at
# $q$, and the angle between them depends on $p - q$ alone: shift a whole text, and attention answers the
# same. The pairs are the hands of a clock. The first turns by one radian a token and tells neighbours apart;
# the last is $10000^{(D-2)/D}$ times slower and tells far positions apart.
#
# **Experiment.** The same 20 token vectors are given to attention at five different offsets. Beside that are
# the table of angles that the model holds, and the speed of each pair, read off that table.

# %% rotary-experiment
offsets = [0, 50, 100, 150, 200]
model = make_model(right_tables=False, sequence_len=256, n_layer=1, n_head=2, n_kv_head=2, n_embd=64)
x = on_device(np.random.default_rng(1).standard_normal((1, 20, 64)))


def attention_at(offset):
    cos_sin = model.cos[:, offset : offset + 20], model.sin[:, offset : offset + 20]
    return numbers(model.transformer.h[0].attn(x, cos_sin, None))[0]


figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.4))
for size, offset in zip((17, 13.5, 10, 6.5, 3), offsets, strict=True):
    output, problem = attempt(attention_at, offset)
    if problem:
        left.plot([], label=f"position {offset}: {problem}")
    else:
        left.plot(output[-1, :8], "o-", markersize=size, label=f"position {offset}")
left.legend(fontsize=8)
left.set(title="Attention output of the last of 20 tokens", xlabel="channel", ylabel="output")

image = middle.imshow(numbers(model.cos)[0, :, 0, :], aspect="auto", cmap="RdBu", vmin=-1, vmax=1)
figure.colorbar(image, ax=middle)
middle.set(title="The model's table: cosine of the angle", xlabel="pair of channels", ylabel="position")
middle.set_xticks(range(0, 16, 3))

cosine, sine = (numbers(table)[0, 1, 0, :] for table in (model.cos, model.sin))
pairs = np.arange(cosine.size)
right.semilogy(pairs, 10000.0 ** (-pairs / cosine.size), "-", color="gray", label="by the formula")
right.semilogy(pairs, np.arctan2(sine, cosine), "o", label="in the model's table")
right.legend()
right.set(title="Speed of each pair", xlabel="pair of channels", ylabel="radians from one token to the next")
right.set_xticks(range(0, 16, 3))
plt.show()

# %% [markdown] rotary-look
# The five curves lie on each other, and would do so with other speeds too: a table of wrong angles still
# encodes distances, only other ones. So a shift finds tables that are not linear in the position, and the
# comparison with the formula finds the rest.
#
# **Acceptance.** The table holds the angles of the formula, `apply_rotary_emb` turns by them, attention does
# not notice a shift, and a long text gets the logits that it gets with the right table.

# %% rotary-acceptance
from nanochat.gpt import apply_rotary_emb

for positions, n_embd in [(8, 8), (1024, 16), (300, 64), (1000, 128)]:
    model = make_model(
        right_tables=False, sequence_len=positions, n_layer=1, n_head=2, n_kv_head=2, n_embd=n_embd
    )
    for name, buffer, right in zip(
        ("cos", "sin"), (model.cos, model.sin), angle_tables(positions, n_embd // 2), strict=True
    ):
        got = numbers(buffer)
        half = n_embd // 4
        assert got.shape == (1, max(positions, *got.shape[1:2]), 1, half), (
            f"model.{name} has the shape {got.shape}; wanted (1, at least {positions}, 1, {half})"
        )
        wrong = np.argwhere(~(np.abs(got[0, :positions, 0] - right) <= 1e-3))
        assert wrong.size == 0, (
            f"model.{name} for heads of {n_embd // 2} channels: at position {wrong[0][0]}, pair "
            f"{wrong[0][1]} it holds {got[0, wrong[0][0], 0, wrong[0][1]]:.5f} where "
            f"{name}(p * 10000**(-2i/D)) is "
            f"{right[tuple(wrong[0])]:.5f}; what does the exponent come to for the last pair?"
        )

heads = np.random.default_rng(2).standard_normal((2, 30, 3, 16))
cosine, sine = (table[None, :, None, :] for table in angle_tables(30, 16))
x1, x2 = heads[..., :8], heads[..., 8:]
turned = np.concatenate([x1 * cosine + x2 * sine, -x1 * sine + x2 * cosine], axis=-1)
got = apply_rotary_emb(on_device(heads), on_device(cosine), on_device(sine))
assert difference(got, turned) < 1e-4, (
    f"apply_rotary_emb is off by {difference(got, turned):.2g}: channel i makes a pair with channel i + D/2, "
    "y1 = x1 cos + x2 sin, y2 = -x1 sin + x2 cos"
)

model = make_model(3, right_tables=False, sequence_len=512, n_layer=1, n_head=2, n_kv_head=2, n_embd=32)
x = on_device(np.random.default_rng(4).standard_normal((2, 20, 32)))
outputs = [
    numbers(model.transformer.h[0].attn(x, (model.cos[:, p : p + 20], model.sin[:, p : p + 20]), None))
    for p in (0, 1, 50, 200, 492)
]
for offset, output in zip((1, 50, 200, 492), outputs[1:], strict=True):
    assert difference(output, outputs[0]) < 5e-3, (
        f"20 tokens at position {offset} get another attention output than at position 0: the angle between "
        "two tokens must depend on their distance alone, so angles must be proportional to the position"
    )

ids = random_ids(5, 1, 512)
own = numbers(model(ids))
put_right_tables_in(model)
assert difference(own, numbers(model(ids))) < 1e-2, (
    "the logits of a text of 512 tokens are not those that the right rotary table gives"
)
print("1. Rotary embeddings: every assertion holds")

# %% [markdown] attention
# ## 2. Attention and architecture
#
# Token $i$ scores every token $j$ up to itself and takes the mean of their values, weighted by a softmax:
#
# $$A_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt{D})}{\sum_{j' \le i} \exp(q_i \cdot k_{j'} / \sqrt{D})}
# \quad (j \le i), \qquad y_i = \sum_{j \le i} A_{ij}\, v_j$$
#
# $q$ and $k$ are turned first and normalised then, $x / \sqrt{\mathrm{mean}(x^2)}$. The whole model:
#
# - $x$ = the normalised embedding
# - for each block: $x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x))$, then
#   $x \leftarrow x + W_2\, \mathrm{relu}(W_1\, \mathrm{norm}(x))^2$
# - logits $z = W\, \mathrm{norm}(x)$, capped smoothly: $15 \tanh(z / 15)$
#
# The next cell writes this out in NumPy, slowly and for one text. It is the yardstick of this section and the
# next one; it uses the right rotary tables, and so do the models there.


# %% by-hand
def normalised(x):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-7)


def turned_by_hand(x, cos, sin):
    x1, x2 = np.split(x, 2, axis=-1)
    return np.concatenate([x1 * cos + x2 * sin, -x1 * sin + x2 * cos], axis=-1)


def weights_by_hand(attn, x, n_head, n_kv_head):
    """Return the attention weights (heads, T, T) of one text `x` (T, C)."""
    T, C = x.shape
    D = C // n_head
    q = (x @ numbers(attn.c_q.weight).T).reshape(T, n_head, D)
    k = (x @ numbers(attn.c_k.weight).T).reshape(T, n_kv_head, D)
    cos, sin = angle_tables(T, D)
    weights = np.zeros((n_head, T, T))
    for h in range(n_head):
        g = h // (n_head // n_kv_head)  # the key/value head that query head h reads
        q_h = normalised(turned_by_hand(q[:, h], cos, sin))
        k_g = normalised(turned_by_hand(k[:, g], cos, sin))
        scores = np.exp(q_h @ k_g.T / np.sqrt(D)) * np.tri(T)
        weights[h] = scores / scores.sum(axis=-1, keepdims=True)
    return weights


def attention_by_hand(attn, x, n_head, n_kv_head):
    """Return attention's output (T, C) for one text `x` (T, C)."""
    T, C = x.shape
    v = (x @ numbers(attn.c_v.weight).T).reshape(T, n_kv_head, C // n_head)
    weights = weights_by_hand(attn, x, n_head, n_kv_head)
    heads = [weights[h] @ v[:, h // (n_head // n_kv_head)] for h in range(n_head)]
    return np.concatenate(heads, axis=-1) @ numbers(attn.c_proj.weight).T


def logits_by_hand(model, ids):
    """Return the logits (T, V) of one text of ids."""
    config = model.config
    x = normalised(numbers(model.transformer.wte.weight)[ids.cpu().numpy()])
    for block in model.transformer.h:
        x = x + attention_by_hand(block.attn, normalised(x), config.n_head, config.n_kv_head)
        hidden = np.maximum(normalised(x) @ numbers(block.mlp.c_fc.weight).T, 0) ** 2
        x = x + hidden @ numbers(block.mlp.c_proj.weight).T
    return 15 * np.tanh(normalised(x) @ numbers(model.lm_head.weight).T / 15)


def right_tables(T, D):
    """Return the right (cos, sin) for T positions, as attention takes them."""
    cos, sin = (on_device(table)[None, :, None, :] for table in angle_tables(T, D))
    return cos, sin


# %% [markdown] attention-trick
# **Experiment.** Fused attention does not hand out its weights, but they can be read off: choose the value
# projection such that token $j$ has the value $(0, \dots, 1, \dots, 0)$ with the 1 at place $j$. A mean of
# such values, weighted by $A_{ij}$, *is* row $i$ of $A$. On the right, what becomes of other tokens' outputs
# when one token changes.

# %% attention-experiment
T, C = 16, 64
model = make_model(6, n_layer=1, n_head=4, n_kv_head=4, n_embd=C)
attn = model.transformer.h[0].attn
x = np.random.default_rng(7).standard_normal((T, C))


def measured_weights(attn, x, n_head):
    """Return attention's weights (heads, T, T) by giving token j the j-th unit vector as its value."""
    T, C = x.shape
    values = np.tile(np.eye(T, C // n_head), (1, n_head))
    attn.c_v.weight.copy_(on_device(np.linalg.pinv(x) @ values).T)
    attn.c_proj.weight.copy_(on_device(np.eye(C)))
    output = numbers(attn(on_device(x)[None], right_tables(T, C // n_head), None))[0]
    return output.reshape(T, n_head, -1).transpose(1, 0, 2)[:, :, :T]


def influence(attn, x, n_head):
    """Return (T, T): how much output i changes when token j does."""
    T, C = x.shape
    cos_sin = right_tables(T, C // n_head)
    before = numbers(attn(on_device(x)[None], cos_sin, None))[0]
    changes = []
    for j in range(T):
        other = x.copy()
        other[j] = np.random.default_rng(j).standard_normal(C)
        changes.append(
            np.linalg.norm(numbers(attn(on_device(other)[None], cos_sin, None))[0] - before, axis=-1)
        )
    return np.array(changes).T


figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
measured, problem = attempt(measured_weights, attn, x, 4)
for axis, head in zip(axes[:2], (0, 1), strict=True):
    image = axis.imshow(np.zeros((T, T)) if problem else measured[head], cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis)
    axis.set(title=f"Attention weights of head {head} {problem}", xlabel="token that is read", ylabel="token")
changed, problem = attempt(influence, attn, x, 4)
image = axes[2].imshow(np.zeros((T, T)) if problem else changed, cmap="magma")
figure.colorbar(image, ax=axes[2])
axes[2].set(
    title=f"Change of the output {problem}",
    xlabel="token that was changed",
    ylabel="token whose output it is",
)
plt.show()

# %% [markdown] attention-look
# Above the diagonal both pictures are empty: no token reads what comes after it, and changing the last token
# changes the last output only.
#
# **Acceptance.** The weights are those of the formula; nothing flows backwards; logits and loss are those of
# the model written by hand; logits stay within the cap.

# %% attention-acceptance
for n_head, seed in [(4, 8), (2, 9), (1, 10)]:
    model = make_model(seed, n_layer=1, n_head=n_head, n_kv_head=n_head, n_embd=64)
    attn = model.transformer.h[0].attn
    x = np.random.default_rng(seed).standard_normal((T, C))
    want = weights_by_hand(attn, x, n_head, n_head)
    got = must_run(f"attention with {n_head} heads", measured_weights, attn, x, n_head)
    assert difference(np.triu(got, 1), np.zeros_like(got)) < 1e-3, (
        f"with {n_head} heads a token gives a weight of {np.abs(np.triu(got, 1)).max():.2g} to a later one; "
        "attention must be causal"
    )
    assert difference(got, want) < 1e-3, (
        f"with {n_head} heads attention weights are off by {difference(got, want):.2g}: they are the softmax "
        "of q.k / sqrt(D), of queries and keys that were turned first and normalised then"
    )

model = make_model(11, n_layer=2, n_head=4, n_kv_head=4, n_embd=32)
ids = random_ids(12, 2, 30)
logits = model(ids)
assert logits.dtype == torch.float32, f"logits are {logits.dtype}, wanted torch.float32"
for row in range(2):
    off = difference(logits[row], logits_by_hand(model, ids[row]))
    assert off < 1e-3, (
        f"the logits of row {row} are off by {off:.2g}: go through the list above, part by part (norms, "
        "residual stream, the square of relu, the cap)"
    )

one = model(ids[:1, :1])
assert difference(one, numbers(logits)[:1, :1]) < 1e-3, (
    "a text of one token gets other logits than the first of thirty: T = 1 is a legal length, also without a "
    "cache"
)

changed = ids.clone()
changed[:, 20] = (changed[:, 20] + 1) % 48
assert difference(model(changed)[:, :20], numbers(logits)[:, :20]) < 1e-3, (
    "changing token 20 changes the logits of tokens before it"
)

log_probabilities = numbers(torch.log_softmax(logits.double(), dim=-1))
targets = random_ids(13, 2, 30)
targets[0, 5:12] = -1
chosen = [
    -log_probabilities[row, t, targets[row, t]]
    for row in range(2)
    for t in range(30)
    if targets[row, t] != -1
]
loss = float(model(ids, targets))
assert abs(loss - np.mean(chosen)) < 1e-3, (
    f"the loss is {loss:.5f} and should be {np.mean(chosen):.5f}: the mean of -log p over the targets "
    "that are not -1"
)

model.lm_head.weight.mul_(100)
loud = model(ids)
assert difference(loud[0], logits_by_hand(model, ids[0])) < 1e-2, (
    f"with a loud output layer the largest logit is {float(loud.abs().max()):.2f}; the cap is 15 tanh(z / 15)"
)
print("2. Attention: every assertion holds")

# %% [markdown] grouped
# ## 3. Grouped-query attention
#
# Keys and values are what a cache must hold, so it pays to have fewer heads of them than of queries. With
# $H$ query heads and $G$ key/value heads, groups of $H / G$ neighbouring query heads share one:
#
# $$\text{query head } h \text{ reads key/value head } \left\lfloor \frac{h}{H / G} \right\rfloor$$
#
# $G = H$ is ordinary attention, $G = 1$ is called multi-query attention. The shapes are
# $q: (B, H, T, D)$ and $k, v: (B, G, T, D)$; somewhere each key/value head must meet several query heads.
#
# **Experiment.** The shapes that the projections make of one text, with 8 query heads and 4 key/value heads.
# Then, for $G = 8, 4, 2, 1$: change the values of one key/value head and look which query heads notice. (The
# output projection is the identity here, so that the output still shows the heads apart.)


# %% grouped-experiment
def grouped_attention(n_kv_head, seed=14):
    model = make_model(seed, n_layer=1, n_head=8, n_kv_head=n_kv_head, n_embd=64)
    attn = model.transformer.h[0].attn
    attn.c_proj.weight.copy_(on_device(np.eye(64)))
    return attn


def who_reads_whom(n_kv_head):
    """Return (query heads, key/value heads): how much each query head changes when a value head does."""
    attn = grouped_attention(n_kv_head)
    x = on_device(np.random.default_rng(15).standard_normal((1, 10, 64)))
    before = attn(x, right_tables(10, 8), None)
    columns = []
    for g in range(n_kv_head):
        saved = attn.c_v.weight.clone()
        attn.c_v.weight[8 * g : 8 * (g + 1)] *= -1
        change = attn(x, right_tables(10, 8), None) - before
        attn.c_v.weight.copy_(saved)
        columns.append(numbers(change).reshape(10, 8, 8).std(axis=(0, 2)))
    return np.array(columns).T


attn = grouped_attention(4)
x = on_device(np.random.default_rng(15).standard_normal((1, 10, 64)))
for name, projection, heads in [("q", attn.c_q, 8), ("k", attn.c_k, 4), ("v", attn.c_v, 4)]:
    print(f"{name}: {tuple(projection(x).shape)} is (B=1, H={heads}, T=10, D=8)")

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), width_ratios=[8, 5, 4, 3])
for axis, n_kv_head in zip(axes, (8, 4, 2, 1), strict=True):
    heard, problem = attempt(who_reads_whom, n_kv_head)
    axis.imshow(np.zeros((8, n_kv_head)) if problem else heard, cmap="viridis", aspect="auto", vmin=0)
    axis.set(title=f"G = {n_kv_head}", xlabel="key/value head", xticks=range(n_kv_head), yticks=range(8))
    if problem:
        axis.text((n_kv_head - 1) / 2, 3.5, problem, color="white", ha="center", va="center", rotation=90)
    print(f"8 query heads on {n_kv_head} key/value heads: {problem or 'runs'}")
axes[0].set_ylabel("query head")
figure.suptitle("Which query heads notice a change of which key/value head", fontsize=11)
plt.show()

# %% [markdown] grouped-look
# A staircase: each key/value head is heard by its own group and by nobody else. Two of these four cases say
# little about the code that does the sharing: with $G = 8$ there is nothing to share, and with $G = 1$
# tensors broadcast by themselves.
#
# **Acceptance.** For several numbers of heads: the logits are those of the model by hand, a grouped model
# equals the full one in which each key/value head was written out once for each query head of its group, and
# a cache holds $G$ heads.

# %% grouped-acceptance
from nanochat.engine import KVCache

for n_head, n_kv_head in [(8, 8), (8, 4), (8, 2), (8, 1), (6, 3), (6, 2)]:
    heads = f"{n_head} query heads on {n_kv_head} key/value heads"
    sizes = {"n_layer": 1, "n_head": n_head, "n_embd": 8 * n_head}
    model = make_model(16, n_kv_head=n_kv_head, **sizes)
    ids = random_ids(17, 2, 12)
    logits = must_run(f"a model of {heads}", model, ids)
    off = difference(logits[0], logits_by_hand(model, ids[0]))
    assert off < 1e-3, (
        f"{heads}: the logits are off by {off:.2g}. Query head h must read key/value head "
        f"h // {n_head // n_kv_head}: which head does each read?"
    )

    full = make_model(16, n_kv_head=n_head, **sizes)
    parameters = dict(model.named_parameters())
    for name, parameter in full.named_parameters():
        own = parameters[name]
        if name.endswith(("c_k.weight", "c_v.weight")):
            each = own.view(n_kv_head, 8, -1)
            own = each.repeat_interleave(n_head // n_kv_head, dim=0).reshape(parameter.shape)
        parameter.copy_(own)
    assert difference(logits, numbers(full(ids))) < 1e-3, (
        f"{heads} do not answer like {n_head} full heads, the shared keys and values written out for each"
    )

    cache = KVCache(batch_size=2, num_heads=n_kv_head, seq_len=32, head_dim=8, num_layers=1)
    pieces = [ids[:, :5], ids[:, 5:6], ids[:, 6:12]]
    cached = [must_run(f"{heads} with a cache of {n_kv_head} heads", model, p, None, cache) for p in pieces]
    assert difference(torch.cat(cached, dim=1), numbers(logits)) < 1e-3, (
        f"{heads}: with a cache the logits are others than without"
    )
print("3. Grouped-query attention: every assertion holds")

# %% [markdown] cache
# ## 4. The KV cache
#
# To write token $t + 1$ a model needs keys and values of all tokens before it. They never change once they
# are computed, so a cache keeps them, and each new token is all that must go through the model:
#
# $$\mathrm{logits}(x_{1..T}) \;=\; \big[\,\mathrm{logits}(x_{1..a}),\;
# \mathrm{logits}(x_{a+1..b} \mid \mathrm{cache}),\; \dots\,\big] \quad \text{for every way to cut the text}$$
#
# One pass visits all layers in turn: each inserts keys and values *of the same tokens*, at the same
# positions. So there is one question to ask about a cache: from when on does a token count as held?
# `get_pos()` is the answer, and rotary angles and causal masks hang on it.
#
# **Experiment.** A text of 24 tokens in one pass, and in pieces through a cache: how far apart are the
# logits, in models of one, two and three layers?

# %% cache-experiment
from nanochat.engine import KVCache


def cache_for(model, rows, seq_len=64):
    config = model.config
    return KVCache(
        batch_size=rows,
        num_heads=config.n_kv_head,
        seq_len=seq_len,
        head_dim=config.n_embd // config.n_head,
        num_layers=config.n_layer,
    )


def logits_in_pieces(model, ids, cuts, cache):
    """Return the logits of `ids` (rows, T) put through the cache in pieces of the lengths `cuts`."""
    pieces = torch.split(ids, list(cuts), dim=1)
    return torch.cat([model(piece, kv_cache=cache) for piece in pieces], dim=1)


ways = {"one by one": [1] * 24, "8 + 8 + 8": [8] * 3, "16, then one by one": [16] + [1] * 8}
figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), sharey=True)
for axis, n_layer in zip(axes, (1, 2, 3), strict=True):
    model = make_model(18, right_tables=False, n_layer=n_layer, n_head=2, n_kv_head=2, n_embd=32)
    ids = random_ids(19, 1, 24)
    at_once = numbers(model(ids))
    for (way, cuts), marker in zip(ways.items(), "osd", strict=True):
        logits, problem = attempt(logits_in_pieces, model, ids, cuts, cache_for(model, 1))
        if problem:
            axis.plot([], marker, label=f"{way}: {problem}")
        else:
            # 10 where the logits are no numbers
            apart = np.nan_to_num(np.abs(numbers(logits) - at_once), nan=10).max(axis=(0, 2))
            axis.semilogy(np.maximum(apart, 1e-8), marker, label=way, alpha=0.7)
        print(f"layers: {n_layer}, {way}: {problem or ('equal' if apart.max() < 1e-3 else 'apart')}")
    axis.axhline(1e-3, color="gray", linestyle="--", label="what acceptance allows")
    axis.set(title=f"{n_layer} layer{'s' * (n_layer > 1)}", xlabel="position", ylim=(3e-9, 100))
    axis.legend(fontsize=8, loc="center right")
axes[0].set_ylabel("largest difference of logits")
figure.suptitle("Cached against uncached logits", fontsize=11)
plt.show()

# %% [markdown] cache-look
# What is left is rounding: float32 has seven digits, and sums are taken in another order. (Points at
# $10^{-8}$ stand for no difference at all.)
#
# **Acceptance.** Every way to cut a short text, and some of a long one that makes the cache grow, give the
# logits of one pass; the position counts what every layer holds; a cache that was reset is as good as new;
# `prefill` copies a cache of one row into all rows of another.

# %% cache-acceptance
from itertools import product

for n_layer in (1, 2, 3):
    model = make_model(20, right_tables=False, n_layer=n_layer, n_head=2, n_kv_head=2, n_embd=32)
    ids = random_ids(21, 2, 6)
    at_once = numbers(model(ids))
    for cut_after in product((False, True), repeat=5):
        ends = [t + 1 for t, cut in enumerate(cut_after) if cut] + [6]
        cuts = np.diff([0, *ends]).tolist()
        what = f"a model of {n_layer} layers, on 6 tokens in pieces of {cuts},"
        got = must_run(what, logits_in_pieces, model, ids, cuts, cache_for(model, 2))
        wrong = np.argwhere(~(np.abs(numbers(got) - at_once).max(axis=(0, 2)) <= 1e-3))
        assert wrong.size == 0, (
            f"{what} differs from one pass from position {wrong[0][0]} on. Follow get_pos() through one "
            "pass: what position does each layer write to?"
        )

model = make_model(22, right_tables=False, sequence_len=300, n_layer=2, n_head=2, n_kv_head=2, n_embd=32)
ids = random_ids(23, 2, 300)
at_once = numbers(model(ids))
cache = cache_for(model, 2, seq_len=16)
for cuts in [[10, 1, 1, 60, 1, 127, 1, 99], [300], [1] * 140]:
    cache.reset()
    assert cache.get_pos() == 0, f"after reset() the position is {cache.get_pos()}, wanted 0"
    for start, length in zip(np.cumsum([0, *cuts]).tolist(), cuts, strict=False):
        got = must_run(
            f"tokens {start} to {start + length - 1}", model, ids[:, start : start + length], None, cache
        )
        assert cache.get_pos() == start + length, (
            f"the position is {cache.get_pos()} after {start + length} tokens; a token counts once every "
            "layer holds it"
        )
        assert difference(got, at_once[:, start : start + length]) < 1e-3, (
            f"in pieces of {cuts}, logits {start} to {start + length - 1} are not those of one pass"
        )

one = cache_for(model, 1)
model(ids[:1, :20], kv_cache=one)
three = cache_for(model, 3, seq_len=8)
three.prefill(one)
assert three.get_pos() == 20, f"after prefill of 20 tokens the position is {three.get_pos()}"
after = random_ids(24, 3, 4)
whole = torch.cat([ids[:1, :20].expand(3, -1), after], dim=1)
assert difference(model(after, kv_cache=three), numbers(model(whole))[:, 20:]) < 1e-3, (
    "three rows that continue one prompt through prefill get other logits than three whole texts"
)
print("4. KV cache: every assertion holds")

# %% [markdown] sampling
# ## 5. Sampling and generation
#
# From the logits $z$ of the last position, token $i$ is drawn with the probability
#
# $$p_i = \frac{\exp(z_i / \tau)}{\sum_{j \in S} \exp(z_j / \tau)}, \qquad i \in S$$
#
# where $\tau$ is the temperature and $S$ holds the $k$ largest logits, or all of them. At $\tau = 0$ nothing
# is drawn: the largest logit wins. Rows of a batch are independent draws, and a seed fixes them all.
#
# **Experiment.** 20,000 draws against the formula.

# %% sampling-experiment
from nanochat.engine import sample_next_token

example_logits = np.array([2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0])
settings = [(1.0, None), (0.5, None), (2.0, None), (1.0, 3)]
draws = 20_000


def softmax_by_hand(logits, temperature, top_k):
    places = np.argsort(-logits)[: top_k or len(logits)]
    probabilities = np.zeros(len(logits))
    probabilities[places] = np.exp((logits[places] - logits.max()) / temperature)
    return probabilities / probabilities.sum()


def drawn(logits, temperature, top_k, seed=25, rows=draws):
    """Return the ids of `rows` draws in one call, one for each row of equal logits."""
    rng = torch.Generator(device=device).manual_seed(seed)
    return sample_next_token(on_device(logits).expand(rows, -1), rng, temperature, top_k)[:, 0].cpu().numpy()


figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), sharey=True)
for axis, (temperature, top_k) in zip(axes, settings, strict=True):
    ids, problem = attempt(drawn, example_logits, temperature, top_k)
    if not problem:
        axis.bar(range(8), np.bincount(ids, minlength=8) / draws, color="tab:blue", alpha=0.6, label="drawn")
    axis.plot(softmax_by_hand(example_logits, temperature, top_k), "k_", markersize=16, label="softmax")
    axis.set(
        title=f"temperature {temperature}, top-k {top_k or 'off'} {problem}", xlabel="token", xticks=range(8)
    )
axes[0].set_ylabel("share of the draws")
axes[0].legend()
plt.show()

# %% [markdown] scripted
# To test an engine one must know what the model will say. The next cell makes a stand-in for the model that
# follows a script, a function from the tokens it has read to the scores of the next. Where does it know from
# what it has read? It stores ids in the cache in place of keys and values, and reads them back. The tokenizer
# is a real one, just without any merges: ids 0 to 255 are bytes, and the nine special tokens follow.

# %% scripted-model
from types import SimpleNamespace

from nanochat.engine import Engine
from nanochat.tokenizer import RustBPETokenizer

tokenizer = RustBPETokenizer.train_from_iterator(iter(["any text will do"]), vocab_size=265)


class ScriptedModel(torch.nn.Module):
    """A model of one layer whose next token is decided by `script(tokens read so far)`."""

    def __init__(self, script, sequence_len=128, vocab_size=265):
        super().__init__()
        self.script = script
        self.config = SimpleNamespace(
            sequence_len=sequence_len, vocab_size=vocab_size, n_layer=1, n_head=2, n_kv_head=2, n_embd=16
        )
        self.lm_head = torch.nn.Linear(16, vocab_size, bias=False)
        self.to(device)

    def get_device(self):
        return device

    def forward(self, idx, targets=None, kv_cache=None):
        assert targets is None, "a script has no loss"
        rows, T = idx.shape
        read = idx
        if kv_cache is not None:
            stored = idx[:, None, :, None].expand(rows, 2, T, 8).float()
            keys, _ = kv_cache.insert_kv(0, stored, stored)
            read = keys[:, 0, :, 0].round().long()
        texts = read.tolist()
        scores = [[self.script(text[: len(text) - T + t + 1]) for t in range(T)] for text in texts]
        return torch.tensor(np.array(scores), dtype=torch.float32, device=device)


def saying(*tokens, vocab_size=265):
    """Return scores with which one of `tokens` comes next, each as likely as the others."""
    scores = np.zeros(vocab_size)
    scores[list(tokens)] = 50.0
    return scores


# %% [markdown] sampling-look
# **Acceptance.** Draws follow the formula, within seven standard deviations; rows are independent; the engine
# writes what the model would write without a cache; each row draws its own first token; ids that the
# tokenizer does not have (models like to pad their vocabulary) are never drawn; a request that does not fit
# is refused.

# %% sampling-acceptance
for temperature, top_k in [*settings, (0.7, 5), (1.0, 1), (1.3, 8)]:
    want = softmax_by_hand(example_logits, temperature, top_k)
    counts = np.bincount(drawn(example_logits, temperature, top_k), minlength=8)
    for token, (count, p) in enumerate(zip(counts, want, strict=True)):
        assert abs(count - draws * p) <= 7 * np.sqrt(draws * p * (1 - p)) + 1e-6 * draws, (
            f"at temperature {temperature} and top_k {top_k}, token {token} was drawn {count} of {draws} "
            f"times; {draws * p:.0f} are expected"
        )
assert set(drawn(example_logits, 0.0, None)) == {0}, "at temperature 0 the largest logit must win every time"
ids = drawn(np.zeros(8), 1.0, None)
neighbours = np.mean(ids[:-1] == ids[1:])
assert abs(neighbours - 1 / 8) < 0.02, (
    f"neighbouring rows draw the same token in {neighbours:.0%} of all cases"
)
assert np.array_equal(ids, drawn(np.zeros(8), 1.0, None)), "the same seed must give the same draws"
assert not np.array_equal(ids, drawn(np.zeros(8), 1.0, None, seed=26)), "another seed must give other draws"

model = make_model(27, right_tables=False, vocab_size=280, n_layer=1, n_head=2, n_kv_head=2, n_embd=32)
model.lm_head.weight[256:265] = 0  # never the largest: no special token ends the text
prompt = tokenizer.encode("Once", prepend="<|bos|>")
text = [column[0] for column, _ in Engine(model, tokenizer).generate(prompt, max_tokens=30, temperature=0.0)]
assert len(text) == 30, f"asked for 30 tokens, got {len(text)}"
for t in range(30):
    scores = numbers(model(torch.tensor([prompt + text[:t]], device=device)))[0, -1, :265]
    assert text[t] < 265, f"token {t} of a greedy text is {text[t]}, an id that the tokenizer does not have"
    assert scores[text[t]] > scores.max() - 1e-2, (
        f"token {t} of a greedy text is not the model's favourite: with a cache it must be what it is without"
    )


padded = saying(270, *range(100, 108), vocab_size=280)  # eight tokens and an id that is none are likely
engine = Engine(ScriptedModel(lambda _: padded, vocab_size=280), tokenizer)
rows, masks = engine.generate_batch(prompt, num_samples=64, max_tokens=4, temperature=1.0, seed=28)
new = [row[len(prompt) :] for row in rows]
assert all(row[: len(prompt)] == prompt for row in rows), (
    "each sequence of generate_batch begins with the prompt"
)
assert all(mask == [0] * len(prompt) + [1] * 4 for mask in masks), (
    "masks are 0 on the prompt and 1 on drawn tokens"
)
assert max(max(row) for row in new) < tokenizer.get_vocab_size(), (
    "an id that the tokenizer does not have was drawn"
)
first = Counter(row[0] for row in new)
assert len(first) >= 5, (
    f"64 rows began with {dict(first)} where eight tokens are equally likely; each row draws its own"
)

columns = list(engine.generate(prompt))
assert len(columns) == 128 - len(prompt), (
    f"max_tokens=None gave {len(columns)} tokens, wanted {128 - len(prompt)}"
)
try:
    refusal = f"nothing, but made {len(list(engine.generate(prompt, max_tokens=128)))} tokens"
except ValueError as error:
    refusal = str(error)
assert str(len(prompt)) in refusal, (
    f"{len(prompt)} and 128 tokens do not fit into a context of 128: wanted a ValueError that says by how "
    f"much; the engine said {refusal}"
)

end = tokenizer.encode_special("<|assistant_end|>")


def two_lengths(read):
    length = 2 if read[len(prompt) :][:1] == [100] else 5
    return saying(end) if len(read) - len(prompt) >= length else saying(100, 101)


rows, _ = Engine(ScriptedModel(two_lengths), tokenizer).generate_batch(prompt, num_samples=8, max_tokens=20)
for row in rows:
    new = row[len(prompt) :]
    assert len(new) == (2 if new[0] == 100 else 5), f"a row goes on until its own end: got {new}"
print("5. Sampling: every assertion holds")

# %% [markdown] memory
# ## 6. Bounded memory
#
# A cache of $L$ layers, $B$ rows and $G$ key/value heads of $D$ channels needs, for each token,
#
# $$2 \cdot L \cdot B \cdot G \cdot D \cdot \text{bytes of a number}$$
#
# (2 for keys and values). It need not know beforehand how many tokens will come: it grows, in steps. The law
# is that it never holds more than **twice** `max(seq_len, tokens held, rounded up to the growth step)` slots,
# whatever happened to it before. So after `reset()`, with no tokens held, it is back to where it began.
#
# **Experiment.** Bytes of all tensors that are alive, each piece of memory counted once: while a cache fills
# up and is reset, and after each of eight generations in a row.

# %% memory-experiment
from nanochat.engine import KVCache

ROWS, HEADS, CHANNELS = 2, 2, 8
SLOT = 2 * 1 * ROWS * HEADS * CHANNELS * 4  # one layer, float32
GROWTH = min(getattr(KVCache, "GROWTH_STEP", 64), 1024)


gc.collect()
gc.freeze()  # what is there already is not looked at again, which makes counting fast


def bytes_alive():
    """Return the bytes of all tensors made since then that are alive."""
    gc.collect()
    alive = (thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor))
    storages = (tensor.untyped_storage() for tensor in alive)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def insert(cache, tokens):
    """Insert keys and values of so many tokens, and drop what comes back."""
    k = torch.ones(ROWS, HEADS, tokens, CHANNELS, device=device)
    cache.insert_kv(0, k, k)


def allowed(tokens, seq_len):
    """Return the most bytes that a cache may hold with so many tokens: the law, and 2 KiB for trifles."""
    return 2 * max(seq_len, -(-tokens // GROWTH) * GROWTH) * SLOT + 2048


def filling_up(steps, seq_len=64):
    """Return [(tokens held, bytes held)] of a new cache after each step: tokens to insert, 0 for a reset."""
    before, held, readings = bytes_alive(), 0, []
    cache = KVCache(batch_size=ROWS, num_heads=HEADS, seq_len=seq_len, head_dim=CHANNELS, num_layers=1)
    for tokens in steps:
        if tokens:
            insert(cache, tokens)
        else:
            cache.reset()
        held = held + tokens if tokens else 0
        readings.append((held, bytes_alive() - before))
    return readings


def generations(times, rows=2):
    """Return the bytes held after each of so many generations, always of other prompts."""
    before, readings = bytes_alive(), []
    model = make_model(29, right_tables=False, vocab_size=265, n_layer=1, n_head=2, n_kv_head=2, n_embd=32)
    model.lm_head.weight[256:] = 0  # no special token among the five likeliest: every generation is as long
    engine = Engine(model, tokenizer)
    for number in range(times):
        prompt = tokenizer.encode(f"text {number}", prepend="<|bos|>")
        engine.generate_batch(prompt, num_samples=rows, max_tokens=20, top_k=5, seed=number)
        readings.append(bytes_alive() - before)
    return readings


figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.4), width_ratios=[3, 2])
steps = [20] * 14 + [0, 20, 20, 20, 0]
readings, problem = attempt(filling_up, steps)
if not problem:
    tokens, got = np.array(readings).T
    left.step(range(len(steps)), got / 1024, "o-", where="mid", label="held by the cache")
    left.step(range(len(steps)), [allowed(n, 64) / 1024 for n in tokens], "r--", where="mid", label="allowed")
    left.fill_between(
        range(len(steps)), tokens * SLOT / 1024, step="mid", color="gray", alpha=0.4, label="needed"
    )
    left.set_xticks(range(len(steps)), ["reset" if step == 0 else f"+{step}" for step in steps], rotation=90)
    left.legend()
left.set(title=f"A cache of seq_len 64 fills up {problem}", xlabel="tokens inserted", ylabel="KiB")

readings, problem = attempt(generations, 8)
if not problem:
    right.bar(range(1, 9), np.array(readings) / 1024)
right.set(
    title=f"After each of eight generations {problem}",
    xlabel="generation",
    ylabel="KiB, with the model's own",
)
plt.show()

# %% [markdown] memory-look
# The first picture is a staircase below the red line, and starts anew after a reset. The second is flat: what
# remains after a generation is the model.
#
# **Acceptance.** The bound holds after every step of several histories, each reset gives back what has grown,
# and generations leave nothing behind, whether they were read to the end or dropped half-way.

# %% memory-acceptance
got = must_run("a cache with room", filling_up, [100], 256)
assert got[0][1] >= 100 * SLOT, (
    f"{got[0][1]} bytes held with 100 tokens: less than their keys and values; look again"
)

for seq_len, steps in [
    (64, [65, 1, 1, 0, 64, 0]),
    (64, [40] * 12 + [0, 70, 0]),
    (1, [1] * 3 + [200, 1, 300, 0, 1, 0]),
    (32, [500, 0, 500, 0, 500, 0]),
]:
    readings = must_run(f"a cache of seq_len {seq_len}", filling_up, steps, seq_len)
    for step, (tokens, got) in enumerate(readings):
        done = [f"insert {n}" if n else "reset" for n in steps[: step + 1]]
        assert got <= allowed(tokens, seq_len), (
            f"a cache of seq_len {seq_len} holds {got:,} bytes with {tokens} tokens that need "
            f"{tokens * SLOT:,}; {allowed(tokens, seq_len):,} are allowed (twice the slots of max(seq_len, "
            f"tokens rounded up to {GROWTH})). What was done: {', '.join(done)}"
        )

readings = must_run("generating again", generations, 6)
assert max(readings[1:]) <= readings[0], (
    f"bytes held after each of six generations: {readings}. Each must leave what the first left: who still "
    "holds the cache of an earlier one?"
)

model = make_model(30, right_tables=False, vocab_size=265, n_layer=1, n_head=2, n_kv_head=2, n_embd=32)
engine = Engine(model, tokenizer)
list(engine.generate(prompt, max_tokens=20))
before = bytes_alive()
for seed in range(3):
    stream = engine.generate(prompt, num_samples=2, max_tokens=20, seed=seed)
    next(stream)
    del stream
assert bytes_alive() <= before, (
    f"three generations that were dropped half-way left {bytes_alive() - before:,} bytes behind"
)
print("6. Memory: every assertion holds")

# %% [markdown] tools
# ## 7. Tool use
#
# The model may call a calculator. It writes an expression between two special tokens, and the engine then
# takes the pen: instead of what the model would say next, it *forces* the output into the row, token by
# token, and feeds it to the model like any other token.
#
# $$\underbrace{\texttt{<|python\_start|>}\; \texttt{12*34}\; \texttt{<|python\_end|>}}_{\text{written by the
# model, mask 1}} \quad \underbrace{\texttt{<|output\_start|>}\; \texttt{408}\;
# \texttt{<|output\_end|>}}_{\text{forced by the engine, mask 0}}$$
#
# This is the form in which the tokenizer renders conversations for training, so it is the only one that a
# model has ever seen. An expression without a value (`1/0`, anything but arithmetic) forces nothing.
#
# **Experiment.** Above, a conversation with a tool call as the tokenizer renders it for training; below, what
# the engine makes of a scripted model that makes the same call.

# %% tools-experiment
from nanochat.engine import Engine

PIECES = ("<|python_start|>", "<|python_end|>", "<|output_start|>", "<|output_end|>", "<|assistant_end|>")
PYTHON_START, PYTHON_END, OUTPUT_START, OUTPUT_END, END = (
    tokenizer.encode_special(piece) for piece in PIECES
)
prompt = [tokenizer.encode_special("<|bos|>"), tokenizer.encode_special("<|assistant_start|>")]


def call(expression, result):
    """Return the tokens of a call and of its output; a result of None has no output."""
    tokens = [PYTHON_START, *tokenizer.encode(expression), PYTHON_END]
    return tokens if result is None else [*tokens, OUTPUT_START, *tokenizer.encode(result), OUTPUT_END]


def forced_places(plan):
    """Return the places of a plan that are a tool's output."""
    places, inside = set(), False
    for place, token in enumerate(plan):
        inside = inside or token == OUTPUT_START
        if inside:
            places.add(place)
        inside = inside and token != OUTPUT_END
    return places


def following(*plans):
    """Return the script of a model that writes one of the plans, chosen by its first token.

    Where a plan has a tool's output, the model would say "x": it never writes an output by itself.
    """

    def script(read):
        place = len(read) - len(prompt)
        if place < 1:
            return saying(*[plan[0] for plan in plans])
        plan = next((plan for plan in plans if plan[0] == read[len(prompt)]), plans[0])
        if place >= len(plan):
            return saying(END)
        return saying(ord("x") if place in forced_places(plan) else plan[place])

    return script


def engine_row(*plans, num_samples=1):
    """Return the rows [(tokens, masks)] that the engine makes of a model that follows the plans."""
    engine = Engine(ScriptedModel(following(*plans)), tokenizer)
    steps = list(engine.generate(prompt, num_samples=num_samples, max_tokens=60))
    return [([column[i] for column, _ in steps], [mask[i] for _, mask in steps]) for i in range(num_samples)]


conversation = {
    "messages": [
        {"role": "user", "content": "12*34?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "So: "},
                {"type": "python", "text": "12*34"},
                {"type": "python_output", "text": "408"},
                {"type": "text", "text": " it is."},
            ],
        },
    ]
}
plan = [*tokenizer.encode("So: "), *call("12*34", "408"), *tokenizer.encode(" it is."), END]


def show(axis, tokens, masks, title):
    """Draw a row of tokens as boxes, special ones tall, orange where the mask is 0."""
    names = [tokenizer.id_to_token(token) for token in tokens]
    heights = [1.0 if token >= 256 else 0.25 for token in tokens]
    axis.bar(
        range(len(tokens)), heights, color=["tab:blue" if mask else "tab:orange" for mask in masks], width=0.9
    )
    for place, name in enumerate(names):
        if len(name) > 1:
            axis.text(place, 0.5, name, ha="center", va="center", rotation=90, fontsize=7, color="white")
        else:
            axis.text(place, 0.3, name, ha="center", va="bottom", fontsize=9)
    axis.set(title=title, yticks=[], xlabel="place in the row", xlim=(-0.7, 33.7), ylim=(0, 1.05))


figure, axes = plt.subplots(2, 1, figsize=(12, 4.6))
rendered, problem = attempt(tokenizer.render_conversation, conversation)
if not problem:
    show(axes[0], *rendered, "Rendered for training: blue is what the model must learn to write")
rows, problem = attempt(engine_row, plan)
if problem:
    axes[1].set_title(f"Generated: {problem}")
else:
    show(axes[1], *rows[0], "Generated: blue was sampled from the model, orange was forced by the engine")
    specials = [tokenizer.id_to_token(token) for token in rows[0][0] if token >= 256]
    print("special tokens in the order in which they came:", *specials, sep="\n  ")
plt.show()

# %% [markdown] tools-look
# **Acceptance.** For several calls, the row is what the plan says: the output opens, the result follows in
# its own order, the output closes, and the model goes on. Integer values are written as integers, what has no
# value forces nothing, rows do not mix, and the calculator runs nothing but arithmetic.

# %% tools-acceptance
from nanochat.engine import use_calculator


def in_words(tokens):
    """Return tokens as text, special ones spelled out."""
    return "".join(tokenizer.id_to_token(token) for token in tokens)


for calls in [
    [("5+3", "8")],
    [("12*34", "408")],
    [("10/4", "2.5")],
    [("8/2", "4")],
    [("1/0", None)],
    [("import os", None)],
    [("2-5", "-3"), ("100*100+1", "10001")],
    [("'banana'.count('a')", "3"), ("nonsense", None), ("7", "7")],
]:
    plan = tokenizer.encode("a ")
    for expression, result in calls:
        plan += [*call(expression, result), *tokenizer.encode(" b ")]
    plan.append(END)
    [(tokens, masks)] = must_run(f"a row that calls {calls}", engine_row, plan)
    assert tokens == plan, (
        f"the row reads\n  {in_words(tokens)}\nand should read\n  {in_words(plan)}\n"
        "In which order are the parts of the output put into the queue, and from which end are they taken?"
    )
    want = [0 if place in forced_places(plan) else 1 for place in range(len(plan))]
    assert masks == want, f"masks are 1 on sampled tokens and 0 on forced ones; got {masks}, wanted {want}"

plans = [
    [*tokenizer.encode("a"), *call("12*34", "408"), END],
    [*tokenizer.encode("b"), *call("1000-1", "999"), *tokenizer.encode(" is the answer"), END],
    [*tokenizer.encode("c, without a call"), END],
]
for tokens, _ in must_run("eight rows that call different things", lambda: engine_row(*plans, num_samples=8)):
    written = tokens[: tokens.index(END) + 1] if END in tokens else tokens
    assert written in plans, (
        f"a row among others reads {in_words(written)!r}: rows must not share what is forced"
    )

for expression, value in [
    ("2+3*4", 14),
    ("(1+2)*3", 9),
    ("7/2", 3.5),
    ("-3+1", -2),
    ("'strawberry'.count('r')", 3),
]:
    assert use_calculator(expression) == value, (
        f"use_calculator({expression!r}) is {use_calculator(expression)!r}, wanted {value}"
    )
for expression in [
    "",
    "1/0",
    "2+",
    "os",
    "open('x')",
    "__import__('os').getpid()",
    "(1).__class__",
    "print(1)",
]:
    assert use_calculator(expression) is None, (
        f"use_calculator({expression!r}) is {use_calculator(expression)!r}; only arithmetic has one"
    )
print("7. Tools: every assertion holds")

# %% [markdown] summary
# ## What now
#
# If every acceptance cell passes, ask the grader, which draws its inputs at random and goes further in each
# criterion: `grader run --level 3` (with `--hints` if you are stuck). What it prints for a criterion that
# fails is a law in words, the smallest input that breaks it, and a command to run just that again.
