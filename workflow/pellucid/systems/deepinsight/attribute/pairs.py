"""Interactions of pairs of bands: does shuffling two together cost more than the two alone?

In every repeat all bands are permuted by one order, alone and in every pair. An interaction is then not the noise of
different draws, and a pair keeps the relation of its two bands, as a shuffled group does.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import xarray as xr

from pellucid.artifacts import Fit
from pellucid.attribution.interactions import interaction
from pellucid.systems.deepinsight.attribute import inputs, tabulate
from pellucid.systems.deepinsight.attribute.scoring import Scorer, blocks
from pellucid.systems.deepinsight.attribute.settings import Settings

STREAM = 1
"""Separates the random numbers of pairs from those of single bands."""


def score(scorer: Scorer, features: xr.Dataset, settings: Settings) -> np.ndarray:
    """Return summed losses (block, 1 + band + pair, term), mean over repeats; pairs in the order of `combinations`.

    Each band in turn is shuffled first, and with it as the base every later band as well: a pass over a narrow variant
    per pair, where a variant that spans both bands would recompute all that lies between.
    """
    listed = inputs.bands(features)
    generator = np.random.default_rng([settings.seed, scorer.fit.fold, scorer.fit.seed, STREAM])
    sums = []
    for _ in range(settings.repeats):
        order = listed[0].source(len(scorer.pool), generator, settings.block_rows)
        changed = [(one, order) for one in listed]
        alone = [scorer.losses(scorer.predict([]))]
        together = []
        for number, first in enumerate(changed):
            each = scorer.losses(scorer.predict(changed[number + 1 :], first))
            alone.append(each[:1])
            together.append(each[1:])
        sums.append(blocks(np.concatenate([*alone, *together]), settings.blocks))
    return np.asarray(np.mean(sums, axis=0))


def group(
    losses: Sequence[np.ndarray], features: xr.Dataset, fits: Sequence[Fit], terms: Sequence[str], settings: Settings
) -> xr.Dataset:
    """Return the interaction I_xy - (I_x + I_y) of every pair with its interval and p; losses are those of `score`."""
    frequencies = features.coords["frequency"].values
    members = np.array(list(combinations(range(len(frequencies)), 2)))
    sums = tabulate.grid(losses, fits)
    base, singles, both = np.split(sums, [1, 1 + len(frequencies)], axis=3)
    base = base[..., 0, :]
    found = interaction(base, singles, both, members, tabulate.weights(base, settings))
    flat = ("feature", "output")
    values = {"interaction": found.value, "low": found.low, "high": found.high, "p": found.p, "p_holm": found.p_holm}
    return xr.Dataset(
        {name: (flat, value, tabulate.ONE) for name, value in values.items()},
        coords={
            "first_hz": ("feature", frequencies[members[:, 0]], {"units": "Hz"}),
            "second_hz": ("feature", frequencies[members[:, 1]], {"units": "Hz"}),
            "output": np.array(list(terms), object),
        },
        attrs={
            "n": int(np.prod(base.shape[:3])),
            "note": "p: Wilcoxon signed-rank over (fold, seed, block), which are not fully independent; "
            "p_holm: Holm-Sidak over all pairs of an output",
        },
    )
