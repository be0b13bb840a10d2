"""Preprocessing shared by the systems: wavelets, splits and the alignment of clocks."""
