"""The command that runs one property of a report again."""

from __future__ import annotations

import shlex

from grader.report import Report

DEFAULTS = {
    "isolation": {"strict", "medium", "basic"},  # the strongest that works where it runs
    "device": {"cpu"},
    "dtype": {"float32"},
}
"""What `grader run` takes when not told, and a command need not say."""


def again(report: Report, level: int, property_id: str) -> str:
    """Return a command that draws the same inputs for the same property of the same submission."""
    words = ["grader", "run", "--level", str(level), "--submission", report.submission]
    words += ["--only", property_id, "--seed", str(report.seed)]
    for name, usual in DEFAULTS.items():
        if getattr(report, name) not in usual:
            words += [f"--{name}", getattr(report, name)]
    return shlex.join(words)
