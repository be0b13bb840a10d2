"""From recordings of the cortex to features: inputs against plain loops, labels, and what is refused."""

import hashlib
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from cortex_recordings import IDS, LABEL, MOVIE, RATE, ROI, SIZE, event_aligned, extracted, recording, settings
from pydantic import ValidationError

from pellucid import config, store
from pellucid.errors import ConfigError, DataError, MissingError, PellucidError
from pellucid.preprocess import haemodynamics, registration, streams
from pellucid.preprocess.streams import Stream
from pellucid.systems.cortex.features.extract import extract
from pellucid.systems.cortex.features.settings import Settings

# ---- inputs ----


def test_traces_are_those_recorded_with_places_and_areas(tmp_path):
    tree = recording()
    found = extracted(tmp_path / "x.zarr", tree, inputs=ROI)["roi"]
    np.testing.assert_array_equal(found["signal"], tree["imaging/signal"].values.astype(np.float32))
    assert found["roi"].values.tolist() == IDS
    assert found["area"].values.tolist() == ["limb", "motor", "limb", "limb", "motor"]
    assert found["row"].values == pytest.approx(np.linspace(0.1, 0.9, 5))
    assert (found.attrs["kind"], found.attrs["units"]) == ("traces", "count")
    assert (found.attrs["rate_hz"], found.attrs["start_s"]) == (RATE, 2.0)
    said = hashlib.sha256(found["signal"].values.tobytes()).hexdigest()
    assert found.attrs["fingerprint"] == said


def test_dff_and_detrending_are_loops(tmp_path):
    tree = recording(count=130)
    item = {"dff": {"baseline": "mean"}, "detrend_s": 2.4}
    found = extracted(tmp_path / "x.zarr", tree, inputs={"roi": ROI["roi"] | item})["roi"]
    raw = tree["imaging/signal"].values
    for roi in range(5):
        relative = raw[:, roi] / raw[:, roi].mean() - 1
        for t in range(130):
            base = relative[max(0, t - 12) : t + 12].mean()  # 24 samples: 12 back, 11 ahead
            assert found["signal"].values[t, roi] == pytest.approx(relative[t] - base, abs=1e-6)
    assert found.attrs["units"] == "dF/F"


def test_averages_of_a_movie_are_loops(tmp_path):
    tree = recording(count=60)
    source = {"kind": "traces", "source": "/imaging/movie"}
    inputs = {
        "areas": source | {"of": "parcels", "parcels": "/imaging/parcels"},
        "vessels": source | {"of": "pixels", "mask": "/imaging/vessels"},
        "border": source | {"of": "border", "border_px": 2},
        "whole": source | {"of": "global"},
        "violet": source | {"of": "parcels", "parcels": "/imaging/parcels", "source": "/imaging/movie_405"},
        "shift": source | {"of": "shifts"},
    }
    found = extracted(tmp_path / "x.zarr", tree, inputs=inputs)
    movie, parcels = tree["imaging/movie"].values.astype(float), tree["imaging/parcels"].values
    inside = tree["imaging/vessels"].values > 0
    for t in range(0, 60, 7):
        areas = [movie[t][parcels == label].mean() for label in (3, 8, 31)]
        assert found["areas/signal"].values[t] == pytest.approx(areas, rel=1e-6)
        violet = [tree["imaging/movie_405"].values[t][parcels == label].mean() for label in (3, 8, 31)]
        assert found["violet/signal"].values[t] == pytest.approx(violet, rel=1e-6)
        assert found["vessels/signal"].values[t] == pytest.approx([movie[t][inside].mean()], rel=1e-6)
        strips = [movie[t, :2], movie[t, -2:], movie[t, :, :2], movie[t, :, -2:]]
        assert found["border/signal"].values[t] == pytest.approx([strip.mean() for strip in strips], rel=1e-6)
        assert found["whole/signal"].values[t] == pytest.approx([movie[t].mean()], rel=1e-6)
    shifts = registration.shifts(Stream.of(movie))
    assert found["shift/signal"].values == pytest.approx(shifts, abs=1e-5)
    assert found["areas"]["roi"].values.tolist() == ["3", "8", "31"]
    assert found["areas"]["area"].values.tolist() == ["motor", "limb", "limb"]  # as the recording says of these ids
    assert found["areas"]["row"].values == pytest.approx(np.linspace(0.1, 0.9, 5)[[1, 0, 2]])
    assert found["border"]["roi"].values.tolist() == ["top", "bottom", "left", "right"]
    assert found["shift"]["roi"].values.tolist() == ["dy", "dx"]
    assert found["shift"].attrs["units"] == "px"
    np.testing.assert_array_equal(found["parcels/parcels"], parcels)
    assert found["parcels/parcels"].dtype == np.int16


def test_all_averages_of_a_movie_are_made_in_one_pass(tmp_path, monkeypatch):
    passes = []
    kept = streams.Stream.blocks
    monkeypatch.setattr(streams.Stream, "blocks", lambda self, label="": passes.append(label) or kept(self, label))
    source = {"kind": "traces", "source": "/imaging/movie"}
    inputs = {f"strip{px}": source | {"of": "border", "border_px": px} for px in (1, 2, 3)}
    inputs["all"] = source | {"of": "global"}
    extracted(tmp_path / "x.zarr", recording(count=60), inputs=inputs)
    assert passes == ["/imaging/movie"]


def test_centres_come_from_the_map_where_the_recording_has_none(tmp_path):
    tree = recording()
    tree["imaging"] = tree["imaging"].to_dataset().drop_vars(["row", "column", "area", "roi"])
    parcels = tree["imaging/parcels"].values
    for label, old in zip((1, 2, 4, 5), (3, 31, 8, 0)):
        parcels[parcels == old] = label
    parcels[0, :3] = 3
    found = extracted(tmp_path / "x.zarr", tree, inputs={"roi": ROI["roi"] | {"parcels": "/imaging/parcels"}})["roi"]
    assert found["roi"].values.tolist() == ["1", "2", "3", "4", "5"]
    assert found["row"].values[2] == pytest.approx(0.5 / 12)
    assert found["column"].values[2] == pytest.approx(1.5 / 15)
    assert set(found["area"].values) == {""}


def test_the_violet_channel_is_regressed_out(tmp_path):
    tree = recording()
    reference = {"source": "/imaging/signal_405", "highpass_hz": 0.5, "lowpass_hz": 2.0}
    item = ROI["roi"] | {"dff": {}, "reference": reference}
    found = extracted(tmp_path / "x.zarr", tree, inputs={"roi": item})["roi"]
    both = [tree[f"imaging/{name}"].values for name in ("signal", "signal_405")]
    signal, violet = (values / values.mean(axis=0) - 1 for values in both)
    made, slope = haemodynamics.regressed(Stream.of(signal), Stream.of(violet), RATE, highpass_hz=0.5, lowpass_hz=2.0)
    assert found["signal"].values == pytest.approx(made.whole(), abs=1e-6)
    assert found["coefficient"].values == pytest.approx(slope, rel=1e-5)
    ratio = ROI["roi"] | {"dff": {}, "reference": {"source": "/imaging/signal_405", "method": "ratio"}}
    found = extracted(tmp_path / "y.zarr", tree, inputs={"roi": ratio})["roi"]
    assert found["signal"].values == pytest.approx((1 + signal) / (1 + violet) - 1, abs=1e-6)
    assert "coefficient" not in found


def test_a_movie_stays_as_it_was_recorded(tmp_path):
    tree = recording(count=80)
    found = extracted(tmp_path / "x.zarr", tree, inputs=MOVIE)["movie"]
    movie = tree["imaging/movie"].values
    assert found["movie"].dtype == np.uint16
    np.testing.assert_array_equal(found["movie"], movie)
    assert found["mean"].values == pytest.approx(movie.mean(axis=0), rel=1e-6)
    assert found["sd"].values == pytest.approx(movie.std(axis=0), rel=1e-6)
    assert found.attrs["sd"] == pytest.approx(movie.std(), rel=1e-9)
    assert found.attrs["fingerprint"] == hashlib.sha256(movie.tobytes()).hexdigest()
    assert "scale" not in found


@pytest.mark.parametrize("frames", [1, 7, 1000])
def test_the_steps_of_a_movie_are_those_of_its_pixels_whatever_the_block(frames, tmp_path, monkeypatch):
    tree = recording(count=150)
    reference = {"source": "/imaging/movie_405", "highpass_hz": 1.0}
    steps = {"bin_px": 3, "dff": {"baseline": "percentile", "window_s": 4}, "reference": reference, "detrend_s": 3}
    pixels = (12 // 3) * (15 // 3)
    monkeypatch.setattr(streams, "BLOCK_BYTES", 4 * pixels * frames)
    found = extracted(tmp_path / "x.zarr", tree, inputs={"movie": MOVIE["movie"] | steps})["movie"]
    as_traces = {}
    for name in ("movie", "movie_405"):
        movie = tree[f"imaging/{name}"].values.astype(float)
        as_traces[name] = (("time", "roi"), movie.reshape(150, 4, 3, 5, 3).mean(axis=(2, 4)).reshape(150, -1))
    group = xr.Dataset({k: (*v, {"units": "count"}) for k, v in as_traces.items()}, attrs={"rate_hz": 10, "start_s": 2})
    tree["imaging"] = group
    item = {"kind": "traces", "source": "/imaging/movie", **{key: steps[key] for key in list(steps)[1:]}}
    expected = extracted(tmp_path / "y.zarr", tree, inputs={"roi": item})["roi"]["signal"].values
    assert found["movie"].dtype == np.float32
    # float32 of the recorded 1000: 1e-7 of dF/F for each of a few steps
    assert found["movie"].values.reshape(150, -1) == pytest.approx(expected, abs=1e-6)
    assert found.attrs["fingerprint"] == hashlib.sha256(found["movie"].values.tobytes()).hexdigest()


def test_a_number_per_step_is_applied_where_values_are_computed(tmp_path):
    tree = recording(count=40)
    tree["imaging/movie"].attrs["scale"] = 0.5
    both = {"movie": MOVIE["movie"], "small": MOVIE["movie"] | {"bin_px": 3}}
    both["all"] = {"kind": "traces", "source": "/imaging/movie", "of": "global"}
    found = extracted(tmp_path / "x.zarr", tree, inputs=both)
    movie = tree["imaging/movie"].values
    np.testing.assert_array_equal(found["movie/movie"], movie)
    assert found["movie/movie"].attrs["scale"] == 0.5
    assert found["small/movie"].values[3, 1, 2] == pytest.approx(0.5 * movie[3, 3:6, 6:9].mean(), rel=1e-6)
    assert found["all/signal"].values[3] == pytest.approx(0.5 * movie[3].mean(), rel=1e-6)


def test_trials_follow_each_other_centred_one_by_one(tmp_path):
    tree = event_aligned()
    source = {"kind": "movie", "source": "/trials/frames"}
    inputs = {"movie": source | {"centre": "segment", "bad": {}}, "raw": source}
    label = {"trials": {"before": [0, 1], "response": [3, 4, 5]}}
    found = extracted(tmp_path / "x.zarr", tree, inputs=inputs, label=label)
    trials = tree["trials/frames"].values
    expected = (trials - trials.mean(axis=1, keepdims=True)).reshape(60, *SIZE)
    assert found["movie/movie"].values == pytest.approx(expected, abs=1e-5)
    assert found["raw/movie"].values == pytest.approx(trials.reshape(60, *SIZE), rel=1e-6)
    assert found["movie/scale"].values == pytest.approx(np.median(np.abs(trials), axis=(0, 1)), rel=1e-6)
    behave = found["behaviour"]
    assert behave["segment"].values.tolist() == [trial for trial in range(6) for _ in range(10)]
    place = [0, 0, np.nan, 1, 1, 1, np.nan, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(behave["state"].values, np.tile(place, 6))
    assert (behave.attrs["rate_hz"], behave.attrs["start_s"], behave.attrs["continuous"]) == (200, 0, False)
    assert (behave.attrs["trial_frames"], behave.attrs["trial_start_s"]) == (10, -0.005)


def test_equal_input_gives_equal_bytes(tmp_path):
    inputs = ROI | {"movie": MOVIE["movie"] | {"bin_px": 3, "dff": {}}}
    for name in ("a", "b"):
        extracted(tmp_path / f"{name}.zarr", recording(count=50), inputs=inputs)
    assert store.digest(tmp_path / "a.zarr") == store.digest(tmp_path / "b.zarr")
    assert sorted(path.name for path in (tmp_path / "a.zarr").iterdir()) == ["behaviour", "movie", "roi", "zarr.json"]


@pytest.mark.slow
def test_movies_are_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK_BYTES", 1 << 20)
    monkeypatch.setattr(store, "CHUNK_BYTES", 1 << 15)
    peaks = []
    for count in (2000, 8000):
        raw = tmp_path / f"{count}.zarr"
        store.write(raw, recording(count=count))
        tracemalloc.start()
        extract(store.open_store(raw), settings(inputs={"movie": MOVIE["movie"] | {"detrend_s": 10}}), tmp_path / "x")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 1e6, peaks  # behaviour alone grows: 16 000 samples of 8 bytes, a few times


# ---- labels ----


def test_recorded_states_are_those_of_the_nearest_sample(tmp_path):
    tree = recording(count=100)
    found = extracted(tmp_path / "x.zarr", tree, inputs=ROI)["behaviour"]
    run, state = tree["behaviour/run"].values, found["state"].values
    for frame in range(100):
        seconds = 2.0 + frame / 10
        if seconds < 3.95 - 1e-9:  # more than one sample before the first at 4 s
            assert np.isnan(state[frame])
        elif seconds >= 4:
            assert state[frame] == run[round((seconds - 4) * 20)]
    assert found["segment"].values.tolist() == [0] * 100
    assert found.attrs["continuous"] is False
    assert (found.attrs["least_s"], found.attrs["bridge_s"]) == (0, 0)


def test_missing_behaviour_stays_missing(tmp_path):
    tree = recording(count=100)
    tree["behaviour/traces"].values[60:80, 1] = np.nan  # 7.0 to 7.95 s
    tree["behaviour/run"].values[60:80] = np.nan
    label = {"source": "/behaviour/traces", "output": "whisking", "threshold": 0.0, "smooth_s": 0.5}
    for given in (label, LABEL):
        state = extracted(tmp_path / "x.zarr", tree, inputs=ROI, label=given)["behaviour"]["state"].values
        assert np.isnan(state[50:60]).all()
        assert np.isfinite(state[[49, 60, 61]]).all()


# ---- what is refused ----


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["inputs"]),
        ({"inputs": {"behaviour": ROI["roi"]}}, ["another name"]),
        ({"inputs": {"x": {"kind": "traces", "source": "/a/b", "of": "parcels"}}}, ["`parcels`"]),
        ({"inputs": {"x": {"kind": "traces", "source": "/a/b", "of": "pixels"}}}, ["`mask`"]),
        ({"inputs": {"x": {"kind": "traces", "source": "/a/b", "of": "shifts", "dff": {}}}}, ["neither `dff`"]),
        ({"inputs": {"x": {"kind": "traces", "source": "/a/b", "bin_px": 2}}}, ["bin_px"]),
        (
            {"inputs": {"x": {"kind": "movie", "source": "/a/b", "reference": {"source": "/a/c", "method": "ratio"}}}},
            ["`dff`"],
        ),
        ({"inputs": ROI, "label": {"source": "/a/b", "least_s": 1}}, ["`threshold`"]),
        ({"inputs": ROI, "label": {"source": "/a/b", "threshold": 1, "hysteresis": 1}}, ["`low`"]),
        ({"inputs": ROI, "label": {"source": "/a/b", "threshold": 1, "low": 2}}, ["`low`"]),
        ({"inputs": ROI, "label": {"trials": {"before": [1], "response": [1, 2]}}}, ["no frame in both"]),
        ({"inputs": ROI, "label": {}}, ["either `source` or `trials`"]),
    ],
)
def test_settings_that_cannot_mean_anything(given, words):
    with pytest.raises(ValidationError) as caught:
        settings(**given)
    assert all(word in str(caught.value) for word in words)


def broken(**change):
    """A recording with one array or coordinate replaced."""
    return lambda: recording(**change)


def with_nan(path, *index):
    def made():
        tree = recording()
        array = tree[path].astype(float)
        array.values[index] = np.nan
        group, name = path.split("/")
        tree[group] = tree[group].to_dataset().assign({name: array})
        return tree

    return made


def of_rate(rate):
    return broken(clock={"rate_hz": rate}, run=np.zeros(600, np.float32))


def gapped():
    tree = recording()
    times = 2 + np.arange(300) / 10 + 0.7 * (np.arange(300) >= 123)
    tree["imaging"] = tree["imaging"].to_dataset().assign_coords(time=("time", times, {"units": "s"}))
    return tree


def with_other_map():
    """A map of another size cannot be in the group of the movie."""
    tree = recording()
    tree["stimulus"] = xr.Dataset({"parcels": (("height", "width"), np.ones((15, 12), int), {"units": "1"})})
    return tree


def same_length_other_rate():
    tree = recording()
    run = tree["behaviour"].to_dataset().isel(time=slice(300))
    run.attrs["rate_hz"] = 25.0
    tree["behaviour"] = run
    return tree


PARCELS = {"areas": {"kind": "traces", "source": "/imaging/movie", "of": "parcels", "parcels": "/imaging/parcels"}}


@pytest.mark.parametrize(
    ("tree", "given", "kind", "words"),
    [
        (with_nan("imaging/movie", 47, 3, 2), {"inputs": MOVIE}, DataError, ["/imaging/movie, frame 47", "1 of 180"]),
        (with_nan("imaging/signal", 8), {"inputs": ROI}, DataError, ["/imaging/signal, frame 8", "5 of 5"]),
        (
            recording,
            {"inputs": {"roi": {"kind": "traces", "source": "/imaging/rois"}}},
            MissingError,
            ["/imaging/rois"],
        ),
        (recording, {"inputs": ROI, "label": {"source": "/behaviour/walk"}}, MissingError, ["/behaviour/walk"]),
        (recording, {"inputs": {"roi": ROI["roi"] | {"source": "/imaging/movie"}}}, DataError, ["'roi'"]),
        (recording, {"inputs": {"movie": MOVIE["movie"] | {"source": "/imaging/signal"}}}, DataError, ["'height'"]),
        (recording, {"inputs": {"roi": ROI["roi"] | {"source": "/imaging/parcels"}}}, DataError, ["begin with time"]),
        (recording, {"inputs": ROI | {"x": {"kind": "traces", "source": "/behaviour/traces"}}}, DataError, ["600 fr"]),
        (
            with_other_map,
            {"inputs": {"areas": PARCELS["areas"] | {"parcels": "/stimulus/parcels"}}},
            DataError,
            ["/stimulus/parcels", "12 x 15 px", "15 x 12"],
        ),
        (
            broken(arrays={"parcels": (("height", "width"), np.full(SIZE, 0.5))}),
            {"inputs": PARCELS},
            DataError,
            ["whole numbers", "0.5"],
        ),
        (
            broken(arrays={"vessels": (("height", "width"), np.zeros(SIZE, int))}),
            {
                "inputs": {
                    "v": {"kind": "traces", "source": "/imaging/movie", "of": "pixels", "mask": "/imaging/vessels"}
                }
            },
            DataError,
            ["/imaging/vessels", "pixels inside"],
        ),
        (
            recording,
            {"inputs": {"v": {"kind": "traces", "source": "/imaging/movie", "of": "border", "border_px": 7}}},
            DataError,
            ["inputs.v, border_px", "at most 6"],
        ),
        (recording, {"inputs": {"movie": MOVIE["movie"] | {"bin_px": 2}}}, DataError, ["bin_px", "12 x 15"]),
        (
            recording,
            {"inputs": {"movie": MOVIE["movie"] | {"reference": {"source": "/imaging/signal_405"}}}},
            DataError,
            ["/imaging/signal_405", "'height'"],
        ),
        (
            recording,
            {"inputs": {"roi": ROI["roi"] | {"reference": {"source": "/imaging/signal_405", "highpass_hz": 5}}}},
            DataError,
            ["below half", "5 Hz"],
        ),
        (
            broken(arrays={"signal": (("time", "roi"), np.random.default_rng(0).normal(size=(300, 5)))}),
            {"inputs": {"roi": ROI["roi"] | {"dff": {}}}},
            DataError,
            ["inputs.roi, dff", "above 0"],
        ),
        (of_rate(20.0), {"inputs": ROI, "label": {"source": "/behaviour/speed"}}, DataError, ["0 and 1", "threshold"]),
        (recording, {"inputs": ROI, "label": {"source": "/behaviour/traces", "threshold": 1}}, DataError, ["`output`"]),
        (
            recording,
            {"inputs": ROI, "label": {"source": "/behaviour/traces", "output": "wheel", "threshold": 1}},
            DataError,
            ["pupil, whisking", "'wheel'"],
        ),
        (same_length_other_rate, {"inputs": ROI}, DataError, ["/behaviour/run", "300 samples at 25 Hz", "10 Hz"]),
        (broken(clock={"start_s": 900.0}), {"inputs": ROI}, DataError, ["between 2 and 31.9 s", "none"]),
        (gapped, {"inputs": ROI}, DataError, ["frame 123", "0.8 s after"]),
        (recording, {"inputs": ROI, "label": {"trials": {"before": [0], "response": [1]}}}, DataError, ["continuous"]),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_left(tree, given, kind, words, tmp_path):
    with pytest.raises(PellucidError) as caught:
        extracted(tmp_path / "x.zarr", tree(), **given)
    assert isinstance(caught.value, kind)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"detrend_s": 0.02}, ["detrend_s", "trials of 10 frames"]),
        ({"dff": {"baseline": "percentile"}}, ["dff", "trials of 10 frames"]),
    ],
)
def test_steps_that_would_reach_from_trial_to_trial(given, words, tmp_path):
    inputs = {"movie": {"kind": "movie", "source": "/trials/frames", **given}}
    with pytest.raises(DataError) as caught:
        extracted(
            tmp_path / "x.zarr", event_aligned(), inputs=inputs, label={"trials": {"before": [0], "response": [3]}}
        )
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ({"trials": {"before": [0], "response": [10]}}, ["trials of 10 frames"]),
        ({"source": "/trials/frames", "threshold": 0}, ["label.trials"]),
    ],
)
def test_labels_that_trials_do_not_have(label, words, tmp_path):
    inputs = {"movie": {"kind": "movie", "source": "/trials/frames"}}
    with pytest.raises(DataError) as caught:
        extracted(tmp_path / "x.zarr", event_aligned(), inputs=inputs, label=label)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "/imaging/signal"}, r"inputs\.roi\.kind: expected the key 'kind', found none"),
        (
            {"kind": "trace", "source": "/x"},
            r"inputs\.roi\.kind: expected one of traces, movie, found 'trace'. Did you mean",
        ),
        ({"kind": "traces", "source": "/x", "detrend": 33}, r"inputs\.roi\.detrend: .*Did you mean 'detrend_s'"),
        ({"kind": "movie", "source": "/x", "detrend_s": -1}, r"inputs\.roi\.detrend_s: expected greater than 0"),
    ],
)
def test_a_wrong_input_is_named_as_the_user_wrote_it(wrong, message):
    with pytest.raises(ConfigError, match=message):
        config.parse(Settings, {"inputs": {"roi": wrong}}, "preprocess")
