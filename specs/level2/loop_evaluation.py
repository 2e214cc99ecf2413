"""Evaluation: the mean over targets, bits for each byte, and that nothing is changed by it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from specs import training_draws
from specs.compare import expect, expect_close, expect_equal
from specs.law import law
from specs.oracles import training as training_oracle
from specs.probe import Probe
from specs.strategies import seeds
from specs.tolerances import TRAINING_LOSS
from specs.training_draws import VOCABULARY

CRITERION = "loop"

Sizes = list[tuple[int, int, int]]

BYTES = [5, 1, 2, 4, 7, 3, 6, 0, 0, 0, 300]
"""Bytes of each id of the small vocabulary; the last has many, to be found where -1 is looked up as it, and
more than a byte can count."""


@law(
    examples=15,
    cases=[
        {"seed": 0, "sizes": [(1, 4, 1), (1, 4, 4)], "form": "list", "more": [], "named": False},
        {"seed": 0, "sizes": [(2, 3, 6)], "form": "iterator", "more": [], "named": True},
        {"seed": 0, "sizes": [(1, 3, 0), (1, 3, 2)], "form": "list", "more": [], "named": False},
        {"seed": 0, "sizes": [(2, 3, 6)], "form": "list", "more": [{"epoch": 0}], "named": False},
        {"seed": 0, "sizes": [(2, 3, 6)], "form": "list", "more": ["mask"], "named": False},
    ],
    seed=seeds,
    sizes=training_draws.uneven(),
    form=st.sampled_from(["list", "iterator"]),
    more=st.sampled_from([[], [{"epoch": 0}], [None, 5], ["mask"]]),
    named=st.booleans(),
)
def test_every_target_weighs_the_same_in_evaluation(
    probe: Probe, seed: int, sizes: Sizes, form: str, more: list[Any], named: bool
) -> None:
    """The loss is the mean over all targets that count, of whichever batch: no mean of means, and a float.

    Whether arguments are given by name or in their order.
    Kills: the mean of the batches' means, a sum, ignored targets counted, batches in which none counts,
    batches unpacked into exactly two.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, sizes)
    if not training_oracle.counted(batches):
        return
    got = probe("evaluation.loss_of", weights=weights, pairs=batches, form=form, more=more, named=named)
    want = training_oracle.mean_loss(weights, batches)
    counts = [size[2] for size in sizes]
    expect_close(np.array([got["value"]]), np.array([want]), TRAINING_LOSS, f"the loss with {counts} targets")
    expect(got["float"], "evaluate must return a float")


@law(
    examples=6,
    cases=[
        {"seed": 0, "training": training, "bits": bits, "recording": recording}
        for training, recording in ((True, True), (False, True), (True, False))
        for bits in (True, False)
    ],
    seed=seeds,
    training=st.booleans(),
    bits=st.booleans(),
    recording=st.booleans(),
)
def test_evaluation_leaves_no_traces(
    probe: Probe, seed: int, training: bool, bits: bool, recording: bool
) -> None:
    """Evaluation runs in eval mode and changes nothing: parameters, gradients, mode, random states, batches.

    Also where a parameter is not trained, and where the caller has switched off the recording of gradients.
    Kills: a model left in eval mode, or put into training mode that was not in it, dropout while evaluating,
    gradients that are added or cleared, a seed set, parameters thawed, targets written into, gradients
    switched on for good.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, [(2, 3, 5), (1, 4, 2)])
    question = {"weights": weights, "pairs": batches, "training": training, "dropout": 0.5}
    got = measured(probe, bits, **question, recording=recording)
    expect_equal(got["changed"], [], "what an evaluation changed")
    expect_equal(got["modes"], [False] * len(got["modes"]), "whether forward passes ran in training mode")
    expect(len(got["modes"]) > 0, "the model was never run")


@law(
    examples=6,
    cases=[
        {"seed": 0, "training": training, "bits": bits, "fails": fails}
        for training, fails in ((True, "batches"), (False, "batches"), (True, "model"))
        for bits in (True, False)
    ],
    seed=seeds,
    training=st.booleans(),
    bits=st.booleans(),
    fails=st.sampled_from(["batches", "model"]),
)
def test_an_evaluation_that_fails_leaves_all_usable(
    probe: Probe, seed: int, training: bool, bits: bool, fails: str
) -> None:
    """An error of the batches or of the model ends an evaluation, and all stays usable: the next is right.

    Kills: gradients left switched off, parameters left frozen or changed. The mode may be either then.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, [(2, 3, 5), (1, 4, 2)])
    got = measured(probe, bits, weights=weights, pairs=batches, training=training, fails=fails)
    expect_equal(got["changed"], [], f"what an evaluation changed that an error of the {fails} ended")
    want = (
        training_oracle.bits_per_byte(weights, batches, BYTES)
        if bits
        else training_oracle.mean_loss(weights, batches)
    )
    what = f"the {'bits for each byte' if bits else 'loss'} measured after an error of the {fails}"
    expect_close(np.array([got["value"]]), np.array([want]), TRAINING_LOSS, what)


def measured(probe: Probe, bits: bool, **question: Any) -> dict[str, Any]:
    """Return what the probe says of a loss, or of bits for each byte."""
    more = {"token_bytes": BYTES} if bits else {}
    answer: dict[str, Any] = probe(f"evaluation.{'bits_per_byte' if bits else 'loss_of'}", **question, **more)
    return answer


@law(
    examples=15,
    cases=[
        {"seed": 0, "sizes": [(1, 6, 6)], "as_tensor": False, "more": [], "named": False},
        {"seed": 1, "sizes": [(2, 5, 4), (3, 5, 15)], "as_tensor": True, "more": [], "named": True},
        {"seed": 1, "sizes": [(2, 5, 10)], "as_tensor": True, "more": [{"epoch": 0}], "named": False},
        {"seed": 1, "sizes": [(2, 5, 10)], "as_tensor": True, "more": ["mask"], "named": False},
    ],
    seed=seeds,
    sizes=training_draws.uneven(),
    as_tensor=st.booleans(),
    more=st.sampled_from([[], [{"epoch": 0}], ["mask"]]),
    named=st.booleans(),
)
def test_bits_are_counted_for_bytes(
    probe: Probe, seed: int, sizes: Sizes, as_tensor: bool, more: list[Any], named: bool
) -> None:
    """Bits per byte are the losses of targets with bytes, over log(2) and the sum of their bytes.

    Whether arguments are given by name or in their order.
    Kills: losses in nats, bytes of the inputs, of ignored targets or of targets for the mean, special tokens
    counted, a mean over batches, numbers of bytes in eight bits, those of a neighbouring id.
    """
    weights, batches = training_draws.weights(seed), training_draws.of_sizes(seed, sizes)
    want = training_oracle.bits_per_byte(weights, batches, BYTES)
    got = probe(
        "evaluation.bits_per_byte",
        weights=weights,
        pairs=batches,
        token_bytes=BYTES,
        as_tensor=as_tensor,
        more=more,
        named=named,
    )
    if np.isinf(want):
        expect_equal(got["value"], want, "the bits for each byte where no target has bytes")
        return
    expect_close(np.array([got["value"]]), np.array([want]), TRAINING_LOSS, "the bits for each byte")
    expect(got["float"], "evaluate_bits_per_byte must return a float")


@law(
    examples=8,
    cases=[{"seed": 0, "cut": [1, 3]}],
    seed=seeds,
    cut=st.lists(st.integers(1, 3), min_size=2, max_size=4),
)
def test_the_cut_does_not_matter_to_evaluation(probe: Probe, seed: int, cut: list[int]) -> None:
    """Loss and bits per byte of some rows are the same however the rows are cut into batches.

    Kills: a mean of means, a last batch that is smaller and weighs as much.
    """
    weights = training_draws.weights(seed)
    rows = sum(cut)
    inputs, targets = training_draws.batch(seed, rows, 4, counting=max(2, rows * 2))
    edges = np.cumsum(cut)[:-1]
    pieces = list(zip(np.split(inputs, edges), np.split(targets, edges), strict=True))
    for name, more in (
        ("loss_of", {}),
        ("bits_per_byte", {"token_bytes": [1 + n % 3 for n in range(VOCABULARY)]}),
    ):
        whole = probe(f"evaluation.{name}", weights=weights, pairs=[(inputs, targets)], **more)["value"]
        got = probe(f"evaluation.{name}", weights=weights, pairs=pieces, **more)["value"]
        expect_close(np.array([got]), np.array([whole]), TRAINING_LOSS, f"{name} of pieces of {cut} rows")


@law(
    examples=4,
    cases=[{"seed": 0, "kind": kind} for kind in ("ignored", "special", "none")],
    seed=seeds,
    kind=st.sampled_from(["ignored", "special"]),
)
def test_an_evaluation_of_nothing_ends(probe: Probe, seed: int, kind: str) -> None:
    """Without a target that has bytes, bits per byte are infinite; a loss over no targets is 0 or no number.

    Kills: a division by zero.
    """
    weights = training_draws.weights(seed)
    inputs, targets = training_draws.batch(seed, 2, 3, counting=0)
    batches = {
        "ignored": [(inputs, targets)],
        "special": [(inputs, np.full_like(targets, BYTES.index(0)))],
        "none": [],
    }[kind]
    got = probe("evaluation.bits_per_byte", weights=weights, pairs=batches, token_bytes=BYTES)["value"]
    expect_equal(got, float("inf"), f"bits for each byte of targets that are {kind}")
    if kind != "special":
        loss = probe("evaluation.loss_of", weights=weights, pairs=batches)["value"]
        expect(
            bool(np.isnan(loss)) or loss == 0.0, f"the loss of batches in which no target counts: got {loss}"
        )
