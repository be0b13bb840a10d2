"""Single folds whose test trials are fixed: the published order of trial types, and a covariate that marks them."""

from collections.abc import Mapping

import numpy as np

from pellucid.artifacts import Fold
from pellucid.errors import DataError
from pellucid.preprocess import splits
from pellucid.systems.dunl.features.settings import Split


def published_order(labels: Mapping[str, np.ndarray], settings: Split) -> list[Fold]:
    """Return the published fold: of each recording's trials in order of type, the last share is tested.

    labels  recording -> type of each trial, shape (trial,); numbers are ordered as numbers, equal ones by time
    The test set so holds the types of the largest numbers only (as published); the first int(n (1 - share))
    trials train, but for a random share of each type that validates.
    """
    test = {}
    for name, label in labels.items():
        order = np.argsort(_ranks(label), kind="stable")
        test[name] = np.zeros(len(label), bool)
        test[name][order[int(len(label) * (1 - settings.test_share) + 1e-9) :]] = True
    return _single(test, labels, settings)


def by_covariate(covariates: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], settings: Split) -> list[Fold]:
    """Return the fold that tests all trials whose covariate is at least `settings.test.least`.

    covariates  recording -> value of each trial, shape (trial,). Raises DataError for NaN
    """
    least = np.inf if settings.test is None else settings.test.least
    for name, values in covariates.items():
        if np.isnan(values).any():
            raise DataError(
                f"recording {name}, split.test",
                expected="a value for every trial",
                found=f"{int(np.isnan(values).sum())} without one",
                remedy="Leave these trials out by `keep`, or name another covariate.",
            )
    return _single({name: values >= least for name, values in covariates.items()}, labels, settings)


def _single(test: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], settings: Split) -> list[Fold]:
    gap = settings.purge_rows or 0
    fold = splits.complete(test, labels, settings, np.random.default_rng(settings.seed), gap=gap)
    splits.check(fold, gap=gap)
    return [fold]


def _ranks(label: np.ndarray) -> np.ndarray:
    """Return the place of each label in sorted order, by number if all are numbers, shape (trial,)."""
    text = np.asarray(label, object).astype(str)
    try:
        return np.unique(text.astype(float), return_inverse=True)[1]
    except ValueError:
        return np.unique(text, return_inverse=True)[1]
