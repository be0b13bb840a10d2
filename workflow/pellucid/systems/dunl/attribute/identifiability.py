"""What the data can tell apart: kernels that look alike, events that overlap, and kernels that always start together.

Sheet §8, identifiability. Kernels that share their onset on every trial are determined only up to an invertible mixing:
H x = (H M)(M^-1 x). The space they span is determined, so it is scored first, the single kernels second.
Onsets are bins, (kernel, trial, event), negative where there is no event: for every kernel its own events.
"""

from collections.abc import Sequence

import numpy as np
from scipy import linalg


def coherence(kernels: np.ndarray) -> np.ndarray:
    """Return |<h_j, h_k>| of unit-norm kernels, (kernel, kernel), from kernels (lag, kernel) of any norm."""
    unit = _unit(kernels)
    return np.asarray(np.abs(unit.T @ unit))


def best_lag_coherence(kernels: np.ndarray) -> np.ndarray:
    """Return the largest |cross-correlation| of unit-norm kernels over all lags, (kernel, kernel), of (lag, kernel)."""
    unit = _unit(kernels)
    size = 2 * len(unit)
    spectrum = np.fft.rfft(unit, size, axis=0)
    crossed = np.fft.irfft(spectrum[:, :, None].conj() * spectrum[:, None, :], size, axis=0)
    return np.asarray(np.abs(crossed).max(0))


def event_overlap(onset: np.ndarray, lags: int) -> np.ndarray:
    """Return the share of events of kernel j whose window of `lags` bins overlaps that of an event of kernel k.

    onset  (kernel, trial, event) bins
    Returns (kernel, kernel), j first; on the diagonal, overlap with another event of the same kernel; NaN for a kernel
    without events.
    """
    present = onset >= 0
    count = len(onset)
    share = np.full((count, count), np.nan)
    other = ~np.eye(onset.shape[2], dtype=bool)
    for j in range(count):
        for k in range(count):
            near = np.abs(onset[j][:, :, None] - onset[k][:, None, :]) < lags
            near &= present[j][:, :, None] & present[k][:, None, :]
            if j == k:
                near &= other
            if present[j].any():
                share[j, k] = near.any(2)[present[j]].mean()
    return share


def shared_onset(onset: np.ndarray) -> list[list[int]]:
    """Return groups of kernels whose events start in the same bins of every trial, from onset (kernel, trial, event).

    Each group lists two or more kernels in order; a kernel without any event is in none.
    """
    groups: dict[bytes, list[int]] = {}
    for kernel, bins in enumerate(np.sort(np.where(onset >= 0, onset, -1), axis=-1)):
        if (bins >= 0).any():
            groups.setdefault(bins.astype(np.int64).tobytes(), []).append(kernel)
    return [group for group in groups.values() if len(group) > 1]


def ambiguity(names: Sequence[str], nonnegative: Sequence[bool], sign: Sequence[int]) -> str:
    """Return, for kernels that share their onset, what restricts their mixing and what it leaves open, as a sentence.

    nonnegative  (kernel,) whether the kernel is held at 0 or above
    sign         (kernel,) sign its codes are held to: 1, -1, or 0 for free
    """
    opening = f"{' and '.join(names)} start together on every trial: the data determine the space they span"
    held = [name for name, flag in zip(names, nonnegative) if flag]
    signed = [name for name, one in zip(names, sign) if one]
    parts = [f"nonnegative kernels ({', '.join(held)})"] if held else []
    parts += [f"codes of one sign ({', '.join(signed)})"] if signed else []
    if not parts:
        return f"{opening}, and nothing in the model chooses kernels within it."
    rest = _open(len(held) == len(names), len(signed) == len(names), alike=len(set(sign)) == 1)
    return f"{opening}; within it the choice is restricted by {' and '.join(parts)}. {rest}"


def _open(held: bool, signed: bool, *, alike: bool) -> str:
    """Return what stays possible if all kernels are held, all codes signed (all alike), or only some of either."""
    if held and signed and alike:
        return (
            "Kernels and codes are then unique only if each kernel has a lag, and each code a trial, at which it is 0 "
            "and another is not."
        )
    if held and not signed:
        return (
            "Free codes take back any positive share of one kernel that is added to another, so only the removal of "
            "shares is limited."
        )
    if signed and not held:
        return "Free kernels take back any mixing that keeps the signs of the codes."
    return "Mixing that meets these restrictions stays possible."


def subspace_angles_deg(estimated: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the principal angles between the spaces of two sets of kernels, (angle,) degrees, largest first.

    estimated, truth  (lag, kernel), possibly of different numbers of kernels
    """
    return np.asarray(np.degrees(linalg.subspace_angles(estimated, truth)))


def design_conditions(kernels: np.ndarray, onset: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the condition number of every trial's design: one unit-norm column per event of each kernel.

    kernels  (lag, kernel)
    onset    (kernel, trial, event) bins
    valid    (trial, time) bool: bins that are not valid say nothing about a code
    Returns (trial,): 1 if no columns overlap, inf if codes are not determined, NaN for a trial without events.
    """
    lags = len(kernels)
    position = np.moveaxis(onset, 0, 2).reshape(onset.shape[1], -1)  # (trial, slot), kernels fastest
    which = np.tile(np.arange(len(onset)), onset.shape[2])
    relative = np.arange(valid.shape[1])[None, :, None] - position[:, None, :]
    inside = (relative >= 0) & (relative < lags) & (position >= 0)[:, None, :] & valid[:, :, None]
    design = np.where(inside, kernels[np.where(inside, relative, 0), which], 0)
    norm = np.linalg.norm(design, axis=1, keepdims=True)
    design = np.divide(design, norm, out=np.zeros_like(design), where=norm > 0)
    size = np.linalg.svd(design, compute_uv=False)
    columns = (norm[:, 0] > 0).sum(1)
    rows = np.arange(len(size))
    least = np.where(columns <= size.shape[1], size[rows, np.minimum(columns, size.shape[1]) - 1], 0)
    rounding = max(design.shape[1:]) * np.finfo(float).eps * size[:, 0]
    found = np.divide(size[:, 0], least, out=np.full(len(size), np.inf), where=least > rounding)
    return np.where(columns > 0, found, np.nan)


def median_by_kernel(condition: np.ndarray, onset: np.ndarray) -> np.ndarray:
    """Return the median condition number over the trials in which each kernel has an event, (kernel,), NaN if none.

    condition  (trial,) from `design_conditions`; onset (kernel, trial, event) bins
    """
    found = [condition[(bins >= 0).any(1) & ~np.isnan(condition)] for bins in onset]
    return np.array([np.median(values) if len(values) else np.nan for values in found])


def _unit(kernels: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(kernels, axis=0)
    return np.asarray(np.divide(kernels, norm, out=np.zeros(kernels.shape), where=norm > 0))
