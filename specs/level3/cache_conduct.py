"""KV cache consistency: what comes after a refusal, a reset or another dtype, and how far back a token reads.

There are as many key/value heads as query heads, so that bugs of grouped-query attention do not show here,
and the rotary tables are the oracle's.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import as_numbers, expect_close, expect_equal
from specs.imports import expect_import_without_traces
from specs.law import law
from specs.level3.cache_storage import ENTRY_AXES, RIGHT, insertion
from specs.level3.loss import loss_tolerance
from specs.logits import LOGIT_AXES, expect_logits
from specs.oracles import gpt
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "cache"


@law(
    examples=21,
    cases=[{"seed": 0, "held": 3, "which": "v", "wrong": {"rows": 1}}],
    seed=seeds,
    held=st.sampled_from([0, 1, 8, 9]),
    which=st.sampled_from(["k", "v", "kv"]),
    wrong=st.sampled_from([{"rows": 1}, {"rows": 3}, {"heads": 1}, {"heads": 4}, {"head_dim": 5}]),
)
def test_a_refused_insertion_leaves_the_cache_as_it_was(
    probe: Probe, seed: int, held: int, which: str, wrong: dict[str, int]
) -> None:
    """After an insertion that was refused a cache holds what it held, and takes the next one.

    Kills: a position that moves before the shapes are looked at, a cache that is emptied by an error.
    """
    rows, heads, head_dim = RIGHT["rows"], RIGHT["heads"], RIGHT["head_dim"]
    right = {"rows": rows, "heads": heads, "head_dim": head_dim}
    good = [insertion(seed + i, 1, rows, heads, size, head_dim) for i, size in enumerate((held, 2)) if size]
    sizes = {name: right | (wrong if name in which else {}) for name in ("k", "v")}
    bad = {
        name: draws.normal(seed, 1, one["rows"], one["heads"], 2, one["head_dim"])
        for name, one in sizes.items()
    }
    steps = [*good[:-1], {"do": "refuse", **bad}, good[-1]]
    shape = {**right, "layers": 1}
    answers = probe("cache.history", shape=shape, slots=8, steps=steps, dtype="float32")
    refused = answers[-2]
    expect_equal(refused["refused"], True, f"whether keys and values of {sizes} were refused")
    expect_equal(refused["position"], held, "the position after an insertion that was refused")
    for name, what in (("k", "keys"), ("v", "values")):
        want = np.concatenate([step[name] for step in good], axis=3)[0]
        got = answers[-1][name][0]
        expect_close(got, want, tolerances.EXACT, f"the {what} after a refused insertion", ENTRY_AXES)


@law(examples=4, seed=seeds, layers=st.integers(2, 3), held=st.sampled_from([0, 3]))
def test_a_refusal_half_way_leaves_the_earlier_layers_as_they_were(
    probe: Probe, seed: int, layers: int, held: int
) -> None:
    """Where the last layer's keys are refused, what the other layers were given in that pass is kept.

    The pass then ends with keys that fit. Kills: an error that takes the pass, or all tokens, back.
    """
    rows, heads, head_dim = RIGHT["rows"], RIGHT["heads"], RIGHT["head_dim"]
    sizes = [size for size in (held, 2, 1) if size]
    steps = [insertion(seed + i, layers, rows, heads, size, head_dim) for i, size in enumerate(sizes)]
    got = probe(
        "cache_conduct.refused_half_way",
        shape={"rows": rows, "heads": heads, "head_dim": head_dim, "layers": layers},
        steps=steps,
        refused_in=len(sizes) - 2,
        bad=draws.normal(seed, rows, heads + 1, 2, head_dim),
    )
    expect_equal(got["refused"], True, "whether keys with a head too many were refused")
    for name, what in (("k", "keys"), ("v", "values")):
        want = np.concatenate([step[name] for step in steps], axis=3)
        for layer in range(layers):
            where = f"the {what} of layer {layer}, after a refusal in layer {layers - 1}"
            expect_close(got[name][layer], want[layer], tolerances.EXACT, where, ENTRY_AXES)


@law(
    examples=18,
    cases=[{"seed": 0, "rows": 1, "held": 1, "more": 1}],
    seed=seeds,
    rows=st.integers(1, 2),
    held=st.integers(1, 6),
    more=st.integers(1, 3),
)
def test_the_past_is_read_from_the_cache(probe: Probe, seed: int, rows: int, held: int, more: int) -> None:
    """A text is continued from the keys and values that its cache holds, and not from its tokens once more.

    After the first tokens the model gets another embedding: those already in the cache are as they were. For
    the oracle these are other tokens, of a vocabulary twice as large. Kills: a model that remembers ids and
    computes everything again for each token, so that the cache is only for show.
    """
    shape = config(sequence_len=16)
    size = shape["vocab_size"]
    weights = draws.model(shape, seed, probe.dtype)
    earlier, later = (draws.weights(shape, seed + i, probe.dtype)["transformer.wte.weight"] for i in (0, 1))
    tokens = draws.tokens(shape, seed, rows, held + more)
    got = probe(
        "cache_conduct.after_another_embedding",
        config=shape, weights=weights, embedding=later, tokens=tokens, held=held,
    )  # fmt: skip
    both = {
        **weights,
        "transformer.wte.weight": np.concatenate([later, earlier]),
        "lm_head.weight": np.concatenate([weights["lm_head.weight"]] * 2),
    }
    tokens[:, :held] += size
    want, slack = (each[:, held:, :size] for each in gpt.logits_and_slack(shape, both, tokens))
    what = f"the logits of {more} tokens behind {held} in a cache, for which the embedding was another"
    expect_close(got, want, tolerances.of(probe.dtype), what, LOGIT_AXES, slack=slack)


@law(
    examples=6,
    cases=[
        {"seed": 0, "n_layer": 2, "held": 14, "over": 1, "context": 16},
        {"seed": 0, "n_layer": 2, "held": 15, "over": 2, "context": 16},
        {"seed": 0, "n_layer": 1, "held": 1, "over": 1, "context": 150},
    ],
    seed=seeds,
    n_layer=st.integers(1, 2),
    held=st.integers(1, 15),
    over=st.integers(1, 3),
    context=st.sampled_from([16, 100]),
)
def test_a_refused_pass_leaves_the_cache_as_it_was(
    probe: Probe, seed: int, n_layer: int, held: int, over: int, context: int
) -> None:
    """After a pass that did not fit into the context the cache holds what it held, and what fits goes on.

    Kills: a cache that is emptied or half filled before the length is looked at, a long text that is fed
    piece by piece until one of the pieces does not fit.
    """
    shape = config(n_layer=n_layer, sequence_len=context)
    weights = draws.model(shape, seed, probe.dtype)
    tokens = draws.tokens(shape, seed, 2, context + over)
    answer = probe(
        "cache_conduct.after_a_refused_pass", config=shape, weights=weights, tokens=tokens, held=held
    )
    if not answer["refused"]:  # a longer table of the submission's own is allowed
        return
    expect_equal(answer["position"], held, "the position after a pass that was refused")
    rest = f"the {context - held} that fit, after {over} too many were refused"
    what = f"the logits of {held} tokens, and of {rest}"
    times = 4 if context > 16 else 1
    expect_logits(answer["logits"], shape, weights, tokens[:, :context], probe.dtype, what, times)


@law(
    examples=4,
    cases=[
        {"seed": 0, "before": before, "after": after, "slots": 8, "do": do}
        for before, after in (("float32", "bfloat16"), ("bfloat16", "float32"))
        for do in ("insert", "prefill")
    ],
    seed=seeds,
    before=st.sampled_from(["float32", "bfloat16"]),
    after=st.sampled_from(["float32", "bfloat16"]),
    slots=st.sampled_from([1, 8, 64]),
    do=st.sampled_from(["insert", "prefill"]),
)
def test_after_a_reset_another_dtype_may_come(
    probe: Probe, seed: int, before: str, after: str, slots: int, do: str
) -> None:
    """A cache that was reset takes keys and values of any dtype, as a new one does, and gives that back.

    Kills: memory of the old dtype that is used again, so that new numbers are rounded, widened or refused.
    """
    old = {**insertion(seed, 2, 2, 2, 5, 4, before), "dtype": before}
    first = insertion(seed + 1, 2, 2 if do == "insert" else 1, 2, 3, 4, after)
    then = {**insertion(seed + 2, 2, 2, 2, 2, 4, after), "dtype": after}
    answers = probe(
        "cache.history",
        shape={"rows": 2, "heads": 2, "head_dim": 4, "layers": 2},
        slots=slots,
        steps=[old, {"do": "reset"}, {**first, "do": do, "dtype": after}, then],
        dtype="float32",
    )
    expect_equal(answers[-1]["dtypes"], [after], f"the dtype after a reset, {before} before it")
    for name, what in (("k", "keys"), ("v", "values")):
        earlier = first[name] if do == "insert" else np.repeat(first[name], 2, axis=1)
        want = np.concatenate([earlier, then[name]], axis=3)
        for layer in range(2):
            got = answers[-1][name][layer]
            where = f"the {what} of layer {layer}, {after} after a reset"
            expect_close(got, want[layer], tolerances.EXACT, where, ENTRY_AXES)


@law(
    examples=6,
    cases=[
        {"seed": 0, "layers": 2, "begun": 1, "held": held, "then": then, "after": "float32"}
        for held in (0, 3)
        for then in ("insert", "prefill")
    ],
    seed=seeds,
    layers=st.integers(2, 3),
    begun=st.integers(1, 2),
    held=st.sampled_from([0, 3, 9]),
    then=st.sampled_from(["insert", "prefill"]),
    after=st.sampled_from(["float32", "bfloat16"]),
)
def test_a_reset_in_the_middle_of_a_pass_begins_anew(
    probe: Probe, seed: int, layers: int, begun: int, held: int, then: str, after: str
) -> None:
    """After a reset the first layer's turn comes, also where a pass had not come to the last: all is as new.

    Passes that break off between two layers are those that were interrupted or met an error.
    Kills: a turn, a length or keys of a pass that a reset does not take back.
    """
    begun = min(begun, layers - 1)
    before = [insertion(seed, layers, 2, 2, held, 4)] if held else []
    part = {**insertion(seed + 1, layers, 2, 2, 5, 4), "do": "begin"}
    part |= {name: part[name][:begun] for name in ("k", "v")}
    first = {**insertion(seed + 2, layers, 2 if then == "insert" else 1, 2, 3, 4, after), "do": then}
    last = insertion(seed + 3, layers, 2, 2, 2, 4, after)
    answers = probe(
        "cache.history",
        shape={"rows": 2, "heads": 2, "head_dim": 4, "layers": layers},
        slots=8,
        steps=[*before, part, {"do": "reset"}, *({**step, "dtype": after} for step in (first, last))],
        dtype="float32",
    )
    what = f"after a reset when {begun} of {layers} layers had their keys"
    positions = [answer["position"] for answer in answers[-3:]]
    expect_equal(positions, [0, 3, 5], f"the positions after the reset, 3 tokens ({then}) and 2 more, {what}")
    for name, kind in (("k", "keys"), ("v", "values")):
        earlier = first[name] if then == "insert" else np.repeat(first[name], 2, axis=1)
        want = np.concatenate([earlier, last[name]], axis=3)
        for layer in range(layers):
            got = answers[-1][name][layer]
            expect_close(
                got, want[layer], tolerances.EXACT, f"the {kind} of layer {layer} {what}", ENTRY_AXES
            )


@law()
def test_importing_the_cache_changes_nothing(probe: Probe) -> None:
    """Importing the module starts nothing, writes nothing, and changes no setting that others share.

    Kills: a seed, the number of threads, a precision, gradients turned off, or warning filters set while the
    module of cache and engine is imported.
    """
    expect_import_without_traces(probe, "nanochat.engine")


@law(examples=4, layers=st.integers(1, 2), slots=st.sampled_from([1, 8]))
def test_a_cache_keeps_no_gradients(probe: Probe, layers: int, slots: int) -> None:
    """Keys and values that belong to a graph are stored without it: later insertions are not part of it.

    Kills: entries that keep the whole computation of every token alive.
    """
    expect_equal(
        probe("cache_conduct.needs_gradients", layers=layers, slots=slots),
        [False, False],
        "whether keys and values need gradients, inserted without any after some with",
    )


@law()
def test_the_position_is_an_int(probe: Probe) -> None:
    """get_pos is a plain int, in an empty cache, after tokens and after a reset.

    Kills: a tensor on some device, which every comparison has to wait for.
    """
    expect_equal(probe("cache_conduct.position_types"), ["int", "int", "int"], "the types of get_pos")


@law()
def test_the_arguments_have_names_and_an_order(probe: Probe) -> None:
    """A cache is made by the names of its arguments or by their order: rows, heads, slots, channels, layers.

    Kills: arguments in another order, under other names, or that can be given in one way alone.
    """
    got = probe("cache_conduct.made_both_ways", rows=2, heads=3, slots=7, head_dim=4, layers=2)
    expect_equal(got, {"by name": [2, 3, 1, 4], "in order": [2, 3, 1, 4]}, "the shapes of the keys")


@law(examples=7, layers=st.integers(1, 2), rows=st.integers(1, 3), used=st.booleans())
def test_a_copy_of_nothing_is_nothing(probe: Probe, layers: int, rows: int, used: bool) -> None:
    """A copy of an empty cache, new or reset, leaves the copy empty, and it takes tokens as a new one does.

    Kills: an error where there is nothing to copy, the tokens that were there before the reset.
    """
    got = probe("cache_conduct.copy_of_nothing", layers=layers, rows=rows, used=used)
    expect_equal(got, {"position": 0, "then": 2, "keys": [rows, 1, 2, 4]}, "a copy of an empty cache")


LONG = 1100
"""Tokens: more than the windows that are in use (512, 1024), and more than a row of any mask that is kept."""


@law(
    examples=2,
    seed=seeds,
    rest=st.sampled_from([[1, 2, 1], [3, 1]]),
)
def test_a_long_past_is_read_to_its_beginning(probe: Probe, seed: int, rest: list[int]) -> None:
    """A token that follows a thousand cached ones reads all of them, alone and in a chunk.

    Kills: attention that reaches back over a window, a mask or a table of a fixed size.
    """
    shape = config(n_head=1, sequence_len=LONG)
    weights = draws.model(shape, seed, "float32")
    chunks = [LONG - sum(rest), *rest]
    tokens = draws.tokens(shape, seed, 1, LONG)
    (got,) = probe("cache.logits", config=shape, weights=weights, tokens=tokens, chunkings=[chunks])
    expect_logits(got, shape, weights, tokens, probe.dtype, f"the cached logits of chunks {chunks}", times=4)


@law(
    examples=4,
    cases=[{"seed": 0, "n_layer": 2, "held": 3, "length": 4, "training": True}],
    seed=seeds,
    n_layer=st.integers(1, 2),
    held=st.integers(0, 5),
    length=st.integers(1, 4),
    training=st.booleans(),
)
def test_a_continuation_has_the_losses_of_the_whole_text(
    probe: Probe, seed: int, n_layer: int, held: int, length: int, training: bool
) -> None:
    """Targets may come with a cache, also in training mode: the losses are those of one pass over the text.

    Kills: targets that are not read beside a cache, or shifted by it; a cache left out in training mode.
    """
    shape = config(n_layer=n_layer)
    weights = draws.model(shape, seed, probe.dtype)
    text = draws.tokens(shape, seed, 2, held + length + 1)
    chunks = [size for size in (held, length) if size]
    got = probe(
        "cache_conduct.losses",
        config=shape,
        weights=weights,
        text=text,
        chunks=chunks,
        training=training,
    )
    whole = as_numbers(got["whole"], "the losses of one pass")
    if whole.size != 2 * (held + length):
        return  # how losses come is the business of another criterion
    whole = whole.reshape(2, -1)
    start = 0
    for size, piece in zip(chunks, got["pieces"], strict=True):
        what = f"of {size} tokens after {start} in a cache, in {'training' if training else 'evaluation'}"
        losses = as_numbers(piece, "the losses through a cache")
        expect_equal(losses.size, 2 * size, f"the number of losses {what}")
        want = whole[:, start : start + size].reshape(-1)
        expect_close(losses.reshape(-1), want, loss_tolerance(probe.dtype), f"the losses {what}")
        start += size
