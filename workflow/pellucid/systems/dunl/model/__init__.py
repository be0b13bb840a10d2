"""The generative model, its encoder, its baselines, their training and evaluation."""
