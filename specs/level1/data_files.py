"""Text files and the split of texts: what comes before the token stream."""

from __future__ import annotations

from hypothesis import strategies as st

from specs.compare import broken, expect, expect_at_most, expect_equal, expect_named, expect_raised, quoted
from specs.datastreams import FILLER, expect_batches, setup
from specs.law import law
from specs.oracles import stream
from specs.probe import Probe
from specs.texts import EDGES, MARKUP, PARTS_OF_SPECIAL, TIDIED

CRITERION = "data"

# White space inside lines, and characters that end a line elsewhere: they do not here.
line_texts = st.one_of(
    st.text(alphabet="abc é🙂\t", max_size=9),
    st.sampled_from(
        ["", " ", "\t", "  \t ", " indented", "trailing ", "form\x0cfeed", "para\u2029graph", "nel\x85"]
    ),
)


@st.composite
def file_contents(draw: st.DrawFn) -> bytes:
    """Draw the content of a text file, with line ends of either kind and perhaps none at the end."""
    lines: list[str] = draw(st.lists(line_texts, max_size=12))
    ends = [draw(st.sampled_from(["\n", "\n", "\r\n"])) for _ in lines]
    ends_open = draw(st.booleans())
    if ends and ends_open:
        ends[-1] = ""
    return "".join(line + end for line, end in zip(lines, ends, strict=True)).encode()


FILES = [
    b"",
    b"\n\n\n",
    b"one",
    b"one\n",
    b"one\ntwo\n\nthree\n",
    b"\n\n one \n\n\n\ntwo\n  \t\nthree\n\n",
    b"one\r\ntwo\r\n\r\nthree\r\n",
    b"one\n \r\ntwo",
    b"one\n\x0c\ntwo\n\x0b \t\nthree\n\x0cfour\n",
    b"  indented\n\tlines\n",
    "naïve café 🙂\n\nzwei\u2028Zeilen".encode(),
    "one\n\x00two\x00\x7f\n\ufeffthree\u200b x\n".encode(),
    b"a line\n" * 300 + b"\nnext\n\n" + b"b\r\n" * 70 + b"\r\nlast",
]
"""One boundary each."""


@law(
    examples=15,
    cases=[{"contents": [content]} for content in FILES],
    contents=st.lists(file_contents(), min_size=1, max_size=3),
)
def test_documents_of_files_are_their_runs_of_lines(probe: Probe, contents: list[bytes]) -> None:
    """The documents of text files are their runs of lines, in the order of the files and of the lines.

    Kills: white space at the ends of lines stripped, a last document without a newline lost, empty
    documents between empty lines, lines of nothing but spaces or a form feed taken for text, "\\r" kept,
    lines that end elsewhere than at a newline, a document that goes on in the next file, files sorted.
    """
    (got,) = probe("textfiles.documents", contents=contents)
    want = [document for content in contents for document in stream.documents_of(content)]
    expect_equal(got, want, f"the documents of files with the contents {contents}")


@law()
def test_lines_are_kept_as_they_are(probe: Probe) -> None:
    """A line that is not empty is text as it stands, whatever is in it, alone or beside others.

    Kills: lines that are normalised or tidied, marks and controls left out, lines taken for comments,
    headings or separators, a line or a document that comes again left out, short documents left out.
    """
    # A carriage return before the end of a line belongs to that, and what one is elsewhere is free.
    edges = [f"{edge}a{edge}" for edge in EDGES if "\r" not in edge and "\n" not in edge]
    lines = [*edges, *TIDIED, *MARKUP, *PARTS_OF_SPECIAL, "ABC", "x", "x", "0", "0", "x"]
    alone, together = "\n\n".join(lines), "\n".join(lines)
    content = f"{alone}\n\n{together}\n\n\n{together}\n".encode()
    (got,) = probe("textfiles.documents", contents=[content])
    for document, line in zip(got, lines, strict=False):
        expect_equal(document, line, f"the document of a file that is the line {line!r} between empty lines")
    expect_equal(len(got), len(lines) + 2, f"the number of documents of a file with {len(lines) + 2}")
    for document in got[-2:]:
        found = document.split("\n")
        for have, line in zip(found, lines, strict=False):
            expect_equal(have, line, f"the line {line!r} amid others in a document of a file")
        expect_equal(len(found), len(lines), f"the number of lines of a document with {len(lines)}")


@law(
    examples=5,
    cases=[{"shift": 0, "character": "é"}],
    shift=st.integers(0, 5),
    character=st.sampled_from(["é", "€", "🙂"]),
)
def test_characters_of_several_bytes_survive_anywhere(probe: Probe, shift: int, character: str) -> None:
    """Characters of two to four bytes arrive whole wherever they lie in a file, in long and short lines.

    Kills: blocks of bytes that are decoded one by one, a limit to the length of a line.
    """
    long_line = "x" * shift + character * 140_000
    short_lines = "\n".join(("y" * shift + character * 11) for _ in range(20_000))
    content = f"{long_line}\n\n{short_lines}\n".encode()
    (got,) = probe("textfiles.documents", contents=[content])
    want = [long_line, short_lines]
    expect_equal([len(text) for text in got], [len(text) for text in want], "the characters of two documents")
    for text, right in zip(got, want, strict=True):
        place = next((i for i, (a, b) in enumerate(zip(text, right, strict=True)) if a != b), None)
        expect(
            place is None,
            f"a document of {len(right)} characters of several bytes differs from the file at {place}",
        )


@law(
    examples=5,
    cases=[{"contents": [b"one\n\ntwo", b"three"], "as_text": True}],
    contents=st.lists(file_contents(), min_size=1, max_size=3),
    as_text=st.booleans(),
)
def test_text_files_can_be_iterated_anew(probe: Probe, contents: list[bytes], as_text: bool) -> None:
    """Each iteration begins with the first document, paths may be str or Path, and two do not meet.

    Kills: files that are opened once, an iterator in place of an iterable, one place for all iterations.
    """
    want = [document for content in contents for document in stream.documents_of(content)]
    for number, got in enumerate(probe("textfiles.documents", contents=contents, passes=3, as_text=as_text)):
        expect_equal(got, want, f"the documents in iteration {number} of 3")
    for number, got in enumerate(probe("textfiles.alternating", contents=contents)):
        expect_equal(got, want, f"the documents in iteration {number} of two that take turns")


@law(
    examples=3,
    cases=[{"rounds": [[b"one\n", b"x\n"], [b"one\n\ntwo\n", b"x\n"], [b"", b"longer\nlines\n\nof it\n"]]}],
    rounds=st.lists(st.tuples(file_contents(), file_contents()), min_size=2, max_size=4),
)
def test_every_iteration_reads_what_is_in_the_files_by_then(
    probe: Probe, rounds: list[tuple[bytes, bytes]]
) -> None:
    """Each iteration reads the files anew: one that has grown or was replaced since gives what is in it now.

    Kills: sizes, places or documents that are kept from the first iteration.
    """
    got = probe("orders.files", rounds=[list(contents) for contents in rounds])
    for number, (contents, documents) in enumerate(zip(rounds, got, strict=True)):
        want = [each for content in contents for each in stream.documents_of(content)]
        expect_equal(documents, want, f"the documents of iteration {number + 1}, of {quoted(list(contents))}")


@law(
    examples=2,
    cases=[{"order": [0, 1, 0]}, {"order": [1, 1]}, {"order": [2, 1] * 600}],
    order=st.lists(st.integers(0, 2), max_size=5),
)
def test_a_file_comes_as_often_as_it_is_named(probe: Probe, order: list[int]) -> None:
    """The files are those of `paths` in their order, also where one is named twice.

    Kills: a set of paths, paths that are sorted.
    """
    contents = [b"one\n\ntwo", b"three\n", b"four"]
    documents = [["one", "two"], ["three"], ["four"]]
    got = probe("textfiles.repeated", contents=contents, order=order)
    want = [text for place in order for text in documents[place]]
    expect_equal(got, want, f"the documents of files {quoted(order)}")


@law(examples=2, cases=[{"place": place} for place in range(3)], place=st.integers(0, 2))
def test_a_file_that_is_not_there_is_an_error(probe: Probe, place: int) -> None:
    """A file that is not there raises, when the paths are given or when its turn comes.

    Kills: files left out in silence, so that less is trained on than one believes.
    """
    contents = [b"one\n\ntwo", b"three\n", b"four"]
    expect_equal(
        probe("textfiles.documents", contents=contents), [["one", "two", "three", "four"]], "documents"
    )
    outcome = probe.attempt("textfiles.missing", contents=contents, place=place)
    expect_raised(outcome, f"TextFiles of 3 paths, the file of number {place} gone")


@law()
def test_files_are_closed_when_they_were_read(probe: Probe) -> None:
    """However many files there are and however often they are read, few are open at a time, and none is left.

    Kills: all files opened first, files that stay open until the process may open no more.
    """
    number, passes = 30, 3
    found = probe("textfiles.open_files", contents=[b"one\n\ntwo"] * number, passes=passes)
    expect_equal(
        found["documents"], 2 * number * passes, f"the documents of {number} files, read {passes} times"
    )
    expect_at_most(found["most"] - found["before"], 4, f"the files of {number} that are open at a time")
    expect_at_most(found["after"] - found["before"], 0, f"the files of {number} that are open afterwards")


DOCUMENT_LINES = 20

READING_BYTES = 1_500_000
"""By how much Python's memory may be larger for a file of 3.7 MB than for one of 0.4 MB."""


@law()
def test_a_large_file_is_read_in_constant_memory(probe: Probe) -> None:
    """A file ten times as large takes no more memory to read.

    Kills: the whole file read or decoded at once, all documents collected before the first is given.
    """
    line = FILLER[:60]
    times = [300, 3000]
    small, large = probe("textfiles.peaks", line=line, lines=DOCUMENT_LINES, times=times)
    for number, found in zip(times, (small, large), strict=True):
        expect_equal(found["documents"], number, f"the documents of a file of {number}")
    expect_at_most(
        large["peak"] - small["peak"],
        READING_BYTES,
        "the bytes that reading a file of 3.7 MB takes more than one of 0.4 MB",
        " B",
    )


split_corpora = st.lists(st.text(alphabet="abc", max_size=3), max_size=45)


@law(
    examples=10,
    cases=[
        {"texts": [str(number) for number in range(45)], "every": None},
        {"texts": [str(number) for number in range(7)], "every": 2},
        {"texts": [str(number) for number in range(5000)], "every": None},
        {"texts": [str(number) for number in range(5000)], "every": 1100},
        {"texts": ["a", "b"], "every": 3},
        {"texts": [], "every": 4},
    ],
    texts=split_corpora,
    every=st.one_of(st.none(), st.integers(2, 8)),
)
def test_the_last_of_every_few_texts_is_for_validation(
    probe: Probe, texts: list[str], every: int | None
) -> None:
    """Validation has the last of every `every` texts (20 unless given), training all others, in their order.

    Kills: the first instead of the last, one too many or too few, texts that both have or none, a split
    in the middle.
    """
    got = probe("textfiles.split", texts=texts, every=every, order=["training", "validation"])
    for name, part, want in zip(
        ("training", "validation"), got, stream.parts_of(texts, every or 20), strict=True
    ):
        expect_equal(part, want, f"the texts for {name} of {len(texts)} with every={every or 20}")


@law(
    examples=4,
    cases=[
        {"texts": list("abcdefg"), "every": 3, "order": ["validation", "training", "validation", "training"]}
    ],
    texts=split_corpora,
    every=st.integers(2, 5),
    order=st.lists(st.sampled_from(["training", "validation"]), min_size=2, max_size=5),
)
def test_both_parts_can_be_iterated_anew(
    probe: Probe, texts: list[str], every: int, order: list[str]
) -> None:
    """Training and validation give the same texts in each iteration, in any order and in turns.

    Kills: generators, which are empty the second time; one iterator that both share.
    """
    want = dict(zip(("training", "validation"), stream.parts_of(texts, every), strict=True))
    for name, got in zip(order, probe("textfiles.split", texts=texts, every=every, order=order), strict=True):
        expect_equal(got, want[name], f"the texts for {name}, iterated in the order {order}")
    names = ["training", "validation"] * 2
    for name, got in zip(names, probe("textfiles.split_alternating", texts=texts, every=every), strict=True):
        expect_equal(got, want[name], f"the texts for {name} of four iterations that take turns")


@law(examples=25, every=st.integers(2, 6), number=st.integers(1, 5))
def test_a_split_reads_what_it_needs(probe: Probe, every: int, number: int) -> None:
    """Splitting texts without end is possible: they are read as they are needed.

    Kills: a list of all texts.
    """
    limit = every * (number + 1) + AHEAD
    got = probe("textfiles.split_ahead", every=every, number=number, most=20 * limit)
    for name, read in zip(("training", "validation"), got, strict=True):
        expect(read >= number, f"the first {number} texts for {name}: there were fewer of them")
        expect_at_most(read, limit, f"the texts read for the first {number} for {name} with every={every}")


@law(examples=1, cases=[{"every": 20}, {"every": 2}], every=st.integers(2, 30))
def test_a_split_keeps_no_texts(probe: Probe, every: int) -> None:
    """The memory of a split does not grow with the number of texts that it has given.

    Kills: texts kept for the next iteration, or for the other part.
    """
    # 4,500 texts of a thousand letters take 4.5 MB, of which the smaller part has a thirtieth at least.
    for name, (early, late) in probe("textfiles.split_memory", every=every, numbers=[500, 5000]).items():
        kept = f"what {name} adds to Python's memory between 500 and 5,000 texts with every={every}"
        expect_at_most(late - early, 40_000, kept, " B")


AHEAD = 64
"""Texts that a split may have read ahead; the contract gives the loader as many."""


@law(cases=[{"every": every} for every in (1, 0, -1, -2, -20)], examples=18, every=st.integers(-20, 1))
def test_a_split_that_leaves_nothing_is_refused(probe: Probe, every: int) -> None:
    """`every` below 2 is a ValueError that names it.

    Kills: training without texts, a division by zero.
    """
    outcome = probe.attempt(
        "textfiles.split", texts=["a", "b"], every=every, order=["training", "validation"]
    )
    raised = expect_raised(outcome, f"every={every}", "ValueError")
    expect_named(raised, [str(every)], f"every={every}")


@law(examples=4, cases=[{"every": 2, "lines": 7}], every=st.integers(2, 4), lines=st.integers(5, 15))
def test_files_become_batches(probe: Probe, every: int, lines: int) -> None:
    """From files over the split to batches: the stream of each part is that of its documents.

    Kills: parts that do not fit together, such as an iterable that the loader can read only once.
    """
    content = "\n\n".join(f"document {number}\n{FILLER[: number * 3]}" for number in range(lines)).encode()
    parts = stream.parts_of(stream.documents_of(content), every)
    number = 12
    got = probe("textfiles.batches", contents=[content], every=every, B=2, T=9, number=number)
    for name, part, documents in zip(("training", "validation"), got, parts, strict=True):
        expect_batches(part, setup(documents, (2, 9)), number, f"the stream for {name}")


@law()
def test_reading_and_splitting_leave_no_traces(probe: Probe) -> None:
    """Reading files and splitting texts change no setting that others share.

    Kills: a handler for interruptions that stays, warnings switched off for good, a working folder that is
    left for that of the files, texts dealt out by the generator that all share.
    """
    for changed in probe("textfiles.traces", contents=[b"one\n\ntwo\n"], documents=["a", "b", "c"]):
        broken(f"reading files and splitting texts changed {changed}")
