"""Alternate `grouping`: see ../../README.md for what it does its own way."""
