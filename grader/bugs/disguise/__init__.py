"""Rewrites of a copy that change how it reads and nothing that it does."""
