"""Alternate `functional`: see ../../README.md for what it does its own way."""
