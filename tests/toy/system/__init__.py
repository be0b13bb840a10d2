"""A system of some sixty lines, to prove that others can move in."""
