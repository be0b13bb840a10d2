"""Networks that see one band only: is a band that carries much also a band from which much can be decoded?"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from pellucid.artifacts import Features, Fit
from pellucid.systems.deepinsight.attribute import tabulate
from pellucid.systems.deepinsight.attribute.scoring import Scorer, is_network, score
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import bands_of, decoded

LEAST_BANDS = 3
"""Bands that a rank correlation needs."""


def networks(features: Features, fits: Sequence[Fit]) -> dict[int, list[Fit]]:
    """Return the fits of networks that see exactly one band, by its number; those trained for chance are left out."""
    found: dict[int, list[Fit]] = {}
    for fit in fits:
        model = ModelSettings.model_validate(fit.settings)
        if is_network(fit) and model.shift_s is None:
            bands = bands_of(features, model)
            if len(bands) == 1:
                found.setdefault(int(bands[0]), []).append(fit)
    return dict(sorted(found.items()))


def group(features: Features, found: dict[int, list[Fit]], explained: xr.Dataset, settings: Settings) -> xr.Dataset:
    """Return the mean test loss of every one-band network, and how its inverse follows the influence of the band.

    found      fits by band, from `networks`
    explained  /band of the attributed model
    Published: Spearman 0.88 position, 0.82 head direction, 0.47 speed over 26 bands (Frey et al. 2021, Fig. 3, figure
    supplement 1).
    """
    frequencies = features.first()["frequency"].values[list(found)]
    terms = [str(term) for term in explained["output"].values]
    loss = np.stack([_loss(features, fits, terms, settings) for fits in found.values()])
    shared = [k for k, hz in enumerate(frequencies) if hz in explained["frequency"].values]
    influence = explained["influence"].sel(frequency=frequencies[shared]).values
    correlations = np.array([rank_correlation(1 / x, y) for x, y in zip(loss[shared].T, influence.T)])
    return xr.Dataset(
        {
            "loss": (("frequency", "output"), loss, {"units": "mean loss"}),
            "spearman": ("output", correlations[:, 0], tabulate.ONE),
            "p": ("output", correlations[:, 1], tabulate.ONE),
        },
        coords={"frequency": ("frequency", frequencies, {"units": "Hz"}), "output": np.array(terms, object)},
        attrs={"n": len(shared)},
    )


def rank_correlation(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return Spearman's correlation of two profiles over their finite bands, and p; NaN for fewer than LEAST_BANDS."""
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < LEAST_BANDS or np.ptp(x[known]) == 0 or np.ptp(y[known]) == 0:
        return np.nan, np.nan
    result = spearmanr(x[known], y[known])
    return float(result.statistic), float(result.pvalue)


def _loss(features: Features, fits: Sequence[Fit], terms: Sequence[str], settings: Settings) -> np.ndarray:
    """Return the mean loss per row over all fits of one band, (term,); NaN for a term that is not decoded."""
    sums, rows = np.zeros(len(terms)), np.zeros(len(terms))
    for fit in fits:
        theirs = [t for target in decoded(features, ModelSettings.model_validate(fit.settings)) for t in target.terms]
        found = score(Scorer.load(fit, features, settings), [], settings, repeats=1)
        for column, term in enumerate(theirs):
            if term in terms:
                sums[terms.index(term)] += found.base[:, column].sum()
                rows[terms.index(term)] += found.rows
    return np.asarray(np.divide(sums, rows, out=np.full(len(terms), np.nan), where=rows > 0))
