"""The simulated kernels: published ones as they were stored, and designs of ours where none was published.

Every kernel has unit l2 norm at its own resolution. A kernel stored in bins of N ms becomes one of 1 ms by repeating
each value N times and normalising; the other way round bins are averaged and normalised, and an amplitude A at 1 ms
becomes A |average| at N ms, which is A / sqrt(N) for kernels constant within bins (the scale rule, published).
"""

import numpy as np

from pellucid.systems.dunl.simulate.scenarios import Name

LOCAL = (
    (
        *(0.1094, 0.2680, 0.4253, 0.4151, 0.3608, 0.3148, 0.2760, 0.2430),
        *(0.2152, 0.1916, 0.1716, 0.1547, 0.1404, 0.1283, 0.1181, 0.1094),
    ),
    (
        *(0.1567, 0.1903, 0.2204, 0.2463, 0.2677, 0.2841, 0.2952, 0.3008),
        *(0.3008, 0.2952, 0.2841, 0.2677, 0.2463, 0.2204, 0.1903, 0.1567),
    ),
)
"""The two nearly collinear kernels of short, long and structured, in bins of 25 ms; here of local_deconv and
calscenario too, whose own were not stored."""

DOPAMINE = (
    (
        *(0.0000, 0.0767, 0.0271, 0.0005, 0.1243, 0.3592, 0.3220, 0.3479, 0.3393, 0.3279, 0.2971, 0.2824),
        *(0.2412, 0.1670, 0.1639, 0.1816, 0.1835, 0.1107, 0.1057, 0.1006, 0.0822, 0.0820, 0.0702, 0.0456),
    ),
    (
        *(0.0006, 0.0195, 0.2786, 0.5683, 0.5887, 0.4170, 0.2111, 0.0770, 0.0480, 0.1071, 0.1081, 0.0474),
        *(0.0072, 0.0000, 0.0000, 0.0082, 0.0000, 0.0000, 0.0002, 0.0000, 0.0116, 0.0018, 0.0029, 0.0058),
    ),
    (
        *(0.0657, 0.1108, 0.0169, 0.0000, 0.0036, 0.1041, 0.2283, 0.2564, 0.2926, 0.3029, 0.3447, 0.3450),
        *(0.2779, 0.2393, 0.2475, 0.2330, 0.2029, 0.1722, 0.1748, 0.1592, 0.1414, 0.1238, 0.1233, 0.1092),
    ),
)
"""Cue, salience and value, in bins of 25 ms."""

RISE_S, DECAY_S = (0.1, 0.25), (0.5, 1.2)
"""Time constants of the indicator's response to cue and reward."""


def one_ms(scenario: Name) -> np.ndarray:
    """Return the kernels of a spiking simulation at 1 ms, shape (kernel, lag), unit norm."""
    if scenario == "whisker":
        return whisker()
    if scenario == "dopamine":
        return repeated(normalised(np.array(DOPAMINE)), 25)
    if scenario == "orthogonal":
        return repeated(orthogonal(), 5)
    if scenario == "two_kernel":
        return repeated(two_kernel(), 5)
    return repeated(normalised(np.array(LOCAL)), 25)


def names(scenario: Name, count: int) -> list[str]:
    """Return what the kernels are called: by what they follow where this is one event each, or by number."""
    known = {"dopamine": ["cue", "salience", "value"], "photometry": ["cue", "reward"]}
    return known.get(scenario, [f"kernel{index}" for index in range(count)])


def two_kernel() -> np.ndarray:
    """Return the kernels of the comparison with NMF in bins of 5 ms, shape (2, 80), unit norm.

    h0 ~ sin(pi i / 79), h1 ~ sin(9 pi i / 79) minus its smallest sample; published.
    """
    step = np.arange(80) / 79
    fast = np.sin(9 * np.pi * step)
    return normalised(np.stack([np.sin(np.pi * step), fast - fast.min()]))


def orthogonal(count: int = 5, lags: int = 80) -> np.ndarray:
    """Return smooth orthonormal kernels in bins of 5 ms, shape (kernel, lag): sin(pi (k + 1)(i + 1) / (lags + 1)).

    A design of ours: the published ones were never stored (published). The sines are a discrete sine transform's, so
    they are orthogonal to rounding and begin and end near 0.
    """
    order, lag = np.arange(1, count + 1), np.arange(1, lags + 1)
    return normalised(np.sin(np.pi * np.outer(order, lag) / (lags + 1)))


def whisker(length_ms: int = 500) -> np.ndarray:
    """Return one period of a sine at 1 ms, shape (1, length_ms), unit norm: excitation, then suppression.

    A design of ours, after the sinusoid that the published fits start from (published); the simulated kernel itself was
    never stored. Averaged over 50 ms it keeps 98 % of its norm, over 5 ms all but 2e-4.
    """
    return normalised(np.sin(2 * np.pi * (np.arange(length_ms)[None] + 0.5) / length_ms))


def photometry(step_s: float, length_s: float) -> np.ndarray:
    """Return responses of a calcium indicator to cue and reward, shape (2, lag), unit norm.

    h ~ exp(-t / decay) - exp(-t / rise), a design of ours.
    """
    time = np.arange(1, round(length_s / step_s) + 1) * step_s
    shapes = [np.exp(-time / decay) - np.exp(-time / rise) for rise, decay in zip(RISE_S, DECAY_S)]
    return normalised(np.stack(shapes))


def repeated(kernels: np.ndarray, bin_ms: int) -> np.ndarray:
    """Return unit-norm kernels in bins of `bin_ms` at 1 ms, shape (kernel, lag * bin_ms), unit norm."""
    return np.asarray(np.repeat(kernels, bin_ms, axis=1) / np.sqrt(bin_ms))


def binned(kernels: np.ndarray, bin_ms: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unit-norm kernels at 1 ms in bins, shape (kernel, lag), and what their amplitudes are to be multiplied by.

    kernels  (kernel, ms), ms a multiple of bin_ms
    The factor, shape (kernel,), is 1 / sqrt(bin_ms) for kernels constant within bins, less for others.
    """
    means = kernels.reshape(len(kernels), -1, bin_ms).mean(axis=2)
    return normalised(means), np.asarray(np.linalg.norm(means, axis=1))


def normalised(kernels: np.ndarray) -> np.ndarray:
    """Return kernels of unit l2 norm along the last axis."""
    return np.asarray(kernels / np.linalg.norm(kernels, axis=-1, keepdims=True))
