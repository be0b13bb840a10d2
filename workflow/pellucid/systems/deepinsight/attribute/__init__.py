"""Influence of bands and channels by shuffling them at test time."""
