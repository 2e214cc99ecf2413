"""Training."""

from __future__ import annotations

from nanochat.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["load_checkpoint", "save_checkpoint"]
