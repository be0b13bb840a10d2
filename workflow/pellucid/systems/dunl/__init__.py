"""DUNL: deconvolve single trials into recurring kernels and sparse codes (Tolooshams et al. 2025)."""
