"""LN models: one linear filter of the stimulus per cell and a nonlinearity, both chosen by cross-validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pellucid.errors import DataError
from pellucid.systems.retina.model import filters, nonlinearities
from pellucid.systems.retina.model.nonlinearities import Nonlinearity
from pellucid.systems.retina.model.settings import LN

FILTERS = ("sta", "ridge", "separable")

_LEAST = 10
"""Rows in each part of the cross-validation, at least."""


@dataclass(frozen=True)
class LinearNonlinear:
    """LN models of all cells.

    filter   (neuron, lag, height, width) float32, oldest frame first, response per unit of the standardised movie
    cells    nonlinearity of each cell
    chosen   (neuron,) int8, place of the filter's kind in FILTERS
    penalty  (neuron,) of the filter, infinite without decorrelation
    loss     (neuron,) mean Poisson loss of the chosen candidate on held-out training rows
    """

    filter: np.ndarray
    cells: Sequence[Nonlinearity]
    chosen: np.ndarray
    penalty: np.ndarray
    loss: np.ndarray

    @property
    def history(self) -> int:
        """Frames seen."""
        return int(self.filter.shape[1])

    @property
    def parameters(self) -> int:
        """Number of fitted values: filters where they are not 0, and nonlinearities."""
        return int((self.filter != 0).sum() + sum(len(cell.coefficients) for cell in self.cells))

    @property
    def choices(self) -> list[dict[str, str | float]]:
        """What cross-validation chose for each cell."""
        return [
            {"filter": FILTERS[kind], "penalty": float(penalty), "nonlinearity": cell.kind}
            for kind, penalty, cell in zip(self.chosen, self.penalty, self.cells)
        ]

    def output(self, frames: np.ndarray) -> np.ndarray:
        """Return the filters' outputs, (row, neuron); frames and rows as in `respond`."""
        flat, count = frames.reshape(len(frames), -1), len(frames) - self.history + 1
        return filters.project(flat, filters.reduced(self.filter, frames), 0, count)[:, 0]

    def respond(self, frames: np.ndarray) -> np.ndarray:
        """Return rates, (row, neuron), in the unit of the training responses; never negative.

        frames  (time,) full field, (time, width) uniform along height, or (time, height, width), standardised; row i
                sees frames i to i + history - 1
        """
        output = self.output(frames)
        return np.stack([cell(output[:, neuron]) for neuron, cell in enumerate(self.cells)], 1).astype(np.float32)

    def weights(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays."""
        found = {"filter": self.filter, "chosen": self.chosen, "penalty": self.penalty, "loss": self.loss}
        return found | nonlinearities.stacked(self.cells)


def from_weights(weights: Mapping[str, np.ndarray]) -> LinearNonlinear:
    """Return the models behind the arrays of `LinearNonlinear.weights`."""
    own = {name: weights[name] for name in ("filter", "chosen", "penalty", "loss")}
    return LinearNonlinear(cells=nonlinearities.unstacked(weights), **own)


def fit(
    frames: np.ndarray,
    rows: np.ndarray,
    response: np.ndarray,
    *,
    history: int,
    lag: int,
    settings: LN,
    centres: np.ndarray | None = None,
) -> LinearNonlinear:
    """Return LN models of all cells, fitted to training rows only.

    frames    (time, height, width) float32, standardised
    rows      (row,) ascending; row t sees frames t - lag - history + 1 to t - lag
    response  (row, neuron) in its unit, NaN where not recorded
    centres   (neuron, 2) row and column of receptive fields, px, for `cutout_px`; NaN or none: where the STA peaks
    Filters are made without each contiguous part of the rows in turn, and show that part; nonlinearities are fitted to
    these outputs of other parts' filters, since a filter's output is inflated on the rows it was made from. The filter
    and nonlinearity with the least Poisson loss on parts that neither nonlinearity nor filter saw are kept per cell,
    and the filter is made again from all rows.
    Raises DataError with fewer than ten rows a part.
    """
    rows = np.asarray(rows)
    if len(rows) < _LEAST * settings.folds:
        raise DataError(
            "fit, LN model",
            expected=f"{_LEAST * settings.folds} training rows or more, ten for each of {settings.folds} parts",
            found=f"{len(rows)} rows",
            remedy="Use longer recordings, or fewer `ln.folds`.",
        )
    over_time = np.full((len(frames), response.shape[1]), np.nan, np.float32)
    over_time[rows] = response
    parts = np.array_split(rows, settings.folds)
    kernels, output = _filtered(frames, parts, over_time, history, lag, settings, centres)
    inner = [_inner(part, history) for part in parts]
    cells = [
        _choose([output[part, :, cell] for part in inner], [over_time[part, cell] for part in inner], settings)
        for cell in range(response.shape[1])
    ]
    chosen = filters.candidates(settings)
    return LinearNonlinear(
        np.stack([kernels[cell.number, ..., neuron] for neuron, cell in enumerate(cells)]),
        [cell.nonlinearity for cell in cells],
        np.array([FILTERS.index(chosen[cell.number][0]) for cell in cells], np.int8),
        np.array([chosen[cell.number][1] for cell in cells]),
        np.array([cell.loss for cell in cells]),
    )


def _filtered(
    frames: np.ndarray,
    parts: Sequence[np.ndarray],
    response: np.ndarray,
    history: int,
    lag: int,
    settings: LN,
    centres: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return filters from all rows, and the outputs on each part of filters from the other parts.

    response  (time, neuron), NaN elsewhere than on rows
    filters (candidate, lag, height, width, neuron); outputs (time, candidate, neuron), NaN elsewhere than on rows
    """
    shape, chosen = (int(frames.shape[1]), int(frames.shape[2])), filters.candidates(settings)
    flat = frames.reshape(len(frames), -1)
    found = filters.moments(flat, parts, response, history=history, lag=lag)
    every = range(len(parts))
    places = filters.centres(found.average(every), shape)
    if centres is not None:
        places = np.where(np.isfinite(centres), centres, places)
    output = np.full((len(frames), len(chosen), response.shape[1]), np.nan, np.float32)
    kernels = np.zeros((len(chosen), history, flat.shape[1], response.shape[1]), np.float32)
    for cells, window in filters.windows(places, shape, settings.cutout_px):
        own = replace(found, cross=found.cross[..., cells], rows=found.rows[:, cells])
        kernels[..., cells] = filters.solve(own, every, chosen, window)
        for index, part in enumerate(parts):
            filter_ = filters.solve(own, [other for other in every if other != index], chosen, window)
            for start, stop in filters.blocks(part):
                first = start - lag - history + 1
                output[start:stop, :, cells] = filters.project(flat, filter_, first, first + stop - start)
    return kernels.reshape(*kernels.shape[:2], *shape, -1), output


@dataclass(frozen=True)
class _Cell:
    """The choice of one cell: the number of its filter, its nonlinearity and their loss on held-out rows."""

    number: int
    nonlinearity: Nonlinearity
    loss: float


def _choose(outputs: Sequence[np.ndarray], responses: Sequence[np.ndarray], settings: LN) -> _Cell:
    """Return the filter and nonlinearity of one cell with the least loss over the parts held out in turn.

    outputs    (row, candidate) of each part
    responses  (row,) of each part, NaN where unknown
    """
    known = [np.isfinite(response) for response in responses]
    outputs = [part[rows] for part, rows in zip(outputs, known)]
    responses = [part[rows] for part, rows in zip(responses, known)]
    every = np.concatenate(responses)
    if not len(every) or every.max() == every.min():
        return _Cell(0, nonlinearities.constant(float(every.mean()) if len(every) else np.nan), np.nan)
    lost = {
        (number, kind): _held_out(kind, [output[:, number] for output in outputs], responses, settings)
        for number in range(outputs[0].shape[1])
        for kind in settings.nonlinearities
    }
    number, kind = min(lost, key=lambda candidate: lost[candidate])
    output = np.concatenate(outputs)[:, number]
    return _Cell(number, nonlinearities.fit(kind, output, every, settings), lost[number, kind])


def _held_out(kind: str, outputs: Sequence[np.ndarray], responses: Sequence[np.ndarray], settings: LN) -> float:
    """Return the mean Poisson loss over parts of the nonlinearity that the other parts give."""
    total, rows = 0.0, 0
    for index, (output, response) in enumerate(zip(outputs, responses)):
        g, y = (np.concatenate([*parts[:index], *parts[index + 1 :]]) for parts in (outputs, responses))
        if len(response) and len(y):
            found = nonlinearities.fit(kind, g, y, settings)
            total += nonlinearities.loss(response, found(output)) * len(response)
            rows += len(response)
    return total / rows if rows else np.inf


def _inner(part: np.ndarray, history: int) -> np.ndarray:
    """Return the rows of a part whose windows are apart from those of its neighbours, if they leave enough of it."""
    return part[history:-history] if len(part) > 4 * history else part
