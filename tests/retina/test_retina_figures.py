"""Figures of retina: what is drawn, what is left out, and that the numbers behind are those put in."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from retina_attribution import channels as made_channels
from retina_results import MODELS, Made
from scipy import stats

import figure_files
from figure_files import column, table
from pellucid import store
from pellucid.errors import DataError
from pellucid.systems.retina.figures import (
    agreement,
    channels,
    circuits,
    completeness,
    distribution,
    filters,
    interneurons,
    lags,
    measured,
    performance,
    phenomenon,
    phenomenon_caption,
    recovery,
    responses,
    shown,
    summary,
    traces,
    training,
)
from pellucid.systems.retina.figures.draw import draw, figures
from pellucid.systems.retina.figures.settings import Settings

QUICK = Settings(dpi=50)
SCORES = ["performance", "traces", "training"]
PHENOMENA = ["phenomenon_omitted", "phenomenon_latency", "phenomenon_anticipation"]
SIMULATED = ["phenomenon_probe_dark_step", "phenomenon_test_movie", "recovery"]
CHECKS = ["summary", "circuits", "interneurons", "distribution", "completeness"]
DIGITS = 1e-5
"""CSV files hold six significant digits."""


def drawn(results, folder, settings=QUICK):
    return figure_files.drawn(draw, results, folder, settings)


def names(results, settings=QUICK):
    """The names of the figures that would be drawn."""
    return [one.__name__ for one in figures(results, settings)]


@pytest.fixture
def made(tmp_path):
    """Four cells, one seed, eight channels; movie and kernels are not square."""
    return Made(tmp_path, shape=(14, 18))


@pytest.fixture
def seeds(tmp_path):
    """Three cells and three seeds."""
    return Made(tmp_path, cells=3, seeds=3, shape=(9, 7))


@pytest.mark.slow  # draws every figure
def test_every_figure_has_its_four_files_from_stored_results(seeds, tmp_path):
    results = seeds.results()
    for name in ("attribution", "predictions"):
        store.write(tmp_path / f"{name}.zarr", getattr(results, name))
        results = replace(results, **{name: store.open_store(tmp_path / f"{name}.zarr")})
    store.write_json(tmp_path / "metrics.json", results.metrics)
    results = replace(results, metrics=store.read_json(tmp_path / "metrics.json"))
    found = drawn(results, tmp_path / "figures")
    assert found == {*SCORES, "filters", "fields", *PHENOMENA, *SIMULATED, *CHECKS, "agreement", "lags"}
    for name in found:
        text = (tmp_path / "figures" / f"{name}.txt").read_text()
        assert "null" in text.lower(), name


@pytest.mark.slow  # draws every figure
def test_full_field_without_repeats_or_truth_is_drawn(tmp_path):
    made = Made(tmp_path, cells=2, shape=(1, 1), history=30, repeats=0, truth=False, interneurons=0, outside=())
    found = drawn(made.results(), tmp_path / "figures")
    assert found == {*SCORES, "filters", "fields", *PHENOMENA, *CHECKS} - {"interneurons"}
    assert "nothing is claimed" in (tmp_path / "figures" / "filters.txt").read_text()
    assert "single response" in (tmp_path / "figures" / "traces.txt").read_text()


def test_what_is_missing_is_left_out(made):
    without = dict.fromkeys(["/channels", "/fields", "/summary", "/agreement", "/recovery", "/interneurons/bipolars"])
    phenomena = {
        f"/phenomena/{name}": None for name in ("omitted", "latency", "anticipation", "probe_dark_step", "test_movie")
    }
    assert names(made.results(**without, **phenomena)) == SCORES
    assert "agreement" not in names(made.results())  # one seed has no pair
    predictions = xr.DataTree()
    assert names(replace(made.results(**without, **phenomena), predictions=predictions)) == ["performance", "training"]


def test_a_phenomenon_without_contributions_has_no_figure_but_is_checked(made):
    results = made.results()
    group = results.attribution["phenomena/omitted"].to_dataset().drop_vars("contribution")
    found = names(made.results(**{"/phenomena/omitted": group}))
    assert "phenomenon_omitted" not in found
    assert {"phenomenon_latency", "distribution", "circuits"} <= set(found)


def test_a_model_that_was_not_fitted_or_not_attributed_is_refused(made, tmp_path):
    for model in ("nain", "white"):
        with pytest.raises(DataError, match=model):
            draw(made.results(), QUICK.model_copy(update={"model": model}), tmp_path)


@pytest.mark.slow  # draws four figures
def test_a_second_drawing_is_the_same_to_the_byte(made, tmp_path):
    results = made.results()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        phenomenon.phenomenon(results, QUICK, tmp_path / name, "omitted")
        performance.performance(results, QUICK, tmp_path / name)
    paths = sorted((tmp_path / "first").iterdir())
    assert len(paths) == 8
    for path in paths:
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_performance_shows_every_fit_with_its_interval_and_every_cell(seeds, tmp_path):
    results = seeds.results()
    performance.performance(results, QUICK, tmp_path)
    rows = table(tmp_path, "performance")
    own = [row for row in results.metrics["table"] if (row["model"], row["recording"]) == ("main", "mixed")]
    found = [row for row in rows if (row["model"], row["stimulus"], row["score"], row["entry"])
             == ("main", "mixed", "r", "fit")]  # fmt: skip
    assert len(found) == 3
    for a, b in zip(found, own):
        values = [float(a[key]) for key in ("value", "low", "high")]
        assert values == pytest.approx([b["r"], b["r_low"], b["r_high"]], rel=DIGITS)
    cells = column(rows, "value", model="main", stimulus="mixed", score="r", entry="cell")
    each = [row["r"] for row in results.metrics["cells"] if (row["model"], row["recording"]) == ("main", "mixed")]
    assert cells == pytest.approx(np.reshape(each, (3, 3)).mean(0), rel=DIGITS)
    text = (tmp_path / "performance.txt").read_text()
    assert "shifted (grey) was fitted to responses shifted in time" in text
    assert "r of main minus that of ln 0.45 (0.40 to 0.50, recording mixed)" in text


def test_traces_are_of_the_best_the_median_and_the_worst_cell(made):
    test = traces.load(made.results(), QUICK)
    assert test.recording == "mixed"  # the one that main was fitted to
    assert list(test.rates) == ["main", "white", "ln"]  # no null
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(test.rates["main"].T, test.response.T)]
    assert traces.correlations(test.rates["main"], test.response) == pytest.approx(r)
    cells = traces.ranked(test, "main")
    order = np.argsort(r)[::-1]
    assert list(cells.values()) == [order[0], order[2], order[3]]


def test_the_band_is_the_interval_of_the_mean_over_repeats(made):
    results = made.results()
    test = traces.load(results, QUICK)
    repeats = results.features.stores["mixed"]["repeats"]
    first = int(np.flatnonzero(repeats["frame"].values == test.frame[0])[0])
    own = repeats["response"].values[:, first:, 2]
    low, high = stats.t.interval(0.95, len(own) - 1, own.mean(0), np.maximum(stats.sem(own), 1e-12))
    assert test.response[:, 2] == pytest.approx((low + high) / 2, abs=1e-4)  # stored as float32
    assert test.half[:, 2] == pytest.approx((high - low) / 2, abs=1e-4)


def test_the_stretch_is_of_consecutive_frames_and_typical(made):
    test = traces.load(made.results(), QUICK)
    frame = test.frame.copy()
    frame[90:] += 7  # a border of blocks
    start, stop = traces.stretch(replace(test, frame=frame), Settings(seconds=0.8), [0, 1])
    assert stop - start == 80
    assert frame[stop - 1] - frame[start] == 79


def test_kernels_are_in_the_order_of_strength_and_peaks_are_marked(made, tmp_path):
    filters.filters(made.results(), QUICK.model_copy(update={"filters": 5}), tmp_path)
    rows = table(tmp_path, "filters")
    chosen = list(dict.fromkeys(int(row["channel"]) for row in rows))
    strength = np.abs([made.kind(0, c)[2] for c in range(8)])
    assert chosen == np.argsort(-strength, kind="stable")[:5].tolist()
    for channel in chosen:
        own = [row for row in rows if int(row["channel"]) == channel]
        largest = max(own, key=lambda row: abs(float(row["spatial_sum"])))
        assert float(own[0]["peak_ms"]) == -float(largest["lag_ms"])
        assert own[0]["label"] == made.label(0, channel)


@pytest.mark.slow  # 1 to 2 s
def test_contributions_and_the_rate_at_grey_add_up_to_the_full_rate(made, tmp_path):
    phenomenon.phenomenon(made.results(), QUICK, tmp_path, "latency")
    rows = [row for row in table(tmp_path, "phenomenon_latency") if row["entry"] == "curve"]
    parts = [key for key in rows[0] if key.startswith("channel_") or key == "other_channels"]
    assert len(parts) == 1 + QUICK.channels
    total = sum(column(rows, key) for key in parts)
    full = column(rows, "full")
    zero = full[np.abs(column(rows, "stimulus")) == 0][0]
    # residuals were made 4e-4 of the change, and the rate at grey is the one before the step
    assert total + zero == pytest.approx(full, abs=5e-3 * np.ptp(full))
    kept = [column(rows, f"reduced_{size}") - zero for size in (1, 2, 3)]
    order = [f"channel_{c}" for c in made_order(made, "latency")]
    for size, own in zip((1, 2, 3), kept):
        assert own == pytest.approx(sum(column(rows, key) for key in order[:size]), abs=1e-4)  # float32


def made_order(made, name):
    """The most important channels of the first seed."""
    return made.results().attribution[f"phenomena/{name}"]["order"].values[0][:5]


def test_conditions_without_a_stimulus_are_left_out_and_a_control_is_kept(made):
    results = made.results()
    latency = shown.group(results, "phenomena/latency")
    assert not latency["stimulus"].values[0].any()
    some = responses.chosen(latency, 4)
    assert len(some) == 4
    assert 0 not in some
    assert some[-1] == latency.sizes["trial"] - 1
    moving = shown.group(results, "phenomena/anticipation")
    assert responses.chosen(moving, 3)[:2] == [0, 1]
    assert len(responses.chosen(moving, 3)) == 3
    assert responses.load(results, QUICK, "anticipation").control == [False, False, True, True]


def test_one_cell_is_shown_where_a_stimulus_passes_cells_and_the_mean_elsewhere(made):
    results = made.results()
    rate = results.attribution["phenomena/anticipation"]["rate"].values[0, :2]
    found = responses.load(results, QUICK, "anticipation")
    assert found.cell == made.names[int(np.ptp(rate, axis=1).max(0).argmax())]
    whole = responses.load(results, QUICK, "omitted")
    assert whole.cell == ""
    own = results.attribution["phenomena/omitted"]["rate"].values[0]
    assert whole.full[-1] == pytest.approx(own[-1].mean(-1), rel=1e-5)  # float32
    one = responses.load(results, QUICK.model_copy(update={"cell": "cell02"}), "omitted")
    assert one.full[-1] == pytest.approx(own[-1, :, 2], rel=1e-6)


def test_models_outside_their_training_range_are_named(made, tmp_path):
    for results, said in (
        (made.results(), "Warning: the stimulus is outside the training range of white (45 % of the rows)"),
        (Made(tmp_path, outside=()).results(), "within the training range of main, white and ln"),
    ):
        group, own = shown.group(results, "phenomena/omitted"), responses.load(results, QUICK, "omitted")
        assert said in phenomenon_caption.caption(results, QUICK, own, group, [])


def test_measures_are_the_first_of_the_kind_with_a_value_for_each_condition(seeds):
    group = shown.group(seeds.results(), "phenomena/omitted")
    found = measured.measures(group, ["main", "reduced_1", "ln", "teacher"], 3)
    assert [one.name for one in found] == ["latency", "latency_slope", "ratio"]
    assert found[0].at.tolist() == [6, 8, 10, 12, 20]
    assert found[0].values["main"].shape == (3, 5)
    assert found[0].seeds["ln"] == [0]
    rows = [row for row in responses.rows(group, "measures") if row["neuron"] == "mean"]
    (one,) = [r["value"] for r in rows if (r["model"], r["name"], r["at"], r["seed"]) == ("main", "latency", 12, 2)]
    assert found[0].values["main"][2, 3] == one
    assert len(found[1].at) == 0


def test_shares_of_labels_are_sums_over_their_channels(seeds):
    results = seeds.results()
    known = channels.load(results)
    group = shown.group(results, "summary")
    labels, share, signed = summary.by_label(group["share"].values, group["signed"].values, known)
    assert share.sum(1) == pytest.approx(np.ones(5))
    assert (np.abs(signed) <= share + 1e-9).all()
    own = [group["share"].values[s, 1, c] for s in range(3) for c in range(8) if seeds.label(s, c) == labels[0]]
    assert share[1, 0] == pytest.approx(np.sum(own) / 3)


def test_circuits_are_counted_in_channels_and_in_labels(seeds, tmp_path):
    results = seeds.results()
    circuits.circuits(results, QUICK, tmp_path)
    rows = table(tmp_path, "circuits")
    least = [row for row in rows if (row["panel"], row["phenomenon"]) == ("smallest", "omitted")]
    assert len(least) == (3 + 1) * 2  # seeds and the teacher, by channel and by label; by truncation only
    by_channel = [int(row["size"]) for row in least if (row["model"], row["by"]) == ("main", "channel")]
    assert by_channel == [2, 3, 2]
    for row in least:
        if row["by"] == "label":
            assert int(row["size"]) == len(set(row["labels"].split(", ")))
    known = responses.rows(shown.group(results, "phenomena/omitted"), "circuit")
    own = column(rows, "explained_lesion", panel="explained", phenomenon="omitted")
    assert own == pytest.approx([row["explained_lesion"] for row in known], rel=DIGITS)


def test_a_phenomenon_without_a_response_has_no_circuits(made):
    group = made.results().attribution["phenomena/omitted"].to_dataset()
    group = group.assign_attrs(circuit="[]", silent=[0])
    results = made.results(**{"/phenomena/omitted": group})
    assert "omitted" not in circuits.known(results)
    assert len(completeness.largest(results, "omitted")[1]) == 0
    own = responses.load(results, QUICK, "omitted")
    assert "1 of 1 seed without a response" in phenomenon_caption.caption(results, QUICK, own, group, [])


def test_channels_of_a_silent_seed_are_ranked_by_what_is_drawn(made):
    group = made.results().attribution["phenomena/omitted"].to_dataset()
    wrong = group["order"].values[:, ::-1].copy()
    silent = group.assign_attrs(silent=[0]).assign(order=(("seed", "feature"), wrong, {"units": "1"}))
    own = responses.load(made.results(**{"/phenomena/omitted": silent}), QUICK, "omitted")
    size = np.abs(own.contribution).mean((0, 1))
    assert (np.diff(size) <= 0).all()
    assert own.kept[0] != wrong[0, 0]


def test_models_are_the_shown_one_baselines_others_and_nulls(made):
    results = made.results()
    assert shown.ordered(results, QUICK) == ["main", "white", "ln", "shifted"]
    assert shown.ordered(results, QUICK.model_copy(update={"model": "ln"}))[0] == "ln"
    later = replace(results, fits=results.fits[::-1])
    assert shown.ordered(later, QUICK) == ["main", "ln", "white", "shifted"]


def test_recovery_counts_the_circuits_that_are_the_teachers(seeds, tmp_path):
    recovery.recovery(seeds.results(), QUICK, tmp_path)
    rows = table(tmp_path, "recovery")
    assert column(rows, "value", score="share", phenomenon="probe_dark_step") == pytest.approx([0.9, 0.88, 0.86])
    assert column(rows, "value", score="same", phenomenon="latency").tolist() == [1, 1, 0]
    text = (tmp_path / "recovery.txt").read_text()
    assert "10 of 15 over all phenomena" in text
    assert "0.90, the teacher's 1.00" in text


def test_frames_are_averaged_over_seeds_and_cells(seeds, tmp_path):
    results = seeds.results()
    lags.lags(results, QUICK, tmp_path)
    rows = table(tmp_path, "lags")
    values = results.attribution["phenomena/test_movie"]["lag_contribution"].transpose("seed", "neuron", "lag").values
    assert column(rows, "contribution", neuron="mean") == pytest.approx(values.mean((0, 1)), rel=DIGITS)
    assert column(rows, "contribution", neuron="cell01") == pytest.approx(values[:, 1].mean(0), rel=DIGITS)


def test_phenomena_are_in_the_order_of_the_summary(made):
    results = made.results()
    order = ["test_movie", "latency", "omitted"]
    group = results.attribution["summary"].to_dataset().sel(trial=order)
    found = shown.phenomena(made.results(**{"/summary": group}))
    assert found == [*order, "anticipation", "probe_dark_step"]


def test_warnings_of_the_attribution_are_in_the_captions(made, tmp_path):
    results = made.results()
    results.attribution.attrs["warning"] = "main does not predict cell03"
    filters.filters(results, QUICK, tmp_path)
    assert "Warning: main does not predict cell03." in (tmp_path / "filters.txt").read_text()


def test_agreement_has_all_pairs_of_seeds(seeds, tmp_path):
    agreement.agreement(seeds.results(), QUICK, tmp_path)
    rows = table(tmp_path, "agreement")
    assert len(column(rows, "value", panel="circuit")) == 3 * 5
    assert len(column(rows, "value", panel="course")) == 3 * 5 * 4
    assert "Agreement of 3 seeds of model main (3 pairs)" in (tmp_path / "agreement.txt").read_text()


def test_interneurons_are_scored_against_the_shifted_null(seeds, tmp_path):
    seeds.interneurons = 9
    results = seeds.results()
    found = interneurons.load(results)
    group = results.attribution["interneurons/bipolars"]
    for cell, one in enumerate(found):
        feature = int(group["best_feature"].values[0, cell])
        assert one.label == seeds.label(0, feature)
        assert one.map == pytest.approx(group["correlation"].values[0, cell, feature])
    interneurons.interneurons(results, QUICK.model_copy(update={"interneurons": 3}), tmp_path)
    rows = table(tmp_path, "interneurons")
    assert len(rows) == 9
    null = np.quantile(group["null_shift"].values[0], 0.99, axis=-1)
    assert column(rows, "shifted_99") == pytest.approx(null, rel=DIGITS)
    passed = int((group["r"].values[0] > null).sum())
    assert f"{passed} of 9 exceed" in (tmp_path / "interneurons.txt").read_text()


def test_distribution_flags_what_any_seed_flags(tmp_path):
    results = Made(tmp_path, seeds=2, outside=("ln",)).results()
    distribution.distribution(results, QUICK, tmp_path)
    rows = table(tmp_path, "distribution")
    assert len(rows) == 5 * 3 * 2
    assert {row["model"] for row in rows if row["outside"] == "True"} == {"ln"}
    assert (
        "ln (omitted, latency, anticipation, probe dark step and test movie)"
        in (tmp_path / "distribution.txt").read_text()
    )


def test_residuals_are_shares_of_the_largest_change_of_each_seed(seeds, tmp_path):
    results = seeds.results()
    group = results.attribution["phenomena/latency"]
    whole, own = completeness.largest(results, "latency")
    for seed in range(3):
        change = np.abs(group["rate"].values[seed] - group["zero"].values[seed])
        assert own[seed] == pytest.approx(np.abs(group["residual"].values[seed]).max() / change.max(), rel=1e-5)
    assert whole == group.attrs["completeness"]
    completeness.completeness(results, QUICK, tmp_path)
    rows = table(tmp_path, "completeness")
    assert column(rows, "residual", phenomenon="latency", seed="1") == pytest.approx(own[1:2], rel=DIGITS)
    above = max(group.attrs["completeness"] for group in phenomena(results)) > 1e-3
    assert ("Above it" in (tmp_path / "completeness.txt").read_text()) == above


def phenomena(results):
    """The groups of all phenomena."""
    return [shown.group(results, f"phenomena/{name}") for name in responses.names(results)]


def test_training_is_left_out_for_models_without_epochs(made):
    assert not training.possible(made.results(), QUICK.model_copy(update={"model": "ln"}))
    assert training.possible(made.results(), QUICK)


def test_labels_have_their_colours_for_every_seed(seeds):
    group = made_channels(seeds)
    found = channels.load(seeds.results())
    assert found.labels == [[seeds.label(s, c) for c in range(8)] for s in range(3)]
    assert set(channels.LOOKS) == {label for own in found.labels for label in own}
    assert found.peak_ms == pytest.approx(group["peak_ms"].values[0])
    assert len({channels.look(label) for label in channels.LOOKS}) == 4


def test_colours_of_models_are_unique_and_fixed(made):
    colours = shown.colours(made.results(), QUICK)
    assert list(colours) == [model for model in MODELS if model != "main"]
    assert len(set(colours.values())) == 3
