"""Results of an analysis made by hand, following the arrays that cortex's evaluation and attribution give."""

import json
from itertools import pairwise, permutations

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Features, Fit, Fold, Results, write_table
from pellucid.systems.cortex.model.settings import Settings

RATE = 10.0
LIMBS = ("6", "8", "31", "33")
"""ROIs that drive the state."""
SIDE, GRID, SHAPE = 8, (7, 9), (32, 40)
"""Side of a mask, masks down and across, and height and width of the movie, px."""


def variable(dims, values, units="1"):
    """An xarray variable whose axes are given as one text."""
    return (dims.split(), np.asarray(values), {"units": units})


LEFT = (
    *((0.32, 0.11), (0.38, 0.20), (0.19, 0.18), (0.29, 0.34), (0.13, 0.34), (0.13, 0.44), (0.13, 0.58), (0.20, 0.47)),
    *((0.25, 0.57), (0.21, 0.65), (0.06, 0.59), (0.12, 0.65), (0.45, 0.48), (0.32, 0.54), (0.32, 0.62), (0.41, 0.75)),
    *((0.41, 0.87), (0.25, 0.76), (0.26, 0.84), (0.17, 0.83), (0.22, 0.92), (0.15, 0.75), (0.09, 0.82), (0.10, 0.89)),
    (0.05, 0.73),
)
"""Centres (column, row) of the published ROIs 1-25 as fractions of the image; 26-50 lie mirrored."""


def places(count):
    """Rows and columns of ROIs in two hemispheres, mirrored; (roi, 2) fractions."""
    left = np.array(LEFT)[: count // 2, ::-1]
    return np.concatenate([left, left * [1, -1] + [0, 1]])


class Made:
    """Results of an analysis; every array follows the contract of the system.

    mice    test mice; one mouse is cut into blocks
    pairs   every ordered pair of validation and test mice is a fold, else one fold for each test mouse
    movie   the main model sees a movie, and is occluded; else it sees traces
    parcels the features hold a parcel map; truth: simulated, driving ROIs are known
    """

    def __init__(self, folder, mice=5, sessions=2, rows=600, rois=50, pairs=True, movie=False, blocks=0, parcels=False,
                 truth=True, seeds=1, speed=True, trials=False):  # fmt: skip
        self.rng = np.random.default_rng(3)
        self.folder, self.mice, self.rows, self.rois = folder, [f"m{i}" for i in range(mice)], rows, rois
        self.movie, self.blocks, self.parcels, self.truth = movie, blocks, parcels, truth
        self.seeds, self.speed, self.trials = seeds, speed, trials
        self.names = {f"{mouse}_s{s}": mouse for mouse in self.mice for s in range(sessions)}
        self.pairs = list(permutations(self.mice, 2)) if pairs else list(zip(np.roll(self.mice, -1), self.mice))
        self.ids = [str(1 + i) for i in range(rois)]
        self.state = {name: self._bouts() for name in self.names}
        self.models = {}
        self.input = "movie" if movie else "roi"
        self.add("main", 0.97, **({"kind": "cnn_rnn", "window_s": 0.2} if movie else {}))
        if movie:
            self.add("cnn", 0.88, kind="cnn", window_s=0.0)
        else:
            self.add("linear", 0.955, kind="linear")
        self.add("null", 0.5, swap="derangement", **({"kind": "cnn_rnn", "window_s": 0.2} if movie else {}))
        self.controls = []

    def _bouts(self):
        state = np.repeat(np.arange(self.rows) // 1 % 2, self.rng.integers(25, 60, self.rows))[: self.rows]
        return state.astype(np.float32)

    def add(self, name, level, **settings):
        """Add a model whose AUC is about `level`."""
        self.models[name] = (Settings.model_validate({"input": self.input} | settings).model_dump(mode="json"), level)

    def sweep(self):
        """Add models of other windows and lags, of main and of the linear one."""
        for window in (0.1, 0.3, 0.8, 1.0):
            self.add(f"window_{window:g}", 0.97 - 0.03 * abs(np.log(window / 0.5)), window_s=window)
            self.add(f"linear_{window:g}", 0.94 - 0.03 * abs(np.log(window / 0.5)), kind="linear", window_s=window)
        for lag in (-1.0, -0.5, 0.5, 1.0):
            self.add(f"lag_{lag:g}", 0.97 - 0.1 * abs(lag - 0.1), lag_s=lag)

    def restrict(self):
        """Add models of some ROIs only."""
        self.add("limbs", 0.965, rois=list(LIMBS))
        self.add("no_limbs", 0.93, without_rois=list(LIMBS))
        self.add("front", 0.85, rois=["front"])

    def control(self):
        """Add controls, the first of which is as good as the main model."""
        for name, level in (("violet", 0.96), ("shift", 0.62), ("vessels", 0.8)):
            self.add(name, level, input=name)
            self.controls.append(name)

    def of_speed(self):
        """Add decoders of speed."""
        self.add("speed", 0.8, target="speed")
        self.add("speed_linear", 0.7, target="speed", kind="linear")

    def results(self, metrics=None, **groups):
        """Return the results; keywords replace groups of the attribution, None leaves one out."""
        tree = {name: group for name, group in (self.attribution() | groups).items() if group is not None}
        root = xr.Dataset(attrs={"headline": "[]", "model": "main", "warning": ""})
        return Results(
            analysis="made",
            features=Features({name: self._features(name) for name in self.names}, self.folds(), {}),
            fits=self.fits(),
            metrics=self.metrics() if metrics is None else metrics,
            predictions=schema.check(
                xr.DataTree.from_dict({f"/{name}": self._predicted(name) for name in self.names}), "predictions"
            ),
            attribution=schema.check(xr.DataTree.from_dict({"/": root, **tree}), "attribution"),
        )

    def folds(self):
        """Return the split table."""
        if self.blocks:
            edges = np.linspace(0, self.rows, self.blocks + 1).astype(int)
            name = next(iter(self.names))
            parts = [[(int(a), int(b))] for a, b in pairwise(edges)]
            return [
                Fold(
                    {name: [p for part in parts[:i] + parts[i + 1 :] for p in part]}, {name: parts[i - 1]}, {name: own}
                )
                for i, own in enumerate(parts)
            ]
        whole = {mouse: {n: [(0, self.rows)] for n, own in self.names.items() if own == mouse} for mouse in self.mice}
        return [
            Fold({n: r for m in set(self.mice) - {held, test} for n, r in whole[m].items()}, whole[held], whole[test])
            for held, test in self.pairs
        ]

    def unit(self, fold):
        """Return the test mouse or block of a fold."""
        return f"block {fold}" if self.blocks else self.pairs[fold][1]

    def fits(self):
        """Return the fits, each with a history on disk."""
        notes = {"parameters": 8097}
        return [
            Fit(model, fold, seed, settings, notes, self._history(model, settings["kind"], fold, seed))
            for model, (settings, _) in self.models.items()
            for fold in range(len(self.folds()))
            for seed in range(self.seeds)
        ]

    def _history(self, model, kind, fold, seed):
        folder = self.folder / "fits" / model / f"{fold}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([fold, seed])
        rows = []
        for stage in (1, 2) if kind == "cnn_rnn" else (1,):
            best = rng.integers(2, 6)
            for epoch in range(8):
                loss = 0.25 / stage + 0.01 * (epoch - best) ** 2 + 0.02 * fold / 20
                row = {"stage": stage, "epoch": epoch, "rate": 1e-3, "training": 0.6 / stage * np.exp(-epoch / 3)}
                rows.append(row | {"validation": loss, "auc": 1 - loss / 5})
        if kind == "linear":
            rows = [{"stage": 0, "epoch": i, "penalty": 0.1**i, "validation": 0.4, "auc": 0.9} for i in range(3)]
        write_table(folder / "history.csv", rows)
        return folder

    def _features(self, name):
        segment = np.arange(self.rows) // 10 if self.trials else np.zeros(self.rows)
        clock = {"rate_hz": RATE, "start_s": 0.0}
        tree = {
            "/": xr.Dataset(attrs={"subject": self.names[name]}),
            "/behaviour": xr.Dataset(
                {
                    "state": variable("time", self.state[name]),
                    "segment": variable("time", segment.astype(np.int32)),
                },
                attrs=clock | {"continuous": False},
            ),
        }
        signal = self.rng.normal(0, 1, (self.rows, self.rois)).astype(np.float32)
        signal[:, [self.ids.index(name) for name in LIMBS if name in self.ids]] += 2 * self.state[name][:, None]
        if self.movie:
            y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
            ground = 1000 + 500 * np.exp(-((y - 15) ** 2 + (x - 20) ** 2) / 250)
            bump = np.exp(-((y - 12) ** 2 + (x - 9) ** 2) / 12)
            frames = (
                ground + 10 * self.rng.normal(size=(self.rows, *SHAPE)) + 40 * bump * self.state[name][:, None, None]
            )
            tree["/movie"] = xr.Dataset(
                {"movie": variable("time height width", frames.astype(np.uint16), "counts"),
                 "mean": variable("height width", frames.mean(0).astype(np.float32), "counts"),
                 "sd": variable("height width", frames.std(0).astype(np.float32), "counts")},
                attrs=clock | {"kind": "movie", "sd": float((frames - ground).std())},
            )  # fmt: skip
        else:
            tree["/roi"] = xr.Dataset(
                {"signal": variable("time roi", signal, "%")}, coords=self.coords(), attrs=clock | {"kind": "traces"}
            )
        if self.parcels:
            tree["/parcels"] = xr.Dataset({"parcels": variable("height width", self.map())})
        return schema.check(xr.DataTree.from_dict(tree), name)

    def map(self):
        """Return a parcel map, (height, width), whose labels are the ROIs' ids."""
        y, x = np.mgrid[:36, :44]
        brain = ((y - 18) / 17) ** 2 + ((x - 22) / 20) ** 2 < 1
        down, across = 6, -(-self.rois // 6)
        labels = 1 + np.minimum((y * down) // 36 * across + (x * across) // 44, self.rois - 1)
        return np.where(brain, labels, 0).astype(np.int16)

    def coords(self):
        """Return the coordinates of ROIs."""
        place = places(self.rois) if not self.parcels else np.full((self.rois, 2), np.nan)
        area = ["front" if i % 25 < 5 else "limb" if name in LIMBS else "" for i, name in enumerate(self.ids)]
        return {
            "roi": np.array(self.ids, object),
            "row": ("roi", place[:, 0], {"units": "1"}),
            "column": ("roi", place[:, 1], {"units": "1"}),
            "area": ("roi", np.array(area, object)),
        }

    def _predicted(self, name):
        own = [fold for fold, split in enumerate(self.folds()) if name in split.test]
        shape = (len(self.models), len(own), self.seeds, self.rows)
        probability = np.full(shape, np.nan, np.float32)
        state = np.full((len(own), self.rows), np.nan, np.float32)
        for j, fold in enumerate(own):
            ((start, stop),) = self.folds()[fold].test[name]
            rows = slice(start + 5, stop - 5)
            state[j, rows] = self.state[name][rows]
            for i, (settings, level) in enumerate(self.models.values()):
                noise = self.rng.normal(0, 1, (self.seeds, stop - start - 10))
                drive = 8 * (level - 0.5) * (self.state[name][rows] - 0.5) + noise
                probability[i, j, :, rows] = 10 + drive if settings["target"] == "speed" else 1 / (1 + np.exp(-drive))
        data = {
            "probability": variable("model fold seed time", probability),
            "state": variable("fold time", state),
        }
        if self.speed:
            data["speed"] = variable("time", 8 * self.state[name] + self.rng.gamma(2, 0.5, self.rows), "cm/s")
        coords = {"model": np.array(list(self.models), object), "fold": own, "seed": range(self.seeds)}
        return xr.Dataset(data, coords=coords, attrs={"rate_hz": RATE, "start_s": 0.0})

    def metrics(self):
        """Return metrics.json."""
        table = [self._row(fit) for fit in self.fits()]
        models = [self._model(model, table) for model in self.models]
        of = {row["model"]: row for row in models}
        compared = [
            {"model": model, "reference": "main", "difference": row["auc"] - of["main"]["auc"], "low": -0.1,
             "high": 0.0, "p_mice": 0.0625, "p_ranksum": 0.001, "p_holm": 0.002}
            for model, row in of.items() if model != "main" and row["auc"] is not None
        ]  # fmt: skip
        controls = []
        for name in self.controls:
            difference = of[name]["auc"] - of["main"]["auc"]
            controls.append(
                {"model": name, "reference": "main", "score": "auc", "auc": of[name]["auc"],
                 "reference_auc": of["main"]["auc"], "difference": difference, "margin": 0.02,
                 "flagged": bool(difference >= -0.02), "said": f"{name}: said"}
            )  # fmt: skip
        sessions = [
            {"model": row["model"], "fold": row["fold"], "seed": row["seed"], "recording": name,
             "windows": self.rows - 10, "positive": 0.5, "auc": row["auc"], "r": float("nan")}
            for row in table for name in self.folds()[row["fold"]].test
        ]  # fmt: skip
        return {"headline": [], "table": table, "sessions": sessions, "models": models, "comparisons": compared,
                "controls": controls}  # fmt: skip

    def _row(self, fit):
        settings, level = self.models[fit.model]
        speed = settings["target"] == "speed"
        test = self.unit(fit.fold)
        value = level + 0.01 * (fit.fold % 3 - 1) - (0.02 if test == "m0" else 0)
        value = min(value, 0.999)
        nan = float("nan")
        return {
            "model": fit.model, "fold": fit.fold, "seed": fit.seed, "kind": settings["kind"], "cell": settings["cell"],
            "input": settings["input"], "target": settings["target"], "window_s": settings["window_s"],
            "lag_s": settings["lag_s"],
            "rois": 0 if self.movie else len(settings["rois"] or self.ids) - len(settings["without_rois"]),
            "unit": "block" if self.blocks else "mouse", "test": test,
            "validation_mouse": None if self.blocks else str(self.pairs[fit.fold][0]),
            "null": settings["swap"] or False, "windows": self.rows - 10, "positive": nan if speed else 0.5,
            "auc": nan if speed else value, "ece": nan if speed else 0.03,
            "onset_s": nan if speed else 0.1 + value / 10,
            "offset_s": nan if speed else 0.3, "onsets": 12, "onsets_found": 11, "offsets": 12, "offsets_found": 10,
            "r": value if speed else nan, "r2": value**2 if speed else nan,
            "transductive": settings["kind"] != "linear",
            "undefined": 0,
        }  # fmt: skip

    def _model(self, model, table):
        own = [row for row in table if row["model"] == model]
        score = "r" if own[0]["target"] == "speed" else "auc"
        each = {}
        for row in own:
            each.setdefault(row["test"], []).append(row[score])
        values = np.array([np.mean(scores) for scores in each.values()])
        half = 2 * values.std() / np.sqrt(len(values)) if len(values) > 1 else float("nan")
        mean = float(values.mean())
        return {
            "model": model, "target": own[0]["target"], "null": own[0]["null"], "unit": own[0]["unit"],
            "auc": mean if score == "auc" else None, "r": mean if score == "r" else None, "low": mean - half,
            "high": mean + half, "sd": 0.01, "fits": len(own), "mice": len(each), "undefined": 0,
        }  # fmt: skip

    def attribution(self):
        """Return the groups of an attribution, path -> dataset."""
        return self._of_movie() if self.movie else self._of_traces()

    def _of_traces(self):
        folds, lag = len(self.folds()), np.arange(-5, 6) / RATE
        scale = np.array([4.0 if name in LIMBS else 1.0 for name in self.ids]) * self.rng.uniform(0.7, 1.3, self.rois)
        profile = np.exp(-((lag - 0.1) ** 2) / 0.05)
        noise = self.rng.uniform(0.8, 1.2, (folds, self.seeds, len(lag), self.rois))
        magnitude = 0.01 * profile[:, None] * scale * noise
        axes, four = {"lag": ("lag", lag, {"units": "s"}), **self.coords()}, "fold seed lag roi"
        fits = {"fold": range(folds), "seed": range(self.seeds)}
        flat = 0.004 * self.rng.uniform(0.8, 1.2, magnitude.shape)
        sign = np.where(np.arange(self.rois) % 3 == 2, -1, 1)
        data = {
            "magnitude": variable(four, magnitude, "logit"),
            "signed": variable(four, sign * magnitude, "logit"),
            "completeness": variable("fold seed", np.full((folds, self.seeds), 0.02)),
        }
        if self.truth:
            data["driving"] = variable("roi", np.isin(self.ids, LIMBS).astype(np.int8))
        count = np.array([0, 1, 2, 4, 8, self.rois])
        falling = np.array([0.97, 0.93, 0.85, 0.7, 0.6, 0.5]) + 0.01 * self.rng.normal(size=(folds, self.seeds, 6))
        slowly = np.array([0.97, 0.965, 0.96, 0.94, 0.9, 0.5]) + 0.01 * self.rng.normal(size=(folds, self.seeds, 6))
        r = 0.2 + 0.1 * self.rng.normal(size=(folds, self.rois))
        coords = {name: value for name, value in axes.items() if name != "lag"}
        return {
            "/importance": xr.Dataset(data, coords=fits | axes, attrs={"background": "train"}),
            "/null": xr.Dataset({"magnitude": variable(four, 0.6 * flat, "logit")}, coords=fits | axes),
            "/untrained": xr.Dataset({"magnitude": variable(four, 0.3 * flat, "logit")}, coords=fits | axes),
            "/univariate": xr.Dataset(
                {"correlation": variable("fold roi", r), "auc": variable("fold roi", 0.5 + r / 2)},
                coords={"fold": range(folds)} | coords,
            ),
            "/deletion": xr.Dataset(
                {"auc": variable("fold seed output", falling), "random": variable("fold seed output", slowly),
                 "count": variable("output", count, "ROIs")},
                coords=fits | {"output": count / self.rois},
            ),
        }  # fmt: skip

    def _of_movie(self):
        folds, rng = len(self.folds()), self.rng
        down, across = (SIDE / 2 + SIDE / 2 * np.arange(count) for count in GRID)
        true = (np.abs(down[:, None] - 12.5) <= 4) & (np.abs(across[None] - 9.5) <= 4)
        square = 0.05 * true + 0.006 * rng.normal(size=(folds, self.seeds, *GRID))
        border = 0.01 * rng.normal(size=(folds, self.seeds, 1 + sum(GRID)))
        t = rng.normal(size=(folds, *SHAPE))
        t[:, 9:16, 6:13] += 8
        names = ["corners", *(f"c{i}" for i in range(GRID[1])), *(f"r{i}" for i in range(GRID[0]))]
        occlusion = {
            "square": variable("fold seed height width", square),
            "circle": variable("fold seed height width", 0.8 * square),
            "border": variable("fold seed output", border),
            "ones": variable("fold seed", np.zeros((folds, self.seeds))),
        }
        if self.truth:
            occlusion["true"] = variable("height width", true.astype(np.int8))
            occlusion["recovered"] = variable("fold seed", np.full((folds, self.seeds), 0.98))
        coords = {
            "fold": range(folds), "seed": range(self.seeds), "row": ("height", down, {"units": "px"}),
            "column": ("width", across, {"units": "px"}), "output": np.array(names, object),
        }  # fmt: skip
        return {
            "/occlusion": xr.Dataset(occlusion, coords=coords, attrs={"model": "main", "side_px": SIDE}),
            "/tmap": xr.Dataset({"t": variable("fold height width", t)}, coords={"fold": range(folds)}),
        }


def as_stored(metrics):
    """Return metrics as they are read from JSON: NaN is None."""
    return json.loads(json.dumps(metrics).replace("NaN", "null"))
