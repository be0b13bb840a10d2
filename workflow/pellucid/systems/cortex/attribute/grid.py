"""The fits of one model by fold and seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.cortex.model.restore import Decoder, restore

Key = tuple[int, int]
"""Fold and seed."""

MOVIES = ("cnn", "cnn_rnn")
"""Kinds of decoders that see a movie."""


@dataclass(frozen=True)
class Grid:
    """Fits of one model that decodes the state.

    fits  (fold, seed) -> fit; there may be gaps
    """

    model: str
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    fits: Mapping[Key, Fit]

    @property
    def of_movie(self) -> bool:
        """Whether the model sees a movie."""
        return self._first.settings["kind"] in MOVIES

    @property
    def input(self) -> str:
        """Name of the input."""
        return str(self._first.settings["input"])

    @property
    def _first(self) -> Fit:
        return next(iter(self.fits.values()))

    def restored(self, features: Features, what: str) -> Iterator[tuple[Key, Decoder]]:
        """Yield the decoders one after the other, so that only one is in memory."""
        for key, fit in tqdm(self.fits.items(), desc=f"{self.model}: {what}", unit="fit", disable=None):
            decoder = restore(fit, features)
            yield key, decoder

    def full(self, values: Mapping[Key, np.ndarray | float]) -> np.ndarray:
        """Return values of every fit as (fold, seed, ...), NaN in gaps."""
        shape = np.shape(next(iter(values.values())))
        out = np.full((len(self.folds), len(self.seeds), *shape), np.nan)
        for (fold, seed), value in values.items():
            if fold in self.folds and seed in self.seeds:
                out[self.folds.index(fold), self.seeds.index(seed)] = value
        return out


def grid(fits: Sequence[Fit], model: str, *, where: str = "attribute.model", of_movie: bool | None = None) -> Grid:
    """Return the fits of a model.

    where     setting that names the model, for the message
    of_movie  whether it must see a movie (True) or traces (False); None: either
    Raises DataError if there is no such model among those that decode the state.
    """
    known = [fit for fit in fits if fit.settings["target"] == "state"]
    if of_movie is not None:
        known = [fit for fit in known if (fit.settings["kind"] in MOVIES) == of_movie]
    chosen = {(fit.fold, fit.seed): fit for fit in known if fit.model == model}
    if not chosen:
        what = {None: "a model", True: "a model of a movie", False: "a model of traces"}[of_movie]
        raise DataError(
            where,
            expected=f"{what} that decodes the state: {', '.join(sorted({fit.model for fit in known})) or 'none'}",
            found=model,
            remedy="Name a model of `fit.models`.",
        )
    folds, seeds = sorted({fold for fold, _ in chosen}), sorted({seed for _, seed in chosen})
    return Grid(model, tuple(folds), tuple(seeds), dict(sorted(chosen.items())))
