"""The properties of level 2, one file a criterion (or a part of one)."""
