"""The arrays of retina's attribution made by hand: responses of a circuit whose channels and weights are known."""

import json
from itertools import combinations

import numpy as np
import xarray as xr

from pellucid import schema

RATE = 100.0
BASELINES = ("white", "ln")
SIZES = (1, 2, 3)
LABELS = ("OFF fast", "OFF slow", "ON fast", "ON slow")


def variable(dims, values, units="1"):
    """An xarray variable whose axes are given as one text, in the order of the contract."""
    found = xr.Variable(dims.split(), np.asarray(values), {"units": units})
    return found.transpose(*sorted(found.dims, key=schema.DIMENSIONS.index))


def flashes(rows, history):
    """Dark flashes of five periods, ending; stimulus (trial, row), periods s, time of the omission."""
    periods = np.array([6, 8, 10, 12, 20])
    last = rows // 2
    stimulus = np.zeros((len(periods), rows))
    for line, period in zip(stimulus, periods):
        for onset in range(last, 0, -period):
            line[onset : onset + 2] = -2
    return stimulus, periods / RATE, (np.arange(rows) - last) / RATE


def steps(rows, history, trials=20):
    """Dark steps of several contrasts."""
    contrast = -np.linspace(0, 1.95, trials)
    stimulus = np.zeros((trials, rows))
    stimulus[:, rows // 3 : 2 * rows // 3] = contrast[:, None]
    return stimulus, contrast, (np.arange(rows) - rows // 3) / RATE


def bars(rows, width, trials):
    """Positions of bars: two that move in opposite directions, and others flashed at one place; px from the centre."""
    path = np.linspace(-0.8 * width, 0.8 * width, rows)
    stimulus = np.full((trials, rows), np.nan)
    stimulus[0], stimulus[1] = path, -path
    places = np.linspace(-0.5 * width, 0.5 * width, 5 * (trials - 2)).reshape(-1, 5)
    for line, own in zip(stimulus[2:], places):
        for onset, place in zip(np.linspace(5, rows - 20, 5).astype(int), own):
            line[onset : onset + 2] = place
    return stimulus, np.arange(trials, dtype=float), np.arange(rows) / RATE


def driven(made, stimulus, local=False):
    """Signal of each cell, (trial, row, neuron): the contrast, or what a bar at a place gives each cell."""
    if not local:
        return np.repeat(stimulus[..., None], made.cells, -1)
    centre = made.place[:, 1] - made.shape[1] / 2
    return -np.nan_to_num(np.exp(-((stimulus[..., None] - centre) ** 2) / 8))


def responses(made, signal, seed):
    """Rate, zero response and contributions of one seed: softplus of weighted rectified channels, shared exactly."""
    drive = np.zeros((*signal.shape, made.features), np.float32)
    for feature in range(made.features):
        kernel = made.temporal(seed, feature)[::-1]
        filtered = np.apply_along_axis(lambda one, k=kernel: np.convolve(one, k)[: len(one)], 1, signal)
        gain = 1 + 0.2 * np.sin(np.arange(made.cells))
        drive[..., feature] = made.kind(seed, feature)[2] * gain * np.maximum(filtered, 0)
    total = drive.sum(-1)
    scale = 12 if made.units == "Hz" else 1.5
    zero = scale * np.log1p(np.exp(-1))
    rate = scale * np.log1p(np.exp(2 * total - 1))
    share = np.where(np.abs(total) > 1e-6, (rate - zero) / np.where(np.abs(total) > 1e-6, total, 1), 0)
    contribution = (drive * share[..., None]).astype(np.float32)
    residual = rate - zero - contribution.sum(-1)
    return rate.astype(np.float32), zero, contribution, residual.astype(np.float32)


def phenomenon(made, stimulus, values, time, unit, kind, measures, local=False):
    """One group of `phenomena`."""
    signal = driven(made, stimulus, local)
    shape = (made.seeds, *signal.shape)
    names = ("rate", "residual", *(f"rate_{name}" for name in BASELINES))
    found = {name: np.zeros(shape, np.float32) for name in names}
    reduced = {name: np.zeros((*shape, len(SIZES)), np.float32) for name in ("truncated", "lesioned")}
    contribution = np.zeros((*shape, made.features), np.float32)
    zero = np.zeros((made.seeds, made.cells), np.float32)
    importance = np.zeros((made.seeds, made.features))
    for seed in range(made.seeds):
        rate, rest, contribution[seed], found["residual"][seed] = responses(made, signal, seed)
        found["rate"][seed], zero[seed] = rate, rest
        found["residual"][seed] += 4e-4 * np.abs(rate - rest) * made.rng.normal(size=rate.shape)
        found["rate_white"][seed] = rest + 0.4 * np.roll(rate - rest, 2, axis=1)
        found["rate_ln"][seed] = rest + 0.3 * np.abs(np.roll(rate - rest, -1, axis=1))
        importance[seed] = np.abs(contribution[seed]).mean((0, 1, 2))
        first = np.argsort(-importance[seed])
        for i, size in enumerate(SIZES):
            reduced["truncated"][seed, ..., i] = rest + contribution[seed][..., first[:size]].sum(-1)
            reduced["lesioned"][seed, ..., i] = np.maximum(
                0, rest + 0.9 * contribution[seed][..., first[:size]].sum(-1)
            )
    order = np.argsort(-importance, axis=1)
    data = {name: variable("seed trial time neuron", values, made.units) for name, values in found.items()}
    data |= {name: variable("seed trial time neuron output", own, made.units) for name, own in reduced.items()}
    data["contribution"] = variable("seed trial time neuron feature", contribution, made.units)
    data["zero"] = variable("seed neuron", zero, made.units)
    data["order"] = variable("seed feature", order)
    data["importance"] = variable("seed feature", importance, made.units)
    data["stimulus"] = variable("trial time", stimulus, "px" if local else "1")
    if made.truth and not local:
        data["teacher"] = variable("trial time neuron", found["rate"][0] * 1.1, made.units)
    controls = [i > 1 and local for i in range(len(stimulus))]
    data["control"] = variable("trial", np.array(controls, np.int8))
    if kind == "probe":
        frames = np.abs(made.rng.normal(size=(made.seeds, made.cells, made.history)))
        data["lag_contribution"] = variable("seed neuron lag", frames, made.units)
    coords = {
        "trial": variable("trial", values, unit),
        "label": ("trial", np.array([f"condition {value:.3g}" for value in values], object)),
        "lag": variable("lag", (np.arange(made.history) - made.history) * 1e3 / RATE, "ms"),
        "time": variable("time", time, "s"), "neuron": made.names,
        "seed": range(made.seeds), "output": list(SIZES), "feature": range(made.features),
    }  # fmt: skip
    level = np.abs(found["rate"] - zero[:, None, None]).max()
    attrs = {
        "kind": kind,
        "unit": unit,
        "measures": json.dumps(measures),
        "circuit": json.dumps(circuits(made, found["rate"], zero, reduced, order)),
        "distribution": json.dumps(distribution(made)),
        "smallest": json.dumps(smallest(made, order)),
        "accuracy": 3e-4,
        "tolerance": 1e-3,
        "completeness": float(np.abs(found["residual"]).max() / level),
    }
    return xr.Dataset(data, coords=coords, attrs=attrs)


def circuits(made, rate, zero, reduced, order):
    """Rows of reduced circuits of every seed and size."""
    rows = []
    for seed in range(made.seeds):
        change = rate[seed] - zero[seed]
        for i, size in enumerate(SIZES):
            left = {name: ((own[seed, ..., i] - rate[seed]) ** 2).sum() / (change**2).sum()
                    for name, own in reduced.items()}  # fmt: skip
            kept = order[seed, :size]
            rows.append(
                {"seed": seed, "size": size, "channels": kept.tolist(), "labels": [made.label(seed, c) for c in kept],
                 "explained": float(1 - left["truncated"]), "peak_shift_bins": int(3 - size),
                 "explained_lesion": float(1 - left["lesioned"])}
            )  # fmt: skip
    return rows


def smallest(made, order):
    """Rows of the smallest sufficient circuits: two channels, of labels that the teacher has, too."""
    rows = []
    for model, seed in [*(("main", s) for s in range(made.seeds)), *([("teacher", 0)] if made.truth else [])]:
        channels = [int(c) for c in order[seed, : 2 + (seed == 1)]]
        labels = [made.label(seed, c) for c in channels]
        for by in ("channel", "label"):
            for lesion in (False, True):
                rows.append(
                    {"model": model, "seed": seed, "by": by, "lesion": lesion, "size": len(channels),
                     "channels": channels, "labels": labels,
                     "groups": list(dict.fromkeys(labels)) if by == "label" else labels, "explained": 0.95,
                     "explained_lesion": 0.93, "disagreement": 0.1}
                )  # fmt: skip
    return rows


def distribution(made):
    """Rows of the share of stimulus rows outside the range of training."""
    return [
        {"model": model, "seed": seed, "share": 0.45 if model in made.outside else 0.01 * seed,
         "outside": model in made.outside}
        for model in ("main", *BASELINES)
        for seed in range(made.seeds)
    ]  # fmt: skip


def channels(made):
    """The group `channels`, one fold."""
    shape = (1, made.seeds, made.features)
    height, width = made.kernel_px
    y, x = np.mgrid[:height, :width]
    space = np.exp(-((y - height / 2) ** 2 + (x - width / 2) ** 2) / (0.08 * height * width + 1))
    temporal = np.stack([[made.temporal(s, c) for c in range(made.features)] for s in range(made.seeds)])[None]
    noise = made.rng.normal(0, 0.08, (*shape, height, width))
    kinds = np.array([[made.kind(s, c) for c in range(made.features)] for s in range(made.seeds)])[None]
    peak = (made.history - np.abs(temporal).argmax(-1)) * 1e3 / RATE
    lag = (np.arange(made.history) - made.history) * 1e3 / RATE
    data = {
        "temporal": variable("fold seed feature lag", temporal),
        "spatial": variable("fold seed feature height width", space + noise),
        "component": variable("fold seed feature lag", temporal / np.linalg.norm(temporal, axis=-1, keepdims=True)),
        "separability": variable("fold seed feature", made.rng.uniform(0.7, 0.99, shape)),
        "polarity": variable("fold seed feature", kinds[..., 0].astype(np.int8)),
        "peak_ms": variable("fold seed feature", peak, "ms"),
        "fast": variable("fold seed feature", kinds[..., 1].astype(np.int8)),
        "strength": variable("fold seed feature", np.abs(kinds[..., 2])),
        "threshold_ms": variable("fold seed", np.full(shape[:2], peak.mean()), "ms"),
    }
    return xr.Dataset(data, coords={"lag": variable("lag", lag, "ms")})


def fields(made):
    """The group `fields`, one fold: mean gradients of each cell."""
    y, x = np.mgrid[: made.shape[0], : made.shape[1]]
    space = np.stack([np.exp(-((y - row) ** 2 + (x - column) ** 2) / 6) for row, column in made.place])
    time = -0.2 * biphasic_like(made.history)
    sta = time[:, None, None] * space[:, None]
    sta = sta + made.rng.normal(0, 0.004, (1, made.seeds, *sta.shape))
    size = np.linalg.norm(space, axis=(1, 2), keepdims=True)
    each = (1, made.seeds, made.cells)
    lag = (np.arange(made.history) - made.history) * 1e3 / RATE
    return xr.Dataset(
        {
            "sta": variable("fold seed neuron lag height width", sta.astype(np.float32), made.units),
            "spatial": variable("fold seed neuron height width", np.broadcast_to(space / size, (*each, *made.shape))),
            "temporal": variable("fold seed neuron lag", time * np.broadcast_to(size[..., 0], (*each, 1)), made.units),
            "separability": variable("fold seed neuron", made.rng.uniform(0.7, 0.99, each)),
        },
        coords={"lag": variable("lag", lag, "ms"), "neuron": made.names},
    )


def biphasic_like(history):
    """A biphasic course in time, (lag,)."""
    tau = np.arange(history)[::-1] / history * 12
    return tau**2 * np.exp(-tau) * (1 - tau / 4.5)


def summary(made, groups):
    """The group `summary` of phenomena, path -> dataset."""
    shares, signs = [], []
    for group in groups.values():
        own = group["contribution"].values
        size = np.abs(own).sum((1, 2, 3))
        shares.append(size / size.sum(1, keepdims=True))
        signs.append(own.sum((1, 2, 3)) / size.sum(1, keepdims=True))
    names = np.array([name.rsplit("/", 1)[-1] for name in groups], object)
    return xr.Dataset(
        {"share": variable("seed trial feature", np.stack(shares, 1)),
         "signed": variable("seed trial feature", np.stack(signs, 1))},
        coords={"trial": names, "seed": range(made.seeds)},
    )  # fmt: skip


def measured(made, name, unit, conditions, level, spread=0.0):
    """Rows of one measure: of every model and seed, of the mean over cells and of each cell; per condition or not."""
    models = {"main": 1.0, "white": 0.4, "ln": 0.2, "reduced_1": 0.5, "reduced_2": 0.8, "reduced_3": 0.95,
              "lesioned_1": 0.45, "lesioned_2": 0.75, "lesioned_3": 0.9}  # fmt: skip
    if made.truth:
        models["teacher"] = 1.05
    return [
        {"model": model, "seed": seed, "neuron": neuron, "name": name, "unit": unit, "at": at,
         "value": float(share * level(at) + spread * made.rng.normal())}
        for model, share in models.items()
        for seed in range(1 if model in ("white", "ln", "teacher") else made.seeds)
        for neuron in ("mean", *made.names)
        for at in (conditions if conditions is not None else [None])
    ]  # fmt: skip


def phenomena(made):
    """The groups of `phenomena`, path -> dataset."""
    rows, groups = made.rows, {}
    stimulus, values, time = flashes(rows, made.history)
    measures = measured(made, "ratio", "1", 100 * values, lambda at: 0.03 * at + 0.2, 0.02)
    measures += measured(made, "latency", "s", 100 * values, lambda at: 0.1 + 0.01 * at, 0.005)
    measures += measured(made, "latency_slope", "s/s", None, lambda at: 0.95, 0.03)
    groups["omitted"] = phenomenon(made, stimulus, 100 * values, time, "frames", "omitted", measures)
    stimulus, values, time = steps(rows, made.history)
    measures = measured(made, "latency", "s", values, lambda at: 0.15 + 0.03 * at, 0.002)
    measures += measured(made, "latency_rank", "1", None, lambda at: -0.9, 0.02)
    groups["latency"] = phenomenon(made, stimulus, values, time, "1", "latency_steps", measures)
    stimulus, values, time = bars(rows, made.shape[1], made.trials)
    measures = measured(made, "shift_rightward", "px", None, lambda at: 1.4, 0.1)
    measures += measured(made, "shift_leftward", "px", None, lambda at: -1.3, 0.1)
    groups["anticipation"] = phenomenon(made, stimulus, values, time, "1", "anticipation", measures, local=True)
    if made.truth:
        stimulus, values, time = steps(rows, made.history, trials=2)
        groups["probe_dark_step"] = phenomenon(made, stimulus[1:], values[1:], time, "1", "probe", [])
        groups["test_movie"] = phenomenon(made, stimulus[1:] / 2, values[1:], time, "1", "probe", [])
    return {f"/phenomena/{name}": group for name, group in groups.items()}


def agreement(made, groups):
    """The group `agreement`: all pairs of seeds."""
    pairs, courses = [], []
    for path in groups:
        for a, b in combinations(range(made.seeds), 2):
            about = {"phenomenon": path.rsplit("/", 1)[-1], "model_a": "main", "seed_a": a, "model_b": "main",
                     "seed_b": b, "experiments": False}  # fmt: skip
            pairs.append(about | {"jaccard": float(made.rng.choice([0.5, 1.0])), "chance": 0.4, "same": False})
            courses += [about | {"label": label, "r": float(1 - 0.3 * made.rng.random())} for label in LABELS]
    return xr.Dataset(attrs={"pairs": json.dumps(pairs), "courses": json.dumps(courses), "circuits": "[]"})


def interneurons(made):
    """One group of `interneurons`: a unit of the first channels follows each interneuron."""
    height, width = (1 + made.shape[i] - made.kernel_px[i] for i in range(2))
    count, draws = made.interneurons, 60
    y, x = np.mgrid[:height, :width]
    places = np.stack([made.rng.integers(0, height, count), made.rng.integers(0, width, count)], axis=1)
    maps = made.rng.normal(0, 0.05, (made.seeds, count, made.features, height, width))
    best = np.zeros((made.seeds, count), int)
    for seed, cell in np.ndindex(made.seeds, count):
        best[seed, cell] = int(np.flatnonzero(made.order[seed] == cell % made.features)[0])
        maps[seed, cell, best[seed, cell]] += 0.85 * np.exp(
            -((y - places[cell, 0]) ** 2 + (x - places[cell, 1]) ** 2) / 4
        )
    null = made.rng.normal(0, 0.08, (made.seeds, count, draws))
    untrained = np.full((made.seeds, count, draws), np.nan)
    untrained[..., :3] = made.rng.normal(0.2, 0.1, (made.seeds, count, 3))
    each = "seed neuron"
    level = 0.85 - 0.8 * np.arange(count) / max(10, count)
    data = {
        "correlation": variable("seed neuron feature height width", maps.astype(np.float32)),
        "best_feature": variable(each, best),
        "best_row": variable(each, np.tile(places[:, 0], (made.seeds, 1))),
        "best_column": variable(each, np.tile(places[:, 1], (made.seeds, 1))),
        "r": variable(each, level + made.rng.normal(0, 0.02, (made.seeds, count))),
        "null_shift": variable("seed neuron output", null),
        "untrained": variable("seed neuron output", untrained),
    }
    names = np.array([f"bipolar{i}" for i in range(count)], object)
    return xr.Dataset(data, coords={"neuron": names, "seed": range(made.seeds)})


def recovery(made, groups):
    """The group `recovery`: flashes of both signs, circuits of all phenomena, and slopes of latencies."""
    probes = [
        {"phenomenon": f"probe_{name}", "seed": seed, "share": 0.9 - 0.02 * seed, "teacher_share": 0.97, "r": 0.98,
         "peak_difference": seed % 2, "outside": name == "bright_step"}
        for name in ("dark_flash", "bright_flash", "dark_step", "bright_step")
        for seed in range(made.seeds)
    ]  # fmt: skip
    circuits = [
        {"phenomenon": path.rsplit("/", 1)[-1], "seed": seed, "true_labels": ["OFF fast", "OFF slow"],
         "same": bool(seed < 2)}
        for path in groups
        for seed in range(made.seeds)
    ]  # fmt: skip
    omitted = [{"phenomenon": "omitted", "seed": 0, "latency_slope": 0.9, "teacher": 1.0}]
    rows = {"probes": probes, "circuits": circuits, "omitted": omitted}
    return xr.Dataset(attrs={name: json.dumps(values) for name, values in rows.items()} | {"mechanism": "subunits"})


def attribution(made):
    """All groups of an attribution, path -> dataset."""
    groups = phenomena(made)
    tree = {"/channels": channels(made), "/fields": fields(made), **groups, "/summary": summary(made, groups)}
    tree["/agreement"] = agreement(made, groups)
    if made.truth:
        tree["/recovery"] = recovery(made, groups)
    if made.interneurons:
        tree["/interneurons/bipolars"] = interneurons(made)
    return tree
