"""Results of an analysis made by hand, following the arrays that retina's evaluation and attribution give."""

import json

import numpy as np
import xarray as xr
from retina_attribution import attribution

from pellucid import schema
from pellucid.artifacts import Features, Fit, Fold, Results, write_table

RATE = 100.0
KINDS = ((-1, 1), (1, 1), (-1, 0), (1, 0))
"""Polarity and speed of the channels by number, over and over: OFF fast, ON fast, OFF slow, ON slow."""

WEIGHTS = (1.0, 0.8, -0.6, 0.15)
MODELS = {"main": 0.9, "white": 0.6, "ln": 0.45, "shifted": 0.02}
"""Models and their correlation with the noiseless rate."""


def variable(dims, values, units="1"):
    """An xarray variable whose axes are given as one text."""
    return (dims.split(), np.asarray(values), {"units": units})


def biphasic(history, fast):
    """The temporal kernel of a channel without its sign, oldest frame first, (lag,)."""
    tau = np.arange(history)[::-1] / history * (14 if fast else 8)
    found = tau**2 * np.exp(-tau) * (1 - tau / 4.5)
    return found / np.abs(found).max()


class Made:
    """Results of an analysis; every array follows the contract of the system.

    cells, seeds, features  their numbers; history: frames; shape: height and width of the movie, px
    rows        rows of a stimulus with many, trials: its conditions
    repeats     repeats of the test movie, 0 for none; truth: simulated, noiseless rates are known
    outside     models whose responses to stimuli are out of distribution
    units       of the rates
    """

    def __init__(self, folder, cells=4, seeds=1, features=8, history=12, shape=(14, 18), rows=150, trials=21,
                 repeats=8, truth=True, outside=("white",), units="count", interneurons=2, frames=900):  # fmt: skip
        self.rng = np.random.default_rng(7)
        self.folder, self.cells, self.seeds, self.features = folder, cells, seeds, features
        self.history, self.shape, self.rows, self.trials = history, shape, rows, trials
        self.repeats, self.truth, self.outside, self.units = repeats, truth, outside, units
        self.interneurons, self.frames = interneurons, frames
        self.names = np.array([f"cell{i:02d}" for i in range(cells)], object)
        self.kernel_px = tuple(min(side, 5 if history < 20 else 15) for side in shape)
        self.place = self.rng.uniform(0.3, 0.7, (cells, 2)) * np.array(shape)
        self.order = np.stack([self.rng.permutation(features) if s else np.arange(features) for s in range(seeds)])
        self.recordings = ("mixed", "white")

    def kind(self, seed, feature):
        """Polarity, speed and weight of a channel."""
        number = int(self.order[seed, feature])
        return *KINDS[number % 4], WEIGHTS[number % 4] * 0.25 ** (number // 4)

    def label(self, seed, feature):
        """The label of a channel."""
        polarity, fast, _ = self.kind(seed, feature)
        return f"{'ON' if polarity > 0 else 'OFF'} {'fast' if fast else 'slow'}"

    def temporal(self, seed, feature):
        """The signed temporal kernel of a channel, (lag,)."""
        polarity, fast, weight = self.kind(seed, feature)
        return polarity * biphasic(self.history, fast) * (0.3 + abs(weight))

    def results(self, **groups):
        """Return the results; keywords replace groups of the attribution, None leaves one out."""
        tree = {name: group for name, group in (attribution(self) | groups).items() if group is not None}
        explained = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"headline": "[]", "model": "main"}), **tree})
        rates = {name: self._rates(name) for name in self.recordings}
        return Results(
            analysis="made",
            features=Features({name: self._features(*rates[name]) for name in self.recordings}, [self._fold()], {}),
            fits=self.fits(),
            metrics=self.metrics(),
            predictions=schema.check(
                xr.DataTree.from_dict({f"/{name}": self._predicted(*own) for name, own in rates.items()}), "predictions"
            ),
            attribution=schema.check(explained, "attribution"),
        )

    def _fold(self):
        half = self.frames // 3
        train = {name: [(self.history, half)] for name in self.recordings}
        validation = {name: [(half + self.history, 2 * half - self.history)] for name in self.recordings}
        return Fold(train, validation, {name: [(2 * half + self.history, self.frames)] for name in self.recordings})

    def _rates(self, name):
        """Noiseless rates and repeats of the test rows of a recording, (time, neuron) and (repeat, time, neuron)."""
        start = 2 * (self.frames // 3)
        count = self.frames - start
        drive = self.rng.normal(size=(count + 8, self.cells))
        smooth = np.stack([np.convolve(one, np.hanning(9)[1:], "valid") for one in drive.T], axis=1)[:count]
        scale = 40 if self.units == "Hz" else 4
        rate = scale * np.log1p(np.exp(smooth * 1.2 - 1))
        shown = self.rng.poisson(rate if self.units == "count" else rate / 10, (max(1, self.repeats), *rate.shape))
        return rate, (shown if self.units == "count" else shown * 10.0).astype(np.float32)

    def _features(self, rate, shown):
        count, start = self.frames, 2 * (self.frames // 3)
        coords = {
            "neuron": self.names,
            "row": variable("neuron", self.place[:, 0], "px"),
            "column": variable("neuron", self.place[:, 1], "px"),
        }
        clock = {"rate_hz": RATE, "start_s": 0.0}
        test = (np.arange(count) >= start).astype(np.int8)
        movie = self.rng.normal(size=(count, *self.shape)).astype(np.float32)
        response = self.rng.poisson(3, (count, self.cells)).astype(np.float32)
        tree = {
            "/stimulus": xr.Dataset(
                {
                    "movie": variable("time height width", movie),
                    "block": variable("time", test.astype(np.int32)),
                    "test": variable("time", test),
                },
                attrs=clock,
            ),
            "/responses": xr.Dataset(
                {"response": variable("time neuron", response, self.units)},
                coords=coords,
                attrs=clock | {"units": self.units},
            ),
        }
        if self.repeats:
            tree["/repeats"] = xr.Dataset(
                {
                    "response": variable("repeat time neuron", shown, self.units),
                    "frame": variable("time", np.arange(start, count, dtype=np.int32)),
                },
                coords={"neuron": self.names},
                attrs=clock,
            )
        return schema.check(xr.DataTree.from_dict(tree), "features")

    def _predicted(self, rate, shown):
        skip = self.history
        response = (shown.mean(0) if self.repeats else shown[0])[skip:]
        found = np.full((len(MODELS), 1, self.seeds, *response.shape), np.nan, np.float32)
        for i, level in enumerate(MODELS.values()):
            for s in range(self.seeds if i == 0 else 1):
                noise = np.sqrt(1 - level**2) * rate.std(0) * self.rng.normal(size=rate.shape)
                own = rate.mean(0) + level * (rate - rate.mean(0)) + 0.4 * noise
                found[i, 0, s] = np.maximum(own, 0)[skip:]
        start = 2 * (self.frames // 3)
        return xr.Dataset(
            {
                "prediction": variable("model fold seed time neuron", found, self.units),
                "response": variable("time neuron", response.astype(np.float32), self.units),
                "frame": variable("time", np.arange(start + skip, start + len(rate), dtype=np.int32)),
                "ceiling": variable("neuron", np.full(self.cells, 0.93 if self.repeats else np.nan)),
            },
            coords={"model": np.array(list(MODELS), object), "fold": [0], "seed": range(self.seeds),
                    "neuron": self.names},
            attrs={"units": self.units, "rate_hz": RATE, "start_s": 0.0},
        )  # fmt: skip

    def fits(self):
        """Return the fits, each with a history on disk."""
        found = []
        for model in MODELS:
            for seed in range(self.seeds if model == "main" else 1):
                settings = {
                    "kind": "ln" if model == "ln" else "cnn",
                    "recordings": ["white"] if model == "white" else ["mixed"],
                    "swap": "shift" if model == "shifted" else None,
                    "history": self.history,
                    "lag": 1,
                }
                found.append(Fit(model, 0, seed, settings, {}, self._history(model, seed)))
        return found

    def _history(self, model, seed):
        folder = self.folder / "fits" / model / f"0-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        epochs = np.arange(25)
        noise = self.rng.normal(0, 0.01, (3, len(epochs)))
        rows = [
            {
                "epoch": e,
                "rate": 5e-3 * 0.5 ** (e // 10),
                "training": -2 + 1.5 * np.exp(-e / 5) + noise[0, e],
                "validation": -1.9 + 1.4 * np.exp(-e / 5) + 2e-4 * (e - 14) ** 2 + noise[1, e],
                "r": MODELS[model] * (1 - np.exp(-(e + 1) / 4)) + noise[2, e],
                "slope": 1 + 1.5 * np.exp(-e / 4) + noise[2, e],
            }
            for e in epochs
        ]
        write_table(folder / "history.csv", [] if model == "ln" else rows)
        return folder

    def metrics(self):
        """Return metrics.json: a row for each fit and recording, and for each cell."""
        rows, cells = [], []
        for fit in self.fits():
            for recording in self.recordings:
                level = MODELS[fit.model] - 0.15 * (fit.settings["recordings"] != [recording])
                r = np.clip(level + self.rng.normal(0, 0.05, self.cells), -0.2, 0.99)
                bits = 0.9 * r**2 - 0.02
                noiseless = np.minimum(r + 0.03, 0.995) if self.truth else np.full(self.cells, np.nan)
                half = r.std() / np.sqrt(self.cells) * 2
                about = {"model": fit.model, "fold": fit.fold, "seed": fit.seed, "recording": recording}
                rows.append(
                    about
                    | {
                        "kind": fit.settings["kind"], "stimulus": recording,
                        "trained": fit.settings["recordings"] == [recording], "neurons": self.cells, "rows": 288,
                        "r": r.mean(), "r_low": r.mean() - half, "r_high": r.mean() + half,
                        "ceiling": 0.93 if self.repeats else None, "r_over_ceiling": r.mean() / 0.93, "slope": 1.05,
                        "bits_per_spike": bits.mean(), "bits_low": bits.mean() - 0.05, "bits_high": bits.mean() + 0.05,
                        "r_noiseless": noiseless.mean() if self.truth else None,
                    }
                )  # fmt: skip
                cells += [
                    about
                    | {"neuron": name, "r": r[n], "ceiling": 0.9 + 0.01 * (n % 8) if self.repeats else None,
                       "slope": 1.05, "bits_per_spike": bits[n],
                       "r_noiseless": noiseless[n] if self.truth else None}
                    for n, name in enumerate(self.names)
                ]  # fmt: skip
        compared = [
            {"score": "r", "model": "ln", "reference": "main", "recording": "mixed", "difference": 0.45, "low": 0.4,
             "high": 0.5, "cells": self.cells}
        ]  # fmt: skip
        return json.loads(json.dumps({"headline": [], "table": rows, "cells": cells, "comparisons": compared}))
