"""The properties of level 3, one file a criterion (or a part of one)."""
