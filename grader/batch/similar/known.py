"""What was handed out: the reference, every form of every bug, and what a disguise may make of them.

What two students share because both were given it says nothing, so it is taken away before anything is
compared. That is done statement by statement, because a copy of one student's may hold any set of the bugs,
and any choice of other spellings; the sets are endless, and the statements are not.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from grader.batch.key import hash_of_files
from grader.batch.similar.lex import KEYWORDS, Statement, Token, read, without_fields
from grader.bugs import catalogue, variant
from grader.bugs.disguise import branches, disguised
from grader.bugs.disguise.apply import rewritten
from grader.bugs.disguise.module import Module
from grader.bugs.disguise.names import FORMS
from grader.bugs.disguise.synonyms import PHRASES, REMARKS, SYNONYMS

SHORT = 4
"""Statements of fewer tokens are everybody's: `return x`, `else:`."""

GRAM = 10
"""Tokens of code of which nobody says that they are their own where they were handed out together."""

SHINGLE = 5
"""Words that stand together in prose."""

SPELLINGS = 6
"""Disguises of the reference whose statements are known, on top of what `bag` takes as the same."""

FOLDED = {">": "<", ">=": "<=", "!=": "==", "size": "shape"}
DROPPED = frozenset("()[]{},:") | {"not"}
"""A disguise turns comparisons and conditions round and writes sizes, lists and keywords otherwise."""


@dataclass(frozen=True)
class Known:
    """What everybody may have."""

    library: frozenset[str]
    """Names that the reference uses and does not bind, its attributes with a dot before them: they mean the
    same in every submission."""
    given: frozenset[str]
    """Names of local variables in the reference, or that a disguise may give one."""
    bags: frozenset[str]
    """Statements, as far as a disguise leaves them alone."""
    grams: frozenset[str]
    """Every `GRAM` tokens that stand together in a statement, with their names."""
    shingles: frozenset[str]
    """Every `SHINGLE` words that stand together in a comment or string."""

    def shape(self, token: Token) -> str:
        """Return a token with every name that a submission may choose replaced."""
        match token.kind:
            case "name":
                return token.text if token.text in self.library else "N"
            case "attribute":
                return token.text if f".{token.text}" in self.library else "N"
            case "string":
                return "S"
        return token.text

    def named(self, token: Token) -> str:
        """Return a token with its name, unless that may have been handed out."""
        if token.kind == "name" and token.text in self.given:
            return "N"
        return without_fields(token.text) if token.kind == "string" else token.text

    def has(self, statement: Statement) -> bool:
        """Say whether a statement may have been handed out."""
        return len(statement.tokens) < SHORT or bag(map(self.shape, statement.tokens)) in self.bags


def version() -> str:
    """Return the hash of all that says what was handed out and what a fingerprint is.

    Fingerprints are compared only where it is the same. "" where the grader has no reference to begin with.
    """
    if not catalogue.REFERENCE.is_dir():
        return ""
    made_from = [*catalogue.REFERENCE.glob("*.py"), *catalogue.FOLDER.glob("level*/*.toml")]
    made_by = [*catalogue.FOLDER.glob("*.py"), *(catalogue.FOLDER / "disguise").glob("*.py")]
    return hash_of_files([*made_from, *made_by, *Path(__file__).parent.glob("*.py")])


@functools.cache
def known() -> Known:
    """Return what was handed out. Made once in a process, in some ten seconds."""
    reference = variant.sources_of(catalogue.REFERENCE)
    # Of all levels: a copy may hold bugs of several (`--level all`), whichever of them is graded now.
    numbers = sorted(int(path.name.removeprefix("level")) for path in catalogue.FOLDER.glob("level[0-9]*"))
    bugs = [bug for number in numbers for bug in catalogue.load(number)]
    return of(reference, list(texts(reference, bugs)))


def texts(reference: dict[str, str], bugs: Iterable[catalogue.Bug]) -> Iterable[str]:
    """Yield every module that a copy may hold: the reference's, with each form of each bug, disguised."""
    yield from reference.values()
    for bug in bugs:
        for form in bug.instances():
            changed = variant.with_bugs(reference, [form])
            yield from (text for name, text in changed.items() if text != reference[name])
    for number in range(SPELLINGS):
        yield from disguised(reference, f"known {number}", ("spelling", "prose")).values()
        for text in reference.values():
            module = Module(text)
            yield rewritten(module, branches.find(module, ""), f"known {number}", 1.0)


def of(reference: dict[str, str], handed_out: list[str]) -> Known:
    """Return what is known from the reference's modules and from every text that was handed out."""
    read_once = functools.cache(read)
    library, local = names_of(reference.values())
    synonyms = {one for every in SYNONYMS.values() for one in every}
    forms = {form.format(name) for form in FORMS for name in local}
    given = frozenset(local | synonyms | forms | set(SYNONYMS))
    bare = Known(library, given, frozenset(), frozenset(), frozenset())
    pages = [read_once(part) for text in handed_out for part in parts(text)]
    found = {one for page in pages for one in page.statements}
    bags = frozenset(bag(map(bare.shape, one.tokens)) for one in found)
    grams = frozenset(one for each in found for one in runs_of(list(map(bare.named, tokens_of(each))), GRAM))
    said = {one.text for page in pages for one in page.prose} | {
        one for many in REMARKS.values() for one in many
    }
    shingles = frozenset(one for text in said for one in runs_of(words(text), SHINGLE))
    return Known(library, given, bags, grams, shingles)


def parts(text: str) -> list[str]:
    """Return a module in parts, one for each function or class: a bug changes one, the rest is read once."""
    return re.split(r"^(?=(?:@|class |def ))", text, flags=re.MULTILINE)


def names_of(modules: Iterable[str]) -> tuple[frozenset[str], set[str]]:
    """Return the names that the reference uses and never binds, and those that are local variables of it."""
    used: set[str] = set()
    local: set[str] = set()
    fixed: set[str] = set()
    for node in (node for text in modules for node in ast.walk(ast.parse(text))):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                local.add(name)
            case ast.Attribute(attr=name, ctx=ast.Load()):
                used.add(f".{name}")
            case ast.Attribute(attr=name):
                fixed.add(f".{name}")
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                fixed |= {name, f".{name}"}
    return frozenset((used | KEYWORDS | set(dir(builtins))) - local - fixed), local


def bag(tokens: Iterable[str]) -> str:
    """Return the tokens of a statement in no order, as far as a disguise leaves them alone."""
    found: list[str] = []
    for text in tokens:
        if len(text) == 2 and text[1] == "=" and text[0] in "+-*/%":
            found += ["N", "=", text[0]]  # x += 1 for x = x + 1
        elif text not in DROPPED:
            found.append(FOLDED.get(text, text))
    return " ".join(sorted(found))


def words(text: str) -> list[str]:
    """Return the words of a comment or string, those that a disguise may say otherwise always one way."""
    for one, other in PHRASES:
        if one in text:
            text = text.replace(one, other)
    return re.findall(r"\w+", text.lower())


def runs_of(texts: Sequence[str], length: int) -> list[str]:
    """Return every run of so many tokens or words as one text, or all of them where there are fewer."""
    return [" ".join(texts[i : i + length]) for i in range(max(1, len(texts) - length + 1))]


def tokens_of(one: Statement) -> list[Token]:
    """Return the tokens of a statement without the commas that a formatter puts before a bracket."""
    return [
        token
        for token, after in pairwise([*one.tokens, one.tokens[-1]])
        if not (token.text == "," and after.text in (")", "]", "}"))
    ]
