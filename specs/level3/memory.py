"""Bounded memory, of a cache.

Caches of one layer, or far larger than what is inserted, models of one layer wherever there is a cache, and
as many key/value heads as query heads in every real model: bugs of the cache and of grouped-query attention
do not show here.
"""

from __future__ import annotations

from hypothesis import strategies as st

from specs import draws
from specs.compare import expect_at_least, expect_at_most
from specs.law import law
from specs.measurements import Steps, check_history, growth_step, history_of, instruments
from specs.oracles.memory import BOOKKEEPING, Shape
from specs.probe import Probe
from specs.strategies import config

CRITERION = "memory"

dtypes = st.sampled_from(["float32", "bfloat16"])

small_capacities = st.sampled_from([1, 4, 17, 63, 64, 65, 128])


@law(
    examples=12,
    cases=[
        {"layers": 1, "rows": 1, "heads": 1, "head_dim": 8, "tokens": 1, "room": 1, "dtype": "float32"},
        {"layers": 3, "rows": 2, "heads": 4, "head_dim": 16, "tokens": 64, "room": 130, "dtype": "bfloat16"},
    ],
    layers=st.integers(1, 3),
    rows=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 4]),
    head_dim=st.sampled_from([8, 16]),
    tokens=st.integers(1, 200),
    room=st.integers(0, 100),
    dtype=dtypes,
)
def test_cache_holds_what_was_inserted(
    probe: Probe, layers: int, rows: int, heads: int, head_dim: int, tokens: int, room: int, dtype: str
) -> None:
    """A cache holds the keys and values inserted, in their own precision, and at most twice its slots.

    Never less than the data either, or the count would be blind. Kills: a cache allocated for more heads,
    rows or layers than asked for or in a wider dtype, and one that keeps what it was given beside its copy.
    """
    shape = Shape(2 * tokens + room, rows, heads, head_dim, layers, dtype)
    steps = [("insert", tokens)]
    answer = history_of(probe, shape, steps)
    check_history(answer, shape, steps)
    for instrument, held in instruments(answer):
        expect_at_least(
            held[1],
            tokens * shape.slot_bytes,
            f"bytes held with {tokens} tokens inserted, by {instrument}: the keys and values alone are more",
        )


@law(
    examples=8,
    cases=[
        {"seq_len": 1, "chunk": 1, "total": 200, "dtype": "float32"},
        {"seq_len": 64, "chunk": 65, "total": 700, "dtype": "float32"},
        {"seq_len": 4, "chunk": 64, "total": 640, "dtype": "bfloat16"},
    ],
    seq_len=small_capacities,
    chunk=st.sampled_from([1, 3, 31, 64, 65, 100]),
    total=st.integers(100, 400),
    dtype=dtypes,
)
def test_growing_stays_within_twice_the_tokens(
    probe: Probe, seq_len: int, chunk: int, total: int, dtype: str
) -> None:
    """A cache that grows never holds more than twice the slots of its tokens, rounded up to its growth step.

    Measured after every insert, over several growths, one token or many at a time.
    Kills: growth by twice the need, a factor that compounds, old storage that a growth leaves behind.
    """
    shape = Shape(seq_len, batch_size=2, num_heads=2, dtype=dtype)
    steps: Steps = [("insert", min(chunk, total - start)) for start in range(0, total, chunk)]
    check_history(history_of(probe, shape, steps), shape, steps)


@st.composite
def histories(draw: st.DrawFn) -> Steps:
    """Draw inserts, resets, and prefills of an empty cache."""
    steps: Steps = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            source = draw(st.sampled_from(["prefill", "prefill from a cache made larger"]))
            steps.append((source, draw(st.sampled_from([1, 5, 64, 100, 129]))))
        inserts = st.lists(st.sampled_from([1, 2, 30, 64, 65, 190]), max_size=4)
        steps += [("insert", tokens) for tokens in draw(inserts)]
        if draw(st.booleans()) or draw(st.booleans()):
            steps.append(("reset", 0))
        else:
            break
    return steps


@law(
    examples=19,
    cases=[
        {"seq_len": 64, "rows": 2, "steps": [("insert", 65), ("insert", 200), ("reset", 0), ("insert", 1)]},
        {"seq_len": 32, "rows": 3, "steps": [("prefill", 20), ("insert", 1), ("reset", 0), ("prefill", 32)]},
        {"seq_len": 1, "rows": 2, "steps": [("prefill", 100), *[("insert", 1)] * 70, ("reset", 0)]},
        {"seq_len": 64, "rows": 2, "steps": [("prefill from a cache made larger", 10), ("insert", 1)]},
    ],
    seq_len=small_capacities,
    rows=st.integers(1, 3),
    steps=histories(),
)
def test_every_history_stays_within_the_bound(probe: Probe, seq_len: int, rows: int, steps: Steps) -> None:
    """After any inserts, resets and prefills, a cache holds at most twice the slots of what it holds now.

    Kills: growth by twice the need, a reset that keeps what has grown, a prefill that keeps the cache
    it copied from or copies its empty slots, storage kept from before a reset beside that from after it.
    """
    shape = Shape(seq_len, batch_size=rows, num_heads=2)
    check_history(history_of(probe, shape, steps), shape, steps)


TAKE_NOTHING = ("refused values", "refused keys", "refused prefill", "reset in the middle of a pass")


@law(
    examples=4,
    cases=[
        {"what": what, "held": held, "layers": layers}
        for what in TAKE_NOTHING
        for held, layers in ((0, 1), (3, 2))
    ],
    what=st.sampled_from(TAKE_NOTHING),
    held=st.sampled_from([0, 1, 8, 70]),
    layers=st.integers(1, 3),
)
def test_what_was_refused_or_broken_off_takes_no_room(
    probe: Probe, what: str, held: int, layers: int
) -> None:
    """After a refusal of a thousand tokens, or a reset in the middle of them, only what is held has room.

    Kills: room that is made before the shapes are looked at, a reset that sees only whole passes.
    """
    shape = Shape(8, batch_size=2, num_heads=2, num_layers=layers)
    steps: Steps = [*([("insert", held)] if held else []), (what, 1000), ("insert", 1)]
    check_history(history_of(probe, shape, steps), shape, steps)


@law(
    examples=3,
    cases=[{"held": 8, "layers": 1, "slots": 8}, {"held": 3, "layers": 2, "slots": 4}],
    held=st.sampled_from([0, 1, 8]),
    layers=st.integers(1, 2),
    slots=st.sampled_from([1, 8, 64]),
)
def test_a_refused_pass_takes_no_room(probe: Probe, held: int, layers: int, slots: int) -> None:
    """After a pass that did not fit into the context a cache has room for what it holds, and no more.

    Kills: room for all tokens of a pass that is made before their number is looked at.
    """
    model = config(n_layer=layers, n_head=2, sequence_len=8)
    shape = Shape(slots, num_heads=2, num_layers=layers, dtype=probe.dtype)
    answer = probe(
        "memory.refused_pass",
        config=model, weights=draws.model(model, 0), held=held, more=2000, slots=slots,
    )  # fmt: skip
    if not answer["refused"]:  # a longer table of the submission's own is allowed
        return
    allowed = shape.allowed(held, growth_step(answer))
    for instrument, (before, after) in instruments(answer):
        what = f"bytes held with {held} tokens in {slots} slots after a refused pass of 2000, by {instrument}"
        # A mask or tables of the pass before may well be kept.
        expect_at_most(after, max(allowed, before + BOOKKEEPING), what)


@law(
    examples=4,
    cases=[{"seq_len": 64, "chunks": [70, 1, 300], "cycles": 6}],
    seq_len=small_capacities,
    chunks=st.lists(st.sampled_from([1, 64, 65, 150, 300]), min_size=1, max_size=3),
    cycles=st.integers(3, 8),
)
def test_reset_gives_grown_memory_back(probe: Probe, seq_len: int, chunks: list[int], cycles: int) -> None:
    """After each reset a cache holds what an empty one may hold, however long the use before it was.

    Cycles of the same use and several resets in a row do not add up either.
    Kills: a reset that only sets the position to zero, or that puts the old storage aside.
    """
    shape = Shape(seq_len, batch_size=2, num_heads=2)
    use: Steps = [*(("insert", tokens) for tokens in chunks), ("reset", 0), ("reset", 0), ("reset", 0)]
    answer = history_of(probe, shape, use * cycles)
    check_history(answer, shape, use * cycles)
    for instrument, held in instruments(answer):
        after = held[len(use) :: len(use)]
        expect_at_most(
            max(after[1:]),
            after[1],
            f"bytes held after each of {cycles} equal cycles of use and reset, by {instrument}: {after}; "
            "the most of them, where none may exceed the second",
        )


@law(
    examples=10,
    cases=[{"layers": 8, "tokens": 96, "dtype": "float32"}],
    layers=st.integers(8, 12),
    tokens=st.integers(64, 128),
    dtype=dtypes,
)
def test_insert_copies_no_more_than_a_layer(probe: Probe, layers: int, tokens: int, dtype: str) -> None:
    """An insert into a cache with room never takes, at its peak, more than two layers beside the cache.

    A layer may be concatenated anew, and returned as a copy; the other layers need not move.
    Kills: a new cache built while the old one is alive, copies of the whole cache at every step.
    """
    check_insert_peaks(probe, 2 * tokens + 2, layers, tokens, dtype)


@law(
    examples=10,
    cases=[{"layers": 8, "tokens": 96, "dtype": "float32"}],
    layers=st.integers(8, 12),
    tokens=st.integers(64, 128),
    dtype=dtypes,
)
def test_the_last_slot_is_filled_without_a_copy(probe: Probe, layers: int, tokens: int, dtype: str) -> None:
    """The insert that fills a cache to its last slot has room, and takes no more than two layers beside it.

    Kills: a comparison that is off by one, so that a cache which fits exactly is built anew by each layer.
    """
    check_insert_peaks(probe, tokens + 1, layers, tokens, dtype)


def check_insert_peaks(probe: Probe, slots: int, layers: int, tokens: int, dtype: str) -> None:
    """Insert one token behind `tokens` into each layer, and bound what each takes beside the cache."""
    shape = Shape(slots, batch_size=2, num_heads=2, head_dim=16, num_layers=layers, dtype=dtype)
    answer = probe("memory.insert_peaks", shape=shape.plain(), tokens=tokens)
    for (instrument, held), (_, peaks) in zip(
        instruments(answer["held"]), instruments(answer["peaks"]), strict=True
    ):
        for layer, (before, peak) in enumerate(zip(held, peaks, strict=True)):
            expect_at_most(
                peak - before,
                2 * before // layers + BOOKKEEPING,
                f"bytes that an insert of one token into layer {layer} of {layers} took at its peak "
                f"beside the {before:,} held before, with {tokens} tokens in {shape.seq_len} slots, "
                f"by {instrument}",
            )
