"""A signal whose missing samples are interpolated while it is read, whichever way it is cut.

One pass finds, for short pieces of the signal, the first and the last known sample of each column. Any later read needs
the pieces it touches and this table only, so gaps of any length cost no memory.
"""

from collections.abc import Callable

import numpy as np

Read = Callable[[int, int], np.ndarray]
Lost = Callable[[int, np.ndarray], np.ndarray]


class Filled:
    """A signal read piece by piece, its missing samples interpolated linearly in time; the ends are held.

    share  (row,) float32 share of samples, over time and columns, that are missing in each row
    known  (column,) whether a column has any known sample
    """

    def __init__(self, read: Read, lost: Lost, borders: np.ndarray, samples: int, piece: int) -> None:
        """Read the whole signal once.

        read     read(start, stop) gives samples [start, stop) as (time, ...)
        lost     lost(start, samples) tells which of the samples from number `start` on are missing, in their shape
        borders  (row + 1,) numbers of the samples that rows begin with, and that after the last
        samples  length of the signal
        piece    samples read at once
        """
        self._read, self._lost, self._samples, self._piece = read, lost, samples, piece
        starts = range(0, samples, piece)
        shape = (len(starts), int(np.prod(read(0, 1).shape[1:])))
        self._first, self._last = np.full(shape, samples), np.full(shape, -1)
        self._opening, self._closing = np.zeros(shape), np.zeros(shape)
        missing = np.zeros(len(borders) - 1)
        for number, start in enumerate(starts):
            part, gone = self._part(start, min(start + piece, samples))
            self._note(number, start, part, ~gone)
            row = np.searchsorted(borders, start + np.arange(len(part)), side="right") - 1
            inside = row < len(missing)
            count = np.bincount(row[inside] - row[0], gone[inside].sum(axis=1))
            missing[row[0] : row[0] + len(count)] += count
        self.share = (missing / (np.diff(borders) * shape[1])).astype(np.float32)
        self.known = np.asarray((self._last >= 0).any(axis=0))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples [start, stop) as float32, or float64 where the signal needs it, (time, ...)."""
        first = start // self._piece
        after = -(-stop // self._piece)
        lower, upper = first * self._piece, min(after * self._piece, self._samples)
        part, gone = self._part(lower, upper)
        filled = part.astype(np.result_type(part.dtype, np.float32))
        times, columns = np.nonzero(gone)
        order = np.argsort(columns, kind="stable")
        borders = np.cumsum(np.bincount(columns, minlength=gone.shape[1]))[:-1]
        for column, missing in enumerate(np.split(times[order], borders)):
            if not len(missing):
                continue
            beside = np.union1d(missing - 1, missing + 1)
            beside = beside[(beside >= 0) & (beside < len(gone))]
            beside = beside[~gone[beside, column]]
            before, behind = self._before(first, column), self._behind(after, column)
            at = np.concatenate([before[0], lower + beside, behind[0]])
            value = np.concatenate([before[1], part[beside, column].astype(float), behind[1]])
            filled[missing, column] = np.interp(lower + missing, at, value)
        return filled[start - lower : stop - lower].reshape(stop - start, *self._shape)

    def _part(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return samples and which of them are missing, both (time, column)."""
        part = self._read(start, stop)
        self._shape = part.shape[1:]
        gone = self._lost(start, part)
        return part.reshape(len(part), -1), gone.reshape(len(part), -1)

    def _note(self, piece: int, start: int, part: np.ndarray, known: np.ndarray) -> None:
        """Note number and value of the first and last known sample of each column of a piece."""
        columns = np.flatnonzero(known.any(axis=0))
        first = known[:, columns].argmax(axis=0)
        last = len(known) - 1 - known[::-1, columns].argmax(axis=0)
        self._first[piece, columns], self._last[piece, columns] = start + first, start + last
        self._opening[piece, columns], self._closing[piece, columns] = part[first, columns], part[last, columns]

    def _before(self, piece: int, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Return number and value of the last known sample before a piece, none or one."""
        found = np.flatnonzero(self._last[:piece, column] >= 0)[-1:]
        return self._last[found, column], self._closing[found, column]

    def _behind(self, piece: int, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Return number and value of the first known sample from a piece on, none or one."""
        found = piece + np.flatnonzero(self._first[piece:, column] < self._samples)[:1]
        return self._first[found, column], self._opening[found, column]
