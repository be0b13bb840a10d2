"""Folds over mice and blocks, thresholds and scales from training frames, and recordings that do not fit together."""

import numpy as np
import pytest
from cortex_recordings import IDS, RATE, ROI, collected, event_aligned, mice, recording, rows

from pellucid import store
from pellucid.errors import DataError
from pellucid.preprocess import behaviour
from pellucid.systems.cortex.features import folds
from pellucid.systems.cortex.features.settings import Split


def test_every_ordered_pair_of_mice_is_a_fold_and_no_session_is_split():
    segments = {f"m{mouse}_s{session}": np.zeros(50 + session) for mouse in range(5) for session in range(2)}
    subjects = {name: name[:2] for name in segments}
    made = folds.make(segments, subjects, Split(), RATE)
    assert len(made) == 20
    pairs = []
    for fold in made:
        parts = [fold.train, fold.validation, fold.test]
        names = [set(part) for part in parts]
        assert set.union(*names) == set(segments)
        assert sum(map(len, names)) == len(segments)
        for part in parts:
            assert all(ranges == [(0, 50 + int(name[-1]))] for name, ranges in part.items())
        held = [{subjects[name] for name in part} for part in names]
        assert list(map(len, held)) == [3, 1, 1]
        pairs.append((*held[1], *held[2]))
    assert len(set(pairs)) == 20
    assert pairs == sorted(pairs)  # validation first, as published
    following = folds.make(segments, subjects, Split(pairs="next", folds=5), RATE)
    assert [({*f.validation}, {*f.test}) for f in following] == [
        ({f"m{(i + 1) % 5}_s{s}" for s in range(2)}, {f"m{i}_s{s}" for s in range(2)}) for i in range(5)
    ]


@pytest.mark.parametrize("purge", [{"purge_s": 0.75}, {"purge_rows": 3}])
def test_windows_of_training_frames_do_not_reach_test_frames(purge):
    segments = {"a": np.zeros(400), "b": np.zeros(333)}
    made = folds.make(segments, {"a": "m", "b": "m"}, Split(by="block", folds=4, validation=0.2, **purge), RATE)
    gap = 8 if "purge_s" in purge else 3  # 7.5 frames are rounded up
    tested = {name: np.zeros(len(segment), int) for name, segment in segments.items()}
    for fold in made:
        for name in segments:
            train, validation, test = (rows(fold, part, name) for part in ("train", "validation", "test"))
            tested[name][test] += 1
            assert len(validation) > 0
            assert np.abs(train[:, None] - np.concatenate([test, validation])).min() == gap + 1
            assert np.abs(validation[:, None] - test).min() > gap
    assert all((count == 1).all() for count in tested.values())


def test_blocks_of_trials_are_whole_trials():
    segments = {"a": np.repeat(np.arange(12), 10)}
    made = folds.make(segments, {"a": "m"}, Split(by="block", folds=4), 200.0)
    for fold in made:
        trials = [set(segments["a"][rows(fold, part, "a")]) for part in ("train", "validation", "test")]
        assert len(set.union(*trials)) == sum(map(len, trials)) == 12


def test_statistics_are_of_training_frames_only(tmp_path):
    trees = mice(4, 2)
    made = collected(tmp_path, trees, inputs=ROI | {"violet": ROI["roi"] | {"source": "/imaging/signal_405"}})
    signals = {name: tree["imaging/signal"].values.astype(np.float32).astype(float) for name, tree in trees.items()}
    functions = {"minimum": np.min, "maximum": np.max, "mean": np.mean, "sd": np.std}
    assert set(made.statistics) == {f"{i}/{n}/{s}" for i in ("roi", "violet") for n in trees for s in functions}
    for index, fold in enumerate(made.folds):
        pooled = np.concatenate([signals[name] for name in fold.train])
        for name in trees:
            expected = signals[name] if name in fold.train else pooled
            for statistic, function in functions.items():
                found = made.statistics[f"roi/{name}/{statistic}"]
                assert found.dims == ("fold", "roi")
                assert found.values[index] == pytest.approx(function(expected, axis=0), rel=1e-9)


def test_statistics_of_blocks_leave_test_frames_out(tmp_path):
    tree = recording(count=200)
    tree["imaging/signal"].values[150:] += 1e6  # the last block
    made = collected(tmp_path, {"a": tree}, inputs=ROI, split={"by": "block", "folds": 4, "purge_s": 0.5})
    last = made.statistics["roi/a/maximum"].values
    assert (last[3] < 1000).all()
    assert (last[:3] > 1e5).all()


def test_the_limit_of_bad_pixels_is_fitted_to_training_mice(tmp_path):
    trees = {f"m{mouse}": event_aligned(seed=mouse, mouse=f"m{mouse}", trials=8 + mouse) for mouse in range(4)}
    trees["m3"]["trials/frames"].values[...] *= 50
    inputs = {"movie": {"kind": "movie", "source": "/trials/frames", "bad": {"deviations": 6}}}
    label = {"trials": {"before": [0], "response": [4]}}
    made = collected(tmp_path, trees, inputs=inputs, label=label, split={"by": "subject", "pairs": "next"})
    scales = {name: store.open_store(tmp_path / f"{name}.zarr")["movie/scale"].values.astype(float) for name in trees}
    for index, fold in enumerate(made.folds):
        known = np.concatenate([scales[name][scales[name] > 0] for name in fold.train])
        median = np.median(known)
        limit = median + 6 * 1.4826 * np.median(np.abs(known - median))
        assert made.statistics["movie/threshold"].values[index] == pytest.approx(limit)
        if "m3" not in fold.train:
            bad = scales["m2"] > limit
            assert bad[5, 5]
            assert bad.sum() <= 2  # six robust s.d. of 180 pixels
    assert len(made.folds) == 4


def test_a_trace_is_stored_smoothed_and_becomes_states_by_training_thresholds(tmp_path):
    label = {"source": "/behaviour/traces", "output": "pupil", "threshold": "median", "hysteresis": 0.4}
    more = {"smooth_s": 1.0, "least_s": 0.5, "bridge_s": 0.3}
    split = {"by": "subject", "pairs": "next"}
    trees = mice()
    made = collected(tmp_path, trees, inputs=ROI, label=label | more, split=split, speed="/behaviour/speed")
    stored = {name: store.open_store(tmp_path / f"{name}.zarr")["behaviour"] for name in trees}
    group = stored["m1_s0"]
    assert group.attrs["continuous"] is True
    assert (group.attrs["least_s"], group.attrs["bridge_s"]) == (0.5, 0.3)
    trace = trees["m1_s0"]["behaviour/traces"].values[:, 0]
    on_frames = np.array([trace[2 * frame - 40] if frame >= 20 else np.nan for frame in range(200)])
    for frame in (20, 23, 100, 199):  # 10 samples: 5 back, 4 ahead, of those there are
        part = on_frames[max(0, frame - 5) : frame + 5]
        assert group["state"].values[frame] == pytest.approx(part[np.isfinite(part)].mean(), rel=1e-5)
    assert np.isnan(group["state"].values[:19]).all()
    assert group["speed"].values[150] == pytest.approx(abs(trace[260]), rel=1e-6)
    for index, fold in enumerate(made.folds):
        train = np.concatenate([stored[name]["state"].values[rows(fold, "train", name)] for name in fold.train])
        low, high = made.statistics["threshold"].values[index]
        quarter, median, rest = np.nanpercentile(train.astype(float), [25, 50, 75])
        assert (low, high) == pytest.approx((median - 0.2 * (rest - quarter), median + 0.2 * (rest - quarter)))
        state = behaviour.states(group["state"].values, low, high, least_s=0.5, bridge_s=0.3, rate_hz=RATE)
        assert set(np.unique(state[np.isfinite(state)])) <= {0, 1}


def test_a_number_is_a_threshold_of_every_fold(tmp_path):
    label = {"source": "/behaviour/speed", "threshold": 0.5, "low": 0.2}
    made = collected(tmp_path, mice(3, 1), inputs=ROI, label=label)
    assert made.statistics["threshold"].values.tolist() == [[0.2, 0.5]] * 6


def test_a_recording_listed_twice_is_refused(tmp_path):
    trees = mice(3, 1)
    trees["m2_s9"] = recording(seed=20, mouse="m2", count=200)
    with pytest.raises(DataError, match=r"recordings\.m2_s9, input roi.*recordings\.m2_s0"):
        collected(tmp_path, trees, inputs=ROI)


def test_recordings_that_do_not_fit_together_are_refused(tmp_path):
    trees = mice(3, 1)
    trees["m2_s0"]["imaging"].coords["roi"] = np.array(["1", *IDS[1:]], object)
    with pytest.raises(DataError, match="features of m2_s0, roi"):
        collected(tmp_path, trees, inputs=ROI)
    with pytest.raises(DataError, match=r"three mice or more.*m0, m1"):
        collected(tmp_path, mice(2, 2), inputs=ROI)


def test_blocks_shorter_than_their_purge_are_refused(tmp_path):
    split = {"by": "block", "folds": 4, "purge_s": 30}
    with pytest.raises(DataError, match="fold 0"):
        collected(tmp_path, {"a": recording(count=200)}, inputs=ROI, split=split)
