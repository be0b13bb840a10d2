"""One simulated session: events, spikes or photometry that follow from them, raw files and the truth behind them."""

from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.systems.dunl.simulate import events, formats, kernels, signals
from pellucid.systems.dunl.simulate.scenarios import CUE_MS, Name, Row
from pellucid.systems.dunl.simulate.settings import Settings


def simulate(settings: Settings, seed: int, folder: Path) -> None:
    """Write the raw files of one session (see formats) and truth.zarr.

    Spikes: z = a_n + sum_k h_k * x_k at 1 ms, Bernoulli(sigmoid(z)); published. Photometry: z and noise.
    """
    row = settings.row()
    generator = np.random.default_rng(seed)
    baseline = _baseline(row, generator)
    design = events.draw(row, generator)
    if row.noise is None:
        shapes = kernels.one_ms(settings.scenario)
        signal = signals.spikes(row, design, shapes, baseline, generator)
    else:
        shapes = kernels.photometry(row.step_ms / 1000, row.kernel_ms / 1000)
        signal = signals.samples(row, row.noise, design, shapes, baseline, generator)
    formats.write(folder, row, design, signal)
    store.write(folder / "truth.zarr", truth(settings.scenario, row, design, shapes, baseline))


def truth(scenario: Name, row: Row, design: events.Design, shapes: np.ndarray, baseline: np.ndarray) -> xr.DataTree:
    """Return what is to be recovered, at the bin of the analysis.

    shapes    (kernel, lag) at the resolution of the raw samples, unit norm
    baseline  (neuron,)
    Amplitudes are those of unit-norm kernels in bins of N ms, A / sqrt(N) (published). Onsets are on the trial's clock,
    which starts with the trial or, in the layout eshel, at odorOn.
    """
    binned, factor = kernels.binned(shapes, row.bin_ms // row.step_ms)
    amplitude = design.amplitude * factor[design.kernel][..., None]  # NaN stays where an event is absent
    zero_s = CUE_MS / 1000 if row.layout == "eshel" else 0.0
    group = xr.Dataset(
        {
            "kernels": (("lag", "kernel"), binned.T, {"units": "1"}),
            "onset": (("trial", "event"), design.onset_ms / 1000 - zero_s, {"units": "s"}),
            "event_kernel": (("trial", "event"), design.kernel.astype(np.int16), {"units": "1"}),
            "amplitude": (("trial", "event", "neuron"), amplitude, {"units": "1"}),
            "baseline": (("trial", "neuron"), np.tile(baseline, (row.trials, 1)), {"units": "1"}),
        },
        coords={
            "lag": np.arange(binned.shape[1]) * row.bin_ms / 1000,
            "kernel": np.array(kernels.names(scenario, len(shapes)), object),
        },
        attrs={
            "scenario": scenario,
            "bin_s": row.bin_ms / 1000,
            "one_ms_scale": float(np.sqrt(row.bin_ms // row.step_ms)),
            "baseline_hz": row.baseline_hz or 0.0,
            "clock_zero_s": zero_s,
        },
    )
    return xr.DataTree.from_dict({"/truth": group})


def _baseline(row: Row, generator: np.random.Generator) -> np.ndarray:
    """Draw each neuron's baseline, shape (neuron,): logit of the rate per ms, or level of a signal."""
    odds = 1.0 if row.baseline_hz is None else row.baseline_hz / (1000 - row.baseline_hz)
    return np.asarray(np.log(odds) + row.baseline_sd * generator.standard_normal(row.neurons))
