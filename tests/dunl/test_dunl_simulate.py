"""Simulated sessions: published kernels and designs, spikes that follow the truth, layouts that others can read."""

import csv

import numpy as np
import pytest
import scipy.io

from pellucid import store
from pellucid.config import parse
from pellucid.errors import ConfigError
from pellucid.stages.convert import convert
from pellucid.systems.dunl.simulate import events, kernels, signals
from pellucid.systems.dunl.simulate.scenarios import SCENARIOS
from pellucid.systems.dunl.simulate.settings import Settings
from pellucid.systems.dunl.simulate.simulate import simulate

GRIDS = [name for name, row in SCENARIOS.items() if row.grid is not None]


def run(folder, seed=0, **options):
    """Simulate; returns the truth, and session.mat where there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    simulate(Settings.model_validate(options), seed, folder)
    truth = store.open_store(folder / "truth.zarr")["truth"].load()
    return truth, scipy.io.loadmat(folder / "session.mat") if (folder / "session.mat").exists() else None


def slow_drive(truth, samples, bin_samples):
    """Rebuild z (trial, time, neuron) from a truth at the bin of the analysis, term by term."""
    onset, which = truth["onset"].values, truth["event_kernel"].values
    shapes, amplitude = truth["kernels"].values, truth["amplitude"].values
    step_s = float(truth.attrs["bin_s"]) / bin_samples
    baseline = truth["baseline"].values
    z = np.repeat(baseline[:, None], samples, axis=1)
    for trial in range(len(onset)):
        for event in np.flatnonzero(which[trial] >= 0):
            start = round((onset[trial, event] + truth.attrs["clock_zero_s"]) / step_s)
            for lag in range(len(shapes) * bin_samples):
                value = shapes[lag // bin_samples, which[trial, event]]
                z[trial, start + lag] += amplitude[trial, event] * value
    return z


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "photometry"])
def test_kernels_have_unit_norm_at_both_resolutions(name):
    row, one_ms = SCENARIOS[name], kernels.one_ms(name)
    assert one_ms.shape == (len(row.amplitudes), row.kernel_ms)
    assert np.linalg.norm(one_ms, axis=1) == pytest.approx(1)
    binned, _ = kernels.binned(one_ms, row.bin_ms)
    assert binned.shape == (len(row.amplitudes), row.kernel_ms // row.bin_ms)
    assert np.linalg.norm(binned, axis=1) == pytest.approx(1)


def test_inner_products_are_the_published_ones():
    def product(name, first, second):
        shapes, _ = kernels.binned(kernels.one_ms(name), SCENARIOS[name].bin_ms)
        return round(float(shapes[first] @ shapes[second]), 3)

    assert product("short", 0, 1) == 0.919
    assert product("dopamine", 0, 1) == 0.429
    assert product("dopamine", 0, 2) == 0.924
    assert product("dopamine", 1, 2) == 0.227
    assert product("two_kernel", 0, 1) == 0.700


def test_designs_of_ours_are_what_they_are_called():
    five = kernels.one_ms("orthogonal")
    assert five @ five.T == pytest.approx(np.eye(5), abs=1e-12)
    assert np.abs(np.diff(kernels.orthogonal(), axis=1)).max() < 0.05  # smooth: peaks are 0.16
    whisker = kernels.whisker()[0]
    assert whisker[:250].min() > 0 > whisker[250:].max()
    slow = kernels.photometry(0.04, 3.0)
    assert np.linalg.norm(slow, axis=1) == pytest.approx(1)
    assert slow.min() >= 0
    assert (slow.argmax(axis=1) < 20).all()


def test_binning_undoes_repeating():
    shapes = kernels.normalised(np.random.default_rng(0).standard_normal((3, 7)))
    binned, factor = kernels.binned(kernels.repeated(shapes, 4), 4)
    assert binned == pytest.approx(shapes)
    assert factor == pytest.approx(1 / 2)  # 1 / sqrt(4)


@pytest.mark.parametrize(
    ("name", "row"),
    [  # trial ms, neurons, bin, Hz, s.d., numbers of events, amplitudes, s.d., spacing: sheet §8, read a second time
        ("local_deconv", (6500, 1, 25, 8, 0.01, (2, 3, 4), (35, 50), 2, 200)),
        ("calscenario", (5500, 1, 25, 8, 0.01, (2, 3, 4), (45, 50), 2, 200)),
        ("long", (6000, 1, 25, 8, 0.01, (3,), (50, 55), 2, 200)),
        ("short", (2000, 1, 25, 8, 0.01, (1, 2), (45, 50), 5, 125)),
        ("whisker", (4000, 1, 5, 8, 0.01, (5,), (30,), 2, 200)),
        ("orthogonal", (6000, 1000, 5, 500, 0.3, (1,), (25,) * 5, 10, 200)),
        ("two_kernel", (6000, 500, 5, 500, 0.7, (1,), (25, 25), 10, 200)),
    ],
)
def test_rows_are_the_published_ones(name, row):
    found = Settings(scenario=name).row()
    sds = set(found.amplitude_sds)
    assert sds == {row[7]}
    assert row[:5] == (found.trial_ms, found.neurons, found.bin_ms, found.baseline_hz, found.baseline_sd)
    assert (found.grid.events, found.amplitudes, found.grid.spacing_ms) == (row[5], row[6], row[8])
    assert found.grid.amplitude_draw == ("event" if name in ("long", "orthogonal", "two_kernel") else "trial")


@pytest.mark.parametrize("name", GRIDS)
def test_events_lie_on_the_grid_and_leave_the_beginning_free(name):
    row = Settings(scenario=name, trials=300, neurons=1).row()
    design = events.draw(row, np.random.default_rng(1))
    onset = design.onset_ms.reshape(300, len(row.amplitudes), -1)
    present = np.isfinite(onset)
    assert (onset[present] % row.grid.spacing_ms == 0).all()
    assert onset[present].min() >= 500
    assert onset[present].max() + row.kernel_ms <= row.trial_ms
    assert set(present.sum(axis=2).ravel()) == set(row.grid.events)
    assert (np.diff(onset, axis=2)[present[:, :, 1:]] >= row.grid.spacing_ms).all()  # ordered, none twice
    assert ((design.kernel >= 0) == np.isfinite(design.onset_ms)).all()
    places = len(row.grid.onsets_ms(row.trial_ms, row.kernel_ms))
    assert places == int((row.trial_ms - row.kernel_ms + 1 - 500) / row.grid.spacing_ms)
    assert len(np.unique(onset[present])) == places  # 300 trials reach every place


def test_published_shift_of_the_grid_begins_before_500_ms():
    """floor(500 / 200) = 2 places of 200 ms: the published events reach into the 500 ms of the baseline."""
    row = Settings(scenario="long", grid_shift="floor").row()
    assert row.grid.onsets_ms(6000, 400)[0] == 400
    assert Settings(scenario="long").row().grid.onsets_ms(6000, 400)[0] == 600
    assert len(row.grid.onsets_ms(6000, 400)) == len(Settings(scenario="long").row().grid.onsets_ms(6000, 400)) == 25


@pytest.mark.parametrize("draw", ["trial", "event"])
def test_amplitudes_are_shared_within_a_trial_or_not(draw):
    options = {"events": (3,), "amplitude_draw": draw, "trials": 400, "neurons": 3, "amplitudes": (20, 60)}
    design = events.draw(Settings(scenario="calscenario", **options).row(), np.random.default_rng(2))
    amplitude = design.amplitude.reshape(400, 2, 3, 3)  # trial, kernel, event, neuron
    equal = np.isclose(amplitude[:, :, :1], amplitude[:, :, 1:]).all()
    assert equal == (draw == "trial")
    assert not (amplitude[..., 0] == amplitude[..., 1]).any()  # neurons draw on their own
    # 1200 draws of s.d. 2: the mean is off by 0.06, the s.d. by 2 %; bounds of 5 of these
    assert amplitude[:, :, 0].mean((0, 2)) == pytest.approx([20, 60], abs=0.3)
    assert amplitude[:, :, 0].std((0, 2)) == pytest.approx([2, 2], rel=0.1)


@pytest.mark.parametrize("name", ["short", "structured", "whisker", "two_kernel", "dopamine"])
def test_drive_is_the_convolution_of_the_truth(name, tmp_path):
    """The scale rule: amplitudes and kernels in bins give the drive at 1 ms that spikes are drawn from."""
    options = {"scenario": name, "trials": 5, "neurons": 2, "bin_ms": 1 if name == "whisker" else None}
    row = Settings(**options).row()
    truth, _ = run(tmp_path, 4, **options)
    generator = np.random.default_rng(4)
    generator.standard_normal(row.neurons)  # the baselines
    design = events.draw(row, generator)
    baseline = truth["baseline"].values[0]
    z = signals.drive(row, design, kernels.one_ms(name), baseline, slice(None))
    # float32, drives up to 10
    assert z == pytest.approx(slow_drive(truth, row.samples, row.bin_ms), abs=1e-5)


@pytest.mark.parametrize("options", [{"scenario": "structured"}, {"scenario": "dopamine", "value_offset": (0, 0)}])
def test_mean_counts_are_those_of_the_truth(options, tmp_path):
    alike = {"amplitude_sds": (0.0,) * (3 if options["scenario"] == "dopamine" else 2), "baseline_sd": 0.3}
    truth, session = run(tmp_path, 5, trials=1400, neurons=2, **options, **alike)
    raster = session["raster"]
    assert raster.dtype == np.uint8
    assert set(np.unique(raster)) == {0, 1}
    types = session["trial_type"].ravel() if "trial_type" in session else np.ones(len(raster))
    bins = raster.shape[1] // 25
    for kind in np.unique(types):
        rows = np.flatnonzero(types == kind)
        z = slow_drive(truth.isel(trial=rows[:1]), raster.shape[1], 25)[0]
        chance = (1 / (1 + np.exp(-z))).reshape(bins, 25, 2)
        counts = raster[rows].reshape(len(rows), bins, 25, 2).sum((0, 2))
        expected, sd = len(rows) * chance.sum(1), np.sqrt(len(rows) * (chance * (1 - chance)).sum(1))
        score = (counts - expected) / sd
        # up to 3500 scores: the largest of so many normal deviates exceeds 5.5 once in 8000 runs
        assert np.abs(score).max() < 5.5
        assert np.mean(score**2) == pytest.approx(1, abs=0.5)  # 160 to 250 scores: s.d. 0.1


@pytest.mark.parametrize(("name", "hz"), [("whisker", 2.0), ("local_deconv", None), ("short", 20.0)])
def test_rate_before_events_is_the_baseline(name, hz, tmp_path):
    truth, session = run(tmp_path, 6, scenario=name, baseline_hz=hz, trials=300, neurons=2)
    wanted = hz or 8.0
    assert truth.attrs["baseline_hz"] == wanted
    rate = session["raster"][:, :500].mean() * 1000
    # 300 000 ms; bounds of 5 s.d. of the count, and 1 % for the spread over neurons
    assert rate == pytest.approx(wanted, abs=5 * np.sqrt(wanted * 1000 / 300_000) + 0.02 * wanted)
    level = 1 / (1 + np.exp(-truth["baseline"].values))
    assert level * 1000 == pytest.approx(wanted, rel=0.05)


def test_dopamine_follows_its_design(tmp_path):
    truth, session = run(tmp_path, 7, scenario="dopamine", trials=30, neurons=400)
    assert list(truth["kernel"].values) == ["cue", "salience", "value"]
    onset, reward = truth["onset"].values, session["reward_ul"].ravel()
    expected = np.arange(30) < 15
    assert (onset[expected] == [1.0, 2.5, 2.5]).all()
    assert np.isnan(onset[~expected, 0]).all()
    assert (onset[~expected, 1:] == 1.0).all()
    assert (truth["event_kernel"].values == np.where(expected[:, None], [0, 1, 2], [-1, 1, 2])).all()
    assert reward[:9] == pytest.approx([0.1, 0.3, 1.2, 2.5, 5, 10, 20, 0.1, 0.3])
    kind = session["trial_type"].ravel()
    assert (kind == np.where(expected, 8, 1) + np.arange(30) % 7).all()
    assert session["cue_s"].ravel()[expected] == pytest.approx(1.0)
    assert session["reward_s"].ravel() == pytest.approx(np.where(expected, 2.5, 1.0))
    amplitude = truth["amplitude"].values * truth.attrs["one_ms_scale"]
    assert truth.attrs["one_ms_scale"] == 5
    # 400 neurons: means within 5 s.d. / 20
    assert amplitude[0, 0].mean() == pytest.approx(15, abs=0.25)
    assert amplitude[0, 1].mean() == pytest.approx(20, abs=0.5)
    assert amplitude[:, 1] == pytest.approx(np.tile(amplitude[0, 1], (30, 1)))  # salience: one draw a neuron
    offset = amplitude[:7, 2] - np.linspace(1, 20, 7)[:, None]
    assert offset == pytest.approx(np.tile(offset[0], (7, 1)))
    assert -7 <= offset.min() < -6.5  # 400 draws leave a gap of 0.5 at an end once in 10^7 runs
    assert 4.5 < offset.max() <= 5
    assert truth["baseline"].values[0].mean() == pytest.approx(-5.3, abs=5 * 0.3 / 20)
    assert truth["baseline"].values[0].std() == pytest.approx(0.3, rel=0.2)


def test_spikes_do_not_depend_on_the_size_of_chunks(monkeypatch):
    row = Settings(scenario="short", trials=11, neurons=3).row()
    design = events.draw(row, np.random.default_rng(0))
    arguments = (row, design, kernels.one_ms("short"), np.array([-4.0, -3, -2]))
    whole = signals.spikes(*arguments, np.random.default_rng(1))
    assert len(list(signals.chunks(row, design))) == 1
    monkeypatch.setattr(signals, "CHUNK_CELLS", 1 << 17)
    assert len(list(signals.chunks(row, design))) > 3
    assert (signals.spikes(*arguments, np.random.default_rng(1)) == whole).all()


@pytest.mark.parametrize("bin_ms", [5, 10, 25, 50])
def test_bin_changes_the_truth_but_no_raw_file(bin_ms, tmp_path):
    options = {"scenario": "whisker", "trials": 4}
    fine, _ = run(tmp_path / "fine", **options, bin_ms=1)
    truth, _ = run(tmp_path / "coarse", **options, bin_ms=bin_ms)
    first, second = (store.digest(tmp_path / name / "session.mat") for name in ("fine", "coarse"))
    assert first == second
    assert truth["kernels"].shape == (500 // bin_ms, 1)
    # averaging a sine of period T over N keeps sin(pi N / T) / (pi N / T) of it: 1.6 % less than A / sqrt(N) at 50 ms
    scale = np.sinc(bin_ms / 500) / np.sqrt(bin_ms)
    assert truth["amplitude"].values == pytest.approx(fine["amplitude"].values * scale, rel=1e-4)
    # the mean of the 1 ms drive over a bin is the kernel of the bin
    means = fine["kernels"].values.reshape(-1, bin_ms).mean(1) * fine["amplitude"].values[0, 0, 0]
    assert truth["kernels"].values[:, 0] * truth["amplitude"].values[0, 0, 0] == pytest.approx(means)


@pytest.mark.parametrize("name", SCENARIOS)
def test_seed_gives_every_byte(name, tmp_path):
    options = {"scenario": name, "trials": 4, "neurons": 1 if name == "photometry" else 2}
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        run(tmp_path / folder, seed, **options)
    digests = [store.digest(tmp_path / folder) for folder in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_session_is_converted_to_trials(tmp_path):
    truth, session = run(tmp_path / "raw", 8, scenario="short", trials=6, neurons=3)
    assert session["t_ms"].ravel() == pytest.approx(np.arange(2000))
    log = {f"kernel{index}_s": {"dims": ["trial", "event"], "units": "s"} for index in range(2)}
    variables = {"raster": {"dims": ["trial", "time", "neuron"], "units": "count"}, **log}
    options = {"groups": {"trials": {"rate_hz": 1000, "start_s": 0, "variables": variables}}}
    block = {"dataset": "d", "subject": "s", "raw": "raw", "reader": "matlab", "options": options}
    convert("r", block, [tmp_path / "raw"], tmp_path / "r.zarr")
    trials = store.open_store(tmp_path / "r.zarr", kind="recording")["trials"]
    assert trials["raster"].dims == ("trial", "time", "neuron")
    assert (trials["raster"].values == session["raster"]).all()
    assert trials["raster"].dtype == np.uint8
    noted = np.concatenate([trials[f"kernel{index}_s"].values for index in range(2)], axis=1)
    assert np.array_equal(noted, truth["onset"].values, equal_nan=True)


def test_eshel_layout_holds_the_same_spikes_on_one_clock(tmp_path):
    options = {"scenario": "dopamine", "trials": 8, "neurons": 11}
    truth, session = run(tmp_path / "session", 9, **options)
    shifted, _ = run(tmp_path / "eshel", 9, **options, layout="eshel")
    files = sorted((tmp_path / "eshel").glob("*.mat"))
    assert len(files) == 11
    for neuron, path in enumerate(files):
        content = scipy.io.loadmat(path, squeeze_me=True, struct_as_record=False)
        spike, odour = content["responses"].spike, content["events"].odorOn
        rebuilt = np.zeros((8, 3100), np.uint8)
        for trial, zero in enumerate(odour):
            inside = spike[(spike >= zero - 1000) & (spike < zero + 2100)]
            rebuilt[trial, (inside - zero + 1000).astype(int)] = 1
        assert (rebuilt == session["raster"][..., neuron]).all()
        assert (content["events"].trialType == session["trial_type"].ravel()).all()
    assert shifted["onset"].values + 1 == pytest.approx(truth["onset"].values, nan_ok=True)


def test_whisker_layout_holds_the_same_spikes_in_two_parts(tmp_path):
    options = {"scenario": "whisker", "trials": 10, "neurons": 2, "trial_ms": 3000, "events": (2, 3)}
    truth, session = run(tmp_path / "session", 10, **options)
    run(tmp_path / "whisker", 10, **options, layout="whisker")
    for neuron in range(2):
        place = tmp_path / "whisker" / "Dir1" / f"Neuron{neuron + 1}" / "Stim3"
        parts = [scipy.io.loadmat(place / name) for name in ("trngdata.mat", "testdata.mat")]
        assert [part["y"].shape for part in parts] == [(3000, 6), (3000, 4)]
        y, t = (np.hstack([part[name] for part in parts]) for name in "yt")
        assert np.array_equal(y.T, session["raster"][..., neuron])
        onset = truth["onset"].values
        assert t.sum() == np.isfinite(onset).sum()
        for trial in range(10):
            assert np.flatnonzero(t[:, trial]) / 1000 == pytest.approx(onset[trial][np.isfinite(onset[trial])])


def test_photometry_without_noise_is_the_drive(tmp_path):
    options = {"scenario": "photometry", "trials": 20, "neurons": 3, "layout": "session", "noise_sd": 0, "drift_sd": 0}
    truth, session = run(tmp_path, 11, **options, amplitude_sds=(0.1, 0.0))
    signal = session["photometry"]
    assert signal.shape == (20, 250, 3)
    missing = np.isnan(signal)
    assert (missing == missing[..., :1]).all()
    assert (np.diff(missing.astype(int), axis=1) >= 0).all()  # only ends are missing
    assert 0 < missing[:, -1, 0].sum() < 20
    last = np.nanmax(truth["onset"].values, axis=1)
    assert ((~missing[..., 0]).sum(1) * 0.04 >= last + 1 - 1e-9).all()
    drive = slow_drive(truth, 250, 1)
    # 5 decimals and float32
    assert signal[~missing] == pytest.approx(drive[~missing], abs=1e-5)
    reward = session["reward"].ravel()
    assert set(reward) <= {1, 2, 4, 8}
    assert truth["amplitude"].values[:, 1] == pytest.approx(np.tile(0.8 * reward[:, None], (1, 3)))


def test_photometry_noise_has_its_size_and_memory(tmp_path):
    options = {"scenario": "photometry", "layout": "session", "trials": 300, "amplitudes": (0, 0), "baseline_sd": 0}
    still = {"amplitude_sds": (0, 0), "short_share": 0.0, "noise_sd": 0.3, "drift_sd": 0.5, "drift_s": 2.0}
    _, session = run(tmp_path, 12, **options, **still)
    signal = session["photometry"][..., 0]
    lagged = {lag: np.mean(signal[:, lag:] * signal[:, : 250 - lag]) for lag in (0, 1, 25, 50)}
    # variance .25 + .09 at lag 0, then .25 exp(-lag / 50 samples); 300 trials of 5 time constants: about 2 %
    assert lagged[0] == pytest.approx(0.34, rel=0.1)
    for lag in (1, 25, 50):
        assert lagged[lag] == pytest.approx(0.25 * np.exp(-lag / 50), rel=0.15)
    assert np.var(signal[:, 0]) == pytest.approx(0.34, rel=0.35)  # 300 values: s.d. 8 %


def test_table_of_photometry_holds_the_same_signal(tmp_path):
    options = {"scenario": "photometry", "trials": 9}
    _, session = run(tmp_path / "session", 13, **options, layout="session")
    run(tmp_path / "flmm", 13, **options)
    with (tmp_path / "flmm" / "session.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["reward", "trial", "cue_s", "reward_s", "photometry.1"]
    table = np.array([[float(row[f"photometry.{i + 1}"] or "nan") for i in range(250)] for row in rows])
    assert np.array_equal(table, session["photometry"][..., 0], equal_nan=True)
    assert [float(row["reward"]) for row in rows] == list(session["reward"].ravel())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenario": "structured", "events": [1]}, "which has no grid"),
        ({"scenario": "dopamine", "noise_sd": 1}, "which has no noise"),
        ({"scenario": "short", "value_offset": [0, 1]}, "no value_offset"),
        ({"scenario": "photometry", "baseline_hz": 5}, "no baseline_hz"),
        ({"scenario": "dopamine", "trial_ms": 3000}, "at least 3100"),
        ({"scenario": "short", "layout": "eshel"}, "layout among session"),
        ({"scenario": "short", "events": [9]}, "places there are"),
        ({"scenario": "short", "bin_ms": 30}, "bin_ms that divides"),
        ({"scenario": "long", "amplitudes": [1]}, "2 amplitudes"),
        ({"scenario": "two_kernel", "trials": 2000}, "2 GB"),
        ({"scenario": "photometry", "neurons": 2}, "one fibre"),
        ({"scenario": "whisker", "layout": "whisker", "trials": 1}, "two trials"),
        ({"scenario": "shrt"}, "Did you mean 'short'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        parse(Settings, options, "simulate.x.options")
