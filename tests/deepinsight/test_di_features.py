"""Features of DeepInsight: targets of every kind, missing samples, spikes on rows, trials."""

import itertools
import json

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

import recordings
from pellucid import schema, store
from pellucid.artifacts import row_indices
from pellucid.errors import DataError, MissingError
from pellucid.stages.convert import convert
from pellucid.systems.deepinsight.features.collect import collect
from pellucid.systems.deepinsight.features.extract import extract, plan
from pellucid.systems.deepinsight.features.settings import Settings

RATE, BLOCK, SECONDS = 250.0, 10, 60
SAMPLES = int(RATE * SECONDS) + 7  # the last row is shorter
START = 2.0
LIGHTS = {"position": {"source": "/behaviour/led", "kind": "position", "units": "px"}}
TETRODES = ["a", "a", "b", "b", "b"]


def made(signal=None, **groups):
    """A recording of five channels of noise and a light on a circle, with further groups."""
    generator = np.random.default_rng(3)
    if signal is None:
        signal = generator.integers(-100, 101, (SAMPLES, 5)).astype(np.int8)
    times = START + np.arange(SECONDS * 50) / 50
    centre = 100 + 30 * np.stack([np.cos(times), np.sin(times)], axis=1)
    lights = np.concatenate([centre, centre + np.array([0.0, 4.0])], axis=1)
    channels = np.array([f"c{i}" for i in range(signal.shape[1])], object)
    tree = {
        "/ephys": xr.Dataset(
            {"signal": (("time", "channel"), signal, {"units": "uV", "scale": 0.5})},
            coords={"channel": channels},
            attrs={"rate_hz": RATE, "start_s": START},
        ),
        "/behaviour": timed(times, led=lights),
        **groups,
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=dict.fromkeys(schema.RECORDING_ATTRIBUTES, "x")), **tree})


def timed(times, **variables):
    """A group with a clock of its own."""
    found = {
        name: (("time", "output")[: values.ndim], values, {"units": "1"}) if values.dtype.kind != "O" else values
        for name, values in variables.items()
    }
    return xr.Dataset(found, coords={"time": ("time", times, {"units": "s"})})


def typed(**changes):
    """Settings for `made`, with some of them changed."""
    wavelets = {"block_samples": BLOCK, "lowest_hz": 8.0}
    split = {"folds": 2, "purge_rows": 5}
    return Settings.model_validate({"targets": LIGHTS, "wavelets": wavelets, "split": split, **changes})


def power(recording, settings):
    """The power of all rows of a recording."""
    return np.concatenate(list(plan(recording, settings).blocks()))


def features(recording, settings):
    """All features of a recording but power."""
    return plan(recording, settings).template["features"].to_dataset()


def test_rows_of_a_plan_do_not_depend_on_how_it_is_cut():
    signal = np.random.default_rng(0).standard_normal((SAMPLES, 5)).astype(np.float32)
    signal[500:900, 2] = np.nan
    for settings in (typed(), typed(missing={"most_share": 0.3})):
        found = plan(made() if settings.missing is None else made(signal), settings)
        assert found.rows == -(-SAMPLES // BLOCK)
        whole = np.concatenate(list(found.blocks()))
        assert whole.shape == found.template["features/power"].shape
        borders = [0, 1, 333, 334, 1200, found.rows]
        cut = [block for a, b in itertools.pairwise(borders) for block in found.blocks(a, b)]
        assert (np.concatenate(cut) == whole).all()


def test_with_nothing_missing_power_is_the_same():
    recording = made()
    settings = typed(missing={"rail": [-128, 127], "mask_s": []})
    assert (power(recording, settings) == power(recording, typed())).all()
    assert (features(recording, settings)["missing"].values == 0).all()
    assert features(recording, settings)["intact"].values.all()


def test_what_lies_in_a_mask_is_never_seen():
    quiet = made()["ephys/signal"].values
    loud = quiet.copy()
    inside = slice(int(20 * RATE), int(31 * RATE))
    loud[inside] = np.random.default_rng(4).integers(-128, 128, loud[inside].shape)
    settings = typed(missing={"mask_s": [[START + 20, START + 31]]})
    found = power(made(quiet), settings)
    assert (power(made(loud), settings) == found).all()

    group = features(made(quiet), settings)
    intact, share = group["intact"].values, group["missing"].values
    reach = group.attrs["reach_rows"]
    masked = np.arange(len(intact)) * BLOCK / RATE
    masked = (masked >= 20) & (masked < 31)
    assert (share == masked).all()
    widened = np.convolve(masked, np.ones(2 * reach + 1), "same") > 0
    assert reach > 5
    assert (intact == ~widened).all()
    assert (group["scored"].values <= intact).all()
    # beyond the reach, 5 scales of the lowest band, the mask weighs less than exp(-12)
    assert found[intact] == pytest.approx(power(made(quiet), typed())[intact], rel=1e-3, abs=1e-2)
    assert np.abs(found[masked] / power(made(quiet), typed())[masked] - 1).max() > 0.5


def test_clipped_samples_are_counted_and_rows_full_of_them_left_out():
    signal = made()["ephys/signal"].values.copy()
    signal[5000:5004, 1] = 127
    signal[5010:5018] = -128
    settings = typed(missing={"rail": [-128, 127], "most_share": 0.1})
    group = features(made(signal), settings)
    share = group["missing"].values
    assert share.dtype == np.float32
    assert share[[500, 501]] == pytest.approx([4 / 50, 8 / 10])
    assert share.sum() == pytest.approx(0.88)
    assert np.flatnonzero(~group["intact"].values).tolist() == [501]
    filled = signal.astype(float)
    gone = (signal == 127) | (signal == -128)
    for c in range(5):
        filled[gone[:, c], c] = np.interp(
            np.flatnonzero(gone[:, c]), np.flatnonzero(~gone[:, c]), signal[~gone[:, c], c]
        )
    assert power(made(signal), settings) == pytest.approx(power(made(filled), typed()), rel=1e-4, abs=1e-3)


def test_scales_and_folds_leave_masked_rows_out(tmp_path):
    settings = typed(missing={"mask_s": [[START + 20, START + 40]]}, window_rows=8)
    recording = made()
    extract(recording, settings, tmp_path / "r.zarr")
    stored = store.open_store(tmp_path / "r.zarr")
    found = collect({"r": stored}, settings)
    group = stored["features"].to_dataset()
    scored, rows = group["scored"].values, group.sizes["time"]
    assert [fold.test["r"] for fold in found.folds] == [[(0, rows // 2)], [(rows // 2, rows)]]
    for fold in found.folds:
        for part in (fold.train, fold.validation, fold.test):
            assert scored[row_indices(part["r"])].sum() > 0.1 * scored.sum() / 2
    changed = group["power"].values.copy()
    changed[~group["intact"].values] *= 1000
    tree = xr.DataTree.from_dict({"/features": group.assign(power=(group["power"].dims, changed))})
    again = collect({"r": tree}, settings)
    for name in ("median", "mad"):
        assert (again.statistics[name].values == found.statistics[name].values).all()
    train = row_indices(found.folds[0].train["r"])
    kept = group["power"].values[train[group["intact"].values[train]]]
    assert found.statistics["median"].values[0] == pytest.approx(np.median(kept, axis=0))


def test_tracked_lights_become_position_heading_and_speed():
    targets = {
        "place": {"source": "/behaviour/led", "kind": "position", "scale": 0.1, "units": "cm"},
        "head": {"source": "/behaviour/led", "kind": "heading"},
        "speed": {"source": "/behaviour/led", "kind": "speed", "scale": 0.1, "units": "cm/s"},
    }
    group = features(made(), typed(targets=targets))
    assert group["label"].values.tolist() == ["place_x", "place_y", "head", "speed"]
    assert group["target"].values.tolist() == ["place", "place", "head", "speed"]
    times, found = group["time"].values, group["behaviour"].values
    assert times[1] - times[0] == pytest.approx(BLOCK / RATE)
    known = group["scored"].values
    assert known.sum() >= len(times) - 2  # rows after the last tracked sample are not scored
    times, found = times[known], found[known]
    assert found[:, 0] == pytest.approx(10 + 3 * np.cos(times), abs=1e-3)
    assert found[:, 1] == pytest.approx(10.2 + 3 * np.sin(times), abs=1e-3)
    assert found[:, 2] == pytest.approx(np.full(len(times), np.pi / 2), abs=1e-6)
    assert found[:, 3] == pytest.approx(np.full(len(times), 3.0), rel=1e-3)
    described = json.loads(group.attrs["targets"])
    assert (described["head"]["kind"], described["place"]["units"]) == ("angle", "cm")


def test_rows_in_long_gaps_of_tracking_are_not_scored():
    recording = made()
    lights = recording["behaviour/led"].values
    lights[500:540] = np.nan  # 0.8 s, bridged
    lights[1000:1200, :2] = np.nan  # one light of two
    lights[2000:2100] = np.nan  # 2 s
    group = features(recording, typed())
    times = group["time"].values - START
    lost = (times > 2000 / 50 - 0.02) & (times < 2100 / 50)
    assert not group["scored"].values[lost].any()
    assert np.isnan(group["behaviour"].values[lost]).all()
    assert group["scored"].values[~lost & (times < 59.9)].all()
    value = {"led": {"source": "/behaviour/led"}}
    assert features(recording, typed(targets=value))["scored"].values[:-2].all()  # bridged, as published
    value["led"]["most_gap_s"] = 1.0
    assert not features(recording, typed(targets=value))["scored"].values[lost].any()


def test_tones_are_logarithms_and_silence_is_minus_one():
    times = START - 1 + np.arange(0, SECONDS + 2, 0.01)
    tone = np.where(np.arange(len(times)) // 50 % 3 == 0, np.nan, 8000.0)
    tone[np.arange(len(times)) // 50 % 3 == 1] = 0
    targets = {"tone": {"source": "/stimulus/tone", "kind": "tone", "scale": 0.001, "units": "kHz"}}
    group = features(made(**{"/stimulus": timed(times, tone=tone)}), typed(targets=targets))
    found = group["behaviour"].values[:, 0]
    assert set(np.unique(found)) == {np.float32(-1), np.float32(np.log10(8))}
    nearest = np.abs(group["time"].values[:, None] - times).argmin(axis=1)
    expected = nearest // 50 % 3 == 2
    assert ((found > 0) == expected).mean() > 0.999  # samples halfway between two
    assert json.loads(group.attrs["targets"])["tone"]["units"] == "log10(kHz)"


def test_stored_numbers_are_scaled_by_channel_and_by_variable():
    recording = made()
    tree = {group.path: group.to_dataset(inherit=False) for group in recording.subtree}
    gains = np.array([0.5, 1, 2, 4, 8])
    signal = tree["/ephys"]["signal"]
    apart = xr.DataArray(signal.values * gains, dims=signal.dims, attrs={"units": "uV"})
    tree["/ephys"] = tree["/ephys"].assign(signal=signal.variable.copy(deep=True))
    del tree["/ephys"]["signal"].attrs["scale"]
    tree["/ephys"] = tree["/ephys"].assign_coords(scale=("channel", gains))
    tree["/behaviour"]["led"].attrs["scale"] = 0.01
    found = plan(xr.DataTree.from_dict(tree), typed(bad_channels=["c1"]))
    expected = made(apart.values)
    del expected["ephys"]["signal"].attrs["scale"]
    whole = np.concatenate(list(found.blocks()))
    assert whole == pytest.approx(power(expected, typed(bad_channels=["c1"])), rel=1e-5)
    position, unscaled = (f["behaviour"].values for f in (found.template["features"], features(made(), typed())))
    assert np.nanmax(np.abs(position - 0.01 * unscaled)) < 1e-6


def trials(count=12, bins=7):
    """A feature recording of trials: amplitude, trial number, choice and position on one clock."""
    generator = np.random.default_rng(5)
    number = np.repeat(np.arange(3, 3 + count), bins)
    choice = (number % 3 == 0).astype(float)
    amplitude = generator.standard_normal((count * bins, 4)).astype(np.float32)
    variables = {"trial": number.astype(float), "choice": choice, "position": generator.standard_normal(count * bins)}
    group = timed(np.arange(count * bins) * 0.1, **variables)
    return xr.DataTree.from_dict(
        {"/features": group.assign(amplitude=(("time", "channel"), amplitude, {"units": "1"}))}
    )


BINNED = {
    "transform": "none",
    "signal": "/features/amplitude",
    "targets": {
        "position": {"source": "/features/position"},
        "choice": {"source": "/features/choice", "kind": "choice"},
    },
    "trials": "/features/trial",
    "split": {"by": "group", "folds": 3, "purge_rows": 0},
}


def test_trials_are_the_groups_of_a_split(tmp_path):
    settings = Settings.model_validate(BINNED)
    recording = trials()
    recording["features/trial"].values[:7] = np.nan
    extract(recording, settings, tmp_path / "r.zarr")
    tree = store.open_store(tmp_path / "r.zarr")
    group = tree["features"].to_dataset()
    assert group["group"].values.tolist() == [-1] * 7 + np.repeat(np.arange(4, 15), 7).tolist()
    assert group["scored"].values.tolist() == [False] * 7 + [True] * 77
    assert group["behaviour"].values[:, 1].tolist() == np.where(np.repeat(np.arange(3, 15), 7) % 3 == 0, 1, -1).tolist()
    assert (group["power"].values[:, 0] == recording["features/amplitude"].values).all()
    for fold in collect({"r": tree}, settings).folds:
        parts = [set(group["group"].values[row_indices(p["r"])]) for p in (fold.train, fold.validation, fold.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 12


def test_missing_samples_of_features_are_interpolated():
    recording = trials()
    values = recording["features/amplitude"].values
    expected = values.copy()
    expected[11, 2] = (values[10, 2] + values[12, 2]) / 2
    values[11, 2] = np.nan
    settings = Settings.model_validate({**BINNED, "missing": {"most_share": 0.25}})
    found = plan(recording, settings)
    assert np.concatenate(list(found.blocks(5, 30)))[:, 0] == pytest.approx(expected[5:30])
    share = found.template["features/missing"].values
    assert (share[11], share.sum()) == (0.25, 0.25)


def spiking(times, units, **variables):
    """A group of spike times of three units."""
    found = {"spike_time": ("spike", np.asarray(times, float), {"units": "s"})}
    found["spike_unit"] = ("spike", np.asarray(units, np.int32), {"units": "1"})
    found |= {name: ("neuron", np.array(values, object)) for name, values in variables.items()}
    return xr.Dataset(found, coords={"neuron": np.array(["u1", "u2", "u3"], object)})


def grouped(recording):
    """The recording with the tetrode of each channel."""
    tree = {group.path: group.to_dataset(inherit=False) for group in recording.subtree}
    named = ("channel", np.array(TETRODES, object))
    return xr.DataTree.from_dict({**tree, "/ephys": tree["/ephys"].assign_coords(channel_group=named)})


def test_spikes_are_counted_in_the_block_of_each_row(tmp_path):
    generator = np.random.default_rng(6)
    times, units = START + generator.uniform(0, SAMPLES / RATE, 4000), generator.integers(0, 3, 4000)
    known = {"unit_class": ["place", "", "interneuron"], "unit_group": ["b", "a", ""]}
    recording = grouped(made(**{"/spikes": spiking(times, units, **known)}))
    settings = typed(spikes="/spikes", bad_channels=["c3"])
    extract(recording, settings, tmp_path / "r.zarr")
    group = store.open_store(tmp_path / "r.zarr")["features"].to_dataset()
    edges = START + np.append(np.arange(0, SAMPLES, BLOCK), SAMPLES) / RATE
    expected = np.histogram2d(times, units, [edges, np.arange(4) - 0.5])[0]
    assert group["spikes"].dtype == np.int32
    assert (group["spikes"].values == expected).all()
    assert group["spikes"].values.sum() == 4000
    assert group["neuron"].values.tolist() == ["u1", "u2", "u3"]
    assert group["unit_class"].values.tolist() == ["place", "", "interneuron"]
    assert group["channel_group"].values.tolist() == ["a", "a", "b", "b"]
    expected_channels = [[False, False, True, True], [True, True, False, False], [True] * 4]
    assert group["unit_channels"].values.T.tolist() == expected_channels
    targets = {"firing": {"source": "/spikes", "kind": "rate", "units": "Hz"}}
    rate = features(recording, typed(targets=targets))["behaviour"].values[:, 0]
    assert rate == pytest.approx(expected.sum(axis=1) / np.diff(edges))  # the last row is shorter
    plain = features(made(**{"/spikes": spiking(times, units, unit_group=["b", "a", ""])}), settings)
    assert plain["unit_channels"].values.all()  # no channel says which tetrode it is on
    assert plain["unit_class"].values.tolist() == ["", "", ""]


def lit(lights):
    """The recording with other lights."""
    times = START + np.arange(len(lights)) / 50
    return made(**{"/behaviour": timed(times, led=np.asarray(lights, float))})


BROKEN = [
    (lit(np.ones((3000, 2))), {"targets": {"h": {"source": "/behaviour/led", "kind": "heading"}}}, "no direction"),
    (
        lit(np.ones((3000, 4)) * [1, 1, np.nan, np.nan]),
        {"targets": {"h": {"source": "/behaviour/led", "kind": "heading"}}},
        "both lights",
    ),
    (lit(np.ones((3000, 3))), {}, r"time, 2 or 4.*shape \(3000, 3\)"),
    (lit(np.full((3000, 2), np.nan)), {}, "a light was tracked"),
    (made(), {"targets": {"t": {"source": "/behaviour/led", "kind": "tone"}}}, "one number per sample"),
    (made(), {"missing": {"rail": [0, 1]}}, "5 of 5 columns"),
    (made(), {"missing": {"mask_s": [[100, 120]]}}, "lasts from 2 to 62.028 s, found 100 to 120 s"),
    (made(), {"missing": {"mask_s": [[0, 1.9]]}}, "lasts from 2"),
    (made(), {"missing": {"mask_s": [[2.3, 61.9]]}}, "scored rows"),
    (made(**{"/spikes": spiking([3, 4], [0, 3])}), {"spikes": "/spikes"}, "3 units, 0 to 2, found 3"),
    (made(**{"/spikes": spiking([3000, 4], [0, 1])}), {"spikes": "/spikes"}, "1 of 2 spikes outside.*3000 s"),
    (
        grouped(made(**{"/spikes": spiking([3], [0], unit_group=["a", "d", "b"])})),
        {"spikes": "/spikes"},
        "groups of channels: a, b, found d",
    ),
]


@pytest.mark.parametrize(("recording", "changes", "message"), BROKEN)
def test_bad_input_gets_one_clear_error(recording, changes, message):
    with pytest.raises(DataError, match=message):
        plan(recording, typed(**changes))


def test_bad_trials_get_one_clear_error():
    for name, value, message in [
        ("choice", 2.0, "0 and 1"),
        ("choice", None, "both in trial 4"),
        ("trial", 0.5, "number of the trial"),
    ]:
        recording = trials()
        values = recording[f"features/{name}"].values
        values[10] = 1 - values[10] if value is None else value
        with pytest.raises(DataError, match=message):
            plan(recording, Settings.model_validate(BINNED))
    with pytest.raises(MissingError, match="/spikes/spike_time"):
        plan(made(), typed(spikes="/spikes"))


@pytest.mark.parametrize(
    "changes",
    [
        {"missing": {"rail": [5, -5]}},
        {"missing": {"mask_s": [[5, 5]]}},
        {"laps": {"source": "/a/b"}, "trials": "/a/c"},
        {"targets": {"c": {"source": "/a/b", "kind": "choice"}}},
        {"targets": {"v": {"source": "/a/b", "smooth_samples": 5}}},
        {"targets": {"t": {"source": "/a/b", "kind": "tone", "most_gap_s": 1}}},
        {"parts": 0},
    ],
)
def test_settings_that_mean_nothing_are_refused(changes):
    with pytest.raises(ValidationError):
        typed(**changes)


M851 = {
    "M851_140908t2rh.set": "bed4f27846330356660893bbd5ab25e1d16d635c5578a5fec8fef9e7c80550bb",
    "M851_140908t2rh.eeg": "c337dbd05fa54e798a1ef6500e91fbede33ded937789c642dea72bef6b8a55b7",
    "M851_140908t2rh.pos": "3925bb4b2c749bd9f810443c0fbc93773bb79ae15a4b87ccc4bbd2a08dfdfa07",
}
ALTERNATION = ("Features_data.mat", "7ea80743bbdd3a53334b543bf6fd3fbb5497cab2b82f6100d89305f9b4bec2c7")


@pytest.mark.recording
def test_stimulated_and_clipped_samples_of_a_real_recording(tmp_path):
    """M851: one channel of 250 Hz and 8 bit, one light at 50 Hz, stimulated from 600 to 1800 s."""
    paths = [recordings.find(name, sha256) for name, sha256 in M851.items()]
    block = {"dataset": "d", "subject": "s", "raw": str(paths[0].parent), "reader": "axona"}
    convert("r", block, paths, tmp_path / "r.zarr")
    lights = {"source": "/behaviour/led", "scale": 1 / 3, "smooth_samples": 5}
    settings = typed(
        targets={
            "position": {**lights, "kind": "position", "units": "cm"},
            "speed": {**lights, "kind": "speed", "units": "cm/s"},
        },
        missing={"rail": [-128, 127], "mask_s": [[600, 1800]], "most_share": 0.25},
        wavelets={"block_samples": 8, "reference": "none"},
        split={"folds": 2},
    )
    extract(store.open_store(tmp_path / "r.zarr", kind="recording"), settings, tmp_path / "f.zarr")
    stored = store.open_store(tmp_path / "f.zarr")
    group = stored["features"].to_dataset()
    seconds, share = group["time"].values, group["missing"].values
    outside = (seconds < 600) | (seconds >= 1800)
    assert share[~outside].min() == 1
    assert share[outside].mean() == pytest.approx(0.0197, abs=1e-3)  # of the samples; 12 % of the rows have one
    assert (share[outside] > 0.1).mean() == pytest.approx(0.117, abs=0.01)
    assert (share[outside] > 0.25).mean() == pytest.approx(0.007, abs=0.001)
    assert np.isfinite(group["power"].values).all()
    behaviour, scored = group["behaviour"].values, group["scored"].values
    assert np.isfinite(behaviour[outside]).all(axis=1).mean() > 0.98  # 15 % of the samples are lost, most for < 1 s
    low, high = np.percentile(behaviour[scored, :2], [1, 99], axis=0)
    assert (high - low)[0] == pytest.approx((high - low)[1], rel=0.05)  # a disc
    assert np.median(behaviour[scored, 2]) == pytest.approx(15, abs=2)
    first, second = collect({"r": stored}, settings).folds
    for fold, early in ((first, True), (second, False)):
        test = row_indices(fold.test["r"])
        assert ((seconds[test[scored[test]]] < 600) == early).all()
        for part in (fold.train, fold.validation):
            rows = row_indices(part["r"])
            assert ((seconds[rows[scored[rows]]] > 1800) == early).all()
            assert scored[rows].sum() > 1500


@pytest.mark.recording
@pytest.mark.parametrize(("cell", "count"), [(0, 45), (1, 15)])
def test_trials_of_a_real_alternation_recording(tmp_path, cell, count):
    path = recordings.find(*ALTERNATION)
    variables = {
        "amplitude": {"source": f"FPAuhf[{cell}]", "dims": ["time", "channel"], "units": "as supplied"},
        "trial": {"source": f"TrNm[{cell}]", "dims": ["time"]},
        "choice": {"source": f"dcs[{cell}]", "dims": ["time"]},
        "position": {"source": f"post[{cell}]", "dims": ["time"], "units": "as supplied"},
        "spikes": {"source": f"Spike[{cell}]", "dims": ["time", "neuron"], "units": "count"},
    }
    block = {"dataset": "d", "subject": "s", "raw": str(path), "reader": "matlab"}
    convert(
        "r",
        {**block, "options": {"groups": {"features": {"rate_hz": 1, "variables": variables}}}},
        [path],
        tmp_path / "r.zarr",
    )
    settings = Settings.model_validate(
        {**BINNED, "spikes": "/features/spikes", "split": {"by": "group", "folds": 5, "purge_rows": 0}}
    )
    extract(store.open_store(tmp_path / "r.zarr", kind="recording"), settings, tmp_path / "f.zarr")
    tree = store.open_store(tmp_path / "f.zarr")
    group = tree["features"].to_dataset()
    numbers, bins = np.unique(group["group"].values, return_counts=True)
    assert (len(numbers), set(bins)) == (count, {25})
    assert group["power"].shape == (25 * count, 1, 64)
    assert group["spikes"].shape == (25 * count, 24)
    choices = group["behaviour"].values[:, 1].reshape(count, 25)
    assert (np.abs(choices) == 1).all()
    assert (np.ptp(choices, axis=1) == 0).all()
    assert set(np.unique(choices)) == {-1, 1}
    for fold in collect({"r": tree}, settings).folds:
        test = group["group"].values[row_indices(fold.test["r"])]
        assert len(np.unique(test)) == count // 5
        assert not np.isin(group["group"].values[row_indices(fold.train["r"])], test).any()


def test_amplitude_and_phase_become_two_channels():
    generator = np.random.default_rng(5)
    a, phi = generator.uniform(1, 2, (300, 3)), generator.uniform(-np.pi, np.pi, (300, 3))
    theta = timed(START + np.arange(300) / 10, position=np.arange(300.0))
    theta = theta.assign(
        a=(("time", "channel"), a, {"units": "uV"}),
        phi=(("time", "channel"), phi, {"units": "rad"}),
        lost=(("time", "output"), phi[:, :2], {"units": "rad"}),
        degrees=(("time", "channel"), 60 * phi, {"units": "deg"}),
    )
    recording = made(**{"/theta": theta})
    asked = {"transform": "none", "signal": "/theta/a", "targets": {"position": {"source": "/theta/position"}}}
    settings = typed(**asked, phase="/theta/phi")
    found = power(recording, settings)[:, 0]
    complex_signal = a * np.exp(1j * phi)
    assert found == pytest.approx(np.concatenate([complex_signal.real, complex_signal.imag], 1), abs=1e-6)  # float32
    names = list(features(recording, settings)["channel"].values)
    assert names == ["0_cos", "1_cos", "2_cos", "0_sin", "1_sin", "2_sin"]
    for wrong, said in (("/theta/lost", r"\(300, 2\)"), ("/theta/degrees", "radians")):
        with pytest.raises(DataError, match=said):
            plan(recording, typed(**asked, phase=wrong))
    with pytest.raises(ValidationError, match="transform: none"):
        typed(phase="/theta/phi")
