"""What a configuration says: its defaults, the sizes it refuses, and what training a model costs."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from specs import draws
from specs.compare import expect_equal, expect_named, expect_raised
from specs.law import law
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config

CRITERION = "attention"


DEFAULTS = {
    "sequence_len": 1024,
    "vocab_size": 50304,
    "n_layer": 12,
    "n_head": 6,
    "n_kv_head": 6,
    "n_embd": 768,
}


@law()
def test_a_configuration_has_the_defaults_of_the_contract(probe: Probe) -> None:
    """A configuration without arguments is that of the contract; what is left out does not follow the rest.

    Kills: a default changed for an experiment and never changed back, one that is worked out of the others.
    """
    for given in [
        {},
        {"sequence_len": 64},
        {"vocab_size": 7},
        {"n_layer": 2},
        {"n_head": 12},
        {"n_kv_head": 3},
        {"n_embd": 384},
        {"n_layer": 24, "n_embd": 1536},
        {name: value for name, value in DEFAULTS.items() if name != "n_kv_head"} | {"n_head": 12},
    ]:
        got = probe("model.configured", given=given)
        for name, value in {**DEFAULTS, **given}.items():
            expect_equal(got.get(name), value, f"{name} of a configuration given {given or 'nothing'}")


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


@law(
    examples=13,
    cases=[
        {"n_layer": 1, "n_head": 1, "sequence_len": 3000, "frozen": None},
        *(
            {"n_layer": 1, "n_head": 1, "sequence_len": 16, "frozen": part}
            for part in ("wte", "lm_head", "attn", "")
        ),
    ],
    n_layer=st.integers(1, 3),
    n_head=st.integers(1, 4),
    sequence_len=st.sampled_from([16, 64, 1025]),
    frozen=st.sampled_from([None, "wte", "lm_head", "attn", ""]),
)
def test_flops_are_counted_by_the_formula(
    probe: Probe, n_layer: int, n_head: int, sequence_len: int, frozen: str | None
) -> None:
    """A training step costs, a token, 6 operations a weight and 12 a layer, channel and context position.

    The embedding is looked up and not multiplied, so it does not count (Chowdhery et al. 2022, appendix B).
    Frozen weights count like others. Kills: the embedding counted, attention forgotten, the forward pass
    alone, the parameters that learn alone.
    """
    shape = config(n_layer=n_layer, n_head=n_head, sequence_len=sequence_len)
    weights = sum(math.prod(value.shape) for value in draws.weights(shape, 0).values())
    embedding = shape["vocab_size"] * shape["n_embd"]
    want = 6 * (weights - embedding) + 12 * n_layer * shape["n_embd"] * sequence_len
    got = probe("model.flops", config=shape, frozen=frozen)
    expect_equal(
        got,
        {"flops": float(want)},
        f"estimate_flops with {frozen or ('all' if frozen == '' else 'none')} frozen",
    )


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
