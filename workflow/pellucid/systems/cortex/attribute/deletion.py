"""Faithfulness of the importance: test AUC when the most important ROIs say nothing, against random ones."""

from dataclasses import dataclass

import numpy as np

from pellucid.attribution import gradients
from pellucid.systems.cortex.attribute.importance import on_device
from pellucid.systems.cortex.attribute.settings import Settings
from pellucid.systems.cortex.model import scores
from pellucid.systems.cortex.model.restore import Decoder

AVERAGED = 1000
"""Training windows, evenly spaced, that give each ROI's mean."""


@dataclass(frozen=True)
class Curve:
    """Test AUC of one fit for each number of ROIs replaced.

    auc        (count,) most important ROIs first
    random     (count,) mean over random orders
    random_sd  (count,) s.d. over random orders
    """

    auc: np.ndarray
    random: np.ndarray
    random_sd: np.ndarray


def counts(rois: int) -> np.ndarray:
    """Return the numbers of ROIs replaced: 0, 1, 2, 4, ... and all, (count,)."""
    powers = 2 ** np.arange(int(np.ceil(np.log2(max(rois, 2)))))
    return np.array([0, *powers[powers < rois], rois])


def curve(decoder: Decoder, score: np.ndarray, settings: Settings) -> Curve:
    """Return the test AUC when the k ROIs of largest score are replaced by their training mean, for several k.

    score  (roi,) importance; equal ones in the order of the ROIs
    The same test windows, evenly spaced, serve every set. With all ROIs replaced the AUC is .5.
    """
    windows = decoder.windows("test")
    indices = windows.thinned(settings.deletion.windows)
    samples, state = windows.take(indices), windows.state[indices]
    mean = _training_mean(decoder)
    generator = np.random.default_rng([settings.seed, decoder.fit.fold, decoder.fit.seed, 1])

    def without(order: np.ndarray) -> list[float]:
        return [_auc(decoder, samples, state, mean, order[:count]) for count in counts(len(score))]

    ranked = without(np.argsort(-score, kind="stable"))
    drawn = np.array([without(generator.permutation(len(score))) for _ in range(settings.deletion.draws)])
    return Curve(np.array(ranked), drawn.mean(0), drawn.std(0, ddof=1))


def _auc(decoder: Decoder, samples: np.ndarray, state: np.ndarray, mean: np.ndarray, chosen: np.ndarray) -> float:
    changed = samples.copy()
    changed[:, :, chosen] = mean[chosen]
    return scores.auc(state, gradients.evaluated(decoder.network, on_device(decoder.network, changed)))


def _training_mean(decoder: Decoder) -> np.ndarray:
    """Return the mean of every normalised trace over training windows and their lags, (roi,)."""
    windows = decoder.windows("train")
    return np.asarray(windows.take(windows.thinned(AVERAGED)).mean((0, 1), dtype=np.float64), np.float32)
