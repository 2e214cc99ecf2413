"""Comments and docstrings are edited word by word, wherever their lines break."""

from __future__ import annotations

import ast

import pytest

from grader.bugs.pattern import Edit, PatternError, replaced

SOURCE = '''\
# A comment of the module: é.
def f(x):
    """Return x, twice.

    The first sentence of a paragraph that says something about é and 猫. The second sentence is long enough
    to go over the end of its line.

    Raises nothing.
    """
    # Two lines that belong
    # together: é.
    x = x + x  # twice
    return x


def g(x):
    """Return x.

    Only this.
    """
    return x
'''


def prose(scope: str, find: str, replace: str) -> str:
    """Return the source with one edit of prose."""
    changed = replaced(SOURCE, [Edit("module.py", scope, (find,), replace, prose=True)])
    ast.parse(changed)
    assert changed.count('"""') == 4
    return changed


def test_a_sentence_goes_and_its_paragraph_is_filled_anew() -> None:
    changed = prose("f", "The second sentence is long enough to go over the end of its line.", "")
    assert (
        "    The first sentence of a paragraph that says something about é and 猫.\n\n    Raises" in changed
    )


def test_a_sentence_is_replaced_in_the_first_line() -> None:
    assert '    """Return x, three times, at least.\n\n' in prose("f", "twice.", "three times, at least.")


def test_a_paragraph_goes_with_its_blank_line() -> None:
    assert 'of its line.\n    """\n' in prose("f", "Raises nothing.", "")


def test_quotes_close_on_the_only_line() -> None:
    assert '    """Return x."""\n    return x\n' in prose("g", "Only this.", "")


def test_a_long_paragraph_stays_within_the_width() -> None:
    changed = prose("g", "Only this.", "word " * 60)
    assert max(map(len, changed.splitlines())) <= 110


def test_a_comment_is_replaced_or_goes_with_its_line() -> None:
    assert "    # One line.\n    x = x" in prose(
        "f", "# Two lines that\n# belong together: é.", "# One line."
    )
    assert '    """\n    x = x + x' in prose("f", "# Two lines that belong together: é.", "")
    assert "    x = x + x\n" in prose("f", "# twice", "")
    assert "    x = x + x  # again\n" in prose("f", "# twice", "# again")
    assert prose("<module>", "# A comment of the module: é.", "").startswith("def f")


@pytest.mark.parametrize(
    ("scope", "find"),
    [
        ("g", "# twice"),
        ("f", "# Two lines"),
        ("f", "# three"),
        ("f", "Nothing."),
        ("<module>", "x"),
    ],
)
def test_prose_that_is_not_there_is_refused(scope: str, find: str) -> None:
    with pytest.raises(PatternError, match="must match 1 times"):
        prose(scope, find, "")
