"""Simulated recordings whose kernels, events and amplitudes are known."""
