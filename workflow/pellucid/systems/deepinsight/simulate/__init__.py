"""Simulated recordings whose informative bands and channels are known."""
