"""From a recording to frames, responses and repeats on one clock, and to rows that train, validate and test."""
