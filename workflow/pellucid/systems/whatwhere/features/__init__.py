"""From a recording to static images of one size, responses to them, and the folds."""
