"""Simulated retinas: ganglion cells pooling rectified subunits, or a cell behind a depressing inhibitory synapse."""
