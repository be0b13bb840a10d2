"""Results of an analysis made by hand, following the arrays that DUNL's evaluation and attribution give."""

import json

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import HEADLINE, Features, Fit, Fold, Results, write_table

BIN_S, BINS, LAGS, TRIALS, FOLDS, SEEDS = 0.025, 60, 12, 24, 2, 3
SIZES = np.array([0.1, 0.3, 1.2, 2.5, 5.0, 10.0, 20.0])


def variable(dims, values, units="1"):
    """An xarray variable whose axes are given as one text."""
    return (dims.split(), np.asarray(values), {"units": units})


def shapes(count):
    """Unit-norm kernels, (lag, kernel)."""
    lag = np.arange(LAGS)[:, None] + 0.5
    found = (lag / (1 + np.arange(count))) * np.exp(-lag / (1.2 + np.arange(count)))
    return found / np.linalg.norm(found, axis=0)


class Made:
    """Results of an analysis, drawn from simple distributions; every array follows the contract of the system.

    neurons  per recording; kernels: names; counted: spikes, else values; truth: simulated; own: a dictionary per neuron
    """

    def __init__(
        self, folder, neurons=(4, 3), kernels=("cue", "salience", "value"), counted=True, truth=True, own=False
    ):
        self.rng = np.random.default_rng(3)
        self.folder, self.kernels, self.counted, self.truth, self.own = folder, kernels, counted, truth, own
        self.neurons = {f"r{index}": several for index, several in enumerate(neurons)}
        self.swept = []  # models of the sweep, besides main
        self.time = -0.5 + BIN_S * np.arange(BINS)
        self.reward = {name: SIZES[self.rng.permutation(np.arange(TRIALS) % len(SIZES))] for name in self.neurons}
        self.speed = {name: self.rng.normal(10, 3, TRIALS) for name in self.neurons}
        self.kinds = {name: np.where(np.arange(TRIALS) % 2, "expected", "surprise") for name in self.neurons}
        self.code = {name: self._codes(name) for name in self.neurons}  # (trial, neuron, kernel)
        self.sparse = {name: self._sparse(name) for name in self.neurons}  # (trial, time, neuron, kernel)
        self.shares = {name: self._shares(values) for name, values in self.sparse.items()}
        self.drive = {name: values.sum(-1) + self.base for name, values in self.shares.items()}
        self.rate = {name: 25 / (1 + np.exp(-z)) if counted else z for name, z in self.drive.items()}
        self.signal = {name: self._signal(rate) for name, rate in self.rate.items()}

    @property
    def base(self):
        return -4.5 if self.counted else 0.3

    def _codes(self, name):
        size = np.log(self.reward[name])[:, None, None]
        noise = self.rng.normal(size=(TRIALS, self.neurons[name], len(self.kernels)))
        slope = np.linspace(0, 1, len(self.kernels))
        return 5 + slope * size + noise * (0.7 + slope)

    def _sparse(self, name):
        codes = np.zeros((TRIALS, BINS, self.neurons[name], len(self.kernels)))
        for index in range(len(self.kernels)):
            codes[:, 20 if index == 0 else 38, :, index] = self.code[name][..., index]
        return codes

    def _shares(self, sparse):
        shapes_ = shapes(len(self.kernels))
        full = [
            np.apply_along_axis(np.convolve, 1, sparse[..., k], shapes_[:, k])[:, :BINS]
            for k in range(len(self.kernels))
        ]
        return np.stack(full, axis=-1)

    def _signal(self, rate):
        if self.counted:
            return self.rng.poisson(rate).astype(np.float32)
        return (rate + self.rng.normal(0, 0.4, rate.shape)).astype(np.float32)

    def results(self, metrics=None, **groups):
        """Return the results; keywords replace groups of the attribution, None leaves one out."""
        tree = {name: group for name, group in (self.attribution() | groups).items() if group is not None}
        root = xr.Dataset(attrs={"model": "main", "events": '["cue", "reward"]', "kernels": json.dumps(self.kernels)})
        attribution = schema.check(xr.DataTree.from_dict({"/": root, **tree}), "attribution")
        return Results(
            analysis="made",
            features=Features({name: self._features(name) for name in self.neurons}, self._folds(), {}),
            fits=self._fits(),
            metrics=self.metrics() if metrics is None else metrics,
            predictions=self._predictions(),
            attribution=attribution,
        )

    def _folds(self):
        half = TRIALS // 2
        part = [{name: [(start, start + half)] for name in self.neurons} for start in (0, half)]
        return [Fold(part[1 - fold], {}, part[fold]) for fold in range(FOLDS)]

    def _features(self, name):
        onset = np.tile(self.time[[20, 38]], (TRIALS, 1))
        onset[1, 0] = np.nan
        features = xr.Dataset(
            {
                "signal": variable("trial time neuron", self.signal[name], "1" if self.counted else "dF/F"),
                "onset": variable("trial event", onset, "s"),
                "event_kind": variable("trial event", np.where(np.isfinite(onset), [0, 1], -1).astype(np.int16)),
                "trial_type": variable("trial", self.kinds[name].astype(object)),
            },
            coords={"time": ("time", self.time), "neuron": [f"n{i}" for i in range(self.neurons[name])]},
            attrs={
                "kind": "counts" if self.counted else "values",
                "bin_s": BIN_S,
                "most_counts": 25 if self.counted else 0,
                "events": '["cue", "reward"]',
                "covariates": '{"reward": "uL", "speed": "cm/s"}',
                "baseline_s": "null",
            },
        )
        features["neuron"] = features["neuron"].astype(object)
        trials = xr.Dataset(
            {"reward": variable("trial", self.reward[name], "uL"), "speed": variable("trial", self.speed[name], "cm/s")}
        )
        return schema.check(xr.DataTree.from_dict({"/features": features, "/trials": trials}), name)

    def _fits(self):
        likelihood = "binomial" if self.counted else "gaussian"
        shared = {"likelihood": likelihood, "kernels": {}, "dictionary": "shared", "baseline": "trial"}
        kinds = {"main": ("dunl", None), "few": ("dunl", 25), "constant": ("constant", None), "glm": ("glm", None)}
        kinds |= {model: ("dunl", index + 2) for index, model in enumerate(self.swept)}
        return [
            Fit(
                model,
                fold,
                seed,
                {"kind": kind, **shared, "train_trials": trials},
                {},
                self._history(model, fold, seed),
            )
            for model, (kind, trials) in kinds.items()
            for fold in range(FOLDS)
            for seed in range(SEEDS if kind == "dunl" else 1)
        ]

    def _history(self, model, fold, seed):
        folder = self.folder / "fits" / model / f"{fold}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                "epoch": epoch,
                "training": 0.2 + 0.1 * np.exp(-epoch / 6) + 0.003 * seed,
                "validation": 0.22 + 0.1 * np.exp(-epoch / 5) + 0.01 * fold + 0.003 * seed,
                "rate": 0.02 * 0.5 ** (epoch // 10),
            }
            for epoch in range(30)
        ]
        write_table(folder / "history.csv", rows)
        return folder

    def _predictions(self):
        tree = {}
        for name, rate in self.rate.items():
            held = np.full((3, FOLDS, SEEDS, *rate.shape), np.nan, np.float32)
            for fold in range(FOLDS):
                rows = slice(fold * TRIALS // 2, (fold + 1) * TRIALS // 2)
                held[0, fold, :, rows] = rate[rows]
                held[1:, fold, 0, rows] = rate.mean()
            held[:, :, :, np.add.outer(np.arange(TRIALS), np.arange(BINS)) % 3 > 0] = np.nan
            coords = {"model": np.array(["main", "glm", "constant"], object), "time": self.time}
            data = {"rate": variable("model fold seed trial time neuron", held)}
            tree[f"/{name}"] = xr.Dataset(data, coords=coords)
        return schema.check(xr.DataTree.from_dict(tree), "predictions")

    def attribution(self):
        """Return the groups of an attribution, path -> dataset."""
        tree = {f"/codes/{name}": self._code_group(name) for name in self.neurons}
        tree |= {f"/components/{name}": self._components(name) for name in self.neurons}
        tree |= {f"/covariates/{name}": self._covariate(name) for name in ("reward", "speed")}
        count, several = len(self.kernels), sum(self.neurons.values())
        neutral = self.rng.uniform(0.5, 8, (several, count))
        neutral[:, 0] = np.nan
        tree["/neutral/reward"] = xr.Dataset(
            {
                "neutral": variable("neuron kernel", neutral, "uL"),
                "share_correct": variable("neuron kernel", self.rng.uniform(0.6, 1, neutral.shape)),
            }
        )
        tree["/kernels"], tree["/identifiability"] = self._kernels(), self._identifiability()
        if count > 1:
            tree["/plane"] = self._plane()
        low = np.linspace(0.01, 0.05, count)
        tree["/faithfulness"] = xr.Dataset(
            {
                "removed": variable("kernel", low + 0.004, "nats per bin"),
                "removed_low": variable("kernel", low, "nats per bin"),
                "removed_high": variable("kernel", low + 0.007, "nats per bin"),
                "replaced": variable("kernel", low / 3, "nats per bin"),
                "replaced_low": variable("kernel", low / 5, "nats per bin"),
                "replaced_high": variable("kernel", low / 2, "nats per bin"),
            }
        )
        return tree

    def _code_group(self, name):
        code = self.code[name]
        found = code + self.rng.normal(0, 0.4, code.shape)
        found[1, :, 0] = np.nan  # the trial without a cue
        data = {
            "code": variable("trial neuron kernel", found),
            "sd": variable("trial neuron kernel", np.ones(code.shape)),
            "count": variable("trial neuron", self.signal[name][:, 38:].sum(axis=1)),
            "baseline": variable("trial neuron", np.full(code.shape[:2], self.base)),
            "kkt": variable("trial neuron", np.full(code.shape[:2], 1e-6)),
            "trial_type": variable("trial", self.kinds[name].astype(object)),
            "reward": variable("trial", self.reward[name], "uL"),
            "speed": variable("trial", self.speed[name], "cm/s"),
        }
        if self.truth:
            data["truth"] = variable("trial neuron kernel", code)
        return xr.Dataset(data, coords={"neuron": np.array([f"n{i}" for i in range(code.shape[1])], object)})

    def _components(self, name):
        rows = [2, 5, 8, 11]
        data = {
            "component": variable("trial time neuron kernel", self.shares[name][rows]),
            "code": variable("trial time neuron kernel", self.sparse[name][rows]),
            "baseline": variable("trial neuron", np.full((4, self.neurons[name]), self.base)),
            "drive": variable("trial time neuron", self.drive[name][rows]),
            "signal": variable("trial time neuron", self.signal[name][rows]),
            "rate": variable("trial time neuron", self.rate[name][rows]),
        }
        coords = {
            "trial": rows,
            "time": self.time,
            "neuron": np.array([f"n{i}" for i in range(self.neurons[name])], object),
        }
        return xr.Dataset(data, coords=coords, attrs={"residual": 2e-7})

    def _covariate(self, name):
        count, several = len(self.kernels), sum(self.neurons.values())
        rho = np.clip(np.linspace(0.05, 0.75, count) + self.rng.normal(0, 0.08, (several, count)), -1, 1)
        raw = np.clip(0.45 + self.rng.normal(0, 0.1, several), -1, 1)
        sliding = 0.4 + 0.2 * np.sin(np.linspace(0, 2, 9))[:, None] + self.rng.normal(0, 0.05, (9, several))
        data = {
            "code_rho": variable("neuron kernel", rho),
            "code_low": variable("neuron kernel", rho - 0.12),
            "code_high": variable("neuron kernel", rho + 0.1),
            "count_rho": variable("neuron", raw),
            "sliding_rho": variable("lag neuron", sliding),
        }
        data["trials"] = variable("neuron", np.full(several, TRIALS))
        test = {"t": 3.1, "p": 0.004, "wilcoxon_p": 0.01, "mean_difference": 0.12, "neurons": several}
        lacking = dict.fromkeys(test)
        return xr.Dataset(
            data,
            attrs={
                "within": "surprise, other" if name == "reward" else "all",
                "paired": json.dumps({kernel: test if several > 1 else lacking for kernel in self.kernels}),
                "null_high": json.dumps(dict.fromkeys(self.kernels, 0.11 if several > 1 else None)),
            },
        )

    def _kernels(self):
        true = shapes(len(self.kernels))
        several = sum(self.neurons.values()) if self.own else 1
        found = true[:, None] + self.rng.normal(0, 0.03, (FOLDS, SEEDS, LAGS, several, len(self.kernels)))
        data = {
            "kernel_shape": variable(
                "fold seed lag neuron kernel", found / np.linalg.norm(found, axis=2, keepdims=True)
            ),
            "chosen_seed": variable("fold", [1, 2]),
        }
        if self.truth:
            data["truth"] = variable("lag kernel", true)
        names = {"kernel": np.array(self.kernels, object)}
        return xr.Dataset(data, coords={"lag": BIN_S * np.arange(LAGS), **names})

    def _plane(self):
        names = list(self.kernels[-2:])
        points = np.concatenate([values[..., -2:].reshape(-1, 2) for values in self.code.values()])
        covariate = np.concatenate([np.repeat(self.reward[name], n) for name, n in self.neurons.items()])
        axes = np.array([[0.6, 0.8], [0.8, -0.6]])
        data = {
            "points": variable("event feature", points),
            "pca_axes": variable("feature output", axes),
            "nmf_axes": variable("feature output", np.abs(axes)),
            "pca_score": variable("event output", (points - points.mean(0)) @ axes),
            "nmf_score": variable("event output", np.abs(points - points.min(0))),
            "covariate": variable("event", covariate),
        }
        return xr.Dataset(data, coords={"feature": np.array(names, object)}, attrs={"covariate": "reward"})

    def _identifiability(self):
        count = len(self.kernels)
        coherence = np.abs(shapes(count).T @ shapes(count))
        data = {
            "coherence": variable("kernel feature", coherence),
            "best_lag_coherence": variable("kernel feature", np.sqrt(coherence)),
            "overlap": variable("kernel feature", np.where(coherence > 0.9, 1.0, 0.25)),
            "condition": variable("kernel", 1 + np.arange(count)),
        }
        said = ["salience and value start together on every trial."] if count > 1 else []
        return xr.Dataset(data, attrs={"ambiguity": json.dumps(said), "angles_deg": "[3.1, 8.2]"})

    def metrics(self):
        """Return metrics.json."""
        every = [("main", 0.3), ("few", 0.22), ("glm", 0.25), ("constant", 0.0)]
        headline = [
            dict.fromkeys(HEADLINE)
            | {"model": model, "name": name, "value": value, "low": value - 0.04, "high": value + 0.05, "unit": "1"}
            | {"chance": 0.0, "chance_low": -0.02, "chance_high": 0.02, "note": ""}
            for name in ("deviance explained on held-out bins, mean over neurons", "R2")
            for model, value in every
        ]
        units = [(name, f"n{i}") for name, several in self.neurons.items() for i in range(several)]
        gain = {unit: self.rng.normal(0, 0.05) for unit in units}
        table = [
            {"model": model, "fold": fold, "seed": 0, "recording": unit[0], "neuron": unit[1], "metric": metric}
            | {"value": value + gain[unit] * (model != "constant") + 0.01 * fold}
            for metric in ("deviance explained on held-out bins", "R2")
            for model, value in every
            for fold in range(FOLDS)
            for unit in units
        ]
        selection = [
            {
                "model": f"k{kernels}_{penalty}",
                "validation": 0.3 + 0.02 * abs(kernels - 2) + penalty / 10,
                "kernels": kernels,
            }
            | {
                "low": 0.29 + 0.02 * abs(kernels - 2) + penalty / 10,
                "high": 0.31 + 0.02 * abs(kernels - 2) + penalty / 10,
            }
            | {
                "stability": 1 - 0.1 * kernels,
                "lag_bins": LAGS,
                "penalty": penalty,
                "chosen": (kernels, penalty) == (2, 0.0),
            }
            for kernels in (1, 2, 3, 4)
            for penalty in (0.0, 0.03, 0.1)
        ]
        convergence = [
            {"model": model, "fold": fold, "seed": 0, "kkt": kkt, "kkt_median": kkt / 9, "kkt_training": kkt}
            for model, kkt in (("main", 1e-7), ("few", 1e-4))
            for fold in range(FOLDS)
        ]
        return {"headline": headline, "table": table, "selection": selection, "convergence": convergence}

    def kernel_rows(self, **axes):
        """Return errors of kernels, a model for each combination of values of some axes; the last one is main."""
        combinations = [{}]
        for key, values in axes.items():
            combinations = [{**one, key: value} for one in combinations for value in values]
        self.swept = [f"swept{index}" for index in range(len(combinations) - 1)]
        return [
            {"model": model, "fold": fold, "seed": seed, "kernel": kernel, "matched": kernel, "recording": "all"}
            | {"train_trials": 400, "bin_s": BIN_S, "baseline_hz": 5.0}
            | one
            | {"error": self._error(one) * self.rng.uniform(0.8, 1.2), "error_best_lag": 0.1}
            for model, one in zip([*self.swept, "main"], combinations)
            for kernel in self.kernels
            for fold in range(FOLDS)
            for seed in range(SEEDS)
        ]

    @staticmethod
    def _error(one):
        return min(0.8, 3 / np.sqrt(one.get("train_trials", 400))) * (one.get("bin_s", 0.025) / 0.025) ** 0.3

    def code_rows(self):
        return [
            {"model": model, "fold": fold, "seed": 0, "kernel": kernel, "mean_code": code, "mean_true": 4.0 + index}
            | {"correlation": 0.8}
            for model in ("main", "few")
            for fold in range(FOLDS)
            for index, kernel in enumerate(self.kernels)
            for code in [4.0 + index + self.rng.normal(0, 0.3)]
        ]

    def detection_rows(self):
        rows = []
        for at in (0.005, 0.01, 0.02, 0.05, 0.1):
            for fold in range(FOLDS):
                shared = {"fold": fold, "kernel": self.kernels[0], "tolerance_s": at}
                grow = 1 - np.exp(-at / 0.02)
                chance = {"hit_chance": 0.6 * grow, "false_chance": 1 - 0.4 * grow}
                rows += [
                    {"model": model, "detector": "codes", "setting": "", **shared, **chance}
                    | {"hit": best * (0.4 + 0.6 * grow) + 0.02 * fold, "false": 0.6 - 0.5 * grow}
                    for model, best in (("main", 0.95), ("few", 0.7))
                ]
                rows += [
                    {"model": model, "detector": "smoothing", **shared, "hit_chance": None, "false_chance": None}
                    | {"setting": f"tau {tau} bins, threshold {threshold:.2f}"}
                    | {"hit": (1 - threshold) * grow, "false": (1 - threshold) ** (1 + tau / 10)}
                    for model in ("main", "few")
                    for tau in (1, 10, 30)
                    for threshold in np.linspace(0.05, 0.95, 8)
                ]
        return rows

    def detections(self):
        """Return events that were found, a group per recording."""
        found = {}
        for name, several in self.neurons.items():
            events = 6 * TRIALS * several
            data = {
                "trial": variable("event", self.rng.integers(0, TRIALS, events)),
                "neuron": variable("event", self.rng.integers(0, several, events)),
                "kernel": variable("event", self.rng.integers(0, len(self.kernels), events)),
                "time_s": variable("event", self.rng.uniform(self.time[0], self.time[-1], events), "s"),
                "code": variable("event", self.rng.gamma(4, 1.0, events)),
            }
            found[f"/detections/{name}"] = xr.Dataset(data)
        return found

    def phases(self, bins=12, per_time=True):
        """Return the locking to a phase, a group."""
        count, several = len(self.kernels), sum(self.neurons.values())
        phase = -np.pi + (np.arange(bins) + 0.5) * 2 * np.pi / bins
        tuned = 1 + np.linspace(0.1, 0.8, count)[:, None] * np.cos(phase - 1)
        curves = {"rate": (3 * tuned, "Hz"), "code": (1 + tuned, "1"), "raw_rate": (9 * tuned[0], "Hz")}
        data = {"occupancy": variable("feature", 20 + 5 * np.sin(phase), "s")}
        for name, (values, units) in curves.items():
            axes = "feature" if name == "raw_rate" else "kernel feature"
            for suffix, factor in (("", 1.0), ("_chance_low", 0.6), ("_chance_high", 1.4)):
                level = values if suffix == "" else values.mean(-1, keepdims=True) + np.zeros(bins)
                data[name + suffix] = variable(axes, factor * level, units)
        data["events"] = variable("kernel", np.full(count, 500))
        data["events_outside"] = variable("kernel", np.full(count, 3))
        data["peak_s"] = variable("kernel", BIN_S * np.arange(count), "s")
        for prefix, axes, length in (("", "kernel", np.linspace(0.05, 0.4, count)), ("raw_", "", np.array(0.2))):
            lengths = {
                "resultant": length,
                "low": length - 0.04,
                "high": length + 0.05,
                "chance_high": 0.1 + 0 * length,
            }
            data |= {prefix + key: variable(axes, values) for key, values in lengths.items()}
            data[f"plain_{prefix}resultant"] = variable(axes, length + 0.1)
            data[f"{prefix}preferred"] = variable(axes, 1 + 0 * length, "rad")
            data[f"{prefix}p"] = variable(axes, 0.01 + 0 * length)
            spread = self.rng.uniform(0, 0.5, (several, count) if axes else several)
            each = "neuron " + axes
            data[f"{prefix}neuron_resultant"] = variable(each, spread)
            data[f"{prefix}neuron_preferred"] = variable(each, spread, "rad")
            data[f"{prefix}neuron_p"] = variable(each, spread)
        return {"/phase": xr.Dataset(data, coords={"feature": phase}, attrs={"per_time": per_time})}
