"""The properties of level 1, one module or more for each criterion."""
