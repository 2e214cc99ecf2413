"""The pages in a real browser: without a network, as wide as a phone, by keyboard, in the dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.batch import classbook
from grader.batch.ledger import Ledger
from grader.render import classpage, studentpage
from grader.render.gradebook import Student
from specs.outcomes import Comparison

from .chromium import PROGRAM, Page, browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")
PAGES = ("index.html", "bob.html")
PHONE = 360

WIDE = Comparison(
    *("row 0, position 14", "position", 10, 30),
    tuple(f"-{i}.2345e-10" for i in range(9)),
    tuple(f"-{i}.2345e-10" if i < 4 else "12345.6789" for i in range(9)),
    (False,) * 4 + (True,) * 5,
    *("float32[2, 30, 50304]", "float64[2, 30, 50304]"),
)

KEYED = "a[href], button, summary, [tabindex='0']"

FOCUSED = f"""(() => {{
  const one = document.activeElement;
  return one === document.body ? null : {{
    place: [...document.querySelectorAll("{KEYED}")].indexOf(one),
    outline: getComputedStyle(one).outlineStyle,
  }};
}})()"""

CONTRAST = """(() => {
  const light = text => { const part = text.match(/[\\d.]+/g).slice(0, 3).map(one => {
      one /= 255; return one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4; });
    return .2126 * part[0] + .7152 * part[1] + .0722 * part[2]; };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const found = {};
  for (const what of ["body", ".quiet", "a", "h1", "pre", ".picture td", ".scroll > p"]) {
    const one = document.querySelector(what);
    if (!one) continue;
    const ink = light(getComputedStyle(one).color);
    found[what] = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  }
  return [paper, found];
})()"""


@pytest.fixture
def folder(class_folder: Path, tmp_path: Path, batch: Callable[..., Any]) -> Path:
    """The pages of the toy class; what broke for bob is shown as wide pictures, with hints."""
    batch(class_folder, tmp_path / "out")
    with Ledger(tmp_path / "out") as ledger:
        book = classbook.gradebook(ledger, hints=3)
    bob = pictured(next(one for one in book.students if one.name == "bob"))
    made = tmp_path / "html"
    made.mkdir()
    (made / "index.html").write_text(classpage.render(book), encoding="utf-8")
    (made / "bob.html").write_text(studentpage.render(book, bob), encoding="utf-8")
    return made


def pictured(student: Student) -> Student:
    """Return a student with a wide picture at each property."""
    (level,) = student.levels
    criteria = tuple(
        replace(one, properties=tuple(replace(each, comparison=WIDE) for each in one.properties))
        for one in level.criteria
    )
    return replace(student, levels=(replace(level, criteria=criteria),))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page of a browser."""
    with browser(tmp_path / "profile") as opened:
        yield opened


def test_pages_need_no_network_and_raise_nothing(folder: Path, page: Page) -> None:
    for name in PAGES:
        page.open(folder / name)
        asked = [one["request"]["url"] for one in page.seen("Network.requestWillBeSent")]
        assert asked == [(folder / name).as_uri()]
        assert not page.seen("Runtime.exceptionThrown")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_but_the_tables_scrolls_sideways_on_a_phone(folder: Path, page: Page, scheme: str) -> None:
    for name in PAGES:
        page.open(folder / name, PHONE, scheme)
        assert page.evaluate("window.innerWidth") == PHONE
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, name
    box = "document.querySelector('.picture').parentElement"
    assert page.evaluate(f"{box}.scrollWidth > {box}.clientWidth"), "the picture is wider, and scrolls alone"
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"width: 800px\">wide</p>')")
    assert page.evaluate("document.documentElement.scrollWidth") > PHONE, "what is too wide would be seen"


def test_everything_can_be_reached_by_keyboard(folder: Path, page: Page) -> None:
    for name in PAGES:
        page.open(folder / name)
        count = page.evaluate(f'document.querySelectorAll("{KEYED}").length')
        assert count > 5
        reached = []
        for _ in range(count):
            page.press("Tab")
            reached.append(page.evaluate(FOCUSED))
        assert [one["place"] for one in reached] == list(range(count)), name
        assert {one["outline"] for one in reached} == {"solid"}, "where one is can be seen"


def test_keys_open_a_hint_and_sort_the_class(folder: Path, page: Page) -> None:
    page.open(folder / "bob.html")
    page.evaluate("document.querySelector('summary').focus()")
    for state in (True, False):
        page.press("Enter", "\r")
        assert page.evaluate("document.querySelector('details').open") is state
    page.open(folder / "index.html")
    page.evaluate("document.querySelectorAll('#heat thead button')[1].focus()")
    for order in ("ascending", "descending"):
        page.press("Enter", "\r")
        found = page.evaluate("document.querySelectorAll('#heat thead th')[1].getAttribute('aria-sort')")
        assert found == order


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_texts_can_be_read_in_the_light_and_in_the_dark(
    folder: Path, page: Page, scheme: str, dark: bool
) -> None:
    for name in PAGES:
        page.open(folder / name, scheme=scheme)
        paper, contrast = page.evaluate(CONTRAST)
        assert (paper < 0.2) is dark
        assert len(contrast) >= 4
        assert all(value >= 4.5 for value in contrast.values()), contrast


def test_what_differs_is_marked_without_colour(folder: Path, page: Page) -> None:
    page.open(folder / "bob.html")
    first = "document.querySelector('.picture')"
    marked = page.evaluate(f"{first}.querySelectorAll('td.differs').length")
    signs = page.evaluate(
        f"[...{first}.querySelectorAll('tr')[1].cells].map(one => one.textContent.includes('≠'))"
    )
    assert (marked, signs) == (10, [False] * 6 + [True] * 5 + [False])
    style = f"getComputedStyle({first}.querySelector('td.differs')).borderTopStyle"
    assert page.evaluate(style) == "dashed"
    fills = f"[...{first}.querySelectorAll('rect')].map(one => one.getAttribute('fill'))"
    assert page.evaluate(fills) == ["currentColor"] * 9 + ["none"] * 9
