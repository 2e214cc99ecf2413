"""Pages for a browser, from templates in which everything is escaped unless a template says otherwise."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent / "templates"


@functools.cache
def environment() -> Environment:
    """Return the templates."""
    found = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["points"] = lambda points: f"{points:g}"
    return found


def rendered(template: str, **values: Any) -> str:
    """Return a page."""
    return environment().get_template(template).render(**values)
