"""How well any prediction can do: the reliability of a mean over repeats."""

import numpy as np

from pellucid.systems.retina.model.scores import correlation


def ceiling(repeats: np.ndarray, *, splits: int, generator: np.random.Generator) -> np.ndarray:
    """Return the largest expected correlation with the mean over repeats, (neuron,); NaN with fewer than two.

    repeats  (repeat, row, neuron)
    sqrt(2 rho / (1 + rho)) with rho the mean correlation between the means of random halves: the reliability of the
    mean of all repeats by Spearman and Brown, and its root, the correlation with the response without noise. 0 where
    halves do not agree. The definition of Maheswaranathan et al. 2023 is unverified.
    """
    if len(repeats) < 2:
        return np.full(repeats.shape[2], np.nan)
    found = []
    for _ in range(splits):
        order = generator.permutation(len(repeats))
        half = len(repeats) // 2
        with np.errstate(invalid="ignore"):
            one, other = (np.nanmean(repeats[part], axis=0) for part in (order[:half], order[half : 2 * half]))
        found.append(correlation(one, other))
    rho = np.clip(np.mean(found, axis=0), 0, 1)
    return np.asarray(np.sqrt(2 * rho / (1 + rho)))
