"""Small traces, and codes found the slow way: explicit shifted kernels, one trace at a time, in numpy alone."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize
from scipy.special import expit

from pellucid.systems.dunl.model.settings import Settings
from pellucid.systems.dunl.model.traces import ABSENT, Traces

COUNTS = 9


def bumps(count, lags, seed=0):
    """Smooth kernels of unit norm, (kernel, lag), of which the second and later ones change sign."""
    generator = np.random.default_rng([seed, count, lags])
    lag = np.arange(lags)
    rows = [
        np.exp(-0.5 * ((lag - (k + 1) * lags / (count + 2)) / (lags / 5)) ** 2) * np.cos(k * lag / lags * 3)
        for k in range(count)
    ]
    found = np.array(rows) + 0.05 * generator.standard_normal((count, lags))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def make(
    name, kernels, *, trials=3, neurons=2, bins=47, level=None, size=2.0, signs=None, seed=0, masked=True, late=True
):
    """Simulated traces with one kind of event per kernel, trials of unequal length and, `masked`, gaps of neurons.

    Every third trial has each event once more; with `late` the last event of each trial is cut by its end.
    """
    generator = np.random.default_rng([seed, len(kernels), bins])
    count, lags = kernels.shape
    level = {"gaussian": 0.3, "poisson": -0.7, "binomial": -1.5}[name] if level is None else level
    lengths = bins - 5 * (np.arange(trials) % 3)
    onset = np.full((trials, 2 * count), ABSENT)
    for trial, length in enumerate(lengths):
        first = np.sort(generator.choice(length - lags, count, replace=False))
        onset[trial, :count] = first
        if late:
            onset[trial, 0 if trial % 2 else count - 1] = length - (2 * lags) // 3
        if trial % 3 == 0:
            onset[trial, count:] = (first + lags + 2) % (length - lags)
    kinds = np.where(onset == ABSENT, ABSENT, np.tile(np.arange(count), 2))
    flip = np.ones(count) if signs is None else np.asarray(signs)
    shape = (trials, neurons, bins)
    drive = np.full(shape, level)
    for trial in range(trials):
        for place, kind in zip(onset[trial], kinds[trial], strict=True):
            if place != ABSENT:
                column = shifted(kernels[kind], place, bins)
                drive[trial] += flip[kind] * np.abs(generator.normal(size, 0.3 * size, (neurons, 1))) * column
    mean = {"gaussian": drive, "poisson": np.exp(drive), "binomial": expit(drive)}[name]
    draws = {
        "gaussian": lambda: generator.normal(drive, 0.4),
        "poisson": lambda: generator.poisson(mean),
        "binomial": lambda: generator.binomial(COUNTS, mean),
    }
    valid = np.broadcast_to(np.arange(bins) < lengths[:, None, None], shape).copy()
    if masked:
        valid[1 % trials, neurons - 1, bins // 3 : bins // 3 + 4] = False
    return traces_of(np.where(valid, draws[name](), 0.0), valid, onset, kinds, name, count)


def traces_of(signal, valid, onset, kinds, name, events):
    """Traces from arrays (trial, neuron, time) and (trial, event)."""
    trials, neurons, bins = signal.shape
    return Traces(
        signal=signal.reshape(-1, bins).astype(float),
        valid=valid.reshape(-1, bins),
        before=np.zeros((trials * neurons, bins), bool),
        onset=np.repeat(onset, neurons, axis=0),
        event_kind=np.repeat(kinds, neurons, axis=0),
        trial=np.repeat(np.arange(trials), neurons),
        neuron=np.tile(np.arange(neurons), trials),
        row=np.repeat(np.arange(trials), neurons),
        recording=np.zeros(trials * neurons, int),
        trial_type=np.full(trials * neurons, "all", object),
        events=tuple(f"event{k}" for k in range(events)),
        neurons=tuple(f"r/{n}" for n in range(neurons)),
        recordings=("r",),
        bin_s=0.025,
        start_s=0.0,
        kind="values" if name == "gaussian" else "counts",
        most_counts=0 if name == "gaussian" else COUNTS,
    )


def padded(traces, more):
    """The same traces with so many more bins that are not valid."""
    wider = {name: np.pad(getattr(traces, name), ((0, 0), (0, more))) for name in ("signal", "valid", "before")}
    return replace(traces, **wider)


def settings(name, codes, lags, *, timed=True, **more):
    """Settings of one kernel per code sign, each following its own event or, where `timed` is false, none."""
    timed = [timed] * len(codes) if isinstance(timed, bool) else timed
    penalties = more.pop("penalties", [None] * len(codes))
    kernels = {
        f"k{i}": {"event": f"event{i}" if known else None, "code": code, "penalty": penalty}
        for i, (code, known, penalty) in enumerate(zip(codes, timed, penalties, strict=True))
    }
    return Settings.model_validate({"likelihood": name, "kernels": kernels, "lag_bins": lags, **more})


def shifted(kernel, position, bins):
    """A kernel that starts in a bin, cut at the end, (bin,)."""
    column = np.zeros(bins)
    stop = min(bins, position + len(kernel))
    column[position:stop] = kernel[: stop - position]
    return column


@dataclass(frozen=True)
class Dense:
    """One trace's problem in full: columns (bin, column) of valid bins, and what is known of each column.

    columns that stand for the baseline have penalty and ridge 0 and any sign
    """

    name: str
    design: np.ndarray
    signal: np.ndarray
    offset: float
    weight: float
    penalty: np.ndarray
    ridge: np.ndarray
    sign: np.ndarray
    slots: tuple[tuple[int, int], ...]

    def smooth(self, x):
        """Value and gradient of all but the penalty."""
        z = self.offset + self.design @ x
        y = self.signal
        if self.name == "gaussian":
            value, slope = ((y - z) ** 2 / 2).sum(), z - y
        elif self.name == "poisson":
            value, slope = (np.exp(z) - y * z).sum(), np.exp(z) - y
        else:
            value, slope = (np.logaddexp(0, z) - y * z).sum(), expit(z) - y
        ridge = self.ridge
        return self.weight * value + (ridge * x**2).sum() / 2, self.weight * self.design.T @ slope + ridge * x

    def objective(self, x):
        return self.smooth(x)[0] + (self.penalty * np.abs(x)).sum()

    def violation(self, x):
        """Largest violation of the conditions of optimality, by their definition."""
        slope = self.smooth(x)[1]
        at_zero = np.maximum(np.abs(slope) - self.penalty, 0)
        at_zero = np.where(self.sign == 0, at_zero, np.maximum(-self.sign * slope - self.penalty, 0))
        wrong = np.where(self.sign * x < 0, np.inf, 0)
        return float((np.where(x == 0, at_zero, np.abs(slope + self.penalty * np.sign(x))) + wrong).max(initial=0))

    def condition(self, x):
        """Condition number of the Hessian on the columns in use."""
        z = self.offset + self.design @ x
        bend = {"gaussian": np.ones_like(z), "poisson": np.exp(z), "binomial": expit(z) * expit(-z)}[self.name]
        used = (x != 0) | ((self.penalty == 0) & (self.sign == 0))
        if not used.any():
            return 1.0
        columns = self.design[:, used]
        return np.linalg.cond(self.weight * columns.T @ (bend[:, None] * columns) + np.diag(self.ridge[used]))

    def solve(self):
        """Codes by L-BFGS-B on x = x+ - x-, both nonnegative."""
        count = self.design.shape[1]
        bounds = [(0, 0 if s < 0 else None) for s in self.sign] + [(0, 0 if s > 0 else None) for s in self.sign]

        def both(halves):
            value, slope = self.smooth(halves[:count] - halves[count:])
            cost = np.concatenate([self.penalty, self.penalty])
            return value + cost @ halves, np.concatenate([slope, -slope]) + cost

        found = np.zeros(2 * count)
        for _ in range(3):  # restarts drop a stale curvature estimate
            options = {"maxiter": 20_000, "maxfun": 60_000, "maxcor": 40, "ftol": 1e-16, "gtol": 1e-10}
            found = optimize.minimize(both, found, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        return found[:count] - found[count:]


def dense(traces, trace, settings, kernels, offset, *, timed):
    """The full problem of one trace; `timed` says of each kernel whether its events are known."""
    lags, valid = kernels.shape[1], traces.valid[trace]
    stop = len(valid) - np.argmax(valid[::-1])
    slots = []
    for kernel, known in enumerate(timed):
        if known:
            here = {int(p) for p, e in zip(traces.onset[trace], traces.event_kind[trace], strict=True) if e == kernel}
            slots += [(kernel, p) for p in sorted(here) if valid[p : p + lags].sum() >= lags / 2]
        else:
            slots += [(kernel, p) for p in range(np.argmax(valid), stop - lags + 1)]
    if not all(timed):
        slots = [(k, p) for k, p in slots if p + lags <= stop]
    columns = [shifted(kernels[k], p, len(valid)) for k, p in slots]
    specs = list(settings.kernels.values())
    penalty = [settings.penalty if specs[k].penalty is None else specs[k].penalty for k, _ in slots]
    sign = [{"positive": 1, "negative": -1, "free": 0}[specs[k].code] for k, _ in slots]
    ridge = [settings.ridge] * len(slots)
    if settings.baseline == "inferred":
        columns.append(np.ones(len(valid)))
        penalty, sign, ridge = [*penalty, 0.0], [*sign, 0], [*ridge, 0.0]
    binomial = settings.likelihood == "binomial"
    weight = float(COUNTS) if binomial and settings.bin_weight == "counts" else 1.0
    signal = traces.signal[trace, valid] / (COUNTS if binomial else 1)
    design = np.array(columns, float).reshape(len(columns), len(valid)).T[valid]
    rules = (np.array(penalty, float), np.array(ridge, float), np.array(sign, int))
    return Dense(settings.likelihood, design, signal, float(offset), weight, *rules, tuple(slots))


def row_of(found, trace, problem, inferred):
    """The codes of a result as a column per slot of the full problem."""
    held = found.slots.present[trace]
    places = zip(found.slots.kernel[trace, held], found.slots.position[trace, held], strict=True)
    codes = dict(zip(((int(k), int(p)) for k, p in places), found.codes[trace, held], strict=True))
    extra = set(codes) - set(problem.slots)
    assert all(codes[slot] == 0 for slot in extra)
    values = [codes.get(slot, 0.0) for slot in problem.slots]
    return np.array([*values, found.baseline[trace]] if inferred else values)
