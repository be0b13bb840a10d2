"""Formats whose files say themselves what they hold: for the contract suite, small files and what is in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ephys_formats
import numpy as np
import xarray as xr

from pellucid.readers import (
    antolik,
    cortex_mat,
    image_set,
    odour_mat,
    ppd,
    trial_calcium,
    whisker_mat,
    whisker_segments,
)

ONSETS = ("stimulus1_s", "stimulus7_s", "reward_s")
UNITS = ("Dir17/Neuron2", "Dir1/Neuron1")


@dataclass(frozen=True)
class Fixed:
    """A way to write a small recording, what is read of it, and a way to break it."""

    reader: str
    save: Callable[[Path], None]
    tree: Callable[[], xr.DataTree]
    broken: str
    options: dict[str, object] = field(default_factory=dict)
    kept: float = 0.5

    def truncate(self, folder: Path) -> Path:
        """Cut the end off one file and return it."""
        path = folder / self.broken
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * self.kept) - 1])
        return path


def photometry() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {
        "signal": generator.integers(0, 2**15, (1003, 2)),
        "digital": generator.random((1003, 2)) < 0.3,
        "cue": np.array([0.0, 0.51, 2.25, 7.7]),
        "lick": np.array([1, 6]),
    }


def save_photometry(folder: Path) -> None:
    arrays = photometry()
    ppd.write(folder / "mouse.ppd", arrays["signal"], arrays["digital"], rate_hz=130, scale=1.0122e-4)
    np.save(folder / "cues.npy", arrays["cue"])
    np.save(folder / "licks.npy", arrays["lick"])


def photometry_tree() -> xr.DataTree:
    arrays = photometry()
    signal = xr.Variable(("time", "roi"), arrays["signal"].astype("int16"), {"units": "V", "scale": 1.0122e-4})
    imaging = xr.Dataset(
        {"signal": signal, "digital": (("time", "roi"), arrays["digital"])},
        {"roi": np.array(["analog_1", "analog_2"], dtype=object)},
        {"mode": "2 colour time div.", "rate_hz": 130.0, "start_s": 0.0},
    )
    lick = [1.0, 6.0, np.nan, np.nan]
    events = {name: ("event", value, {"units": "s"}) for name, value in (("cue", arrays["cue"]), ("lick", lick))}
    return xr.DataTree.from_dict({"/imaging": imaging, "/events": xr.Dataset(events)})


def calcium() -> tuple[list[np.ndarray], list[np.ndarray], dict[str, np.ndarray]]:
    """Return signals, frame times at 16 Hz with some late or early, and onsets (one before, one after the frames).

    All times are multiples of a power of two, so that they are computed without rounding.
    """
    generator = np.random.default_rng(4)
    lengths, begun = (7, 4, 9), (100.0, 101.0, 103.5)
    signals = [generator.normal(size=(length, 2)) for length in lengths]
    steps = [generator.choice([2, 1, 1, 1, 0.5], length) / 16 for length in lengths]
    stamps = [start + np.cumsum(step) for start, step in zip(begun, steps, strict=True)]
    onsets = np.array([[100.25, np.nan, 103.875], [np.nan, 101.125, 103.0], [100.375, 109.0, np.nan]])
    return signals, stamps, dict(zip(ONSETS, onsets, strict=True))


def save_calcium(folder: Path) -> None:
    signals, stamps, onsets = calcium()
    amounts, types = np.array([0.3, np.nan, 11]), np.array([1, 7, 4])
    trial_calcium.write(folder / "mouse.mat", signals, stamps, onsets, reward=amounts, trial_type=types)


def calcium_tree() -> xr.DataTree:
    signals, stamps, onsets = calcium()
    signal = np.full((3, 9, 2), np.nan, dtype=np.float32)
    for trial, values in enumerate(signals):
        signal[trial, : len(values)] = values
    found = {
        "signal": (("trial", "time", "neuron"), signal, {"units": "dF/F"}),
        "reward": ("trial", [0.3, np.nan, 11.0], {"units": "uL"}),
        "trial_type": ("trial", [1.0, 7.0, 4.0], {"units": "1"}),
    }
    for name, seconds in onsets.items():
        clock = [frame(second, times) for second, times in zip(seconds, stamps, strict=True)]
        found[name] = ("trial", clock, {"units": "s"})
    return xr.DataTree.from_dict({"/trials": xr.Dataset(found, attrs={"rate_hz": 16.0, "start_s": 0.0})})


def frame(second: float, times: np.ndarray) -> float:
    """Return a time on the clock of the frames in s, 16 frames to the second."""
    if second < times[0]:
        return second - times[0]
    if second > times[-1]:
        return (len(times) - 1) / 16 + (second - times[-1])
    if np.isnan(second):
        return np.nan
    last = int(np.flatnonzero(times <= second)[-1])
    return (last + (second - times[last]) / (times[last + 1] - times[last])) / 16


def whisker() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    stimulus = np.zeros((5, 40), dtype=np.uint8)
    for trial, starts in enumerate(([0, 12], [3], [], [5, 15, 25], [39])):
        for start in starts:
            stimulus[trial, start : start + 4] = 1
    return generator.integers(0, 2, (5, 40, 2)).astype(np.uint8), stimulus


def save_whisker(folder: Path) -> None:
    raster, stimulus = whisker()
    whisker_mat.write(folder, dict(zip(UNITS, raster.transpose(2, 0, 1), strict=True)), stimulus, training=3)


def whisker_tree() -> xr.DataTree:
    raster, stimulus = whisker()
    nan = np.nan
    rises = [[0, 12, nan], [3, nan, nan], [nan, nan, nan], [5, 15, 25], [39, nan, nan]]
    trials = xr.Dataset(
        {
            "raster": (("trial", "time", "neuron"), raster, {"units": "count"}),
            "stimulus": (("trial", "time"), stimulus, {"units": "1"}),
            "deflection": (("trial", "event"), np.array(rises) / 1000, {"units": "s"}),
            "published_part": ("trial", np.array([0, 0, 0, 1, 1], dtype=np.uint8), {"units": "1"}),
        },
        {"neuron": np.array(UNITS, dtype=object)},
        {"rate_hz": 1000.0, "start_s": 0.0},
    )
    return xr.DataTree.from_dict({"/trials": trials})


def odours() -> list[np.ndarray]:
    """Return spikes of three shanks, the second one without units, shape (cell, odour, repeat, ms)."""
    generator = np.random.default_rng(6)
    return [generator.integers(0, 3, (cells, 3, 4, 25), dtype=np.uint8) for cells in (2, 0, 1)]


def save_odours(folder: Path) -> None:
    other = [np.ones((1, 3, 4, 25), dtype=np.uint8)]
    flags = [np.array([True, False]), np.zeros(0, dtype=bool), np.array([True])]
    odour_mat.write(folder / "cortex.mat", [other, odours()], good=[[np.array([True])], flags])


def odour_tree() -> xr.DataTree:
    units = np.concatenate(odours())
    rows = [(odour, repeat) for odour in range(3) for repeat in range(4)]
    raster = np.stack([units[:, odour, repeat].T for odour, repeat in rows])
    trials = xr.Dataset(
        {
            "raster": (("trial", "time", "neuron"), raster, {"units": "count"}),
            "odour": ("trial", np.array([odour + 1 for odour, _ in rows], dtype=np.int16), {"units": "1"}),
            "repeat": ("trial", np.array([repeat + 1 for _, repeat in rows], dtype=np.int16), {"units": "1"}),
            "good": ("neuron", np.array([True, False, True])),
        },
        {"neuron": np.array(["shank0_cell0", "shank0_cell1", "shank2_cell0"], dtype=object)},
        {"rate_hz": 1000.0, "start_s": -4.0},
    )
    return xr.DataTree.from_dict({"/trials": trials})


def segment(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    samples = np.arange(81, 81 + 40 * 17, 40)
    return {
        **{name: generator.normal(size=17) for name in ("position", "setpoint", "amp", "phase")},
        "samples": samples,
        "iswhisking": np.r_[samples[3] - 2 : samples[7] + 3, samples[6] : samples[9] - 1],
        "spikes": np.array([20, 350, 351, 9000]),
    }


def save_segments(folder: Path) -> None:
    whisker_segments.write(folder / "cell.mat", [segment(1), segment(2)], rate_hz=40_000)


def segment_tree() -> xr.DataTree:
    values = segment(2)
    degree, attributes = {"units": "degree"}, {"rate_hz": 1000.0, "start_s": 81 / 40_000}
    behaviour = {
        "position": ("time", values["position"], degree),
        "setpoint": ("time", values["setpoint"], degree),
        "amplitude": ("time", values["amp"], degree),
        "phase": ("time", values["phase"], {"units": "rad"}),
        "whisking": ("time", np.array([3 <= index <= 8 for index in range(17)])),
    }
    spikes = {"time": ("spike", values["spikes"] / 40_000, {"units": "s"})}
    return xr.DataTree.from_dict({"/behaviour": xr.Dataset(behaviour, attrs=attributes), "/spikes": xr.Dataset(spikes)})


def region() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return images and responses of training, and of test: 3 repeats."""
    generator = np.random.default_rng(8)
    train, test = (generator.integers(0, 256, (count, 4, 4)) * 1e-6 for count in (7, 5))
    return (train, generator.gamma(1.0, size=(7, 2))), (test, generator.gamma(1.0, size=(3, 5, 2)))


def save_region(name: str) -> Callable[[Path], None]:
    return lambda folder: antolik.write(folder / name, 2, *region())


def region_tree() -> xr.DataTree:
    (train, single), (test, repeats) = region()
    responses = np.full((3, 12, 2), np.nan)
    responses[0, :7], responses[:, 7:] = single, repeats
    images = np.concatenate([train, test]).astype(np.float32)
    stimulus = {
        "images": (("image", "height", "width"), images, {"units": "1"}),
        "set": ("image", np.array(["train"] * 7 + ["test"] * 5, dtype=object)),
    }
    answers = {"responses": (("repeat", "image", "neuron"), responses, {"units": "1"})}
    names = {"neuron": np.array(["region2_0", "region2_1"], dtype=object)}
    return xr.DataTree.from_dict({"/stimulus": xr.Dataset(stimulus), "/responses": xr.Dataset(answers, names)})


def pictures() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return eleven binary images, more than one digit, and the responses of two neurons."""
    generator = np.random.default_rng(9)
    images = (generator.random((11, 6, 9)) < 0.3).astype(np.uint8)
    return images, {"neu75": generator.normal(size=(11, 1)), "neu255": generator.normal(size=11)}


def save_pictures(packed: bool) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        images, responses = pictures()
        image_set.write(folder, images if packed else 255 * images, responses, name="pattern", packed=packed)

    return save


def pictures_tree() -> xr.DataTree:
    images, responses = pictures()
    values = np.stack([responses["neu255"], responses["neu75"][:, 0]], axis=-1)
    stimulus = {"images": (("image", "height", "width"), images, {"units": "1", "white": 1})}
    answers = {"responses": (("repeat", "image", "neuron"), values[None], {"units": "dF/F"})}
    names = {"neuron": np.array(["neu255", "first"], dtype=object)}
    return xr.DataTree.from_dict({"/stimulus": xr.Dataset(stimulus), "/responses": xr.Dataset(answers, names)})


def session_of_mouse() -> dict[str, list[np.ndarray]]:
    """Return signals (3 ROIs), states and speed of two sessions of one mouse."""
    generator = np.random.default_rng(10)
    frames = (31, 20)
    return {
        "signal": [generator.normal(size=(3, count)).astype(np.float32) for count in frames],
        "runrest": [generator.integers(0, 2, (1, count)).astype(np.uint8) for count in frames],
        "speed": [generator.gamma(1.0, size=(1, count)) for count in frames],
    }


def save_cortex(folder: Path) -> None:
    for name, sessions in session_of_mouse().items():
        stem = "signal_2mice_raw" if name == "signal" else f"{name}_2mice"
        cortex_mat.write(folder / f"{stem}.mat", name, 2, lambda mouse, made=sessions: made[:mouse])


def cortex_tree() -> xr.DataTree:
    made = {name: sessions[1] for name, sessions in session_of_mouse().items()}
    unknown = ("roi", np.full(3, np.nan), {"units": "1"})
    imaging = xr.Dataset(
        {"signal": (("time", "roi"), made["signal"].T, {"units": "dF/F"})},
        {
            "roi": np.array(["1", "2", "3"], dtype=object),
            "row": unknown,
            "column": unknown,
            "area": ("roi", np.array(["", "", ""], dtype=object)),
        },
        {"rate_hz": 30.0, "start_s": 0.0},
    )
    behaviour = xr.Dataset(
        {
            "run": ("time", made["runrest"][0], {"units": "1"}),
            "speed": ("time", made["speed"][0], {"units": "cm/s"}),
        },
        attrs={"rate_hz": 30.0, "start_s": 0.0},
    )
    return xr.DataTree.from_dict({"/imaging": imaging, "/behaviour": behaviour})


PICTURES = {"images": "pattern", "binary": True, "responses": "neu*", "neurons": {"neu75": "first"}, "units": "dF/F"}

FIXED = {
    "axona-eeg": Fixed(
        "axona", ephys_formats.save_eeg, ephys_formats.eeg_tree, "day1.pos", {"tetrodes": [3, 12]}, kept=0.7
    ),
    "axona-egf": Fixed("axona", ephys_formats.save_egf, ephys_formats.egf_tree, "day1.egf2", {"signal": "egf"}),
    "nwb": Fixed(
        "nwb",
        ephys_formats.save_nwb,
        ephys_formats.nwb_tree,
        "session.nwb",
        {"behaviour": {"led": ephys_formats.TRACK}},
    ),
    "open-ephys": Fixed(
        "open_ephys_nwb1",
        ephys_formats.save_open_ephys,
        ephys_formats.open_ephys_tree,
        "rat.nwb",
        {"group_channels": 4, "units": "px"},
    ),
    "ppd": Fixed(
        "ppd",
        save_photometry,
        photometry_tree,
        "mouse.ppd",
        {"events": {"cue": "cues.npy", "lick": "licks.npy"}},
        kept=1,
    ),
    "calcium": Fixed("trial_calcium", save_calcium, calcium_tree, "mouse.mat", {"rate_hz": 16}),
    "whisker": Fixed(
        "whisker_mat",
        save_whisker,
        whisker_tree,
        "Dir1/Neuron1/Stim3/testdata.mat",
        {"units": list(UNITS), "trial_ms": 40},
    ),
    "odour": Fixed("odour_mat", save_odours, odour_tree, "cortex.mat", {"experiment": 1, "start_s": -4.0}),
    "segments": Fixed("whisker_segments", save_segments, segment_tree, "cell.mat", {"segment": 1}),
    "region": Fixed("antolik", save_region("."), region_tree, "Data/region2/raw_validation_set.npy", {"region": 2}),
    "region-zip": Fixed("antolik", save_region("data.zip"), region_tree, "data.zip", {"region": 2}),
    "cortex": Fixed(
        "cortex_mat",
        save_cortex,
        cortex_tree,
        "signal_2mice_raw.mat",
        {"mouse": 2, "session": 1, "signal": "signal_2mice_raw"},
    ),
    "images-png": Fixed("image_set", save_pictures(False), pictures_tree, "pattern/11.png", PICTURES),
    "images-npz": Fixed("image_set", save_pictures(True), pictures_tree, "pattern.npz", PICTURES),
}
