"""Alternate `torchlike`: see ../../README.md for what it does its own way."""
