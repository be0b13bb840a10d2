"""The bands of the spikes of each class of units: power in rows with spikes minus rows without, against influence."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.deepinsight.attribute import spikes, tabulate
from pellucid.systems.deepinsight.attribute.one_band import rank_correlation
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import stretches


def group(features: Features, fits: Sequence[Fit], explained: xr.Dataset) -> xr.Dataset:
    """Return the band profile of every class's spikes, and its rank correlation with the influence profiles.

    fits       of the attributed model; its test rows are used, each scaled by its own fold's statistics
    explained  /band of the attributed model
    A unit's profile is the mean scaled power on its channels in rows with at least one of its spikes minus that in rows
    without; a class's is the mean over its units. Published counterpart: Spearman 0.84 between place-cell spikes and
    position influence, 0.76 between interneurons and head direction (Frey et al. 2021, Fig. 3B), from waveforms.
    """
    known = spikes.units(features, "attribute.classes")
    profiles = {name: _units(features, fits, known, name) for name in features.stores}
    power = np.array(
        [_mean(np.concatenate([profiles[r][known.classes[r] == name] for r in profiles])) for name in known.known]
    ).reshape(len(known.known), explained.sizes["frequency"])
    influence = explained["influence"].values
    correlations = [[rank_correlation(profile, one) for one in influence.T] for profile in power]
    tested = np.array(correlations).reshape(len(power), influence.shape[1], 2)
    count = [sum(int((names == name).sum()) for names in known.classes.values()) for name in known.known]
    return xr.Dataset(
        {
            "power": (("frequency", "feature"), power.T, {"units": "MAD"}),
            "spearman": (("feature", "output"), tested[..., 0], tabulate.ONE),
            "p": (("feature", "output"), tested[..., 1], tabulate.ONE),
            "units": ("feature", np.array(count), {"units": "count"}),
        },
        coords={
            "feature": np.array(known.known, object),
            "frequency": explained["frequency"],
            "output": explained["output"],
        },
    )


def _units(features: Features, fits: Sequence[Fit], known: spikes.Units, recording: str) -> np.ndarray:
    """Return the profile of every unit of one recording, (neuron, frequency); NaN for one that is never silent."""
    power: np.ndarray | float = 0.0  # (with or without, neuron, frequency, channel)
    rows: np.ndarray | float = 0.0  # (with or without, neuron)
    for fit in {fit.fold: fit for fit in fits}.values():
        model = ModelSettings.model_validate(fit.settings)
        found = [one for one in stretches(features, fit.fold, "test", model) if one.recording == recording]
        if found:
            active = spikes.counts(found, known, recording, model.average_rows).astype(float)
            values = np.concatenate([one.power.numpy() for one in found]).astype(float)
            at_spikes = np.einsum("rn,rfc->nfc", active, values, optimize=True)
            power = power + np.stack([at_spikes, values.sum(0) - at_spikes])
            rows = rows + np.stack([active.sum(0), (1 - active).sum(0)])
    seen = known.channels[recording].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):  # no spikes, a spike in every row, or no channel: NaN
        summed = np.einsum("snfc,nc->snf", power, seen) / np.asarray(rows)[:, :, None]
        return np.asarray((summed[0] - summed[1]) / seen.sum(1, keepdims=True))


def _mean(profiles: np.ndarray) -> np.ndarray:
    """Return the mean of the profiles (unit, frequency) that are known; NaN if none is."""
    kept = profiles[np.isfinite(profiles).all(axis=1)]
    return kept.mean(0) if len(kept) else np.full(profiles.shape[1], np.nan)
