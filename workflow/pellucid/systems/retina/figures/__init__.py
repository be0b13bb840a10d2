"""Figures of retina: scores, filters, phenomena with their circuits, and checks."""
