"""Simulated mice on a treadmill: calcium of 50 ROIs or movies of the cortex, and confounds with the same behaviour."""
