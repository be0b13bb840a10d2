"""Folds over all recordings, and scales of traces, thresholds of labels and of bad pixels from training frames only."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Collected, Fold, row_indices
from pellucid.errors import DataError
from pellucid.preprocess import movies
from pellucid.systems.cortex.features import folds, scales
from pellucid.systems.cortex.features.settings import Label, Movie, Settings, Traces


def collect(stores: Mapping[str, xr.DataTree], settings: Settings) -> Collected:
    """Return the split table and statistics of training frames.

    stores  recording -> features
    threshold (fold, output): with a threshold of the label, its low and high value, from the training frames of all
    recordings together for `median`. INPUT/RECORDING/minimum, maximum, mean, sd (fold, roi): of traces, from the
    training frames of the recording, or of all recordings together where it has none. INPUT/threshold (fold,): scale
    above which a pixel of any recording is bad, from the pixels of recordings with training frames.
    Raises DataError if two recordings hold the same input, or recordings do not fit together.
    """
    behaviour = {name: schema.group(stores[name], "behaviour", name) for name in sorted(stores)}
    groups = {
        item: {name: schema.group(stores[name], item, name) for name in sorted(stores)} for item in settings.inputs
    }
    for item, found in groups.items():
        _refuse_copies(item, found)
        _check_alike(item, found)
    made = folds.make(
        {name: group["segment"].values for name, group in behaviour.items()},
        {name: str(stores[name].attrs.get("subject", name)) for name in behaviour},
        settings.split,
        max(float(group.attrs["rate_hz"]) for group in behaviour.values()),
    )
    statistics = {}
    if settings.label.threshold is not None:
        states = {name: group["state"].values for name, group in behaviour.items()}
        bounds = np.array([_thresholds(states, fold, index, settings.label) for index, fold in enumerate(made)])
        statistics["threshold"] = xr.DataArray(bounds, dims=("fold", "output"))
    for item, asked in settings.inputs.items():
        if isinstance(asked, Traces):
            statistics |= scales.of_traces(item, groups[item], made)
        elif isinstance(asked, Movie) and asked.bad is not None:
            limits = [_bad_above(groups[item], fold, asked.bad.deviations) for fold in made]
            statistics[f"{item}/threshold"] = xr.DataArray(np.array(limits), dims=("fold",))
    return Collected(made, statistics)


def _thresholds(states: Mapping[str, np.ndarray], fold: Fold, index: int, label: Label) -> tuple[float, float]:
    """Return the low and the high threshold of a fold, in the unit of the trace."""
    train = np.concatenate([states[name][row_indices(rows)] for name, rows in fold.train.items()])
    train = train[np.isfinite(train)].astype(np.float64)
    if not train.size:
        raise DataError(
            f"fold {index}, label",
            expected="training frames with a label",
            found="none",
            remedy="Leave out recordings without behaviour, or split otherwise.",
        )
    if isinstance(label.threshold, float):
        return (label.threshold if label.low is None else label.low), label.threshold
    quarter, median, three_quarters = np.percentile(train, [25, 50, 75])
    half = label.hysteresis * (three_quarters - quarter) / 2
    return float(median - half), float(median + half)


def _bad_above(groups: Mapping[str, xr.Dataset], fold: Fold, deviations: float) -> float:
    """Return the scale above which a pixel is an outlier, from the recordings that train."""
    return movies.scale_threshold(
        np.concatenate([groups[name]["scale"].values.astype(np.float64).ravel() for name in fold.train]), deviations
    )


def _refuse_copies(item: str, groups: Mapping[str, xr.Dataset]) -> None:
    seen: dict[str, str] = {}
    for name, group in groups.items():
        first = seen.setdefault(str(group.attrs["fingerprint"]), name)
        if first != name:
            raise DataError(
                f"recordings.{name}, input {item}",
                expected="data of its own",
                found=f"the same {item} as in recordings.{first}, byte for byte",
                remedy="Remove one of the two: a copy would train and test.",
            )


def _check_alike(item: str, groups: Mapping[str, xr.Dataset]) -> None:
    """Raise DataError unless all recordings have the same ROIs, or frames of one size."""
    said = {name: _form(group) for name, group in groups.items()}
    first = next(iter(said))
    for name, form in said.items():
        if form != said[first]:
            raise DataError(
                f"features of {name}, {item}",
                expected=f"{_brief(said[first])}, as in {first}",
                found=_brief(form),
                remedy="Put recordings with other ROIs or frames of another size into a dataset of their own.",
            )


def _form(group: xr.Dataset) -> list[str]:
    if group.attrs["kind"] == "movie":
        return [f"{group.sizes['height']} x {group.sizes['width']} px"]
    return [str(roi) for roi in group["roi"].values]


def _brief(form: list[str]) -> str:
    return form[0] if len(form) == 1 else f"{len(form)} ROIs ({', '.join(form[:3])}, ...)"
