"""Each report is what its reader documents and says the right points; nothing of a submission gets loose."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import jsonschema
import pytest

from grader import levels
from grader.batch import classbook
from grader.batch.ledger import Ledger
from grader.batch.publish import FORMATS
from grader.render import classpage, classroom, escape, gradescope, junit, prairielearn, prose, studentpage
from grader.render import csv as table
from grader.render.gradebook import Gradebook, Student

from . import toy

Run = Callable[..., tuple[int, str]]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

NUMBER = {"type": "number", "minimum": 0}
TEXT = {"type": "string"}
VISIBLE = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}

GRADESCOPE = {
    "type": "object",
    "properties": {
        "score": NUMBER,
        "execution_time": NUMBER,
        "output": TEXT,
        "output_format": FORMAT,
        "visibility": VISIBLE,
        "stdout_visibility": VISIBLE,
        "extra_data": {"type": "object"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **{"score": NUMBER, "max_score": NUMBER, "status": {"enum": ["passed", "failed"]}},
                    **{"name": TEXT, "name_format": FORMAT, "number": TEXT, "output": TEXT},
                    **{"output_format": FORMAT, "tags": {"type": "array", "items": TEXT}},
                    "visibility": VISIBLE,
                },
                "required": ["score", "max_score"],
                "additionalProperties": False,
            },
        },
    },
    "anyOf": [{"required": ["score"]}, {"properties": {"tests": {"minItems": 1}}, "required": ["tests"]}],
    "additionalProperties": False,
}

CLASSROOM = {
    "type": "object",
    "properties": {
        "version": {"const": 1},
        "status": {"enum": ["pass", "fail", "error"]},
        "max_score": {"type": "number", "exclusiveMinimum": 0},
        "tests": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "name": TEXT,
                    "status": {"enum": ["pass", "fail", "error"]},
                    "score": NUMBER,
                    "message": TEXT,
                    **{"test_code": TEXT, "filename": TEXT, "line_no": {"type": "integer"}},
                },
                "required": ["name", "status", "score", "message"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["version", "status", "max_score", "tests"],
    "additionalProperties": False,
}

PRAIRIELEARN = {
    "type": "object",
    "properties": {
        "gradable": {"type": "boolean"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "message": TEXT,
        "output": TEXT,
        "format_errors": {"type": "array", "items": TEXT},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **{"name": TEXT, "description": TEXT, "points": NUMBER, "max_points": NUMBER},
                    **{"message": TEXT, "output": TEXT},
                },
                "required": ["name", "points", "max_points"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["gradable"],
    "if": {"properties": {"gradable": {"const": True}}},
    "then": {"required": ["score", "tests"]},
    "additionalProperties": False,
}


@pytest.fixture
def results(class_folder: Path, tmp_path: Path, batch: Callable[..., Any]) -> Path:
    """The results of a class: two right, one wrong, one half, one rejected, one held."""
    toy.submission(class_folder, "hal", "fault")
    batch(class_folder, tmp_path / "out", code=3)
    return tmp_path / "out"


@pytest.fixture
def book(results: Path) -> Gradebook:
    """The gradebook of that class."""
    with Ledger(results) as ledger:
        return classbook.gradebook(ledger)


def named(book: Gradebook, name: str) -> Student:
    """Return a student."""
    return next(one for one in book.students if one.name == name)


def test_the_gradebook(book: Gradebook) -> None:
    rows = list(csv.DictReader(io.StringIO(table.render(book))))
    assert {row["student"]: row["points"] for row in rows} == {
        **{"alice": "100", "bob": "0", "carol": "40", "'=dan": "100", "eve": "0", "hal": ""}
    }
    carol = next(row for row in rows if row["student"] == "carol")
    assert (carol["level9.sums"], carol["level9.order"], carol["level9"]) == ("0", "40", "40")
    assert (carol["max_points"], carol["entry"]) == ("100", "carol")
    assert next(row["reason"] for row in rows if row["student"] == "eve").startswith("it holds no folder")


def test_canvas(book: Gradebook) -> None:
    rows = list(csv.DictReader(io.StringIO(table.canvas(book))))
    assert rows[0]["Student"].strip() == "Points Possible"
    assert rows[0]["nanograder level 9"] == "100"
    assert {row["SIS Login ID"]: row["nanograder level 9"] for row in rows[1:]} == {
        **{"alice": "100", "bob": "0", "carol": "40", "'=dan": "100", "eve": "0", "hal": ""}
    }


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *[(one + "1", f"'{one}1") for one in "=+-@"],
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
        ("\x1b[31m", "\\x1b[31m"),
        ('a"b,c\nd', 'a"b,c\nd'),
    ],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert list(csv.reader(io.StringIO(table.written([[text, "x"]])))) == [[cell, "x"]]


def test_gradescope(book: Gradebook) -> None:
    for one, points in (("alice", 100), ("bob", 0), ("carol", 40)):
        record = json.loads(str(gradescope.render(book, named(book, one))))
        jsonschema.validate(record, GRADESCOPE)
        assert "score" not in record, "it would override the sum of the tests"
        assert sum(test["score"] for test in record["tests"]) == points
        assert sum(test["max_score"] for test in record["tests"]) == 100
    output = record["tests"][0]["output"]
    assert "failed: sums.of_two" in output
    assert "\x1b" not in output
    rejected = json.loads(str(gradescope.render(book, named(book, "eve"))))
    jsonschema.validate(rejected, GRADESCOPE)
    assert rejected["score"] == 0
    assert "it holds no folder nanochat/" in rejected["output"]
    assert gradescope.render(book, named(book, "hal")) is None


def test_github_classroom(book: Gradebook) -> None:
    for one, status, points in (("alice", "pass", 100), ("carol", "fail", 40), ("eve", "error", 0)):
        line = str(classroom.render(book, named(book, one)))
        assert re.fullmatch(r"result=[A-Za-z0-9+/=]+\n", line)
        record = json.loads(base64.b64decode(line.removeprefix("result=")))
        jsonschema.validate(record, CLASSROOM)
        assert (record["status"], record["max_score"]) == (status, 100)
        assert sum(test["score"] for test in record["tests"]) == points
    assert classroom.render(book, named(book, "hal")) is None


def test_prairielearn(book: Gradebook) -> None:
    for one, score in (("alice", 1), ("bob", 0), ("carol", 0.4)):
        record = json.loads(str(prairielearn.render(book, named(book, one))))
        jsonschema.validate(record, PRAIRIELEARN)
        assert record["score"] == score
        assert sum(test["points"] for test in record["tests"]) == 100 * score
    rejected = json.loads(str(prairielearn.render(book, named(book, "eve"))))
    jsonschema.validate(rejected, PRAIRIELEARN)
    assert rejected == {"gradable": False, "format_errors": ["it holds no folder nanochat/: it is empty"]}
    assert prairielearn.render(book, named(book, "hal")) is None


def test_junit(book: Gradebook) -> None:
    top = xml.fromstring(junit.render(book))
    suites = {suite.get("name"): suite for suite in top}
    assert len(suites) == 6
    for suite in [top, *top]:
        cases = suite.findall(".//testcase")
        found = [
            str(len(cases)),
            *(str(len(suite.findall(f".//{tag}"))) for tag in ("failure", "error", "skipped")),
        ]
        assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == found
    names = [(case.get("classname"), case.get("name")) for case in top.iter("testcase")]
    assert len(names) == len(set(names))
    carol = suites["carol level 9"]
    values = {one.get("name"): one.get("value") for one in carol.iter("property")}
    assert values["points"] == "40"
    assert values["sums.max_points"] == "60"
    failure = carol.find(".//testcase[@name='sums.of_two']/failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("got 4, want 3 =cmd()")
    assert failure.get("message") in str(failure.text).replace("\n  ", "\n")
    assert suites["hal"].find(".//skipped") is not None, "a fault of the grader is no failure of a student"
    assert suites["eve"].find(".//error") is not None


def test_the_place_of_an_error_is_named() -> None:
    from grader.report import PropertyReport

    trace = 'File "specs/x.py", line 3\n  File "nanochat/gpt.py", line 84, in f\nValueError: boo\n'
    suite = xml.Element("testsuite")
    junit.add_case(suite, "a", PropertyReport("x.y", "t", "error", "boo\x0c", {"n": "1"}, 0, 1, trace))
    case = suite[0]
    assert (case.get("file"), case.get("line")) == ("nanochat/gpt.py", "84")
    error = case.find("error")
    assert error is not None
    assert error.get("type") == "error"
    assert error.get("message") == "boo\\x0c"
    assert str(error.text).endswith("smallest input: n=1")


def test_escapes() -> None:
    everything = "".join(map(chr, [*range(0x3000), *range(0xD700, 0x10010), 0x10FFFF]))
    text = escape.xml_text(everything)
    assert xml.fromstring(f"<a>{text.translate({60: None, 38: None, 62: None})}</a>").text
    assert "\x1b" not in escape.visible(everything)
    assert escape.log_text("::error::x\n##[group]y") == ": :error: :x\n# #[group]y"


def test_a_long_text_is_cut(book: Gradebook) -> None:
    criterion = named(book, "bob").levels[0].criteria[0]
    text = prose.criterion_text(criterion, longest=50)
    assert text.startswith(criterion.statement)
    assert re.search(r"… \(\d+ characters more\)$", text)


def test_file_names_of_students_are_safe_and_differ() -> None:
    names = ["alice", "a.b@c", "=dan", "_dan", "..", ".x", "a/b", "a b", "ä", "x" * 300]
    files = [studentpage.file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert files[:2] == ["alice", "a.b@c"]
    assert all(
        re.fullmatch(r"[A-Za-z0-9_@+-][A-Za-z0-9._@+-]{0,120}", name) or name[0] == "-" for name in files
    )


def test_pages_hold_nothing_that_runs(book: Gradebook) -> None:
    for text in (classpage.render(book), *(studentpage.render(book, one) for one in book.students)):
        assert not re.findall(r"(?:src|url)\s*[=(]|https?:", text)
        assert text.count("<script>") == text.count("</script>") <= 1
        assert "<b>" not in text
        assert "prefers-color-scheme: dark" in text
    carol = studentpage.render(book, named(book, "carol"))
    assert "=cmd()\\x1b[31m &lt;/script&gt;&lt;b&gt;&amp;" in carol
    assert "The sum of two numbers is right, be they &lt; or &gt; than 0." in carol
    assert "seed" not in carol


def test_the_class_page_keeps_faults_apart(book: Gradebook) -> None:
    text = classpage.render(book)
    assert "6 students: 4 graded, 1 rejected,\n1 without a result." in text
    assert "<li>hal: level 9: GraderFault: no process can be had</li>" in text
    assert "<li>eve (eve): it holds no folder nanochat/: it is empty</li>" in text
    assert "2 of 4 break it" in text
    assert [bar.count for bar in classpage.distribution([0, 9.9, 10, 99.9, 100], 100)] == [
        *(2, 1, 0, 0, 0, 0, 0, 0, 0, 2)
    ]


def test_odd_outcomes_are_listed(book: Gradebook) -> None:
    from dataclasses import replace

    alice = named(book, "alice")
    (level,) = alice.levels
    first = replace(level.criteria[0].properties[0], verdict="unstable")
    criteria = (replace(level.criteria[0], properties=(first,)), *level.criteria[1:])
    shaken = replace(alice, levels=(replace(level, criteria=criteria),))
    found = list(classpage.odd_outcomes(Gradebook(book.levels, (shaken,))))
    assert found == [(shaken, 9, "sums.of_two", "unstable")]


def test_an_empty_class_has_a_page() -> None:
    assert "0 students" in classpage.render(Gradebook((), ()))


def test_reports_of_the_command(results: Path, tmp_path: Path, grader: Run) -> None:
    code, said = grader("report", results, "--format", "gradescope")
    assert code == 2
    assert "--out DIR is needed" in said
    code, said = grader("report", results, "--format", "gradescope", "--out", tmp_path / "many")
    assert code == 0
    assert {path.name for path in (tmp_path / "many").iterdir()} == {
        *("alice.json", "bob.json", "carol.json", "eve.json"),
        f"{studentpage.file_name('=dan')}.json",
    }
    code, said = grader("report", results, "--format", "gradescope", "--student", "carol")
    assert (tmp_path / "many" / "carol.json").read_text() == said
    code, said = grader("report", results, "--format", "csv", "--out", tmp_path / "book.csv")
    assert (code, said) == (0, "")
    assert (tmp_path / "book.csv").read_bytes().count(b"\r\n") == 7
    code, said = grader(
        "report", results, "--format", "html", "--student", "carol", "--out", tmp_path / "c.html"
    )
    assert code == 0
    assert "<h1>carol</h1>" in (tmp_path / "c.html").read_text()
    code, said = grader("report", results, "--format", "csv", "--out", tmp_path / "missing" / "book.csv")
    assert code == 2
    assert "cannot be written" in said


def test_hints_are_given_only_when_asked_for(results: Path, grader: Run) -> None:
    for name in ("html", "gradescope", "prairielearn"):
        words = ("report", results, "--format", name, "--student", "carol")
        assert "Count on your fingers." not in grader(*words)[1]
        said = grader(*words, "--hints")[1]
        assert "Count on your fingers." in said
        assert "Swap them." not in said, "that criterion holds"


def test_later_stages_of_hints_are_given_when_asked_for(results: Path, grader: Run) -> None:
    words = ("report", results, "--format", "html", "--student", "carol", "--hints")
    assert "1 and 2 is 3." not in grader(*words)[1]
    text = grader(*words, "2")[1]
    assert text.index("Count on your fingers.") < text.index("1 and 2 is 3.")
    assert "Add one to two." not in text
    assert "Add one to two." in grader(*words, "9")[1]


@pytest.fixture
def withheld(class_folder: Path, tmp_path: Path, batch: Callable[..., Any]) -> Path:
    """The results of a class whose level hides one law, shows one later, and has one stage of hints."""
    assert class_folder
    text = toy.LEVEL.replace('id = "sums"', 'id = "sums"\nvisibility = "after_deadline"')
    text = text.replace("number = 9", "number = 9\nhint_stages = 1")
    (levels.FOLDER / "level9.toml").write_text(
        f'{text}\n[[property]]\nid = "sums.of_one"\nvisibility = "hidden"\nweight = 3\n'
        '[[property]]\nid = "order.swapped"\ncounterexample = false\n'
    )
    batch(class_folder, tmp_path / "out")
    return tmp_path / "out"


SAID = {"of_two": "got 4, want 3 =cmd", "of_one": "got 2, want 1", "order": "swapped: got 4, want 3"}
"""What comes of bob's program, law by law."""


def shown(text: str) -> set[str]:
    """Return which of bob's answers a report holds."""
    return {name for name, said in SAID.items() if said in text}


def test_every_format_withholds_what_the_level_says(withheld: Path, grader: Run) -> None:
    def report(name: str, *more: str) -> str:
        student = () if name in ("junit", "csv", "canvas") else ("--student", "bob")
        code, said = grader("report", withheld, "--format", name, *student, *more)
        assert code == 0
        if name == "classroom":
            return base64.b64decode(said.removeprefix("result=")).decode()
        return said

    for name in ("html", "prairielearn", "classroom", "junit", "annotations"):
        before, after = report(name), report(name, "--after-deadline")
        assert (shown(before), shown(after)) == ({"order"}, {"order", "of_two"}), name
        assert "What came instead is shown after the deadline." in before
        assert "What came instead is not shown for this law." in after
        assert "The sum of one number is the number." in before or name == "classroom", (
            "laws are never hidden"
        )
        assert before.count("sums.of_one") == after.count("sums.of_one") > 0 or name == "classroom"
    for name in ("csv", "canvas"):
        assert shown(report(name, "--after-deadline")) == set()
        assert report(name) == report(name, "--after-deadline"), "points are never withheld"
    for name in FORMATS:
        assert "1 and 2 is 3." not in report(name, "--hints", "9")


def test_gradescope_uncovers_after_the_due_date(withheld: Path, grader: Run) -> None:
    def record(*more: str) -> Any:
        said = grader("report", withheld, "--format", "gradescope", "--student", "bob", *more)[1]
        jsonschema.validate(json.loads(said), GRADESCOPE)
        return json.loads(said)["tests"]

    tests = {kind: [one for one in record() if one["visibility"] == kind] for kind in VISIBLE["enum"]}
    assert [len(tests[kind]) for kind in VISIBLE["enum"]] == [0, 1, 0, 2]
    assert shown(json.dumps(tests["visible"])) == {"order"}
    (later,) = tests["after_due_date"]
    assert shown(json.dumps(later)) == {"of_two"}
    assert (later["score"], later["max_score"]) == (0, 0), "a test without a score would need one for all"
    assert "sums.of_one" not in later["output"]
    assert {one["visibility"] for one in record("--after-deadline")} == {"visible"}
    alice = json.loads(grader("report", withheld, "--format", "gradescope", "--student", "alice")[1])
    assert {one["visibility"] for one in alice["tests"]} == {"visible"}, "so that the total is shown"


def test_what_is_shown_can_be_changed_without_grading_again(
    withheld: Path, class_folder: Path, batch: Callable[..., Any], grader: Run
) -> None:
    file = levels.FOLDER / "level9.toml"
    text = file.read_text()
    shows = text.replace('"hidden"', '"visible"').replace('"after_deadline"', '"hidden"')
    file.write_text(shows.replace("Count on", "Look at") + "# A comment.\n")
    lines = batch(class_folder, withheld)
    assert all(one["remembered"] for one in lines if one["status"] == "graded")
    for name in ("html", "gradescope"):
        said = grader("report", withheld, "--format", name, "--student", "bob", "--hints")[1]
        assert shown(said) == {"of_one", "order"}
        assert "Look at your fingers." in said
    file.write_text(text.replace("weight = 3", "weight = 4"))
    lines = batch(class_folder, withheld)
    assert not any(one["remembered"] for one in lines)


def test_the_instructor_sees_everything_who_asks_for_it(withheld: Path, grader: Run) -> None:
    for more in ((), ("--json",)):
        words = ("show", withheld, "--student", "bob", *more)
        assert shown(grader(*words)[1]) == {"order"}, "a workflow may hand it to the student"
        assert shown(grader(*words, "--show-hidden")[1]) == set(SAID)


def in_a_browser(page: Path, script: str, size: str = "390,800") -> str:
    """Return the document after a script has run in a page."""
    copy = page.with_name(f"with-script-{page.name}")
    copy.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}"),
            *(f"--user-data-dir={page.parent}/profile", "--virtual-time-budget=2000", "--dump-dom"),
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOOK = """
const buttons = [...document.querySelectorAll("#heat thead button")];
const names = () => [...document.querySelectorAll("#heat tbody th")].map(one => one.textContent).join(" ");
buttons[1].focus(); const focused = document.activeElement === buttons[1];
buttons[1].click(); const up = names(); buttons[1].click();
const wide = document.documentElement.scrollWidth - window.innerWidth;
document.title = JSON.stringify({ wide, focused, up, down: names(),
  links: document.querySelectorAll("#heat tbody a[href]").length });
"""


@browser
def test_the_class_page_in_a_browser(results: Path, tmp_path: Path, grader: Run) -> None:
    assert grader("report", results, "--format", "html", "--out", tmp_path / "html")[0] == 0
    dom = in_a_browser(tmp_path / "html" / "index.html", LOOK)
    found = json.loads(re.findall(r"<title>(.*?)</title>", dom)[0].replace("&quot;", '"'))
    assert found["wide"] <= 0, "nothing but the tables scrolls sideways, also on a phone"
    assert found["focused"], "the heads of columns can be reached by keyboard"
    assert found["links"] == 6
    assert found["up"].split()[-2:] in (["alice", "=dan"], ["=dan", "alice"])
    assert found["up"].split()[0] == "hal"
    assert found["down"].split()[-1] == "hal"
    for link in re.findall(r'<a href="(students/[^"]+)"', dom):
        assert (tmp_path / "html" / link.replace("%3D", "=")).is_file(), link
