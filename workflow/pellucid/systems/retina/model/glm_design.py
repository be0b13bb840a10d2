"""What a GLM sees on each row: the stimulus and the past of all cells, through raised cosines."""

from dataclasses import dataclass

import numpy as np

from pellucid.errors import ConfigError
from pellucid.systems.retina.model.filters import SAMPLES

MEMORY = 4 << 30
"""Most bytes of filtered stimulus."""

_BLOCK = 1 << 22


@dataclass(frozen=True)
class Task:
    """What the designs of all cells are made from.

    frames     (time, pixel) standardised
    counts     (time, neuron) spikes per bin, NaN where unknown
    over_lags  (function, lag) of the stimulus, oldest frame first
    past       (function, bin) of spike history, newest bin first
    lag        bins from the newest frame seen to the response
    coupling   whether cells see each other's past
    """

    frames: np.ndarray
    counts: np.ndarray
    over_lags: np.ndarray
    past: np.ndarray
    lag: int
    coupling: bool

    @property
    def neurons(self) -> int:
        """Number of cells."""
        return int(self.counts.shape[1])


@dataclass(frozen=True)
class Design:
    """What some cells see on some rows.

    seen    (row, column) float32: stimulus (component, function), past (neuron, function), 1
    split   number of columns of the stimulus
    counts  (row, cell) float32, 0 where unknown
    known   (row, cell) float32, 1 where response and past are known, else 0
    free    (column, cell) bool, whether the cell uses the column
    """

    seen: np.ndarray
    split: int
    counts: np.ndarray
    known: np.ndarray
    free: np.ndarray


def components(task: Task, rows: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return the principal components of a window's pixels, (pixel, component), orthonormal, from frames of rows."""
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLES)).astype(int)] - task.lag
    seen = task.frames[chosen][:, window]
    return np.asarray(np.linalg.eigh((seen.T @ seen).astype(float))[1])


def design(task: Task, rows: np.ndarray, cells: np.ndarray, window: np.ndarray, turn: np.ndarray) -> Design:
    """Return what the cells that share a window see.

    rows    (row,)
    cells   (cell,) numbers of the cells
    window  (pixel,) bool
    turn    (pixel, component) orthonormal, in which pixels are seen: uncorrelated, for few steps of a fit
    Raises ConfigError if it would not fit into memory.
    """
    functions, neurons = len(task.past), task.neurons
    split = int(window.sum()) * len(task.over_lags)
    columns = split + neurons * functions + 1
    if len(rows) * columns * 4 > MEMORY:
        raise ConfigError(
            "fit, `glm`",
            expected=f"a filtered stimulus of at most {MEMORY >> 30} GiB",
            found=f"{len(rows)} rows of {columns} values",
            remedy="Set a smaller `glm.cutout_px`, or fewer `glm.stimulus_functions`.",
        )
    seen = np.ones((len(rows), columns), np.float32)
    _stimulus(task, rows, window, turn, seen[:, :split])
    of_past = seen[:, split:-1]
    of_past[:] = 0
    complete, fired = np.ones((len(rows), neurons), bool), np.nan_to_num(task.counts)
    for step in range(task.past.shape[1]):
        before = np.maximum(rows - 1 - step, 0)
        of_past += np.kron(fired[before], task.past[:, step].astype(np.float32)[None])
        complete &= np.isfinite(task.counts[before]) & (rows > step)[:, None]
    known = np.isfinite(task.counts[rows][:, cells])
    known &= complete.all(1, keepdims=True) if task.coupling else complete[:, cells]
    free = np.ones((columns, len(cells)), bool)
    if not task.coupling:
        own = np.repeat(np.arange(neurons), functions)
        free[split:-1] = own[:, None] == cells
    return Design(seen, split, np.where(known, fired[rows][:, cells], 0), known.astype(np.float32), free)


def _stimulus(task: Task, rows: np.ndarray, window: np.ndarray, turn: np.ndarray, out: np.ndarray) -> None:
    """Write each component's stimulus through each function into out, (row, component x function), block by block."""
    history = task.over_lags.shape[1]
    frames = task.frames[:, window] @ turn.astype(np.float32)
    size = max(1, _BLOCK // (frames.shape[1] * history))
    offsets = np.arange(history) - task.lag - history + 1
    basis = task.over_lags.T.astype(np.float32)
    for start in range(0, len(rows), size):
        seen = frames[rows[start : start + size, None] + offsets]
        out[start : start + size] = (seen.swapaxes(1, 2) @ basis).reshape(len(seen), -1)
