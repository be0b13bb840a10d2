"""The figures from results made by hand: what is drawn, what is left out, and that the numbers behind are the shown."""

from dataclasses import replace

import numpy as np
import pytest
from made_results import BIN_S, BINS, FOLDS, LAGS, TRIALS, Made, shapes

import figure_files
from figure_files import column, table
from pellucid import store
from pellucid.errors import DataError
from pellucid.systems.dunl.figures import (
    conditions,
    correlations,
    covariates,
    detection,
    events,
    kernels,
    plane,
    responses,
    scores,
    selection,
    sweeps,
    training,
    trials,
    truth,
)
from pellucid.systems.dunl.figures.draw import draw, figures
from pellucid.systems.dunl.figures.settings import Settings

QUICK = Settings(dpi=60, points=200)
ALWAYS = {
    *("codes_reward", "correlation_reward", "decomposition", "faithfulness", "identifiability", "kernels", "plane"),
    *("responses", "scores", "scores_by_neuron", "selection", "training", "trials"),
}


def drawn(results, folder, settings=QUICK):
    return figure_files.drawn(draw, results, folder, settings)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Results of seven neurons with everything that is optional, read back from disk, and their figures."""
    made = Made(tmp_path_factory.mktemp("fits"), own=True)
    metrics = made.metrics() | {
        "kernels": made.kernel_rows(train_trials=[25, 100, 400]),
        "codes": made.code_rows(),
        "detection": made.detection_rows(),
    }
    results = made.results(metrics, **made.detections())
    folder = tmp_path_factory.mktemp("stores")
    stores = {}
    for name, tree in results.features.stores.items():
        store.write(folder / f"{name}.zarr", tree)
        stores[name] = store.open_store(folder / f"{name}.zarr")
    results = replace(results, features=replace(results.features, stores=stores))
    for name in ("attribution", "predictions"):
        store.write(folder / f"{name}.zarr", getattr(results, name))
        results = replace(results, **{name: store.open_store(folder / f"{name}.zarr")})
    store.write_json(folder / "metrics.json", metrics)
    results = replace(results, metrics=store.read_json(folder / "metrics.json"))
    names = drawn(results, folder / "figures")
    return made, results, folder / "figures", names


@pytest.mark.slow  # draws every figure, once for all tests that read them
def test_every_figure_has_its_four_files(full):
    *_, names = full
    optional = {"codes_truth", "detection", "events", "kernels_by_neuron", "miss_false", "recovery"}
    assert names == ALWAYS | optional | {"codes_speed", "correlation_speed"}


@pytest.mark.slow
def test_a_second_drawing_is_the_same_to_the_byte(full, tmp_path):
    _, results, folder, _ = full
    for one in (covariates.codes, kernels.by_neuron, plane.codes, scores.headline, trials.trials):
        one(results, QUICK, tmp_path)  # single points as bitmaps, images, colour bars, intervals, legends
    again = sorted(path.name for path in tmp_path.iterdir())
    assert len(again) == 6 * 4
    for name in again:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.slow
def test_kernels_behind_the_figure_are_those_of_the_attribution(full):
    _, results, folder, _ = full
    group = results.attribution["kernels"].to_dataset()
    chosen = np.mean(
        [group["kernel_shape"].values[fold, seed] for fold, seed in enumerate(group["chosen_seed"].values)], axis=0
    )
    rows = table(folder, "kernels")
    # CSV files hold six significant digits
    assert column(rows, "value", kernel="salience", line="chosen") == pytest.approx(
        np.median(chosen[..., 1], axis=1), rel=1e-5
    )
    assert column(rows, "value", kernel="value", line="truth") == pytest.approx(shapes(3)[:, 2], rel=1e-5)
    assert column(rows, "lag_s", kernel="cue", line="truth") == pytest.approx(BIN_S * np.arange(LAGS), rel=1e-5)
    neuron = [row for row in table(folder, "kernels_by_neuron") if row["neuron"] == "4"]
    assert column(neuron, "value", kernel="cue") == pytest.approx(chosen[:, 4, 0], rel=1e-5)


@pytest.mark.slow
def test_codes_are_averaged_over_neurons_within_the_condition(full):
    made, results, folder, _ = full
    means = []
    for name in made.neurons:
        group = results.attribution[f"codes/{name}"].to_dataset()
        kept = (group["reward"].values == 2.5) & (group["trial_type"].values == "surprise")
        means += [
            np.nanmean(group["code"].values[kept, neuron, 2]) for neuron in range(made.neurons[name]) if kept.any()
        ]
    row = [row for row in table(folder, "codes_reward") if row["kind"] == "mean" and row["quantity"] == "value"]
    assert column(row, "value", covariate="2.5") == pytest.approx(np.mean(means), rel=1e-5)
    assert column(row, "sem", covariate="2.5") == pytest.approx(np.std(means, ddof=1) / np.sqrt(len(means)), rel=1e-4)


@pytest.mark.slow
def test_rates_of_the_neuron_with_the_largest_shares_are_drawn_in_hertz(full):
    made, _, folder, _ = full
    neuron = int(made.shares["r0"][[2, 5, 8, 11]].sum(axis=(0, 1, 3)).argmax())
    rows = [row for row in table(folder, "trials") if row["trial"] == "trial 5 (expected)"]
    assert {row["neuron"] for row in rows} == {f"neuron n{neuron}"}
    assert column(rows, "expected") == pytest.approx(made.rate["r0"][5, :, neuron] / BIN_S, rel=1e-5)
    assert column(rows, "code_value").max() == pytest.approx(made.code["r0"][5, neuron, 2], rel=1e-5)
    shares = sum(column(rows, f"share_{kernel}") for kernel in made.kernels)
    # the parts are rounded to six digits each
    assert shares + column(rows, "baseline") == pytest.approx(column(rows, "drive"), abs=1e-4)


@pytest.mark.slow
def test_average_responses_are_of_held_out_bins_only(full):
    made, results, folder, _ = full
    seen, total = np.zeros(BINS), np.zeros(BINS)
    for name in made.neurons:
        held = np.isfinite(results.predictions[name]["rate"].values[0]).any(axis=(0, 1))
        kept = held.all(axis=2) & (made.reward[name] == 20)[:, None]
        seen += kept.sum(axis=0)
        total += np.where(kept, made.signal[name].mean(axis=2), 0).sum(axis=0)
    rows = [row for row in table(folder, "responses") if row["level"] == "20"]
    assert column(rows, "observed") == pytest.approx((total / np.maximum(seen, 1))[seen > 0] / BIN_S, rel=1e-4)


@pytest.mark.slow
def test_the_sweep_shows_median_and_range_per_number_of_trials(full):
    _, results, folder, _ = full
    rows = [row for row in results.metrics["kernels"] if (row["kernel"], row["train_trials"]) == ("cue", 100)]
    errors = [row["error"] for row in rows]
    (found,) = [row for row in table(folder, "recovery") if (row["kernel"], row["x"]) == ("cue", "100")]
    expected = (np.median(errors), min(errors), max(errors))
    assert [float(found[key]) for key in ("median", "low", "high")] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_detection_is_averaged_over_folds(full):
    _, results, folder, _ = full
    rows = [row for row in results.metrics["detection"] if row["detector"] == "codes"]
    rows = [row for row in rows if (row["model"], row["tolerance_s"]) == ("main", 0.02)]
    (found,) = [row for row in table(folder, "detection") if (row["model"], row["tolerance_s"]) == ("main", "0.02")]
    hits = [row["hit"] for row in rows]
    assert [float(found[key]) for key in ("hit", "hit_low", "hit_high")] == pytest.approx(
        [np.mean(hits), min(hits), max(hits)], rel=1e-5
    )
    curve = [row for row in table(folder, "miss_false") if row["detector"] == "smoothing"]
    assert len(curve) == 4 * 3 * 8  # tolerances, filters, thresholds


@pytest.mark.slow
def test_scores_of_neurons_are_compared_with_the_constant(full):
    *_, folder, _ = full
    rows = table(folder, "scores_by_neuron")
    value, constant = (
        column(rows, "value", metric="R2", what="value", model=model, low="nan")[:7] for model in ("glm", "constant")
    )
    difference = column(rows, "value", metric="R2", what="difference from constant", model="glm", low="nan")
    assert difference == pytest.approx(value - constant, abs=1e-6)
    assert column(rows, "value", metric="R2", what="value", model="glm", neuron="mean") == pytest.approx(
        value.mean(), rel=1e-5
    )


@pytest.mark.slow
def test_captions_say_what_is_shown(full):
    *_, folder, names = full
    for name in names:
        text = (folder / f"{name}.txt").read_text()
        assert "null" in text or "chance" in text or "0: no loss" in text, name
    assert "salience and value start together" in (folder / "identifiability.txt").read_text()
    assert "salience: median" in (folder / "codes_reward.txt").read_text()


@pytest.mark.slow
def test_one_neuron_and_one_kernel_of_a_continuous_signal_without_truth(tmp_path):
    made = Made(tmp_path, neurons=(1,), kernels=("dip",), counted=False, truth=False)
    names = drawn(made.results(), tmp_path / "figures")
    assert names == ALWAYS - {"identifiability", "plane"} | {"codes_speed", "correlation_speed"}
    rows = table(tmp_path / "figures", "trials")
    assert column(rows, "expected")[:BINS] == pytest.approx(
        made.rate["r0"][2, :, 0], rel=1e-5
    )  # not divided by the bin
    assert "dF/F" in (tmp_path / "figures" / "trials.svg").read_text()


def test_what_is_missing_is_left_out(tmp_path):
    made = Made(tmp_path, neurons=(2,), truth=False)
    everything = made.results()
    nothing = made.results({"headline": [], "table": []}, **dict.fromkeys(made.attribution()))
    assert figures(nothing, QUICK) == [responses.averages, training.curves]
    found = set(figures(everything, QUICK))
    assert found > {responses.averages, training.curves, covariates.codes, plane.codes, selection.selection}
    assert not found & {truth.codes, kernels.by_neuron, events.found, detection.tolerances, detection.curves}


def test_truth_is_drawn_where_it_is_known(tmp_path):
    made = Made(tmp_path, neurons=(2,))
    results = made.results(made.metrics() | {"codes": made.code_rows()})
    assert truth.codes in figures(results, QUICK)
    truth.codes(results, QUICK, tmp_path)
    rows = table(tmp_path, "codes_truth")
    assert column(rows, "true", panel="trials", kernel="value") == pytest.approx(
        made.code["r0"][..., 2].ravel(), rel=1e-5
    )
    assert len(column(rows, "true", panel="trials", kernel="cue")) == 2 * (TRIALS - 1)  # one trial has no cue
    assert len(column(rows, "true", panel="means")) == 2 * FOLDS * 3


def test_no_event_found_is_no_figure(tmp_path):
    made = Made(tmp_path, neurons=(2,))
    empty = {name: group.isel(event=slice(0)) for name, group in made.detections().items()}
    assert events.found not in figures(made.results(**empty), QUICK)
    assert events.found in figures(made.results(**made.detections()), QUICK)


def test_a_sweep_along_three_axes_has_a_row_each(tmp_path):
    made = Made(tmp_path, neurons=(1,), kernels=("deflection",))
    axes = {"train_trials": [25, 100], "bin_s": [0.005, 0.025], "baseline_hz": [2.0, 5.03, 5.01]}
    metrics = {"kernels": made.kernel_rows(**axes)}
    sweeps.errors(made.results(metrics), QUICK, tmp_path)
    rows = table(tmp_path, "recovery")
    assert {row["along"] for row in rows} == {"training trials", "bin width (ms)", "baseline (Hz)"}
    assert {row["x"] for row in rows if row["along"] == "baseline (Hz)"} == {"2", "5"}  # measured rates are rounded
    assert {row["level"] for row in rows if row["along"] == "training trials"} == {"5", "25"}  # ms, baseline held


def test_models_that_differ_in_more_than_their_data_are_no_sweep(tmp_path):
    made = Made(tmp_path, neurons=(1,), kernels=("deflection",))
    known = made.kernel_rows()
    for model, swept in (("glm", False), ("few", True)):
        rows = known + [row | {"model": model, "train_trials": 25} for row in known]
        assert (sweeps.errors in figures(made.results({"kernels": rows}), QUICK)) is swept


def test_folds_of_slightly_different_size_are_one_point_of_a_sweep(tmp_path):
    made = Made(tmp_path, neurons=(1,), kernels=("deflection",))
    rows = [
        row | {"train_trials": row["train_trials"] + row["fold"]} for row in made.kernel_rows(train_trials=[25, 400])
    ]
    sweeps.errors(made.results({"kernels": rows}), QUICK, tmp_path)
    assert [row["x"] for row in table(tmp_path, "recovery")] == ["25.5", "400.5"]


@pytest.mark.parametrize(("model", "problem"), [("mian", "one of the fitted models main"), ("few", "was attributed")])
def test_a_model_that_is_not_there_is_refused(tmp_path, model, problem):
    results = Made(tmp_path, neurons=(1,), kernels=("dip",)).results()
    with pytest.raises(DataError, match=problem):
        draw(results, Settings(model=model), tmp_path)


def test_bins_of_a_continuous_covariate_hold_equal_numbers():
    values = np.append(np.random.default_rng(0).gamma(2, 1, 96), np.nan)
    level, centres = conditions.binned(values, Settings(quantiles=6))
    assert np.bincount(level[:-1]).tolist() == [16] * 6
    assert level[-1] == -1
    assert (np.diff(centres) > 0).all()
    level, centres = conditions.binned(np.array([5.0, 0.1, np.nan, 5.0]), Settings())
    assert level.tolist() == [1, 0, -1, 1]
    assert centres.tolist() == [0.1, 5.0]


def test_a_covariate_that_no_trial_has_is_left_out(tmp_path):
    made = Made(tmp_path, neurons=(2,))
    made.speed["r0"][:] = np.nan
    group = made.attribution()["/covariates/speed"]
    unknown = {"/covariates/speed": group.assign(code_rho=group["code_rho"] * np.nan)}
    for one in (covariates.codes, correlations.correlations):
        one(made.results(**unknown), QUICK, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.csv")} == {"codes_reward", "correlation_reward"}
