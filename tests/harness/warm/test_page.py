"""The heat map in a real browser: it opens, sorts, moves by keys, and shows a counterexample."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from grader import levels
from grader.bugs import variant
from grader.matrix import html, report

from .made import certificate

ROOT = Path(__file__).parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


def page() -> str:
    """Return the page of a made-up certificate, with its own two properties."""
    run = report.record(certificate(), variant.sources_of(ROOT / "reference" / "nanochat"), levels.load(3))
    run["properties"] = [
        {"id": "rotary.one", "criterion": "rotary", "title": "Pairs turn."},
        {"id": "cache.two", "criterion": "cache", "title": "Nothing is lost."},
    ]
    return html.page(run)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = page()
    assert not re.findall(r"(?:src|href|url)\s*[=(]", text)
    assert "http" not in text
    assert text.count("</script>") == 2, "what a bug says must not end the data"
    assert "prefers-color-scheme: dark" in text


def dom_after(script: str, folder: Path) -> str:
    """Return the document after a script has run in it."""
    file = folder / "matrix.html"
    file.write_text(page().replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder}/profile",
    ]
    done = subprocess.run(
        [*command, "--virtual-time-budget=2000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def order(dom: str) -> list[str]:
    """Return the bugs in the order of the rows."""
    return re.findall(r'<tr data-bug="([^"]+)"', dom)


def panel(dom: str) -> str:
    """Return what is shown of the chosen cell."""
    found = re.search(r'<section id="cell".*?</section>', dom, re.DOTALL)
    assert found
    return found[0]


@browser
def test_it_opens(tmp_path: Path) -> None:
    dom = dom_after("", tmp_path)
    assert "Kill matrix of level 3" in dom
    assert order(dom) == ["turns-wrong", "cache-crash", "quiet"]
    assert dom.count('role="gridcell"') == 6
    assert dom.count('data-kind="law broken" data-law="rotary.one"') == 1
    assert "Choose a cell." in panel(dom)


@browser
def test_it_sorts_by_a_property_and_by_name(tmp_path: Path) -> None:
    dom = dom_after("document.querySelectorAll('th.law button')[1].click()", tmp_path)
    assert order(dom)[0] == "cache-crash"
    assert 'aria-sort="descending"' in dom
    script = "const s = document.getElementById('rows'); s.value = 'id'; s.dispatchEvent(new Event('change'))"
    assert order(dom_after(script, tmp_path)) == ["cache-crash", "quiet", "turns-wrong"]


@browser
def test_a_cell_shows_its_counterexample(tmp_path: Path) -> None:
    shown = panel(dom_after("document.querySelector('tr[data-bug=\"turns-wrong\"] td').click()", tmp_path))
    assert "turns-wrong \u00d7 rotary.one: law broken" in shown
    assert "got &lt;b&gt;1&lt;/b&gt;, want 2" in shown
    assert "<dt>x</dt><dd>&lt;/script&gt;</dd>" in shown


@browser
def test_keys_move_from_cell_to_cell(tmp_path: Path) -> None:
    script = (
        "const press = key => document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', {key, bubbles: true}));"
        "document.querySelector('#body td').focus(); press('ArrowRight'); press('ArrowDown')"
    )
    shown = panel(dom_after(script, tmp_path))
    assert "cache-crash \u00d7 cache.two: raised" in shown
    assert "<dt>n</dt><dd>3</dd>" in shown


@browser
def test_a_refusal_is_shown(tmp_path: Path) -> None:
    shown = panel(dom_after("document.querySelector('tr[data-bug=\"quiet\"] td').click()", tmp_path))
    assert "no property notices it" in shown
