"""The network: shared core, readout, output; comparators; fitting and scores."""
