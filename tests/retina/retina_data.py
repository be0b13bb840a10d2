"""Small recordings of a retina as readers give them, and their features: linear-nonlinear cells of known lag.

Cells follow an ON or OFF pixel (even and odd cells) through a short kernel whose newest frame is `LAG` rows back.
"""

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.artifacts import Features
from pellucid.stages import preprocess
from pellucid.systems.retina.features.settings import Settings

RATE = 100.0
SIZE = (12, 10)
CELLS = 4
LAG = 1
KERNEL = np.array([-0.2, -0.4, 0.3, 1.0, 0.6])
"""Weights of the frames of a cell's pixel, oldest first."""
HISTORY = 12
"""Frames that models of these recordings see."""


def attributes(name="white", subject="retina1"):
    given = dict.fromkeys(schema.RECORDING_ATTRIBUTES, "")
    return given | {"recording": name, "subject": subject, "session": "1", "dataset": "small", "provenance": "{}"}


def movie(rng, frames, size=SIZE, kind="white"):
    """White noise of pixels, or "mixed": with full-field noise besides; (time, height, width) uint8."""
    values = rng.standard_normal((frames, *size))
    if kind == "mixed":
        values = 0.8 * values + 0.6 * rng.standard_normal((frames, 1, 1))
    return np.clip(np.round(128 + 40 * values), 0, 255).astype(np.uint8)


def places(cells=CELLS, size=SIZE):
    """Row and column of the pixel each cell follows, (neuron, 2)."""
    height, width = size
    return np.array([[height // 2 - 1 + i % 2, width // 2 - 2 + i] for i in range(cells)]) % [height, width]


def drive(frames, where, block=None, lag=LAG):
    """Filtered pixel of each cell, (time, neuron): row t sees frames t - lag - 4 ... t - lag of its own block."""
    pixel = (frames[:, where[:, 0], where[:, 1]].astype(float) - 128) / 40
    block = np.zeros(len(frames), int) if block is None else block
    out = np.zeros(pixel.shape)
    for weight, back in zip(KERNEL, range(lag + len(KERNEL) - 1, lag - 1, -1)):
        shifted = np.zeros_like(pixel)
        shifted[back:] = pixel[: len(pixel) - back]
        same = np.zeros(len(block), bool)
        same[back:] = block[back:] == block[: len(block) - back]
        out += weight * np.where(same[:, None], shifted, 0)
    return out * np.where(np.arange(len(where)) % 2, -1, 1)


def rates(frames, where, block=None, lag=LAG):
    """Expected spikes per bin, (time, neuron)."""
    return np.log1p(np.exp(1.5 * drive(frames, where, block, lag) - 0.5))


def recording(
    seed=0,
    frames=3000,
    *,
    test_frames=300,
    repeats=8,
    cells=CELLS,
    size=SIZE,
    kind="white",
    response="counts",
    blocks=3,
    subject="retina1",
    scale=10.0,
):
    """Ganglion cells: training frames in blocks, then test frames shown `repeats` times (0: once, no /trials).

    response  "counts", or "rate": the same in Hz; `scale` times more spikes make less noisy ones
    """
    rng = np.random.default_rng(seed)
    shown = movie(rng, frames + test_frames, size, kind)
    block = np.append(np.arange(frames) * blocks // frames, np.full(test_frames, blocks)).astype(np.int32)
    expected = scale * rates(shown, places(cells, size), block)
    trials = rng.poisson(expected[frames:], (max(repeats, 1), test_frames, cells))
    counts = np.concatenate([rng.poisson(expected[:frames]), trials.mean(axis=0)])
    factor, units = (RATE, "Hz") if response == "rate" else (1.0, "count")
    clock = {"rate_hz": RATE, "start_s": 0.0}
    test = (np.arange(len(shown)) >= frames).astype(np.int8)
    stimulus = {
        "movie": (("time", "height", "width"), shown, {"units": "grey level"}),
        "block": ("time", block, {"units": "1"}),
        "test": ("time", test, {"units": "1"}),
    }
    tree = {
        "/": xr.Dataset(attrs=attributes(kind, subject)),
        "/stimulus": xr.Dataset(stimulus, attrs={**clock, "stimulus": kind}),
        "/responses": xr.Dataset(
            {response: (("time", "neuron"), (factor * counts).astype(np.float32), {"units": units})},
            _cells(cells, size),
            clock,
        ),
    }
    if repeats:
        values = (factor * trials).astype(np.float32)
        tree["/trials"] = xr.Dataset({response: (("repeat", "time", "neuron"), values, {"units": units})}, attrs=clock)
    return xr.DataTree.from_dict(tree)


def interneurons(seed=5, frames=800, *, cells=2, size=SIZE, subject="interneurons"):
    """Potentials, mV, of cells that are linear in one pixel, with noise."""
    rng = np.random.default_rng(seed)
    shown = movie(rng, frames, size)
    potential = drive(shown, places(cells, size)) + 0.3 * rng.standard_normal((frames, cells))
    clock = {"rate_hz": RATE, "start_s": 0.0}
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs=attributes("boxes", subject)),
            "/stimulus": xr.Dataset(
                {"movie": (("time", "height", "width"), shown, {"units": "grey level"})},
                attrs={**clock, "stimulus": "boxes"},
            ),
            "/responses": xr.Dataset(
                {"potential": (("time", "neuron"), potential.astype(np.float32), {"units": "mV"})},
                _cells(cells, size),
                clock,
            ),
        }
    )


def frame_spikes(seed=0, *, start=40, period=160, segment=60, cycles=15, cells=3, size=(1, 1), scale=2.0, lag=LAG):
    """Frames at measured, slightly uneven times, spike times, and a segment of the movie that returns in each cycle."""
    rng = np.random.default_rng(seed)
    frames = period * cycles + start + segment // 2  # the last showing is cut off
    shown = rng.standard_normal((frames, *size))
    for cycle in range(1, cycles + 1):
        again = shown[start : start + segment][: len(shown[cycle * period + start :])]
        shown[cycle * period + start :][: len(again)] = again
    onsets = 1.5 + np.arange(frames) * 0.0133 + 0.0002 * rng.random(frames)
    counts = rng.poisson(scale * rates(128 + 40 * shown, places(cells, size), lag=lag))
    time, unit = np.repeat(np.arange(frames), counts.sum(axis=1)), _units(counts)
    spike = onsets[time] + 0.0130 * rng.random(len(time))
    order = np.lexsort((unit, spike))
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs=attributes("flicker")),
            "/stimulus": xr.Dataset(
                {"movie": (("time", "height", "width"), shown, {"units": "s.d."})},
                {"time": ("time", onsets, {"units": "s"})},
                {"stimulus": "flicker"},
            ),
            "/spikes": xr.Dataset(
                {
                    "spike_time": ("spike", spike[order], {"units": "s"}),
                    "spike_unit": ("spike", unit[order].astype(np.int32), {"units": "1"}),
                },
                {"neuron": np.array([f"C{i + 1}" for i in range(cells)], object)},
            ),
        }
    )


def settings(**given):
    """Settings that fit these recordings."""
    return Settings.model_validate({"response": "counts", "history_frames": HISTORY + LAG, **given})


def features(folder, recordings, **given):
    """Write recordings (name -> tree), features and features.json below a folder; returns the opened features."""
    asked = settings(**given).model_dump(mode="json")
    stores, kept = [], []
    for name, tree in recordings.items():
        tree = tree.copy()
        tree.attrs["recording"] = name
        kept.append(folder / "recordings" / f"{name}.zarr")
        store.write(kept[-1], tree, kind="recording")
        stores.append(folder / "features" / f"{name}.zarr")
        preprocess.preprocess("retina", asked, kept[-1], stores[-1])
    preprocess.collect_features("retina", asked, stores, folder / "features.json", kept)
    return Features.load(folder / "features.json")


def two_stimuli(folder, seed=0, **given):
    """Features of white and mixed stimuli to the same cells, with repeats, and of two interneurons."""
    trees = {
        "mixed": recording(seed, kind="mixed"),
        "white": recording(seed + 1, kind="white"),
        "inter": interneurons(seed + 2),
    }
    return features(folder, trees, **given)


def _cells(cells, size):
    where = places(cells, size).astype(float)
    return {
        "neuron": np.array([f"cell{i:02d}" for i in range(cells)], object),
        "row": ("neuron", where[:, 0], {"units": "px"}),
        "column": ("neuron", where[:, 1], {"units": "px"}),
    }


def _units(counts):
    """The cell of each spike, frame by frame."""
    return np.concatenate([np.repeat(np.arange(counts.shape[1]), row) for row in counts])
