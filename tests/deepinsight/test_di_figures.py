"""Figures of DeepInsight: what is drawn, what is left out, and that the numbers behind are those put in."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from di_results import Made, variable
from matplotlib.figure import Figure

import figure_files
from figure_files import column, table
from pellucid import store
from pellucid.artifacts import Results, row_indices
from pellucid.errors import DataError
from pellucid.systems.deepinsight.attribute.attribute import attribute
from pellucid.systems.deepinsight.attribute.settings import Settings as Attribution
from pellucid.systems.deepinsight.figures import (
    accuracy,
    chance,
    error_map,
    families,
    interactions,
    limited,
    one_band,
    scored,
    shown,
    space,
    sweeps,
    training,
    trajectory,
    trials,
    unit_classes,
)
from pellucid.systems.deepinsight.figures.draw import draw, figures
from pellucid.systems.deepinsight.figures.settings import Settings
from pellucid.systems.deepinsight.model.evaluate import evaluate
from pellucid.systems.deepinsight.model.settings import Evaluate

QUICK = Settings(dpi=40)
ALWAYS = {"features", "curves", "traces", "errors", "scores"}
BANDS = {"spectrum", "faithfulness", "channels", "groups", "pairs", "elimination", "classes"}


def names(results, settings=QUICK):
    """The functions of the figures that would be drawn."""
    return {one.__name__ for one in figures(results, settings)}


@pytest.fixture
def numbers_only(monkeypatch):
    """Figures are laid out and their numbers written, but no image is rendered, which takes longest."""
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **how: path.write_bytes(b"not rendered"))


@pytest.fixture
def made(tmp_path, numbers_only):
    """Two recordings, 7 bands, 3 channels, a place in the plane and speed."""
    return Made(tmp_path, ("plane", "speed"), {"a": 700, "b": 500}, bands=7, channels=3)


@pytest.mark.slow  # draws every figure
def test_every_figure_has_its_four_files_from_stored_results_and_the_same_bytes_twice(tmp_path):
    made = Made(tmp_path, recordings={"a": 900, "b": 700}, missing=(0,))
    for add in (made.one_bands, made.limit, made.sweep, made.shift):
        add()
    results = made.results()
    for name in ("attribution", "predictions"):
        store.write(tmp_path / f"{name}.zarr", getattr(results, name))
        results = replace(results, **{name: store.open_store(tmp_path / f"{name}.zarr")})
    results = replace(results, metrics=json.loads(json.dumps(results.metrics)))
    found = figure_files.drawn(draw, results, tmp_path / "once", QUICK)
    files = {"spectrum": "influence_bands", "channels": "influence_channels", "curves": "training",
             "traces": "decoding", "faithfulness": "influence_faithfulness"}  # fmt: skip
    extra = {"retrained", "limited", "window_length", "averaging", "amount_error", "amount", "one_band"}
    expected = ALWAYS | BANDS | extra | {"trajectory", "error_map"}
    assert found == {files.get(name, name) for name in expected}
    figure_files.drawn(draw, results, tmp_path / "twice", QUICK)
    assert store.digest(tmp_path / "once") == store.digest(tmp_path / "twice")
    for name in found - {"features", "training", "decoding", "errors", "influence_faithfulness"}:
        text = (tmp_path / "once" / f"{name}.txt").read_text()
        assert "interval" in text or "n = " in text, name


@pytest.mark.slow  # draws every figure of two results
@pytest.mark.parametrize(
    ("targets", "options", "settings"),
    [
        (("track",), {"recordings": {"wake": 800}, "bands": 1, "folds": 5}, {}),
        (("choice", "line"), {"recordings": {"one": 1125, "two": 375}, "bands": 1, "folds": 3}, {"position": "line"}),
    ],
    ids=["circular track", "trials on a line"],
)
def test_other_shapes_are_drawn(tmp_path, targets, options, settings):
    made = Made(tmp_path, targets, **options)
    results = made.results(**{f"/{name}": None for name in ("band", "deletion", "classes", "elimination")})
    found = figure_files.drawn(draw, results, tmp_path / "figures", Settings(dpi=40, **settings))
    expected = {"features", "training", "decoding", "errors", "scores", "influence_channels", "groups", "trajectory",
                "error_map"}  # fmt: skip
    assert found == expected | ({"trials"} if "choice" in targets else set())


def test_figures_are_drawn_where_their_input_is_there_only(made, tmp_path):
    assert names(made.results()) == ALWAYS | BANDS | {"trajectory", "error_map"}
    without = {f"/{name}": None for name in ("band", "channel", "group", "deletion", "pairs", "elimination", "classes")}
    assert names(made.results(**without)) == ALWAYS | {"trajectory", "error_map"}
    speed = Made(tmp_path / "speed", ("speed", "heading"), {"a": 300}, bands=3, channels=2)
    assert names(speed.results()) == ALWAYS | BANDS
    nothing = Made(tmp_path / "nothing", ("plane",), {"a": 300}, bands=3, channels=2, missing=(0, 1))
    assert names(nothing.results()) == ALWAYS | BANDS
    for add in (made.one_bands, made.limit, made.sweep, made.shift):
        add()
    extra = {"retrained", "limited", "window_length", "averaging", "amount_error", "amount", "one_band"}
    assert names(made.results()) == ALWAYS | BANDS | extra | {"trajectory", "error_map"}


def test_wrong_settings_get_one_clear_error(made, tmp_path):
    results = made.results()
    with pytest.raises(DataError, match="fitted models main, ridge"):
        draw(results, Settings(model="man"), tmp_path)
    with pytest.raises(DataError, match="the model that was attributed"):
        draw(results, Settings(model="ridge"), tmp_path)
    with pytest.raises(DataError, match="one or two dimensions among plane, speed"):
        draw(results, Settings(position="place"), tmp_path)
    assert not list(tmp_path.glob("*.svg"))


def test_models_with_figures_of_their_own_do_not_crowd_out_the_others(made, tmp_path):
    plain = names(made.results())
    for add in (made.one_bands, made.limit, made.sweep, made.shift):
        add()
    results = made.results()
    assert plain <= names(results)
    assert families.compared(results, QUICK) == ["main", "ridge", "bayes"]
    for one, name in ((accuracy.errors, "errors"), (accuracy.scores, "scores"), (training.curves, "training")):
        one(results, QUICK, tmp_path)
        drawn = {row["model"] for row in table(tmp_path, name)} - {"chance"}
        assert drawn == {"main", "ridge", "bayes"} - ({"ridge", "bayes"} if name == "training" else set())
        text = (tmp_path / f"{name}.txt").read_text()
        assert "7 of one band, 2 trained on shifted behaviour" in text
    assert {row["name"] for row in table(tmp_path, "scores")} == {
        "Pearson r, mean over outputs and folds", "plane: median error", "speed: median error"
    }  # fmt: skip
    assert families.compared(results, Settings(models=40)) == shown.decoders(results)
    assert "band_15000" not in shown.decoders(results)


def test_path_and_errors_are_those_of_the_predictions(made, tmp_path):
    """Held against places read from the arrays directly, fold by fold."""
    made.missing = (0,)
    results = made.results()
    trajectory.trajectory(results, QUICK, tmp_path)
    rows = table(tmp_path, "trajectory")
    for name in ("a", "b"):
        own = column(rows, "time_s", recording=name)
        at = np.searchsorted(results.features.group(name)["time"].values, own - 1e-4)
        assert set(at) <= set(row_indices(results.features.folds[1].test[name]))
        guess = results.predictions[name]["prediction"].sel(model="main", fold=1, seed=0).values[at]
        known = np.isfinite(guess).all(axis=1)
        assert known.any()
        for place, label in enumerate(("x", "y", "speed")):
            assert column(rows, f"{label}_true", recording=name) == pytest.approx(
                made.behaviour[name][at, place], rel=1e-5
            )
            drawn = column(rows, f"{label}_decoded", recording=name)
            assert drawn[known] == pytest.approx(guess[known, place], rel=1e-5)
            assert np.isnan(drawn[~known]).all()
    error_map.error_map(results, Settings(dpi=40, bins=6, least_rows=1), tmp_path)
    for name in ("a", "b"):
        bins = [row for row in table(tmp_path, "error_map") if row["recording"] == name]
        at = row_indices(results.features.folds[1].test[name])[63:]
        true, guess = made.behaviour[name][at, :2], made.predicted[name]["prediction"].values[0, 1, 0, at, :2]
        assert sum(int(row["rows"]) for row in bins) == len(at)
        full = max(bins, key=lambda row: int(row["rows"]))
        low, high = (np.array([float(full[f"{axis}_{end}"]) for axis in "xy"]) for end in ("from", "to"))
        inside = ((true >= low - 1e-4) & (true < high - 1e-4)).all(axis=1)
        assert inside.sum() == int(full["rows"])
        expected = np.median(np.hypot(*(guess - true)[inside].T))
        assert float(full["median_error"]) == pytest.approx(expected, rel=1e-4)


def test_errors_along_a_circular_track_take_the_shorter_way(tmp_path, numbers_only):
    made = Made(tmp_path, ("track",), {"a": 600}, bands=3, channels=2, folds=2)
    results = made.results()
    found = space.place(results, QUICK)
    assert (found.plane, found.period, found.labels) == (False, 2.9, ["track"])
    one = space.decoded(results, QUICK, "a", found)
    phase = np.angle(np.exp(2j * np.pi * (one.true - one.guess)[:, 0] / 2.9))  # complex numbers, not moduli
    assert found.error(one.true, one.guess) == pytest.approx(np.abs(phase) * 2.9 / (2 * np.pi), abs=1e-5)
    error_map.error_map(results, QUICK, tmp_path)
    rows = table(tmp_path, "error_map")
    assert max(column(rows, "chance")) <= 2.9 / 2
    assert np.nanmedian(column(rows, "median_error")) < np.nanmedian(column(rows, "chance"))


def test_a_value_is_a_place_by_its_name_or_by_the_settings(tmp_path):
    made = Made(tmp_path, ("speed", "line"), {"a": 300}, bands=3, channels=2)
    results = made.results()
    assert space.place(results, QUICK) is None
    assert space.place(results, Settings(position="line")).columns == [1]
    group = results.features.stores["a"]["features"].to_dataset()
    about = json.loads(group.attrs["targets"])
    group.attrs["targets"] = json.dumps({"speed": about["speed"], "position": about["line"]})
    group["target"] = ("output", np.array(["speed", "position"], object))
    stores = {"a": xr.DataTree.from_dict({"/features": group})}
    named = replace(results, features=replace(results.features, stores=stores))
    assert space.place(named, QUICK).name == "position"
    assert names(named) == names(results) | {"trajectory", "error_map"}


def test_pairs_are_drawn_below_the_diagonal_whatever_their_order(made, tmp_path, monkeypatch):
    drawn = []
    matrix = interactions._matrix
    monkeypatch.setattr(interactions, "_matrix", lambda *given: drawn.append(given[1]) or matrix(*given))
    results = made.results()
    interactions.pairs(results, QUICK, tmp_path)
    rows = table(tmp_path, "pairs")
    assert len(rows) == 2 * 7 * 6 // 2
    assert all((places[:, 0] > places[:, 1]).all() and len({*map(tuple, places)}) == 21 for places in drawn)
    group = results.attribution["pairs"]
    for place, term in enumerate(("plane", "speed")):
        assert column(rows, "interaction", output=term) == pytest.approx(
            group["interaction"].values[:, place], rel=1e-5
        )
    rising = np.sort(made.hz)
    first = (group["first_hz"].values[5], group["second_hz"].values[5])
    assert sorted(drawn[0][5]) == sorted(np.searchsorted(rising, first))


def test_every_class_stands_beside_its_control(made, tmp_path):
    results = made.results()
    unit_classes.elimination(results, QUICK, tmp_path)
    rows, group = table(tmp_path, "elimination"), results.attribution["elimination"]
    for key in ("influence", "low", "control", "control_high"):
        found = [[float(row[key]) for row in rows if row["class"] == name] for name in ("place", "interneuron")]
        assert np.array(found) == pytest.approx(group[key].values, rel=1e-5)
    unit_classes.classes(results, QUICK, tmp_path)
    rows = [row for row in table(tmp_path, "classes") if row["output"] == "speed" and row["class"] == "interneuron"]
    assert [float(row["influence"]) for row in rows] == pytest.approx(
        results.attribution["band"]["influence"].values[:, 1], rel=1e-4
    )
    assert "place (n = 17), interneuron (n = 5)" in (tmp_path / "classes.txt").read_text()


def test_one_band_networks_are_held_against_the_influence_of_their_own_band(made, tmp_path):
    """The attributed model lacks two bands that have networks of their own: no influence is drawn there."""
    made.one_bands()
    whole = made.results()
    band = whole.attribution["band"].to_dataset().isel(frequency=slice(2, None))
    results = made.results(**{"/band": band})
    one_band.one_band(results, QUICK, tmp_path)
    rows = [row for row in table(tmp_path, "one_band") if row["output"] == "plane"]
    influence = [float(row["influence"]) for row in rows]
    assert np.isnan(influence[:2]).all()
    assert influence[2:] == pytest.approx(band["influence"].values[:, 0], rel=1e-5)
    loss = results.attribution["one_band"]["loss"].values[:, 0]
    assert [float(row["inverse_loss"]) for row in rows] == pytest.approx(1 / loss, rel=1e-5)


def test_limited_models_follow_the_whole_one_with_their_bands(made, tmp_path):
    made.limit()
    results = made.results()
    assert limited.models(results) == ["main", "lfp", "below_250", "middle", "above_250", "bayes"]
    made.add("ridge_low", 0.9, [float(hz) for hz in made.hz if hz < 5000], kind="ridge", bands={"below_hz": 5000})
    results = made.results()
    order = limited.models(results)
    assert order == ["main", "lfp", "below_250", "middle", "above_250", "ridge", "ridge_low", "bayes"]
    limited.limited(results, QUICK, tmp_path)
    rows = {row["model"]: row for row in table(tmp_path, "limited") if row["score"] == "plane: median error"}
    expected = [hz for hz in made.hz if hz > 250]
    assert float(rows["above_250"]["lowest_hz"]) == pytest.approx(min(expected), rel=1e-5)
    assert int(rows["above_250"]["bands"]) == len(expected)
    assert int(rows["bayes"]["bands"]) == 0


def test_sweeps_hold_all_other_settings(made, tmp_path):
    made.sweep()
    made.add("other", 0.4, window_rows=16, units=64)
    made.add("shifted", 1.0, window_rows=48, shift_s=10)
    results = made.results()
    sweeps.window_length(results, QUICK, tmp_path)
    rows = [row for row in table(tmp_path, "window_length") if row["score"] == "plane: median error"]
    main = [row for row in rows if row["family"] == "main"]
    assert [row["model"] for row in main] == ["window_16", "window_32", "main", "window_128"]
    assert [float(row["window_length_s"]) * 30 for row in main] == pytest.approx([16, 32, 64, 128], rel=1e-4)
    assert {row["family"] for row in rows} == {"main", "ridge"}
    known = {row["model"]: row for row in results.metrics["headline"] if row["name"] == "plane: median error"}
    assert [float(row["value"]) for row in main] == pytest.approx(
        [known[row["model"]]["value"] for row in main], rel=1e-5
    )
    sweeps.averaging(results, QUICK, tmp_path)
    assert {row["model"] for row in table(tmp_path, "averaging")} == {"main", "average_2", "average_4"}
    sweeps.amount(results, QUICK, tmp_path)
    rows, group = table(tmp_path, "amount"), results.attribution["profiles"]
    assert {row["model"] for row in rows} == {"first_5", "first_10", "first_20"}
    own = group.sel(model="first_10", output="speed")
    assert column(rows, "pearson", model="first_10", output="speed") == pytest.approx(float(own["pearson"]), rel=1e-5)


def test_averages_of_one_span_are_a_sweep_of_averaging(made):
    """As many seconds in fewer, longer averages: models that differ in two settings at once, held at one span."""
    made.add("coarse", 0.2, window_rows=32, average_rows=2)
    made.add("coarser", 0.3, window_rows=16, average_rows=4)
    found = sweeps._own(made.results(), QUICK, sweeps.AVERAGING_SPAN)
    assert [list(family.models.values()) for family in found] == [["main", "coarse", "coarser"]]
    assert not sweeps._own(made.results(), QUICK, sweeps.AVERAGING)


def test_scores_without_a_headline_are_means_and_ranges_of_fits(made):
    results = made.results()
    metrics = {**results.metrics, "headline": [r for r in results.metrics["headline"] if r["model"] == "main"]}
    found = scored.scores(replace(results, metrics=metrics), ["main", "ridge"])["plane: median error"]
    values = [row["value"] for row in metrics["table"]
              if (row["model"], row["output"], row["metric"]) == ("ridge", "plane", "median error")]  # fmt: skip
    assert len(values) == 2
    assert (found["ridge"].value, found["ridge"].low) == (pytest.approx(np.mean(values)), min(values))
    assert (found["ridge"].whole, found["main"].whole) == (False, True)


def test_retraining_is_shown_beside_the_decoder_it_copies(made, tmp_path):
    made.shift()
    results = made.results()
    chance.retrained(results, QUICK, tmp_path)
    rows = table(tmp_path, "retrained")
    assert {row["model"] for row in rows} == {"shifted_10", "shifted_17.5"}
    headline = {row["name"]: row["value"] for row in results.metrics["headline"] if row["model"] == "main"}
    for row in rows:
        assert float(row["value_of_decoder"]) == pytest.approx(headline[row["name"]], rel=1e-5)
    text = (tmp_path / "retrained.txt").read_text()
    assert "shifted_17.5 by 17.5 s" in text
    assert "6 of 6 scores" in text


def test_trials_are_means_of_their_test_rows(tmp_path, numbers_only):
    made = Made(tmp_path, ("choice",), {"a": 500, "b": 250}, bands=1, channels=2, folds=2, seeds=2)
    results = made.results()
    values = results.predictions["a"]["prediction"].copy()
    group = results.features.group("a")["group"].values
    values[0, :, :, group == 5] *= -1  # wrong on purpose
    results.predictions["a"]["prediction"] = values
    found = trials.decoded(results, QUICK)
    for number, guess in zip(found["a"].number, found["a"].decoded):
        assert guess == pytest.approx(np.nanmean(values.values[0][:, :, group == number]), rel=1e-4)
    assert found["a"].number[found["a"].wrong].tolist() == [5]
    trials.trials(results, QUICK, tmp_path)
    rows = table(tmp_path, "trials")
    assert sum(row["recording"] == "b" for row in rows) == len(found["b"].true)
    assert {row["model"] for row in rows} == {"", "main", "ridge"}
    assert "a: 1 of" in (tmp_path / "trials.txt").read_text()


def test_a_target_that_a_model_does_not_decode_is_left_out_of_its_errors(made, tmp_path):
    made.add("position_only", 0.1, decode=["plane"])
    accuracy.errors(made.results(), QUICK, tmp_path)
    rows = table(tmp_path, "errors")
    assert {row["model"] for row in rows if row["target"] == "speed"} == {"main", "ridge", "chance"}
    assert {row["model"] for row in rows if row["target"] == "x"} == {"main", "ridge", "position_only", "chance"}


def test_groups_show_their_null(made, tmp_path):
    null = made.results().attribution["group"].to_dataset()
    null["null_high"] = variable("output", [0.3, 0.01])
    results = made.results(**{"/group": null})
    interactions.groups(results, QUICK, tmp_path)
    rows = table(tmp_path, "groups")
    assert column(rows, "null_high", output="plane") == pytest.approx(0.3)
    assert column(rows, "influence", output="speed") == pytest.approx(null["influence"].values[:, 1], rel=1e-5)
    assert len(rows) == 8


QUICKLY = {"filters": 4, "merge_filters": 4, "units": 8, "schedule": {"epochs": 1, "steps": 2, "batch": 4}}
"""A network that learns nothing, and so is trained in no time."""


@pytest.mark.slow  # trains networks and draws every figure
def test_what_evaluation_and_attribution_give_is_drawn(small, tmp_path):
    """The results made by hand above follow the real ones: the same figures come of results that were computed."""
    hz = small.features.first()["frequency"].values
    models = {
        "whole": {},
        "low": {"bands": {"below_hz": 50}},
        "window_16": {"window_rows": 16},
        "average_2": {"average_rows": 2, "window_rows": 32},
        "first_10": {"train_s": 10},
        "shifted": {"shift_s": 7},
        **{f"band_{i}": {"bands": {"only_hz": [float(value)]}} for i, value in enumerate(hz[:3])},
    }
    fits = [small.fit(f"drawn_{name}", fold, **QUICKLY, **own) for name, own in models.items() for fold in (0, 1)]
    fits += [small.fit("drawn_ridge", fold, kind="ridge") for fold in (0, 1)]
    metrics, predictions = evaluate(small.features, fits, Evaluate(shifts=20, bootstrap=100), {})
    settings = Attribution.model_validate(
        {
            "model": "drawn_whole",
            "repeats": 1,
            "every_rows": 8,
            "bootstrap": 100,
            "null_shifts": 2,
            "pairs": True,
            "profiles": ["drawn_first_10"],
            "groups": {"high": {"bands_hz": [500, 250]}},
        }
    )
    tree = attribute(small.features, fits, settings, {})
    results = Results("small", small.features, fits, metrics, predictions, tree)
    expected = {"retrained", "limited", "window_length", "averaging", "amount_error", "amount", "one_band", "pairs"}
    shown_model = Settings(dpi=40, model="drawn_whole")
    assert names(results, shown_model) == ALWAYS | {"spectrum", "faithfulness", "channels", "groups"} | expected
    found = figure_files.drawn(draw, results, tmp_path / "figures", shown_model)
    assert expected <= found
