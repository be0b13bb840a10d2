"""Decoders of behavioural state from windows of traces or of a movie: networks, fitting and scores."""
