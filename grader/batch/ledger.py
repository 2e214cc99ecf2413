"""The ledger of a class: what was handed in, and what came of each grading, in one SQLite file.

Theory of operation. One process writes (`lock`), and each finished grading is one transaction: its record and
its rows of properties, or its fault. Killed at any moment, the file holds every grading that was finished and
nothing of any other; the next start grades what has no result under its key.

A result is kept under the hash of all that it depends on (`key.py`), so students who handed in the same share
one, and a result of an older specification stays where it is. `wanted` says which key a student's level has
now. A fault of the grader stands apart from results: it is no verdict, and is tried again.

The journal is a rollback journal and not a write-ahead log: shards write to shared file systems, where
a log's shared memory does not work, and one file can be copied when nobody writes. Each transaction is synced
to the disk with its folder (`synchronous = EXTRA`); that costs some milliseconds a submission of seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from grader.batch.intake import Taken
from grader.batch.key import Setting
from grader.report import LevelReport, Report
from grader.run import UsageError

SCHEMA_VERSION = 2
FILE = "ledger.sqlite"
TREES = "trees"

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS student (
    student TEXT PRIMARY KEY, source TEXT NOT NULL, tree TEXT NOT NULL, refused TEXT NOT NULL,
    fault TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS wanted (
    student TEXT NOT NULL, level INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (student, level)
);
CREATE TABLE IF NOT EXISTS level (level INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS result (
    key TEXT PRIMARY KEY, tree TEXT NOT NULL, level INTEGER NOT NULL, specification TEXT NOT NULL,
    seed INTEGER NOT NULL, environment TEXT NOT NULL, grader TEXT NOT NULL, points REAL NOT NULL,
    max_points REAL NOT NULL, record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS property (
    key TEXT NOT NULL REFERENCES result (key), tree TEXT NOT NULL, level INTEGER NOT NULL,
    criterion TEXT NOT NULL, property TEXT NOT NULL, verdict TEXT NOT NULL, counts INTEGER NOT NULL,
    PRIMARY KEY (key, property)
);
CREATE TABLE IF NOT EXISTS fault (
    key TEXT PRIMARY KEY, tree TEXT NOT NULL, level INTEGER NOT NULL, message TEXT NOT NULL,
    times INTEGER NOT NULL
);
"""

# Not in the schema's version: a ledger without it is one of a class that was never compared.
PRINTS = """
CREATE TABLE IF NOT EXISTS print (
    tree TEXT NOT NULL, version TEXT NOT NULL, own BLOB NOT NULL, PRIMARY KEY (tree, version)
)
"""

TABLES = ("student", "wanted", "level", "result", "property", "fault", "print")


@dataclass(frozen=True)
class Wanted:
    """A grading that a student's level needs."""

    student: str
    level: int
    key: str


class Ledger:
    """The ledger in a folder of results. Every method that changes it is one transaction."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Open the ledger of a folder of results; UsageError if there is none and none is to be made."""
        self.folder = folder
        self.trees = folder / TREES
        file = folder / FILE
        if create:
            self.trees.mkdir(parents=True, exist_ok=True)
        elif not file.is_file():
            raise UsageError(
                f"{folder}: there are no results here ({FILE} is missing); make them with `grader batch`"
            )
        # Transactions begin where they are written: no driver opens one by itself.
        self._database = sqlite3.connect(file, isolation_level=None, timeout=30)
        try:
            self._open(create=create)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise UsageError(f"{file}: cannot be read as a ledger: {error}") from error
        except UsageError:
            self._database.close()
            raise

    def _open(self, *, create: bool) -> None:
        self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.execute("PRAGMA synchronous = EXTRA")
        names = {
            name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if create and not names:
            with self.transaction():
                for statement in SCHEMA.split(";"):
                    self._database.execute(statement)
                self._database.execute(
                    "INSERT INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),)
                )
        elif "meta" not in names:
            raise UsageError(f"{self.folder / FILE}: this is no ledger of grader")
        found = self._database.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
        if found is None or found[0] != str(SCHEMA_VERSION):
            raise UsageError(
                f"{self.folder / FILE}: schema_version is {found and found[0]}, want {SCHEMA_VERSION}: it "
                "was written by another version of grader; read it with that one, or grade the class again "
                "with `grader batch`, into a new folder"
            )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of it or nothing; durable when it returns."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def enrol(
        self,
        taken: Iterable[Taken],
        levels: Iterable[LevelReport],
        wanted: Iterable[Wanted],
        conditions: Mapping[str, Any],
    ) -> None:
        """Record what was handed in, which results that needs, and how they are graded.

        `levels` are empty reports of the levels: what there is to earn, also where nobody could be graded.
        """
        with self.transaction():
            self.set_conditions(conditions)
            for one in taken:
                # What was wanted of other files is wanted no more, also of levels that are not graded now.
                self._database.execute(
                    "DELETE FROM wanted WHERE student = ?1 AND "
                    "NOT EXISTS (SELECT 1 FROM student WHERE student = ?1 AND tree = ?2)",
                    (one.student, one.tree),
                )
                self._database.execute(
                    "INSERT OR REPLACE INTO student VALUES (?, ?, ?, ?, ?)",
                    (one.student, one.source, one.tree, one.refused, one.fault),
                )
            for level in levels:
                record = json.dumps(asdict(level), sort_keys=True)
                self._database.execute("INSERT OR REPLACE INTO level VALUES (?, ?)", (level.level, record))
            for need in wanted:
                self._database.execute(
                    "INSERT OR REPLACE INTO wanted VALUES (?, ?, ?)", (need.student, need.level, need.key)
                )

    def finish(self, key: str, tree: str, setting: Setting, report: Report) -> None:
        """Record the report of one submission and level; a fault under its key is forgotten."""
        (level,) = report.levels
        record = json.dumps(report.to_record(), sort_keys=True, allow_nan=False)
        with self.transaction():
            self._database.execute("DELETE FROM fault WHERE key = ?", (key,))
            self._database.execute("DELETE FROM property WHERE key = ?", (key,))
            self._database.execute("DELETE FROM result WHERE key = ?", (key,))
            self._database.execute(
                "INSERT INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(key, tree, level.level),
                    *(setting.specification, setting.seed, setting.environment, setting.grader),
                    *(level.points, level.max_points, record),
                ),
            )
            self._database.executemany(
                "INSERT INTO property VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (key, tree, level.level, criterion.id, one.id, one.verdict, int(not one.counts_with))
                    for criterion in level.criteria
                    for one in criterion.properties
                ],
            )

    def fail(self, key: str, tree: str, level: int, message: str) -> None:
        """Record that the grader failed over a submission: no verdict, to be tried again."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO fault VALUES (?, ?, ?, ?, 1) "
                "ON CONFLICT (key) DO UPDATE SET message = excluded.message, times = times + 1",
                (key, tree, level, message),
            )

    def conditions(self) -> dict[str, Any] | None:
        """Return how the class was graded last; None if it was not."""
        found = self._database.execute("SELECT value FROM meta WHERE name = 'conditions'").fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def set_conditions(self, conditions: Mapping[str, Any]) -> None:
        """Record how the class is graded; call it within a transaction."""
        text = json.dumps(dict(conditions), sort_keys=True)
        self._database.execute("INSERT OR REPLACE INTO meta VALUES ('conditions', ?)", (text,))

    def has(self, key: str) -> bool:
        """Say whether there is a result under a key."""
        return self._database.execute("SELECT 1 FROM result WHERE key = ?", (key,)).fetchone() is not None

    def report(self, key: str) -> Report | None:
        """Return the report under a key, None if there is none."""
        found = self._database.execute("SELECT record FROM result WHERE key = ?", (key,)).fetchone()
        return None if found is None else Report.from_record(json.loads(found[0]))

    def fault(self, key: str) -> str:
        """Return how the grader failed over a key, "" if it did not."""
        found = self._database.execute("SELECT message FROM fault WHERE key = ?", (key,)).fetchone()
        return "" if found is None else str(found[0])

    def students(self) -> list[Taken]:
        """Return what was handed in, by student."""
        return [Taken(*row) for row in self._database.execute("SELECT * FROM student ORDER BY student")]

    def wanted(self, student: str) -> list[Wanted]:
        """Return the results that a student's levels need, by level."""
        rows = self._database.execute(
            "SELECT student, level, key FROM wanted WHERE student = ? ORDER BY level", (student,)
        )
        return [Wanted(*row) for row in rows]

    def levels(self) -> list[LevelReport]:
        """Return the empty reports of all levels that were asked for."""
        rows = self._database.execute("SELECT record FROM level ORDER BY level")
        return [level_report(json.loads(record)) for (record,) in rows]

    def prints_version(self) -> str:
        """Return the version of the fingerprints that were made last, "" if there are none."""
        found = self._database.execute("SELECT value FROM meta WHERE name = 'prints'").fetchone()
        return "" if found is None else str(found[0])

    def prints(self, version: str) -> dict[str, bytes]:
        """Return the fingerprints of a version by tree, packed."""
        return {tree: own for tree, of, own in self.rows("print") if of == version}

    def put_prints(self, version: str, packed: Mapping[str, bytes]) -> None:
        """Record fingerprints by tree; their version is the one that reports read from now on."""
        with self.transaction():
            self.set_prints_version(version)
            self.put("print", ((tree, version, own) for tree, own in packed.items()))

    def set_prints_version(self, version: str) -> None:
        """Say which fingerprints reports read; call it within a transaction."""
        self._database.execute(PRINTS)
        self._database.execute("INSERT OR REPLACE INTO meta VALUES ('prints', ?)", (version,))

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return all rows of a table, sorted: what two ledgers are compared and merged by."""
        assert table in TABLES
        if table == "print" and not self.prints_version():
            return []
        return sorted(self._database.execute(f"SELECT * FROM {table}"))

    def put(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows of another ledger to a table; call it within a transaction."""
        assert table in TABLES
        for row in rows:
            marks = ", ".join("?" * len(row))
            self._database.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)


def level_report(record: Mapping[str, Any]) -> LevelReport:
    """Return the report of one level that `asdict` made into a record."""
    shell = Report("", 0, "", "", "", (), 0.0).to_record()
    return Report.from_record({**shell, "levels": [record]}).levels[0]


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Be the only one that writes to a folder of results. Raises UsageError if somebody else does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"{folder}: another grader is at work here; wait for it, or give another --out"
            ) from None
        yield
