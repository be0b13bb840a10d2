"""Small features of sessions with known states, in memory."""

import numpy as np
import xarray as xr

from pellucid.artifacts import Features, Fold

RATE = 10.0


def bouts(rng, rows, least=15, most=40):
    """Alternating states, (time,)."""
    state, out = 0, []
    while len(out) < rows:
        out += [state] * int(rng.integers(least, most))
        state = 1 - state
    return np.array(out[:rows], np.float32)


def behaviour(state, segment=None, speed=None, **attrs):
    """The group /behaviour of one session."""
    segment = np.zeros(len(state), np.int32) if segment is None else segment
    arrays = {"state": ("time", state, {"units": "1"}), "segment": ("time", segment, {"units": "1"})}
    if speed is not None:
        arrays["speed"] = ("time", speed.astype(np.float32), {"units": "cm/s"})
    return xr.Dataset(arrays, attrs={"rate_hz": RATE, "start_s": 0.0, "continuous": False, **attrs})


def traces(signal, ids=None, area=None):
    """A group of traces; signal is (time, roi)."""
    count = signal.shape[1]
    ids = np.array(ids if ids is not None else [str(1 + i) for i in range(count)], object)
    areas = area if area is not None else ["limb" if i < 2 else "" for i in range(count)]
    place = np.linspace(0.1, 0.9, count).astype(np.float32)
    return xr.Dataset(
        {"signal": (("time", "roi"), signal.astype(np.float32), {"units": "1"})},
        coords={
            "roi": ids,
            "row": ("roi", place, {"units": "1"}),
            "column": ("roi", place[::-1].copy(), {"units": "1"}),
            "area": ("roi", np.array(areas, object)),
        },
        attrs={"rate_hz": RATE, "start_s": 0.0, "kind": "traces"},
    )


def movie(frames):
    """A group of a movie; frames are (time, height, width)."""
    values = frames.astype(np.float64)
    return xr.Dataset(
        {
            "movie": (("time", "height", "width"), frames, {"units": "count"}),
            "mean": (("height", "width"), values.mean(0).astype(np.float32), {"units": "count"}),
            "sd": (("height", "width"), values.std(0).astype(np.float32), {"units": "count"}),
        },
        attrs={"rate_hz": RATE, "start_s": 0.0, "kind": "movie", "sd": float(values.std())},
    )


def session(subject, **groups):
    """One store; groups by name."""
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"subject": subject}), **{f"/{k}": v for k, v in groups.items()}}
    )


def by_subject(stores, statistics=None):
    """Features whose fold i tests on the i-th animal and validates on the next one."""
    subjects = sorted({tree.attrs["subject"] for tree in stores.values()})
    rows = {name: [(0, tree["behaviour"].sizes["time"])] for name, tree in stores.items()}
    folds = []
    for index, subject in enumerate(subjects):
        after = subjects[(index + 1) % len(subjects)]
        part = {"train": {}, "validation": {}, "test": {}}
        for name, tree in stores.items():
            own = tree.attrs["subject"]
            part["test" if own == subject else "validation" if own == after else "train"][name] = rows[name]
        folds.append(Fold(**part))
    return Features(stores, folds, statistics or {})


def roi_features(seed=0, mice=3, sessions=2, rows=400, rois=5):
    """Sessions whose first two traces follow the state (the second with a lag of 2 frames); others are noise."""
    rng = np.random.default_rng(seed)
    stores = {}
    for mouse in range(mice):
        for number in range(sessions):
            state = bouts(rng, rows + 10 * number)
            signal = rng.standard_normal((len(state), rois))
            signal[:, 0] += 1.5 * state
            signal[:, 1] += 1.5 * np.roll(state, 2)
            stores[f"m{mouse}_s{number}"] = session(
                f"mouse{mouse}", behaviour=behaviour(state, speed=10 * state), roi=traces(signal)
            )
    return by_subject(stores)


def movie_features(seed=0, mice=3, rows=300, shape=(18, 14), dtype=np.uint16):
    """Sessions in which a patch of rows 3-6, columns 8-11 is brighter in state 1."""
    rng = np.random.default_rng(seed)
    stores = {}
    for mouse in range(mice):
        state = bouts(rng, rows)
        frames = 500 + 20 * rng.standard_normal((rows, *shape))
        frames[:, 3:7, 8:12] += 15 * state[:, None, None]
        stores[f"m{mouse}"] = session(f"mouse{mouse}", behaviour=behaviour(state), movie=movie(frames.astype(dtype)))
    return by_subject(stores)
