"""From one recording to one store of binned trials with their events, types and covariates."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.errors import DataError
from pellucid.systems.dunl.features import conditions, masks, onsets, phase, trials
from pellucid.systems.dunl.features.settings import Settings


def extract(recording: xr.DataTree, settings: Settings, output: Path) -> None:
    """Write `/features` with signal (trial, time, neuron), onset and event_kind (trial, event), trial_type (trial).

    `/features` also has source (trial), row of the trial, or number of its reference event or window in the recording,
    zero_s (trial), zero of its clock there (NaN for trials cut already), and phase (trial, time), rad, if asked for.
    `/trials` has one variable (trial) per covariate. Attributes in JSON: events, covariates and their units,
    baseline_s, dropped (why -> trials), infinite (covariate -> values), transductive (what was fitted to all trials).
    Raises MissingError or DataError naming the variable, and leaves nothing half-written.
    """
    cut = trials.cut(recording, settings)
    signal = cut.signal
    if settings.inside is not None:
        signal = np.where(masks.inside(recording, settings.inside, cut)[..., None], signal, np.float32(np.nan))
    types = conditions.trial_types(recording, settings, cut)
    used, why = conditions.used(recording, settings, cut, types, signal)
    dropped = {**cut.dropped, **why}
    _report(int(used.sum()), dropped)
    numbers, infinite = conditions.covariates(recording, settings, cut, used)
    onset, kinds = onsets.find(recording, settings, cut)
    signal = signal[used].astype(np.float32, copy=False)
    slots = max(1, int(np.isfinite(onset[used]).sum(axis=1).max()))
    notes = {"dropped": dropped, "infinite": infinite, "transductive": cut.notes}
    features = xr.Dataset(
        {
            "signal": (("trial", "time", "neuron"), signal, {"units": _units(settings)}),
            "onset": (("trial", "event"), onset[used, :slots], {"units": "s"}),
            "event_kind": (("trial", "event"), kinds[used, :slots], {"units": "1"}),
            "trial_type": ("trial", types[used]),
            "source": ("trial", cut.source[used].astype(np.int64), {"units": "1"}),
            "zero_s": ("trial", cut.zero_s[used], {"units": "s"}),
            **_phase(recording, settings, cut, used, signal),
        },
        coords={"time": ("time", cut.time, {"units": "s"}), "neuron": ("neuron", cut.neuron)},
        attrs=_attributes(settings, cut, signal) | {name: json.dumps(note) for name, note in notes.items()},
    )
    table = {name: ("trial", values, {"units": settings.covariates[name].units}) for name, values in numbers.items()}
    identity = {key: recording.attrs[key] for key in schema.RECORDING_ATTRIBUTES if key in recording.attrs}
    groups = {"/": xr.Dataset(attrs=identity), "/features": features, "/trials": xr.Dataset(table)}
    store.write(output, xr.DataTree.from_dict(groups))


def _phase(
    recording: xr.DataTree, settings: Settings, cut: trials.Cut, used: np.ndarray, signal: np.ndarray
) -> dict[str, tuple[tuple[str, str], np.ndarray, dict[str, str]]]:
    """Return the variable `phase` of the trials used, NaN where no neuron has data, or nothing."""
    if settings.phase is None:
        return {}
    found = np.where(np.isfinite(signal).any(axis=2), phase.at_bins(recording, settings.phase, cut)[used], np.nan)
    return {"phase": (("trial", "time"), found.astype(np.float32), {"units": "rad"})}


def _report(used: int, dropped: Mapping[str, int]) -> None:
    """Say on stderr how many trials are left out, if any."""
    if dropped:
        said = ", ".join(f"{count} {why}" for why, count in dropped.items())
        print(f"{used} trials used; left out: {said}", file=sys.stderr)


def _attributes(settings: Settings, cut: trials.Cut, signal: np.ndarray) -> dict[str, str | int | float]:
    """Return what the model reads besides the arrays. Raises DataError for a wrong baseline or too large counts."""
    return {
        "kind": settings.kind,
        "bin_s": cut.bin_s,
        "most_counts": _most_counts(settings, signal),
        "events": json.dumps(settings.kinds),
        "covariates": json.dumps({name: covariate.units for name, covariate in settings.covariates.items()}),
        "baseline_s": json.dumps(_baseline(settings, cut)),
    }


def _units(settings: Settings) -> str:
    return "count" if settings.kind == "counts" else "1"


def _most_counts(settings: Settings, signal: np.ndarray) -> int:
    """Return the largest possible count of a bin, 0 for values. Raises DataError if one is larger."""
    if settings.kind == "values" or settings.bin_ms is None:
        return 0
    most = settings.most_counts or max(1, int(np.ceil(settings.bin_ms - 1e-9)))
    found = int(np.nanmax(signal))
    if found > most:
        raise DataError(
            settings.source,
            expected=f"at most {most} spikes in a bin of {settings.bin_ms:g} ms",
            found=str(found),
            remedy="Sort the spikes into units, or set `most_counts`.",
        )
    return most


def _baseline(settings: Settings, cut: trials.Cut) -> tuple[float, float] | None:
    """Return the window of the baseline. Raises DataError if no bin begins in it."""
    window = settings.baseline_s
    if window is not None and not ((cut.time >= window[0] - 1e-9) & (cut.time < window[1] - 1e-9)).any():
        raise DataError(
            "baseline_s",
            expected=f"a window in trials from {cut.start_s:g} to {cut.time[-1] + cut.bin_s:g} s",
            found=f"[{window[0]:g}, {window[1]:g}]",
            remedy="Correct it.",
        )
    return window
