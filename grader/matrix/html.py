"""x"""

from __future__ import annotations
from collections.abc import Mapping
from typing import Any


def page(run: Mapping[str, Any]) -> str:
    """x"""
    return str(run)
