"""Expected gradients: what every entry of an input adds to an output, against inputs drawn from a background."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients  # type: ignore[import-untyped]
from torch import Tensor


@dataclass(frozen=True)
class Explained:
    """Attributions of some inputs.

    phi     (window, ...) what each entry adds, in units of the output
    output  (window,) f(x)
    change  (window,) f(x) minus the mean of f over the baselines, which phi should sum to
    """

    phi: np.ndarray
    output: np.ndarray
    change: np.ndarray

    def completeness(self) -> np.ndarray:
        """Return |sum phi - change| / mean |change|, (window,); NaN where no output differs from its baselines."""
        residual = np.abs(self.phi.reshape(len(self.phi), -1).sum(1) - self.change)
        scale = np.abs(self.change).mean() if len(self.change) else 0.0
        return np.asarray(residual / scale if scale > 0 else np.full(len(residual), np.nan))


def expected(
    function: Callable[[Tensor], Tensor], inputs: Tensor, baselines: Tensor, *, steps: int = 16, rows: int = 1024
) -> Explained:
    """Return expected gradients of a function that treats every input on its own.

    function   inputs (window, ...) -> output (window,), differentiable; recurrent layers may be in evaluation mode
    inputs     (window, ...), on the function's device
    baselines  (baseline, ...), drawn from the background
    steps      Gauss-Legendre nodes a of the path b + a (x - b) from each baseline
    rows       inputs differentiated at once, which bounds memory
    phi_i(x) = mean over b of (x_i - b_i) integral over a in [0, 1] of df/dx_i (b + a (x - b)), so that
    sum_i phi_i = f(x) - mean_b f(b): Erion et al. 2021, with nodes and baselines fixed in place of random draws, or
    integrated gradients (Sundararajan et al. 2017) averaged over baselines.
    """

    def summed(block: Tensor) -> Tensor:  # one scalar: the gradient of a sum is each input's own gradient
        return function(block).sum()[None]

    inputs, baselines = inputs.detach(), baselines.detach()
    method = IntegratedGradients(summed)
    phi = np.zeros(tuple(inputs.shape))
    size = max(1, rows // steps)
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN has no backward pass of recurrent layers in evaluation
        for baseline in torch.split(baselines, 1):
            for start in range(0, len(inputs), size):
                block = inputs[start : start + size]
                found = method.attribute(block, baselines=baseline, n_steps=steps, method="gausslegendre")
                phi[start : start + size] += found.detach().cpu().numpy()
    output, base = (evaluated(function, one, rows=rows) for one in (inputs, baselines))
    return Explained(phi / len(baselines), output, output - base.mean())


def refined(
    function: Callable[[Tensor], Tensor],
    inputs: Tensor,
    baselines: Tensor,
    *,
    steps: int = 16,
    tolerance: float,
    doublings: int = 3,
    rows: int = 1024,
) -> Explained:
    """Return expected gradients, with ever more nodes for inputs whose completeness error is too large.

    tolerance  of completeness()
    doublings  of the nodes, at most; an error that is larger after them stays
    Other arguments as in `expected`. Kinks of the output along a path make its error fall slowly with the nodes.
    """
    found = expected(function, inputs, baselines, steps=steps, rows=rows)
    for _ in range(doublings):
        worst = np.flatnonzero(found.completeness() > tolerance)
        if not len(worst):
            break
        steps *= 2
        again = expected(function, inputs[torch.from_numpy(worst)], baselines, steps=steps, rows=rows)
        found.phi[worst] = again.phi
    return found


def evaluated(function: Callable[[Tensor], Tensor], inputs: Tensor, *, rows: int = 1024) -> np.ndarray:
    """Return f of every input, (window,) double, without gradients; inputs (window, ...), `rows` of them at once."""
    with torch.no_grad():
        parts = [function(block).double().cpu().numpy() for block in torch.split(inputs, rows)]
    return np.concatenate(parts) if parts else np.empty(0)
