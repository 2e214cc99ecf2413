"""The properties of level 2."""
