"""Everything in batches, by threads."""
