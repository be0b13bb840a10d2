"""Fitting Poisson GLMs by penalised likelihood; validation rows choose the penalty of each cell."""

from collections.abc import Iterator, Mapping

import numpy as np

from pellucid.errors import DataError
from pellucid.systems.retina.model import filters, glm_design
from pellucid.systems.retina.model.bases import raised_cosines
from pellucid.systems.retina.model.glm import CAP, CoupledGLM, Simulated, transfer
from pellucid.systems.retina.model.glm_design import Design, Task
from pellucid.systems.retina.model.settings import GLM

Part = tuple[np.ndarray, np.ndarray]
"""Rows (row,), ascending, and responses (row, neuron), NaN where not recorded."""

STEPS = 200
"""Most steps of L-BFGS for one penalty."""


def fit(
    frames: np.ndarray,
    train: Part,
    validation: Part,
    *,
    history: int,
    lag: int,
    rate_hz: float,
    units: str,
    settings: GLM,
    seed: int,
    centres: np.ndarray | None = None,
) -> CoupledGLM:
    """Return GLMs of all cells, fitted to training rows.

    frames             (time, height, width) float32, standardised
    train, validation  row t sees frames t - lag - history + 1 to t - lag; responses are spikes per bin
    rate_hz            of the responses
    units              of the responses, "count"
    seed               of simulated responses
    centres            (neuron, 2) row and column of receptive fields, px, for `cutout_px`; NaN or none: the STA's peak
    Minimises mean (r - y log r) / mean y + penalty |w|^2 / 2 + history penalty |h|^2 / 2 over weights w of the stimulus
    and h of the past, both in orthonormal bases of raised cosines. Rows whose past is not all known (the first of each
    stretch of rows) are left out. Each cell has the penalties with the least loss of rates simulated on validation
    rows, which is what it is scored on; with coupling, the other cells then had the same penalties.
    Raises DataError for rates, for counts that are no whole numbers and without validation rows, ConfigError if the
    filtered stimulus would not fit into memory.
    """
    _check(train, validation, units)
    neurons = train[1].shape[1]
    counts = np.full((len(frames), neurons), np.nan, np.float32)
    for rows, response in (train, validation):
        counts[rows] = response
    task = Task(
        frames.reshape(len(frames), -1),
        counts,
        raised_cosines(history, settings.stimulus_functions)[:, ::-1],
        raised_cosines(max(1, round(settings.history_ms * rate_hz / 1000)), settings.history_functions),
        lag,
        settings.coupling,
    )
    shape = (int(frames.shape[1]), int(frames.shape[2]))
    models = {
        (penalty, of_past): _empty(task, train[1], shape, settings, seed)
        for of_past in settings.history_penalties
        for penalty in sorted(settings.penalties, reverse=True)
    }
    for cells, window in filters.windows(_places(task, train, shape, settings, centres), shape, settings.cutout_px):
        turn = glm_design.components(task, train[0], window)
        parts = [glm_design.design(task, rows, cells, window, turn) for rows, _ in (train, validation)]
        for candidate, weights in _solutions(parts[0], parts[1], settings):
            _put(models[candidate], weights, task, cells, window, turn)
    return _best(models, frames, validation, lag)


def _check(train: Part, validation: Part, units: str) -> None:
    if units != "count":
        raise DataError(
            "fit, GLM with spike history",
            expected="responses in spike counts per bin",
            found=f"responses in {units}",
            remedy="Set `preprocess.response` to counts or spikes, or leave out the GLM.",
        )
    for name, (_, response) in (("training", train), ("validation", validation)):
        known = np.isfinite(response)
        missing = not len(response) or not known.any(0).all()
        counts = response[known]
        if missing or (counts < 0).any() or (counts != np.rint(counts)).any():
            raise DataError(
                f"fit, GLM with spike history, {name} rows",
                expected="whole numbers of spikes, 0 or more, of every cell",
                found="a cell without any response" if missing else "other values",
                remedy="Use spike counts, and a split that leaves training and validation rows.",
            )


def _places(task: Task, train: Part, shape: tuple[int, int], settings: GLM, centres: np.ndarray | None) -> np.ndarray:
    """Return row and column of each cell's centre, px, (neuron, 2); the STA's peak where it is unknown."""
    places = np.full((task.neurons, 2), np.nan) if centres is None else np.asarray(centres, float)
    if settings.cutout_px is None or np.isfinite(places).all():
        return np.asarray(np.nan_to_num(places))
    counts = np.full_like(task.counts, np.nan)
    counts[train[0]] = train[1]
    found = filters.moments(task.frames, [train[0]], counts, history=task.over_lags.shape[1], lag=task.lag)
    return np.where(np.isfinite(places), places, filters.centres(found.average([0]), shape))


def _empty(task: Task, response: np.ndarray, shape: tuple[int, int], settings: GLM, seed: int) -> CoupledGLM:
    """Return GLMs of cells that are silent whatever they see."""
    neurons, known = task.neurons, np.isfinite(response)
    mean = np.where(known, response, 0).sum(0, dtype=float) / np.maximum(known.sum(0), 1)
    return CoupledGLM(
        filter=np.zeros((neurons, task.over_lags.shape[1], *shape), np.float32),
        history_filter=np.zeros((neurons, neurons, task.past.shape[1])),
        bias=np.zeros(neurons),
        mean=mean,
        largest=CAP * np.maximum(np.where(known, response, 0).max(0).astype(float), 1),
        **{name: np.full(neurons, np.nan) for name in ("penalty", "history_penalty", "loss", "capped")},
        settings=settings,
        seed=seed,
    )


def _solutions(train: Design, held: Design, settings: GLM) -> Iterator[tuple[tuple[float, float], np.ndarray]]:
    """Yield weights, (column, cell), of each pair of penalties, each found from those of the next larger one.

    Once a smaller penalty of the stimulus makes validation rows with their recorded past less likely for every cell,
    weights stay as they are for all smaller ones.
    """
    rows = np.maximum(train.known.sum(0), 1)
    rate = np.maximum(train.counts.sum(0), 1) / rows
    weights = np.zeros(train.free.shape)
    weights[-1] = np.log(rate) if settings.nonlinearity == "exponential" else np.log(np.expm1(rate))
    for of_past in settings.history_penalties:
        best, falling = np.full(len(rate), np.inf), True
        for penalty in sorted(settings.penalties, reverse=True):
            if falling:
                weights = _minimised(train, weights, (penalty, of_past), rate, settings.nonlinearity)
                loss = _loss(held, weights, settings.nonlinearity)
                best, falling = np.minimum(best, loss), bool((loss < best).any())
            yield (penalty, of_past), weights


def _loss(design: Design, weights: np.ndarray, nonlinearity: str) -> np.ndarray:
    """Return the mean Poisson loss of each cell with its recorded past, (cell,)."""
    rate = np.maximum(transfer(design.seen @ weights.astype(np.float32), nonlinearity), 1e-30)
    lost = design.known * (rate - design.counts * np.log(rate))
    return np.asarray(lost.sum(0, dtype=float) / np.maximum(design.known.sum(0), 1))


def _best(
    models: Mapping[tuple[float, float], CoupledGLM], frames: np.ndarray, validation: Part, lag: int
) -> CoupledGLM:
    """Return for each cell the model with the least loss of rates that are simulated on validation rows."""
    best = next(iter(models.values()))
    known, response = np.isfinite(validation[1]), np.nan_to_num(validation[1])
    for (penalty, of_past), model in models.items():
        found = shown(model, frames, validation[0], lag)
        rate = np.maximum(found.rate, np.finfo(float).tiny)
        loss = (known * (rate - response * np.log(rate))).sum(0) / np.maximum(known.sum(0), 1)
        better = ~(best.loss <= loss)
        best.penalty[better], best.history_penalty[better] = penalty, of_past
        best.loss[better], best.capped[better] = loss[better], found.capped[better]
        for name in ("filter", "history_filter", "bias"):
            getattr(best, name)[better] = getattr(model, name)[better]
    return best


def shown(model: CoupledGLM, frames: np.ndarray, rows: np.ndarray, lag: int) -> Simulated:
    """Return the simulated responses of rows, each stretch of them on its own.

    frames  (time, height, width) standardised
    rows    (row,) ascending
    """
    stretches = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    found = [model.simulate(frames[own[0] - lag - model.history + 1 : own[-1] - lag + 1]) for own in stretches]
    capped = np.average([one.capped for one in found], axis=0, weights=[len(own) for own in stretches])
    return Simulated(np.concatenate([one.rate for one in found]), capped)


def _minimised(
    design: Design, start: np.ndarray, penalties: tuple[float, float], rate: np.ndarray, nonlinearity: str
) -> np.ndarray:
    """Return the weights, (column, cell), of the least penalised loss by L-BFGS for all cells at once.

    The search is over weights times the square root of about the loss' curvature, so that few steps are enough.
    """
    from scipy.optimize import minimize

    scale = 1 / (rate * np.maximum(design.known.sum(0), 1))
    squares = np.zeros(len(start))
    squares[: design.split], squares[design.split : -1] = penalties
    size = 1 / np.sqrt(np.einsum("tc,tc->c", design.seen, design.seen) / len(design.seen) + squares + 1e-6)[:, None]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(start.shape) * size
        drive = design.seen @ weights.astype(np.float32)
        found = np.maximum(transfer(drive, nonlinearity), 1e-30)
        lost = (design.known * (found - design.counts * np.log(found))).sum(0, dtype=float) @ scale
        slope = found if nonlinearity == "exponential" else -np.expm1(-found)
        by_drive = (design.known * (1 - design.counts / found) * slope * scale).astype(np.float32)
        gradient = (design.seen.T @ by_drive + squares[:, None] * weights) * design.free * size
        return float(lost + (squares @ weights**2).sum() / 2), gradient.ravel().astype(float)

    options = {"maxiter": STEPS, "maxcor": 20, "ftol": 1e-7, "gtol": 1e-5}
    found = minimize(objective, (start / size).ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x.reshape(start.shape) * size * design.free)


def _put(
    model: CoupledGLM, weights: np.ndarray, task: Task, cells: np.ndarray, window: np.ndarray, turn: np.ndarray
) -> None:
    """Write the weights, (column, cell), of the cells that share a window into the filters."""
    split, functions = int(window.sum()) * len(task.over_lags), len(task.over_lags)
    of_pixels = np.tensordot(turn, weights[:split].reshape(-1, functions, len(cells)), axes=1)
    flat = model.filter.reshape(*model.filter.shape[:2], -1)
    flat[np.ix_(cells, np.arange(flat.shape[1]), np.flatnonzero(window))] = np.einsum(
        "pfn,fl->nlp", of_pixels, task.over_lags
    )
    of_past = weights[split:-1].reshape(task.neurons, len(task.past), len(cells))
    model.history_filter[cells] = np.einsum("mfn,fj->nmj", of_past, task.past)
    model.bias[cells] = weights[-1]
