"""Linear regression of each neuron on the image patch around its known or located receptive field (RF)."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from pellucid.errors import DataError

Kind = Literal["ols", "ridge", "lasso"]
Part = tuple[np.ndarray, np.ndarray]  # images (image, channel, height, width) and responses (image, neuron)

# alpha of scikit-learn: ridge |y - x b|^2 + alpha |b|^2, lasso |y - x b|^2 / (2 images) + alpha |b|_1
PENALTIES: dict[Kind, tuple[float, ...]] = {
    "ols": (0.0,),
    "ridge": (10, 100, 300, 1000, 1500, 2000, 2500, 3000, 5000, 8000, 1e4, 1.5e4, 2e4),
    "lasso": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3),
}


@dataclass(frozen=True)
class Regression:
    """One linear filter per neuron.

    filters    (neuron, channel, height, width) float32, response per unit of a pixel; 0 outside the window
    intercept  (neuron,) float32, unit of the responses
    penalty    (neuron,) the chosen penalty, NaN for a neuron without training responses
    loss       (neuron,) mean squared error on the validation images, NaN without any
    """

    filters: np.ndarray
    intercept: np.ndarray
    penalty: np.ndarray
    loss: np.ndarray

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return predictions, shape (image, neuron), for images (image, channel, height, width)."""
        flat = images.reshape(len(images), -1)
        return np.asarray(flat @ self.filters.reshape(len(self.filters), -1).T + self.intercept)


@dataclass(frozen=True)
class _Design:
    """Regressors and Gram matrix of neurons that share window and images, float64, centred if there is an intercept."""

    train: np.ndarray  # (image, pixel)
    validation: np.ndarray  # (image, pixel)
    mean: np.ndarray  # (pixel,): what was subtracted, 0 without an intercept
    gram: np.ndarray  # (pixel, pixel)
    values: np.ndarray  # (pixel,): eigenvalues of the Gram matrix
    vectors: np.ndarray  # (pixel, pixel): its eigenvectors as columns


def fit(
    train: Part,
    validation: Part,
    positions: np.ndarray,
    *,
    kind: Kind,
    window_px: int = 17,
    penalties: Sequence[float] | None = None,
    intercept: bool = False,
) -> Regression:
    """Fit one linear model per neuron and choose its penalty by the squared error on validation images.

    train, validation  images (image, channel, height, width) and responses (image, neuron), NaN where there is none
    positions          (neuron, 2) row, column px of the RF centres, rounded to whole pixels
    kind               "ols" (the shortest solution where it is not unique), "ridge" or "lasso"
    window_px          odd side of the patch; at a border of the image it shrinks to the pixels that exist, which
                       equals zero padding
    penalties          candidates, as scikit-learn's alpha; by default those of the reference code; ties go to the
                       larger one. "ols" has none
    intercept          whether to fit one; needed where images or responses do not have mean 0
    Klindt et al. 2017, Fig. 3 (reference code, GLMs.py), where the penalty was chosen on test images instead. Raises
    DataError for a position outside the image, an even window or a negative penalty.
    """
    candidates = _candidates(kind, penalties)
    shape, neurons = train[0].shape[1:], train[1].shape[1]
    _check(positions, shape, window_px)
    filters = np.zeros((neurons, *shape), np.float32)
    offset, penalty, loss = np.zeros(neurons, np.float32), np.full(neurons, np.nan), np.full(neurons, np.nan)
    for group, rows, columns in _groups(positions, (train[1], validation[1]), shape, window_px):
        (patches, responses), (held, truth) = (_known(part, group, rows, columns) for part in (train, validation))
        if not len(patches):
            continue
        design = _design(patches, held, intercept)
        for neuron, y, expected in zip(group, responses.T, truth.T):
            mean = y.mean() if intercept else 0.0
            found = _solutions(design, y - mean, kind, candidates)  # (candidate, pixel)
            best, loss[neuron] = _best((design.validation @ found.T + mean - expected[:, None]) ** 2)
            penalty[neuron] = candidates[best]
            filters[neuron, :, rows, columns] = found[best].reshape(filters[neuron, :, rows, columns].shape)
            offset[neuron] = mean - design.mean @ found[best]
    return Regression(filters, offset, penalty, loss)


def _known(part: Part, neurons: np.ndarray, rows: slice, columns: slice) -> Part:
    """Return patches (image, pixel) and responses (image, neuron), float64, of the images these neurons have."""
    images, responses = part
    known = np.isfinite(responses[:, neurons[0]])
    patches = images[:, :, rows, columns][known].astype(float)
    return patches.reshape(len(patches), np.prod(patches.shape[1:])), responses[known][:, neurons].astype(float)


def _best(errors: np.ndarray) -> tuple[int, float]:
    """Return the candidate of the smallest mean of errors (image, candidate), and that mean."""
    if not len(errors):
        return 0, float("nan")
    mean = errors.mean(axis=0)
    return int(mean.argmin()), float(mean.min())


def _design(train: np.ndarray, validation: np.ndarray, intercept: bool) -> _Design:
    mean = train.mean(axis=0) if intercept else np.zeros(train.shape[1])
    train = train - mean
    gram = train.T @ train
    return _Design(train, validation - mean, mean, gram, *np.linalg.eigh(gram))


def _solutions(design: _Design, response: np.ndarray, kind: Kind, candidates: Sequence[float]) -> np.ndarray:
    """Return the weights for every candidate, (candidate, pixel); response (image,)."""
    product = design.train.T @ response
    if kind == "lasso":
        with warnings.catch_warnings():  # a candidate too weak to converge competes on validation as it is
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, found, _ = enet_path(
                design.train, response, l1_ratio=1.0, alphas=candidates, precompute=design.gram, Xy=product
            )
        return np.asarray(found.T)
    turned = design.vectors.T @ product
    limit = max(design.train.shape) * np.finfo(float).eps * max(design.values[-1], 0)
    strength = design.values + np.asarray(candidates)[:, None]
    inverse = np.divide(1, strength, out=np.zeros_like(strength), where=strength > limit)
    return np.asarray((inverse * turned) @ design.vectors.T)


def _groups(
    positions: np.ndarray, responses: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...], window_px: int
) -> Iterator[tuple[np.ndarray, slice, slice]]:
    """Give neurons with equal windows and known images, and the rows and columns of their window."""
    centres, half = np.rint(positions).astype(int), window_px // 2
    found: dict[tuple[int, int, bytes], list[int]] = {}
    for neuron, (row, column) in enumerate(centres):
        known = b"".join(np.isfinite(part[:, neuron]).tobytes() for part in responses)
        found.setdefault((row, column, known), []).append(neuron)
    for (row, column, _), neurons in found.items():
        rows = slice(max(row - half, 0), min(row + half + 1, shape[1]))
        columns = slice(max(column - half, 0), min(column + half + 1, shape[2]))
        yield np.array(neurons), rows, columns


def _candidates(kind: Kind, penalties: Sequence[float] | None) -> list[float]:
    """Return penalties from the largest to the smallest."""
    if kind == "ols" or penalties is None:
        return sorted(PENALTIES[kind], reverse=True)
    if not len(penalties) or min(penalties) < 0:
        raise DataError(
            "penalties",
            expected="at least one penalty, none negative",
            found=str(list(penalties)),
            remedy="Leave them out to use the published ones.",
        )
    return sorted(penalties, reverse=True)


def _check(positions: np.ndarray, shape: tuple[int, ...], window_px: int) -> None:
    inside = (np.rint(positions) >= 0) & (np.rint(positions) < shape[1:])  # False for NaN
    if not inside.all():
        neuron = int(np.flatnonzero(~inside.all(axis=1))[0])
        raise DataError(
            f"position of neuron {neuron}",
            expected=f"row and column within the image of {shape[1]} x {shape[2]} pixels",
            found=str(positions[neuron].tolist()),
            remedy="Locate receptive fields where they are not known, or correct the known centres.",
        )
    if window_px < 1 or window_px % 2 == 0:
        raise DataError("window_px", expected="an odd number of pixels", found=str(window_px), remedy="Use e.g. 17.")
