"""From raw files to codes: what must hold on the way, whatever the model, and that no test bin is ever looked at."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from dunl_data import ANYWHERE, AT_EVENTS, features_of, fitted
from scipy import optimize

from pellucid import store
from pellucid.artifacts import Results
from pellucid.errors import DataError
from pellucid.stages.evaluate import check
from pellucid.stages.figures import check as check_figures
from pellucid.systems.dunl.attribute.attribute import attribute
from pellucid.systems.dunl.attribute.settings import Settings as AttributeSettings
from pellucid.systems.dunl.figures.draw import draw
from pellucid.systems.dunl.figures.settings import Settings as FigureSettings
from pellucid.systems.dunl.model.evaluate import evaluate
from pellucid.systems.dunl.model.heldout import halves
from pellucid.systems.dunl.model.predict import predict
from pellucid.systems.dunl.model.settings import Evaluate, Settings
from pellucid.systems.dunl.model.traces import ABSENT
from pellucid.systems.dunl.simulate import kernels as true_kernels

QUICK = {"lag_bins": 16, "training": {"epochs": 2, "steps": 4, "rate": 0.1}}
SEARCH = {"kernels": ANYWHERE, "initial": "chunks", "encoder": {"solver": "pursuit", "top": 1, "tolerance": 1e-3}}
MODELS = {
    "main": {**QUICK, "kernels": AT_EVENTS},
    "trial": {**QUICK, "kernels": AT_EVENTS, "baseline": "trial"},
    "inferred": {**QUICK, "kernels": AT_EVENTS, "baseline": "inferred", "ridge": 0.01},
    "pursuit": {**QUICK, **SEARCH, "training": {"epochs": 1, "steps": 2, "rate": 0.05}},
    "psth": {"kind": "psth"},
    "gain": {"kind": "gain"},
    "constant": {"kind": "constant"},
}
SCORED = Evaluate(bootstrap=100, shifts=20, smoothing_taus=[10.0], smoothing_levels=2, tolerances_s=[0.05, 0.1])
EXPLAINED = {"bootstrap": 100, "permutations": 100, "most_traces": 40}


@pytest.fixture(scope="module")
def scored(dunl_structured, tmp_path_factory):
    """Every model in both folds, scored and explained, everything read back from disk as the stages do."""
    folder = tmp_path_factory.mktemp("scored")
    data = dunl_structured
    fits = [data.fit(name, fold, **settings) for name, settings in MODELS.items() for fold in (0, 1)]
    metrics, predictions = evaluate(data.features, fits, SCORED, data.truth)
    check(metrics, "metrics")
    store.write_json(folder / "metrics.json", metrics)
    trees = {"predictions": predictions}
    for name in ("main", "pursuit"):
        settings = AttributeSettings.model_validate({**EXPLAINED, "model": name})
        trees[name] = attribute(data.features, fits, settings, data.truth)
    for name, tree in trees.items():
        store.write(folder / f"{name}.zarr", tree)
    opened = {name: store.open_store(folder / f"{name}.zarr") for name in trees}
    return SimpleNamespace(data=data, fits=fits, metrics=store.read_json(folder / "metrics.json"), **opened)


def test_metrics_hold_every_model_fold_and_neuron_in_flat_rows(scored):
    table = scored.metrics["table"]
    keys = {(row["model"], row["fold"], row["neuron"], row["metric"]) for row in table}
    assert len(keys) == len(table) == len(MODELS) * 2 * 2 * 3
    assert all(np.isfinite(row["value"]) for row in table)
    of = {row["model"]: row["value"] for row in scored.metrics["headline"] if row["name"].startswith("deviance")}
    assert set(of) == set(MODELS)
    assert of["constant"] == pytest.approx(0, abs=1e-12)
    assert min(of["main"], of["gain"], of["psth"]) > 0.3
    assert {row["model"] for row in scored.metrics["kernels"]} == {"main", "trial", "inferred", "pursuit"}
    assert {row["model"] for row in scored.metrics["detection"]} == {"pursuit"}
    assert {row["model"] for row in scored.metrics["selection"]} == {"main", "trial", "inferred", "pursuit"}
    found = {(row["model"], row["fold"]) for row in scored.metrics["convergence"]}
    assert found == {(name, fold) for name in ("main", "trial", "inferred", "pursuit") for fold in (0, 1)}
    assert max(row["kkt"] for row in scored.metrics["convergence"]) < 2e-3  # twice the largest tolerance


def test_predictions_are_nan_exactly_outside_test_trials(scored):
    rate = scored.predictions["r"]["rate"]
    assert rate.dims == ("model", "fold", "seed", "trial", "time", "neuron")
    known = np.isfinite(rate.values)
    for fold in (0, 1):
        tested = np.isin(np.arange(120), scored.data.rows(fold, "test", "r"))
        assert (known[:, fold, 0] == tested[None, :, None, None]).all()
    positive = rate.values[known]
    assert positive.min() > 0
    assert positive.max() < 25


def test_predictions_and_scores_agree(scored):
    """R2 of the table from the predictions in the store."""
    counts = scored.data.features.group("r")["signal"].values
    rate = scored.predictions["r"]["rate"]
    for row in scored.metrics["table"]:
        if row["metric"] == "R2":
            place = {"model": row["model"], "fold": row["fold"], "seed": 0, "neuron": row["neuron"]}
            rows = scored.data.rows(row["fold"], "test", "r")
            found = rate.sel(place).values[rows]
            signal = counts[rows][..., int(row["neuron"])]
            # float32 in the store
            assert row["value"] == pytest.approx(1 - ((signal - found) ** 2).mean() / signal.var(), abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_expectations_depend_on_the_other_half_of_the_own_trial_alone(scored, name):
    """Counts of other test trials, or of the bins that are predicted themselves, change nothing."""
    data, fit = scored.data, next(one for one in scored.fits if one.model == name)
    rows, before = data.rows(0, "test", "r"), predict(fit, data.features, 2)
    first = halves(before.traces, Settings.model_validate(fit.settings).comparator.seed, chunk=2)
    generator = np.random.default_rng(0)

    def others(signal):
        signal[rows[4:]] = generator.integers(0, 6, signal[rows[4:]].shape)
        return signal

    own = np.isin(before.traces.row, rows[:4])
    after = predict(fit, data.changed("r", others), 2)
    # rounding differs with what is solved together
    assert after.held[own] == pytest.approx(before.held[own], rel=1e-9)
    assert (after.held[~own] != before.held[~own]).any() == (name not in ("constant", "psth"))

    def seen(signal):
        hidden = first.reshape(len(rows), 2, -1).transpose(0, 2, 1)  # (trial, time, neuron)
        signal[rows] = np.where(hidden, generator.integers(0, 6, hidden.shape), signal[rows])
        return signal

    after = predict(fit, data.changed("r", seen), 2)
    assert after.held[first] == pytest.approx(before.held[first], rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_changed_test_trials_leave_the_weights_bit_identical(scored, name, tmp_path):
    data = scored.data
    rows = data.rows(0, "test", "r")

    def change(signal):
        signal[rows] = 25 - signal[rows]
        return signal

    again = fitted(data.changed("r", change), tmp_path, name, 0, **MODELS[name])
    before = next(one for one in scored.fits if (one.model, one.fold) == (name, 0))
    for key, values in before.weights().items():
        assert np.array_equal(values, again.weights()[key], equal_nan=True)
    assert before.history() == again.history()


def test_attributed_codes_are_the_minimum_of_the_likelihood(scored):
    """Against a general optimiser on explicit shifted kernels, for test traces of both folds."""
    group = scored.data.features.group("r")
    codes = scored.main["codes/r"]
    for fold in (0, 1):
        fit = next(one for one in scored.fits if (one.model, one.fold) == ("main", fold))
        weights = fit.weights()
        for trial in scored.data.rows(fold, "test", "r")[:3]:
            for neuron in (0, 1):
                signal = group["signal"].values[trial, :, neuron]
                design = np.zeros((80, 2))
                design[28:44, 0], design[52:68, 1] = weights["kernels"][0]  # 0.7 and 1.3 s

                def loss(code, signal=signal, design=design, level=weights["baseline"][neuron]):
                    drive = level + design @ code
                    return np.sum(25 * np.logaddexp(0, drive) - signal * drive)

                best = optimize.minimize(loss, [5.0, 5.0], bounds=[(0, None)] * 2, options={"ftol": 1e-14})
                # a slope of 1e-4 (the encoder's tolerance) over a curvature of at least 0.2
                assert codes["code"].values[trial, neuron] == pytest.approx(best.x, abs=2e-3)
                assert codes["baseline"].values[trial, neuron] == pytest.approx(weights["baseline"][neuron])
    assert np.isfinite(codes["code"].values).all()  # every trial is tested once
    assert np.isfinite(codes["sd"].values).all()


@pytest.mark.parametrize("name", ["main", "pursuit"])
def test_components_add_up_to_the_drive(scored, name):
    tree = getattr(scored, name)
    rows = {row["name"]: row["value"] for row in json.loads(tree.attrs["headline"])}
    assert rows["decomposition: largest |z - a - sum of shares|"] < 1e-10
    shown = tree["components/r"]
    total = shown["component"].values.sum(-1) + shown["baseline"].values[:, None]
    assert total == pytest.approx(shown["drive"].values, abs=1e-5)  # float32 in the store
    assert shown["rate"].values == pytest.approx(25 / (1 + np.exp(-shown["drive"].values)), rel=1e-5)


def test_trials_without_a_detection_have_a_code_of_zero(scored):
    """At unknown times no event is an answer, where a known event that did not happen has no code."""
    tree = scored.pursuit
    code, found = tree["codes/r"]["code"].values, tree["detections/r"]
    assert np.isfinite(code).all()
    summed = np.zeros(code.shape)
    np.add.at(summed, tuple(found[key].values for key in ("trial", "neuron", "kernel")), found["code"].values)
    assert code == pytest.approx(summed)
    assert (found["code"].values > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["main", "pursuit"])
def test_every_figure_has_its_files(scored, name, tmp_path):
    data = scored.data
    results = Results("a", data.features, scored.fits, scored.metrics, scored.predictions, getattr(scored, name))
    draw(results, FigureSettings(dpi=50, model=name), tmp_path)
    names = set(check_figures(tmp_path))
    assert names >= {"kernels", "decomposition", "codes_truth", "scores", "training", "identifiability", "faithfulness"}
    assert ("events" in names) == (name == "pursuit")


def test_events_that_a_model_was_told_are_no_detections(dunl_structured, tmp_path):
    """One kernel at its known event, the other searched for: hits and misses are of the events of the other alone."""
    shapes = true_kernels.normalised(np.array(true_kernels.LOCAL))
    kernels = {"anywhere": {"code": "positive"}, "early": AT_EVENTS["early"]}
    settings = {"kernels": kernels, "lag_bins": 16, "fixed": True, "encoder": {"solver": "pursuit", "top": 1}}
    settings["given"] = {"early": shapes[0].tolist(), "anywhere": shapes[1].tolist()}
    fit = fitted(dunl_structured.features, tmp_path, "main", **settings)
    metrics, _ = evaluate(dunl_structured.features, [fit], SCORED, dunl_structured.truth)
    rows = {
        row["kernel"]: row for row in metrics["detection"] if row["detector"] == "codes" and row["tolerance_s"] == 0.1
    }
    assert set(rows) == {"kernel1", "any kernel"}
    assert rows["any kernel"]["hit"] == rows["kernel1"]["hit"] > 0.8
    assert rows["any kernel"]["false"] == rows["kernel1"]["false"] < 0.2


def test_events_without_a_slot_are_counted_kernel_by_kernel(tmp_path):
    """One kernel at the cue, two at the reward: half of the cues too late for a kernel of eight bins, no reward."""
    onset = np.array([[10, 20], [27, ABSENT]] * 6)
    signal = np.random.default_rng(0).poisson(1.0, (12, 30, 1))
    features = features_of(signal, onset, np.tile([0, 1], (12, 1)), ("cue", "reward"))
    kernels = {"a": {"event": "cue"}, "b": {"event": "reward"}, "c": {"event": "reward"}}
    fit = fitted(features, tmp_path, "main", lag_bins=8, kernels=kernels, fixed=True)
    assert fit.notes["slots"] == 2 * 3
    assert fit.notes["events_without_slot"] == 2  # of four training trials


def test_wrong_names_get_one_clear_error(dunl_structured, scored):
    data = dunl_structured
    for change, message in [
        ({"kernels": {}}, "kernels"),
        ({"kernels": {"a": {"event": "odour"}}}, "odour"),
        ({"likelihood": "gaussian"}, "gaussian for counts"),
        ({"lag_bins": 81}, "lag_bins"),
        ({"recordings": ["r", "q"]}, "recordings"),
    ]:
        with pytest.raises(DataError, match=message):
            data.fit("wrong", 0, **{**MODELS["main"], **change})
    for wrong, message in [
        (SCORED.model_copy(update={"select": ["psth"]}), "psth"),
        (SCORED.model_copy(update={"detect": {"kernel0": "odour"}}), "odour"),
    ]:
        with pytest.raises(DataError, match=message):
            evaluate(data.features, [one for one in scored.fits if one.model == "pursuit"], wrong, {})
    for settings, message in [({"model": "psth"}, "psth"), ({"covariates": ["speed"]}, "speed")]:
        with pytest.raises(DataError, match=message):
            attribute(data.features, scored.fits, AttributeSettings.model_validate(settings), {})
