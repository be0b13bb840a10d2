"""Windows, labels and normalisation: counts, views, edges, gaps, nulls."""

import tracemalloc
from dataclasses import replace

import cortex_data
import numpy as np
import pytest
import xarray as xr

from pellucid.artifacts import Features, Fold
from pellucid.errors import DataError
from pellucid.systems.cortex.model import dataset, images, labels, windows
from pellucid.systems.cortex.model.movie import Movie
from pellucid.systems.cortex.model.settings import Settings
from pellucid.systems.cortex.model.windows import Reach, Session, Windows


def plain(rows, rois=2, segment=None, target=None):
    """A session whose sample t of trace r is t + r / 10."""
    signal = (np.arange(rows)[:, None] + np.arange(rois) / 10).astype(np.float32)
    target = np.zeros(rows, np.float32) if target is None else target
    return Session("one", "mouse", 30.0, signal, target, np.zeros(rows, int) if segment is None else segment)


@pytest.mark.parametrize(
    ("window_s", "margin", "count"),
    [(0.5, 0, 17_970), (1 / 6, 1, 17_988), (0.0, 1, 17_998)],  # Ajioka et al. 2024: ROIs, CNN-RNN, CNN
)
def test_a_session_of_18000_frames_has_the_published_number_of_windows(window_s, margin, count):
    made = Windows.make([plain(18_000)], [np.arange(18_000)], Reach.of(30.0, window_s, 0.0, margin))
    assert made.count == count


def test_windows_hold_the_samples_around_their_frame():
    made = Windows.make([plain(40), plain(25)], [np.arange(40), np.arange(5, 25)], Reach.of(30.0, 0.1, 0.1))
    np.testing.assert_array_equal(made.lags, [0, 1, 2, 3, 4, 5, 6])
    chosen = np.array([0, made.count - 1, 3])
    taken = made.take(chosen)
    expected = made.row[chosen][:, None, None] + made.lags[None, :, None] + np.array([0, 0.1])
    np.testing.assert_allclose(taken, expected, rtol=1e-6)
    assert made.row[0] == 0
    assert made.row[-1] == 18
    assert made.session[-1] == 1


def test_windows_cross_no_gap_and_hold_no_unlabelled_middle():
    segment = np.repeat([0, 1, 2], [10, 4, 12])
    target = np.zeros(26, np.float32)
    target[17] = np.nan
    made = Windows.make([plain(26, segment=segment, target=target)], [np.arange(26)], Reach(2))
    np.testing.assert_array_equal(made.row, [2, 3, 4, 5, 6, 7, 16, 18, 19, 20, 21, 22, 23])


def test_the_view_of_all_windows_takes_almost_no_memory():
    signal = np.random.default_rng(0).standard_normal((18_000, 50)).astype(np.float32)
    windows.view(signal[:100], 31)
    tracemalloc.start()
    view = windows.view(signal, 31)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert view.shape == (17_970, 31, 50)
    assert view.untyped_storage().data_ptr() == signal.ctypes.data  # the same memory: 1.0 x the input, not 31 x
    assert view.untyped_storage().nbytes() == signal.nbytes
    assert peak < 0.1 * signal.nbytes


def test_draws_from_a_streamed_movie_come_from_few_blocks():
    array = xr.DataArray(np.zeros((5000, 2, 3), np.uint8), dims=("time", "height", "width"))
    streamed = Movie(array, np.zeros((2, 3)), np.ones((2, 3)), held=False)
    made = Windows.make([replace(plain(5000), signal=streamed)], [np.arange(5000)], Reach(1, 0, 1))
    drawn = made.draw(np.random.default_rng(0), 64)
    assert len(drawn) == 64
    assert len(np.unique(drawn // windows.BLOCK)) <= windows.BLOCKS
    counts = np.zeros(made.count)
    generator = np.random.default_rng(1)
    for _ in range(3000):
        np.add.at(counts, made.draw(generator, 64), 1)
    assert counts.min() > 0  # every window can be drawn


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_streamed_movie_gives_the_images_of_one_in_memory(dtype):
    frames = np.random.default_rng(0).uniform(0, 1000, (1300, 5, 7)).astype(dtype)
    array = xr.DataArray(frames, dims=("time", "height", "width"))
    mean, sd = frames.mean(0, dtype=float), frames.std(0, dtype=float)
    sd[2, 3] = np.inf  # a masked pixel
    rows = np.array([1298, 1, 700, 701, 1])
    found = [Movie(array, mean, sd, held=held).images(rows, 3) for held in (True, False)]
    np.testing.assert_array_equal(*found)
    expected = np.stack([[(frames[row + k] - mean) / sd for k in (-1, 0, 1)] for row in rows])
    np.testing.assert_allclose(found[0], expected, atol=2e-4)  # float32 of values up to 1000
    assert (found[0][:, :, 2, 3] == 0).all()


def test_windows_of_images_hold_the_frames_around_their_frame():
    frames = np.arange(30, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32)
    array = xr.DataArray(frames, dims=("time", "height", "width"))
    session = replace(plain(30), signal=Movie(array, np.zeros((2, 3)), np.ones((2, 3)), held=True))
    made = Windows.make([session, session], [np.arange(30), np.arange(30)], Reach(2, 1, 1))
    chosen = np.array([made.count - 1, 0, 4])
    taken = images.batch(made, chosen, 3).numpy()
    expected = made.row[chosen][:, None, None] + made.lags[None, :, None] + np.array([-1, 0, 1])
    np.testing.assert_array_equal(taken[..., 1, 2], expected)


@pytest.mark.parametrize("seed", range(20))
def test_a_derangement_leaves_no_session_its_own_labels(seed):
    subjects = {f"s{i}": f"m{i % 3}" for i in range(8)}
    sources = labels.derangement(subjects, np.random.default_rng(seed))
    assert all(name != source and subjects[name] == subjects[source] for name, source in sources.items())
    assert sorted(sources.values()) == sorted(subjects)


def test_a_derangement_needs_two_sessions_of_an_animal():
    with pytest.raises(DataError, match="swap: shift"):
        labels.swapped({"a": np.zeros(4)}, {}, {"a": "m"}, "derangement", 0)


def test_labels_of_a_shorter_session_leave_the_end_unlabelled():
    label = {"a": np.arange(4.0), "b": np.arange(10.0, 16.0)}
    found = labels.swapped(label, {}, {"a": "m", "b": "m"}, "derangement", 0)
    np.testing.assert_array_equal(found["a"], [10, 11, 12, 13])
    np.testing.assert_array_equal(found["b"], [0, 1, 2, 3, np.nan, np.nan])
    shifted = labels.swapped(label, {}, {"a": "m", "b": "m"}, "shift", 0)
    assert sorted(shifted["b"]) == sorted(label["b"])
    assert not (shifted["b"] == label["b"]).any()


def test_labels_of_trials_are_exchanged_in_half_of_them():
    trial = np.array([0, 0, np.nan, 1, 1], np.float32)
    label, segment = np.tile(trial, 10), np.repeat(np.arange(10), 5)
    found = labels.swapped({"a": label}, {"a": segment}, {"a": "m"}, "trials", 0)["a"].reshape(10, 5)
    turned = found[:, 0] == 1
    assert turned.sum() == 5
    np.testing.assert_array_equal(found[~turned], np.tile(trial, (5, 1)))
    np.testing.assert_array_equal(found[turned], np.tile(1 - trial, (5, 1)))


@pytest.mark.parametrize(
    ("kind", "over"), [("minmax", "session"), ("zscore", "session"), ("minmax", "first"), ("none", "session")]
)
def test_traces_are_scaled_session_by_session(kind, over):
    features = cortex_data.roi_features()
    settings = Settings(normalise={"kind": kind, "over": over, "first_s": 5.0})
    data = dataset.load(features, 0, settings, 0, ("train",))
    for session in data.sessions:
        raw = features.group(session.name, "roi")["signal"].values.astype(float)
        base = raw[:50] if over == "first" else raw
        low, width = base.min(0), np.ptp(base, axis=0)
        if kind == "zscore":
            low, width = base.mean(0), base.std(0)
        expected = raw if kind == "none" else (raw - low) / width
        np.testing.assert_allclose(session.signal, expected, atol=1e-5)  # float32


def test_training_statistics_are_those_of_the_fold():
    features = cortex_data.roi_features()
    extra = {}
    for name in features.stores:
        for bound, value in (("minimum", -2.0), ("maximum", 6.0)):
            extra[f"roi/{name}/{bound}"] = xr.DataArray(np.full((3, 5), value), dims=("fold", "roi"))
    features = Features(features.stores, features.folds, extra)
    data = dataset.load(features, 1, Settings(normalise={"over": "training"}), 0, ("test",))
    raw = features.group(data.sessions[0].name, "roi")["signal"].values
    np.testing.assert_allclose(data.sessions[0].signal, (raw + 2) / 8, atol=1e-6)


def test_rois_are_chosen_by_id_or_area():
    group = cortex_data.traces(np.zeros((3, 4)), area=["M", "M", "V", ""])
    group.attrs["kind"] = "traces"
    assert list(dataset.select(group, Settings())[1]) == ["1", "2", "3", "4"]
    assert list(dataset.select(group, Settings(rois=["M", "4"]))[1]) == ["1", "2", "4"]
    assert list(dataset.select(group, Settings(without_rois=["M"]))[1]) == ["3", "4"]
    with pytest.raises(DataError, match="ids or areas"):
        dataset.select(group, Settings(rois=["A1"]))


def test_training_windows_that_reach_into_test_frames_are_refused():
    features = cortex_data.roi_features(mice=1, sessions=1)
    name = next(iter(features.stores))
    fold = Fold({name: [(0, 200)]}, {name: [(210, 250)]}, {name: [(260, 400)]})
    features = Features(features.stores, [fold], {})
    dataset.load(features, 0, Settings(), 0, ("train",))
    with pytest.raises(DataError, match="test frames 260"):
        dataset.load(features, 0, Settings(window_s=1.2), 0, ("train",))
    with pytest.raises(DataError, match="test frames 260"):
        dataset.load(features, 0, Settings(lag_s=1.0), 0, ("train",))


def test_a_state_made_from_a_trace_uses_the_threshold_of_its_fold():
    features = cortex_data.roi_features(mice=1, sessions=1)
    trace = np.concatenate([np.zeros(20), np.full(20, 3.0), np.full(20, 1.5), np.zeros(20)]).astype(np.float32)
    group = cortex_data.behaviour(trace, continuous=True, least_s=0.5, bridge_s=0.0)
    tree = cortex_data.session("m", behaviour=group, roi=cortex_data.traces(np.zeros((80, 2))))
    threshold = xr.DataArray([[1.0, 2.0], [2.0, 2.0]], dims=("fold", "output"))
    features = Features({"a": tree}, features.folds, {"threshold": threshold})
    assert labels.states(features, 0)["a"].sum() == 40  # hysteresis: stays in state 1 above the lower threshold
    assert labels.states(features, 1)["a"].sum() == 20
