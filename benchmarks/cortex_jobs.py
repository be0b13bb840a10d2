"""The measurements behind `benchmarks/cortex.py`: each is one way of doing one piece of work, with its input."""

import contextlib
import io
import json
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import torch
import xarray as xr
from torch import nn

from harness import now, peak_mb
from pellucid import store
from pellucid.attribution.occlusion import patches
from pellucid.learning import loop
from pellucid.preprocess import calcium
from pellucid.systems.cortex.features import extract
from pellucid.systems.cortex.features.settings import Settings as Features
from pellucid.systems.cortex.model import images, keras_gru, linear, restore, scores, windows
from pellucid.systems.cortex.model.movie import Movie
from pellucid.systems.cortex.model.network import Images, Recurrent, parameters
from pellucid.systems.cortex.model.settings import Settings, Training
from pellucid.systems.cortex.model.training import Target, train
from pellucid.systems.cortex.model.windows import Reach, Session, Windows

RATE_HZ, FRAMES, ROIS = 30.0, 18_000, 50
"""A published session (Ajioka et al. 2024, reference code)."""
CHANNELS = 3
DETREND = 1000
LONG_S = 8.0
"""A measurement that took so many s of the CPU is not repeated."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A CNN-GRU on images of side x side px; windows: those predicted with shared features, naive: by the peer."""

    title: str
    preset: str
    side: int
    windows: int
    naive: int

    def settings(self) -> Settings:
        """Return its settings, without ImageNet weights."""
        backbone = {"imagenet": "no"} if self.preset == "image_cnn_gru" else {}
        return Settings.model_validate({"preset": self.preset, "backbone": backbone})


CASES = {
    "small32": Case("small, 32 px", "small_cnn_gru", 32, 2038, 460),
    "small128": Case("small, 128 px", "small_cnn_gru", 128, 502, 69),
    "b0": Case("EfficientNet-B0, 128 px", "image_cnn_gru", 128, 246, 46),
    "masks": Case("49 masks, small, 32 px", "small_cnn_gru", 32, 246, 46),
}


def network_of(case: Case) -> Images:
    """Return a network with random weights, whose batch norms have the statistics of random images."""
    torch.manual_seed(0)
    network = Images(case.settings(), (case.side, case.side)).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.features(torch.randn(8, CHANNELS, case.side, case.side))
    return network.eval()


def movie_windows(case: Case, count: int) -> Windows:
    """Return so many windows of a movie of noise in memory."""
    reach = Reach.of(RATE_HZ, case.settings().window_s, 0.0, CHANNELS // 2)
    rows, shape = count + reach.before + reach.after, (case.side, case.side)
    frames = np.random.default_rng(0).integers(0, 4096, (rows, *shape), dtype=np.uint16)
    array = xr.DataArray(frames, dims=("time", "height", "width"))
    movie = Movie(array, np.full(shape, 2048.0), np.full(shape, 1182.0), held=True)
    session = Session("one", "mouse", RATE_HZ, movie, np.zeros(rows, np.float32), np.zeros(rows, int))
    return Windows.make([session], [np.arange(rows)], reach)


def shared(network: Images, given: Windows, masks: np.ndarray) -> np.ndarray:
    """Return outputs (mask, window) with every image sent through the CNN once."""
    chosen = np.arange(given.count)
    encoded = (images.encode(network, given, chosen, CHANNELS, mask=mask) for mask in masks)
    return np.stack([images.predict(network, one) for one in encoded])


def naive(network: Images, given: Windows, masks: np.ndarray) -> np.ndarray:
    """Return outputs (mask, window) with one pass per window and image, as many images at once."""
    size = images.BATCH // given.reach.samples
    factors = torch.from_numpy(masks.astype(np.float32))
    found = np.empty((len(masks), given.count), np.float32)
    with torch.inference_mode():
        for start in range(0, given.count, size):
            part = slice(start, min(start + size, given.count))
            batch = images.batch(given, np.arange(part.start, part.stop), CHANNELS)
            for index, factor in enumerate(factors):
                found[index, part] = network(batch if len(masks) == 1 else batch * factor).numpy()
    return found


def inference_job(name: str, way: str, repeats: int) -> Result:
    """Predict windows of images one way."""
    case = CASES[name]
    network, work = network_of(case), {"shared": shared, "naive": naive}[way]
    given = movie_windows(case, case.windows if way == "shared" else case.naive)
    squares = patches((case.side, case.side)).squares()
    masks = squares if name == "masks" else np.ones((1, case.side, case.side))
    before = peak_mb()
    outputs = work(network, movie_windows(case, 2), masks)
    outputs, seconds = measured(lambda: work(network, given, masks), repeats)
    rate = len(masks) * given.count / seconds
    return {"rate": rate, "outputs": outputs, "memory": peak_mb() - before, "parameters": parameters(network)}


def sessions() -> list[Session]:
    """Return three sessions whose first four traces follow the state, scaled to 0..1."""
    generator, found = np.random.default_rng(0), []
    for number in range(3):
        state = np.repeat(generator.random(FRAMES // 60) < 0.5, 60).astype(np.float32)
        signal = generator.random((FRAMES, ROIS), np.float32)
        signal[:, :4] = (signal[:, :4] + 0.3 * state[:, None]) / 1.3
        found.append(Session(str(number), str(number), RATE_HZ, signal, state, np.zeros(FRAMES, int)))
    return found


def roi_windows(given: list[Session]) -> Windows:
    """Return all windows of some sessions."""
    reach = Reach.of(RATE_HZ, Settings().window_s, 0.0)
    return Windows.make(given, [np.arange(FRAMES)] * len(given), reach)


def rnn_job(cell: str, steps: int, repeats: int) -> Result:
    """Train the ROI decoder in the real loop, one epoch after the other, and predict."""
    given, settings = sessions(), Settings.model_validate({"cell": cell})
    used, held = roi_windows(given[:2]), roi_windows(given[2:])
    count = steps * settings.training.batch
    schedule = Training(epochs=1, windows=count, validation_windows=settings.training.batch)
    network, target = Recurrent(ROIS, settings), Target.of(used, "state")

    def epoch() -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            train(
                network, network, lambda part, drawn: part.tensor(drawn), (used, held), target, schedule,
                seed=0, checkpoint=Path(folder), name=cell,
            )  # fmt: skip

    epoch()
    seconds = measured(epoch, repeats)[1]
    predicted(network, used, count)
    times = measured(lambda: predicted(network, used, count), repeats)[1]
    return {"train": count / seconds, "predict": count / times, "parameters": parameters(network)}


def predicted(network: nn.Module, given: Windows, count: int) -> np.ndarray:
    """Return outputs of the first windows, (window,), as a restored decoder gives them."""
    parts = [np.arange(start, min(start + restore.BATCH, count)) for start in range(0, count, restore.BATCH)]
    with torch.inference_mode():
        return np.concatenate([network.eval()(given.tensor(part)).numpy() for part in parts])


def keras_job(python: str, threads: int, steps: int, repeats: int) -> Result:
    """Run the peer on copies of the same windows, then read the file it saved into our decoder and compare."""
    settings, used = Settings(cell="keras_gru"), roi_windows(sessions()[:2])
    batch = settings.training.batch
    chosen = used.thinned(steps * batch)
    options = {"threads": threads, "units": settings.units, "batch": batch, "repeats": repeats}
    options["predicted-at-once"] = restore.BATCH
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "windows.npy", used.take(chosen))
        np.save(folder / "labels.npy", used.target[chosen])
        subprocess.run(
            [python, "-W", "ignore", str(Path(__file__).with_name("cortex_keras.py")), name, *words], check=True
        )
        known, said = json.loads((folder / "times.json").read_text()), np.load(folder / "said.npy")
        file, network = folder / "gru.h5", Recurrent(ROIS, settings)
        loop.load(network, keras_gru.released(file, store.file_digest(file), ROIS, settings.units))
    with torch.inference_mode():
        ours = torch.sigmoid(network(used.tensor(chosen))).numpy()
    rates = {key: len(chosen) / np.array(known[key]) for key in ("train", "predict")}
    apart = {"difference": float(np.abs(ours - said).max()), "sd": float(said.std())}
    return {**rates, **apart, "version": known["version"], "parameters": known["parameters"]}


def view_job(way: str) -> Result:
    """Make the windows of one session as a view, with the table of their frames, or as copies."""
    first = sessions()[0]
    signal = np.asarray(first.signal)
    windows.view(signal[:100], 31)
    tracemalloc.start()
    before, began = peak_mb(), now()
    found: Any = windows.view(signal, 31) if way == "view" else roi_windows([first])
    if way == "copies":
        found = found.take(np.arange(found.count))
    seconds, added = now() - began, max(tracemalloc.get_traced_memory()[1] / 1e6, peak_mb() - before)
    return {"seconds": seconds, "added": added, "input": signal.nbytes / 1e6}


def linear_job(every: int, most: int) -> Result:
    """Fit the linear baseline to every n-th sample of the window, and score it on another session."""
    given = sessions()
    used, held = roi_windows(given[:2]), roi_windows(given[2:])
    settings = Settings.model_validate({"kind": "linear", "linear": {"every": every, "windows": most}})
    before = peak_mb()
    (weights, intercept, _), seconds = measured(lambda: linear.fit(used, held, Target.of(used, "state"), settings), 1)
    memory = peak_mb() - before
    output = np.einsum("wlr,lr->w", held.take(np.arange(held.count)), weights) + intercept
    return {
        "seconds": seconds,
        "memory": memory,
        "auc": scores.auc(held.target, output),
        "used": np.count_nonzero(weights),
    }


def detrend_job(way: str, repeats: int) -> Result:
    """Subtract the moving mean from the traces of one session."""
    signal = np.random.default_rng(0).standard_normal((FRAMES, ROIS)).cumsum(axis=0) / 100

    def looped() -> np.ndarray:
        spans = (slice(max(0, at - DETREND // 2), at + (DETREND - 1) // 2 + 1) for at in range(FRAMES))
        return np.asarray(signal - np.stack([signal[span].mean(axis=0) for span in spans]))

    def rolled() -> np.ndarray:
        return np.asarray(signal - pd.DataFrame(signal).rolling(DETREND, center=True, min_periods=1).mean())

    ways = {"loop": looped, "pandas": rolled, "ours": lambda: calcium.detrend(signal, DETREND)}
    before = peak_mb()
    found, seconds = measured(ways[way], repeats)
    return {"seconds": seconds, "values": found, "memory": peak_mb() - before}


def movie_job(path: str, rows: int) -> None:
    """Write a movie of 128 x 128 px, uint16, as a recording has it."""
    run = xr.Dataset({"run": ("time", np.zeros(rows, np.float32), {"units": "1"})})
    movie = xr.Dataset(
        {"movie": (("time", "height", "width"), store.placeholder((rows, 128, 128), "uint16"), {"units": "count"})}
    )
    clock = {"rate_hz": RATE_HZ, "start_s": 0.0}
    tree = xr.DataTree.from_dict({"/imaging": movie.assign_attrs(clock), "/behaviour": run.assign_attrs(clock)})
    generator = np.random.default_rng(0)
    with store.Writer(Path(path), tree) as writer:
        for start in range(0, rows, 250):
            block = generator.integers(900, 1100, (min(250, rows - start), 128, 128), dtype=np.uint16)
            writer.append("/imaging/movie", block)


def stream_job(path: str, steps: Result, traced: bool) -> Result:
    """Preprocess a movie from store to store; traced: give the peak of what is allocated, which costs time."""
    item = {"kind": "movie", "source": "/imaging/movie", **steps}
    settings, recording = Features.model_validate({"inputs": {"movie": item}}), store.open_store(Path(path))
    before = peak_mb()
    if traced:
        tracemalloc.start()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        seconds = measured(lambda: extract.extract(recording, settings, Path(folder, "made.zarr")), 1)[1]
    rate = recording["imaging"].sizes["time"] / seconds
    return {"rate": rate, "memory": peak_mb() - before, "traced": tracemalloc.get_traced_memory()[1] / 1e6}


def measured(work: Callable[[], Any], repeats: int) -> tuple[Any, np.ndarray]:
    """Return what the work gives, and the median of its runs by the clock and of the CPU, s; a long one runs once."""
    found: list[np.ndarray] = []
    while len(found) < repeats and (not found or found[-1][1] < LONG_S):
        began = now()
        given = work()
        found.append(now() - began)
    return given, np.asarray(np.median(found, axis=0))
