"""One model over several passes: none depends on how an earlier one was run, nor on what weights were before.

The rotary tables are the oracle's, there is no cache that is looked at, and there are as many key/value heads
as query heads, so that bugs of these do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import as_numbers, expect, expect_close, expect_equal
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.level3.loss import masked_targets
from specs.logits import expect_logits
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "attention"

BEFORE = [
    [],
    ["inference"],
    ["no gradients"],
    ["learning"],
    ["inference", "learning"],
    ["gradients", "no gradients", "learning"],
]


@law(
    examples=4,
    cases=[
        {"seed": 0, "batch": 2, "length": 5, "before": before, "by": "loss" if i % 2 else "logits"}
        for i, before in enumerate(BEFORE)
    ],
    seed=seeds,
    batch=st.integers(1, 2),
    length=st.sampled_from([1, 2, 7]),
    before=st.sampled_from(BEFORE),
    by=st.sampled_from(["logits", "loss"]),
)
def test_a_model_learns_whatever_it_did_before(
    probe: Probe, seed: int, batch: int, length: int, before: list[str], by: str
) -> None:
    """Gradients are the same after passes over texts of that length, with and without gradients, as at first.

    They are also the same whether the loss is the model's own or taken of its logits by the caller.
    Kills: tables, masks or buffers that are kept from a pass under inference mode, with which nothing can be
    learned; a graph that is kept and freed; logits without a graph.
    """
    expect_the_same_gradients(probe, seed, batch, length, before, by)


def expect_the_same_gradients(
    probe: Probe, seed: int, batch: int, length: int, before: list[str], by: str
) -> None:
    """Require the gradients of a model that made the passes `before` to be those of one that made none."""
    shape = config(n_layer=1 + seed % 2)
    weights = draws.model(shape, seed)
    tokens = draws.tokens(shape, seed, batch, length)
    targets = masked_targets(shape, seed, batch, length)
    question = {"config": shape, "weights": weights, "tokens": tokens, "targets": targets}
    want = probe("model.gradients", **question)
    got = probe("model_passes.gradients_after", **question, before=before, by=by)
    for name, gradient in want.items():
        what = f"the gradient of {name}, by the {by}, after the passes {before}"
        expect(got.get(name) is not None, f"there is no {what.removeprefix('the ')}")
        wanted = as_numbers(gradient, f"the gradient of {name}")
        expect_close(got[name], wanted, tolerances.GRADIENT, what)


WAYS = ["copy", "data", "optimizer", "load"]
PASSES = ["inference", "no gradients", "gradients"]


@law(
    examples=2,
    cases=[
        {"seed": 0, "dtype": dtype, "how": how, "mode": mode}
        for dtype, how, mode in (
            ("bfloat16", "copy", "no gradients"),
            ("float32", "optimizer", "no gradients"),
            ("bfloat16", "load", "inference"),
            ("float32", "data", "inference"),
            ("bfloat16", "data", "gradients"),
            ("float32", "data", "no gradients"),
            ("bfloat16", "data", "no gradients"),
            ("float32", "copy", "gradients"),
        )
    ],
    seed=seeds,
    dtype=st.sampled_from(["bfloat16", "float32"]),
    how=st.sampled_from(WAYS),
    mode=st.sampled_from(PASSES),
)
def test_a_pass_computes_with_the_weights_as_they_are(
    probe: Probe, seed: int, dtype: str, how: str, mode: str
) -> None:
    """A parameter that was changed in place, whichever and however, is what the next pass computes with.

    Kills: copies of weights, joined, transposed or in another dtype, that are kept from an earlier pass.
    """
    shape = config()
    weights, later = draws.model(shape, seed, dtype), draws.weights(shape, seed + 1, dtype)
    tokens = draws.tokens(shape, seed, 2, 5)
    names = sorted(later)
    first = seed % len(names)
    order = names[first:] + names[:first]
    # One after another, and then all at once back to what they were.
    changes = [{name: later[name]} for name in order] + [{name: weights[name] for name in order}]
    answers = probe(
        "model_passes.after_changes",
        config=shape, weights=weights, changes=changes, tokens=tokens, how=how, mode=mode, dtype=dtype,
    )  # fmt: skip
    expect_equal(len(answers), 1 + len(changes), "the number of passes")
    now = dict(weights)
    for changed, got in zip([{}, *changes], answers, strict=True):
        now |= changed
        what = f"the logits in {dtype} after {' and '.join(changed) or 'nothing'} changed ({how}, {mode})"
        expect_logits(got, shape, now, tokens, dtype, what)


@law(
    examples=4,
    cases=[{"n_layer": 1, "how": how, "part": "transformer"} for how in ("plain", "again", "meta")],
    n_layer=st.integers(1, 2),
    how=st.sampled_from(["plain", "again", "meta"]),
    part=st.sampled_from(["", "wte", "lm_head", "c_proj", "nothing"]),
)
def test_initialising_fills_the_parameters_that_are_there(
    probe: Probe, n_layer: int, how: str, part: str
) -> None:
    """init_weights fills every parameter in place, frozen ones too: they stay who they are, and frozen.

    Whoever holds them, as an optimizer does, holds those of the model still.
    Kills: new parameters in the place of the old ones, frozen ones left with whatever their memory held.
    """
    shape = config(n_layer=n_layer)
    names = sorted(draws.weights(shape, 0))
    frozen = [name for name in names if part in name]
    got = probe(
        "model_passes.initialised",
        config=shape, how=how, frozen=frozen, tokens=draws.tokens(shape, 0, 1, 5),
    )  # fmt: skip
    expect_equal(got["kept"], names, "the parameters that are the same objects after init_weights")
    expect_equal(got["frozen"], frozen, "the parameters that are frozen after init_weights")
    for name in names:
        filled = as_numbers(got["values"].get(name), name)
        state = f"{name}, {'frozen' if name in frozen else 'not frozen'},"
        expect(bool(np.isfinite(filled).all()), f"{state} is not finite after init_weights")
        expect(float(np.std(filled)) > 0, f"{state} holds one number everywhere after init_weights")
    logits = as_numbers(got["logits"], "the logits")
    expect(bool(np.isfinite(logits).all()), "the logits of an initialised model are not finite")


@law()
def test_importing_the_model_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a seed, the number of threads, a precision, flags of torch's backends or warning filters set while
    the module is imported.
    """
    expect_import_without_traces(probe, "nanochat.gpt")
