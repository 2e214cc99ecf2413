"""A certificate as a page of its own: bugs by properties, sortable, each cell with its counterexample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grader.matrix.outcome import KINDS

TEMPLATE = Path(__file__).parent / "heatmap.html"


def page(run: Mapping[str, Any]) -> str:
    """Return the page for a record of `report.record`. It needs nothing but a browser."""
    text = json.dumps(data(run), ensure_ascii=False)
    # Nothing in the data may end the element that holds it.
    return TEMPLATE.read_text(encoding="utf-8").replace("@DATA@", text.replace("<", "\\u003c"))


def data(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows; a cell that passed is left out."""
    seconds = {cell["law"]: cell["seconds"] for cell in run["reference"]["cells"]}
    repeated = run["repeated"]
    return {
        "level": run["level"],
        "kinds": list(KINDS),
        "summary": f"Seed {run['seed']}. {len(run['bugs'])} bugs by {len(run['properties'])} properties; "
        f"{len(run['correct'])} correct programs judged; {len(repeated)} rows repeated in fresh processes, "
        f"{sum(map(len, repeated.values()))} cells of them differ; {len(run['refused'])} refusals.",
        "properties": [{**law, "seconds": seconds.get(law["id"], 0.0)} for law in run["properties"]],
        "bugs": [
            {
                **{name: bug[name] for name in ("id", "criterion", "title", "difficulty", "refused")},
                "cells": {
                    cell["law"]: {name: cell[name] for name in ("kind", "message", "counterexample")}
                    for cell in bug["row"]["cells"]
                    if cell["kind"] != "passed"
                },
            }
            for bug in run["bugs"]
        ],
    }
