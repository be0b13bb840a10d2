"""From a recording to traces, movies and behavioural states on one clock, and to folds over mice or blocks."""
