"""Interpretable deep learning on neural recordings, as a reproducible pipeline."""

__version__ = "0.1.0"
