"""The token stream of one rank: form, shift, order, epochs.

Tokenizers are stand-ins (`specs.probes.word_tokenizer`), so bugs of the submission's own do not show here.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from specs.compare import expect, expect_equal
from specs.datastreams import (
    BOS_IDS,
    FILLER,
    corpora,
    encoded,
    expect_batches,
    setup,
    shaped,
    sizes,
    wanted,
)
from specs.law import law
from specs.probe import Probe
from specs.probes.byte_tokenizer import SPECIAL
from specs.texts import EDGES, ENGLISH, MARKUP, MIXED, PARTS_OF_SPECIAL, TIDIED

CRITERION = "data"

ODD = [
    *ENGLISH,
    *MIXED,
    *TIDIED,
    *MARKUP,
    *PARTS_OF_SPECIAL,
    "ABC aBc",
    "a\r\n\r\n\n\nb\r\n",
    "a\tb",
    "0",
    "007",
]
"""Texts that somebody may tidy up."""


@law(
    examples=8,
    cases=[{"documents": ["ab", "c"], "size": (2, 3)}, {"documents": [FILLER], "size": (1, 1)}],
    documents=corpora,
    size=sizes,
)
def test_batches_have_the_contracts_form(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """Inputs are int32 and targets int64, both (B, T), contiguous and on the CPU unless told otherwise.

    Kills: inputs left int64, targets turned into int32, views that are not contiguous, a row too many.
    """
    for index, batch in enumerate(probe("dataloader.forms", setup=setup(documents, size), number=4)):
        for name, dtype in (("inputs", "int32"), ("targets", "int64")):
            want = {"dtype": dtype, "shape": list(size), "contiguous": True, "device": "cpu"}
            for what, value in want.items():
                expect_equal(batch[name][what], value, f"{what} of the {name} of batch {index}")
        expect_equal(batch["state"], "dict", f"the type of the state of batch {index}")


@law(examples=2, documents=corpora, size=sizes)
def test_batches_lie_on_the_device_asked_for(
    probe: Probe, documents: list[str], size: tuple[int, int]
) -> None:
    """With `device` given, inputs and targets lie there, with dtypes, shapes and order as on the CPU.

    Where there is no GPU, torch's device without memory takes its place; who cannot use that may say so.
    Kills: a device that is ignored, or heeded for one of the two only; int64 after the copy.
    """
    device = "cuda" if probe.device == "cuda" else "meta"
    this = setup(documents, size)
    probe("dataloader.forms", setup={**this, "device": "cpu"}, number=3)  # who fails here fails with all
    ask = probe.attempt if device == "meta" else probe
    outcome = ask("dataloader.forms", setup={**this, "device": device}, number=3)
    for batch in outcome if isinstance(outcome, list) else []:
        for name, dtype in (("inputs", "int32"), ("targets", "int64")):
            want = {"dtype": dtype, "shape": list(size), "contiguous": True, "device": device}
            expect_equal(batch[name], want, f"the {name} with device={device!r}")


@law(
    examples=15,
    cases=[{"documents": ["abc", FILLER], "size": (2, 4)}, {"documents": [FILLER], "size": (3, 1)}],
    documents=corpora,
    size=sizes,
)
def test_a_target_is_the_input_that_follows(
    probe: Probe, documents: list[str], size: tuple[int, int]
) -> None:
    """Each target is the next input: in its row, at the end of a row, and at the end of a batch.

    Says nothing of what the ids are. Kills: targets that are not shifted, or rolled within a row, a token
    dropped or repeated between rows or between batches.
    """
    number = 6
    this = setup(documents, size)
    got = probe("dataloader.batches", setup=this, number=number)
    inputs, targets = (
        shaped(got, this, number, name, "the stream").ravel() for name in ("inputs", "targets")
    )
    wrong = np.flatnonzero(targets[:-1] != inputs[1:])
    if wrong.size:
        batch, rest = divmod(int(wrong[0]), size[0] * size[1])
        row, column = divmod(rest, size[1])
        where = (
            "in its row"
            if column < size[1] - 1
            else "in the next row"
            if row < size[0] - 1
            else "in the next batch"
        )
        expect(
            False,
            f"the target in batch {batch}, row {row}, column {column} is {targets[wrong[0]]}, but the input "
            f"that follows {where} is {inputs[wrong[0] + 1]}",
        )


@law(
    examples=25,
    cases=[
        {"documents": ["a", "b"], "size": (1, 2)},
        {"documents": ["", "", "abc", ""], "size": (2, 3)},
        {"documents": [FILLER, "c", FILLER * 3], "size": (2, 8)},
        {"documents": ["", FILLER], "size": (3, 5)},
    ],
    documents=corpora,
    size=sizes,
)
def test_inputs_are_the_stream(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """The inputs, row after row and batch after batch, are <|bos|> and the ids of each document in order.

    Kills: BOS left out, or put once a batch; empty documents skipped; a document cropped to the row; rows
    that are filled column by column; the rest of a document thrown away with the batch.
    """
    this = setup(documents, size)
    got = probe("dataloader.batches", setup=this, number=8)
    expect_batches(got, this, 8, "the stream", names=("inputs",))


@law(
    examples=15,
    cases=[{"documents": ["a", "b"], "size": (1, 2)}, {"documents": [FILLER], "size": (2, 8)}],
    documents=corpora,
    size=sizes,
)
def test_targets_are_the_stream_one_further(
    probe: Probe, documents: list[str], size: tuple[int, int]
) -> None:
    """The targets are the stream from its second id on, whatever the borders of rows, batches and epochs.

    Kills: targets shifted by two or the other way, the last target of a row or batch made up.
    """
    this = setup(documents, size)
    got = probe("dataloader.batches", setup=this, number=8)
    expect_batches(got, this, 8, "the stream", names=("targets",))


@law(
    examples=10,
    cases=[
        {"documents": [""], "size": (2, 3)},
        {"documents": ["abc"], "size": (4, 16)},
        {"documents": [""], "size": (32, 256)},
    ],
    documents=st.lists(st.text(alphabet="abc", max_size=4), min_size=1, max_size=3),
    size=st.sampled_from([(1, 1), (2, 5), (4, 16), (3, 40)]),
)
def test_a_batch_may_hold_several_epochs(probe: Probe, documents: list[str], size: tuple[int, int]) -> None:
    """Where the documents are fewer than a batch needs, they come again within it, each time in full.

    Kills: at most one epoch a batch, a batch thrown away or padded at the end of an epoch, a limit to the
    documents of a batch.
    """
    this = setup(documents, size)
    expect_batches(probe("dataloader.batches", setup=this, number=4), this, 4, "the stream")


@law(
    examples=10,
    cases=[{"documents": ["ab", "c", ""], "epochs": 5}],
    documents=st.lists(st.text(alphabet="abcé", max_size=12), min_size=2, max_size=6),
    epochs=st.integers(3, 6),
)
def test_every_epoch_is_like_the_first(probe: Probe, documents: list[str], epochs: int) -> None:
    """Epoch after epoch brings the same ids in the same order, and nothing between two of them.

    A batch is an epoch here, so the border of the epochs is the border of the batches.
    Kills: texts iterated once only, an epoch that begins with its second document, a separator or a lost
    token between epochs.
    """
    one = setup(documents, (1, 1))
    length = sum(len(ids) for ids in encoded(one))
    this = setup(documents, (1, length))
    got = probe("dataloader.batches", setup=this, number=epochs)
    inputs = shaped(got, this, epochs, "inputs", "the stream")
    expect_batches(got, this, epochs, f"the stream of {epochs} epochs, a batch each")
    for epoch in range(1, epochs):
        expect_equal(inputs[epoch].tolist(), inputs[0].tolist(), f"epoch {epoch}, against the first")


@law(
    examples=6,
    cases=[{"bos": bos, "documents": ["ab", "", "c"]} for bos in BOS_IDS],
    bos=st.sampled_from(BOS_IDS),
    documents=corpora,
)
def test_any_id_may_be_bos(probe: Probe, bos: int, documents: list[str]) -> None:
    """Documents begin with the tokenizer's own <|bos|>, whether that is id 0 or one of many thousands.

    Kills: an id that is written down, an id 0 taken for none, ids kept in 16 bits or as a float.
    """
    this = setup(documents, (2, 7), bos=bos)
    expect_batches(probe("dataloader.batches", setup=this, number=5), this, 5, f"the stream with bos={bos}")


@law(examples=4, cases=[{"documents": ["ab", "", "c"]}], documents=corpora)
def test_a_tokenizer_needs_two_methods(probe: Probe, documents: list[str]) -> None:
    """A loader asks its tokenizer for get_bos_token_id() and encode(text, prepend=...), and for nothing else.

    Kills: num_threads or append given to it, an id or a size asked for that the contract does not name.
    """
    this = setup(documents, (2, 7), least=True)
    got = probe("dataloader.batches", setup=this, number=5)
    expect_batches(got, this, 5, "the stream of a tokenizer that has what a loader may ask for")


@law(
    examples=6,
    cases=[{"documents": ["<|bos|>", "a<|bos|>b", "<|", "bos|>"]}],
    documents=st.lists(
        st.lists(st.sampled_from([*SPECIAL, "a", "<|", "|>", "\n\n"]), max_size=4).map("".join),
        min_size=1,
        max_size=5,
    ),
)
def test_text_that_spells_a_special_token_is_text(probe: Probe, documents: list[str]) -> None:
    """A document that spells <|bos|> or another special token holds its letters, and begins where it begins.

    Kills: documents joined into one text by the spelling of <|bos|>, texts split at it.
    """
    this = setup(documents, (2, 8))
    got = probe("dataloader.batches", setup=this, number=6)
    starts = int((wanted(this, 6)["inputs"] == encoded(this)[0][0]).sum())
    inputs = shaped(got, this, 6, "inputs", "the stream")
    expect_equal(int((inputs == encoded(this)[0][0]).sum()), starts, "how often <|bos|> stands in 6 batches")
    expect_batches(got, this, 6, "the stream")


@law()
def test_texts_reach_the_stream_as_they_are(probe: Probe) -> None:
    """Every document is encoded as it stands: capitals, blanks, line ends, controls, marks, whatever.

    Kills: documents that are lower-cased, normalised or tidied, characters taken off their ends or left out.
    """
    documents = [*ODD, *(f"{edge}a{edge}" for edge in EDGES)]
    this = setup(documents, (4, 1024))
    ids = encoded(this)
    batches = sum(map(len, ids)) // (4 * 1024) + 1
    got = probe("dataloader.batches", setup=this, number=batches)
    expect_batches(got, this, batches, f"the stream of {len(documents)} odd documents")


@law(
    examples=12,
    cases=[{"number": 70, "length": 3}, {"number": 200, "length": 0}],
    number=st.integers(60, 300),
    length=st.integers(0, 12),
)
def test_many_documents_stay_in_order(probe: Probe, number: int, length: int) -> None:
    """Hundreds of documents stand in the stream in their order, over two epochs.

    Kills: a buffer of documents that is shuffled or loses its rest, a batch of encoded texts that is given
    in another order or cut off at the end of an epoch.
    """
    documents = [f"{index}:" + FILLER[:length] for index in range(number)]
    this = setup(documents, (4, 32))
    batches = 2 * sum(len(ids) for ids in encoded(this)) // (4 * 32) + 2
    got = probe("dataloader.batches", setup=this, number=batches)
    expect_batches(got, this, batches, f"the stream of {number} documents")


@law(examples=4, documents=st.lists(st.sampled_from(["", "a", FILLER]), min_size=1, max_size=3))
def test_a_document_may_be_longer_than_many_batches(probe: Probe, documents: list[str]) -> None:
    """A document much longer than a batch goes on from batch to batch until its end.

    Kills: documents cropped to a row or a batch, or cut into pieces that are encoded apart.
    """
    this = setup([*documents, FILLER * 100], (4, 32))
    batches = 2 * sum(len(ids) for ids in encoded(this)) // (4 * 32) + 2
    got = probe("dataloader.batches", setup=this, number=batches)
    expect_batches(got, this, batches, "the stream")


@law(examples=1, cases=[{"times": 2000}], times=st.integers(100, 1500))
def test_a_long_document_is_read_to_its_end(probe: Probe, times: int) -> None:
    """A document of a hundred thousand characters and more stands in the stream in full.

    Kills: a limit to the length of a document.
    """
    this = setup(["ab", FILLER * times], (4, 4096))
    batches = sum(len(ids) for ids in encoded(this)) // (4 * 4096) + 2
    got = probe("dataloader.batches", setup=this, number=batches)
    expect_batches(got, this, batches, f"the stream with a document of {times * len(FILLER):,} characters")
