"""Codes and spikes against the phase of a behaviour: the group `/phase` of the attribution store.

A code that is not 0 is an event in the bin in which its KERNEL STARTS, so preferred phases are those of the kernel's
onset; the spikes that it explains come later, by the time to its peak. Only bins that have a phase count, none outside
a behaviour. All trials and neurons of a recording are shifted together: what they share, and what lasts longer than a
trial, is in the level of chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pellucid import artifacts
from pellucid.artifacts import Features
from pellucid.systems.dunl.attribute import phase
from pellucid.systems.dunl.attribute.decomposition import Decomposition
from pellucid.systems.dunl.attribute.phase import Locking
from pellucid.systems.dunl.attribute.settings import Settings
from pellucid.systems.dunl.attribute.tracks import Track, track

ONE, RAD = {"units": "1"}, {"units": "rad"}
BAND = (0.025, 0.975)
"""Quantiles of tuning under shifts."""

Variables = dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]


@dataclass(frozen=True)
class Sums:
    """Columns of weights summed over the bins of all recordings, see `phase.table` and `Track.columns`.

    observed    (column, feature); shifted (shift, column, feature); resampled (resample, column, feature) over trials
    neurons     number of the neuron -> how each kernel's events, and last its signal, are locked
    """

    observed: np.ndarray
    shifted: np.ndarray
    resampled: np.ndarray
    neurons: Mapping[int, Locking]

    @property
    def every(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three arrays."""
        return self.observed, self.shifted, self.resampled

    @property
    def visited(self) -> bool:
        """Whether there is data in every phase bin."""
        return bool((self.observed[-1, :-2] > 0).all())


def groups(features: Features, parts: Sequence[Decomposition], settings: Settings) -> dict[str, xr.Dataset]:
    """Return `/phase`, or nothing if no test trial has a phase; recordings without one are left out.

    (kernel, feature)  rate: events per s and trace, and code: mean code of an event, in phase bins around `feature` rad
    (feature)          occupancy: s summed over traces, and raw_rate: spikes per s and trace, or the mean value
    (kernel)           resultant, preferred, low, high, chance_high and p of events per time at each phase, see
                       `phase.Locking`; events and events_outside, their numbers; peak_s, lag of the kernel's peak
    no axis            the same of spikes, `raw_resultant` and so on; NaN for values
    (neuron, kernel)   neuron_resultant, neuron_preferred and neuron_p; (neuron) the same of spikes, `raw_neuron_`
    Before these names, `weighted_` stands for events weighted by the size of their code, and `plain_` for phases of
    events or spikes as they are: their R is above 0 wherever some phases last longer than others. Where a phase was
    never visited, the attribute per_time is false, all are plain, and single neurons NaN.
    Tuning has its central 95 % under shifts as NAME_chance_low and NAME_chance_high.
    """
    having = [name for name in features.stores if "phase" in features.group(name)]
    tracks = [one for name in having if (one := track(features, name, parts)) is not None]
    if not tracks:
        return {}
    traces, names = parts[0].traces, list(parts[0].settings.kernels)
    sums, counted = summed(tracks, settings), traces.kind == "counts"
    outside = np.sum([one.outside for one in tracks], axis=0)
    variables = _tuning(sums, len(names), traces.bin_s, counted=counted) | _lengths(sums, len(names), counted=counted)
    variables |= _by_neuron(sums, len(names), counted=counted) | _events(sums, outside, parts[0])
    coords = {
        "feature": ("feature", phase.centres(settings.phase_bins), RAD),
        "kernel": np.array(names, object),
        "neuron": np.array([traces.neurons[neuron] for neuron in sums.neurons], object),
    }
    return {"/phase": xr.Dataset(variables, coords, {"per_time": sums.visited})}


def rows(found: Mapping[str, xr.Dataset]) -> list[dict[str, Any]]:
    """Return headline rows of the group `/phase` among others: one per kernel with events, one of raw spikes."""
    if "/phase" not in found:
        return []
    group = found["/phase"]
    made = [_row(group.isel(kernel=k), str(name), "") for k, name in enumerate(group["kernel"].values)]
    return [row for row in [*made, _row(group, "raw spikes", "raw_")] if np.isfinite(row["value"])]


def summed(tracks: Sequence[Track], settings: Settings) -> Sums:
    """Return the sums of all recordings; shifts of each are drawn by the seed, the same for all its neurons."""
    trials: list[np.ndarray] = []
    neurons: dict[int, Locking] = {}
    null: np.ndarray | float = 0.0
    for index, one in enumerate(tracks):
        weights, table = one.columns(), phase.table(one.phase, settings.phase_bins)
        shifts = np.random.default_rng([settings.seed, index]).integers(0, len(one.phase), settings.permutations)
        trials.append(phase.by_trial(weights, table, one.trial))
        null = null + phase.shifted(weights, table, shifts)
        neurons |= {one.first + neuron: _alone(one, neuron, table, shifts) for neuron in range(len(one.seen))}
    every = np.concatenate(trials)
    generator = np.random.default_rng([settings.seed, len(tracks)])
    times = generator.multinomial(len(every), np.full(len(every), 1 / len(every)), settings.bootstrap)
    resampled = np.tensordot(times.astype(float), every, axes=1) if len(every) > 1 else every[:0]
    return Sums(every.sum(0), np.asarray(null), resampled, neurons)


def _alone(one: Track, neuron: int, table: np.ndarray, shifts: np.ndarray) -> Locking:
    """Return how the events of one neuron, and last its signal, are locked, (kernel + 1,), without intervals."""
    weights = one.of_neuron(neuron)
    both = (weights @ table)[None], phase.shifted(weights, table, shifts)
    vector, null = (phase.corrected(phase.ratio(sums[:, :-1], sums[:, -1:])) for sums in both)
    return phase.locking(vector[0], null, null[:0])


def _tuning(sums: Sums, kernels: int, bin_s: float, *, counted: bool) -> Variables:
    """Return events, codes and signal in each phase bin with their band of chance."""
    events, codes, seen = slice(kernels), slice(2 * kernels, 3 * kernels), slice(-1, None)
    signal = (1 / bin_s, "Hz") if counted else (1.0, "as the signal")
    wanted = {
        "rate": (events, seen, 1 / bin_s, "Hz"),
        "code": (codes, events, 1.0, "1"),
        "raw_rate": (slice(-2, -1), seen, *signal),
    }
    occupancy = sums.observed[-1, :-2] * bin_s
    made: Variables = {"occupancy": (("feature",), occupancy, {"units": "s"})}
    for name, (top, bottom, scale, units) in wanted.items():
        value, luck = (
            phase.ratio(one[..., top, :], one[..., bottom, :]) * scale for one in (sums.observed, sums.shifted)
        )
        low, high = np.full((2, *value.shape), np.nan)
        known = np.isfinite(luck).any(0)
        low[known], high[known] = np.nanquantile(luck[:, known], BAND, axis=0)
        for suffix, values in (("", value), ("_chance_low", low), ("_chance_high", high)):
            raw = name.startswith("raw_")
            axes = ("feature",) if raw else ("kernel", "feature")
            made[name + suffix] = (axes, values[0] if raw else values, {"units": units})
    return made


def _lengths(sums: Sums, kernels: int, *, counted: bool) -> Variables:
    """Return resultants of events and signal, each weighted in its ways."""
    made: Variables = {}
    vectors = [_vectors(one, kernels, visited=sums.visited) for one in sums.every]
    for prefix in vectors[0]:
        observed, null, resampled = (vector[prefix] for vector in vectors)
        found = phase.locking(observed, null, resampled)
        raw = prefix.endswith("raw_")
        for name, values in _named(found).items():
            own = values if counted or not raw else values * np.nan
            made[prefix + name] = ((), own[0], _units(name)) if raw else (("kernel",), own, _units(name))
    return made


def _vectors(sums: np.ndarray, kernels: int, *, visited: bool) -> dict[str, np.ndarray]:
    """Return resultant vectors, complex (..., column), of events, sizes and signal: per time at a phase, and plain.

    Both are plain if a phase was never visited.
    """
    columns = {
        "": sums[..., :kernels, :],
        "weighted_": sums[..., kernels : 2 * kernels, :],
        "raw_": sums[..., -2:-1, :],
    }
    plain = {name: phase.resultant(one) for name, one in columns.items()}
    per_time = {name: phase.corrected(phase.ratio(one, sums[..., -1:, :])) for name, one in columns.items()}
    return (per_time if visited else plain) | {f"plain_{name}": vector for name, vector in plain.items()}


def _events(sums: Sums, outside: np.ndarray, part: Decomposition) -> Variables:
    """Return numbers of events and when each kernel peaks; kernels of several neurons by their median."""
    count = sums.observed[: len(outside), :-2].sum(1).round()
    peak = np.abs(np.median(part.kernels, axis=0)).argmax(1) * part.traces.bin_s
    own = ("kernel",)
    return {"events": (own, count, ONE), "events_outside": (own, outside, ONE), "peak_s": (own, peak, {"units": "s"})}


def _by_neuron(sums: Sums, kernels: int, *, counted: bool) -> Variables:
    made: Variables = {}
    for name in ("resultant", "preferred", "p"):
        values = np.stack([_named(found)[name] for found in sums.neurons.values()])
        raw = values[:, -1] if counted else values[:, -1] * np.nan
        made[f"neuron_{name}"] = (("neuron", "kernel"), values[:, :kernels], _units(name))
        made[f"raw_neuron_{name}"] = (("neuron",), raw, _units(name))
    return made


def _named(found: Locking) -> dict[str, np.ndarray]:
    names = {"resultant": found.length, "chance_high": found.chance}
    return names | {name: getattr(found, name) for name in ("preferred", "low", "high", "p")}


def _units(name: str) -> dict[str, str]:
    return RAD if name == "preferred" else ONE


def _row(group: xr.Dataset, name: str, prefix: str) -> dict[str, Any]:
    """Return one headline row of the variables with a prefix, which have no axis left but that of neurons."""
    value = {key: float(group[prefix + key]) for key in ("resultant", "preferred", "low", "high", "chance_high", "p")}
    alone = group[f"{prefix}neuron_p"].values
    known = np.isfinite(alone)
    plain = f"{float(group[f'plain_{prefix}resultant']):.2f}"
    said = [
        f"per time at each phase ({plain} as they are)" if group.attrs["per_time"] else "some phases are never visited",
        f"preferred phase {value['preferred']:.2f} rad" + ("" if prefix else " at the kernel's onset"),
        *([] if prefix else [f"its peak is {1e3 * float(group['peak_s']):g} ms later"]),
        f"p = {value['p']:.2g}",
        f"{(alone[known] < 0.05).sum()} of {known.sum()} neurons with p < 0.05",
        *([] if prefix else [f"{group['events']:.0f} events, {group['events_outside']:.0f} outside"]),
    ]
    title = f"phase locking of {name}: resultant length"
    row = artifacts.headline_row(title, value["resultant"], model="", note="; ".join(said))
    return row | {key: value[key] for key in ("low", "high", "chance_high") if np.isfinite(value[key])}
