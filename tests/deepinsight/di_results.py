"""Results of an analysis made by hand, following the arrays that DeepInsight's evaluation and attribution give."""

import json
from itertools import combinations, pairwise

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Features, Fit, Fold, Results, headline_row, row_indices, write_table
from pellucid.learning import metrics as measures
from pellucid.preprocess import behaviour as behaviours
from pellucid.systems.deepinsight.model.settings import Settings

RATE = 30.0
TRIAL = 25
"""Rows per second, and rows of a trial."""

TARGETS = {
    "plane": {"kind": "position", "period": 1.0, "units": "cm", "labels": ["x", "y"]},
    "track": {"kind": "circular", "period": 2.9, "units": "m", "labels": ["track_sin", "track_cos"]},
    "line": {"kind": "value", "period": 1.0, "units": "cm", "labels": ["line"]},
    "heading": {"kind": "angle", "period": 1.0, "units": "rad", "labels": ["heading"]},
    "speed": {"kind": "speed", "period": 1.0, "units": "cm/s", "labels": ["speed"]},
    "choice": {"kind": "choice", "period": 1.0, "units": "1", "labels": ["choice"]},
}
PEAKS = {"plane": 550.0, "track": 550.0, "line": 550.0, "heading": 4500.0, "speed": 10.4, "choice": 165.0}
"""Band that carries each target, Hz."""


def variable(dims, values, units="1"):
    """An xarray variable whose axes are given as one text."""
    return (dims.split(), np.asarray(values), {"units": units})


def smooth(values, rows):
    """Trailing-free moving average over rows, along time."""
    kernel = np.hanning(rows + 2)[1:-1]
    return np.apply_along_axis(np.convolve, 0, values, kernel / kernel.sum(), mode="same")


class Made:
    """Results of an analysis; every array follows the contract of the system.

    targets     names of TARGETS
    recordings  name -> rows
    missing     folds in which the main model predicts nothing
    """

    def __init__(self, folder, targets=("plane", "heading", "speed"), recordings=None, bands=26, channels=12, folds=2,
                 seeds=1, missing=()):  # fmt: skip
        self.rng = np.random.default_rng(5)
        self.folder, self.targets, self.missing = folder, list(targets), missing
        self.rows = recordings or {"a": 2400, "b": 1700}
        self.hz = 15000 * 2.0 ** -np.linspace(0, 12.5 if bands > 1 else 0, bands)
        self.channels = [f"ch{i}" for i in range(channels)]
        self.folds, self.seeds = folds, seeds
        self.behaviour = {name: self._behaviour(rows) for name, rows in self.rows.items()}
        self.models, self.shifted = {}, []
        self.add("main", 0.15)
        self.add("ridge", 0.5, kind="ridge")

    def add(self, name, noise, bands_hz=None, **settings):
        """Add a model whose predictions are off by `noise` standard deviations."""
        typed = Settings.model_validate(settings)
        self.models[name] = (typed.model_dump(mode="json"), noise, list(self.hz) if bands_hz is None else bands_hz)
        if typed.shift_s is not None:
            self.shifted.append(name)

    def one_bands(self):
        """Add a network of every band."""
        for hz in self.hz:
            self.add(f"band_{hz:.4g}", 1.2, [float(hz)], bands={"only_hz": [float(hz)]})

    def limit(self):
        """Add band-limited networks and a Bayesian decoder."""
        for name, low, high, noise in [
            ("lfp", 0, 150, 0.8), ("middle", 150, 250, 0.45), ("below_250", 0, 250, 0.4), ("above_250", 250, None, 0.2),
        ]:  # fmt: skip
            seen = [float(hz) for hz in self.hz if hz > low and (high is None or hz < high)]
            self.add(name, noise, seen, bands={"above_hz": low, "below_hz": high})
        self.add("bayes", 0.35, kind="bayes", input="spikes")

    def sweep(self):
        """Add models of other windows, averages and amounts of training data."""
        for rows, noise in ((16, 0.5), (32, 0.3), (128, 0.2)):
            self.add(f"window_{rows}", noise, window_rows=rows)
            self.add(f"ridge_{rows}", noise + 0.3, kind="ridge", window_rows=rows)
        for rows, noise in ((2, 0.18), (4, 0.3)):
            self.add(f"average_{rows}", noise, average_rows=rows)
        for seconds, noise in ((5.0, 0.9), (10.0, 0.5), (20.0, 0.25)):
            self.add(f"first_{seconds:g}", noise, train_s=seconds)

    def shift(self):
        """Add chance by retraining."""
        for seconds in (10.0, 17.5):
            self.add(f"shifted_{seconds:g}", 1.0, shift_s=seconds)

    def results(self, metrics=None, **groups):
        """Return the results; keywords replace groups of the attribution, None leaves one out."""
        stores = {name: self._features(name) for name in self.rows}
        features = Features(stores, self.split(), {
            name: xr.DataArray(np.full((self.folds, len(self.hz), len(self.channels)), value, np.float32),
                               dims=("fold", "frequency", "channel"))
            for name, value in (("median", 1.0), ("mad", 0.5))
        })  # fmt: skip
        self.predicted = {name: self._predicted(name) for name in self.rows}
        tree = {name: group for name, group in (self.attribution() | groups).items() if group is not None}
        root = xr.Dataset(attrs={"headline": "[]", "model": "main"})
        return Results(
            analysis="made",
            features=features,
            fits=self.fits(),
            metrics=self.metrics() if metrics is None else metrics,
            predictions=schema.check(
                xr.DataTree.from_dict({f"/{name}": one for name, one in self.predicted.items()}), "predictions"
            ),
            attribution=schema.check(xr.DataTree.from_dict({"/": root, **tree}), "attribution"),
        )

    def labels(self):
        """Return the labels of all columns of behaviour."""
        return [label for name in self.targets for label in TARGETS[name]["labels"]]

    def split(self):
        """Return the split table: contiguous parts of every recording."""
        cuts = {name: np.linspace(0, rows, self.folds + 1).astype(int) for name, rows in self.rows.items()}
        if "choice" in self.targets:
            cuts = {name: cut // TRIAL * TRIAL for name, cut in cuts.items()}
        parts = {name: [(int(a), int(b)) for a, b in pairwise(cut)] for name, cut in cuts.items()}
        return [
            Fold(
                {name: [p for j, p in enumerate(own) if j != i] for name, own in parts.items()},
                {},
                {name: [own[i]] for name, own in parts.items()},
            )
            for i in range(self.folds)
        ]

    def fits(self):
        """Return the fits, each with a history on disk."""
        found = []
        for model, (settings, _, bands) in self.models.items():
            for fold in range(self.folds):
                for seed in range(self.seeds):
                    folder = self.folder / "fits" / model / f"{fold}-{seed}"
                    folder.mkdir(parents=True, exist_ok=True)
                    rows = [
                        {
                            "epoch": i,
                            "rate": 1e-3,
                            "training": 1.5 * np.exp(-i / 3),
                            "validation": 1 + 0.02 * (i - 4) ** 2,
                        }
                        for i in range(8)
                    ]
                    write_table(folder / "history.csv", rows)
                    found.append(Fit(model, fold, seed, settings, {"bands_hz": bands}, folder))
        return found

    def _behaviour(self, rows):
        walk = smooth(self.rng.normal(size=(rows, 2)), 90)
        place = 60 * (walk - walk.min(0)) / np.ptp(walk, axis=0) * [2.0, 1.0] + 10
        step = np.gradient(place, axis=0) * RATE
        turn = np.cumsum(np.abs(smooth(self.rng.normal(0.006, 0.004, rows), 60)))
        choice = np.repeat(self.rng.choice([-1.0, 1.0], -(-rows // TRIAL)), TRIAL)[:rows]
        columns = {
            "plane": place,
            "track": behaviours.circular(2.9 * turn % 2.9, 2.9),
            "line": place[:, :1],
            "heading": behaviours.wrap(np.unwrap(np.arctan2(step[:, 1], step[:, 0])))[:, None],
            "speed": np.hypot(*step.T)[:, None],
            "choice": choice[:, None],
        }
        return np.concatenate([columns[name] for name in self.targets], axis=1).astype(np.float32)

    def _features(self, name):
        rows = self.rows[name]
        power = 1 + 0.5 * self.rng.normal(size=(rows, len(self.hz), len(self.channels))).astype(np.float32)
        described = {t: {key: TARGETS[t][key] for key in ("kind", "period", "units")} for t in self.targets}
        data = {
            "power": variable("time frequency channel", power, "uV^2"),
            "behaviour": variable("time output", self.behaviour[name], "see target"),
            "label": ("output", np.array(self.labels(), object)),
            "target": ("output", np.array([t for t in self.targets for _ in TARGETS[t]["labels"]], object)),
            "scored": ("time", np.ones(rows, bool)),
        }
        if "choice" in self.targets:
            data["group"] = variable("time", np.arange(rows) // TRIAL)
        coords = {
            "time": ("time", np.arange(rows) / RATE, {"units": "s"}),
            "frequency": ("frequency", self.hz, {"units": "Hz"}),
            "channel": np.array(self.channels, object),
        }
        tree = {"/features": xr.Dataset(data, coords, {"reach_rows": 10, "targets": json.dumps(described)})}
        return schema.check(xr.DataTree.from_dict(tree), name)

    def _predicted(self, name):
        true, spread = self.behaviour[name], self.behaviour[name].std(0)
        shape = (len(self.models), self.folds, self.seeds, *true.shape)
        values = np.full(shape, np.nan, np.float32)
        for i, (model, (settings, noise, _)) in enumerate(self.models.items()):
            for fold, split in enumerate(self.split()):
                if model == "main" and fold in self.missing:
                    continue
                rows = row_indices(split.test[name])[63:]
                for seed in range(self.seeds):
                    error = 3 * noise * spread * smooth(self.rng.normal(size=true.shape), 20)[rows]
                    shrink = 1 / (1 + noise**2)
                    guess = true[rows] * shrink + true.mean(0) * (1 - shrink) + error
                    if settings["shift_s"] is not None:
                        guess = np.roll(guess, int(settings["shift_s"] * RATE), axis=0)
                    values[i, fold, seed, rows] = guess
            decoded = settings["decode"] or self.targets
            for k, target in enumerate(t for t in self.targets for _ in TARGETS[t]["labels"]):
                if target not in decoded:
                    values[i, ..., k] = np.nan
        coords = {
            "model": np.array(list(self.models), object),
            "fold": range(self.folds),
            "seed": range(self.seeds),
            "time": ("time", np.arange(self.rows[name]) / RATE, {"units": "s"}),
            "output": np.array(self.labels(), object),
        }
        return xr.Dataset({"prediction": variable("model fold seed time output", values, "see target")}, coords)

    def metrics(self):
        """Return metrics.json."""
        table = [row for fit in self.fits() for row in self._rows(fit)]
        headline = []
        for model in self.models:
            if model not in self.shifted:
                headline += self._headline(model, [row for row in table if row["model"] == model])
        found = {"headline": headline, "table": table, "test_rows": {}, "history_rows": 64}
        if self.shifted:
            row = headline_row("chance by retraining", 0.01, model="main")
            headline.append(row | {"low": -0.05, "high": 0.06, "chance": 0.0, "chance_low": -0.03, "chance_high": 0.03})
            found["retrained"] = self._retrained(headline)
        return found

    def _rows(self, fit):
        """Return the table of one fit: the scores of the real functions, on the predictions made by hand."""
        true, guess, trial = [], [], []
        for place, (name, parts) in enumerate(self.split()[fit.fold].test.items()):
            rows = row_indices(parts)
            values = self.predicted[name]["prediction"].sel(model=fit.model, fold=fit.fold, seed=fit.seed).values[rows]
            known = np.isfinite(values).any(1)
            true.append(self.behaviour[name][rows][known])
            guess.append(values[known])
            trial.append(1000 * place + rows[known] // TRIAL)
        b, p = np.concatenate(true), np.concatenate(guess)
        if not len(b):
            return []
        key = {"model": fit.model, "fold": fit.fold, "seed": fit.seed}
        rows = []
        for metric, of in (("pearson", measures.pearson), ("spearman", measures.spearman), ("R2", measures.explained)):
            rows += [{**key, "output": o, "metric": metric, "value": float(v), "units": "1"}
                     for o, v in zip(self.labels(), of(b, p)) if np.isfinite(v)]  # fmt: skip
        start = 0
        for target in self.targets:
            about = TARGETS[target]
            own = slice(start, start + len(about["labels"]))
            start = own.stop
            if not np.isfinite(p[:, own]).all():
                continue
            errors = self.error(target, b[:, own], p[:, own])
            rows += [{**key, "output": target, "metric": f"{kind} error", "value": float(of(errors)),
                      "units": about["units"]} for kind, of in (("median", np.median), ("mean", np.mean))]  # fmt: skip
            if about["kind"] == "choice":
                number, column = np.concatenate(trial), own.start
                pairs = [(b[number == n, column].mean(), p[number == n, column].mean()) for n in np.unique(number)]
                wrong = float(np.mean([a * c < 0 for a, c in pairs]))
                rows.append({**key, "output": target, "metric": "trial error", "value": wrong, "units": "1"})
        return rows

    @staticmethod
    def error(target, true, guess):
        """Return the error of every row in the unit of the target."""
        kind, period = TARGETS[target]["kind"], TARGETS[target]["period"]
        if kind == "circular":
            return behaviours.circular_error(*(behaviours.decircular(x, period) for x in (true, guess)), period)
        if kind == "angle":
            return behaviours.circular_error(true[:, 0], guess[:, 0], 2 * np.pi)
        return np.linalg.norm(true - guess, axis=1)

    def _headline(self, model, table):
        def row(name, value, unit, chance):
            half = 0.08 * abs(value) + 0.01
            about = {"low": value - half, "high": value + half, "chance": chance, "chance_low": 0.9 * chance - 0.03,
                     "chance_high": 1.1 * chance + 0.03}  # fmt: skip
            return headline_row(name, value, model=model, unit=unit) | about

        found = []
        r = [one["value"] for one in table if one["metric"] == "pearson"]
        if r:
            found.append(row("Pearson r, mean over outputs and folds", float(np.mean(r)), "1", 0.0))
        for metric in ("median error", "trial error"):
            for output in dict.fromkeys(one["output"] for one in table if one["metric"] == metric):
                own = [one for one in table if (one["output"], one["metric"]) == (output, metric)]
                chance = 0.5 if metric == "trial error" else self._chance(output)
                found.append(row(f"{output}: {metric}", float(np.mean([one["value"] for one in own])), own[0]["units"],
                                 float(chance)))  # fmt: skip
        return found

    def _chance(self, target):
        """Return the median error of behaviour against itself half a recording later."""
        true = next(iter(self.behaviour.values()))
        columns = [i for i, label in enumerate(self.labels()) if label in TARGETS[target]["labels"]]
        return np.median(self.error(target, true[:, columns], np.roll(true, len(true) // 2, axis=0)[:, columns]))

    def _retrained(self, headline):
        rows = [row for row in headline if row["model"] == "main" and row["name"] != "chance by retraining"]
        found = []
        for model in self.shifted:
            for row in rows:
                value = row["chance"] + 0.01 * len(found)
                kept = {key: row[key] for key in ("name", "chance_low", "chance_high", "unit")}
                scores = {"value": value, "low": value - 0.05, "high": value + 0.06, "inside": True}
                found.append({"model": model, "of": "main", **kept, **scores})
        return found

    def profile(self, target, width=0.6):
        """Return the influence of every band on a target, (frequency,)."""
        octaves = np.log2(self.hz / PEAKS[target])
        return 0.8 * np.exp(-((octaves / width) ** 2)) + 0.02 * self.rng.normal(size=len(self.hz))

    def attribution(self):
        """Return the groups of an attribution, path -> dataset."""
        outputs = {"output": np.array(self.targets, object)}
        band = np.stack([self.profile(name) for name in self.targets], axis=1)
        grid = {"frequency": ("frequency", self.hz, {"units": "Hz"})}
        found = {
            "/band": self._influence("frequency", band, grid | outputs),
            "/channel": self._influence(
                "channel", 0.1 * self.rng.random((len(self.channels), len(self.targets))),
                {"channel": np.array(self.channels, object), **outputs},
            ),
            "/group": self._influence(
                "feature", 0.5 * self.rng.random((4, len(self.targets))),
                {"feature": np.array(["tetrode 1", "tetrode 2", "theta", "spike bands"], object), **outputs},
            ),
            "/deletion": xr.Dataset(
                {name: variable("feature output", np.linspace(0.1, top, 4)[:, None] * np.ones(len(self.targets)))
                 for name, top in (("most", 2.0), ("least", 0.12))},
                coords={"feature": [1, 2, 4, 8], **outputs},
            ),
            "/elimination": self._elimination(outputs),
            "/classes": self._classes(grid, outputs),
        }  # fmt: skip
        if len(self.hz) > 1:
            found["/pairs"] = self._pairs(band, outputs)
        if any(name.startswith("band_") for name in self.models):
            inverse = 0.5 + band + 0.1 * self.rng.random(band.shape)
            found["/one_band"] = xr.Dataset(
                {"loss": variable("frequency output", 1 / inverse, "mean loss"),
                 "spearman": variable("output", np.linspace(0.88, 0.47, len(self.targets))),
                 "p": variable("output", np.linspace(1e-6, 0.02, len(self.targets)))},
                coords=grid | outputs, attrs={"n": len(self.hz)},
            )  # fmt: skip
        if any(settings["train_s"] for settings, *_ in self.models.values()):
            found["/profiles"] = self._profiles(band, grid, outputs)
        return found

    def _influence(self, axis, values, coords):
        half = 0.03 + 0.1 * np.abs(values)
        flat = f"{axis} output"
        data = {
            "influence": variable(flat, values),
            "low": variable(flat, values - half), "high": variable(flat, values + half),
            "repeat_sd": variable(flat, half / 4), "sample_ratio": variable(flat, 2 * values),
            "null_high": variable("output", np.full(values.shape[1], 0.05)),
        }  # fmt: skip
        return xr.Dataset(data, coords)

    def _pairs(self, band, outputs):
        members = np.array(list(combinations(range(len(self.hz)), 2)))
        strength = np.sqrt(np.abs(band[members[:, 0]] * band[members[:, 1]]))
        value = 0.4 * strength + 0.01 * self.rng.normal(size=strength.shape)
        p = np.where(strength > 0.2, 1e-5, 0.5)
        data = {"interaction": value, "low": value - 0.05, "high": value + 0.05, "p": p,
                "p_holm": np.minimum(1, p * len(members))}  # fmt: skip
        return xr.Dataset(
            {name: variable("feature output", one) for name, one in data.items()},
            coords={"first_hz": ("feature", self.hz[members[:, 0]], {"units": "Hz"}),
                    "second_hz": ("feature", self.hz[members[:, 1]], {"units": "Hz"}), **outputs},
            attrs={"n": 40},
        )  # fmt: skip

    def _elimination(self, outputs):
        value = 0.02 + 0.3 * self.rng.random((2, len(self.targets)))
        control = 0.3 * value
        data = {"influence": value, "low": value - 0.04, "high": value + 0.05, "control": control,
                "control_low": control - 0.03, "control_high": control + 0.03}  # fmt: skip
        return xr.Dataset(
            {name: variable("feature output", one) for name, one in data.items()}
            | {"rows": variable("feature", [0.12, 0.31]), "control_rows": variable("feature", [0.12, 0.31])},
            coords={"feature": np.array(["place", "interneuron"], object), **outputs},
        )

    def _classes(self, grid, outputs):
        octaves = np.log2(self.hz[None] / np.array([[560.0], [4400.0]]))
        power = np.array([[2.0], [1.1]]) * np.exp(-((octaves / 1.3) ** 2))
        shape = (2, len(self.targets))
        return xr.Dataset(
            {"power": variable("frequency feature", power.T),
             "units": variable("feature", [17, 5], "count"),
             "spearman": variable("feature output", np.linspace(0.84, -0.2, shape[0] * shape[1]).reshape(shape)),
             "p": variable("feature output", np.linspace(1e-8, 0.4, shape[0] * shape[1]).reshape(shape))},
            coords={"feature": np.array(["place", "interneuron"], object), **grid, **outputs},
        )  # fmt: skip

    def _profiles(self, band, grid, outputs):
        chosen = {name: about for name, (about, *_) in self.models.items()
                  if about["kind"] == "cnn" and (about["train_s"] or about["average_rows"] > 1)}  # fmt: skip
        profile = np.stack([band + 0.2 * self.rng.normal(size=band.shape) for _ in chosen])
        r = np.array([[np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, band.T)] for one in profile])
        seconds = [np.nan if about["train_s"] is None else about["train_s"] for about in chosen.values()]
        return xr.Dataset(
            {"influence": variable("model frequency output", profile), "pearson": variable("model output", r),
             "rank": variable("model output", 1 + self.rng.integers(0, 4, r.shape).astype(float)),
             "train_s": variable("model", seconds, "s"),
             **{key: variable("model", [about[key] for about in chosen.values()], "rows")
                for key in ("window_rows", "average_rows")}},
            coords={"model": np.array(list(chosen), object), **grid, **outputs},
        )  # fmt: skip
