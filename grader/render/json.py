"""The record, for machines."""

from __future__ import annotations

import json

from grader.report import Report


def render(report: Report) -> str:
    """Return the report as one JSON document, in ASCII, so that it survives any terminal or pipe."""
    return json.dumps(report.to_record(), indent=2, allow_nan=False) + "\n"
