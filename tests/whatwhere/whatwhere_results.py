"""Results of an analysis made by hand, following the arrays that what/where's evaluation and attribution give."""

import json

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Features, Fit, Fold, Results, write_table
from pellucid.systems.whatwhere.attribute.kernels import paired
from pellucid.systems.whatwhere.model.settings import Settings

HEIGHT, WIDTH, KERNEL, IMAGES, FOLDS, SEEDS = 14, 18, 5, 60, 2, 3
ROWS, COLUMNS = HEIGHT - KERNEL + 1, WIDTH - KERNEL + 1
OFFSET = (KERNEL - 1) / 2
SIZES = {"a": 14, "b": 10}
"""Neurons of each recording."""
SILENT, UNSEEN = 3, 20
"""Neurons without responses, and without a place in any fit."""


def variable(dims, values, units="1"):
    """An xarray variable whose axes are given as one text."""
    return (dims.split(), np.asarray(values), {"units": units})


def centre_surround(size, width=1.2):
    """A unit-norm kernel, (size, size)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    r = y**2 + 0.7 * x**2
    found = np.exp(-r / (2 * width**2)) - 0.4 * np.exp(-r / (8 * width**2))
    return found / np.linalg.norm(found)


class Made:
    """Results of an analysis; every array follows the contract of the system.

    features  colour planes; maps: feature weights of each neuron; truth: simulated; repeats: a ceiling is known
    sizes     neurons of each recording; types: number of types of each, at most as many as maps
    """

    def __init__(self, folder, features=1, maps=2, truth=True, repeats=True, point=False, sizes=None, types=None):
        self.rng = np.random.default_rng(5)
        self.folder, self.features, self.maps = folder, features, maps
        self.truth, self.repeats, self.point = truth, repeats, point
        self.sizes = SIZES if sizes is None else sizes
        self.count = sum(self.sizes.values())
        self.names = [f"{name}/n{i}" for name, size in self.sizes.items() for i in range(size)]
        self.lost = [n for n in (SILENT, UNSEEN) if n < self.count and self.count > 5]
        self.fitted = np.setdiff1d(np.arange(self.count), self.lost)
        kinds = types or dict.fromkeys(self.sizes, maps)
        self.type = np.concatenate([np.arange(size) % kinds[name] for name, size in self.sizes.items()])
        self.place = np.stack(
            [self.rng.integers(2, HEIGHT - 2, self.count), self.rng.integers(2, WIDTH - 2, self.count)], axis=1
        ).astype(float)
        self.skill = self.rng.uniform(0.2, 0.9, self.count)
        self.models = {}
        self.add("main", penalties=[{"mask_l1": 0.03}, {"mask_l1": 0.1}])
        self.add("dense", level=0.6, readout={"kind": "dense"}, penalties=[{"mask_l1": 0.01}])
        self.add("fixed", level=0.75, readout={"kind": "fixed"}, penalties=[{}])
        self.add("ridge", level=0.4, kind="ridge")
        self.add("permuted", level=0.02, permute=True, penalties=[{"mask_l1": 0.03}, {"mask_l1": 0.1}])

    def add(self, name, level=1.0, neurons=None, **settings):
        """Add a model whose scores are `level` times those of main."""
        core = {"layers": [{"kernel_px": KERNEL, "maps": self.maps}]}
        own = {"core": core, "neurons": neurons, "training": {"steps": 50}} | settings
        self.models[name] = (Settings.model_validate(own).model_dump(mode="json"), level)

    def sweep(self, images=(64, 256, 1024), neurons=(1, 5, None)):
        """Add models that differ from main in their images and neurons."""
        for count in neurons:
            for number in images:
                level = 1 / (1 + np.exp(-(np.log2(number) - 8 + 0.8 * np.log2((count or self.count) / 5))))
                self.add(f"n{count or 'all'}_d{number}", level, count, images=number,
                         penalties=[{"mask_l1": 0.03}, {"mask_l1": 0.1}])  # fmt: skip
        for number in images:
            self.add(f"ridge_d{number}", 0.5 * np.log2(number) / 12, kind="ridge", images=number)

    def regions(self):
        """Add models restricted to one recording each."""
        for name in self.sizes:
            for kind, level in (("factorised", 0.9), ("fixed", 0.6)):
                self.add(f"{kind}_{name}", level, recordings=[name], readout={"kind": kind})

    def results(self, metrics=None, **groups):
        """Return the results; keywords replace groups of the attribution, None leaves one out."""
        tree = {name: group for name, group in (self.attribution() | groups).items() if group is not None}
        attribution = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"headline": "[]"}), **tree})
        stores = {name: self._features(name) for name in self.sizes}
        scores = self._scores()
        return Results(
            analysis="made",
            features=Features(stores, self._folds(), {}),
            fits=self.fits(),
            metrics={"headline": [], "table": self.table(scores)} if metrics is None else metrics,
            predictions=schema.check(
                xr.DataTree.from_dict({"/scores": scores, "/test": self._test()}), "predictions"
            ),
            attribution=schema.check(attribution, "attribution"),
        )  # fmt: skip

    def _folds(self):
        rows = [{name: [(start, start + 30)] for name in self.sizes} for start in (0, 30)]
        return [Fold(rows[1 - fold], {}, rows[fold]) for fold in range(FOLDS)]

    def _features(self, name):
        images = self.rng.normal(size=(4, self.features, HEIGHT, WIDTH)).astype(np.float32)
        responses = self.rng.normal(size=(2, 4, self.sizes[name])).astype(np.float32)
        group = xr.Dataset(
            {
                "images": variable("image feature height width", images),
                "responses": variable("repeat image neuron", responses, "spikes"),
            },
            coords={"neuron": np.array([f"n{i}" for i in range(self.sizes[name])], object)},
        )
        return schema.check(xr.DataTree.from_dict({"/features": group}), name)

    def seeds(self, model):
        """Return the seeds of a model."""
        return range(SEEDS if self.models[model][0]["kind"] == "network" else 1)

    def neurons(self, model, seed):
        """Return the neurons of a fit."""
        settings = self.models[model][0]
        own = self.fitted
        if settings.get("recordings"):
            start = {"a": 0, "b": self.sizes["a"]}[settings["recordings"][0]]
            own = own[(own >= start) & (own < start + self.sizes[settings["recordings"][0]])]
        many = settings["neurons"] or len(own)
        return own[(np.arange(many) * 3 + seed) % len(own)] if many < len(own) else own

    def fits(self):
        """Return the fits, each with a history on disk."""
        return [
            Fit(model, fold, seed, settings, {"chosen": 1 % len(settings["penalties"])},
                self._history(model, fold, seed, len(settings["penalties"])))
            for model, (settings, _) in self.models.items()
            for fold in range(FOLDS)
            for seed in self.seeds(model)
        ]  # fmt: skip

    def _history(self, model, fold, seed, candidates):
        folder = self.folder / "fits" / model / f"{fold}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                "candidate": candidate,
                "epoch": epoch,
                "rate": 1e-3 * 0.1 ** (epoch // 12),
                "training": 3 + 20 * np.exp(-epoch / 6) + candidate,
                "validation": 0.1 + 0.02 * np.exp(-epoch / 5) + 1e-4 * (epoch - 20) ** 2 / 40 - 0.002 * candidate,
            }
            for candidate in range(candidates)
            for epoch in range(30)
        ]
        write_table(folder / "history.csv", rows)
        return folder

    def _scores(self):
        names = list(self.models)
        shape = (len(names), FOLDS, SEEDS, self.count)
        found = {name: np.full(shape, np.nan, np.float32) for name in ("correlation", "fev", "location_error")}
        for i, (model, (settings, level)) in enumerate(self.models.items()):
            for fold in range(FOLDS):
                for seed in self.seeds(model):
                    own = self.neurons(model, seed)
                    noise = self.rng.normal(0, 0.02, (2, len(own)))
                    found["correlation"][i, fold, seed, own] = 0.8 * level * self.skill[own] + noise[0]
                    if self.truth:
                        found["fev"][i, fold, seed, own] = level * (0.4 + 0.6 * self.skill[own]) + noise[1]
                        if settings["readout"]["kind"] != "dense":
                            error = self.rng.geometric(0.25 + 0.7 * min(level, 1), len(own)) - 1
                            found["location_error"][i, fold, seed, own] = error
        data = {name: variable("model fold seed neuron", values) for name, values in found.items()}
        ceiling = np.tile(0.6 + 0.35 * self.skill, (FOLDS, 1))
        response = np.ones((FOLDS, self.count))
        if self.count > SILENT and self.lost:
            ceiling[:, SILENT], response[:, SILENT] = np.nan, 0
        if not self.repeats:
            ceiling[:] = np.nan
        of_data = {"ceiling": ceiling, "explainable": ceiling**2 / 2, "response_mean": response}
        data |= {name: variable("fold neuron", values) for name, values in of_data.items()}
        coords = {"model": np.array(names, object), "fold": range(FOLDS), "seed": range(SEEDS),
                  "neuron": np.array(self.names, object)}  # fmt: skip
        return xr.Dataset(data, coords=coords)

    def table(self, scores):
        """Return the table of metrics.json."""
        rows = []
        for fit in self.fits():
            settings = fit.settings
            own = scores.sel(model=fit.model, fold=fit.fold, seed=fit.seed)
            means = {
                name: float(np.nanmean(own[name])) if np.isfinite(own[name]).any() else None
                for name in ("correlation", "fev", "location_error")
            }
            network = settings["kind"] == "network"
            neurons = self.neurons(fit.model, fit.seed)
            located = float(np.mean(own["location_error"].values[neurons] <= 1))
            rows.append(
                {
                    "model": fit.model, "fold": fit.fold, "seed": fit.seed, "kind": settings["kind"],
                    "readout": settings["readout"]["kind"] if network else settings["kind"],
                    "layers": len(settings["core"]["layers"]) if network else 0,
                    "recordings": ", ".join(settings.get("recordings") or ["all"]),
                    "images": settings["images"] or 2048, "neurons": len(neurons),
                    "types": len(set(self.type[neurons])) if self.truth else None,
                    "located": located if means["location_error"] is not None else None,
                    "permuted": settings["permute"], "validation": 1 - (means["correlation"] or 0), **means,
                }
            )  # fmt: skip
        return rows

    def _test(self):
        truth = self.rng.gamma(2, 0.05, (FOLDS, IMAGES, self.count)).astype(np.float32)
        observed = truth + self.rng.normal(0, 0.03, truth.shape).astype(np.float32)
        prediction = np.full((1, FOLDS, SEEDS, IMAGES, self.count), np.nan, np.float32)
        noise = self.rng.normal(0, 0.03, prediction[0].shape)
        prediction[0] = self.skill * truth[:, None] + (1 - self.skill) * 0.1 + noise * (1 - self.skill)
        prediction[..., self.lost] = np.nan
        prediction[..., -5:, :] = np.nan  # padding
        data = {
            "prediction": variable("model fold seed image neuron", prediction),
            "observed": variable("fold image neuron", observed),
            "number": variable("fold image", np.tile(np.arange(IMAGES, dtype=np.int32), (FOLDS, 1))),
        }
        if self.truth:
            data["truth"] = variable("fold image neuron", truth)
        return xr.Dataset(data, coords={"model": np.array(["main"], object)})

    def attribution(self):
        """Return the groups of an attribution, path -> dataset."""
        tree = {"/where": self._where(), "/what": self._what(), "/types": self._types(), "/fields": self._fields()}
        some = np.where(np.isin(np.arange(self.count), self.fitted), 1.0, np.nan)
        inside = self.rng.gamma(4, 0.1, self.count) * some
        tree["/faithfulness"] = xr.Dataset(
            {
                "inside": variable("neuron", inside),
                "outside": variable("neuron", 0.1 * inside + 0.02),
                "variance_inside": variable("neuron", 2 * inside),
                "variance_outside": variable("neuron", 0.3 * inside),
                "residual": variable("neuron", 10 ** self.rng.normal(-3, 0.4, self.count) * some),
            }
        )
        null = self.rng.uniform(0.05, 0.3, self.count)
        data = {"confidence": variable("neuron", null)}
        if self.truth:
            data["error"] = variable("neuron", np.full(self.count, 6.0), "px")
        tree["/null"] = xr.Dataset(data, attrs={"source": "untrained"})
        true = np.stack([centre_surround(KERNEL, 0.8 + 0.3 * i) for i in range(self.maps)])
        for model in ("main", "dense", "permuted"):
            noise = self.rng.normal(0, 0.04, (FOLDS, SEEDS, self.maps, self.features, KERNEL, KERNEL))
            found = true[::-1, None] * self.rng.choice([-1, 1], (FOLDS, SEEDS, 1, 1, 1, 1)) + noise
            both = [paired(one, self.maps, true if self.truth else None) for one in found.reshape(-1, *found.shape[2:])]
            match, r = (np.reshape(values, found.shape[:3]) for values in zip(*both))
            tree[f"/kernels/{model}"] = xr.Dataset(
                {
                    "kernel": variable("fold seed kernel feature height width", found),
                    "match": variable("fold seed kernel", match),
                    "r": variable("fold seed kernel", r),
                },
                coords={"fold": range(FOLDS), "seed": range(SEEDS)},
                attrs={"shift_px": 2},
            )
        if self.truth:
            tree["/kernels/truth"] = xr.Dataset({"kernel": variable("kernel height width", true)})
        return tree

    def _where(self):
        masks = self.rng.normal(0, 0.01, (FOLDS, self.count, ROWS, COLUMNS))
        found = np.clip(self.place - OFFSET, 0, [ROWS - 1, COLUMNS - 1]).astype(int)
        masks[:, np.arange(self.count), found[:, 0], found[:, 1]] = 0.3
        masks[:, self.lost] = np.nan
        place = (found + OFFSET)[None, None] + self.rng.integers(-1, 2, (FOLDS, SEEDS, self.count, 2))
        place[0, 1] = found + OFFSET
        place[:, :, self.lost] = np.nan
        confidence = np.tile(0.3 + 0.6 * self.skill, (FOLDS, 1))
        confidence[:, self.lost] = np.nan
        data = {
            "mask": variable("fold neuron height width", masks),
            "row": variable("fold seed neuron", place[..., 0], "px"),
            "column": variable("fold seed neuron", place[..., 1], "px"),
            "confidence": variable("fold neuron", confidence),
            "agreement": variable("fold neuron", np.where(np.isfinite(confidence), 0.5, np.nan)),
        }
        if self.point:
            del data["mask"]
            data["confidence"] = variable("fold neuron", np.full(confidence.shape, np.nan))
        if self.truth:
            data |= {"true_row": variable("neuron", self.place[:, 0], "px"),
                     "true_column": variable("neuron", self.place[:, 1], "px")}  # fmt: skip
        return xr.Dataset(data, attrs={"offset_row": OFFSET, "offset_column": OFFSET, "best": "[1, 2]"})

    def _what(self):
        weights = np.eye(self.maps)[self.type] + self.rng.normal(0, 0.12, (FOLDS, SEEDS, self.count, self.maps))
        weights /= np.linalg.norm(weights, axis=-1, keepdims=True)
        weights[:, :, self.lost] = np.nan
        raw = 0.15 * weights[np.arange(FOLDS), [1, 2]] * self.skill[:, None]
        return xr.Dataset(
            {"weight": variable("fold seed neuron feature", weights), "raw": variable("fold neuron feature", raw)}
        )

    def _types(self):
        label = np.tile(self.type, (FOLDS, 1)).astype(np.int16)
        label[:, self.lost] = -1
        stability = np.where(label < 0, np.nan, 0.9)
        stability[:, ::5] -= 0.3
        rows = [
            {"fold": fold, "clusters": k, "silhouette": 0.8 - 0.05 * abs(k - self.maps),
             "ari_seeds": 0.95 - 0.1 * k / 3,
             "ari_bootstrap": 0.9 - 0.08 * k / 3 - 0.05 * fold, "ari_null": 0.05, "silhouette_null": 0.2}
            for fold in range(FOLDS) for k in range(2, 8)
        ]  # fmt: skip
        data = {
            "label": variable("fold neuron", label),
            "order": variable("fold neuron", np.argsort(label, axis=1, kind="stable").astype(np.int32)),
            "stability": variable("fold neuron", stability),
        }
        attrs = {"selection": json.dumps(rows), "chosen": json.dumps([self.maps] * FOLDS), "stability_from": "seeds"}
        if self.truth:
            data["truth"] = variable("neuron", self.type.astype(np.int16))
            attrs |= {"purity": "[0.97, 0.95]", "ari_truth": "[0.93, null]"}
        return xr.Dataset(data, attrs=attrs)

    def _fields(self):
        true = np.zeros((self.count, HEIGHT, WIDTH))
        for n in range(self.count):
            padded = np.zeros((HEIGHT + 20, WIDTH + 20))
            row, column = (int(value) + 8 for value in self.place[n])
            padded[row : row + KERNEL, column : column + KERNEL] = centre_surround(KERNEL, 0.8 + 0.3 * self.type[n])
            true[n] = padded[10:-10, 10:-10]
        shape = (self.count, self.features, HEIGHT, WIDTH)
        plane = np.linspace(1, 0.3, self.features)[:, None, None]
        data = {}
        for name, noise in (("gradient", 0.01), ("mean_gradient", 0.02), ("mei", 0.05), ("average", 0.1)):
            values = true[:, None] * plane + self.rng.normal(0, noise, shape)
            values[self.lost] = np.nan
            data[name] = variable("neuron feature height width", values)
        data["mei_gain"] = variable("neuron", np.full(self.count, 1.7))
        if self.truth:
            data["truth"] = variable("neuron height width", true)
        return xr.Dataset(data)
