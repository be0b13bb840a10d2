"""What each trace says alone: correlation with the state, and AUC, on the rows that the decoder is tested on."""

import numpy as np

from pellucid.learning import metrics
from pellucid.systems.cortex.model import scores
from pellucid.systems.cortex.model.restore import Decoder

BLOCK = 4096
"""Windows read at once."""


def univariate(decoder: Decoder) -> tuple[np.ndarray, np.ndarray]:
    """Return Pearson's r with the state, and the AUC, of every trace on the labelled test frames; both (roi,).

    Traces are normalised as the decoder sees them; where the window leaves out the labelled frame, its nearest sample
    stands for it. r is the mean over sessions (Ajioka et al. 2024, reference code), NaN ones left out; the AUC is
    pooled over sessions as the decoder's is, below .5 where a trace falls in state 1. NaN where undefined.
    """
    windows = decoder.windows("test")
    values, state = labelled(decoder), windows.state
    correlations = []
    for number in np.unique(windows.session):
        own = windows.session == number
        correlations.append(metrics.pearson(np.repeat(state[own, None], values.shape[1], axis=1), values[own]))
    areas = [scores.auc(state, trace) for trace in values.T]
    return _mean(np.stack(correlations)), np.array(areas)


def labelled(decoder: Decoder) -> np.ndarray:
    """Return the normalised traces at the labelled test frames, (window, roi), read block by block."""
    windows = decoder.windows("test")
    place = int(np.abs(decoder.lag_s).argmin())
    starts = range(0, windows.count, BLOCK)
    blocks = [windows.take(np.arange(start, min(start + BLOCK, windows.count)))[:, place] for start in starts]
    return np.concatenate(blocks).astype(float)


def _mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    count = known.sum(0)
    return np.asarray(np.where(count > 0, np.where(known, values, 0).sum(0) / np.maximum(count, 1), np.nan))
