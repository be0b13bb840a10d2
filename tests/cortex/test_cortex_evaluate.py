"""Evaluation of stand-in decoders: tables, null labels, blocks, controls and stored predictions say what was put in."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from pellucid import store
from pellucid.artifacts import Features, Fit, Fold
from pellucid.errors import ConfigError
from pellucid.stages.evaluate import check
from pellucid.systems.cortex.model import bouts, scores
from pellucid.systems.cortex.model import evaluate as module
from pellucid.systems.cortex.model.settings import Evaluate, Settings

RATE, START = 20.0, 1.5
REACH = 4  # frames at the ends of a session without a window
LENGTHS = {"m1_s0": 900, "m1_s1": 700, "m2_s0": 850, "m3_s0": 640, "m3_s1": 777}
SKILL = {"main": 2.0, "violet": 1.95, "vessel": 0.4, "null": 0.0, "speedy": 3.0}
"""Signal over noise of each model's predictions."""


def recorded(lengths, *, constant=()):
    """One store per session: state in bouts, speed, one segment; sessions in `constant` show state 1 only."""
    stores = {}
    for number, (name, length) in enumerate(lengths.items()):
        generator = np.random.default_rng(number)
        state = np.repeat(np.arange(length) % 2, generator.integers(15, 60, length))[:length].astype(np.float32)
        if name in constant:
            state[:] = 1
        variables = {
            "state": ("time", state, {"units": "1"}),
            "speed": ("time", (3 * state + generator.random(length)).astype(np.float32), {"units": "cm/s"}),
            "segment": ("time", np.zeros(length, np.int32), {"units": "1"}),
        }
        group = xr.Dataset(variables, attrs={"rate_hz": RATE, "start_s": START, "continuous": False})
        stores[name] = xr.DataTree.from_dict({"/behaviour": group})
        stores[name].attrs["subject"] = name.split("_")[0]
    return stores


def by_mouse(lengths):
    """Each ordered pair of validation and test mouse, whole sessions."""
    mice = sorted({name.split("_")[0] for name in lengths})
    folds = []
    for test in mice:
        for validation in (mouse for mouse in mice if mouse != test):
            parts = {"train": {}, "validation": {}, "test": {}}
            for name, length in lengths.items():
                part = {test: "test", validation: "validation"}.get(name.split("_")[0], "train")
                parts[part][name] = [(0, length)]
            folds.append(Fold(**parts))
    return folds


class Decoded:
    """A stand-in for a restored decoder: predictions are true labels and noise, its windows in no order."""

    def __init__(self, fit, features):
        self.fit, self.settings = fit, Settings.model_validate(fit.settings)
        self.rois, self.parameters, self.transductive = np.array(["1", "2", "7"], object), 123, fit.model != "vessel"
        self.stores, self.ranges = features.stores, features.folds[fit.fold].test

    def windows(self, part):
        assert part == "test"
        names = [*reversed(self.ranges)]
        session, row, state, self.true = [], [], [], []
        for index, name in enumerate(names):
            group = self.stores[name]["behaviour"]
            target = group["speed" if self.settings.target == "speed" else "state"].values
            for start, stop in self.ranges[name]:
                rows = np.arange(max(start, REACH), min(stop, len(target) - REACH))
                own = np.roll(target, len(target) // 3) if self.settings.swap else target
                session.append(np.full(len(rows), index))
                row.append(rows)
                state.append(own[rows])
                self.true.append(target[rows])
        self.order = np.random.default_rng(0).permutation(sum(map(len, row)))
        session, row, state = (np.concatenate(parts)[self.order] for parts in (session, row, state))
        return SimpleNamespace(names=names, session=session, row=row, state=state, count=len(row))

    def predict(self, part):
        self.windows(part)
        generator = np.random.default_rng([self.fit.fold, self.fit.seed])
        drive = SKILL[self.fit.model] * (np.concatenate(self.true) - 0.5)
        noisy = (drive + generator.standard_normal(len(drive)))[self.order]
        return noisy if self.settings.target == "speed" else (1 / (1 + np.exp(-noisy))).astype(np.float32)


MODELS = {
    "main": {},
    "violet": {"input": "violet", "kind": "linear", "window_s": 0.2},
    "vessel": {"input": "vessel"},
    "null": {"swap": "derangement"},
    "speedy": {"target": "speed", "cell": "keras_gru"},
}
NOTES = {"validation": 0.2, "epochs": 30, "best_epoch": 4, "weights": "random"}


def run(models=MODELS, lengths=LENGTHS, folds=None, constant=(), seeds=(0, 1), **settings):
    """Evaluate stand-in decoders; gives features, metrics and predictions."""
    features = Features(recorded(lengths, constant=constant), folds or by_mouse(lengths), {})
    fits = [
        Fit(model, fold, seed, own, NOTES, Path())
        for model, own in models.items()
        for fold in range(len(features.folds))
        for seed in seeds
    ]
    asked = {"bootstrap": 100, "controls": [name for name in ("violet", "vessel") if name in models]} | settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "restore", Decoded)
        metrics, tree = module.evaluate(features, fits, Evaluate(**asked), {})
    check(metrics, "metrics")
    return features, metrics, tree


@pytest.fixture(scope="module")
def evaluated():
    """Features, metrics and predictions of all models."""
    return run()


def test_every_fit_has_the_same_columns_and_its_own_scores(evaluated, tmp_path):
    features, metrics, _ = evaluated
    table = metrics["table"]
    assert len(table) == 5 * 6 * 2
    assert len({tuple(row) for row in table}) == 1
    store.write_json(tmp_path / "metrics.json", metrics)  # NaN becomes null
    row = next(row for row in table if (row["model"], row["fold"], row["seed"]) == ("main", 1, 1))
    assert (row["test"], row["validation_mouse"], row["unit"]) == ("m1", "m3", "mouse")
    fit = Fit("main", 1, 1, {}, {}, tmp_path)
    decoder = Decoded(fit, features)
    windows, probability = decoder.windows("test"), decoder.predict("test")
    assert row["windows"] == windows.count == 900 + 700 - 4 * REACH
    assert row["sessions"] == 2
    np.testing.assert_allclose(row["auc"], scores.auc(windows.state, probability))
    np.testing.assert_allclose(row["positive"], windows.state.mean(), rtol=1e-6)  # float32
    assert row["auc_low"] < row["auc"] < row["auc_high"]
    assert (row["rois"], row["cell"], row["parameters"], row["weights"]) == (3, "gru", 123, "random")
    assert (row["validation"], row["epochs"], row["best_epoch"]) == (0.2, 30, 4)
    assert {row["cell"] for row in table if row["kind"] == "linear"} == {None}


def test_bouts_and_transitions_are_those_of_the_sessions_in_order():
    features, metrics, _ = run(models={"main": {}})
    row = metrics["table"][0]
    own = [features.group(name, "behaviour")["state"].values[REACH:-REACH] for name in ("m1_s0", "m1_s1")]
    assert row["onsets"] == sum((np.diff(state) == 1).sum() for state in own)
    assert row["offsets"] == sum((np.diff(state) == -1).sum() for state in own)
    assert row["bouts"] == row["onsets"] + row["offsets"] + 2
    assert 0 < row["onsets_found"] <= row["onsets"]


def test_sessions_of_unequal_length_have_rows_of_their_own(evaluated):
    _, metrics, _ = evaluated
    rows = [row for row in metrics["sessions"] if row["model"] == "main" and row["seed"] == 0]
    assert len(rows) == 2 * len(LENGTHS)  # each session is tested by two folds
    assert {row["recording"]: row["windows"] for row in rows} == {name: n - 2 * REACH for name, n in LENGTHS.items()}
    assert all(0.8 < row["auc"] < 1 for row in rows)


def test_null_fits_are_scored_on_their_own_labels(evaluated):
    _, metrics, _ = evaluated
    rows = [row for row in metrics["table"] if row["model"] == "null"]
    assert {row["null"] for row in rows} == {"derangement"}
    main = {row["auc"] for row in metrics["table"] if row["model"] == "main"}
    assert all(row["auc"] < min(main) for row in rows)
    head = {row["model"]: row for row in metrics["headline"][:5]}
    null = next(row for row in metrics["models"] if row["model"] == "null")
    assert head["main"]["chance"] == null["auc"]
    assert (head["main"]["chance_low"], head["main"]["chance_high"]) == (null["low"], null["high"])
    assert "chance: null" in head["main"]["note"]
    assert "own null labels" in head["null"]["note"]
    assert head["null"]["chance"] == 0.5


def test_chance_is_one_half_without_a_null_model():
    _, metrics, _ = run(models={"main": {}})
    assert metrics["headline"][0]["chance"] == 0.5
    assert metrics["headline"][0]["chance_low"] is None
    assert metrics["comparisons"] == metrics["controls"] == []


def test_speed_is_scored_by_correlation_and_has_no_auc(evaluated):
    _, metrics, _ = evaluated
    for row in (row for row in metrics["table"] if row["model"] == "speedy"):
        assert np.isnan([row[name] for name in ("auc", "auc_low", "positive", "accuracy", "ece", "onset_s")]).all()
        assert 0.8 < row["r"] < 1
        assert row["r2"] < row["r"] ** 2
        assert row["undefined"] == 0
    model = next(row for row in metrics["models"] if row["model"] == "speedy")
    assert model["auc"] is None
    assert model["low"] < model["r"] < model["high"]
    head = next(row for row in metrics["headline"] if row["model"] == "speedy")
    assert head["name"] == "Pearson r of speed, mean over mice"
    assert (head["value"], head["chance"]) == (model["r"], 0)
    assert "speedy" not in {row["model"] for row in metrics["comparisons"]}


def test_speed_models_are_compared_with_a_reference_of_speed():
    models = {"speedy": {"target": "speed"}, "main": {}, "vessel": {"target": "speed"}}
    _, metrics, _ = run(models=models, reference="speedy", controls=["vessel"])
    assert [(row["model"], row["score"]) for row in metrics["comparisons"]] == [("vessel", "r")]
    assert "r ." in metrics["controls"][0]["said"]


def test_undefined_sessions_and_fits_are_counted_and_named():
    _, metrics, _ = run(models={"main": {}, "vessel": {}}, constant=("m1_s0", "m2_s0"))
    main = [row for row in metrics["table"] if row["model"] == "main"]
    assert {row["test"]: row["undefined"] for row in main} == {"m1": 1, "m2": 1, "m3": 0}
    assert all(np.isnan(row["auc"]) == (row["test"] == "m2") for row in main)  # m1 has another session
    assert {row["recording"] for row in metrics["sessions"] if np.isnan(row["auc"]) and row["model"] == "main"} == {
        "m1_s0",
        "m2_s0",
    }
    model = metrics["models"][0]
    assert (model["model"], model["mice"], model["fits"], model["undefined"]) == ("main", 2, 12, 4)
    note = metrics["headline"][0]["note"]
    assert "undefined for 4 of 12 fits" in note
    assert "8 of 20 tested sessions show one state only" in note


def test_a_state_that_never_changes_leaves_a_headline_without_value():
    _, metrics, _ = run(models={"main": {}, "vessel": {}}, constant=tuple(LENGTHS))
    head = metrics["headline"][0]
    assert head["value"] is head["low"] is None
    assert "undefined for 12 of 12 fits" in head["note"]
    assert metrics["controls"][0]["flagged"] is False
    assert "nothing can be said" in metrics["controls"][0]["said"]
    assert json.dumps(metrics["headline"], allow_nan=False)


def test_one_control_is_flagged_and_the_other_is_not(evaluated):
    _, metrics, _ = evaluated
    violet, vessel = metrics["controls"]
    assert violet["flagged"] is True
    assert violet["difference"] >= -0.02
    assert "the decoder may read haemodynamics, not neural activity" in violet["said"]
    assert vessel["flagged"] is False
    assert "not flagged, which does not prove that there is no confound" in vessel["said"]
    head = {row["model"]: row for row in metrics["headline"] if row["name"].startswith("control: ")}
    assert set(head) == {"violet", "vessel"}
    assert head["violet"]["note"].startswith("FLAGGED: violet: AUC .")
    assert head["vessel"]["value"] == next(r for r in metrics["comparisons"] if r["model"] == "vessel")["difference"]
    _, strict, _ = run(models={"main": {}, "violet": {}}, margin=0.0)
    assert strict["controls"][0]["flagged"] == (strict["controls"][0]["difference"] >= 0)


@pytest.mark.parametrize(
    ("name", "settings", "meaning"),
    [
        ("shifts_only", {"input": "shift"}, "movement of the image"),
        ("a405", {}, "haemodynamics"),
        ("vessels", {}, "blood vessels"),
        ("other", {"input": "border"}, "light at the borders of the image"),
        ("other", {"input": "global"}, "main may rest on no more than this control is given"),
        ("null_shift", {"swap": "shift"}, "labels that do not belong to the recording are decoded as well"),
    ],
)
def test_a_flag_names_only_what_the_control_names(monkeypatch, name, settings, meaning):
    monkeypatch.setitem(SKILL, name, 2.0)
    _, metrics, _ = run(models={"main": {}, name: settings}, controls=[name], margin=0.9)
    row = metrics["controls"][0]
    assert row["flagged"] is True
    assert row["said"].endswith(meaning) or meaning in row["said"]
    assert row["said"].count("haemodynamics") == (meaning == "haemodynamics")


def test_transductive_statistics_are_named(evaluated):
    _, metrics, _ = evaluated
    notes = {row["model"]: row["note"] for row in metrics["headline"][:5]}
    assert "transductive: statistics of whole test sessions were used" in notes["main"]
    assert "transductive" not in notes["vessel"]


def test_comparisons_pair_mice(evaluated):
    _, metrics, _ = evaluated
    row = next(row for row in metrics["comparisons"] if row["model"] == "vessel")
    means = {
        model: [
            np.mean([r["auc"] for r in metrics["table"] if r["model"] == model and r["test"] == mouse])
            for mouse in ("m1", "m2", "m3")
        ]
        for model in ("main", "vessel")
    }
    np.testing.assert_allclose(row["difference"], np.mean(np.subtract(means["vessel"], means["main"])))
    assert (row["mice"], row["p_mice"], row["p_least"]) == (3, 2 / 8, 2 / 8)
    assert row["p_ranksum"] < row["p_holm"] < 0.01


def blocks(lengths, count=4):
    """Contiguous blocks of every session: one tests, the others train."""
    folds = []
    for test in range(count):
        parts = {"train": {}, "validation": {}, "test": {}}
        for name, length in lengths.items():
            edges = np.linspace(0, length, count + 1).astype(int)
            ranges = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
            parts["test"][name] = [ranges[test]]
            parts["validation"][name] = [ranges[(test + 1) % count]]
            parts["train"][name] = [ranges[(test + 2) % count], ranges[(test + 3) % count]]
        folds.append(Fold(**parts))
    return folds


def test_blocks_of_one_animal_make_no_claim_beyond_it():
    lengths = {"m1_s0": 1600}
    _, metrics, tree = run(models={"main": {}, "vessel": {}}, lengths=lengths, folds=blocks(lengths))
    assert [row["test"] for row in metrics["table"] if row["model"] == "main" and row["seed"] == 0] == [
        f"block {k}" for k in range(4)
    ]
    assert {row["validation_mouse"] for row in metrics["table"]} == {None}
    assert metrics["models"][0]["unit"] == "block"
    assert metrics["models"][0]["mice"] == 4
    assert metrics["headline"][0]["name"] == "AUC, mean over blocks"
    assert "blocks of one animal: no claim beyond it" in metrics["headline"][0]["note"]
    group = tree["m1_s0"]
    tested = np.isfinite(group["probability"].sel(model="main", seed=1).values)
    assert (tested.sum(axis=0) <= 1).all()  # a frame is tested by one fold
    assert tested[2, 800:1200].all()
    two = {"m1_s0": 1600, "m2_s0": 1500}
    _, metrics, _ = run(models={"main": {}}, lengths=two, folds=blocks(two))
    assert "blocks of 2 animals that are trained on" in metrics["headline"][0]["note"]


def test_predictions_are_on_each_recordings_clock(tmp_path):
    features, metrics, tree = run(keep=["speedy", "main", "null"])
    store.write(tmp_path / "predictions.zarr", tree)
    read = store.open_store(tmp_path / "predictions.zarr")
    assert set(read.children) == set(LENGTHS)
    for name, length in LENGTHS.items():
        group, behaviour = read[name], features.group(name, "behaviour")
        assert group["model"].values.tolist() == ["main", "null", "speedy"]
        mine = [k for k, fold in enumerate(features.folds) if name in fold.test]
        assert group["fold"].values.tolist() == mine
        assert group.attrs["rate_hz"] == RATE
        assert group.attrs["start_s"] == START
        inside = np.zeros(length, bool)
        inside[REACH:-REACH] = True
        assert (np.isfinite(group["probability"].values) == inside).all()
        np.testing.assert_array_equal(group["state"].values[0][inside], behaviour["state"].values[inside])
        assert np.isnan(group["state"].values[:, ~inside]).all()
        np.testing.assert_array_equal(group["speed"].values, behaviour["speed"].values)
        probability = group["probability"].sel(model="main", fold=mine[1], seed=1).values[inside]
        rows = [r for r in metrics["sessions"] if (r["model"], r["recording"]) == ("main", name)]
        expected = next(row["auc"] for row in rows if (row["fold"], row["seed"]) == (mine[1], 1))
        np.testing.assert_allclose(scores.auc(behaviour["state"].values[inside], probability), expected)


def test_the_same_fits_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        _, metrics, tree = run(models={"main": {}, "vessel": {}})
        store.write_json(tmp_path / f"{name}.json", metrics)
        store.write(tmp_path / f"{name}.zarr", tree)
    assert store.file_digest(tmp_path / "a.json") == store.file_digest(tmp_path / "b.json")
    assert store.digest(tmp_path / "a.zarr") == store.digest(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    "settings", [{"reference": "mian"}, {"controls": ["violet", "motion"]}, {"keep": ["all"]}, {"controls": ["main"]}]
)
def test_names_that_mean_nothing_are_refused(settings):
    with pytest.raises(ConfigError, match="evaluate"):
        run(**settings)


def test_windows_of_trials_are_bouts_of_their_own():
    # frames 0-1 before and 3-5 response of trials of 10 frames, as labels leave the others out
    rows = np.concatenate([10 * trial + np.array([0, 1, 3, 4, 5]) for trial in range(6)])
    stretch = bouts.stretches(np.zeros(30, int), rows, rows // 10)
    state = (rows % 10 >= 3).astype(float)
    assert bouts.bouts(state, stretch)[-1] + 1 == 12
    assert bouts.latency(rows / 200, state, state, stretch, onset=True).transitions == 0
