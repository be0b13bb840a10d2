"""Elimination at spike times: what is lost when the power at the spikes of one class of units is taken away?

Every class has a control: as many rows of the same channels, drawn among those without spikes of that class, lose the
same bands. What a class carries is what its elimination costs beyond that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.deepinsight.attribute import inputs, spikes, tabulate
from pellucid.systems.deepinsight.attribute.inputs import MEDIAN, Input
from pellucid.systems.deepinsight.attribute.scoring import Losses, Scorer, score
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings


@dataclass(frozen=True)
class Eliminated(Input):
    """Some rows of some channels, replaced by the median or by values of rows without spikes.

    at       (row of all stretches, changed channel) where the class spikes
    how      replace or scramble
    control  as many rows without spikes instead, drawn anew for every repeat
    """

    at: np.ndarray
    how: str
    control: bool

    def source(self, rows: int, generator: np.random.Generator, block_rows: int | None) -> np.ndarray:
        """Return where each value is taken from, (row, changed channel). Channels of one group change together."""
        source = np.tile(np.arange(rows)[:, None], (1, self.at.shape[1]))
        patterns, which = np.unique(self.at, axis=1, return_inverse=True)
        for number, at in enumerate(patterns.T):
            spiking, silent = np.flatnonzero(at), np.flatnonzero(~at)
            changed = spiking
            if self.control:
                changed = np.sort(generator.choice(silent, min(len(spiking), len(silent)), replace=False))
            values = np.full(len(changed), MEDIAN)
            if self.how == "scramble" and len(silent):
                values = generator.choice(silent, len(changed), replace=len(changed) > len(silent))
            source[np.ix_(changed, np.flatnonzero(which.ravel() == number))] = values[:, None]
        return source


def score_classes(
    scorer: Scorer, features: xr.Dataset, known: spikes.Units, settings: Settings
) -> tuple[Losses, np.ndarray]:
    """Return the losses without each class, then without each control, and the share of changed rows, (2 class,).

    features  coordinates of the model's bands
    """
    model = ModelSettings.model_validate(scorer.fit.settings)
    listed = []
    for name, how in settings.elimination.items():
        at = spikes.at_spikes(scorer.found, known, name, model.average_rows, how.neighbours)
        channels = np.flatnonzero(at.any(axis=0)).tolist() or [0]
        bands = inputs.nearest(how.bands_hz, features)
        listed.append(
            [Eliminated(name, bands, channels, at[:, channels], how.how, control) for control in (False, True)]
        )
    every = [one for number in (0, 1) for one in (pair[number] for pair in listed)]
    shares = []
    for one in every:
        spiking = one.at.sum(0)
        changed = np.minimum(spiking, len(one.at) - spiking) if one.control else spiking
        shares.append(changed.mean() / len(one.at))
    return score(scorer, every, settings, repeats=settings.repeats), np.array(shares)


def units(features: Features, settings: Settings) -> spikes.Units:
    """Return the units whose spikes are eliminated. Raises DataError for a class that no unit is of."""
    known = spikes.units(features, "attribute.elimination")
    unknown = sorted(set(settings.elimination) - set(known.known))
    if unknown:
        raise DataError(
            "attribute.elimination",
            expected=f"classes of units: {', '.join(known.known) or 'none'}",
            found=", ".join(unknown),
            remedy="Correct the name of the class, or the recording's `unit_class`.",
        )
    return known


def group(
    scored: Sequence[tuple[Losses, np.ndarray]],
    fits: Sequence[Fit],
    terms: Sequence[str],
    settings: Settings,
) -> xr.Dataset:
    """Return what the elimination of every class costs, and its control; `scored` holds `score_classes` per fit."""
    count, flat = len(settings.elimination), ("feature", "output")
    found = tabulate.influences([losses for losses, _ in scored], fits, slice(None), settings)
    shares = np.mean([share for _, share in scored], axis=0)
    return xr.Dataset(
        {
            "influence": (flat, found.value[:count], tabulate.ONE),
            "low": (flat, found.low[:count], tabulate.ONE),
            "high": (flat, found.high[:count], tabulate.ONE),
            "control": (flat, found.value[count:], tabulate.ONE),
            "control_low": (flat, found.low[count:], tabulate.ONE),
            "control_high": (flat, found.high[count:], tabulate.ONE),
            "rows": ("feature", shares[:count], tabulate.ONE),
            "control_rows": ("feature", shares[count:], tabulate.ONE),
        },
        coords={"feature": np.array(list(settings.elimination), object), "output": np.array(list(terms), object)},
        attrs={
            "note": "rows: share of test rows changed per channel that holds spikes of the class; "
            "intervals hold together over all classes and controls of an output"
        },
    )
