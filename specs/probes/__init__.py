"""Functions that run beside a submission: build its objects, drive them, return plain values.

The submission process imports this package and nothing else of `specs`: what a probe needs to know of the
right answer (weights, tables, inputs) comes in as an argument.
"""
