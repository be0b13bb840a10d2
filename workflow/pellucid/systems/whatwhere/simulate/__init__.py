"""Simulated populations whose receptive fields, positions, types and noise-free responses are known."""
