"""The dictionary: unit-norm kernels, shared over neurons or one set per neuron, and how they begin."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.systems.dunl.model.settings import Kernel
from pellucid.systems.dunl.model.slots import Slots
from pellucid.systems.dunl.model.traces import ABSENT, Traces

JITTER = 0.1
"""Norm of the noise added to event-triggered averages, so that kernels that follow the same event differ."""


class Dictionary(nn.Module):
    """Kernels h (dictionary, kernel, lag), each of unit l2 norm, some of them nonnegative."""

    def __init__(self, kernels: np.ndarray, nonnegative: Sequence[bool], *, dtype: torch.dtype) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.as_tensor(kernels, dtype=dtype))
        self.nonnegative = torch.as_tensor(list(nonnegative))
        self.project()

    def forward(self) -> Tensor:
        """Return the kernels."""
        return self.kernels

    @torch.no_grad()
    def project(self) -> None:
        """Put the kernels back on the unit sphere, negative values of nonnegative ones at 0 first (published)."""
        rows = self.nonnegative.to(self.kernels.device)[None, :, None]
        kept = torch.where(rows, self.kernels.clamp(min=0), self.kernels)
        norm = kept.norm(dim=-1, keepdim=True)
        flat = torch.full_like(kept, kept.shape[-1] ** -0.5)  # a kernel that vanished starts again as a box
        self.kernels.copy_(torch.where(norm > 0, kept / norm.clamp(min=1e-30), flat))

    def roughness(self) -> Tensor:
        """Return the sum over time of (h[t + 1] - h[t])^2, mean over all kernels (published)."""
        return (self.kernels.diff(dim=-1) ** 2).sum(-1).mean()


def initial(
    kind: str,
    shape: tuple[int, int, int],
    generator: np.random.Generator,
    *,
    traces: Traces,
    slots: Slots,
    signs: np.ndarray,
    smoothing: float,
) -> np.ndarray:
    """Return kernels to begin with, (dictionary, kernel, lag).

    Random kernels whose codes have one sign are turned to the side of the mean response to their events.

    kind       random, average, chunks or sinusoid
    traces     training traces; slots of their known events
    signs      (kernel,) -1 for kernels whose codes are negative: their averages are turned round
    smoothing  s.d. of a Gaussian over lags, bins; 0: none
    """
    _, count, lags = shape
    noise = generator.standard_normal((count, lags))
    found = _averages(traces, slots, count, lags) * np.where(signs < 0, -1, 1)[:, None]
    if kind == "average":
        known = np.linalg.norm(found, axis=1) > 0
        found[known] /= np.linalg.norm(found[known], axis=1, keepdims=True)
        begun = np.where(known[:, None], found + JITTER * noise / np.sqrt(lags), noise)
    elif kind == "chunks":
        begun = _chunks(traces, count, lags, generator)
    elif kind == "sinusoid":
        begun = np.tile(np.sin(2 * np.pi * np.arange(lags) / lags), (count, 1)) + 1e-3 * noise
    else:
        begun = noise
    if smoothing > 0:
        from scipy.ndimage import gaussian_filter1d

        begun = gaussian_filter1d(begun, smoothing, axis=1, mode="nearest")
    against = (kind == "random") & (signs != 0) & ((begun * found).sum(axis=1) < 0)  # all codes would be 0, and stay 0
    return np.broadcast_to(np.where(against[:, None], -begun, begun), shape).copy()


def given(begun: np.ndarray, values: Mapping[str, Sequence[float]], names: Sequence[str]) -> np.ndarray:
    """Return kernels (dictionary, kernel, lag) with those replaced that the settings give."""
    for name, kernel in values.items():
        begun[:, list(names).index(name)] = kernel
    return begun


def _averages(traces: Traces, slots: Slots, count: int, lags: int) -> np.ndarray:
    """Return the mean signal after the events of each kernel, less the mean before them, (kernel, lag)."""
    padded = np.pad(np.where(traces.valid, traces.signal, np.nan), ((0, 0), (0, lags)), constant_values=np.nan)
    level = np.nanmean(traces.signal[traces.before]) if traces.before.any() else traces.signal[traces.valid].mean()
    out = np.zeros((count, lags))
    for kernel in range(count):
        trace, slot = np.nonzero(slots.kernel == kernel)
        if len(trace):
            windows = padded[trace[:, None], slots.position[trace, slot][:, None] + np.arange(lags)]
            seen = np.isfinite(windows)
            total = np.where(seen, windows - level, 0).sum(0)
            out[kernel] = total / np.maximum(seen.sum(0), 1)
    return out


def _chunks(traces: Traces, count: int, lags: int, generator: np.random.Generator) -> np.ndarray:
    """Return stretches of the signal less the mean of their trace, (kernel, lag), drawn in proportion to their energy.

    Noise where the traces do not have so many stretches that vary.
    """
    centre = traces.signal.sum(1) / np.maximum(traces.valid.sum(1), 1)
    signal = np.where(traces.valid, traces.signal - centre[:, None], 0).astype(float)
    total = np.pad(np.cumsum(signal**2, axis=1), ((0, 0), (1, 0)))
    whole = np.lib.stride_tricks.sliding_window_view(traces.valid, lags, axis=1).all(-1)
    energy = np.where(whole, np.maximum(total[:, lags:] - total[:, :-lags], 0), 0).ravel()
    if np.count_nonzero(energy) < count:
        return generator.standard_normal((count, lags))
    chosen = generator.choice(len(energy), size=count, replace=False, p=energy / energy.sum())
    trace, start = np.unravel_index(chosen, whole.shape)
    return np.asarray(signal[trace[:, None], start[:, None] + np.arange(lags)])


def upwards(weights: Tensor, specs: Sequence[Kernel]) -> Tensor:
    """Return kernels (dictionary, kernel, lag) with those turned round whose sign is free, so that their peak is up."""
    free = torch.as_tensor([spec.code == "free" and not spec.nonnegative for spec in specs], device=weights.device)
    peak = weights.gather(-1, weights.abs().argmax(-1, keepdim=True)).sign()
    return torch.where(free[None, :, None], weights * peak, weights)


def in_order(weights: Tensor, specs: Sequence[Kernel]) -> Tensor:
    """Return kernels (dictionary, kernel, lag) with interchangeable ones in order of their latency, the fastest first.

    Kernels that follow the same event under the same rules could carry each other's names; the published figures sort
    them by hand. Latency is the centre of mass of h^2.
    """
    rules = [(spec.event, spec.nonnegative, spec.code, spec.penalty) for spec in specs]
    lags = torch.arange(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    latency = (weights**2 * lags).sum(-1) / (weights**2).sum(-1)
    sorted_ = weights.clone()
    for rule in dict.fromkeys(rules):
        alike = [index for index, other in enumerate(rules) if other == rule]
        order = latency[:, alike].argsort(dim=1, stable=True)
        sorted_[:, alike] = weights[:, alike].gather(1, order[..., None].expand(-1, -1, weights.shape[-1]))
    return sorted_


def dictionary_of(traces: Traces, *, shared: bool) -> np.ndarray:
    """Return which dictionary each trace uses, (trace,)."""
    return np.zeros(len(traces), int) if shared else traces.neuron


def learnt(weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the kernels of a fit, (dictionary, kernel, lag), without those of neurons that training has not seen."""
    found, baseline = weights["kernels"], weights["baseline"]
    return found[np.isfinite(baseline)] if len(found) == len(baseline) else found


def trial_codes(slots: Slots, codes: np.ndarray, specs: Sequence[Kernel]) -> np.ndarray:
    """Return the sum over time of each kernel's codes, (trace, kernel).

    Where a kernel has no slot in a trace: NaN if its event is absent, 0 if it may start at any time and never did.
    """
    out = np.tile([0.0 if spec.event is None else np.nan for spec in specs], (len(codes), 1))
    trace, slot = np.nonzero(slots.kernel != ABSENT)
    kernel = slots.kernel[trace, slot]
    out[trace, kernel] = 0
    np.add.at(out, (trace, kernel), codes[trace, slot])
    return out
