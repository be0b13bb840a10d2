"""From recordings to binned trials: every spike, sample, event and label is where it belongs, and folds hold."""

import json

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from pellucid import config, store
from pellucid.artifacts import Features, row_indices
from pellucid.errors import ConfigError, DataError, MissingError
from pellucid.systems.dunl.features.collect import collect
from pellucid.systems.dunl.features.extract import extract
from pellucid.systems.dunl.features.settings import Settings
from pellucid.systems.dunl.model import traces

ROOT = {
    "recording": "r",
    "dataset": "d",
    "subject": "s",
    "session": "1",
    "licence": "",
    "citation": "",
    "provenance": "",
}
S = {"units": "s"}
ONE = {"units": "1"}


def recording(groups, **root):
    """A recording as a reader gives it."""
    tree = {f"/{name}": xr.Dataset(variables, attrs=attributes) for name, (variables, attributes) in groups.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=ROOT | root), **tree})


def simulated(trials=23, samples=310, neurons=4, seed=0):
    """Trials at 1 ms from -0.1 s, with a cue, up to two rewards, types and a size."""
    generator = np.random.default_rng(seed)
    reward = generator.uniform(0.0, 0.2, (trials, 2))
    reward[generator.random((trials, 2)) < 0.3] = np.nan
    variables = {
        "raster": (
            ("trial", "time", "neuron"),
            (generator.random((trials, samples, neurons)) < 0.05).astype("u1"),
            ONE,
        ),
        "cue_s": ("trial", generator.uniform(-0.05, 0.05, trials), S),
        "reward_s": (("trial", "event"), reward, S),
        "trial_type": ("trial", np.arange(trials) % 5 + 1.0, ONE),
        "size": ("trial", np.arange(trials) % 5 + 0.0, ONE),
        "good": ("neuron", np.arange(neurons) % 2 == 0),
        "repeat": ("trial", np.arange(trials) // 5, ONE),
    }
    return recording({"trials": (variables, {"rate_hz": 1000.0, "start_s": -0.1})})


SIMULATED = {
    "bin_ms": 10,
    "events": {"cue": {"source": "/trials/cue_s"}, "reward": {"source": "/trials/reward_s"}},
    "trial_type": "/trials/trial_type",
    "covariates": {"size": {"source": "/trials/size", "units": "uL"}, "repeat": {"source": "/trials/repeat"}},
    "split": {"folds": 2},
}


def made(tree, settings, folder, name="r"):
    """The features of a recording, as later stages read them."""
    extract(tree, Settings.model_validate(settings), folder / f"{name}.zarr")
    return store.open_store(folder / f"{name}.zarr")


def gathered(stores, settings):
    collected = collect(stores, Settings.model_validate(settings))
    return Features(stores, collected.folds, collected.statistics)


def test_every_spike_of_a_raster_is_in_one_bin(tmp_path):
    tree = simulated()
    group = made(tree, SIMULATED, tmp_path)["features"].dataset
    raster = tree["trials/raster"].values
    assert group["signal"].dtype == np.float32
    assert group["signal"].shape == (23, 31, 4)
    assert (group["signal"].values.sum(axis=1) == raster.sum(axis=1)).all()
    assert group["time"].values == pytest.approx(-0.1 + 0.01 * np.arange(31))
    assert {key: group.attrs[key] for key in ("kind", "bin_s", "most_counts", "baseline_s")} == {
        **{"kind": "counts", "bin_s": 0.01, "most_counts": 10, "baseline_s": "null"}
    }
    assert json.loads(group.attrs["events"]) == ["cue", "reward"]
    assert json.loads(group.attrs["covariates"]) == {"size": "uL", "repeat": "1"}


def test_blocks_of_a_large_raster_give_the_same_bins(tmp_path, monkeypatch):
    whole = made(simulated(), SIMULATED, tmp_path, "whole")["features/signal"].values
    monkeypatch.setattr("pellucid.systems.dunl.features.signals.BLOCK_VALUES", 23 * 4 * 10 * 3 + 1)
    assert (made(simulated(), SIMULATED, tmp_path, "blocks")["features/signal"].values == whole).all()


def test_onsets_are_those_of_a_loop(tmp_path):
    tree = simulated()
    group = made(tree, SIMULATED, tmp_path)["features"].dataset
    for trial in range(23):
        rewards = tree["trials/reward_s"].values[trial]
        expected = [(tree["trials/cue_s"].values[trial], 0)] + [(time, 1) for time in rewards if np.isfinite(time)]
        found = zip(group["onset"].values[trial], group["event_kind"].values[trial])
        assert [pair for pair in found if np.isfinite(pair[0])] == sorted(expected)
    assert (group["event_kind"].values[np.isnan(group["onset"].values)] == -1).all()


def test_traces_have_the_bins_and_masks_of_the_recording(tmp_path):
    tree = simulated()
    stores = {"r": made(tree, SIMULATED, tmp_path)}
    found = traces.join(gathered(stores, SIMULATED), {"r": np.array([2, 5, 11])})
    raster, cue = tree["trials/raster"].values, tree["trials/cue_s"].values
    for trace in range(len(found)):
        row, neuron = found.row[trace], found.neuron[trace]
        assert found.signal[trace].sum() == raster[row, :, neuron].sum()
        assert found.valid[trace].all()
        bin_ = [int(index) for index, kind in zip(found.onset[trace], found.event_kind[trace]) if kind == 0]
        assert bin_ == [int((cue[row] + 0.1) / 0.01)]
        first = min(index for index in found.onset[trace] if index != traces.ABSENT)
        assert found.before[trace].tolist() == [index < first for index in range(31)]


def test_neurons_windows_and_trials_can_be_chosen(tmp_path):
    change = {
        "neurons": {"source": "/trials/good", "equals": [1]},
        "trials": {"window_s": [-0.05, 0.1]},
        "keep": {"source": "/trials/repeat", "equals": [0, 1, 2]},
        "drop": {"trial_type": [5, "2"]},
        "baseline_s": [-0.05, 0],
    }
    tree = simulated()
    group = made(tree, SIMULATED | change, tmp_path)["features"].dataset
    rows = [row for row in range(15) if row % 5 + 1 not in (2, 5)]
    assert group["source"].values.tolist() == rows
    assert group["neuron"].values.tolist() == ["0", "2"]
    assert group["trial_type"].values.tolist() == [str(row % 5 + 1) for row in rows]
    assert json.loads(group.attrs["dropped"]) == {"of another kind": 8, "of a type left out": 6}
    assert json.loads(group.attrs["baseline_s"]) == [-0.05, 0]
    assert group["time"].values == pytest.approx(-0.05 + 0.01 * np.arange(15))
    part = tree["trials/raster"].values[rows, 50:200][..., [0, 2]]
    assert (group["signal"].values == part.reshape(len(rows), 15, 10, 2).sum(axis=2)).all()


def dopamine(neuron=0, trials=30):
    """Shape B: times of spikes of one unit, odours, types as published with one that is none, and rewards."""
    generator = np.random.default_rng(neuron)
    odour = 10.0 + 12.0 * np.arange(trials)
    kind = generator.permutation(np.tile(np.arange(1, 16), 2))[:trials].astype(float)
    kind[3] = np.nan
    spikes = np.sort(np.round(generator.uniform(0, odour[-1] + 10, 4000), 3))
    events = {"odor_on": ("event", odour, S), "trial_type": ("event", kind, ONE)}
    return recording({"spikes": ({"time": ("spike", spikes, S)}, {}), "events": (events, {})})


DOPAMINE = {
    "source": "/spikes/time",
    "bin_ms": 25,
    "trials": {"around": "/events/odor_on", "window_s": [-1, 2.1]},
    "trial_type": "/events/trial_type",
    "drop": {"trial_type": [15]},
    "events": {
        "cue": {"source": "/events/odor_on", "when": {"source": "/events/trial_type", "equals": list(range(8, 15))}},
        "reward_unexpected": {"at_s": 0, "when": {"source": "/events/trial_type", "equals": list(range(1, 8))}},
        "reward_expected": {"at_s": 1.5, "when": {"source": "/events/trial_type", "equals": list(range(8, 15))}},
    },
    "covariates": {
        "reward": {"source": "/events/trial_type", "map": {1: 0, 2: 0.3, 8: 0.1, 14: 20}, "transform": "log"}
    },
    "baseline_s": [-1, 0],
}


def test_trials_of_spike_times_are_those_published(tmp_path, capsys):
    """124 bins of 25 ms from -1 s; types 1 to 7 have a reward at 0, 8 to 14 a cue at 0 and a reward at 1.5 s."""
    tree = dopamine()
    tree_made = made(tree, DOPAMINE, tmp_path)
    group = tree_made["features"].dataset
    kinds = tree["events/trial_type"].values
    rows = np.flatnonzero(np.isin(kinds, np.arange(1, 15)))
    assert group["source"].values.tolist() == rows.tolist()
    assert group["signal"].shape == (len(rows), 124, 1)
    assert json.loads(group.attrs["dropped"]) == {"without a label": 1, "of a type left out": int((kinds == 15).sum())}
    spikes = tree["spikes/time"].values
    for trial, row in enumerate(rows):
        milliseconds = np.round((spikes - tree["events/odor_on"].values[row]) * 1000).astype(int) + 1000
        inside = milliseconds[(milliseconds >= 0) & (milliseconds < 3100)]
        assert (group["signal"].values[trial, :, 0] == np.bincount(inside // 25, minlength=124)).all()
        onset = [(0.0, 1)] if kinds[row] < 8 else [(0.0, 0), (1.5, 2)]
        found = zip(group["onset"].values[trial], group["event_kind"].values[trial])
        assert [pair for pair in found if pair[1] >= 0] == onset
    expected = [{1: np.nan, 2: np.log(0.3), 8: np.log(0.1), 14: np.log(20)}.get(kinds[row], np.nan) for row in rows]
    assert tree_made["trials/reward"].values == pytest.approx(np.array(expected), nan_ok=True)
    infinite = int((kinds[rows] == 1).sum())
    assert json.loads(group.attrs["infinite"]) == {"reward": infinite}
    assert f"covariate reward: {infinite} infinite values" in capsys.readouterr().err


@pytest.mark.parametrize(("offset_s", "expected"), [(0.0, 40), (-0.001, 39)])
def test_an_event_at_0_is_in_bin_40_and_one_ms_earlier_in_the_published_39(tmp_path, offset_s, expected):
    """Published index: onset + 1000 - 1 = millisecond 999, which is in bin 39 of 25 ms."""
    change = {"events": {"cue": {"source": "/events/odor_on", "offset_s": offset_s}}}
    stores = {"r": made(dopamine(), DOPAMINE | change, tmp_path)}
    found = traces.join(gathered(stores, DOPAMINE | change), {"r": np.arange(20)})
    assert (found.onset == expected).all()


def test_times_that_the_reader_left_in_ms_are_scaled(tmp_path):
    tree = dopamine()
    whole = made(tree, DOPAMINE, tmp_path, "seconds")["features"].dataset
    for path in ("spikes/time", "events/odor_on"):
        group, name = path.split("/")
        found = tree[path]
        ms = (found.dims, np.round(found.values * 1000).astype(int), {"units": "s", "scale": 0.001})
        tree[group] = tree[group].dataset.assign({name: ms})
    scaled = made(tree, DOPAMINE, tmp_path, "scaled")["features"].dataset
    assert scaled.identical(whole)


def test_units_are_told_apart_and_silent_trials_kept_unless_asked(tmp_path):
    times, units = np.array([1.0, 1.2, 5.3]), np.array([7, 3, 7])
    group = {"time": ("spike", times, S), "unit": ("spike", units, ONE), "neuron": ("neuron", [3, 7, 9], ONE)}
    tree = recording({"spikes": (group, {}), "events": ({"go": ("event", np.array([1.0, 3.0, 5.0]), S)}, {})})
    settings = {
        "source": "/spikes/time",
        "bin_ms": 100,
        "trials": {"around": "/events/go", "window_s": [0, 0.45]},  # a rest of half a bin
    }
    found = made(tree, settings, tmp_path)["features"].dataset
    assert found["neuron"].values.tolist() == ["3", "7", "9"]
    assert found["signal"].values.transpose(0, 2, 1).tolist() == [
        [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0]] * 3,
        [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]],
    ]
    assert found["trial_type"].values.tolist() == ["all"] * 3
    spoken = made(tree, settings | {"drop": {"silent": True}}, tmp_path, "spoken")["features"].dataset
    assert spoken["source"].values.tolist() == [0, 2]
    assert json.loads(spoken.attrs["dropped"]) == {"without a spike": 1}


def continuous(rate=20.0, seconds=60.0, seed=0):
    """Shape C: two signals, cues that are not on the samples' grid, one with its trial cut by the end."""
    generator = np.random.default_rng(seed)
    signal = generator.normal(size=(int(rate * seconds), 2))
    events = {
        "cue": ("event", np.array([4.01, 17.72, 31.38, 46.5, 59.0]), S),
        "lick": ("event", np.array([4.6, 5.2, 18.9, np.nan, np.nan]), S),
        "size": ("event", np.array([1.0, 2.0, 1.0, 2.0, 2.0]), ONE),
    }
    imaging = ({"dff": (("time", "roi"), signal, ONE), "roi": ("roi", np.array(["a", "b"], object))}, {})
    imaging[1].update(rate_hz=rate, start_s=0.5)
    return recording({"imaging": imaging, "events": (events, {})})


CONTINUOUS = {
    "source": "/imaging/dff",
    "kind": "values",
    "bin_ms": None,
    "trials": {"around": "/events/cue", "window_s": [-1, 3]},
    "events": {"cue": {"source": "/events/cue"}, "lick": {"source": "/events/lick"}},
    "trial_type": "/events/size",
    "split": {"folds": 2},
}


def test_samples_and_events_of_continuous_signals_stay_together(tmp_path):
    """The bin of an event is the last sample at or before it, whichever sample its trial begins at."""
    tree = continuous()
    stores = {"r": made(tree, CONTINUOUS, tmp_path)}
    group = stores["r"]["features"].dataset
    signal, times = tree["imaging/dff"].values.astype("f4"), 0.5 + np.arange(1200) / 20
    assert group["neuron"].values.tolist() == ["a", "b"]
    assert group["source"].values.tolist() == [0, 1, 2, 3]
    assert json.loads(group.attrs["dropped"]) == {"cut by the ends of the recording": 1}
    assert group.attrs["most_counts"] == 0
    found = traces.join(gathered(stores, CONTINUOUS), {"r": np.arange(4)})
    for trace in range(len(found)):
        cue = tree["events/cue"].values[found.row[trace]]
        sample = np.flatnonzero(times <= cue)[-1]
        assert (found.signal[trace] == signal[sample - 20 : sample + 60, found.neuron[trace]]).all()
        for onset, kind in zip(found.onset[trace], found.event_kind[trace]):
            if kind >= 0:
                name = found.events[kind]
                onsets = [np.flatnonzero(times <= t)[-1] for t in tree[f"events/{name}"].values if np.isfinite(t)]
                assert sample - 20 + onset in onsets
    assert (found.event_kind == 1).sum() == 3 * 2


def test_padding_is_never_valid(tmp_path):
    change = {"trials": {"around": "/events/cue", "window_s": [-1, 3], "ends": "pad"}}
    stores = {"r": made(continuous(), CONTINUOUS | change, tmp_path)}
    found = traces.join(gathered(stores, CONTINUOUS | change), {"r": np.array([4])})
    # the cue at 59 s is sample 1170 of 1200: 20 before and 30 from it
    assert found.valid.sum(axis=1).tolist() == [50, 50]
    assert found.valid[:, :50].all()


def test_ragged_trials_are_valid_as_long_as_they_last(tmp_path):
    generator = np.random.default_rng(1)
    signal = generator.normal(size=(6, 32, 2)).astype("f4")
    lengths = np.array([32, 17, 30, 9, 31, 4])
    for trial, length in enumerate(lengths):
        signal[trial, length:] = np.nan
    tree = recording({"trials": ({"dff": (("trial", "time", "roi"), signal, ONE)}, {"rate_hz": 20.0, "start_s": 0.0})})
    settings = {"source": "/trials/dff", "kind": "values", "bin_ms": 100, "split": {"folds": 2}}
    stores = {"r": made(tree, settings, tmp_path)}
    found = traces.join(gathered(stores, settings), {"r": np.arange(6)})
    assert found.valid.sum(axis=1).tolist() == np.repeat(lengths // 2, 2).tolist()
    expected = signal[0, :, 1].reshape(16, 2).mean(axis=1)
    assert found.signal[1] == pytest.approx(expected, rel=1e-6)  # float32


def test_consecutive_windows_hold_everything_once(tmp_path):
    change = {"trials": {"every_s": 1.5}, "trial_type": None, "split": {"by": "block", "folds": 3}}
    tree = continuous()
    stores = {"r": made(tree, CONTINUOUS | change, tmp_path)}
    group = stores["r"]["features"].dataset
    assert (group["signal"].values.reshape(1200, 2) == tree["imaging/dff"].values.astype("f4")).all()
    assert np.isfinite(group["onset"].values).sum() == 5 + 3
    absolute = group["onset"].values + group["zero_s"].values[:, None]
    events = np.concatenate([tree["events/cue"].values, tree["events/lick"].values])
    assert np.sort(absolute[np.isfinite(absolute)]) == pytest.approx(np.sort(events[np.isfinite(events)]))
    for fold in gathered(stores, CONTINUOUS | change).folds:  # one window apart
        parts = [row_indices(fold.rows(part)["r"]) for part in ("train", "validation", "test")]
        assert min(np.abs(a[:, None] - b[None]).min() for a, b in ((parts[0], parts[2]), (parts[1], parts[2]))) > 1


def test_normalising_is_neuron_by_neuron_and_said_to_be_transductive(tmp_path):
    tree = continuous()
    signal = tree["imaging/dff"].values
    change = {"trials": {"every_s": 60.0}, "trial_type": None}
    centred = made(tree, CONTINUOUS | change | {"normalise": "minmax_centred"}, tmp_path)["features"].dataset
    unit = (signal - signal.min(axis=0)) / (signal.max(axis=0) - signal.min(axis=0))
    assert centred["signal"].values[0] == pytest.approx((unit - unit.mean(axis=0)).astype("f4"), abs=1e-6)
    assert json.loads(centred.attrs["transductive"]) == ["normalise: minmax_centred"]
    scored = made(tree, CONTINUOUS | change | {"normalise": "zscore"}, tmp_path, "z")["features/signal"].values[0]
    assert scored == pytest.approx(((signal - signal.mean(axis=0)) / signal.std(axis=0)).astype("f4"), abs=1e-5)


def test_photometry_is_corrected_before_trials_are_cut(tmp_path):
    generator = np.random.default_rng(0)
    time = np.arange(20_000) / 20
    motion = np.convolve(generator.normal(size=len(time)), np.ones(20) / 20, "same")
    signal = np.stack([2 + np.exp(-time / 300) + 0.3 * motion, 1 + 0.5 * np.exp(-time / 400) + motion], axis=1)
    tree = continuous(seconds=1000.0)
    tree["imaging"] = xr.Dataset(
        {"volts": (("time", "roi"), np.round(signal * 1e4).astype("i2"), {"units": "V", "scale": 1e-4})},
        coords={"roi": np.array(["a", "b"], object)},
        attrs={"rate_hz": 20.0, "start_s": 0.5},
    )
    change = {
        "source": "/imaging/volts",
        "photometry": {"lowpass_hz": 5, "fibres": {"dls": {"signal": "a", "second": "b"}}},
    }
    group = made(tree, CONTINUOUS | change, tmp_path)["features"].dataset
    assert group["neuron"].values.tolist() == ["dls"]
    assert np.abs(group["signal"].values).max() < 2e-3  # bleaching and motion are all there is, of up to 0.3 V
    assert json.loads(group.attrs["transductive"]) == ["photometry: bleaching and motion"]
    default = made(tree, CONTINUOUS | change | {"photometry": {"lowpass_hz": 5}}, tmp_path, "default")["features"]
    assert default["neuron"].values.tolist() == ["a"]
    assert (default["signal"].values == group["signal"].values).all()


def test_bins_outside_a_behaviour_are_missing(tmp_path):
    """1 s windows of spikes; whisking from 1.05 to 2.5 s and from 3.0 s on, tracked from 0.5 to 4.0 s at 200 Hz."""
    track = 0.5 + np.arange(700) / 200
    whisking = ((track >= 1.05) & (track < 2.5)) | (track >= 3.0)
    groups = {
        "spikes": ({"time": ("spike", np.linspace(0.01, 4.99, 300), S)}, {}),
        "behaviour": ({"whisking": ("time", whisking)}, {"rate_hz": 200.0, "start_s": 0.5}),
    }
    settings = {
        **{"source": "/spikes/time", "bin_ms": 100},
        "trials": {"every_s": 1.0, "observed_s": [0, 5]},
        "inside": {"source": "/behaviour/whisking", "threshold": 0.5, "share": 0.6},
    }
    group = made(recording(groups), settings, tmp_path)["features"].dataset
    assert group["source"].values.tolist() == [1, 2, 3]
    assert json.loads(group.attrs["dropped"]) == {"without a valid bin": 2}
    valid = np.isfinite(group["signal"].values[..., 0])
    assert valid[0].tolist() == [False] + [True] * 9  # half a bin is less than the share asked for
    assert valid[1].tolist() == [True] * 5 + [False] * 5
    assert valid[2].all()
    whole = made(recording(groups), settings | {"inside": settings["inside"] | {"share": 1}}, tmp_path, "whole")
    assert (np.isfinite(whole["features/signal"].values[..., 0]) == valid).all()


def test_masks_of_trials_cut_already_have_their_own_clock(tmp_path):
    tree = simulated()
    whisking = np.random.default_rng(2).random((23, 310)) < 0.9
    tree["trials"] = tree["trials"].dataset.assign(whisking=(("trial", "time"), whisking))
    change = {"inside": {"source": "/trials/whisking", "threshold": 0.5, "share": 0.85}}
    signal = made(tree, SIMULATED | change, tmp_path)["features/signal"].values
    assert (np.isfinite(signal[..., 0]) == (whisking.reshape(23, 31, 10).sum(axis=2) >= 9)).all()


def test_continuous_rasters_are_summed_like_trials(tmp_path):
    raster = np.random.default_rng(0).integers(0, 2, (4000, 3)).astype("u1")
    go = np.array([0.5, 2.0, 3.25])
    groups = {
        "ephys": ({"raster": (("time", "channel"), raster, ONE)}, {"rate_hz": 1000.0, "start_s": 0.0}),
        "events": ({"go": ("event", go, S)}, {}),
    }
    settings = {"source": "/ephys/raster", "bin_ms": 20, "trials": {"around": "/events/go", "window_s": [-0.1, 0.3]}}
    signal = made(recording(groups), settings, tmp_path)["features/signal"].values
    for trial, first in enumerate((400, 1900, 3150)):
        assert (signal[trial] == raster[first : first + 400].reshape(20, 20, 3).sum(axis=1)).all()


def test_entries_choose_their_own_events(tmp_path):
    """An event is chosen by its own entry where there is one, and else by its trial."""
    tree = simulated()
    kind = np.random.default_rng(0).integers(0, 3, (23, 2))
    tree["trials"] = tree["trials"].dataset.assign(kind=(("trial", "event"), kind, ONE))
    events = {
        "big": {"source": "/trials/reward_s", "when": {"source": "/trials/kind", "equals": [2]}},
        "early": {"source": "/trials/reward_s", "when": {"source": "/trials/repeat", "equals": [0]}},
    }
    group = made(tree, SIMULATED | {"events": events}, tmp_path)["features"].dataset
    present = np.isfinite(tree["trials/reward_s"].values)
    assert (group["event_kind"].values == 0).sum() == (present & (kind == 2)).sum()
    assert (group["event_kind"].values == 1).sum() == present[:5].sum()


def test_the_published_split_tests_the_last_types(tmp_path):
    """80 % in the order of trial types train, the last 20 % are tested: the largest expected rewards."""
    settings = DOPAMINE | {"split": {"by": "published_order", "folds": 1}}
    stores = {f"n{i}": made(dopamine(i), settings, tmp_path, f"n{i}") for i in range(2)}
    (fold,) = gathered(stores, settings).folds
    for name, tree in stores.items():
        kinds = tree["features/trial_type"].values.astype(float)
        order = sorted(range(len(kinds)), key=lambda row: (kinds[row], row))
        assert row_indices(fold.test[name]).tolist() == sorted(order[int(0.8 * len(kinds)) :])
        train, validation = row_indices(fold.train[name]), row_indices(fold.validation[name])
        assert kinds[row_indices(fold.test[name])].min() >= kinds[np.concatenate([train, validation])].max()
        assert kinds[row_indices(fold.test[name])].min() > 10
        assert sorted([*train, *validation, *row_indices(fold.test[name])]) == list(range(len(kinds)))


def test_a_covariate_can_name_the_test_trials(tmp_path):
    settings = SIMULATED | {"split": {"by": "covariate", "folds": 1, "test": {"covariate": "repeat", "least": 3}}}
    stores = {"r": made(simulated(), settings, tmp_path)}
    (fold,) = gathered(stores, settings).folds
    assert row_indices(fold.test["r"]).tolist() == list(range(15, 23))
    assert len(row_indices(fold.validation["r"])) == round(0.15 * 15)


def test_one_subject_with_many_sessions_is_left_out(tmp_path):
    settings = SIMULATED | {"split": {"by": "subject", "folds": 3}}
    stores = {}
    for index, subject in enumerate("aabbbc"):
        tree = simulated(trials=7, seed=index)
        tree.attrs["subject"] = subject
        stores[f"r{index}"] = made(tree, settings, tmp_path, f"r{index}")
    found = gathered(stores, settings).folds
    assert [set(fold.test) for fold in found] == [{"r0", "r1"}, {"r2", "r3", "r4"}, {"r5"}]


@pytest.mark.parametrize("split", [{"folds": 3}, {"by": "published_order", "folds": 1}])
def test_changed_test_trials_change_nothing_in_training(tmp_path, split):
    settings = SIMULATED | {"split": split}
    before = {"r": made(simulated(), settings, tmp_path, "before")}
    fold = gathered(before, settings).folds[0]
    tree = simulated()
    test = row_indices(fold.test["r"])
    tree["trials/raster"].values[test] = 1 - tree["trials/raster"].values[test]
    tree["trials/cue_s"].values[test] += 0.03
    after = {"r": made(tree, settings, tmp_path, "after")}
    assert gathered(after, settings).folds == gathered(before, settings).folds
    for part in ("train", "validation"):
        one, other = (traces.load(gathered(stores, settings), 0, part) for stores in (before, after))
        for name in ("signal", "valid", "before", "onset", "event_kind", "row", "trial_type"):
            assert (getattr(one, name) == getattr(other, name)).all()
    one, other = (traces.load(gathered(stores, settings), 0, "test") for stores in (before, after))
    assert (one.signal != other.signal).any()


def test_equal_recordings_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        made(dopamine(), DOPAMINE, tmp_path, name)
    assert store.digest(tmp_path / "one.zarr") == store.digest(tmp_path / "two.zarr")


@pytest.mark.parametrize(
    ("tree", "base", "change", "error", "message"),
    [
        (simulated, SIMULATED, {"source": "/trials/rastr"}, MissingError, "one of .*/trials/raster"),
        (simulated, SIMULATED, {"bin_ms": 2.5}, DataError, "multiple of the sample of 1 ms, found 2.5 ms"),
        (simulated, SIMULATED, {"source": "/trials/cue_s"}, DataError, r"expected axes \(trial, time, neuron\)"),
        (simulated, SIMULATED, {"trials": {"window_s": [-0.2, 0.1]}}, DataError, "a part of -0.1 to 0.21 s"),
        (simulated, SIMULATED, {"bin_ms": 400}, DataError, "at least one bin"),
        (simulated, SIMULATED, {"drop": {"trial_type": [1, 2, 3, 4, 5]}}, DataError, "none left of 23"),
        (simulated, SIMULATED, {"neurons": {"source": "/trials/good", "equals": [2]}}, DataError, "values among 2"),
        (simulated, SIMULATED, {"most_counts": 1}, DataError, "at most 1 spikes in a bin of 10 ms"),
        (simulated, SIMULATED, {"baseline_s": [-0.5, -0.2]}, DataError, "baseline_s: expected a window in trials"),
        (simulated, SIMULATED, {"trial_type": "/trials/good"}, DataError, r"\(trial\) of 23"),
        (simulated, SIMULATED, {"trials": {"every_s": 0.1}}, DataError, "cut already"),
        (simulated, SIMULATED, {"events": {"cue": {"source": "/trials/cue_s", "offset_s": 9}}}, DataError, "23 times"),
        (
            dopamine,
            DOPAMINE,
            {"events": {"cue": {"source": "/events/odor_on", "offset_s": 1e4}}},
            DataError,
            "30 times",
        ),
        (dopamine, DOPAMINE, {"trials": {"every_s": 1.0}}, DataError, "`observed_s` for a continuous"),
        (dopamine, DOPAMINE, {"trials": {}}, DataError, "`around` or `every_s` for a continuous"),
        (dopamine, DOPAMINE, {"kind": "values"}, DataError, "`kind: counts` for times of spikes"),
        (continuous, CONTINUOUS, {"kind": "counts", "bin_ms": 50}, DataError, "counts: whole numbers from 0"),
        (continuous, CONTINUOUS, {"trials": {"every_s": 1.01}}, DataError, "multiple of the bin of 0.05 s"),
        (continuous, CONTINUOUS, {"trials": {"every_s": 1.0}}, DataError, "no variable of trials with `every_s`"),
    ],
)
def test_wrong_settings_get_one_clear_error(tmp_path, tree, base, change, error, message):
    with pytest.raises(error, match=message):
        made(tree(), base | change, tmp_path)
    assert not list(tmp_path.iterdir())


def test_recordings_that_cannot_be_used_are_refused(tmp_path):
    tree = simulated()
    frames = np.array([0.0, 0.1, 0.2, 0.9, 1.0])
    tree["imaging"] = xr.Dataset(
        {"dff": (("time", "roi"), np.zeros((5, 1)), ONE), "odd": ("time", np.array([0, 1, np.inf, 0, 0]), ONE)},
        coords={"time": frames},
    )
    tree["behaviour"] = xr.Dataset(
        {"odd": ("time", np.array([0, np.inf]), ONE)}, attrs={"rate_hz": 9.0, "start_s": 0.0}
    )
    tree["spikes"] = xr.Dataset({"ms": ("spike", np.zeros(2), {"units": "ms"})})
    values = {"kind": "values", "bin_ms": None, "trials": {"every_s": 0.1}}
    low = {"covariates": {"low": {"source": "/trials/cue_s", "transform": "log"}}}
    for settings, message in [
        ({"source": "/imaging/dff"} | values, "up to 0.3 s from even steps of 0.25 s"),
        ({"source": "/behaviour/odd"} | values, "1 infinite ones"),
        ({"source": "/spikes/ms"}, "times in 'ms'"),
        (SIMULATED | low, "covariates.low: expected values from 0"),
        (SIMULATED | {"trials": {"window_s": [0, 0.1]}, "inside": {"source": "/trials/size", "threshold": 0}}, "axes"),
    ]:
        with pytest.raises(DataError, match=message):
            made(tree, settings, tmp_path)


def test_spikes_of_units_without_a_name_are_refused(tmp_path):
    group = {"time": ("spike", np.ones(2), S), "unit": ("spike", np.array([3, 4]), ONE), "neuron": ("neuron", [3], ONE)}
    settings = {"source": "/spikes/time", "trials": {"every_s": 1.0, "observed_s": [0, 3]}}
    with pytest.raises(DataError, match="units among 3, found 4"):
        made(recording({"spikes": (group, {})}), settings, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": "raster"}, "unknown 'values'"),
        ({"normalise": "zscore"}, "counts with `bin_ms`"),
        ({"events": {"cue": {}}}, "either `source` or `at_s`"),
        ({"trials": {"around": "/events/cue"}}, "`window_s` with `around`"),
        ({"split": {"by": "published_order"}}, "`folds: 1` with `by: published_order`"),
        ({"split": {"by": "stratified", "folds": 1}}, "`folds` of at least 2"),
        ({"split": {"by": "covariate", "folds": 1, "test": {"covariate": "x", "least": 1}}}, "among the covariates"),
        ({"covariates": {"trial": {"source": "/trials/trial"}}}, "another name than `trial`"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        config.parse(Settings, change, "preprocess")


def test_labels_are_the_same_as_numbers_and_as_text():
    one = Settings.model_validate({"keep": {"source": "/a/b", "equals": [1, 2.0, "3", 0.5, True]}})
    assert one.keep.equals == ["1", "2", "3", "0.5", "1"]
    number, text = ({"x": {"source": "/a/b", "map": {key: 0.1}}} for key in (1, "1"))
    assert Settings.model_validate({"covariates": number}) == Settings.model_validate({"covariates": text})
    with pytest.raises(ValidationError):
        Settings.model_validate({"keep": {"source": "/a/b", "equals": []}})
