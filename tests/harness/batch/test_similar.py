"""What two share that neither was handed is found, whatever is done to hide it, and nothing else is."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.batch import classbook, ledger
from grader.batch.ledger import Ledger
from grader.batch.similar import known, lex, printing
from grader.batch.similar.own import Own, own
from grader.batch.similar.pairs import THRESHOLD, Handed, pairs, threshold_for
from grader.batch.similar.record import Remembering
from grader.render import classpage, studentpage
from grader.render.similar import Similarity
from specs.outcomes import GraderFault

from . import toy

Batch = Callable[..., list[dict[str, Any]]]
Run = Callable[..., tuple[int, str]]

HANDED_OUT = known.of({"work.py": toy.WORK}, [toy.WORK, toy.WORK.replace("x2 * cos -", "x2 * cos +")])

OWN = """

def sliding_total(amounts, span):
    # Keep a running total so that every amount is looked at twice and no more.
    running, totals = 0, []
    for place, amount in enumerate(amounts):
        running = running + amount
        if place >= span:
            running = running - amounts[place - span]
        totals.append(running / min(place + 1, span))
    return totals


def clipped(totals, low, high):
    if low > high:
        raise ValueError(f"the lower bound {low} lies above the upper bound {high}")
    kept = [max(low, min(high, total)) for total in totals if total == total]
    return kept or [low, high]
"""
"""A student's own functions."""

OTHER = """

def histogram(readings, edges):
    counters = {edge: 0 for edge in edges}
    while readings:
        reading = readings.pop()
        nearest = sorted(edges, key=lambda edge: abs(edge - reading))[0]
        counters[nearest] |= 1 << len(counters)
    del counters[None]
    return "".join(str(counters[edge]) for edge in reversed(edges) if edge not in ("", 0))
"""


def of(text: str) -> Own:
    """Return what is own in a module."""
    return own({"nanochat/work.py": text}, HANDED_OUT)


def score(one: str, other: str, *, threshold: float = 0.1) -> float:
    """Return the score of two modules, 0 if they share nothing."""
    found = pairs([Handed(("a",), of(one)), Handed(("b",), of(other))], threshold, share=0)
    return found[0].score if found else 0.0


def texts(source: str) -> list[str]:
    """Return the statements of a module as text."""
    return [" ".join(token.text for token in one.tokens) for one in lex.read(source).statements]


def test_statements_are_read_as_python_reads_them() -> None:
    source = 'if x: y = (1,\n  2); z = """a\nb"""\n"doc"\nf = lambda: 0\nelse: pass # c\n# d\n\\\n# e\n'
    assert texts(source) == [
        *("if x :", "y = ( 1 , 2 )", 'z = """a\nb"""', "f = lambda : 0", "else :", "pass"),
    ]
    page = lex.read(source)
    assert [(one.line, one.last) for one in page.statements] == [
        (1, 1),
        (1, 2),
        (2, 3),
        (5, 5),
        (6, 6),
        (6, 6),
    ]
    assert [one.text for one in page.prose] == ['"""a\nb"""', '"doc"', "c", "d", "e"]


def test_adjacent_comments_are_one_text() -> None:
    page = lex.read("# one\n# two\nx = 1  # three\n# four\n")
    assert [(one.line, one.last, one.text) for one in page.prose] == [
        *((1, 2, "one two"), (3, 3, "three"), (4, 4, "four")),
    ]


def test_a_bracket_that_nobody_closed_ends_at_the_next_function() -> None:
    assert texts("x = (1, 2\ndef f(a):\n    return a\n") == ["x = ( 1 , 2", "def f ( a ) :", "return a"]


@pytest.mark.parametrize(
    "text",
    [
        *("'''\\'", '"""\\"', "'", "(", "\\", "#\n", "f'", "\x00\ud800ä", "rb", "1e+", "a;", "if :", "x\\\n"),
        *("if lambda x: ", "def ", "[:", "f'{", "{'a':'''"),
    ],
)
def test_no_text_takes_longer_than_its_length(text: str) -> None:
    seconds = []
    for count in (10_000, 40_000):
        began = time.process_time()
        of(text * (count // len(text)))
        seconds.append(time.process_time() - began)
    assert seconds[1] < 8 * seconds[0] + 0.5


def test_what_is_too_long_is_compared_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from grader.batch.similar import own as module

    monkeypatch.setattr(module, "MOST_CHARACTERS", 1000)
    line = "first_thing = second_thing(third_thing, 17) + fourth_thing[fifth_thing]\n"
    assert of("x = 1\n" * 200 + line * 3).prints == ()
    assert of(line * 3).prints


def test_nothing_that_was_handed_out_is_anybodys_own() -> None:
    seeded = toy.WORK.replace("x2 * cos -", "x2 * cos +")
    spelled = (
        toy.WORK.replace("x1 * cos + x2 * sin", "sin * x2 + cos * x1")
        .replace("x1", "lower")
        .replace("found += text", "found = found + text")
    )
    for text in (
        toy.WORK,
        seeded,
        spelled,
        seeded.replace("    # Also", "    # Not").replace("overlap,", "overlap "),
    ):
        assert of(text).size <= 1, text


def test_what_is_repeated_counts_once() -> None:
    line = "first_thing = second_thing(third_thing, 17) + fourth_thing[fifth_thing]\n"
    assert len(of(line * 50).prints) < 40
    assert score(toy.WORK + line * 50, toy.WORK + "other_thing = 0\n" + line * 50) < 50


def test_a_small_edit_of_a_long_statement_is_small() -> None:
    edited = toy.WORK.replace("x1 * cos + x2 * sin", "x1 * cos + my_factor * x2 * sin")
    assert 1 <= of(edited).size <= 3


COPIES = {
    "verbatim": OWN,
    "renamed": OWN.replace("running", "acc")
    .replace("amount", "v")
    .replace("total", "t")
    .replace("place", "i"),
    "reordered": "\n\n\ndef ".join(["", *reversed(OWN.strip().removeprefix("def ").split("\n\n\ndef "))]),
    "comments": OWN.replace("# Keep a running total so that every", "# Another remark, and another").replace(
        "    kept", "    # Not a number is left out.\n    kept"
    ),
    "layout": OWN.replace(
        "min(place + 1, span)", "min(\n            place + 1,\n            span,\n        )"
    ),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found(kind: str) -> None:
    copy = toy.WORK + COPIES[kind]
    assert copy != toy.WORK + OWN or kind == "verbatim"
    assert score(toy.WORK + OWN, copy) > 0.6 * of(toy.WORK + OWN).size
    assert score(toy.WORK + OWN, copy, threshold=THRESHOLD)


def test_who_shares_nothing_has_no_score() -> None:
    assert of(toy.WORK + OWN).size > THRESHOLD
    assert of(toy.WORK + OTHER).size > THRESHOLD / 2
    assert score(toy.WORK + OWN, toy.WORK + OTHER) == 0


def test_a_large_class_has_a_lower_threshold() -> None:
    assert [threshold_for(count) for count in (2, 199, 200, 5000)] == [80, 80, 60, 60]


def test_places_are_those_of_the_text() -> None:
    (pair,) = pairs([Handed(("a",), of(toy.WORK + OWN)), Handed(("b",), of("import os\n" + OWN + toy.WORK))])
    lines = (toy.WORK + OWN).split("\n")
    for place in pair.places:
        file, _, span = place.left.partition(":")
        first, _, last = span.partition("-")
        theirs = place.right.partition(":")[2].partition("-")[0]
        assert file == "nanochat/work.py"
        text = "\n".join(lines[int(first) - 1 : int(last or first)])
        assert text in OWN
        assert ("import os\n" + OWN + toy.WORK).split("\n")[int(theirs) - 1] == lines[int(first) - 1]
    assert sum(place.tokens for place in pair.places) >= pair.score


def test_what_many_have_says_nothing_of_two() -> None:
    def best(holders: int, count: int = 200) -> float:
        handed = [Handed((f"h{i}",), of(f"{OWN}\nz = {i}\n")) for i in range(holders)]
        handed += [Handed((f"o{i}",), Own((), 0, ())) for i in range(count - holders)]
        return max((one.score for one in pairs(handed, 0.1, 0)), default=0.0)

    assert best(2) == of(OWN).size
    assert best(4) == pytest.approx(best(2) / 2, abs=0.1)
    assert best(5) == 0, "more than 2 % of 200"
    assert best(5, 300) > 0


def test_the_same_files_are_a_pair_only_with_text_of_their_own() -> None:
    handed = [Handed(("a", "b", "c"), of(toy.WORK + OWN)), Handed(("d", "e"), of(toy.WORK))]
    (pair,) = pairs(handed)
    assert (pair.left, pair.right, pair.same) == (("a",), ("b", "c"), True)
    assert pair.score == of(toy.WORK + OWN).size


def test_fingerprints_survive_the_ledger() -> None:
    found = of(toy.WORK + OWN)
    assert Own.unpacked(found.packed()) == found


@pytest.fixture
def copied_class(class_folder: Path) -> Path:
    """The class, in which bob and carol share two files of their own."""
    for student, text in (("bob", OWN), ("carol", COPIES["reordered"]), ("=dan", ""), ("alice", "")):
        (class_folder / student / "nanochat" / "work.py").write_text(toy.WORK + text)
    (class_folder / "bob" / "nanochat" / "<b>\x1b.py").write_text(OTHER.replace("edge", "border"))
    (class_folder / "carol" / "nanochat" / "<i>.py").write_text(OTHER.replace("edge", "border"))
    return class_folder


def test_a_class_is_compared(copied_class: Path, tmp_path: Path, batch: Batch, grader: Run) -> None:
    out = tmp_path / "out"
    batch(copied_class, out)
    code, said = grader("show", out, "--similar", "--json")
    assert code == 0, said
    record = json.loads(said)
    (pair,) = record["pairs"]
    assert (pair["left"], pair["right"], pair["same"]) == (["bob"], ["carol"], False)
    assert pair["score"] > record["threshold"] == THRESHOLD
    assert record["not_compared"] == ["eve"]
    code, said = grader("show", out, "--similar")
    assert said.startswith(f"bob and carol: {pair['score']:g} of {pair['own']}\n")
    assert "nanochat/<b>\\x1b.py:4-" in said
    assert said.endswith("not compared: eve\n")
    assert grader("show", out, "--similar", "--student", "alice")[1].startswith("no two share 80 tokens")
    code, said = grader("report", out, "--format", "similar")
    (row,) = csv.DictReader(io.StringIO(said))
    assert (row["left"], row["right"], row["same_files"]) == ("bob", "carol", "no")
    assert "\x1b" not in said
    assert len(grader("report", out, "--format", "similar", "--student", "alice")[1].splitlines()) == 1
    assert len(grader("report", out, "--format", "similar", "--student", "carol")[1].splitlines()) == 2


def test_only_the_page_of_the_class_says_so(
    copied_class: Path, tmp_path: Path, batch: Batch, grader: Run
) -> None:
    batch(copied_class, tmp_path / "out")
    assert grader("report", tmp_path / "out", "--format", "html", "--out", tmp_path / "html")[0] == 0
    page = (tmp_path / "html" / "index.html").read_text()
    assert "<li>bob and carol: " in page
    assert "nanochat/&lt;b&gt;\\x1b.py:4-" in page
    assert "<b>" not in page
    assert "Not compared: eve" in page
    for one in (tmp_path / "html" / "students").iterdir():
        text = one.read_text().lower()
        assert "similar" not in text
        assert "work.py" not in text
    with Ledger(tmp_path / "out") as found:
        book = classbook.gradebook(found, similar=True)
        without = classbook.gradebook(found)
    assert [studentpage.render(book, one) for one in book.students] == [
        studentpage.render(without, one) for one in without.students
    ]
    assert "not looked for" in classpage.render(without)


def test_a_long_list_of_pairs_is_cut(copied_class: Path, tmp_path: Path, batch: Batch) -> None:
    from dataclasses import replace

    batch(copied_class, tmp_path / "out")
    with Ledger(tmp_path / "out") as found:
        book = classbook.gradebook(found, similar=True)
    assert book.similarity is not None
    many = replace(book.similarity, pairs=book.similarity.pairs * 103)
    page = classpage.render(replace(book, similarity=many))
    assert page.count("<li>bob and carol: ") == 100
    assert "<p>3 more are in <code>grader report --format similar</code>.</p>" in page
    assert "No two submissions." in classpage.render(replace(book, similarity=Similarity()))


def test_who_handed_in_the_same_files_is_listed_with_what_is_their_own(
    copied_class: Path, tmp_path: Path, batch: Batch, grader: Run
) -> None:
    for student in ("frank", "grace"):
        package = copied_class / student / "nanochat"
        package.mkdir(parents=True)
        (package / "answer.py").write_text("half alike\n")
        (package / "work.py").write_text(toy.WORK)
    batch(copied_class, tmp_path / "out")
    assert grader("report", tmp_path / "out", "--format", "html", "--out", tmp_path / "html")[0] == 0
    page = (tmp_path / "html" / "index.html").read_text()
    assert '<li>frank, grace <span class="quiet">0 tokens that were not handed out</span></li>' in page
    assert "frank and grace" not in page


def test_a_report_needs_no_submissions(copied_class: Path, tmp_path: Path, batch: Batch, grader: Run) -> None:
    import shutil

    batch(copied_class, tmp_path / "out")
    before = grader("report", tmp_path / "out", "--format", "similar")
    shutil.rmtree(tmp_path / "out" / ledger.TREES)
    assert grader("report", tmp_path / "out", "--format", "similar") == before
    assert "bob" in before[1]


def test_shards_are_compared_with_each_other(
    copied_class: Path, tmp_path: Path, batch: Batch, grader: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch(copied_class, tmp_path / "whole")
    parts = [tmp_path / f"part{i}" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        batch(copied_class, part, "--shard", f"{i}/2")
        assert len(grader("report", part, "--format", "similar")[1].splitlines()) == 1
    assert grader("merge", tmp_path / "merged", *parts)[0] == 0
    whole, merged = (grader("show", tmp_path / name, "--similar", "--json") for name in ("whole", "merged"))
    assert whole == merged
    assert '"bob"' in whole[1]
    monkeypatch.setattr(known, "version", lambda: "later")
    batch(copied_class, tmp_path / "other", "--shard", "2/2")
    from grader.batch.merge import merge

    doubts = merge(tmp_path / "mixed", [parts[0], tmp_path / "other"])
    assert any("compared by another catalogue or grader" in one for one in doubts)
    batch(copied_class, tmp_path / "mixed")
    assert json.loads(grader("show", tmp_path / "mixed", "--similar", "--json")[1]) == json.loads(whole[1])


def test_fingerprints_are_made_once(
    copied_class: Path, tmp_path: Path, batch: Batch, grader: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    batch(copied_class, out)

    def refused() -> known.Known:
        raise AssertionError("what was handed out is read again, and nothing is new")

    with monkeypatch.context() as here:
        here.setattr(known, "known", refused)
        batch(copied_class, out)
    monkeypatch.setattr(known, "version", lambda: "later")
    code, said = grader("regrade", out, "--only-changed", "--isolation", "basic")
    assert code == 0, said
    with Ledger(out) as found:
        assert found.prints_version() == "later"
        assert len(found.prints("later")) == len(found.prints("toy")) == 4


def test_without_a_reference_nobody_is_compared(
    copied_class: Path, tmp_path: Path, batch: Batch, grader: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "version", lambda: "")
    batch(copied_class, tmp_path / "out")
    code, said = grader("show", tmp_path / "out", "--similar")
    assert code == 0, said
    assert said.endswith("not compared: =dan, alice, bob, carol, eve\n")


def test_a_ledger_from_before_is_read_and_completed(
    copied_class: Path, tmp_path: Path, batch: Batch, grader: Run
) -> None:
    out = tmp_path / "out"
    batch(copied_class, out)
    before = grader("show", out, "--similar")
    database = sqlite3.connect(out / ledger.FILE)
    with database:
        database.execute("DROP TABLE print")
        database.execute("DELETE FROM meta WHERE name = 'prints'")
    database.close()
    assert "not compared: =dan, alice, bob, carol, eve" in grader("show", out, "--similar")[1]
    batch(copied_class, out)
    assert grader("show", out, "--similar") == before


def test_a_tree_that_is_gone_is_not_compared(copied_class: Path, tmp_path: Path, batch: Batch) -> None:
    batch(copied_class, tmp_path / "out")
    with Ledger(tmp_path / "out") as found:
        with Remembering(found, ["gone", ""]) as prints:
            prints.store(wait=True)
        assert "gone" not in found.prints("toy")


def test_the_process_that_makes_fingerprints_may_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    monkeypatch.setattr(printing, "own", lambda *_: os._exit(7))
    monkeypatch.setattr(known, "known", lambda: HANDED_OUT)
    printer = printing.Printer([tmp_path / "tree"])
    with pytest.raises(GraderFault, match=r"was lost \(exit code 7\), 1 trees before its end; run the same"):
        list(printer.made(wait=True))
    printer.close()


def test_fingerprints_are_recorded_while_others_are_graded(
    copied_class: Path, tmp_path: Path, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[tuple[bool, int]] = []
    store = Remembering.store

    def followed(self: Remembering, *, wait: bool = False) -> None:
        time.sleep(0 if wait else 0.2)
        store(self, wait=wait)
        recorded.append((wait, len(self._ledger.prints("toy"))))

    monkeypatch.setattr(Remembering, "store", followed)
    batch(copied_class, tmp_path / "out")
    *during, (waited, count) = recorded
    assert waited
    assert any(0 < known <= count for _, known in during)


def test_a_small_share_of_much_is_chance() -> None:
    def reported(*rest: str) -> bool:
        return bool(pairs([Handed((str(i),), of(OWN + text)) for i, text in enumerate(rest)]))

    much = [
        "\n".join(f'{name}{i} = {name}_of("{name} {i}", {i}) // {name}{i - 1}' for i in range(120))
        for name in "abc"
    ]
    assert reported("", much[0]), "all that the one has"
    assert not reported(much[0], much[1].replace("//", "+ 1 -"))


@pytest.mark.slow
def test_copies_with_other_bugs_and_disguises_share_nothing() -> None:
    from grader.bugs import catalogue, choose, variant
    from grader.bugs.disguise import disguised

    found = known.known()
    assert known.version() == known.version() != ""
    reference = variant.sources_of(catalogue.REFERENCE)
    assert own(reference, found).size == 0
    bugs = [bug for level in (1, 2, 3) for bug in catalogue.load(level)]
    for seed in map(str, range(3)):
        plain = variant.with_bugs(reference, choose.by_seed(bugs, reference, seed, 2).bugs)
        assert own(plain, found).size <= 5, "two bugs may meet in one statement"
        assert own(disguised(plain, seed), found).size <= THRESHOLD / 2
    alternates = Path(__file__).parents[2] / "alternates"
    works = {path.parent.name: variant.sources_of(path) for path in alternates.glob("*/nanochat")}
    assert len(works) > 10
    handed = [Handed((name,), own(files, found)) for name, files in works.items()]
    assert pairs(handed) == [], "independent programs"
