"""A system of a few lines, to prove that others can move in."""
