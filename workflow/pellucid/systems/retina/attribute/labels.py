"""Labels of the first layer's channels: ON or OFF, fast or slow; their space and time courses."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from pellucid.systems.retina.attribute import cascade
from pellucid.systems.retina.model.network import Network

RECENT = 25 / 40
"""Share of the history, newest frames, in which the polarity is looked for (reference code: samples 15 to 39 of 40)."""


@dataclass(frozen=True)
class Labels:
    """What each channel responds to.

    temporal      (feature, lag) sum of the kernel over space, oldest frame first: response to full field
    polarity      (feature,) +1 ON, -1 OFF
    peak_ms       (feature,) from the peak of `temporal` to the response
    fast          (feature,) bool, peaks no earlier before the response than the threshold
    threshold_ms  between fast and slow; NaN where all channels peak together, which are fast then
    threshold     "given", "gap" or "none": where it comes from
    strength      (feature,) see `strength`; norm of the kernel where nothing else is known
    separability  (feature,) share of the kernel's sum of squares in the product of one space and one time course
    spatial       (feature, height, width) that space course, of norm 1, its largest value positive
    component     (feature, lag) that time course
    """

    temporal: np.ndarray
    polarity: np.ndarray
    peak_ms: np.ndarray
    fast: np.ndarray
    threshold_ms: float
    threshold: str
    strength: np.ndarray
    separability: np.ndarray
    spatial: np.ndarray
    component: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Names such as "OFF fast" of every channel."""
        return tuple(
            f"{'ON' if on > 0 else 'OFF'} {'fast' if fast else 'slow'}" for on, fast in zip(self.polarity, self.fast)
        )


def labels(
    kernels: np.ndarray,
    *,
    lag: int,
    rate_hz: float,
    fast_ms: float | None = None,
    recent: float = RECENT,
    strength: np.ndarray | None = None,
) -> Labels:
    """Return the labels of channels by their kernels (rule of Tanaka et al. 2019, reference code).

    kernels   (feature, lag, height, width), oldest frame first
    lag       bins from the newest frame to the response
    rate_hz   frames per s
    fast_ms   threshold between fast and slow; None: the middle of the widest gap, see `gap`
    recent    share of the history, its newest frames, in which polarity and peak are looked for
    strength  (feature,) weight of each channel where the gap is looked for; None: the norm of its kernel
    """
    temporal = kernels.sum((2, 3))
    history = temporal.shape[1]
    begin = history - ceil(recent * history - 1e-9)
    peak = begin + np.abs(temporal[:, begin:]).argmax(1)
    peak_ms = 1e3 * (history - 1 - peak + lag) / rate_hz
    value = np.take_along_axis(temporal, peak[:, None], axis=1)[:, 0]
    norm = np.sqrt((kernels**2).sum((1, 2, 3)))
    weight = norm if strength is None else strength
    threshold, origin = (fast_ms, "given") if fast_ms is not None else gap(peak_ms, weight, 1e3 / rate_hz)
    spatial, component, separability = separated(kernels)
    return Labels(
        temporal=temporal,
        polarity=np.where(value >= 0, 1, -1).astype(np.int8),
        peak_ms=peak_ms,
        fast=np.ones(len(peak), bool) if np.isnan(threshold) else peak_ms <= threshold,
        threshold_ms=float(threshold),
        threshold=origin,
        strength=weight,
        separability=separability,
        spatial=spatial,
        component=component,
    )


def gap(peak_ms: np.ndarray, weight: np.ndarray, bin_ms: float) -> tuple[float, str]:
    """Return the middle of the widest gap between peak times, ms, and "gap"; NaN, "none" without one above a bin.

    peak_ms, weight  (feature,)
    Each gap counts by its width times the smaller share of weight on its two sides, so that a weak channel with a late
    peak makes no group of its own.
    """
    order = np.argsort(peak_ms, kind="stable")
    times, below = peak_ms[order], np.cumsum(weight[order])[:-1]
    width = np.diff(times)
    if not (width > 1.5 * bin_ms).any() or weight.sum() <= 0:
        return float("nan"), "none"
    share = np.minimum(below, weight.sum() - below) / weight.sum()
    place = int(np.where(width > 1.5 * bin_ms, width * share, -1.0).argmax())
    return float((times[place] + times[place + 1]) / 2), "gap"


def separated(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best space and time courses of kernels and the share of their sum of squares in the product.

    kernels  (..., lag, height, width)
    Space (..., height, width) has norm 1 and a positive largest value, time (..., lag) has the unit of the kernel, by
    SVD; the share (...) is NaN for a kernel of zeros.
    """
    flat = kernels.reshape(*kernels.shape[:-2], -1).astype(np.float64)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    space = right[..., 0, :]
    peak = np.take_along_axis(space, np.abs(space).argmax(-1)[..., None], axis=-1)
    sign = np.where(peak >= 0, 1.0, -1.0)
    total = (values**2).sum(-1)
    share = np.divide(values[..., 0] ** 2, total, out=np.full(total.shape, np.nan), where=total > 0)
    time = left[..., 0] * values[..., :1] * sign
    return (space * sign).reshape(*kernels.shape[:-3], *kernels.shape[-2:]), time, share


def strength(network: Network) -> np.ndarray:
    """Return how strongly each channel can act on what follows, (feature,).

    It is the norm of its kernel, times the scale of its normalisation, times the norm of the weights that read it.
    """
    with torch.no_grad():
        head = cascade.of(network)
        kernel = network.kernels().flatten(1).norm(dim=1)
        scale = head.scale.abs().flatten(1).mean(1)
        read = (head.later[0].kernel if head.later else head.weight).transpose(0, 1).flatten(1).norm(dim=1)
        return np.asarray((kernel * scale * read).double().cpu().numpy())
