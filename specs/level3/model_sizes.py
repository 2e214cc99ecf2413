"""Models at the ends of what a configuration may say, the smallest and large ones, and of several dtypes.

The rotary tables are the oracle's, there is no cache, and there are as many key/value heads as query
heads, so that bugs of these do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs import draws
from specs.compare import as_numbers, expect_close, expect_equal
from specs.law import law
from specs.level3.loss import loss_tolerance
from specs.logits import expect_logits
from specs.oracles import gpt
from specs.oracles.gpt import Config
from specs.probe import Probe
from specs.strategies import config, seeds

CRITERION = "attention"


@law(
    examples=10,
    cases=[
        {"seed": 0, "vocab_size": 1, "batch": 1, "length": 1, "sequence_len": 1},
        {"seed": 1, "vocab_size": 1, "batch": 3, "length": 4, "sequence_len": 4},
        {"seed": 2, "vocab_size": 5, "batch": 2, "length": 1, "sequence_len": 1},
    ],
    seed=seeds,
    vocab_size=st.sampled_from([1, 2, 5]),
    batch=st.integers(1, 3),
    length=st.sampled_from([1, 4]),
    sequence_len=st.sampled_from([4, 7]),
)
def test_a_size_of_one_is_a_size(
    probe: Probe, seed: int, vocab_size: int, batch: int, length: int, sequence_len: int
) -> None:
    """With one token in the vocabulary, one row or one position, logits keep all three axes.

    The loss of the only token there is, is zero. Kills: an axis squeezed away with the size of one.
    """
    shape = config(n_head=1, vocab_size=vocab_size, sequence_len=sequence_len)
    tokens = draws.tokens(shape, seed, batch, length)
    check_logits_and_losses(probe, shape, tokens, seed, f"of a vocabulary of {vocab_size}")


@law(
    examples=2,
    cases=[
        {"shape": config(n_layer=12, n_head=2), "seed": 0},
        {"shape": config(n_layer=1, n_head=3, head_dim=128), "seed": 0},
        {"shape": config(n_layer=1, n_head=16, head_dim=8), "seed": 0},
    ],
    shape=st.sampled_from([config(n_layer=n, n_head=1) for n in (9, 17)]),
    seed=seeds,
)
def test_a_model_may_be_deep_or_wide(probe: Probe, shape: Config, seed: int) -> None:
    """A model of a dozen layers, of wide heads or of many heads is computed like a small one, to the last.

    Kills: a number of layers, heads or channels that is built in, blocks that share their weights.
    """
    what = f"of {shape['n_layer']} layers and {shape['n_head']} heads, {shape['n_embd']} channels together"
    check_logits_and_losses(probe, shape, draws.tokens(shape, seed, 2, 5), seed, what)


@law(examples=2, seed=seeds, vocab_size=st.sampled_from([50304, 33000]))
def test_a_vocabulary_may_be_large(probe: Probe, seed: int, vocab_size: int) -> None:
    """Tens of thousands of tokens have each its own embedding, logit and loss, the last one too.

    Kills: ids or targets that pass through 16 bits, a loss over the first tokens only.
    """
    shape = config(n_head=1, vocab_size=vocab_size)
    tokens = draws.tokens(shape, seed, 1, 8)
    tokens[0, :5] = [0, 32767, 32768, vocab_size - 1, 1]
    check_logits_and_losses(probe, shape, tokens, seed, f"of a vocabulary of {vocab_size}")


@law(examples=4, seed=seeds, n_layer=st.integers(1, 2), length=st.sampled_from([1, 7]))
def test_a_model_may_be_converted_after_use(probe: Probe, seed: int, n_layer: int, length: int) -> None:
    """A model that was used in float32 and then converted to bfloat16 computes like one converted at once.

    Kills: tables, masks or dtypes that are kept from the first pass.
    """
    shape = config(n_layer=n_layer)
    weights = draws.model(shape, seed, "bfloat16")
    tokens = draws.tokens(shape, seed, 2, length)
    answers = probe(
        "model_sizes.converted",
        config=shape,
        weights=weights,
        tokens=tokens,
        dtypes=["float32", "bfloat16", "float32"],
    )
    for (dtype, precision), got in zip(
        # What bfloat16 made of the tables does not come back.
        [("float32", "float32"), ("bfloat16", "bfloat16"), ("float32", "bfloat16")],
        answers,
        strict=True,
    ):
        expect_logits(got, shape, weights, tokens, precision, f"the logits in {dtype} on the way")


@law(examples=4, tokens=st.integers(1, 4))
def test_arguments_of_a_model_have_their_order(probe: Probe, tokens: int) -> None:
    """Sizes of a configuration, and arguments of forward, that may be given by their order have that of here.

    Kills: fields or parameters that changed places. Taking some by their names alone is free.
    """
    # As many key/value heads as heads: bugs of the groups are another criterion's.
    sizes = {"sequence_len": 16, "vocab_size": 23, "n_layer": 1, "n_head": 4, "n_kv_head": 4, "n_embd": 32}
    got = probe("model_sizes.in_order", config=sizes, tokens=np.ones((2, tokens), np.int64))
    if got["fields"] is not None:
        expect_equal(got["fields"], sizes, f"the fields of GPTConfig{tuple(sizes.values())}")
    if got["losses"] is not None:
        expect_equal(got["losses"], [2 * tokens], "the shape of forward(idx, targets, None, 'none')")


def check_logits_and_losses(probe: Probe, shape: Config, tokens: np.ndarray, seed: int, what: str) -> None:
    """Require the logits of `tokens`, int32 and int64, and the loss of each target to be the oracle's."""
    weights = draws.model(shape, seed, probe.dtype)
    targets = np.roll(tokens, 1, axis=1)
    got = probe(
        "model_sizes.logits_and_losses", config=shape, weights=weights, tokens=tokens, targets=targets
    )
    for index_dtype in ("int32", "int64"):
        name = f"the logits {what}, ids in {index_dtype},"
        expect_equal(
            list(np.shape(got[index_dtype])), [*tokens.shape, shape["vocab_size"]], f"the shape of {name}"
        )
        expect_logits(got[index_dtype], shape, weights, tokens, probe.dtype, name)
    want = gpt.loss_of_each(gpt.logits(shape, weights, tokens), targets)
    losses = as_numbers(got["losses"], "the losses").reshape(-1)
    expect_close(losses, want.reshape(-1), loss_tolerance(probe.dtype).times(2), f"the losses {what}")
