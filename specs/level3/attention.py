"""Attention: which tokens see which, and what they make of it.

The rotary tables are the oracle's, there is no cache, and there are as many key/value heads as query
heads, so that bugs of these do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import (
    as_numbers,
    expect_close,
    expect_differs,
)
from specs.law import law
from specs.logits import LOGIT_AXES, expect_logits
from specs.oracles import gpt, rotary
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, configs, seeds

CRITERION = "attention"


@law(
    examples=25,
    cases=[
        {"shape": config(n_layer=1), "seed": 0, "batch": 1, "length": 1},
        {"shape": config(n_layer=3, n_head=4), "seed": 1, "batch": 3, "length": 17},
        {"shape": config(n_layer=2, n_head=3, sequence_len=32), "seed": 2, "batch": 2, "length": 32},
        {"shape": config(n_layer=1), "seed": 3, "batch": 40, "length": 3},
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
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, batch, length)
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens])
    expect_logits(got, shape, weights, tokens, probe.dtype)


@law(examples=40, shape=configs(max_layers=1), seed=seeds, batch=st.integers(1, 2), length=st.integers(1, 20))
def test_attention_matches_the_oracle(
    probe: Probe, shape: Config, seed: int, batch: int, length: int
) -> None:
    """One attention layer is softmax(q k / sqrt(head size)) v over the positions up to its own.

    Kills: a wrong or missing scale, QK norm left out or put on one side, a mask off by one, heads
    merged in the wrong order.
    """
    weights = draws.model(shape, seed)
    x = draws.normal(seed, batch, length, shape["n_embd"])
    (got,) = probe("model.attention", config=shape, weights=weights, x=x, starts=[0])
    table = rotary.table(length, gpt.head_dim(shape))
    want = gpt.attention(shape, weights, 0, x.astype(np.float64), table)
    expect_close(got, want, tolerances.FLOAT32, "the output of attention", ("row", "position", "channel"))


@law(
    examples=20,
    shape=configs(),
    seed=seeds,
    length=st.integers(2, 20),
    place=st.floats(0, 1, exclude_max=True),
)
def test_no_token_sees_the_future(probe: Probe, shape: Config, seed: int, length: int, place: float) -> None:
    """Changing the tokens from some position on changes no logit before it.

    Kills: a missing mask, a mask one too wide, normalisation over positions.
    """
    start = 1 + int(place * (length - 1))
    tokens = draws.tokens(shape, seed, 2, length)
    edited = tokens.copy()
    edited[:, start:] = (edited[:, start:] + 1) % shape["vocab_size"]
    weights = draws.model(shape, seed, probe.dtype)
    before, after = probe("model.logits", config=shape, weights=weights, batches=[tokens, edited])
    expect_close(
        as_numbers(after, "the logits")[:, :start],
        as_numbers(before, "the logits")[:, :start],
        tolerances.of(probe.dtype),
        f"the logits before position {start}, after the tokens from there on changed",
        LOGIT_AXES,
    )


@law(
    examples=12,
    n_head=st.sampled_from([1, 2, 3]),
    n_layer=st.integers(1, 2),
    seed=seeds,
    length=st.integers(2, 12),
)
def test_every_earlier_token_matters(probe: Probe, n_head: int, n_layer: int, seed: int, length: int) -> None:
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
    weights = draws.model(shape, seed)
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
def test_a_prefix_gives_a_prefix(probe: Probe, shape: Config, seed: int, length: int, part: int) -> None:
    """The logits of the first t tokens are the first t rows of the logits of all.

    Kills: anything that depends on the length of the input: a mask, a scale or a position counted from
    the end.
    """
    part = min(part, length)
    tokens = draws.tokens(shape, seed, 1, length)
    weights = draws.model(shape, seed, probe.dtype)
    whole, piece = probe("model.logits", config=shape, weights=weights, batches=[tokens, tokens[:, :part]])
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
    weights = draws.model(shape, seed, probe.dtype)
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


@law(examples=12, shape=configs(), seed=seeds, factor=st.sampled_from([0.5, 2.0, 8.0, 64.0]))
def test_queries_and_keys_are_normalised(probe: Probe, shape: Config, seed: int, factor: float) -> None:
    """Scaling the query or the key projection changes no logit; scaling the values does.

    Kills: QK norm left out for one or both.
    """
    tokens = draws.tokens(shape, seed, 2, 9)
    weights = draws.model(shape, seed, probe.dtype)
    plain, query, key, value = probe(
        "model.logits_of_weights",
        config=shape,
        variants=[weights, *(draws.scaled(weights, part, factor) for part in ("c_q", "c_k", "c_v"))],
        tokens=tokens,
    )
    # Scaling down brings the epsilon of the norm nearer, which is free up to 1e-5 of the mean square.
    tolerance = tolerances.of(probe.dtype).times(20 if probe.dtype == "float32" else 1)
    expect_close(
        query, as_numbers(plain, "the logits"), tolerance, "the logits with scaled queries", LOGIT_AXES
    )
    expect_close(key, as_numbers(plain, "the logits"), tolerance, "the logits with scaled keys", LOGIT_AXES)
    least = 20 * tolerances.FLOAT32.relative * float(np.std(plain))
    if shape["vocab_size"] > 2:
        expect_differs(value, plain, least, "the logits with scaled values")


@law(examples=8, seed=seeds, n_head=st.sampled_from([2, 3, 4]), length=st.integers(1, 9))
def test_heads_may_be_renamed(probe: Probe, seed: int, n_head: int, length: int) -> None:
    """Exchanging whole heads, together with their columns of the output projection, changes no logit.

    Kills: heads interleaved with channels, heads that are treated differently, a wrong merge of heads.
    """
    shape = config(n_head=n_head)
    weights = draws.model(shape, seed, probe.dtype)
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
