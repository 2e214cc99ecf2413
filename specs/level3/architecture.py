"""The parts around attention: norms, MLP, head, cap, initialisation.

The rotary tables are the oracle's, there is no cache, and there are as many key/value heads as query
heads, so that bugs of these do not show here.
"""

from __future__ import annotations

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
    dtype=st.sampled_from(["bfloat16", "float32", "float64"]),
)
def test_logits_are_float32(probe: Probe, seed: int, index_dtype: str, dtype: str) -> None:
    """Logits come as float32 (batch, position, vocabulary), also from a bfloat16 model and int32 ids.

    From one in float64 as well. The cap is computed in float32, so that not every logit is a number that
    bfloat16 can hold.
    Kills: logits left in the dtype of the model, a cap computed in bfloat16 and cast afterwards, ids written
    to.
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


def edited_row(matrix: np.ndarray, row: int) -> np.ndarray:
    """Return the matrix with one row replaced by its negative."""
    edited = matrix.copy()
    edited[row] = -edited[row]
    return edited
