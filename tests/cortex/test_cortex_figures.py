"""Figures of cortex: what is drawn, what is left out, and that the numbers behind are those put in."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from cortex_results import LEFT, LIMBS, Made, as_stored, variable
from matplotlib.path import Path
from scipy import stats

import figure_files
from figure_files import column, table
from pellucid import store
from pellucid.errors import DataError
from pellucid.systems.cortex.figures import (
    agreement,
    areas,
    calibration,
    controls,
    decoders,
    deletion,
    examples,
    families,
    importance,
    mice,
    occlusion,
    outline,
    rois,
    sessions,
    shown,
    stretch,
    sweeps,
    tested,
    training,
)
from pellucid.systems.cortex.figures.draw import draw, figures
from pellucid.systems.cortex.figures.settings import Settings

QUICK = Settings(dpi=50)
SCORED = {"examples", "training", "decoders", "mice", "sessions", "calibration", "latency"}
TRACES = {"importance", "deletion", "agreement"}
DIGITS = 1e-5
"""CSV files hold six significant digits."""


def drawn(results, folder, settings=QUICK):
    return figure_files.drawn(draw, results, folder, settings)


def names(results, settings=QUICK):
    """The names of the figures that would be drawn."""
    return {one.__name__ for one in figures(results, settings)}


@pytest.fixture
def small(tmp_path):
    """Three mice of one session each, 12 ROIs, one fold for each."""
    return Made(tmp_path, mice=3, sessions=1, rows=400, rois=12, pairs=False)


@pytest.mark.slow  # draws every figure
def test_every_figure_of_traces_has_its_four_files_from_stored_results(tmp_path):
    made = Made(tmp_path, mice=3)
    made.sweep()
    made.restrict()
    made.control()
    made.of_speed()
    results = made.results()
    for name in ("attribution", "predictions"):
        store.write(tmp_path / f"{name}.zarr", getattr(results, name))
        results = replace(results, **{name: store.open_store(tmp_path / f"{name}.zarr")})
    results = replace(results, metrics=as_stored(results.metrics))
    found = drawn(results, tmp_path / "figures")
    assert found == SCORED | TRACES | {"window", "lag", "areas", "controls", "speed"}
    for name in found:
        text = (tmp_path / "figures" / f"{name}.txt").read_text()
        for word in ("null", "interval", "transductive"):
            assert word in text.lower() or "statistic of a held-out" in text, (name, word)


@pytest.mark.slow  # draws every figure
def test_every_figure_of_a_movie_is_drawn(tmp_path):
    made = Made(tmp_path, mice=3, sessions=1, pairs=False, movie=True, seeds=2, speed=False)
    made.control()
    assert drawn(made.results(), tmp_path / "figures") == SCORED | {"occlusion", "controls"}


@pytest.mark.slow  # draws every figure of three results
@pytest.mark.parametrize(
    "options",
    [
        {"mice": 1, "sessions": 1, "rows": 1600, "blocks": 20, "rois": 48, "parcels": True, "truth": False},
        {"mice": 1, "sessions": 1, "rows": 300, "blocks": 1, "rois": 4, "speed": False, "trials": True},
        {"mice": 5, "rois": 10, "sessions": 1, "rows": 300},
    ],
    ids=["20 blocks of one mouse, parcels", "one fold of trials", "20 pairs of mice, many models"],
)
def test_other_shapes_are_drawn(tmp_path, options):
    made = Made(tmp_path, pairs=options["mice"] > 1, **{k: v for k, v in options.items() if k != "pairs"})
    if options["mice"] == 5:
        for number in range(17):
            made.add(f"a_model_with_a_long_name_{number}", 0.6 + 0.02 * number, units=number + 1)
    assert drawn(made.results(), tmp_path / "figures") == SCORED | TRACES


def test_without_attribution_only_scores_are_drawn(small):
    results = small.results(**dict.fromkeys(small.attribution()))
    assert names(results) == SCORED


def test_without_scores_only_training_and_importance_are_drawn(small):
    results = small.results({"headline": [], "table": []})
    assert names(results) == {"examples", "training"} | TRACES


def test_a_regression_has_no_curves_and_a_decoder_of_speed_no_sessions(small):
    small.of_speed()
    results = small.results(**dict.fromkeys(small.attribution()))
    assert "training" not in names(results, Settings(model="linear"))
    assert names(results, Settings(model="speed")) == SCORED - {"sessions", "calibration"} | {"speed"}


def test_without_univariate_or_importance_nothing_is_compared(small):
    assert "agreement" not in names(small.results(**{"/univariate": None}))
    assert names(small.results(**{"/importance": None})) == SCORED | {"deletion"}


@pytest.mark.parametrize(("model", "problem"), [("mian", "one of the fitted models main"), ("null", "was attributed")])
def test_a_model_that_is_not_there_is_refused(small, tmp_path, model, problem):
    with pytest.raises(DataError, match=problem):
        draw(small.results(), Settings(model=model), tmp_path)


@pytest.mark.slow  # 1 to 2 s
def test_a_second_drawing_is_the_same_to_the_byte(small, tmp_path):
    results = small.results()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        importance.importance(results, QUICK, tmp_path / name)
    paths = sorted((tmp_path / "first").iterdir())
    assert len(paths) == 4
    for path in paths:
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_decoders_hold_every_fit_and_the_means_that_were_evaluated(tmp_path):
    made = Made(tmp_path, mice=3, sessions=1, rows=300, rois=4)
    results = made.results()
    decoders.decoders(results, QUICK, tmp_path)
    rows = table(tmp_path, "decoders")
    for model in made.models:
        own = [row["auc"] for row in results.metrics["table"] if row["model"] == model]
        assert column(rows, "value", model=model, entry="fit") == pytest.approx(own, rel=DIGITS)
        said = shown.average(results, model)
        (mean,) = [row for row in rows if (row["model"], row["entry"]) == (model, "mean")]
        for key, name in (("value", "auc"), ("low", "low"), ("high", "high")):
            assert float(mean[key]) == pytest.approx(said[name], rel=DIGITS)
        assert mean["n"] == "3"
    assert column(rows, "p_holm", model="linear", entry="mean") == [0.002]


@pytest.mark.slow  # 1 to 2 s
def test_undefined_fits_and_sessions_are_said(small, tmp_path):
    results = small.results()
    for row in [*results.metrics["table"], *results.metrics["sessions"]]:
        if (row["model"], row["fold"]) == ("main", 1):
            row["auc"] = None
    decoders.decoders(results, QUICK, tmp_path)
    assert "1 of 9 fits have no defined score" in (tmp_path / "decoders.txt").read_text()
    sessions.sessions(results, QUICK, tmp_path)
    (lost,) = results.features.folds[1].test
    assert f"sessions without any: {lost}" in (tmp_path / "sessions.txt").read_text()
    assert "undefined" in (tmp_path / "sessions.svg").read_text()
    mice.mice(results, QUICK, tmp_path)
    assert np.isnan(column(table(tmp_path, "mice"), "auc", model="main")).tolist() == [False, True, False]


def test_mice_are_means_over_the_fits_of_each(tmp_path):
    made = Made(tmp_path, mice=3, sessions=1, rows=300, rois=4)
    results = made.results()
    values = mice.matrix(results, ["linear", "main"])
    assert tested.names(results) == ["m0", "m1", "m2"]
    own = [row["auc"] for row in results.metrics["table"] if (row["model"], row["test"]) == ("main", "m1")]
    assert len(own) == 2
    assert values[1, 1] == pytest.approx(np.mean(own))


def test_of_many_models_the_shown_one_nulls_controls_and_the_best_are_kept(small):
    small.control()
    for number in range(5):
        small.add(f"other_{number}", 0.7 + 0.04 * number)
    results = small.results()
    models = shown.kept(results, Settings(models=7), decoders.possible(results))
    assert models == ["main", "linear", "null", "violet", "shift", "vessels", "other_4"]


def test_models_that_differ_in_their_window_only_are_a_family(small, tmp_path):
    small.sweep()
    small.add("large", 0.9, window_s=0.3, units=64)
    results = small.results()
    found = {family.label: family for family in families.of(results, QUICK, "window_s")}
    assert set(found) == {"main", "linear"}
    assert list(found["main"].models) == [0.1, 0.3, 0.5, 0.8, 1.0]
    sweeps.window(results, QUICK, tmp_path)
    rows = table(tmp_path, "window")
    assert column(rows, "window_s", family="main", test="mean").tolist() == [0.1, 0.3, 0.5, 0.8, 1.0]
    expected = [shown.average(results, model)["auc"] for model in found["main"].models.values()]
    assert column(rows, "value", family="main", test="mean") == pytest.approx(expected, rel=DIGITS)
    assert [one.label for one in families.of(results, QUICK, "lag_s")] == ["main"]


@pytest.mark.slow  # 1 to 2 s
def test_importance_is_the_mean_over_mice_with_its_interval(tmp_path):
    made = Made(tmp_path, mice=3, sessions=1, rows=300, rois=12, seeds=2)
    results = made.results()
    importance.importance(results, QUICK, tmp_path)
    rows = table(tmp_path, "importance")
    magnitude = results.attribution["importance"]["magnitude"].values  # fold, seed, lag, roi
    units = np.array([made.unit(fold) for fold in range(6)])
    each = np.stack([magnitude[units == mouse].mean((0, 1)) for mouse in ("m0", "m1", "m2")])
    number = made.ids.index("8")
    (found,) = [row for row in rows if (row["panel"], row["roi"]) == ("roi", "8")]
    sums = each.sum(1)[:, number]
    half = stats.t.ppf(0.975, 2) * sums.std(ddof=1) / np.sqrt(3)
    assert float(found["value"]) == pytest.approx(sums.mean(), rel=DIGITS)
    assert float(found["high"]) == pytest.approx(sums.mean() + half, rel=1e-4)  # float32 importance
    assert found["driving"] == "True"
    null = results.attribution["null"]["magnitude"].values.mean((0, 1)).sum(0)[number]
    assert float(found["null"]) == pytest.approx(null, rel=1e-4)
    assert column(rows, "value", panel="lag", model="model") == pytest.approx(each.mean(0).sum(1), rel=DIGITS)
    heat = column(rows, "value", panel="roi x lag", roi="8")
    assert heat == pytest.approx(each.mean(0)[:, number], rel=DIGITS)
    order = [row["roi"] for row in rows if row["panel"] == "roi"]
    assert set(order[:2]) == {"6", "8"}


@pytest.mark.slow  # 1 to 2 s
def test_importance_needs_neither_places_nor_a_null(tmp_path):
    made = Made(tmp_path, mice=2, sessions=1, rows=300, rois=6, pairs=False, truth=False)
    tree = made.attribution()
    bare = tree["/importance"].drop_vars(["row", "column", "area", "signed", "completeness"])
    results = made.results(**{"/importance": bare, "/null": None, "/untrained": None})
    importance.importance(results, QUICK, tmp_path)
    text = (tmp_path / "importance.txt").read_text()
    assert "Null: none was attributed" in text
    assert "outline" not in text
    assert np.isnan(column(table(tmp_path, "importance"), "null", panel="roi")).all()


@pytest.mark.slow  # 1 to 2 s
def test_parcels_are_filled_by_the_ids_of_rois(tmp_path):
    made = Made(tmp_path, mice=1, sessions=1, rows=300, blocks=3, rois=12, parcels=True, truth=False)
    results = made.results()
    labels = rois.parcels(results)
    assert labels.shape == (36, 44)
    numbers = rois.numbers(["3", "99", "12"], labels)
    assert numbers == {"3": 3, "12": 12}
    centre = outline.centres(labels, [3])[0]
    assert labels[tuple(centre.round().astype(int))] == 3
    importance.importance(results, QUICK, tmp_path)
    assert "on parcels" in (tmp_path / "importance.txt").read_text()


def test_the_outline_holds_every_published_roi():
    for right, sign in ((False, 1), (True, -1)):
        edge = Path(outline.hemisphere(right))
        centres = np.array(LEFT) * [sign, 1] + [right, 0]
        assert edge.contains_points(centres).all()
        assert not edge.contains_points([[0.5, 0.5]]).any()


def test_circles_shrink_where_rois_are_close():
    assert outline.radius(np.array([[0.1, 0.1], [0.9, 0.9]])) == outline.RADIUS
    close = np.stack(np.meshgrid(np.arange(5) * 0.03, np.arange(4) * 0.03), axis=-1).reshape(-1, 2)
    assert outline.radius(close) == pytest.approx(0.015)


def test_areas_show_what_each_model_sees(tmp_path):
    made = Made(tmp_path, mice=2, sessions=1, rows=300, rois=50, pairs=False)
    made.restrict()
    results = made.results()
    assert areas.possible(results, QUICK) == ["main", "limbs", "no_limbs", "front"]
    layout = results.features.first("roi")
    about = shown.about(results)
    seen = {model: areas.used(about[model], layout) for model in about}
    assert [name for name, own in zip(made.ids, seen["limbs"]) if own] == list(LIMBS)
    assert (seen["no_limbs"] == ~seen["limbs"]).all()
    assert np.flatnonzero(seen["front"]).tolist() == [0, 1, 2, 3, 4, 25, 26, 27, 28, 29]
    assert seen["main"].all()
    areas.areas(results, QUICK, tmp_path)
    rows = table(tmp_path, "areas")
    assert column(rows, "value", model="limbs", entry="mean") == pytest.approx(
        [shown.average(results, "limbs")["auc"]], rel=DIGITS
    )
    assert {row["rois"] for row in rows if row["model"] == "no_limbs"} == {"46"}


@pytest.mark.slow  # 1 to 2 s
def test_occlusion_maps_are_means_over_mice_and_bilinear_between_masks(tmp_path):
    made = Made(tmp_path, mice=3, sessions=1, rows=300, pairs=False, movie=True, seeds=2)
    results = made.results()
    occlusion.occlusion(results, QUICK, tmp_path)
    rows = table(tmp_path, "occlusion")
    found = results.attribution["occlusion"]
    for name in ("square", "circle"):
        expected = found[name].values.mean((0, 1)).ravel()
        assert column(rows, "auc_lost", masks=name) == pytest.approx(expected, rel=DIGITS)
    assert column(rows, "auc_lost", masks="border") == pytest.approx(found["border"].values.mean((0, 1)), rel=DIGITS)
    assert column(rows, "row_px", masks="square")[9] == found["row"].values[1]  # nine masks in a row
    # a plane is its own interpolation, between the outermost centres
    down, across = found["row"].values, found["column"].values
    whole = occlusion.upsampled(2 * down[:, None] - across[None], down, across, (32, 40))
    y, x = np.mgrid[4:28, 4:36] + 0.5
    assert whole[4:28, 4:36] == pytest.approx(2 * y - x)
    assert whole[0, 0] == whole[3, 3]
    assert occlusion.background(results, QUICK) == pytest.approx(
        results.features.group("m0_s0", "movie")["mean"].values
    )


def test_controls_mark_the_flagged_ones(small, tmp_path):
    small.control()
    results = small.results()
    controls.controls(results, QUICK, tmp_path)
    rows = table(tmp_path, "controls")
    assert [(row["model"], row["flagged"]) for row in rows] == [
        ("violet", "True"), ("shift", "False"), ("vessels", "False"),
    ]  # fmt: skip
    assert column(rows, "auc") == pytest.approx([row["auc"] for row in results.metrics["controls"]], rel=DIGITS)
    assert (tmp_path / "controls.svg").read_text().count("FLAGGED") >= 1
    assert "Flagged: violet." in (tmp_path / "controls.txt").read_text()


def test_controls_need_no_margin(small, tmp_path):
    small.control()
    results = small.results()
    for row in results.metrics["controls"]:
        del row["margin"]
    controls.controls(results, QUICK, tmp_path)
    assert "within the band, or above" in (tmp_path / "controls.txt").read_text()


def test_deletion_keeps_both_curves(small, tmp_path):
    results = small.results()
    deletion.deletion(results, QUICK, tmp_path)
    rows = table(tmp_path, "deletion")
    for name in ("auc", "random"):
        expected = results.attribution["deletion"][name].values.mean((0, 1))
        assert column(rows, "value", curve=name) == pytest.approx(expected, rel=DIGITS)
    assert column(rows, "rois", curve="auc").tolist() == [0, 1, 2, 4, 8, 12]


def test_agreement_ranks_importance_against_correlation(small, tmp_path):
    results = small.results()
    agreement.agreement(results, QUICK, tmp_path)
    rows = table(tmp_path, "agreement")
    r = results.attribution["univariate"]["correlation"].values.mean(0)
    assert column(rows, "correlation") == pytest.approx(r, rel=DIGITS)
    expected = stats.spearmanr(column(rows, "importance"), np.abs(r)).statistic
    text = (tmp_path / "agreement.txt").read_text()
    assert f"with |r|: {expected:.2f}" in text
    assert np.isnan(agreement.rank_correlation(np.ones(5), np.arange(5.0)))


@pytest.mark.slow  # 1 to 2 s
def test_training_marks_the_epoch_of_least_validation_loss_of_each_stage(tmp_path):
    made = Made(tmp_path, mice=2, sessions=1, rows=300, pairs=False, movie=True)
    training.training(made.results(), QUICK, tmp_path)
    rows = table(tmp_path, "training")
    assert len(rows) == 2 * 2 * 8  # folds x stages x epochs
    for fold in "01":
        for stage in "12":
            loss = column(rows, "validation", fold=fold, stage=f"{stage}")
            marked = [row["best"] for row in rows if (row["fold"], row["stage"]) == (fold, stage)]
            assert marked.index("True") == int(np.argmin(loss))
            assert marked.count("True") == 1
    assert "stage 2: windows (CNN-RNN)" in (tmp_path / "training.svg").read_text()


def test_calibration_counts_every_prediction_once(small, tmp_path):
    results = small.results()
    found = calibration.reliability(results, QUICK)
    tree = results.predictions["m1_s0"]
    fold = next(i for i, split in enumerate(results.features.folds) if "m1_s0" in split.test)
    p = tree["probability"].sel(model="main", fold=fold, seed=0).values.astype(float)
    state = tree["state"].sel(fold=fold).values
    known = np.isfinite(p)
    inside = known & (p >= 0.7) & (p < 0.8)
    number, given, true = found["m1"]
    assert number.sum() == known.sum()
    assert number[7] == inside.sum()
    assert given[7] == pytest.approx(p[inside].mean())
    assert true[7] == pytest.approx(state[inside].mean())


def test_the_example_is_where_both_states_are_equally_frequent(tmp_path):
    made = Made(tmp_path, mice=2, sessions=1, rows=900, rois=8, pairs=False)
    for name in made.names:
        made.state[name][:] = 0
        made.state[name][600:620] = 1
    results = made.results()
    part = stretch.chosen(results, Settings(seconds=4))
    state = made.state[part.recording][part.start : part.stop]
    assert len(state) == 40
    assert state.mean() == pytest.approx(0.5, abs=0.05)  # starts are tried every 4 frames
    assert part.recording in results.features.folds[part.fit.fold].test
    examples.examples(results, Settings(dpi=50, seconds=4), tmp_path)
    rows = table(tmp_path, "examples")
    assert column(rows, "state").tolist() == state.tolist()
    assert column(rows, "time_s") == pytest.approx(np.arange(part.start, part.stop) / 10)
    own = results.predictions[part.recording]["probability"].sel(model="main", fold=part.fit.fold, seed=0)
    assert column(rows, "decoded main") == pytest.approx(own.values[part.start : part.stop], rel=DIGITS)
    traces = results.features.group(part.recording, "roi")["signal"].sel(roi="8").values
    assert column(rows, "roi 8") == pytest.approx(traces[part.start : part.stop], rel=DIGITS)


def test_an_example_without_both_states_is_still_drawn(tmp_path):
    made = Made(tmp_path, mice=2, sessions=1, rows=300, rois=8, pairs=False)
    for name in made.names:
        made.state[name][:] = 1
    assert stretch.chosen(made.results(), QUICK) is not None
    assert stretch.chosen(replace(made.results(), predictions=xr.DataTree()), QUICK) is None


def test_the_second_decoder_is_the_one_asked_for(small):
    small.control()
    results = small.results()
    part = stretch.chosen(results, QUICK)
    for asked, model in ((None, "violet"), ("linear", "linear"), ("main", "violet")):
        assert examples.second(results, part, Settings(control=asked)) == model
    without = replace(results, metrics=results.metrics | {"controls": []})
    assert examples.second(without, part, QUICK) == "null"


def test_intervals_are_students_and_need_two_mice():
    values = np.array([[0.9, 0.5], [0.95, np.nan], [0.8, np.nan]])
    middle, low, high = tested.interval(values)
    expected = stats.t.interval(0.95, 2, values[:, 0].mean(), stats.sem(values[:, 0]))
    assert (low[0], high[0]) == pytest.approx(expected)
    assert middle[1] == 0.5
    assert np.isnan([low[1], high[1]]).all()


def test_captions_say_what_the_interval_is_over(tmp_path):
    mouse = Made(tmp_path / "a", mice=3, sessions=1, rows=200, rois=2, pairs=False).results()
    block = Made(tmp_path / "b", mice=1, sessions=1, rows=200, rois=2, blocks=4).results()
    single = Made(tmp_path / "c", mice=1, sessions=1, rows=200, rois=2, blocks=1).results()
    assert tested.said(mouse) == "95 % interval (t, over 3 test mice)"
    assert "bootstrap, over 4 test blocks" in tested.said(block, "models")
    assert "nothing of other animals" in tested.said(block)
    assert tested.said(single) == "there is no interval, as one block was tested"


def test_captions_say_what_is_transductive(small):
    results = small.results()
    assert shown.transductive(results, ["linear"]).startswith("No statistic")
    assert shown.transductive(results, ["main"]).startswith("Model main was")
    assert shown.transductive(results, ["main", "null", "linear"]).startswith("All of these models but linear")


def test_means_leave_out_what_is_missing():
    values = variable("fold roi", [[1.0, np.nan], [3.0, np.nan]])[1]
    assert shown.mean(values)[0] == 2
    assert np.isnan(shown.mean(values)[1])
