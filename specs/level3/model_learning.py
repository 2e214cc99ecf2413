"""What a model learns where a part of it is frozen, and where its loss is one part of another.

The rotary tables are the oracle's, there is no cache, and there are as many key/value heads as query heads,
so that bugs of these do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import as_numbers, expect, expect_close
from specs.law import law
from specs.level3.loss import loss_tolerance, masked_targets
from specs.oracles import gpt
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "attention"

FROZEN = ["wte", "lm_head", ".h.0.", ".attn.", ".mlp.", "transformer"]
"""Parts of names. The last leaves the head alone, as a probe of what a model knows does."""


@law(
    examples=4,
    cases=[
        {"seed": 0, "n_layer": 2, "frozen": "wte", "by": "backward", "training": True},
        {"seed": 0, "n_layer": 2, "frozen": "transformer", "by": "backward", "training": True},
        {"seed": 0, "n_layer": 1, "frozen": "lm_head", "by": "grad", "training": True},
        {"seed": 0, "n_layer": 2, "frozen": "wte", "by": "grad", "training": False},
    ],
    seed=seeds,
    n_layer=st.integers(1, 2),
    frozen=st.sampled_from(FROZEN),
    by=st.sampled_from(["backward", "grad"]),
    training=st.booleans(),
)
def test_what_is_not_frozen_learns_as_ever(
    probe: Probe, seed: int, n_layer: int, frozen: str, by: str, training: bool
) -> None:
    """Where some parameters are frozen the others have the gradients that they have otherwise.

    Kills: layers that are computed anew on the way back only where their input needs gradients, a graph that
    begins at the embedding.
    """
    shape = config(n_layer=n_layer)
    weights = draws.model(shape, seed)
    tokens, targets = draws.tokens(shape, seed, 2, 5), masked_targets(shape, seed, 2, 5)
    question = {"config": shape, "weights": weights, "tokens": tokens, "targets": targets}
    names = [name for name in draws.weights(shape, seed) if frozen in name]
    want = probe("model.gradients", **question)
    got = probe("model_learning.with_frozen", **question, frozen=names, by=by, training=training)
    for name, gradient in want.items():
        what = f"the gradient of {name}, by {by}, where {frozen} is frozen"
        if name in names:
            expect(got.get(name) is None, f"there is {what.replace('the', 'a', 1)}")
            continue
        wanted = as_numbers(gradient, f"the gradient of {name}")
        expect(got.get(name) is not None, f"there is no {what.removeprefix('the ')}")
        expect_close(got[name], wanted, tolerances.GRADIENT, what)


@law(
    examples=3,
    cases=[{"seed": 0, "reduction": each, "length": 4} for each in ("mean", "sum", "none")],
    seed=seeds,
    reduction=st.sampled_from(["mean", "sum", "none"]),
    length=st.integers(1, 6),
)
def test_a_loss_may_be_part_of_another(probe: Probe, seed: int, reduction: str, length: int) -> None:
    """A loss that is scaled or weighed before it is learned from has gradients that are so, too.

    As they are where batches are accumulated, losses mixed, or tokens weighed one by one.
    Kills: a loss with a derivative of its own that does not ask what becomes of it.
    """
    shape = config()
    tokens, targets = draws.tokens(shape, seed, 2, length), masked_targets(shape, seed, 2, length)
    count = targets.size if reduction == "none" else 1
    random = np.random.default_rng([seed, 7])
    factors = (random.choice([-1.0, 1.0], count) * random.uniform(2.0, 5.0, count)).astype(np.float32)
    own, logits = probe(
        "model_learning.of_parts",
        config=shape, weights=draws.model(shape, seed), tokens=tokens, targets=targets,
        reduction=reduction, factors=factors,
    )  # fmt: skip
    for name, gradient in logits.items():
        what = f'the gradient of {name} by the loss with reduction "{reduction}", times {factors.round(2)},'
        wanted = as_numbers(gradient, f"the gradient of {name} by the logits")
        expect_close(as_numbers(own.get(name), what), wanted, tolerances.GRADIENT, what)


@law(
    examples=3,
    cases=[{"seed": 0, "vocab_size": size, "hard": 3, "batch": 2} for size in (1, 2, 7)],
    seed=seeds,
    vocab_size=st.sampled_from([1, 2, 7]),
    hard=st.integers(2, 4),
    batch=st.integers(1, 3),
)
def test_a_certain_token_counts_like_others(
    probe: Probe, seed: int, vocab_size: int, hard: int, batch: int
) -> None:
    """The mean is over all targets that are not -1, also over those whose loss is zero in float32.

    A model may be as good as certain of a token; of a vocabulary of one it always is. Every `hard`-th target
    is one that the model gives no chance. Kills: losses of zero taken for targets of -1, a mean over nothing.
    """
    shape = config(vocab_size=vocab_size)
    tokens = draws.tokens(shape, seed, batch, 12)
    weights = draws.model(shape, seed)
    head = weights["lm_head.weight"]
    # The others point the other way, so that the first or all others are sure, but for tokens in between.
    head[1:] = -head[0]
    plain = gpt.logits(shape, weights, tokens)[..., 0]
    sure, first = np.abs(plain) > 1.0, plain > 0
    head *= np.float32(1e4)
    logits = gpt.logits(shape, weights, tokens)
    place = np.arange(tokens.size).reshape(tokens.shape)
    likely = np.where(first, 0, vocab_size - 1)
    targets = np.where(place % hard == 0, vocab_size - 1 - likely, likely)
    targets[~(sure & (first | (vocab_size < 3)))] = -1
    targets.flat[0] = -1
    each = gpt.loss_of_each(logits, targets)
    counted = int((targets != -1).sum())
    if not counted:  # by chance: no token is sure
        return
    for reduction, want in (("mean", each.sum() / counted), ("sum", each.sum()), ("none", each)):
        (got,) = probe(
            "model.loss",
            config=shape, weights=weights, tokens=tokens, targets=[targets], reduction=reduction,
        )  # fmt: skip
        what = f'the loss with reduction "{reduction}" where it is zero for some of {counted} targets'
        tolerance = loss_tolerance(probe.dtype).times(tokens.size if reduction == "sum" else 1)
        expect_close(as_numbers(got, "the loss").reshape(-1), np.asarray(want).reshape(-1), tolerance, what)
