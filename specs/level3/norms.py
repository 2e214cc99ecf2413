"""Each norm alone, on short and on long vectors: how far it divides is between what its epsilon allows.

Weights are written so that the logits, or the output of attention, say by how much one of the norms divided.
There is one token, or no rotation, so that bugs of the tables and of the mask do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from specs import draws
from specs.compare import as_numbers, expect, expect_equal
from specs.law import law
from specs.oracles.gpt import LARGEST_EPSILON, Weights
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "attention"

WIDTH = 8
SHORTER = [0.1, 0.03, 0.01, 0.005, 0.003, 0.002, 0.001]
"""Root mean squares of what is left of the stream where attention has taken nearly all of it away."""
SIZES = [1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 3e-2, 0.1, 1.0, 100.0, 1e4]
"""Root mean squares of embeddings, queries and keys."""
ROUNDING = 5e-3
"""Of a scale: what float32 makes of differences of logits that stay well below the cap."""
LEFT = 1e-5
"""Of what is left of a stream of size one: the norm before attention has an epsilon, too."""


def allowed(size: float) -> tuple[float, float]:
    """Return the least and the greatest length that a norm may give a vector of this root mean square."""
    return size / float(np.sqrt(size**2 + LARGEST_EPSILON)), 1.0


def expect_within(got: float, least: float, most: float, what: str) -> None:
    """Require a number to lie between two, but for rounding."""
    expect(
        least * (1 - ROUNDING) <= got <= most * (1 + ROUNDING),
        f"{what}: got {got:.5g}, want {least:.5g} to {most:.5g}: the norm divides by the root of the mean "
        f"square plus at most {LARGEST_EPSILON:g}",
    )


@law(examples=3, seed=seeds, sign=st.sampled_from([1, -1]))
def test_embeddings_of_any_size_are_normalised(probe: Probe, seed: int, sign: int) -> None:
    """An embedding becomes as long as any other, however short or long it is; only an epsilon may show.

    What attention adds to it has a known length, so their ratio says how long the embedding is.
    Kills: a divisor with a floor, an epsilon that is too large or not squared, squares that vanish.
    """
    along, across = directions(seed)
    weights = silent(1)
    # One token for each size.
    weights["transformer.wte.weight"][: len(SIZES)] = np.outer(SIZES, along) * sign
    into_attention(weights, 0, np.outer(across, along) / WIDTH)
    stream = streams(probe, weights, 1, len(SIZES), along, across)
    for size, (own, added) in zip(SIZES, stream, strict=True):
        least, most = allowed(size)
        # The norm before attention has an epsilon of its own: added is own / sqrt(own^2 + epsilon).
        what = f"the length of an embedding of root mean square {size:g} in the stream"
        ratio = ratio_of(own, added, what)
        expect_within(ratio, least, float(np.sqrt(most**2 + LARGEST_EPSILON)), what)


@law(examples=3, seed=seeds, place=st.sampled_from(["attention", "mlp", "head"]))
def test_short_streams_are_normalised(probe: Probe, seed: int, place: str) -> None:
    """Where little is left of the stream, it is normalised like any other: before each block and the head.

    The first layer takes nearly all of the stream away, by as much as its weights say.
    Kills: a divisor with a floor, an epsilon that is too large or not squared, one norm unlike the others.
    """
    along, across = directions(seed)
    for left in SHORTER:
        weights = silent(2)
        weights["transformer.wte.weight"][0] = 100.0 * along
        into_attention(weights, 0, -(1.0 - left) * np.outer(along, along) / WIDTH)
        if place == "attention":
            into_attention(weights, 1, np.outer(across, along) / WIDTH)
        if place == "mlp":
            weights["transformer.h.0.mlp.c_fc.weight"][0] = along / WIDTH
            weights["transformer.h.0.mlp.c_proj.weight"][:, 0] = across
        ((own, added),) = streams(probe, weights, 2, 1, along, across)
        shortest, longest = left - LEFT, left + LEFT
        least, most = allowed(shortest)[0], 1.0
        what = f"the length of a stream of root mean square {left:g} after the norm before the {place}"
        if place == "head":
            expect_within(own, least, most, what)
        else:
            # The MLP squares.
            power = 2.0 if place == "mlp" else 1.0
            ratio = ratio_of(added, own, what)
            expect_within((ratio * longest) ** (1 / power), least, most * (longest / shortest), what)


@law(examples=3, seed=seeds, part=st.sampled_from(["c_q", "c_k"]))
def test_queries_and_keys_of_any_size_are_normalised(probe: Probe, seed: int, part: str) -> None:
    """Queries and keys become as long as any others, however short or long they are.

    The second of two tokens divides its attention between them by how long its query and the keys are.
    Kills: a divisor with a floor, an epsilon that is too large or not squared, norms of queries or keys
    unlike the others.
    """
    along, across = directions(seed)
    for size in SIZES:
        weights = silent(1)
        for name in ("c_q", "c_k", "c_v", "c_proj"):
            weights[f"transformer.h.0.attn.{name}.weight"] = np.eye(WIDTH, dtype=np.float32)
        weights[f"transformer.h.0.attn.{part}.weight"] *= np.float32(size)
        # No rotation.
        tables = {"cos": np.ones((2, WIDTH // 2), np.float32), "sin": np.zeros((2, WIDTH // 2), np.float32)}
        x = np.stack([along, across])[None].astype(np.float32)
        shape = config(n_head=1, head_dim=WIDTH, sequence_len=2)
        (got,) = probe("model.attention", config=shape, weights=weights | tables, x=x, starts=[0])
        out = as_numbers(got, "the output of attention")
        expect_equal(list(out.shape), [1, 2, WIDTH], "the shape of the output of attention")
        first, second = (float(out[0, 1] @ each) / WIDTH for each in (along, across))
        what = f"the length of {'queries' if part == 'c_q' else 'keys'} of root mean square {size:g}"
        expect(0 < first < 1 and 0 < second < 1, f"{what}: attention is {first:.3g} and {second:.3g}")
        least, most = allowed(size)
        # Its own score is the product of both lengths times the root of the width, the other's is zero.
        length = float(np.log(second / first)) / float(np.sqrt(WIDTH))
        expect_within(length, least * allowed(1.0)[0], most, what)


def ratio_of(one: float, other: float, what: str) -> float:
    """Return one number over another; both must be there, and of one sign."""
    expect(one * other > 0, f"{what}: the logits hold {one:.3g} and {other:.3g} of it, want one sign of both")
    return one / other


def directions(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two orthogonal vectors of root mean square one."""
    random = draws.normal(seed, WIDTH, 2).astype(np.float64)
    orthogonal = np.linalg.qr(random)[0] * np.sqrt(WIDTH)
    return orthogonal[:, 0], orthogonal[:, 1]


def silent(n_layer: int) -> Weights:
    """Return weights of a model of one head that adds nothing to its stream, with all of them zero."""
    shape = config(n_layer=n_layer, n_head=1, head_dim=WIDTH)
    return {name: np.zeros_like(value) for name, value in draws.weights(shape, 0).items()}


def into_attention(weights: Weights, layer: int, matrix: NDArray[np.float64]) -> None:
    """Let a layer's attention of a single token be the product with a matrix."""
    weights[f"transformer.h.{layer}.attn.c_v.weight"] = matrix.astype(np.float32)
    weights[f"transformer.h.{layer}.attn.c_proj.weight"] = np.eye(WIDTH, dtype=np.float32)


def streams(
    probe: Probe, weights: Weights, n_layer: int, count: int, *along: NDArray[np.float64]
) -> list[tuple[float, ...]]:
    """Return for each of the first tokens, alone, how far the last norm's result goes along two vectors."""
    shape = config(n_layer=n_layer, n_head=1, head_dim=WIDTH)
    for row, vector in enumerate(along):
        weights["lm_head.weight"][row] = vector / WIDTH
    tokens = np.arange(count)[:, None]
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens], dtype="float32")
    logits = as_numbers(got, "the logits")
    expect_equal(list(logits.shape), [count, 1, shape["vocab_size"]], "the shape of the logits")
    expect(bool((np.abs(logits) < 14).all()), "the logits are near the cap, want them near zero")
    raw = 15.0 * np.arctanh(logits[:, 0, : len(along)] / 15.0)
    return [tuple(float(each) for each in row) for row in raw]
