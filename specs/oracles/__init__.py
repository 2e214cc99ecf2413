"""Slow, obvious, independent answers in NumPy float64 or plain Python."""
