"""Windows of several stimuli that differ: grey before and after a flash is looked at once, not in every row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Distinct:
    """Different windows of several stimuli.

    movie   all stimuli, one after the other, (time, ...)
    rows    (window,) first frame of each different window in the movie, rising
    window  per stimulus (row,) number of the window that each of its rows sees
    """

    movie: np.ndarray
    rows: np.ndarray
    window: Sequence[np.ndarray]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return values of windows, (window, ...), for every row, (trial, row, ...)."""
        return np.stack([values[numbers] for numbers in self.window])


def distinct(stimuli: Sequence[np.ndarray], history: int) -> Distinct:
    """Return the different windows of stimuli of equal length and size.

    stimuli  (time, ...) each; row i of one sees its frames i to i + history - 1
    """
    frames: dict[bytes, int] = {}
    windows: dict[bytes, int] = {}
    rows, numbers, start = [], [], 0
    for stimulus in stimuli:
        plain = np.ascontiguousarray(stimulus) + 0.0  # -0 and 0 are the same grey
        ids = np.array([frames.setdefault(frame.tobytes(), len(frames)) for frame in plain])
        seen = np.lib.stride_tricks.sliding_window_view(ids, history)
        own = []
        for row, window in enumerate(seen):
            key = window.tobytes()
            if key not in windows:
                windows[key] = len(windows)
                rows.append(start + row)
            own.append(windows[key])
        numbers.append(np.array(own))
        start += len(stimulus)
    return Distinct(np.concatenate(list(stimuli)), np.array(rows), numbers)
