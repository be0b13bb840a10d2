"""Figures of what/where: what is drawn, what is left out, and that the numbers behind are the shown."""

from dataclasses import replace

import numpy as np
import pytest
from whatwhere_results import FOLDS, KERNEL, OFFSET, SEEDS, SILENT, UNSEEN, Made

import figure_files
from figure_files import column, table
from pellucid import store
from pellucid.errors import DataError
from pellucid.systems.whatwhere.figures import (
    bar_codes,
    budget,
    ceiling,
    families,
    fields,
    kernels,
    masks,
    panels,
    performance,
    predictions,
    samples,
    shown,
    training,
)
from pellucid.systems.whatwhere.figures.draw import draw, figures
from pellucid.systems.whatwhere.figures.settings import Settings

QUICK = Settings(dpi=50, points=60, examples=4, fields=3, kernels=4)
ALWAYS = {"kernels", "locations", "faithfulness", "performance", "predictions", "training", "fields"}


def drawn(results, folder, settings=QUICK):
    return figure_files.drawn(draw, results, folder, settings)


@pytest.fixture
def made(tmp_path):
    """Two simulated recordings whose images and masks are not square, with two silent or missing neurons."""
    return Made(tmp_path)


@pytest.mark.slow  # draws every figure
def test_every_figure_has_its_four_files_from_stored_results(tmp_path):
    made = Made(tmp_path)
    made.sweep()
    made.regions()
    results = made.results()
    for name in ("attribution", "predictions"):
        store.write(tmp_path / f"{name}.zarr", getattr(results, name))
        results = replace(results, **{name: store.open_store(tmp_path / f"{name}.zarr")})
    store.write_json(tmp_path / "metrics.json", results.metrics)
    results = replace(results, metrics=store.read_json(tmp_path / "metrics.json"))
    names = drawn(results, tmp_path / "figures")
    assert names == ALWAYS | {"samples", "budget", "masks", "bar_codes", "ceiling"}
    for name in names:
        text = (tmp_path / "figures" / f"{name}.txt").read_text()
        assert "null" in text.lower(), name


@pytest.mark.slow  # draws all figures of two populations
@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"features": 3, "maps": 6, "truth": False}, {"masks", "bar_codes", "ceiling"}),
        ({"truth": False, "repeats": False, "point": True, "sizes": {"a": 4}, "maps": 1}, set()),
    ],
    ids=["colour, no truth", "one grey recording, points, no repeats"],
)
def test_what_is_missing_is_left_out(tmp_path, options, names):
    results = Made(tmp_path, **options).results()
    assert drawn(results, tmp_path / "figures") == ALWAYS | names


def test_without_attribution_only_scores_are_drawn(made):
    results = made.results(**dict.fromkeys(made.attribution()))
    wanted = [performance.performance, ceiling.ceiling, predictions.predictions, training.training]
    assert figures(results, QUICK) == wanted


def test_no_neuron_is_predicted(made):
    results = made.results({"headline": [], "table": []}, **dict.fromkeys(made.attribution()))
    scores = results.predictions["scores"].to_dataset()
    predictions_ = results.predictions.copy()
    predictions_["scores"] = scores.assign(correlation=scores["correlation"] * np.nan)
    assert figures(replace(results, predictions=predictions_), QUICK) == [training.training]


@pytest.mark.slow  # draws six figures
@pytest.mark.parametrize("one", [masks.masks, bar_codes.bar_codes, performance.performance])
def test_a_second_drawing_is_the_same_to_the_byte(made, tmp_path, one):
    results = made.results()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        one(results, QUICK, tmp_path / name)
    paths = sorted((tmp_path / "first").iterdir())
    assert len(paths) == 4
    for path in paths:
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


@pytest.mark.slow  # 1 to 2 s
def test_performance_is_the_mean_over_folds_and_seeds_of_each_recordings_neurons(made, tmp_path):
    made.regions()
    results = made.results()
    performance.performance(results, QUICK, tmp_path)
    rows = table(tmp_path, "performance")
    own = results.predictions["scores"]["correlation"].sel(model="main").values.reshape(FOLDS * SEEDS, -1)
    usable = np.setdiff1d(np.arange(14, 24), [UNSEEN])
    (found,) = [row for row in rows if (row["model"], row["neurons"], row["score"]) == ("main", "b", "correlation")]
    # CSV files hold six significant digits
    assert float(found["mean"]) == pytest.approx(own[:, usable].mean(), rel=1e-5)
    assert int(found["n"]) == len(usable)
    spread = own.mean(0)[usable].std(ddof=1) / np.sqrt(len(usable))
    # half width of a 95 % t interval of 9 neurons
    assert float(found["high"]) - float(found["mean"]) == pytest.approx(2.306 * spread, rel=1e-3)
    labels = {row["model"] for row in rows}
    assert {"factorised", "fixed (a, b)"} < labels  # one row for the fits of single recordings
    assert column(rows, "n", model="factorised", neurons="all neurons", score="fev") == [22]
    assert column(rows, "mean", model="noise ceiling", neurons="a")[0] == pytest.approx(
        np.nanmean(results.predictions["scores"]["ceiling"].values[0, :14]), rel=1e-5
    )


@pytest.mark.slow  # 1 to 2 s
def test_of_many_models_the_shown_one_the_null_and_the_best_are_drawn(made, tmp_path):
    for index in range(6):
        made.add(f"other_{index}", 0.1 + 0.1 * index, readout={"dropout": 0.01 * index})
    performance.performance(made.results(), QUICK.model_copy(update={"models": 4, "model": "other_0"}), tmp_path)
    rows = table(tmp_path, "performance")
    assert {row["model"] for row in rows} == {"other_0", "permuted", "main", "fixed", "noise ceiling"}
    assert "4 of 11 models" in (tmp_path / "performance.txt").read_text()


def test_samples_follow_the_images_of_each_number_of_neurons(made, tmp_path):
    made.sweep(images=(64, 256, 1024), neurons=(1, 5, None))
    results = made.results()
    samples.samples(results, QUICK, tmp_path)
    rows = table(tmp_path, "samples")
    assert {(row["model"], row["neurons"]) for row in rows} == {
        ("factorised, 1 layer", "1"), ("factorised, 1 layer", "5"), ("factorised, 1 layer", "22"), ("ridge", "22"),
    }  # fmt: skip
    own = [row["fev"] for row in results.metrics["table"] if row["model"] == "n5_d256"]
    (found,) = [row for row in rows if (row["neurons"], row["images"]) == ("5", "256")]
    expected = (np.mean(own), min(own), max(own), FOLDS * SEEDS)
    assert [float(found[key]) for key in ("mean", "low", "high", "fits")] == pytest.approx(expected, rel=1e-5)


def test_of_models_that_differ_in_penalties_validation_chooses(made):
    made.add("weak", 0.5, images=64, penalties=[{"mask_l1": 0.01}])
    made.add("strong", 0.7, images=64, penalties=[{"mask_l1": 0.3}])
    results = made.results()
    family = next(one for one in families.of(results, ("images",)) if one.label == "factorised, 1 layer")
    found = families.selected(family.rows, "images", "fev")
    strong = [row["fev"] for row in results.metrics["table"] if row["model"] == "strong"]
    assert sorted(found) == [64, 2048]
    assert found[64] == pytest.approx(strong)


def test_neurons_that_share_a_core_are_those_fitted_together(made):
    made.add("alone", 0.3, images=64, core={"layers": [{"kernel_px": KERNEL, "maps": 2}], "shared_by": 1})
    labels = {family.label: family for family in families.of(made.results(), ("images", "neurons"))}
    assert {row["model"] for row in labels["factorised, 1 layer"].rows} == {"main", "alone"}


def test_fits_that_differ_in_more_than_data_are_families_of_their_own(made):
    made.add("unnormalised", 0.5, images=64, core={"normalisation": "none"})
    made.add("known", 0.5, images=64, core={"layers": [{"kernel_px": 5}], "known": [{"weight": 1, "sd_px": 1}]})
    labels = [family.label for family in families.of(made.results(), ("images", "neurons"))]
    assert len(labels) == len(set(labels)) == 7
    assert {"factorised, 1 layer (main)", "factorised, 1 layer (unnormalised)", "dense, 1 layer", "ridge"} < set(labels)
    assert {"factorised, 1 layer, kernel known", "factorised, 1 layer, permuted"} < set(labels)


def test_budget_recovers_a_surface_and_what_neurons_are_worth(tmp_path):
    images, neurons = (grid.ravel() for grid in np.meshgrid([64.0, 256, 1024, 4096], [1.0, 10, 100]))
    # one more unit of log2 neurons weighs as much as half a unit of log2 images
    true = budget.Surface(0.9, np.array([-9.0, 1.0, 0.5, 0.0]))
    found = budget._fitted(images, neurons, true(images, neurons))
    assert found(images, neurons) == pytest.approx(true(images, neurons), abs=1e-3)  # least squares stops at 1e-8
    assert found.worth(10.0) == pytest.approx(np.sqrt(2), rel=0.01)
    assert budget._fitted(images[:8], neurons[:8], true(images, neurons)[:8]) is None


def test_budget_needs_two_by_three_points_and_interpolates_few(tmp_path):
    made = Made(tmp_path)
    made.sweep(images=(64, 512), neurons=(5,))
    assert not budget.enough(Made(tmp_path).results(), QUICK)
    results = made.results()  # 2 x 2 beside the fit of all images and neurons: 5 neurons on 64, 512, 22 on 2048
    assert budget.enough(results, QUICK)
    budget.budget(results, QUICK, tmp_path)
    rows = table(tmp_path, "budget")
    assert column(rows, "images").tolist() == [64, 512, 2048]
    assert column(rows, "surface") == pytest.approx(column(rows, "mean"))
    assert "interpolated" in (tmp_path / "budget.txt").read_text()


@pytest.mark.slow  # 1 to 2 s
def test_types_are_counted_in_fits_of_one_population_each(tmp_path):
    made = Made(tmp_path, maps=4, types={"a": 2, "b": 4})
    assert not samples.type_lines(made.results())
    made.add("one", 0.3, neurons=1)  # one type, as it is one neuron
    made.regions()
    results = made.results()
    samples.type_count(results, QUICK, tmp_path)
    rows = table(tmp_path, "type_count")
    assert {(row["model"], row["types"]) for row in rows} == {
        (kind, types) for kind in ("factorised, 1 layer", "fixed, 1 layer") for types in ("2", "4")
    }
    own = [row["fev"] for row in results.metrics["table"] if row["model"] == "fixed_b"]
    assert column(rows, "mean", model="fixed, 1 layer", types="4") == pytest.approx(np.mean(own), rel=1e-5)


def test_kernels_are_paired_with_the_true_ones_whatever_their_order_and_sign(made):
    results = made.results()
    truth = kernels.true_kernels(results)
    found = kernels.learned(results, "main", truth)
    assert [one.match for one in found] == [0, 1] * FOLDS * SEEDS  # stored the other way round, at random signs
    for one in found:
        assert np.vdot(one.values[0], truth[one.match]) > 0.9  # noise of 0.04 per pixel on unit norm
        assert one.r > 0.9


def test_kernels_of_colour_have_their_largest_value_positive(tmp_path):
    results = Made(tmp_path, features=3).results()
    for one in kernels.learned(results, "main", kernels.true_kernels(results)):
        assert one.match is None
        assert one.values.ravel()[np.abs(one.values).argmax()] > 0


def test_examples_are_spread_over_the_ranking_and_never_without_a_score(made):
    results = made.results()
    score = shown.by_neuron(results, "main", "fev")
    found = shown.examples(results, QUICK, 5)
    assert found[0] == np.nanargmax(score)
    assert found[-1] == np.nanargmin(score)
    assert (np.diff(score[found]) < 0).all()
    where = made.attribution()["/where"]
    where["row"].values[0, 1, found[0]] = np.nan  # the best fit of the first fold lacks it
    assert shown.examples(made.results(**{"/where": where}), QUICK, 5)[0] != found[0]
    every = shown.examples(results, QUICK, 99)
    assert len(every) == 22
    assert not set(every.tolist()) & {SILENT, UNSEEN}


def test_masks_name_their_neurons_with_peaks_in_pixels_of_the_image(made, tmp_path):
    results = made.results()
    masks.masks(results, QUICK, tmp_path)
    rows = table(tmp_path, "masks")
    where = results.attribution["where"].to_dataset()
    for row in rows:
        neuron = made.names.index(row["neuron"])
        mask = where["mask"].values[0, neuron]
        peak = np.unravel_index(mask.argmax(), mask.shape)
        assert (float(row["row_px"]), float(row["column_px"])) == (peak[0] + OFFSET, peak[1] + OFFSET)
        assert float(row["true_row_px"]) == made.place[neuron, 0]


def test_locations_show_errors_of_all_models_and_the_share_that_the_table_gives(made, tmp_path):
    results = made.results()
    masks.locations(results, QUICK, tmp_path)
    rows = [row for row in table(tmp_path, "locations") if row["panel"] == "error"]
    assert [row["name"] for row in rows] == ["main", "fixed", "ridge", "permuted"]  # dense readouts have no place
    errors = results.predictions["scores"]["location_error"].sel(model="fixed").values
    (found,) = [row for row in rows if row["name"] == "fixed"]
    assert float(found["middle"]) == np.nanmedian(errors)
    assert "Null (untrained): median distance 6 px" in (tmp_path / "locations.txt").read_text()
    own = [row["located"] for row in results.metrics["table"] if row["model"] == "fixed"]
    assert float(found["within_1_px"]) == pytest.approx(np.mean(own), rel=1e-5)


@pytest.mark.slow  # 1 to 2 s
def test_bar_codes_are_sorted_by_cluster_without_neurons_that_have_none(made, tmp_path):
    results = made.results()
    bar_codes.bar_codes(results, QUICK, tmp_path)
    rows = table(tmp_path, "bar_codes")
    assert len(rows) == 22
    clusters = [int(row["cluster"]) for row in rows]
    assert clusters == sorted(clusters)
    weights = results.attribution["what"]["weight"].values[0, 1]  # seed 1 is the best of the first fold
    first = made.names.index(rows[0]["neuron"])
    assert [float(rows[0][f"weight_{k}"]) for k in range(2)] == pytest.approx(weights[first], rel=1e-5)
    assert "0.93" in (tmp_path / "bar_codes.txt").read_text()


def test_fields_know_their_likeness_to_the_truth(made, tmp_path):
    fields.fields(made.results(), QUICK, tmp_path)
    rows = table(tmp_path, "fields")
    assert len(rows) == 5 * 3
    assert column(rows, "cosine_truth", field="truth") == pytest.approx(1, abs=1e-5)
    assert (column(rows, "cosine_truth", field="gradient") > column(rows, "cosine_truth", field="average")).all()


def test_ceiling_lists_silent_neurons(made, tmp_path):
    ceiling.ceiling(made.results(), QUICK, tmp_path)
    text = (tmp_path / "ceiling.txt").read_text()
    assert f"left out: {made.names[SILENT]}." in text
    assert "n = 22 neurons" in text


def test_predictions_are_those_of_known_images_in_rising_order(made, tmp_path):
    results = made.results()
    predictions.predictions(results, QUICK, tmp_path)
    rows = table(tmp_path, "predictions")
    neuron = made.names.index(rows[0]["neuron"])
    group = results.predictions["test"].to_dataset()
    own = np.sort(group["prediction"].values[0, 0, 0, :55, neuron])  # the last five images are padding
    assert column(rows, "predicted", neuron=rows[0]["neuron"]) == pytest.approx(own, rel=1e-5)


@pytest.mark.slow  # 1 to 2 s
def test_training_marks_the_chosen_candidate(made, tmp_path):
    training.training(made.results(), QUICK, tmp_path)
    rows = table(tmp_path, "training")
    assert len(rows) == FOLDS * SEEDS * 2 * 30
    assert {(float(row["candidate"]), row["chosen"]) for row in rows} == {(0.0, "False"), (1.0, "True")}
    assert "mask_l1 0.03" in (tmp_path / "training.svg").read_text()


def test_a_regression_has_no_curves_of_training(made):
    results = made.results(**dict.fromkeys(made.attribution()))
    assert training.training not in figures(results, Settings(model="ridge"))


@pytest.mark.parametrize(("model", "problem"), [("mian", "one of the fitted models main"), ("dense", "was attributed")])
def test_a_model_that_is_not_there_is_refused(made, tmp_path, model, problem):
    results = made.results()
    results.attribution.attrs["model"] = "main"
    with pytest.raises(DataError, match=problem):
        draw(results, Settings(model=model), tmp_path)


def test_small_images_keep_sign_place_and_colour():
    figure, (axis,) = panels.grid(1)
    values = np.zeros((4, 6))
    values[1, 5] = -2
    image = panels.picture(axis, values, offset=(3, 1))
    assert image.get_extent() == [0.5, 6.5, 6.5, 2.5]  # columns 1 to 6, rows 3 to 6, downwards
    assert image.get_clim() == (-2, 2)
    planes = np.zeros((3, 4, 6))
    planes[0, 2, 3], planes[2, 0, 0] = 1, -1
    shown_ = np.asarray(panels.picture(axis, planes).get_array())
    assert shown_[2, 3] == pytest.approx([1, 0.5, 0.5])
    assert shown_[0, 0] == pytest.approx([0.5, 0.5, 0])
    assert panels.plane_of(planes[:2]).tolist() == planes[0].tolist()
    panels.style.plt.close(figure)


def test_an_all_zero_image_is_drawn_white():
    figure, (axis,) = panels.grid(1)
    assert panels.picture(axis, np.zeros((3, 5))).get_clim() == (-1, 1)
    assert panels.picture(axis, np.full((1, 3, 5), np.nan)).get_clim() == (-1, 1)
    panels.style.plt.close(figure)


def test_a_place_of_the_best_seed_is_found_by_its_number(made):
    where = made.attribution()["/where"]
    results = made.results(**{"/where": where.assign_coords(seed=[4, 2, 1])})
    assert shown.best(results, QUICK) == [2, 1]
