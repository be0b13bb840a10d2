"""Fitting shared by the systems: the training loop, metrics and baselines."""
