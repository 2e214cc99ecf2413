"""Grading a whole class: intake, ledger, engines, and what is made of the ledger."""
