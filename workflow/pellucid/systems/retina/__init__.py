"""Retina: the few interneurons of a fitted network behind each response (Tanaka 2019, Maheswaranathan et al. 2023)."""
