"""The loss: cross-entropy over the targets that count.

The rotary tables are the oracle's and there is no cache, so that bugs of these do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import (
    as_numbers,
    expect,
    expect_close,
    expect_differs,
    expect_equal,
)
from specs.law import law
from specs.oracles import gpt
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, configs, seeds

CRITERION = "attention"


@law(examples=27, shape=configs(max_layers=1), seed=seeds, batch=st.integers(1, 3), length=st.integers(1, 9))
def test_the_loss_is_the_mean_over_counted_targets(
    probe: Probe, shape: Config, seed: int, batch: int, length: int
) -> None:
    """The loss is the mean cross-entropy of the capped logits over the targets that are not -1.

    Kills: ignored targets counted in the mean, another ignored value, loss of uncapped logits, a shift
    by one inside the model.
    """
    tokens, targets = draws.tokens(shape, seed, batch, length), masked_targets(shape, seed, batch, length)
    weights = draws.model(shape, seed, probe.dtype)
    (got,) = probe("model.loss", config=shape, weights=weights, tokens=tokens, targets=[targets])
    each = gpt.loss_of_each(gpt.logits(shape, weights, tokens), targets)
    expect_close(
        np.asarray(got).reshape(-1)[:1] if np.size(got) == 1 else got,
        np.array([each.sum() / (targets != -1).sum()]),
        loss_tolerance(probe.dtype),
        "the loss",
    )


@law(
    examples=9,
    cases=[{"seed": 0, "batch": batch, "length": length} for batch, length in ((1, 1), (3, 1), (1, 4))],
    seed=seeds,
    batch=st.integers(1, 3),
    length=st.integers(1, 9),
)
def test_the_loss_reductions_agree(probe: Probe, seed: int, batch: int, length: int) -> None:
    """Reduction "none" gives the losses one after another, zero where a target is -1, and "sum" their sum.

    A single position gives a list of one. Kills: a reduction that is ignored or applied twice, ignored
    targets that contribute, an axis squeezed away where it has the size of one.
    """
    shape = config()
    tokens, targets = draws.tokens(shape, seed, batch, length), masked_targets(shape, seed, batch, length)
    weights = draws.model(shape, seed, probe.dtype)
    each = gpt.loss_of_each(gpt.logits(shape, weights, tokens), targets)
    for reduction, want in (("none", each.reshape(-1)), ("sum", each.sum().reshape(1))):
        (got,) = probe(
            "model.loss", config=shape, weights=weights, tokens=tokens, targets=[targets], reduction=reduction
        )
        tolerance = loss_tolerance(probe.dtype).times(1 if reduction == "none" else batch * length)
        if reduction == "sum":
            got = as_numbers(got, "the loss").reshape(-1)
        expect_close(got, want, tolerance, f'the loss with reduction "{reduction}"')


@law(examples=8, seed=seeds, length=st.integers(2, 9))
def test_the_loss_reads_only_counted_targets(probe: Probe, seed: int, length: int) -> None:
    """Changing a counted target changes the loss; the number of ignored ones around it does not.

    Kills: a mean over all positions, targets that are not read.
    """
    shape = config()
    tokens = draws.tokens(shape, seed, 1, length)
    weights = draws.model(shape, seed)
    one = np.full((1, length), -1)
    one[0, 0] = seed % shape["vocab_size"]
    other = one.copy()
    other[0, 0] = (one[0, 0] + 1) % shape["vocab_size"]
    got, changed = probe("model.loss", config=shape, weights=weights, tokens=tokens, targets=[one, other])
    (alone,) = probe("model.loss", config=shape, weights=weights, tokens=tokens[:, :1], targets=[one[:, :1]])
    expect_close(
        got, as_numbers(alone, "the loss"), loss_tolerance(probe.dtype), "the loss with ignored targets added"
    )
    expect_differs(
        changed, as_numbers(got, "the loss"), 1e-6, "the loss when its only counted target changes"
    )


@law(
    examples=6,
    seed=seeds,
    dtype=st.sampled_from(["bfloat16", "float32", "float64"]),
    batch=st.integers(2, 3),
)
def test_the_loss_is_float32(probe: Probe, seed: int, dtype: str, batch: int) -> None:
    """The loss comes as float32 and is computed in it, whatever the model's dtype, with every reduction.

    Kills: a loss in the dtype of the model, which moves in steps of 1/64 between 2 and 4, also where it is
    cast to float32 afterwards.
    """
    shape = config(vocab_size=50)
    length = 9
    tokens, targets = draws.tokens(shape, seed, batch, length), draws.tokens(shape, seed + 1, batch, length)
    weights = draws.model(shape, seed, dtype)
    question = {"config": shape, "weights": weights, "tokens": tokens, "targets": targets, "dtype": dtype}
    answers = {each: probe("model.loss_form", **question, reduction=each) for each in ("mean", "sum", "none")}
    for reduction, answer in answers.items():
        expect_equal(answer["dtype"], "float32", f'the dtype of the loss with reduction "{reduction}"')
    each = as_numbers(answers["none"]["loss"], "the loss").reshape(-1)
    want = gpt.loss_of_each(gpt.logits(shape, weights, tokens), targets).reshape(-1)
    expect_close(each, want, loss_tolerance(dtype), "the loss of each target")
    coarse = float(np.mean(each == draws.rounded(each.astype(np.float32), "bfloat16")))
    expect(
        coarse < 0.5,
        f"{coarse:.0%} of the losses are numbers that bfloat16 can hold; "
        "computed in float32, only a few are so by chance",
    )


@law(examples=24, seed=seeds, batch=st.integers(1, 3), length=st.integers(2, 9))
def test_targets_may_be_a_slice_of_the_text(probe: Probe, seed: int, batch: int, length: int) -> None:
    """Inputs and targets may be slices of one tensor, the text without its last and without its first token.

    Kills: a view of targets that do not lie in memory in one piece.
    """
    shape = config()
    text = draws.tokens(shape, seed, batch, length)
    weights = draws.model(shape, seed, probe.dtype)
    got = probe("model.loss_of_text", config=shape, weights=weights, text=text)
    want = gpt.loss_of_each(gpt.logits(shape, weights, text[:, :-1]), text[:, 1:])
    expect_close(
        as_numbers(got, "the loss").reshape(-1), want.reshape(-1), loss_tolerance(probe.dtype), "the loss"
    )


@law(examples=10, seed=seeds, batch=st.integers(1, 2), length=st.integers(1, 5))
def test_where_no_target_counts_there_is_no_loss(probe: Probe, seed: int, batch: int, length: int) -> None:
    """If all targets are -1, each loss is zero, and so is their sum; what their mean is, is free.

    Kills: an error or a number that is none for a text of which nothing is to be learned.
    """
    shape = config()
    tokens, targets = draws.tokens(shape, seed, batch, length), np.full((batch, length), -1)
    weights = draws.model(shape, seed)
    for reduction, count in (("none", batch * length), ("sum", 1)):
        (got,) = probe(
            "model.loss", config=shape, weights=weights, tokens=tokens, targets=[targets], reduction=reduction
        )
        got = as_numbers(got, "the loss").reshape(-1)
        what = f'the loss of {batch * length} targets of -1 with reduction "{reduction}"'
        expect_close(got, np.zeros(count), tolerances.EXACT, what)


@law(examples=8, seed=seeds, batch=st.integers(1, 2), length=st.integers(2, 5))
def test_every_reduction_has_the_gradient_of_what_it_gives(
    probe: Probe, seed: int, batch: int, length: int
) -> None:
    """The losses one by one, their sum and their mean have one gradient, but for the number of targets.

    Kills: losses that are cut from the model where they come one by one or as a sum.
    """
    shape = config()
    tokens, targets = draws.tokens(shape, seed, batch, length), masked_targets(shape, seed, batch, length)
    weights = draws.model(shape, seed)
    got = probe("model.gradients_by_reduction", config=shape, weights=weights, tokens=tokens, targets=targets)
    counted = int((targets != -1).sum())
    for name, mean in got["mean"].items():
        want = as_numbers(mean, f"the gradient of {name}") * counted
        for reduction in ("sum", "none"):
            gradient = as_numbers(got[reduction].get(name), f"the gradient of {name}")
            what = f'the gradient of {name} with reduction "{reduction}", by that of the mean,'
            expect_close(gradient, want, tolerances.GRADIENT, what)


@law(
    examples=1,
    cases=[{"seed": 0, "batch": 1, "length": 1300}, {"seed": 1, "batch": 300, "length": 30}],
    seed=seeds,
    batch=st.sampled_from([10, 40]),
    length=st.sampled_from([70, 130]),
)
def test_the_loss_of_many_positions_is_one(probe: Probe, seed: int, batch: int, length: int) -> None:
    """Over thousands of positions each target that counts weighs the same, wherever it stands.

    The targets of the first half are easy and all count; of the others, which are hard, one in ten does.
    Kills: a mean of the means of rows or chunks, chunks that are weighed by their size, a last one left out.
    """
    shape = config(n_head=1, vocab_size=7, sequence_len=length)
    tokens, weights = draws.tokens(shape, seed, batch, length), draws.model(shape, seed, probe.dtype)
    logits = gpt.logits(shape, weights, tokens)
    easy, hard = (choose(logits, axis=-1).reshape(-1) for choose in (np.argmax, np.argmin))
    place = np.arange(easy.size)
    hard[(place + seed) % 10 != 0] = -1
    targets = np.where(place < easy.size // 2, easy, hard).reshape(batch, length)
    each = gpt.loss_of_each(logits, targets)
    loose = gpt.loss_of_each(gpt.logits(shape, weights, tokens, gpt.LARGEST_EPSILON), targets)
    slack = 1.5 * np.abs(loose - each).reshape(-1)
    counted = int((targets != -1).sum())
    for reduction, want in (("mean", each.sum() / counted), ("sum", each.sum() / counted), ("none", each)):
        (got,) = probe(
            "model.loss", config=shape, weights=weights, tokens=tokens, targets=[targets], reduction=reduction
        )
        numbers = as_numbers(got, "the loss").reshape(-1) / (counted if reduction == "sum" else 1)
        what = f'the loss of {batch} rows of {length} tokens with reduction "{reduction}"'
        if reduction == "sum":
            what += f", over the {counted} targets that count,"
        # Of thousands of heads a few are so short by chance that rounding shows; their mean is not.
        tolerance = loss_tolerance(probe.dtype).times(10 if reduction == "none" else 2)
        allowed = slack if reduction == "none" else slack.sum() / counted
        expect_close(numbers, np.asarray(want).reshape(-1), tolerance, what, slack=allowed)


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
