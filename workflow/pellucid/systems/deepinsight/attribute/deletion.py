"""Are influences faithful to the network? Bands are shuffled together from the most and from the least influential."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pellucid.systems.deepinsight.attribute.inputs import Input
from pellucid.systems.deepinsight.attribute.scoring import Scorer, score
from pellucid.systems.deepinsight.attribute.settings import Settings


def group(influences: np.ndarray, scorers: Sequence[Scorer], terms: Sequence[str], settings: Settings) -> xr.Dataset:
    """Shuffle the k most and the k least influential bands together: faithful influences hurt more from the top.

    influences  (band, term)
    """
    order = np.argsort(-influences.mean(1))
    counts = sorted({min(k, len(order) // 2) for k in settings.deletion})
    most = [Input(f"most {k}", sorted(order[:k].tolist()), None) for k in counts]
    least = [Input(f"least {k}", sorted(order[-k:].tolist()), None) for k in counts]
    losses = [score(scorer, [*most, *least], settings, repeats=1) for scorer in scorers]
    base = sum(one.base.sum(0) for one in losses)
    ratio = sum(one.shuffled[0].sum(0) for one in losses) / base - 1
    flat = ("feature", "output")
    return xr.Dataset(
        {
            "most": (flat, ratio[: len(counts)], {"units": "1"}),
            "least": (flat, ratio[len(counts) :], {"units": "1"}),
        },
        coords={"feature": counts, "output": np.array(list(terms), object)},
    )
