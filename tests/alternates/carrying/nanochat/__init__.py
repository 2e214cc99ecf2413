"""Merges in the form of GPT-2, and states that are carried from step to step."""
