"""From responses to circuits: probe stimuli, contributions of first-layer channels, and reduced networks."""
