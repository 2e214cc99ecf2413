"""The catalogue of bugs, and the code that puts them into a copy of the reference."""
