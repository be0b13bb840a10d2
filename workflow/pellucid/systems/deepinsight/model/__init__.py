"""The shared-weight network, its baselines, their training and evaluation."""
