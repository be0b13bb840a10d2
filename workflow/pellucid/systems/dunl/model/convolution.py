"""Kernels convolved with codes over whole trials, and the adjoint, in the cheapest form for the length of the trial."""

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional

MOST_BINS = 160
"""Up to this length a product with the (Toeplitz) matrix of all shifted kernels is faster than transforms."""


class Convolution:
    """H x = sum_k h_k * x_k and its adjoint, for kernels (dictionary, kernel, lag) that may differ between traces.

    dictionary  (trace,) index of the dictionary of each trace, or None if all share one
    bins        length of a trace; a code has bins - lags + 1 positions (full linear convolution)
    """

    def __init__(self, kernels: Tensor, bins: int, dictionary: Tensor | None = None) -> None:
        self.bins, self.lags = bins, kernels.shape[-1]
        self.positions = bins - self.lags + 1
        self.kernels = kernels
        self._choice = None if len(kernels) == 1 else dictionary
        self._matrix: Tensor | None = None
        if bins <= MOST_BINS and self._choice is None:
            self._matrix = _toeplitz(kernels[0], bins)
            return
        self._length = int(next_fast_len(bins, real=True))
        self._spectrum = self._chosen(torch.fft.rfft(kernels, self._length))

    def synthesis(self, codes: Tensor) -> Tensor:
        """Return sum_k h_k * x_k, (trace, bin), of codes (trace, kernel, position)."""
        if self._matrix is not None:
            found: Tensor = codes.flatten(1) @ self._matrix
            return found
        spectrum = (torch.fft.rfft(codes, self._length) * self._spectrum).sum(1)
        whole: Tensor = torch.fft.irfft(spectrum, self._length)
        return whole[:, : self.bins]

    def adjoint(self, residual: Tensor) -> Tensor:
        """Return the correlation of a residual (trace, bin) with every kernel, (trace, kernel, position)."""
        if self._matrix is not None:
            found: Tensor = residual @ self._matrix.mT
            return found.reshape(len(residual), -1, self.positions)
        spectrum = torch.fft.rfft(residual, self._length)[:, None] * self._spectrum.conj()
        whole: Tensor = torch.fft.irfft(spectrum, self._length)
        return whole[..., : self.positions]

    def bound(self) -> Tensor:
        """Return an upper bound of the largest eigenvalue of H^T H, (trace,), or (1,) where traces share kernels.

        It is the maximum of sum_k |h_k(w)|^2 over frequencies w, which codes of any length approach from below. On the
        grid of 32 frequencies per lag this polynomial of degree L - 1 is missed by less than 1 - cos(pi / 32) = 0.5 %.
        """
        spectrum = torch.fft.rfft(self.kernels.detach(), 32 * self.lags)
        return self._chosen(1.005 * (spectrum.abs() ** 2).sum(1).amax(-1))

    def _chosen(self, values: Tensor) -> Tensor:
        """Return values (dictionary, ...) by trace, or as they are where traces share kernels."""
        return values if self._choice is None else values[self._choice]


def _toeplitz(kernels: Tensor, bins: int) -> Tensor:
    """Return the matrix whose rows are the kernels (kernel, lag) at every position, (kernel position, bin)."""
    count, lags = kernels.shape
    positions = bins - lags + 1
    padded = functional.pad(kernels, (0, positions))  # row p is the kernel shifted by p: a skewed view of the repeat
    rows = padded[:, None].expand(count, positions, lags + positions).reshape(count, -1)
    return rows[:, : positions * bins].reshape(count * positions, bins)
