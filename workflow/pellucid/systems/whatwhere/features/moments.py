"""Mean and s.d. of values that come block by block."""

import numpy as np


class Moments:
    """Mean and s.d. per element, NaN ignored: sums of distances from its first value, so that constants give 0."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """shape: of one row."""
        self.count = np.zeros(shape, np.int64)
        self._first = np.full(shape, np.nan)
        self._total, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, rows: np.ndarray) -> None:
        """Add rows, shape (row, ...), float64."""
        if not len(rows):
            return
        known = ~np.isnan(rows)
        leading = np.take_along_axis(rows, known.argmax(axis=0)[None], axis=0)[0]
        self._first = np.where(np.isnan(self._first), leading, self._first)
        distance = np.where(known, rows - self._first, 0.0)
        self.count += known.sum(axis=0)
        self._total += distance.sum(axis=0)
        self._squares += (distance**2).sum(axis=0)

    @property
    def mean(self) -> np.ndarray:
        """Mean of each element, NaN where there was no value."""
        return np.asarray(self._first + self._total / np.maximum(self.count, 1))

    @property
    def sd(self) -> np.ndarray:
        """S.d. of each element, divided by the number of values; NaN where there was none."""
        off = self._total / np.maximum(self.count, 1)
        variance = np.maximum(self._squares / np.maximum(self.count, 1) - off**2, 0.0)
        return np.where(self.count > 0, np.sqrt(variance), np.nan)
