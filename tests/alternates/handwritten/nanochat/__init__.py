"""Byte pairs and data in plain Python, without a package."""
