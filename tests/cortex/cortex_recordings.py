"""Small recordings of the cortex as readers give them, and their features."""

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.artifacts import row_indices
from pellucid.systems.cortex.features.collect import collect
from pellucid.systems.cortex.features.extract import extract
from pellucid.systems.cortex.features.settings import Settings

RATE = 10.0
SIZE = (12, 15)
IDS = ["8", "3", "31", "6", "27"]
LABEL = {"source": "/behaviour/run"}


def attributes(mouse="m1", session="s0"):
    given = dict.fromkeys(schema.RECORDING_ATTRIBUTES, "")
    return given | {"recording": f"{mouse}_{session}", "subject": mouse, "provenance": "{}"}


def recording(count=300, seed=0, mouse="m1", **change):
    """A session with ROIs, a movie, both violet channels, maps and behaviour on a clock of 20 Hz that starts later."""
    generator = np.random.default_rng(seed)
    image = 1000 + 300 * generator.random(SIZE)
    parcels = np.zeros(SIZE, np.uint8)
    parcels[2:6, 1:7], parcels[6:11, 4:14], parcels[1:4, 9:14] = 3, 31, 8
    arrays = {
        "signal": (("time", "roi"), 500 + 20 * generator.normal(size=(count, 5))),
        "signal_405": (("time", "roi"), 200 + 5 * generator.normal(size=(count, 5))),
        "movie": (("time", "height", "width"), (image + 9 * generator.normal(size=(count, *SIZE))).astype(np.uint16)),
        "movie_405": (("time", "height", "width"), image / 3 + 2 * generator.normal(size=(count, *SIZE))),
        "parcels": (("height", "width"), parcels),
        "vessels": (("height", "width"), (generator.random(SIZE) < 0.2).astype(np.uint8)),
    } | change.pop("arrays", {})
    units = {name: "count" if "movie" in name or "signal" in name else "1" for name in arrays}
    places = {
        "roi": np.array(IDS, object),
        "row": ("roi", np.linspace(0.1, 0.9, 5), {"units": "1"}),
        "column": ("roi", np.linspace(0.7, 0.2, 5), {"units": "1"}),
        "area": ("roi", np.array(["limb", "motor", "limb", "limb", "motor"], object)),
    }
    imaging = xr.Dataset(
        {name: (*found, {"units": units[name]}) for name, found in arrays.items()},
        places | change.pop("coords", {}),
        {"rate_hz": RATE, "start_s": 2.0},
    )
    ticks = 2 * count
    run = (np.sin(np.arange(ticks) / 30 + seed) > 0).astype(np.float32)
    traces = np.stack([np.cumsum(generator.normal(size=ticks)), generator.normal(size=ticks)], axis=1)
    clock = {"rate_hz": 2 * RATE, "start_s": 4.0} | change.pop("clock", {})
    behave = xr.Dataset(
        {
            "run": ("time", change.pop("run", run), {"units": "1"}),
            "speed": ("time", np.abs(traces[:, 0]), {"units": "cm/s"}),
            "traces": (("time", "output"), traces, {"units": "z"}),
        },
        {"output": np.array(["pupil", "whisking"], object)},
        clock,
    )
    assert not change
    groups = {"/": xr.Dataset(attrs=attributes(mouse)), "/imaging": imaging, "/behaviour": behave}
    return xr.DataTree.from_dict(groups)


def event_aligned(seed=0, trials=6, frames=10, mouse="m1"):
    """Trials of a movie at 200 Hz, the first frame 5 ms before the event; two pixels are 0, one 100 times as large."""
    generator = np.random.default_rng(seed)
    movie = generator.normal(size=(trials, frames, *SIZE))
    movie[:, 4:6, 3:6, 3:6] += 2
    movie[:, :, [0, 1], [0, 0]], movie[:, :, 5, 5] = 0, 100 * movie[:, :, 5, 5]
    dims = ("trial", "time", "height", "width")
    group = xr.Dataset({"frames": (dims, movie, {"units": "%"})}, attrs={"rate_hz": 200.0, "start_s": -0.005})
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attributes(mouse)), "/trials": group})


def settings(**given):
    return Settings.model_validate({"label": LABEL, **given})


def extracted(path, tree, **given):
    extract(tree, settings(**given), path)
    return store.open_store(path)


def collected(folder, trees, **given):
    split = {"by": "subject"} | given.get("split", {})
    if split["by"] == "subject":
        count = len({tree.attrs["subject"] for tree in trees.values()})
        split.setdefault("folds", count if split.get("pairs") == "next" else max(2, count * (count - 1)))
    given["split"] = split
    for name, tree in trees.items():
        extract(tree, settings(**given), folder / f"{name}.zarr")
    return collect({name: store.open_store(folder / f"{name}.zarr") for name in trees}, settings(**given))


def mice(count=4, sessions=2, **more):
    return {
        f"m{mouse}_s{session}": recording(seed=10 * mouse + session, mouse=f"m{mouse}", count=200 + 7 * session, **more)
        for mouse in range(count)
        for session in range(sessions)
    }


def rows(fold, part, name):
    return row_indices(fold.rows(part).get(name, []))


ROI = {"roi": {"kind": "traces", "source": "/imaging/signal"}}
MOVIE = {"movie": {"kind": "movie", "source": "/imaging/movie"}}
