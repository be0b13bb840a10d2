"""All of the features but their power: behaviour, groups, spikes, what is missing, and which rows count."""

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.errors import DataError
from pellucid.preprocess import behaviour
from pellucid.systems.deepinsight.features import missing, spikes, targets
from pellucid.systems.deepinsight.features.clock import Clock
from pellucid.systems.deepinsight.features.settings import Settings


def template(
    recording: xr.DataTree,
    signal: xr.DataArray,
    kept: np.ndarray,
    settings: Settings,
    rows: Clock,
    share: np.ndarray | None,
) -> xr.Dataset:
    """Return `/features` with a placeholder for power; share: (row,) share of missing samples."""
    groups = _channel_groups(signal)
    shape = (len(rows), len(rows.frequencies), len(kept))
    features = xr.Dataset(
        {
            "power": (
                ("time", "frequency", "channel"),
                store.placeholder(shape),
                {"units": _units(signal, settings)},
            ),
            **_behaviours(recording, settings, rows, share),
        },
        coords={
            "time": ("time", rows.times, {"units": "s"}),
            "frequency": ("frequency", rows.frequencies, {"units": "Hz"}),
            "channel": signal.coords["channel"].values[kept] if "channel" in signal.coords else kept,
            **({"channel_group": ("channel", groups[kept])} if "channel_group" in signal.coords else {}),
        },
        attrs={"reach_rows": rows.reach_rows, "targets": targets.described(settings)},
    )
    if settings.spikes is None:
        return features
    counted = spikes.variables(recording, settings.spikes, rows, groups, kept)
    return features.assign(counted.data_vars).assign_coords(counted.coords)


def _behaviours(
    recording: xr.DataTree, settings: Settings, rows: Clock, share: np.ndarray | None
) -> dict[str, tuple[object, ...]]:
    found, labels, names = targets.columns(recording, settings, rows)
    scored = np.isfinite(found).all(axis=1)
    if settings.scored is not None:
        scored &= targets.on_rows(recording, settings.scored.source, rows.times)[:, 0] > settings.scored.threshold
    variables: dict[str, tuple[object, ...]] = {
        "behaviour": (("time", "output"), found, {"units": "see target"}),
        "label": ("output", np.array(labels, object)),
        "target": ("output", np.array(names, object)),
    }
    if settings.missing is not None and share is not None:
        usable = missing.intact(share, rows, settings.missing)
        variables["missing"] = ("time", share, {"units": "1"})
        variables["intact"] = ("time", usable)
        scored &= usable
    if settings.laps is not None:
        position = targets.on_rows(recording, settings.laps.source, rows.times)[:, 0]
        variables["group"] = ("time", behaviour.laps(position, settings.laps.period), {"units": "1"})
    if settings.trials is not None:
        trial = _trials(recording, settings.trials, rows.times)
        targets.check_choices(found, names, settings, trial)
        variables["group"] = ("time", trial, {"units": "1"})
        scored &= trial >= 0
    _check_scored(scored, settings)
    return {**variables, "scored": ("time", scored)}


def _trials(recording: xr.DataTree, source: str, times: np.ndarray) -> np.ndarray:
    """Return the number of the trial of the nearest sample, (row,) int64, and -1 outside trials."""
    group, variable = schema.variable(recording, source)
    numbers = np.asarray(variable.values, float)
    if (
        numbers.size != len(numbers)
        or (numbers != np.floor(numbers))[np.isfinite(numbers)].any()
        or (numbers < 0).any()
    ):
        raise DataError(
            source,
            expected="the number of the trial, from 0, or NaN at every sample",
            found=f"shape {numbers.shape}, numbers from {np.nanmin(numbers):g} to {np.nanmax(numbers):g}",
            remedy="Correct `trials`.",
        )
    trial = behaviour.nearest(schema.sample_times(group), numbers.reshape(len(numbers)), times)
    return np.where(np.isfinite(trial), trial, -1).astype(np.int64)


def _check_scored(scored: np.ndarray, settings: Settings) -> None:
    if not scored.any():
        raise DataError(
            "preprocess, scored rows",
            expected=f"rows with all of {', '.join(settings.targets)} known, and nothing missing",
            found="none",
            remedy="Remove a target that is never known, or correct `missing`, `scored` or `trials`.",
        )


def _channel_groups(signal: xr.DataArray) -> np.ndarray:
    """Return the name of each channel's group, (channel,), "" where it has none."""
    if "channel_group" not in signal.coords:
        return np.full(signal.shape[-1], "", object)
    return np.array([str(name) for name in signal.coords["channel_group"].values], object)


def _units(signal: xr.DataArray, settings: Settings) -> str:
    units = str(signal.attrs.get("units", "1"))
    return f"({units})^2" if settings.transform == "wavelets" else units
