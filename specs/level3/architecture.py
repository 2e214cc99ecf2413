"""The parts around attention: norms, MLP, head, cap, initialisation.

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
    expect_named,
    expect_raised,
)
from specs.law import law
from specs.logits import LOGIT_AXES, expect_logits
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, configs, seeds

CRITERION = "attention"


@law(examples=8, shape=configs(), seed=seeds, factor=st.sampled_from([0.25, 0.5, 8.0, 1024.0]))
def test_the_embedding_is_normalised(probe: Probe, shape: Config, seed: int, factor: float) -> None:
    """Scaling the whole embedding table changes no logit.

    Kills: the norm after the embedding left out, embeddings multiplied by the square root of the width
    before an unnormalised residual stream.
    """
    tokens = draws.tokens(shape, seed, 2, 9)
    weights = draws.model(shape, seed, probe.dtype)
    plain, bigger = probe(
        "model.logits_of_weights",
        config=shape,
        variants=[weights, draws.scaled(weights, "wte", factor)],
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
    weights = draws.scaled(draws.model(shape, seed, probe.dtype), "attn.c_proj", 0.0)
    plain, first, second = probe(
        "model.logits_of_weights",
        config=shape,
        variants=[
            weights,
            draws.scaled(weights, "c_fc", factor),
            draws.scaled(weights, "mlp.c_proj", factor**2),
        ],
        tokens=tokens,
    )
    tolerance = tolerances.of(probe.dtype)
    expect_logits(plain, shape, weights, tokens, probe.dtype, "the logits without attention")
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
    weights = draws.scaled(draws.model(shape, seed, probe.dtype), "lm_head", factor)
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens])
    expect_at_most(float(np.abs(as_numbers(got, "the logits")).max()), 15.0, "the largest logit")
    # Near the cap an error of z is squeezed, near zero it is stretched by the head's factor.
    what = f"the logits with the head scaled by {factor}"
    expect_logits(got, shape, weights, tokens, probe.dtype, what, times=max(1.0, factor))


@law(
    examples=8,
    seed=seeds,
    index_dtype=st.sampled_from(["int64", "int32"]),
    dtype=st.sampled_from(["bfloat16", "float32"]),
)
def test_logits_are_float32(probe: Probe, seed: int, index_dtype: str, dtype: str) -> None:
    """Logits come as float32 (batch, position, vocabulary), also from a bfloat16 model and int32 ids.

    The cap is computed in float32, so that not every logit is a number that bfloat16 can hold.
    Kills: logits left in bfloat16, a cap computed in bfloat16 and cast afterwards, ids written to.
    """
    shape = config(vocab_size=50)
    tokens = draws.tokens(shape, seed, 2, 7)
    weights = draws.model(shape, seed, dtype)
    answer = probe(
        "model.logits_form",
        config=shape,
        weights=weights,
        tokens=tokens,
        index_dtype=index_dtype,
        dtype=dtype,
    )
    expect_equal(answer["dtype"], "float32", "the dtype of the logits")
    expect_logits(answer["logits"], shape, weights, tokens, dtype)
    logit = answer["logits"].astype(np.float32)
    coarse = float(np.mean(logit == draws.rounded(logit, "bfloat16")))
    expect(
        coarse < 0.5,
        f"{coarse:.0%} of the logits are numbers that bfloat16 can hold; "
        "capped in float32, only a few are so by chance",
    )
    expect_equal(answer["indices_unchanged"], True, "whether the token ids are what they were")


@law(examples=14, seed=seeds, vocab_size=st.sampled_from([7, 23]), token=st.integers(0, 6))
def test_the_head_is_not_tied_to_the_embedding(probe: Probe, seed: int, vocab_size: int, token: int) -> None:
    """Changing one row of the head changes that token's logit alone; changing an unused embedding, nothing.

    Kills: tied weights, a head applied to the embedding's rows, a head with a shared bias.
    """
    shape = config(vocab_size=vocab_size)
    tokens = draws.tokens(shape, seed, 1, 6)
    tokens[tokens == token] = (token + 1) % vocab_size
    weights = draws.model(shape, seed)
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


@law(
    examples=5,
    cases=[{"shape": config(n_layer=12), "seed": 0}],
    shape=configs(max_layers=2),
    seed=seeds,
)
def test_every_parameter_learns(probe: Probe, shape: Config, seed: int) -> None:
    """The loss has a finite gradient by every parameter, and none of them is zero.

    Kills: a path cut by detach or no_grad, a block left out of the sum, values that never mix.
    """
    tokens, targets = draws.tokens(shape, seed, 2, 9), draws.tokens(shape, seed + 1, 2, 9)
    answer = probe(
        "model.gradients", config=shape, weights=draws.model(shape, seed), tokens=tokens, targets=targets
    )
    expect_equal(sorted(answer), sorted(draws.weights(shape, seed)), "the names of the parameters")
    for name, gradient in answer.items():
        expect(gradient is not None, f"{name} gets no gradient at all")
        expect(bool(np.isfinite(gradient).all()), f"the gradient of {name} is not finite")
        expect_at_least(float(np.abs(gradient).max()), 1e-12, f"the largest gradient of {name}")


@law()
def test_a_configuration_has_the_defaults_of_the_contract(probe: Probe) -> None:
    """A configuration without arguments is that of the contract, the smallest GPT-2 in new clothes.

    Kills: a default changed for an experiment and never changed back.
    """
    want = {
        "sequence_len": 1024,
        "vocab_size": 50304,
        "n_layer": 12,
        "n_head": 6,
        "n_kv_head": 6,
        "n_embd": 768,
    }
    got = probe("model.default_config")
    for name, value in want.items():
        expect_equal(got.get(name), value, f"the default of {name}")


@law(examples=7, n_layer=st.integers(1, 2), n_head=st.integers(1, 3), vocab_size=st.sampled_from([7, 23]))
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


@law(
    examples=7,
    n_head=st.sampled_from([2, 4]),
    n_layer=st.integers(1, 3),
    how=st.sampled_from(["plain", "meta"]),
)
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
            {**config(n_head=1), "n_embd": 7},
            {**config(n_head=1), "n_embd": 1},
            {**config(n_head=8), "n_embd": 8},
        ]
    ),
    examples=14,
)
def test_impossible_widths_are_refused(probe: Probe, shape: Config) -> None:
    """A width that the heads do not divide, or that leaves a head of odd size, is a ValueError.

    One channel is odd as well. The message names one of them. Kills: configurations that fail later with a
    message about shapes, or silently drop channels.
    """
    probe("model.builds", config=config())  # what is possible is accepted
    what = f"n_embd={shape['n_embd']} with n_head={shape['n_head']}"
    raised = expect_raised(probe.attempt("model.builds", config=shape), what, "ValueError")
    head = f"{shape['n_embd'] / shape['n_head']:g}"
    expect_named(raised, ["n_embd", "n_head", "head_dim", str(shape["n_embd"]), head], what)


@law(examples=6, shape=configs(), seed=seeds)
def test_forward_changes_nothing(probe: Probe, shape: Config, seed: int) -> None:
    """A forward pass leaves parameters, mode and random state alone, and a second gives the same.

    Kills: statistics kept between calls, dropout in evaluation, weights normalised in place.
    """
    answer = probe(
        "model.side_effects",
        config=shape,
        weights=draws.model(shape, seed),
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


@law(
    examples=13,
    cases=[{"n_layer": 1, "n_head": 1, "sequence_len": 3000}],
    n_layer=st.integers(1, 3),
    n_head=st.integers(1, 4),
    sequence_len=st.sampled_from([16, 64, 1025]),
)
def test_flops_are_counted_by_the_formula(probe: Probe, n_layer: int, n_head: int, sequence_len: int) -> None:
    """A training step costs, a token, 6 operations a weight and 12 a layer, channel and context position.

    The embedding is looked up and not multiplied, so it does not count (Chowdhery et al. 2022, appendix B).
    Kills: the embedding counted, attention forgotten, the forward pass alone.
    """
    shape = config(n_layer=n_layer, n_head=n_head, sequence_len=sequence_len)
    weights = sum(math.prod(value.shape) for value in draws.weights(shape, 0).values())
    embedding = shape["vocab_size"] * shape["n_embd"]
    want = 6 * (weights - embedding) + 12 * n_layer * shape["n_embd"] * sequence_len
    expect_equal(probe("model.flops", config=shape), {"flops": float(want)}, "estimate_flops")


@law(
    examples=12,
    cases=[{"pair": (4, 1), "n_layer": 2}],
    pair=st.sampled_from([(2, 1), (4, 2), (6, 3), (6, 2)]),
    n_layer=st.integers(1, 3),
)
def test_flops_do_not_depend_on_sharing_heads(probe: Probe, pair: tuple[int, int], n_layer: int) -> None:
    """Sharing key/value heads saves their weights and none of attention's work: every query head multiplies.

    Kills: attention counted by key/value heads.
    """
    n_head, n_kv_head = pair
    shape = config(n_layer=n_layer, n_head=n_head, n_kv_head=n_kv_head)
    full = config(n_layer=n_layer, n_head=n_head)
    saved = sum(math.prod(value.shape) for value in draws.weights(full, 0).values()) - sum(
        math.prod(value.shape) for value in draws.weights(shape, 0).values()
    )
    shared, whole = (probe("model.flops", config=one)["flops"] for one in (shape, full))
    expect_equal(whole - shared, 6.0 * saved, f"what {n_kv_head} key/value heads for {n_head} save")


@law(
    examples=18,
    field=st.sampled_from(["sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd"]),
    size=st.sampled_from([0, -1, -8]),
)
def test_sizes_below_one_are_refused(probe: Probe, field: str, size: int) -> None:
    """A size of zero or less is a ValueError that names it, whichever it is.

    Kills: models without layers, heads or tokens, which are built without a word; a message that leaves the
    reader to guess which of six sizes it means.
    """
    probe("model.builds", config=config())  # what is possible is accepted
    outcome = probe.attempt("model.builds", config={**config(), field: size})
    raised = expect_raised(outcome, f"{field}={size}", "ValueError")
    expect_named(raised, [field, str(size)], f"{field}={size}")


def edited_row(matrix: np.ndarray, row: int) -> np.ndarray:
    """Return the matrix with one row replaced by its negative."""
    edited = matrix.copy()
    edited[row] = -edited[row]
    return edited
