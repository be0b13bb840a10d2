"""Features of retinal recordings: lags, windows, blocks, repeats, frames with spikes, folds and statistics."""

import numpy as np
import pytest
import retina_data as data
from pydantic import ValidationError

from pellucid import store
from pellucid.artifacts import row_indices
from pellucid.errors import DataError, MissingError
from pellucid.preprocess import streams
from pellucid.systems.retina.features.extract import extract
from pellucid.systems.retina.features.settings import Settings

PARTS = ("train", "validation", "test")
FLICKER = {"response": "spikes", "frozen": {"start": 40, "frames": 60, "period": 160}}


def extracted(path, tree, **given):
    extract(tree, data.settings(**given), path)
    return store.open_store(path)


def rows(fold, name):
    return {part: row_indices(fold.rows(part)[name]) for part in PARTS}


def changed(tree, path, values=None, **attrs):
    """The tree with other values, or other attributes, of the variable at /group/name."""
    group, name = path.strip("/").split("/")
    dataset = tree[group].to_dataset()
    old = dataset[name]
    dataset[name] = (old.dims, old.values if values is None else values, {**old.attrs, **attrs})
    out = tree.copy()
    out[group].dataset = dataset
    return out


def delayed(delay, frames=2000, blocks=4, test_frames=400):
    """A recording whose two cells answer with their pixel's value `delay` frames before, 255 where there is none."""
    tree = data.recording(3, frames, test_frames=test_frames, cells=2, blocks=blocks, repeats=0)
    movie, block = tree["stimulus"]["movie"].values, tree["stimulus"]["block"].values
    where = data.places(2)
    response = np.full((len(movie), 2), 255.0, np.float32)
    same = block[delay:] == block[: len(block) - delay]
    response[delay:][same] = movie[: len(movie) - delay, where[:, 0], where[:, 1]][same]
    return changed(tree, "/responses/counts", response), where


@pytest.mark.parametrize("delay", [0, 1, 4, 9])
def test_a_planted_delay_is_found_by_reverse_correlation(tmp_path, delay):
    tree, _ = delayed(delay)
    found = extracted(tmp_path / "f.zarr", tree)["responses"]
    assert found["sta_lag"].values.tolist() == [delay, delay]
    assert (found["sta_z"].values > 25).all()  # r is nearly 1 over some 1950 rows


def test_a_response_before_its_frame_has_a_negative_lag(tmp_path):
    tree, where = delayed(0)
    movie = tree["stimulus"]["movie"].values
    early = np.roll(movie[:, where[:, 0], where[:, 1]], -3, axis=0).astype(np.float32)
    found = extracted(tmp_path / "f.zarr", changed(tree, "/responses/counts", early))["responses"]
    assert found["sta_lag"].values.tolist() == [-3, -3]


@pytest.mark.parametrize("delay", [1, 7])
def test_window_arithmetic_finds_a_planted_delay_in_every_row_of_every_part(tmp_path, delay):
    """Row t sees frames t - lag - history + 1 ... t - lag; none of them lies beyond the border of a block."""
    tree, where = delayed(delay)
    features = data.features(tmp_path, {"one": tree}, split={"validation": 0.2, "pieces": 3})
    movie, response = features.group("one", "stimulus")["movie"].values, features.group("one", "responses")["response"]
    used = np.concatenate(list(rows(features.folds[0], "one").values()))
    windows = np.arange(-data.LAG - data.HISTORY + 1, -data.LAG + 1) + used[:, None]
    assert (features.group("one", "stimulus")["block"].values[windows] == _blocks(features)[used, None]).all()
    seen = movie[windows][:, :, where[:, 0], where[:, 1]]  # (row, frame of the window, cell), oldest first
    equal = (seen == response.values[used][:, None]).all(axis=(0, 2))
    assert np.flatnonzero(equal).tolist() == [data.HISTORY - 1 - (delay - data.LAG)]


def _blocks(features):
    return features.group("one", "stimulus")["block"].values


@pytest.mark.parametrize("given", [{}, {"blocks": 5}, {"skip_frames": 30}, {"split": {"pieces": 4, "validation": 0.3}}])
def test_parts_see_no_frame_of_each_other_within_a_block(tmp_path, given):
    """Brute force over pairs of rows: |a - b| > history_frames where two parts share a block."""
    features = data.features(tmp_path, {"one": data.recording(1, 1200, test_frames=150)}, **given)
    gap, block = data.HISTORY + data.LAG, _blocks(features)
    mark = features.group("one", "stimulus")["test"].values
    found = rows(features.folds[0], "one")
    pairs = [(found["train"], found["validation"]), (found["train"], np.flatnonzero(mark))]
    pairs.append((found["validation"], np.flatnonzero(mark)))
    for one, other in pairs:
        near = np.abs(one[:, None] - other) <= gap
        assert not (near & (block[one][:, None] == block[other])).any()
    begins = np.flatnonzero(np.diff(block, prepend=-1))
    for part in PARTS:
        assert not np.isin(found[part], begins[:, None] + np.arange(gap)).any()
    assert set(mark[found["train"]]) | set(mark[found["validation"]]) == {0}
    assert set(mark[found["test"]]) == {1}
    left = (mark == 0) & ~np.isin(np.arange(len(mark)), np.concatenate(list(found.values())))
    assert left.sum() < 0.35 * len(mark)  # nothing but gaps is lost


def test_folds_move_the_validation_rows_and_keep_the_test(tmp_path):
    split = {"folds": 3, "validation": 0.25}
    features = data.features(tmp_path, {"one": data.recording(1, 1600, blocks=1)}, split=split)
    found = [rows(fold, "one") for fold in features.folds]
    starts = [int(one["validation"][0]) for one in found]
    assert starts == sorted(starts, reverse=True)
    assert found[0]["validation"][-1] == 1599
    assert starts[-1] == data.HISTORY + data.LAG
    for one in found:
        assert len(one["validation"]) == round(0.25 * (1600 - data.HISTORY - data.LAG))
        assert np.array_equal(one["test"], found[0]["test"])
    assert not np.intersect1d(found[0]["validation"], found[2]["validation"]).size


def test_blocks_and_skipped_frames_are_those_published(tmp_path):
    tree = data.recording(2, 1200, test_frames=150, blocks=1)
    group = extracted(tmp_path / "f.zarr", tree, blocks=6, skip_frames=60)["stimulus"]
    assert np.array_equal(group["block"].values, np.append(np.arange(1200) // 200, np.full(150, 6)))
    skipped = np.arange(1200) % 200 < 60
    assert np.array_equal(group["test"].values, np.append(np.where(skipped, 2, 0), np.ones(150)))


def test_integers_stay_integers_and_floats_become_float32(tmp_path):
    tree = data.recording(2, 400, test_frames=60, size=(6, 9))
    movie = extracted(tmp_path / "a.zarr", tree)["stimulus"]["movie"]
    assert movie.dtype == np.uint8
    assert movie.attrs["units"] == "grey level"
    assert np.array_equal(movie.values, tree["stimulus"]["movie"].values)
    real = changed(tree, "/stimulus/movie", tree["stimulus"]["movie"].values / 3)
    again = extracted(tmp_path / "b.zarr", real)["stimulus"]["movie"]
    assert again.dtype == np.float32
    np.testing.assert_allclose(again.values, tree["stimulus"]["movie"].values / 3, rtol=1e-6)


def test_the_same_bytes_whatever_the_length_of_blocks_in_memory(tmp_path, monkeypatch):
    tree = data.recording(2, 400, test_frames=60)
    extract(tree, data.settings(), tmp_path / "a.zarr")
    monkeypatch.setattr(streams, "BLOCK_BYTES", 4 * 120 * 7)  # blocks of 7 frames
    extract(tree, data.settings(), tmp_path / "b.zarr")
    assert store.digest(tmp_path / "a.zarr") == store.digest(tmp_path / "b.zarr")


@pytest.mark.parametrize("response", ["counts", "rate"])
def test_repeats_are_those_of_the_test_rows(tmp_path, response):
    tree = data.recording(4, 500, test_frames=80, repeats=6, response=response)
    found = extracted(tmp_path / "f.zarr", tree, response=response)
    repeats = found["repeats"]
    assert repeats["frame"].values.tolist() == list(range(500, 580))
    assert repeats["response"].shape == (6, 80, data.CELLS)
    mean = repeats["response"].values.mean(axis=0)
    np.testing.assert_allclose(mean, found["responses"]["response"].values[500:], rtol=1e-5, atol=1e-6)
    assert found["responses"].attrs["units"] == repeats.attrs["units"] == {"rate": "Hz"}.get(response, "count")
    assert found.attrs["stimulus"] == "white"
    assert np.array_equal(found["responses"]["row"], data.places()[:, 0])


def test_a_movie_shown_once_has_no_repeats(tmp_path):
    found = extracted(tmp_path / "f.zarr", data.recording(4, 500, test_frames=80, repeats=0))
    assert "repeats" not in found.children


def test_the_last_seconds_test_where_nothing_was_repeated(tmp_path):
    tree = data.recording(4, 900, test_frames=100, repeats=0, blocks=1)
    tree["stimulus"].dataset = tree["stimulus"].to_dataset()[["movie"]]
    features = data.features(tmp_path, {"one": tree}, test_s=2.5)
    found = rows(features.folds[0], "one")
    assert found["test"].tolist() == list(range(750, 1000))
    assert found["validation"][-1] == 750 - data.HISTORY - data.LAG - 1


def test_statistics_are_moments_of_training_rows_of_each_recording(tmp_path):
    trees = {"white": data.recording(5, 900), "mixed": data.recording(6, 700, kind="mixed")}
    features = data.features(tmp_path, trees, split={"folds": 2})
    for name in trees:
        movie = features.group(name, "stimulus")["movie"].values.astype(float)
        response = features.group(name, "responses")["response"].values.astype(float)
        for index, fold in enumerate(features.folds):
            train = rows(fold, name)["train"]
            found = {key: features.statistics[f"{name}/{key}"].values[index] for key in _KEYS}
            assert found["stimulus_mean"] == pytest.approx(movie[train].mean(), rel=1e-12)
            assert found["stimulus_sd"] == pytest.approx(movie[train].std(), rel=1e-12)
            np.testing.assert_allclose(found["response_mean"], response[train].mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(found["response_sd"], response[train].std(axis=0), rtol=1e-12)


_KEYS = ("stimulus_mean", "stimulus_sd", "response_mean", "response_sd")


def test_test_rows_change_no_statistic(tmp_path):
    tree = data.recording(5, 900)
    values = tree["responses"]["counts"].values.copy()
    values[900:] += 100
    one = data.features(tmp_path / "a", {"one": tree})
    other = data.features(tmp_path / "b", {"one": changed(tree, "/responses/counts", values)})
    for name, found in one.statistics.items():
        assert np.array_equal(found.values, other.statistics[name].values)


def test_missing_responses_are_nan_and_rows_without_any_are_in_no_part(tmp_path):
    tree = data.recording(5, 900)
    values = tree["responses"]["counts"].values.copy()
    values[300:340], values[500:520, 1] = np.nan, np.nan
    features = data.features(tmp_path, {"one": changed(tree, "/responses/counts", values)})
    found = rows(features.folds[0], "one")["train"]
    assert not np.isin(found, np.arange(300, 340)).any()
    assert np.isin(np.arange(500, 520), found).all()
    kept = values[found].astype(float)
    np.testing.assert_allclose(features.statistics["one/response_mean"].values[0], np.nanmean(kept, axis=0), rtol=1e-12)


def test_interneurons_have_neither_rows_nor_statistics(tmp_path):
    features = data.two_stimuli(tmp_path)
    assert set(features.folds[0].train) == set(features.folds[0].test) == {"mixed", "white"}
    assert not [name for name in features.statistics if name.startswith("inter")]
    group = features.group("inter", "potential")
    assert group["potential"].shape == (800, 2)
    assert group["potential"].attrs["units"] == "mV"
    assert "responses" not in features.stores["inter"].children
    assert features.stores["inter"].attrs["stimulus"] == "boxes"


def test_experiments_with_other_cells_share_a_dataset(tmp_path):
    trees = {"first": data.recording(1, 900, cells=3), "second": data.recording(2, 900, cells=5, subject="retina2")}
    features = data.features(tmp_path, trees)
    assert features.statistics["first/response_mean"].shape == (1, 3)
    assert features.statistics["second/response_mean"].shape == (1, 5)
    with pytest.raises(DataError, match="the cells of first, of the same subject and session"):
        data.features(tmp_path / "b", {**trees, "second": data.recording(2, 900, cells=5)})


def test_recordings_that_do_not_fit_together_are_refused(tmp_path):
    one = data.recording(1, 900)
    cut = changed(one, "/stimulus/block", one["stimulus"]["test"].values.astype(np.int32))  # otherwise the same
    with pytest.raises(DataError, match=r"movie and responses of recordings\.a"):
        data.features(tmp_path / "a", {"a": one, "b": cut})
    with pytest.raises(DataError, match="8 x 10 px"):
        data.features(tmp_path / "b", {"a": one, "b": data.recording(2, 900, size=(8, 10))})
    with pytest.raises(DataError, match="recordings of ganglion cells"):
        data.features(tmp_path / "c", {"a": data.interneurons()})


def test_spikes_are_counted_in_the_frame_they_fall_into(tmp_path):
    """Against numpy.histogram, whose last bin alone is closed on the right."""
    tree = data.frame_spikes(1)
    found = extracted(tmp_path / "f.zarr", tree, **FLICKER)["responses"]
    onsets = tree["stimulus"]["time"].values
    edges = np.append(onsets, onsets[-1] + np.median(np.diff(onsets)))
    for cell in range(3):
        times = tree["spikes"]["spike_time"].values[tree["spikes"]["spike_unit"].values == cell]
        assert np.array_equal(found["response"].values[:, cell], np.histogram(times, edges)[0])
    assert found.attrs["rate_hz"] == pytest.approx(1 / np.median(np.diff(onsets)))
    assert found["neuron"].values.tolist() == ["C1", "C2", "C3"]


def test_frozen_segments_become_repeats_and_train_nothing(tmp_path):
    tree = data.frame_spikes(2)
    features = data.features(tmp_path, {"one": tree}, **FLICKER)
    group, repeats = features.group("one", "stimulus"), features.group("one", "repeats")
    response = features.group("one", "responses")["response"].values
    begins = np.arange(15) * 160 + 40
    assert repeats["response"].shape == (15, 60, 3)
    for index, begin in enumerate(begins):
        assert np.array_equal(repeats["response"].values[index], response[begin : begin + 60])
    assert repeats["frame"].values.tolist() == list(range(40, 100))
    mark = group["test"].values
    assert np.flatnonzero(mark == 1).tolist() == list(range(40, 100))
    later = np.concatenate([np.arange(begin, begin + 60) for begin in begins[1:]])
    assert np.array_equal(np.flatnonzero(mark == 2), np.append(later, np.arange(15 * 160 + 40, len(mark))))
    found = rows(features.folds[0], "one")
    assert found["test"].tolist() == list(range(40 + data.HISTORY + data.LAG - 1, 100))
    windows = found["train"][:, None] - np.arange(data.LAG + data.HISTORY)
    assert (mark[windows] == 0).all()
    windows = found["test"][:, None] - np.arange(data.LAG, data.LAG + data.HISTORY)
    assert (mark[windows] == 1).all()


def test_a_movie_that_does_not_repeat_is_refused(tmp_path):
    tree = data.frame_spikes(2)
    movie = tree["stimulus"]["movie"].values.copy()
    movie[5 * 160 + 47] += 1e-9
    with pytest.raises(DataError, match=r"frame 847: expected the pixels of frame 47.* in 1 of 60 frames"):
        extracted(tmp_path / "f.zarr", changed(tree, "/stimulus/movie", movie), **FLICKER)
    cut_off = tree["stimulus"]["movie"].values.copy()
    cut_off[15 * 160 + 45] += 1
    with pytest.raises(DataError, match="frame 2445"):
        extracted(tmp_path / "f.zarr", changed(tree, "/stimulus/movie", cut_off), **FLICKER)
    with pytest.raises(DataError, match="two showings or more"):
        extracted(tmp_path / "f.zarr", tree, response="spikes", frozen={"start": 40, "frames": 60, "period": 2400})


def retimed(tree, change):
    """The tree with other onsets of frames: change(onsets, median) edits them in place."""
    dataset = tree["stimulus"].to_dataset()
    onsets = dataset["time"].values.copy()
    change(onsets, float(np.median(np.diff(onsets))))
    tree["stimulus"].dataset = dataset.assign_coords(time=("time", onsets, {"units": "s"}))
    return tree


def test_late_time_stamps_are_put_back_on_schedule(tmp_path):
    def late(onsets, median):
        onsets[501:503] = onsets[503] - [0.1 * median, 0.05 * median]

    plain = extracted(tmp_path / "a.zarr", data.frame_spikes(3), **FLICKER)
    found = extracted(tmp_path / "b.zarr", retimed(data.frame_spikes(3), late), **FLICKER)
    assert found["stimulus"].attrs["late_frames"] == 2
    assert found["stimulus"].attrs["irregular_frames"] == 0
    assert (found["stimulus"]["test"].values == plain["stimulus"]["test"].values).all()
    moved = found["responses"]["response"].values != plain["responses"]["response"].values
    assert set(np.flatnonzero(moved.any(axis=1))) <= {500, 501, 502}  # onsets there differ by the jitter


def test_frames_of_another_length_are_in_no_part(tmp_path):
    def pause(onsets, median):
        onsets[120:] += 0.8 * median  # frame 119 is long
        onsets[1300] -= 0.7 * median  # frame 1299 is short, 1300 long

    tree = retimed(data.frame_spikes(3), pause)
    features = data.features(tmp_path, {"one": tree}, **FLICKER)
    group = features.group("one", "stimulus")
    assert (group.attrs["late_frames"], group.attrs["irregular_frames"]) == (0, 3)
    assert group["test"].values[[119, 1299, 1300]].tolist() == [2, 2, 2]
    train = rows(features.folds[0], "one")["train"]
    assert np.abs(train[:, None] - [119, 1299, 1300]).min() > data.HISTORY + data.LAG


def test_a_showing_with_an_irregular_frame_is_no_repeat(tmp_path):
    def pause(onsets, median):
        onsets[60:] += 0.8 * median

    found = extracted(tmp_path / "f.zarr", retimed(data.frame_spikes(3), pause), **FLICKER)
    assert found["repeats"].sizes["repeat"] == 14
    assert found["repeats"]["frame"].values[0] == 200
    assert set(found["stimulus"]["test"].values[40:100]) == {2}


def test_spikes_outside_the_frames_are_counted_as_such(tmp_path):
    tree = data.frame_spikes(3)
    spikes = tree["spikes"]["spike_time"].values.copy()
    spikes[:5], spikes[-1] = 1.0, 1e6
    found = extracted(tmp_path / "f.zarr", changed(tree, "/spikes/spike_time", spikes), **FLICKER)["responses"]
    assert found.attrs["spikes_outside"] == 6
    assert found["response"].values.sum() == len(spikes) - 6


def refused(tmp_path, tree, message, error=DataError, **given):
    with pytest.raises(error, match=message):
        extract(tree, data.settings(**given), tmp_path / "f.zarr")
    assert not list(tmp_path.iterdir())


def test_movies_and_responses_that_cannot_be_used_are_refused(tmp_path):
    tree = data.recording(1, 300, test_frames=40)
    response = tree["responses"]["counts"].values
    refused(tmp_path, changed(tree, "/responses/counts", -response), "no negative values")
    refused(tmp_path, changed(tree, "/responses/counts", response + np.inf), "finite values, or NaN")
    short = tree.copy()
    short["responses"].dataset = tree["responses"].to_dataset().isel(time=slice(0, -1))
    refused(tmp_path, short, "340 rows, one for each frame")
    slow = tree.copy()
    slow["responses"].dataset = tree["responses"].to_dataset().assign_attrs(rate_hz=50.0)
    refused(tmp_path, slow, "the clock of the movie")
    fewer = tree.copy()
    fewer["trials"].dataset = tree["trials"].to_dataset().isel(time=slice(0, -1))
    refused(tmp_path, fewer, "40 test rows of 4 cells")
    movie = tree["stimulus"]["movie"].values.astype(float)
    movie[200, 1, 1] = np.nan
    refused(tmp_path, changed(tree, "/stimulus/movie", movie), "frame 200")
    refused(tmp_path, tree, "no /responses/rate", MissingError, response="rate")
    refused(tmp_path, tree, "no /spikes", MissingError, response="spikes")
    refused(tmp_path, tree, "without test rows of its own", test_s=1.0)
    refused(tmp_path, tree, "at least 301 training rows", blocks=301)


def test_recordings_without_rows_or_silent_cells_are_refused(tmp_path):
    tree = data.recording(1, 300, test_frames=40)
    with pytest.raises(DataError, match="fold 0, recording one: expected train rows"):
        data.features(tmp_path / "a", {"one": tree}, history_frames=100)
    values = tree["responses"]["counts"].values.copy()
    values[:, 2] = 0
    with pytest.raises(DataError, match="none in cell02"):
        data.features(tmp_path / "b", {"one": changed(tree, "/responses/counts", values)})
    same = np.full(tree["stimulus"]["movie"].shape, 7, np.uint8)
    with pytest.raises(DataError, match="frames that vary"):
        data.features(tmp_path / "c", {"one": changed(tree, "/stimulus/movie", same)})


def test_settings_say_what_cannot_be_meant():
    for wrong in (
        {"frozen": {"start": 0, "frames": 10, "period": 9}},
        {"frozen": {"start": 0, "frames": 10, "period": 20}, "test_s": 1.0},
        {"history_frames": 0},
        {"split": {"validation": 0.0}},
        {"window": 40},
    ):
        with pytest.raises(ValidationError):
            Settings.model_validate(wrong)


def test_what_a_movie_says_of_its_scale_is_kept(tmp_path):
    tree = data.interneurons()
    tree["stimulus"].dataset = tree["stimulus"].to_dataset().assign_attrs(standardised=1)
    assert extracted(tmp_path / "f.zarr", tree)["stimulus"].attrs["standardised"] == 1
