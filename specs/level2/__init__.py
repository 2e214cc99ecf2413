"""The properties of level 2, one module or more for each criterion."""
