"""The fits of one model by fold and seed, and the best seed of each fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.whatwhere.model.restore import Fitted, restore

READABLE = ("factorised", "fixed", "gaussian", "transformer")
"""Readouts that say where and what."""


@dataclass(frozen=True)
class Grid:
    """Fits of one model.

    fits     (fold, seed) -> fit; there may be gaps
    best     fold -> seed of least validation loss
    neurons  number of neurons of the dataset; fits may have fewer
    """

    model: str
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    fits: dict[tuple[int, int], Fitted]
    best: dict[int, int]
    neurons: int

    def best_of(self, fold: int) -> Fitted:
        """Return the best fit of a fold."""
        return self.fits[fold, self.best[fold]]

    def best_place(self, fold: int) -> int:
        """Return the place of the best seed of a fold along `seed`."""
        return self.seeds.index(self.best[fold])

    def all(self, ask: Callable[[Fitted], np.ndarray]) -> np.ndarray:
        """Return what every fit says of its neurons, (fold, seed, neuron, ...), NaN for other neurons and gaps."""
        said = {key: ask(fit) for key, fit in self.fits.items()}
        shape = next(iter(said.values())).shape[1:]
        out = np.full((len(self.folds), len(self.seeds), self.neurons, *shape), np.nan)
        for (fold, seed), value in said.items():
            out[self.folds.index(fold), self.seeds.index(seed), self.fits[fold, seed].neurons] = value
        return out


def grid(features: Features, fits: Sequence[Fit], model: str, *, where: str = "attribute.model") -> Grid:
    """Return the fits of one model, but those that found the mean response best for every neuron.

    where  setting that names the model, for the message
    Raises DataError unless it is a network whose readout has a position and feature weights.
    """
    readable = [
        fit for fit in fits if fit.settings["kind"] == "network" and fit.settings["readout"]["kind"] in READABLE
    ]
    chosen = [fit for fit in readable if fit.model == model]
    if not chosen:
        raise DataError(
            where,
            expected=f"a network that says where and what: {', '.join(sorted({f.model for f in readable})) or 'none'}",
            found=model,
            remedy="Name a model of `fit.models` whose readout is factorised, fixed, gaussian or transformer.",
        )
    restored = {(fit.fold, fit.seed): restore(fit, features) for fit in chosen}
    restored = {key: fit for key, fit in sorted(restored.items()) if fit.parts}
    if not restored:
        raise DataError(
            where,
            expected="a fit that predicts some neuron better than its mean response",
            found=f"none among the {len(chosen)} fits of {model}",
            remedy="Use more images, weaker penalties, or `select: fit`.",
        )
    folds, seeds = sorted({fold for fold, _ in restored}), sorted({seed for _, seed in restored})
    loss = {key: (float(fit.fit.notes["validation"]), key[1]) for key, fit in restored.items()}
    best = {fold: min(value for key, value in loss.items() if key[0] == fold)[1] for fold in folds}
    count = sum(features.group(name).sizes["neuron"] for name in features.stores)
    return Grid(model, tuple(folds), tuple(seeds), restored, best, count)
