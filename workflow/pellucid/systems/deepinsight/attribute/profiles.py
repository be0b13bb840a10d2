"""Influence profiles of further networks: how much data, which window and which averaging give a stable profile."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from tqdm import tqdm

from pellucid.artifacts import Features, Fit
from pellucid.systems.deepinsight.attribute import inputs, tabulate
from pellucid.systems.deepinsight.attribute.scoring import Scorer, networks, score
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import bands_of, decoded

LEAST_BANDS = 3
"""Bands that two profiles must share for a correlation."""


def group(
    features: Features,
    fits: Sequence[Fit],
    explained: xr.Dataset,
    true_bands: Mapping[str, np.ndarray],
    settings: Settings,
) -> xr.Dataset:
    """Return the influence of every band on every output for the models of `settings.profiles`.

    explained   /band of the attributed model, which the profiles are held against
    true_bands  output -> frequencies (Hz) that carry it, where truth is known
    Every model is scored with its own windows and averages, on its own test rows. Published counterpart: Pearson 0.89
    after 5 min of training data against the whole (Frey et al. 2021, Fig. 3, figure supplement 2).
    """
    every = features.first()["frequency"].values
    terms = [str(term) for term in explained["output"].values]
    chosen = [networks(fits, name, "attribute.profiles") for name in settings.profiles]
    typed = [ModelSettings.model_validate(own[0].settings) for own in chosen]
    found = np.full((len(chosen), len(every), len(terms)), np.nan)
    for number, (own, model) in enumerate(zip(chosen, typed)):
        bands = bands_of(features, model)
        theirs = [term for target in decoded(features, model) for term in target.terms]
        columns = [terms.index(term) for term in theirs if term in terms]
        values = _profile(features, own, bands, settings)[:, [i for i, term in enumerate(theirs) if term in terms]]
        found[number][np.ix_(bands, np.array(columns, int))] = values
    reference = np.full(found.shape[1:], np.nan)
    reference[np.isin(every, explained["frequency"].values)] = explained["influence"].values
    kept = np.isfinite(np.concatenate([found, reference[None]])).any((0, 2))
    spans = {"window_rows": [m.window_rows for m in typed], "average_rows": [m.average_rows for m in typed]}
    return xr.Dataset(
        {
            "influence": (("model", "frequency", "output"), found[:, kept], tabulate.ONE),
            "pearson": (("model", "output"), np.array([_correlations(one, reference) for one in found]), tabulate.ONE),
            "rank": (
                ("model", "output"),
                np.array([[_rank(one[:, k], every, true_bands.get(t)) for k, t in enumerate(terms)] for one in found]),
                tabulate.ONE,
            ),
            "train_s": ("model", np.array([np.nan if m.train_s is None else m.train_s for m in typed]), {"units": "s"}),
            **{name: ("model", np.array(values), {"units": "rows"}) for name, values in spans.items()},
        },
        coords={
            "model": np.array(settings.profiles, object),
            "frequency": ("frequency", every[kept], {"units": "Hz"}),
            "output": np.array(terms, object),
        },
    )


def _profile(features: Features, fits: Sequence[Fit], bands: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the influence of every band of one model, (band, term)."""
    listed = inputs.bands(features.first().isel(frequency=bands))
    shown = tqdm(fits, desc=f"profile of {fits[0].model}", unit="fit", disable=None)
    losses = [score(Scorer.load(fit, features, settings), listed, settings, repeats=settings.repeats) for fit in shown]
    return tabulate.influences(losses, fits, slice(None), settings).value


def _correlations(profile: np.ndarray, reference: np.ndarray) -> list[float]:
    """Return Pearson's r per output over the bands that both have; NaN for fewer than LEAST_BANDS."""
    found = []
    for one, other in zip(profile.T, reference.T):
        both = np.isfinite(one) & np.isfinite(other)
        found.append(float(np.corrcoef(one[both], other[both])[0, 1]) if both.sum() >= LEAST_BANDS else np.nan)
    return found


def _rank(profile: np.ndarray, frequencies: np.ndarray, true_hz: np.ndarray | None) -> float:
    """Return the best rank of a true band among the bands of a model, 1 the most influential; NaN if it has none."""
    known = np.isfinite(profile) if true_hz is None else np.isfinite(profile) & np.isin(frequencies, true_hz)
    if true_hz is None or not known.any():
        return np.nan
    return float(1 + (profile > profile[known].max()).sum())
