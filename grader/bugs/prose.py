"""Edits of comments and docstrings: text that would contradict the broken code beside it.

Both are matched word by word, so that a line broken elsewhere does not matter, and filled anew.
"""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from dataclasses import dataclass
from functools import lru_cache

WIDTH = 110
"""Columns of a line, as in pyproject.toml."""


@dataclass(frozen=True)
class Comment:
    """One comment: its place in characters, and its text with the `#`."""

    line: int
    column: int
    text: str
    alone: bool
    """Whether nothing stands before it on its line."""


Found = tuple[int, int, str]
"""Where a match starts and ends, as offsets in characters, and what to put there."""


def comments_of(source: str, scope: ast.AST) -> list[Comment]:
    """Return the comments inside a function or class, or in the whole module."""
    first, last = getattr(scope, "lineno", 1), getattr(scope, "end_lineno", source.count("\n") + 1)
    return [comment for comment in all_comments(source) if first <= comment.line <= last]


@lru_cache(maxsize=16)
def all_comments(source: str) -> tuple[Comment, ...]:
    """Return the comments of a module in their order."""
    return tuple(
        Comment(token.start[0], token.start[1], token.string, not token.line[: token.start[1]].strip())
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    )


def comment_matches(source: str, scope: ast.AST, find: str, replace: str) -> list[Found]:
    """Return where the comment `find`, of one or several lines, stands, and what to put there."""
    comments, wanted = comments_of(source, scope), words_of(find)
    starts = starts_of_lines(source)
    found: list[Found] = []
    for index, first in enumerate(comments):
        block = [first]
        for later in comments[index + 1 :]:
            if words_of(*(one.text for one in block)) == wanted:
                break
            if not (first.alone and later.alone and later.line == block[-1].line + 1):
                break
            block.append(later)
        if words_of(*(one.text for one in block)) != wanted:
            continue
        last = block[-1]
        start = starts[first.line - 1] + first.column
        end = starts[last.line - 1] + last.column + len(last.text)
        if replace:
            found.append((start, end, filled_comment(replace, first.column if first.alone else 0)))
        elif first.alone:
            found.append((starts[first.line - 1], starts[last.line], ""))
        else:
            found.append((len(source[:start].rstrip(" ")), end, ""))
    return found


def filled_comment(text: str, indent: int) -> str:
    """Return a comment broken into lines that fit, the first without its indentation."""
    lines = textwrap.wrap(" ".join(words_of(text)), WIDTH - indent - 2)
    return ("\n" + " " * indent).join(f"# {line}" for line in lines)


def docstring_matches(source: str, scope: ast.AST, find: str, replace: str) -> list[Found]:
    """Return where the docstring of `scope` holds the words `find`, and its text with `replace` there."""
    body = getattr(scope, "body", [])
    if not body or not isinstance(body[0], ast.Expr) or not isinstance(body[0].value, ast.Constant):
        return []
    node = body[0].value
    if not isinstance(node.value, str):
        return []
    starts = starts_of_lines(source)
    # Columns of the tree count bytes; before a docstring there are only blanks.
    start = starts[node.lineno - 1] + node.col_offset + 3
    end = (
        starts[(node.end_lineno or 0) - 1]
        + len(source.split("\n")[(node.end_lineno or 0) - 1].encode()[: node.end_col_offset or 0].decode())
        - 3
    )
    text = source[start:end]
    pattern = re.compile(r"\s+".join(re.escape(word) for word in find.split()))
    paragraphs = list(re.finditer(r"(?:(?!\n\s*\n).)+", text.rstrip(), re.DOTALL))
    found: list[Found] = []
    for number, paragraph in enumerate(paragraphs):
        new = refilled(pattern.sub(lambda _: replace, paragraph[0]), node.col_offset, number == 0)
        left, right = paragraph.span()
        if not new.strip() and number > 0:
            left, new = paragraphs[number - 1].end(), ""
            if number == len(paragraphs) - 1 and "\n" not in text[:left]:
                right = len(text)  # one line is left, so the quotes close on it
        found += [(start + left, start + right, new)] * len(pattern.findall(paragraph[0]))
    return found


def refilled(paragraph: str, indent: int, first: bool) -> str:
    """Return a paragraph of a docstring broken into lines anew; `first` stands behind the quotes."""
    margin = " " * (indent + 3 if first else indent)
    filled = textwrap.fill(
        " ".join(paragraph.split()),
        WIDTH,
        initial_indent=margin,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.removeprefix(margin) if first else filled


def words_of(*comments: str) -> list[str]:
    """Return the words of comments, without the `#` of each line."""
    lines = [line.strip().lstrip("#") for comment in comments for line in comment.split("\n")]
    return " ".join(lines).split()


def starts_of_lines(source: str) -> list[int]:
    """Return the offset, in characters, at which each line begins, and that of the end."""
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    return offsets
