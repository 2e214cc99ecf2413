"""Copies: a model that was copied deeply, and a configuration that another was made of.

The rotary tables are the oracle's, there is no cache, and there are as many key/value heads as query heads,
so that bugs of these do not show here.
"""

from __future__ import annotations

from hypothesis import strategies as st

from specs import draws
from specs.compare import expect_equal, expect_raised
from specs.law import law
from specs.logits import expect_logits
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "attention"


@law(examples=3, seed=seeds, n_layer=st.integers(1, 2), used=st.booleans())
def test_a_copy_of_a_model_is_a_model_of_its_own(probe: Probe, seed: int, n_layer: int, used: bool) -> None:
    """A deep copy computes with its own parameters and learns with them, as averages of models need.

    Whether a model can be copied so is free. Kills: a function that was bound to the model it was made in,
    a layer that both share.
    """
    shape = config(n_layer=n_layer)
    weights = [draws.model(shape, seed + i) for i in range(3)]
    tokens = draws.tokens(shape, seed, 2, 5)
    got = probe("model_copies.copied", config=shape, weights=weights, tokens=tokens, used=used)
    if got is None:
        return
    holds = [{"original": 0, "copy": 0}, {"original": 1, "copy": 0}, {"original": 1, "copy": 2}]
    what = ["", " after the original's parameters changed", " after those of both changed"]
    for answer, which, when in zip(got["passes"], holds, what, strict=True):
        for name, place in which.items():
            expect_logits(
                answer[name], shape, weights[place], tokens, "float32", f"the logits of the {name}{when}"
            )
    count = len(draws.weights(shape, seed))
    learned = [{"original": 0, "copy": count}, {"original": count, "copy": count}]
    expect_equal(
        got["learned"], learned, "how many parameters have gradients after the copy's and the original's loss"
    )


REPLACED: list[dict[str, int]] = [
    {"n_head": 2, "n_kv_head": 2},
    {"n_head": 8, "n_kv_head": 8},
    {"n_embd": 64},
    {"n_embd": 16, "n_layer": 2},
    {"vocab_size": 7, "sequence_len": 9},
]


@law(
    examples=5,
    changes=st.sampled_from(REPLACED),
    used=st.booleans(),
)
def test_a_configuration_may_be_made_of_another(probe: Probe, changes: dict[str, int], used: bool) -> None:
    """`dataclasses.replace` gives the configuration that the same sizes give, and refuses the same.

    Kills: a size of a head, or another number, that was worked out once and is carried along.
    """
    first = config(n_head=4, head_dim=8)
    got = probe("model_copies.replaced", config=first, changes=changes, used=used)
    second: Config = {**first, **changes}
    what = f"of a configuration of which {changes} was replaced"
    expect_equal(got["first"], first, f"the sizes before, {what}")
    expect_equal(got["second"], second, f"the sizes {what}")
    expect_equal(got["of the model"], second, f"the sizes of the model {what}")
    shapes = {name: list(value.shape) for name, value in draws.weights(second, 0).items()}
    expect_equal(got["parameters"], shapes, f"the shapes of the parameters {what}")
    pairs = second["n_embd"] // second["n_head"] // 2
    expect_equal(got["pairs"], [pairs, pairs], f"the pairs of channels in cos and sin {what}")
    wrong = {"n_head": 3, "n_kv_head": 3}
    outcome = probe.attempt("model_copies.replaced", config=first, changes=wrong, used=used)
    expect_raised(outcome, f"a configuration of {first} of which {wrong} was replaced", "ValueError")
