"""Rotary embeddings and long sequences.

No cache of several layers, and as many key/value heads as query heads, so that bugs of the cache and of
grouped-query attention do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws, tolerances
from specs.compare import expect, expect_close, expect_differs, expect_equal, expect_raised
from specs.law import law
from specs.logits import expect_logits
from specs.oracles import rotary
from specs.outcomes import SubmissionRaised
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "rotary"

head_dims = st.sampled_from([2, 4, 6, 8, 16, 32, 64, 128])
lengths = st.sampled_from([1, 2, 16, 63, 64, 65, 200, 1024, 2048])


@law(
    examples=12,
    cases=[
        {"head_dim": 8, "sequence_len": 16},
        {"head_dim": 64, "sequence_len": 2048},
        {"head_dim": 4, "sequence_len": 9000},
    ],
    head_dim=head_dims,
    sequence_len=lengths,
)
def test_table_holds_the_right_angles(probe: Probe, head_dim: int, sequence_len: int) -> None:
    """Position p rotates channel pair i by the angle p / 10000^(2i / head size), at every position.

    A table with other frequencies is still a valid relative encoding: only an independent table shows it.
    Kills: frequencies over twice the head size, another base, positions off by one, a table too short,
    sine and cosine exchanged, angles formed in half precision.
    """
    check_table(probe, head_dim, sequence_len, "plain", tolerances.ROTARY_TABLE)


@law(examples=9, head_dim=st.sampled_from([4, 16, 32]), sequence_len=st.sampled_from([8, 65, 256]))
def test_table_survives_the_meta_device(probe: Probe, head_dim: int, sequence_len: int) -> None:
    """A model built on the meta device and initialised afterwards has the same rotary table.

    Kills: tables computed only in the constructor, which to_empty leaves as unwritten memory.
    """
    check_table(probe, head_dim, sequence_len, "meta", tolerances.ROTARY_TABLE)


@law(examples=6, head_dim=st.sampled_from([8, 32]), sequence_len=st.sampled_from([300, 1024, 2048]))
def test_table_survives_bfloat16(probe: Probe, head_dim: int, sequence_len: int) -> None:
    """A model converted to bfloat16 keeps angles that are right to the last position.

    Kills: inverse frequencies kept as a buffer that is cast with the model, angles formed in bfloat16.
    """
    check_table(probe, head_dim, sequence_len, "bfloat16", tolerances.ROTARY_TABLE_BFLOAT16)


@law(examples=4, head_dim=st.sampled_from([2, 8]), sequence_len=st.sampled_from([1, 16]))
def test_tables_move_with_the_model(probe: Probe, head_dim: int, sequence_len: int) -> None:
    """The tables are buffers: a model that is moved to another device takes them along.

    The meta device stands for the other one, so that it shows without a GPU.
    Kills: tables that are plain attributes, which stay behind when the model goes to a GPU.
    """
    shape = config(n_head=1, head_dim=head_dim, sequence_len=sequence_len, vocab_size=2)
    places = probe("rotary.moved", config=shape)
    expect_equal(places, dict.fromkeys(places, "meta"), "where the model lies after it was moved to meta")


@law(
    examples=25,
    seed=seeds,
    half=st.integers(1, 16),
    length=st.integers(1, 9),
    heads=st.integers(1, 3),
    batch=st.integers(1, 2),
)
def test_rotation_turns_the_two_halves(
    probe: Probe, seed: int, half: int, length: int, heads: int, batch: int
) -> None:
    """Rotation mixes channel i with channel i + half: y1 = x1 cos + x2 sin, y2 = x2 cos - x1 sin.

    The tables are arbitrary numbers here, so that each of the four products is seen.
    Kills: the opposite sign, interleaved pairs, halves exchanged, cosine and sine exchanged.
    """
    x = draws.normal(seed, batch, length, heads, 2 * half)
    cos, sin = draws.normal(seed + 1, length, half), draws.normal(seed + 2, length, half)
    answer = probe("rotary.rotate", x=x, cos=cos, sin=sin)
    want = rotary.rotate(x.astype(np.float64), cos.astype(np.float64), sin.astype(np.float64))
    expect_close(
        answer["rotated"],
        want,
        tolerances.ROTATION,
        "the rotated vector",
        ("row", "position", "head", "channel"),
    )


@law(
    examples=8,
    seed=seeds,
    layout=st.sampled_from(["transposed", "backwards", "with gaps", "a part"]),
    half=st.integers(1, 4),
)
def test_rotation_takes_heads_as_they_lie(probe: Probe, seed: int, layout: str, half: int) -> None:
    """Heads that are a transpose or a slice of a larger tensor are rotated like those that lie in one piece.

    Kills: a view of channels as pairs, which such tensors refuse, or which reads other numbers.
    """
    x = draws.normal(seed, 2, 5, 3, 2 * half)
    cos, sin = draws.normal(seed + 1, 5, half), draws.normal(seed + 2, 5, half)
    answer = probe("rotary.rotate", x=x, cos=cos, sin=sin, layout=layout)
    what = f"the vector rotated, {layout} where it lay"
    expect_equal(answer["input_unchanged"], True, "whether the input is what it was")
    want = rotary.rotate(x.astype(np.float64), cos.astype(np.float64), sin.astype(np.float64))
    expect_close(answer["rotated"], want, tolerances.ROTATION, what, ("row", "position", "head", "channel"))


@law(examples=10, seed=seeds, half=st.integers(1, 8), length=st.integers(2, 40))
def test_rotation_preserves_length(probe: Probe, seed: int, half: int, length: int) -> None:
    """Rotating a vector by the model's table does not change its length.

    Kills: a sign that makes the rotation a shear, tables scaled by an attention factor.
    """
    cos, sin = own_table(probe, 2 * half, length)
    x = draws.normal(seed, 1, length, 2, 2 * half)
    rotated = probe("rotary.rotate", x=x, cos=cos, sin=sin)["rotated"]
    expect_close(rotated, rotated, tolerances.EXACT, "the rotated vector")  # finite, and numbers at all
    expect_close(
        np.linalg.norm(rotated, axis=-1),
        np.linalg.norm(x.astype(np.float64), axis=-1),
        tolerances.ROTATION.times(10),
        "the length of a rotated vector",
        ("row", "position", "head"),
    )


@law(examples=10, seed=seeds, half=st.integers(1, 8))
def test_rotation_starts_at_nothing(probe: Probe, seed: int, half: int) -> None:
    """Position 0 is not rotated at all, and position 1 is.

    Kills: positions counted from one, rotation left out.
    """
    cos, sin = own_table(probe, 2 * half, 2)
    x = np.repeat(draws.normal(seed, 1, 1, 2, 2 * half), 2, axis=1)
    rotated = probe("rotary.rotate", x=x, cos=cos, sin=sin)["rotated"]
    expect_close(rotated[:, :1], x[:, :1], tolerances.ROTATION, "the vector at position 0")
    largest = float(np.abs(x).max())
    expect_differs(rotated[:, 1:], x[:, 1:], 0.1 * largest, "the vector at position 1")


@law(examples=15, seed=seeds, half=st.integers(1, 8), gap=st.integers(0, 100), shift=st.integers(1, 150))
def test_scores_depend_on_distance_alone(probe: Probe, seed: int, half: int, gap: int, shift: int) -> None:
    """The score of a query and a key depends on how far apart they are, not on where they are.

    Kills: queries and keys rotated in different ways, positions stretched or wrapped.
    """
    cos, sin = own_table(probe, 2 * half, 256)
    pairs = draws.normal(seed, 2, 2 * half)
    places = [0, gap, shift, shift + gap]
    x = np.stack([pairs[i % 2] for i in range(4)])[None, :, None, :]
    q0, k0, q1, k1 = probe("rotary.rotate", x=x, cos=cos[places], sin=sin[places])["rotated"][0, :, 0].astype(
        np.float64
    )
    scale = float(np.linalg.norm(pairs[0]) * np.linalg.norm(pairs[1]))
    difference = abs(float(q0 @ k0) - float(q1 @ k1)) / scale
    expect(
        difference <= 1e-4,
        f"the score of positions 0 and {gap} is {float(q0 @ k0):.6g}, that of positions {shift} and "
        f"{shift + gap} is {float(q1 @ k1):.6g}; they must be equal",
    )


@law(
    examples=20,
    cases=[{"seed": 0, "heads": 2, "length": 20, "shifts": [50, 100, 150, 200]}],
    seed=seeds,
    heads=st.integers(1, 3),
    length=st.integers(2, 20),
    shifts=st.lists(st.integers(1, 230), min_size=1, max_size=3),
)
def test_attention_ignores_a_shift_of_all_positions(
    probe: Probe, seed: int, heads: int, length: int, shifts: list[int]
) -> None:
    """Attention gives the same output when all positions are shifted by the same amount.

    The tables are the submission's own, so this is what its attention does with its rotation.
    Kills: rotating only queries or only keys, rotating values, positions added to the embedding.
    """
    shape = config(n_head=heads, sequence_len=256)
    x = draws.normal(seed, 1, length, shape["n_embd"])
    answers = probe(
        "model.attention",
        config=shape,
        weights=draws.weights(shape, seed),
        x=x,
        starts=[0, *shifts],
    )
    for shift, answer in zip(shifts, answers[1:], strict=True):
        expect_close(
            answer,
            answers[0],
            tolerances.POSITION_SHIFT,
            f"attention with all positions shifted by {shift}",
            ("row", "position", "channel"),
        )


@law(examples=10, seed=seeds, heads=st.integers(1, 3), length=st.integers(3, 12), stretch=st.integers(2, 9))
def test_attention_feels_a_change_of_distance(
    probe: Probe, seed: int, heads: int, length: int, stretch: int
) -> None:
    """Attention gives another output when the distances between positions change.

    Kills: rotation left out, a table of constants: what makes the shift law hold for nothing.
    """
    shape = config(n_head=heads, sequence_len=128)
    x = draws.normal(seed, 1, length, shape["n_embd"])
    near, far = probe(
        "model.attention_at",
        config=shape,
        weights=draws.model(shape, seed),
        x=x,
        positions=[list(range(length)), [stretch * p for p in range(length)]],
    )
    expect_differs(far, near, tolerances.MATTERS * float(np.std(near)), "attention at stretched positions")


DTYPES = ["float32", "bfloat16", "float64", "float16"]


@law(
    examples=26,
    cases=[
        {"seed": 0, "dtype": dtype, "table_dtype": table_dtype, "half": 4}
        for dtype, table_dtype in (("bfloat16", "float32"), ("float32", "bfloat16"), ("float32", "float64"))
    ],
    seed=seeds,
    dtype=st.sampled_from(DTYPES),
    table_dtype=st.sampled_from(DTYPES),
    half=st.integers(1, 8),
)
def test_rotation_keeps_dtype_and_input(
    probe: Probe, seed: int, dtype: str, table_dtype: str, half: int
) -> None:
    """Rotation returns the dtype of its input, whatever that of the tables, and leaves both as they were.

    Kills: `x.float()` followed by an operation in place, which for float32 writes into the caller's
    tensor; a result in the wider of the two dtypes, which later meets bfloat16 weights.
    """
    x = draws.normal(seed, 1, 4, 2, 2 * half, dtype=dtype)
    cos, sin = (draws.rounded(part, table_dtype) for part in rotary.table(4, 2 * half))
    answer = probe("rotary.rotate", x=x, cos=cos, sin=sin, dtype=dtype, table_dtype=table_dtype)
    what = f"the rotated vector, in {dtype} with tables in {table_dtype}"
    expect_equal(answer["dtype"], dtype, f"the dtype of {what}")
    expect_equal(answer["input_unchanged"], True, "whether the input is what it was")
    expect_equal(answer["tables_unchanged"], True, "whether the tables are what they were")
    want = rotary.rotate(x.astype(np.float64), cos.astype(np.float64), sin.astype(np.float64))
    half_precision = {dtype, table_dtype} & {"bfloat16", "float16"}
    tolerance = tolerances.ROTATION_BFLOAT16 if half_precision else tolerances.ROTATION
    expect_close(answer["rotated"], want, tolerance, what)


@law(
    examples=13,
    cases=[{"seed": 1, "heads": 1, "length": 65, "dtype": "float32"}],
    seed=seeds,
    heads=st.integers(1, 2),
    length=st.sampled_from([2, 33, 64, 130, 257, 400]),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)
def test_long_sequences_match_the_oracle(
    probe: Probe, seed: int, heads: int, length: int, dtype: str
) -> None:
    """A whole model gives the right logits at every position of a long sequence.

    The tables are the submission's own.
    Kills: wrong frequencies, positions that wrap or stop, a table used at the wrong rows, positions counted
    in bfloat16, which has no odd numbers beyond 256.
    """
    shape = config(n_head=heads, sequence_len=length)
    weights = draws.weights(shape, seed, dtype)
    tokens = draws.tokens(shape, seed, 1, length)
    (got,) = probe("model.logits", config=shape, weights=weights, batches=[tokens], dtype=dtype)
    expect_logits(got, shape, weights, tokens, dtype, times=4 if dtype == "float32" else 1)


@law(
    examples=19,
    cases=[
        {"seed": 0, "before": [], "over": 1},
        {"seed": 0, "before": [8, 7], "over": 2},
        {"seed": 0, "before": [16], "over": 3},
    ],
    seed=seeds,
    before=st.sampled_from([[], [16], [8, 8], [8, 7], [14], [8, 7, 1], [1, 12]]),
    over=st.integers(1, 3),
)
def test_no_position_beyond_the_table_is_wrapped(
    probe: Probe, seed: int, before: list[int], over: int
) -> None:
    """Beyond the context length the model raises a ValueError or goes on exactly: never wraps or stops short.

    Kills: a bound that checks the length of the input and not where it starts, positions taken modulo the
    table, a slice of the table that comes back short and is broadcast, or that fails as it may further on.
    """
    shape = config(sequence_len=16)
    total = 16 + over
    weights = draws.weights(shape, seed)
    tokens = draws.tokens(shape, seed, 1, total)
    # The last chunk begins within the context, or just where it ends.
    chunks = [*before, total - sum(before)] if before else []
    # What fits must work, or an error beyond it would say nothing.
    probe(
        "model.forward_beyond",
        config=shape,
        weights=weights,
        tokens=tokens[:, :16],
        chunks=[8, 8] if before else [],
    )
    outcome = probe.attempt(
        "model.forward_beyond", config=shape, weights=weights, tokens=tokens, chunks=chunks
    )
    if isinstance(outcome, SubmissionRaised):
        expect_raised(outcome, f"{total} tokens in a context of 16", "ValueError")
        return
    # A longer table of the submission's own is allowed, and then it must be right. What its frequencies are
    # is another property's business, so the oracle is the model itself with a context that is long enough.
    (want,) = probe(
        "model.logits",
        config={**shape, "sequence_len": total},
        weights=weights,
        batches=[tokens],
        dtype="float32",
    )
    expect_close(
        outcome,
        want,
        tolerances.FLOAT32.times(4),
        "the logits beyond the context",
        ("row", "position", "token"),
    )


def check_table(
    probe: Probe, head_dim: int, sequence_len: int, how: str, tolerance: tolerances.Tolerance
) -> None:
    """Compare a fresh model's cos and sin with the oracle's at every position."""
    shape = config(n_head=1, head_dim=head_dim, sequence_len=sequence_len, vocab_size=2)
    answer = probe("rotary.table", config=shape, how=how)
    if how != "bfloat16":  # then they may stay or go along
        expect_equal(answer["dtypes"], ["float32"], "the dtype of the tables")
    for name, want in zip(("cos", "sin"), rotary.table(sequence_len, head_dim), strict=True):
        got = answer[name]
        expect(
            isinstance(got, np.ndarray) and got.ndim == 4 and got.shape[0] == got.shape[2] == 1,
            f"buffer {name} must have shape (1, positions, 1, {head_dim // 2}), got {np.shape(got)}",
        )
        expect(
            got.shape[1] >= sequence_len,
            f"buffer {name} holds {got.shape[1]} positions, want at least {sequence_len}",
        )
        expect_close(
            got[0, :sequence_len, 0], want, tolerance, f"the table {name}", ("position", "channel pair")
        )


def own_table(probe: Probe, head_dim: int, positions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the submission's cos and sin, each (positions, head_dim / 2)."""
    shape = config(n_head=1, head_dim=head_dim, sequence_len=positions, vocab_size=2)
    answer = probe("rotary.table", config=shape)
    tables = []
    for name in ("cos", "sin"):
        got = answer[name]
        expect(
            isinstance(got, np.ndarray) and got.ndim == 4 and got.shape[1] >= positions,
            f"buffer {name} must hold {positions} positions (1, positions, 1, pairs), got {np.shape(got)}",
        )
        tables.append(np.ascontiguousarray(got[0, :positions, 0]))
    return tables[0], tables[1]
