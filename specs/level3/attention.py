"""Attention and architecture: what the model computes, apart from where its rotary tables come from.

The rotary tables are the oracle's, there is no cache, and there are as many key/value heads as query
heads, so that bugs of these do not show here.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import (
    as_numbers,
    expect,
    expect_at_least,
    expect_at_most,
    expect_close,
    expect_differs,
    expect_equal,
    expect_raised,
)
from specs.law import law
from specs.oracles import gpt
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, configs, seeds

CRITERION = "attention"

LOGIT_AXES = ("row", "position", "token")


@law(
    examples=25,
    cases=[
        {"shape": config(n_layer=1), "seed": 0, "batch": 1, "length": 1},
        {"shape": config(n_layer=3, n_head=4), "seed": 1, "batch": 3, "length": 17},
        {"shape": config(n_layer=2, n_head=3, sequence_len=32), "seed": 2, "batch": 2, "length": 32},
    ],
    shape=configs(),
    seed=seeds,
    batch=st.integers(1, 3),
    length=st.integers(1, 32),
)
def test_logits_match_the_oracle(probe: Probe, shape: Config, seed: int, batch: int, length: int) -> None:
    """The logits are those of the architecture in the contract, written out in float64.

    Kills: any wrong norm, scale, mask, activation, residual, order of blocks, or cap.
    """
    weights = draws.weights(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, batch, length)
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens])
    expect_close(
        got, gpt.logits(shape, weights, tokens), tolerances.of(probe.dtype), "the logits", LOGIT_AXES
    )


@law(examples=20, shape=configs(max_layers=1), seed=seeds, batch=st.integers(1, 2), length=st.integers(1, 20))
def test_attention_matches_the_oracle(
    probe: Probe, shape: Config, seed: int, batch: int, length: int
) -> None:
    """One attention layer is softmax(q k / sqrt(head size)) v over the positions up to its own.

    Kills: a wrong or missing scale, QK norm left out or put on one side, a mask off by one, heads
    merged in the wrong order.
    """
    weights = draws.weights(shape, seed)
    x = draws.normal(seed, batch, length, shape["n_embd"])
    (got,) = probe("model.attention", config=shape, weights=weights, x=x, starts=[0])
    table = gpt.rotary.table(length, gpt.head_dim(shape))
    want = gpt.attention(shape, weights, 0, x.astype(np.float64), table)
    expect_close(
        got, want, tolerances.FLOAT32, "the output of attention", ("row", "position", "channel")
    )


@law(
    examples=20, shape=configs(), seed=seeds, length=st.integers(2, 20), place=st.floats(0, 1, exclude_max=True)
)
def test_no_token_sees_the_future(
    probe: Probe, shape: Config, seed: int, length: int, place: float
) -> None:
    """Changing the tokens from some position on changes no logit before it.

    Kills: a missing mask, a mask one too wide, normalisation over positions.
    """
    start = 1 + int(place * (length - 1))
    tokens = draws.tokens(shape, seed, 2, length)
    edited = tokens.copy()
    edited[:, start:] = (edited[:, start:] + 1) % shape["vocab_size"]
    weights = draws.weights(shape, seed, probe.dtype)
    before, after = probe("model.logits", config=shape, weights=weights, batches=[tokens, edited])
    expect_close(
        as_numbers(after, "the logits")[:, :start],
        as_numbers(before, "the logits")[:, :start],
        tolerances.of(probe.dtype),
        f"the logits before position {start}, after the tokens from there on changed",
        LOGIT_AXES,
    )


@law(examples=12, n_head=st.sampled_from([1, 2, 3]), n_layer=st.integers(1, 2), seed=seeds, length=st.integers(2, 12))
def test_every_earlier_token_matters(
    probe: Probe, n_head: int, n_layer: int, seed: int, length: int
) -> None:
    """Changing any one token changes the logits of the last position.

    Kills: attention cut off after a window, the first token dropped, output projections that stay zero.
    It is also what keeps the law about the future from holding for nothing.
    """
    shape = config(n_layer=n_layer, n_head=n_head)
    tokens = draws.tokens(shape, seed, 1, length)
    edits = []
    for position in range(length):
        edited = tokens.copy()
        edited[:, position] = (edited[:, position] + 1) % shape["vocab_size"]
        edits.append(edited)
    weights = draws.weights(shape, seed)
    before, *after = probe(
        "model.logits", config=shape, weights=weights, batches=[tokens, *edits], dtype="float32"
    )
    spread = float(np.std(as_numbers(before, "the logits")))
    for position, answer in enumerate(after):
        expect_differs(
            as_numbers(answer, "the logits")[:, -1],
            as_numbers(before, "the logits")[:, -1],
            # A token far back may get little attention: ten times what rounding does is enough.
            10 * tolerances.FLOAT32.relative * spread,
            f"the logits at position {length - 1} when only the token at position {position} changes",
        )


@law(examples=12, shape=configs(), seed=seeds, length=st.integers(2, 24), part=st.integers(1, 23))
def test_a_prefix_gives_a_prefix(
    probe: Probe, shape: Config, seed: int, length: int, part: int
) -> None:
    """The logits of the first t tokens are the first t rows of the logits of all.

    Kills: anything that depends on the length of the input: a mask, a scale or a position counted from
    the end.
    """
    part = min(part, length)
    tokens = draws.tokens(shape, seed, 1, length)
    weights = draws.weights(shape, seed, probe.dtype)
    whole, piece = probe(
        "model.logits", config=shape, weights=weights, batches=[tokens, tokens[:, :part]]
    )
    expect_close(
        piece,
        as_numbers(whole, "the logits")[:, :part],
        tolerances.of(probe.dtype),
        f"the logits of the first {part} tokens alone",
        LOGIT_AXES,
    )


@law(examples=12, shape=configs(), seed=seeds, batch=st.integers(2, 4), length=st.integers(1, 12))
def test_rows_do_not_meet(probe: Probe, shape: Config, seed: int, batch: int, length: int) -> None:
    """Each row of a batch gets the logits that it gets alone.

    Kills: attention across rows, a norm or a maximum over the batch, rows mixed by a wrong reshape.
    """
    tokens = draws.tokens(shape, seed, batch, length)
    weights = draws.weights(shape, seed, probe.dtype)
    together, *alone = probe(
        "model.logits",
        config=shape,
        weights=weights,
        batches=[tokens, *(tokens[row : row + 1] for row in range(batch))],
    )
    expect_close(
        together,
        np.concatenate([as_numbers(row, "the logits") for row in alone]),
        tolerances.of(probe.dtype),
        "the logits of a batch, against its rows alone,",
        LOGIT_AXES,
    )


@law(examples=12, shape=configs(), seed=seeds, factor=st.sampled_from([0.125, 0.5, 4.0, 8.0]))
def test_queries_and_keys_are_normalised(probe: Probe, shape: Config, seed: int, factor: float) -> None:
    """Scaling the query or the key projection changes no logit; scaling the values does.

    Kills: QK norm left out for one or both.
    """
    tokens = draws.tokens(shape, seed, 2, 9)
    weights = draws.weights(shape, seed, probe.dtype)
    plain, query, key, value = probe(
        "model.logits_of_weights",
        config=shape,
        variants=[weights, *(scaled(weights, part, factor) for part in ("c_q", "c_k", "c_v"))],
        tokens=tokens,
    )
    # Scaling down brings the epsilon of the norm nearer, which is free up to 1e-5 of the mean square.
    tolerance = tolerances.of(probe.dtype).times(20 if probe.dtype == "float32" else 1)
    expect_close(query, as_numbers(plain, "the logits"), tolerance, "the logits with scaled queries", LOGIT_AXES)
    expect_close(key, as_numbers(plain, "the logits"), tolerance, "the logits with scaled keys", LOGIT_AXES)
    least = 20 * tolerances.FLOAT32.relative * float(np.std(plain))
    if shape["vocab_size"] > 2:
        expect_differs(value, plain, least, "the logits with scaled values")


@law(examples=8, shape=configs(), seed=seeds, factor=st.sampled_from([0.125, 0.5, 8.0, 1024.0]))
def test_the_embedding_is_normalised(probe: Probe, shape: Config, seed: int, factor: float) -> None:
    """Scaling the whole embedding table changes no logit.

    Kills: the norm after the embedding left out, embeddings multiplied by the square root of the width
    before an unnormalised residual stream.
    """
    tokens = draws.tokens(shape, seed, 2, 9)
    weights = draws.weights(shape, seed, probe.dtype)
    plain, bigger = probe(
        "model.logits_of_weights",
        config=shape,
        variants=[weights, scaled(weights, "wte", factor)],
        tokens=tokens,
    )
    tolerance = tolerances.of(probe.dtype).times(20 if probe.dtype == "float32" else 1)
    expect_close(
        bigger, as_numbers(plain, "the logits"), tolerance, "the logits with a scaled embedding", LOGIT_AXES
    )


@law(examples=10, shape=configs(max_layers=2), seed=seeds, factor=st.sampled_from([0.25, 0.5, 2.0, 3.0]))
def test_the_mlp_squares_its_relu(probe: Probe, shape: Config, seed: int, factor: float) -> None:
    """With attention silenced, the model is its feed-forward blocks with the square of ReLU.

    Scaling the first matrix by c is then the same as scaling the second by c squared.
    Kills: ReLU without the square, GELU, a square without ReLU, a norm left out before the block.
    """
    tokens = draws.tokens(shape, seed, 2, 5)
    weights = scaled(draws.weights(shape, seed, probe.dtype), "attn.c_proj", 0.0)
    plain, first, second = probe(
        "model.logits_of_weights",
        config=shape,
        variants=[
            weights,
            scaled(weights, "c_fc", factor),
            scaled(weights, "mlp.c_proj", factor**2),
        ],
        tokens=tokens,
    )
    tolerance = tolerances.of(probe.dtype)
    expect_close(plain, gpt.logits(shape, weights, tokens), tolerance, "the logits without attention", LOGIT_AXES)
    expect_close(
        first,
        as_numbers(second, "the logits"),
        tolerance.times(2),
        "the logits with the first matrix scaled by c, against the second scaled by c squared,",
        LOGIT_AXES,
    )


@law(
    examples=10,
    cases=[{"seed": 0, "factor": 1000.0}, {"seed": 0, "factor": 0.01}],
    seed=seeds,
    factor=st.sampled_from([0.01, 1.0, 4.0, 20.0, 1000.0]),
)
def test_logits_are_capped_smoothly(probe: Probe, seed: int, factor: float) -> None:
    """A logit is 15 tanh(z / 15) of what the head computes, so it never leaves +-15, however large z is.

    Kills: no cap, a hard clamp, another cap, the cap applied before the head.
    """
    shape = config()
    tokens = draws.tokens(shape, seed, 2, 6)
    weights = scaled(draws.weights(shape, seed, probe.dtype), "lm_head", factor)
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens])
    expect_at_most(float(np.abs(as_numbers(got, "the logits")).max()), 15.0, "the largest logit")
    want = gpt.logits(shape, weights, tokens)
    # Near the cap a relative error of z is squeezed, further down it is stretched by the head's factor.
    tolerance = tolerances.of(probe.dtype).times(max(1.0, min(factor, 20.0)))
    expect_close(got, want, tolerance, f"the logits with the head scaled by {factor}", LOGIT_AXES)


@law(examples=8, seed=seeds, index_dtype=st.sampled_from(["int64", "int32"]), dtype=st.sampled_from(["bfloat16", "float32"]))
def test_logits_are_float32(probe: Probe, seed: int, index_dtype: str, dtype: str) -> None:
    """Logits come as float32 (batch, position, vocabulary), also from a bfloat16 model and int32 ids.

    The cap is computed in float32, so that not every logit is a number that bfloat16 can hold.
    Kills: logits left in bfloat16, a cap computed in bfloat16 and cast afterwards, ids written to.
    """
    shape = config(vocab_size=50)
    tokens = draws.tokens(shape, seed, 2, 7)
    weights = draws.weights(shape, seed, dtype)
    answer = probe(
        "model.logits_form",
        config=shape,
        weights=weights,
        tokens=tokens,
        index_dtype=index_dtype,
        dtype=dtype,
    )
    expect_equal(answer["dtype"], "float32", "the dtype of the logits")
    expect_close(
        answer["logits"], gpt.logits(shape, weights, tokens), tolerances.of(dtype), "the logits", LOGIT_AXES
    )
    logit = answer["logits"].astype(np.float32)
    coarse = float(np.mean(logit == draws.rounded(logit, "bfloat16")))
    expect(
        coarse < 0.5,
        f"{coarse:.0%} of the logits are numbers that bfloat16 can hold; "
        "capped in float32, only a few are so by chance",
    )
    expect_equal(answer["indices_unchanged"], True, "whether the token ids are what they were")


@law(examples=15, shape=configs(max_layers=1), seed=seeds, batch=st.integers(1, 3), length=st.integers(1, 9))
def test_the_loss_is_the_mean_over_counted_targets(
    probe: Probe, shape: Config, seed: int, batch: int, length: int
) -> None:
    """The loss is the mean cross-entropy of the capped logits over the targets that are not -1.

    Kills: ignored targets counted in the mean, another ignored value, loss of uncapped logits, a shift
    by one inside the model.
    """
    tokens, targets = draws.tokens(shape, seed, batch, length), masked_targets(shape, seed, batch, length)
    weights = draws.weights(shape, seed, probe.dtype)
    (got,) = probe("model.loss", config=shape, weights=weights, tokens=tokens, targets=[targets])
    each = gpt.loss_of_each(gpt.logits(shape, weights, tokens), targets)
    expect_close(
        np.asarray(got).reshape(-1)[:1] if np.size(got) == 1 else got,
        np.array([each.sum() / (targets != -1).sum()]),
        loss_tolerance(probe.dtype),
        "the loss",
    )


@law(examples=8, seed=seeds, batch=st.integers(1, 3), length=st.integers(2, 9))
def test_the_loss_reductions_agree(probe: Probe, seed: int, batch: int, length: int) -> None:
    """Reduction "none" gives each target's loss, zero where it is -1, and "sum" gives their sum.

    Kills: a reduction that is ignored or applied twice, ignored targets that contribute.
    """
    shape = config()
    tokens, targets = draws.tokens(shape, seed, batch, length), masked_targets(shape, seed, batch, length)
    weights = draws.weights(shape, seed, probe.dtype)
    each = gpt.loss_of_each(gpt.logits(shape, weights, tokens), targets)
    for reduction, want in (("none", each.reshape(-1)), ("sum", each.sum().reshape(1))):
        (got,) = probe(
            "model.loss", config=shape, weights=weights, tokens=tokens, targets=[targets], reduction=reduction
        )
        tolerance = loss_tolerance(probe.dtype).times(1 if reduction == "none" else batch * length)
        expect_close(
            as_numbers(got, "the loss").reshape(-1), want, tolerance, f'the loss with reduction "{reduction}"'
        )


@law(examples=8, seed=seeds, length=st.integers(2, 9))
def test_the_loss_reads_only_counted_targets(probe: Probe, seed: int, length: int) -> None:
    """Changing a counted target changes the loss; the number of ignored ones around it does not.

    Kills: a mean over all positions, targets that are not read.
    """
    shape = config()
    tokens = draws.tokens(shape, seed, 1, length)
    weights = draws.weights(shape, seed)
    one = np.full((1, length), -1)
    one[0, 0] = seed % shape["vocab_size"]
    other = one.copy()
    other[0, 0] = (one[0, 0] + 1) % shape["vocab_size"]
    got, changed = probe(
        "model.loss", config=shape, weights=weights, tokens=tokens, targets=[one, other]
    )
    (alone,) = probe(
        "model.loss", config=shape, weights=weights, tokens=tokens[:, :1], targets=[one[:, :1]]
    )
    expect_close(
        got, as_numbers(alone, "the loss"), loss_tolerance(probe.dtype), "the loss with ignored targets added"
    )
    expect_differs(changed, as_numbers(got, "the loss"), 1e-6, "the loss when its only counted target changes")


@law(examples=8, seed=seeds, vocab_size=st.sampled_from([7, 23]), token=st.integers(0, 6))
def test_the_head_is_not_tied_to_the_embedding(
    probe: Probe, seed: int, vocab_size: int, token: int
) -> None:
    """Changing one row of the head changes that token's logit alone; changing an unused embedding, nothing.

    Kills: tied weights, a head applied to the embedding's rows, a head with a shared bias.
    """
    shape = config(vocab_size=vocab_size)
    tokens = draws.tokens(shape, seed, 1, 6)
    tokens[tokens == token] = (token + 1) % vocab_size
    weights = draws.weights(shape, seed)
    head, embedding = dict(weights), dict(weights)
    head["lm_head.weight"] = edited_row(weights["lm_head.weight"], token)
    embedding["transformer.wte.weight"] = edited_row(weights["transformer.wte.weight"], token)
    plain, with_head, with_embedding = (
        as_numbers(answer, "the logits")
        for answer in probe(
            "model.logits_of_weights", config=shape, variants=[weights, head, embedding], tokens=tokens
        )
    )
    others = [other for other in range(vocab_size) if other != token]
    tolerance = tolerances.of(probe.dtype)
    expect_close(
        with_head[..., others], plain[..., others], tolerance, f"the other logits, head row {token} changed"
    )
    expect_differs(
        with_head[..., token], plain[..., token], 0.1, f"logit {token} with head row {token} changed"
    )
    expect_close(with_embedding, plain, tolerance, f"the logits, embedding of unused token {token} changed")


@law(examples=8, seed=seeds, n_head=st.sampled_from([2, 3, 4]), length=st.integers(1, 9))
def test_heads_may_be_renamed(probe: Probe, seed: int, n_head: int, length: int) -> None:
    """Exchanging whole heads, together with their columns of the output projection, changes no logit.

    Kills: heads interleaved with channels, heads that are treated differently, a wrong merge of heads.
    """
    shape = config(n_head=n_head)
    weights = draws.weights(shape, seed, probe.dtype)
    head = gpt.head_dim(shape)
    order = np.roll(np.arange(n_head), 1)
    channels = (order[:, None] * head + np.arange(head)).reshape(-1)
    renamed = dict(weights)
    for part in ("c_q", "c_k", "c_v"):
        name = f"transformer.h.0.attn.{part}.weight"
        renamed[name] = np.ascontiguousarray(weights[name][channels])
    name = "transformer.h.0.attn.c_proj.weight"
    renamed[name] = np.ascontiguousarray(weights[name][:, channels])
    plain, other = probe(
        "model.logits_of_weights",
        config=shape,
        variants=[weights, renamed],
        tokens=draws.tokens(shape, seed, 2, length),
    )
    expect_close(
        other,
        as_numbers(plain, "the logits"),
        tolerances.of(probe.dtype),
        "the logits with renamed heads",
        LOGIT_AXES,
    )


@law(examples=5, shape=configs(max_layers=2), seed=seeds)
def test_every_parameter_learns(probe: Probe, shape: Config, seed: int) -> None:
    """The loss has a finite gradient by every parameter, and none of them is zero.

    Kills: a path cut by detach or no_grad, a block left out of the sum, values that never mix.
    """
    tokens, targets = draws.tokens(shape, seed, 2, 9), draws.tokens(shape, seed + 1, 2, 9)
    answer = probe(
        "model.gradients", config=shape, weights=draws.weights(shape, seed), tokens=tokens, targets=targets
    )
    expect_equal(sorted(answer), sorted(draws.weights(shape, seed)), "the names of the parameters")
    for name, gradient in answer.items():
        expect(gradient is not None, f"{name} gets no gradient at all")
        expect(bool(np.isfinite(gradient).all()), f"the gradient of {name} is not finite")
        expect_at_least(float(np.abs(gradient).max()), 1e-12, f"the largest gradient of {name}")


@law(examples=4, n_layer=st.integers(1, 2), n_head=st.integers(1, 3), vocab_size=st.sampled_from([7, 23]))
def test_parameters_have_the_shapes_of_the_contract(
    probe: Probe, n_layer: int, n_head: int, vocab_size: int
) -> None:
    """The model has exactly the parameters of the contract, in their shapes, and no bias.

    Kills: biases, tied weights, an MLP of another width, parameters that no checkpoint knows.
    """
    shape = config(n_layer=n_layer, n_head=n_head, vocab_size=vocab_size)
    got = probe("model.shapes", config=shape)
    want = {name: list(value.shape) for name, value in draws.weights(shape, 0).items()}
    expect_equal(sorted(got), sorted(want), "the names of the parameters")
    for name, size in want.items():
        expect_equal(got[name], size, f"the shape of {name}")


@law(examples=6, n_head=st.sampled_from([2, 4]), n_layer=st.integers(1, 3), how=st.sampled_from(["plain", "meta"]))
def test_a_fresh_model_is_no_constant(probe: Probe, n_head: int, n_layer: int, how: str) -> None:
    """After init_weights every parameter is finite and varies, also for a model built on the meta device.

    No projection back into the residual stream is all zero, so that a fresh model already attends.
    Kills: parameters that initialisation forgets, zero-initialised projections, flat logits.
    """
    shape = config(n_head=n_head, n_layer=n_layer)
    answer = probe("model.fresh", config=shape, how=how, tokens=draws.tokens(shape, 0, 2, 9))
    for name, value in answer["parameters"].items():
        expect(bool(np.isfinite(value).all()), f"{name} is not finite after init_weights")
        expect(float(np.std(value)) > 0, f"{name} holds one number everywhere after init_weights")
    expect(bool(np.isfinite(answer["logits"]).all()), "the logits of a fresh model are not finite")
    expect_equal(answer["device"], probe.device, "get_device")


@law(
    shape=st.sampled_from(
        [
            {**config(n_head=2), "n_embd": 17},
            {**config(n_head=3), "n_embd": 32},
            {**config(n_head=2, n_kv_head=2), "n_embd": 6},
            {**config(n_head=4), "n_embd": 12},
        ]
    ),
    examples=8,
)
def test_impossible_widths_are_refused(probe: Probe, shape: Config) -> None:
    """A width that the heads do not divide, or that leaves a head of odd size, is a ValueError.

    Kills: configurations that fail later with a message about shapes, or silently drop channels.
    """
    expect_raised(
        probe.attempt("model.refuses", config=shape),
        f"n_embd={shape['n_embd']} with n_head={shape['n_head']}",
        "ValueError",
    )


@law(examples=6, shape=configs(), seed=seeds)
def test_forward_changes_nothing(probe: Probe, shape: Config, seed: int) -> None:
    """A forward pass leaves parameters, mode and random state alone, and a second gives the same.

    Kills: statistics kept between calls, dropout in evaluation, weights normalised in place.
    """
    answer = probe(
        "model.side_effects",
        config=shape,
        weights=draws.weights(shape, seed),
        tokens=draws.tokens(shape, seed, 2, 9),
    )
    expect_equal(answer["changed"], [], "parameters and buffers that a forward pass changed")
    expect_equal(answer["random_state_kept"], True, "whether the random state is what it was")
    expect_equal(answer["training"], False, "the mode that was set to evaluation")
    expect_close(
        answer["second"],
        as_numbers(answer["first"], "the logits"),
        tolerances.of(probe.dtype),
        "a second forward pass",
    )


@law(examples=6, n_layer=st.integers(1, 3), n_head=st.integers(1, 4), sequence_len=st.sampled_from([16, 64]))
def test_flops_are_counted_by_the_formula(
    probe: Probe, n_layer: int, n_head: int, sequence_len: int
) -> None:
    """A training step costs, a token, 6 operations a weight and 12 a layer, channel and context position.

    The embedding is looked up and not multiplied, so it does not count (Chowdhery et al. 2022, appendix B).
    Kills: the embedding counted, attention forgotten, the forward pass alone.
    """
    shape = config(n_layer=n_layer, n_head=n_head, sequence_len=sequence_len)
    weights = sum(math.prod(value.shape) for value in draws.weights(shape, 0).values())
    embedding = shape["vocab_size"] * shape["n_embd"]
    want = 6 * (weights - embedding) + 12 * n_layer * shape["n_embd"] * sequence_len
    expect_equal(probe("model.flops", config=shape), {"flops": float(want)}, "estimate_flops")


def scaled(weights: gpt.Weights, part: str, factor: float) -> gpt.Weights:
    """Return the weights with every matrix whose name holds `part` multiplied by `factor`."""
    return {
        name: value * np.float32(factor) if f".{part}." in f".{name}" else value
        for name, value in weights.items()
    }


def edited_row(matrix: np.ndarray, row: int) -> np.ndarray:
    """Return the matrix with one row replaced by its negative."""
    edited = matrix.copy()
    edited[row] = -edited[row]
    return edited


def masked_targets(shape: Config, seed: int, batch: int, length: int) -> np.ndarray:
    """Return random targets of which some, but never all, are -1."""
    targets = draws.tokens(shape, seed + 1, batch, length)
    ignored = np.random.default_rng([seed, 4]).random(targets.shape) < 0.4
    ignored.flat[seed % ignored.size] = False
    targets[ignored] = -1
    return targets


def loss_tolerance(dtype: str) -> tolerances.Tolerance:
    """Return the tolerance of one target's loss: that of two logits with a standard deviation of three."""
    return tolerances.Tolerance(0.0, 5.0 * tolerances.of(dtype).relative)
