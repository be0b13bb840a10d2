"""The five published variants: their configuration, simulated recordings of their shapes, and each run once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from pellucid import config, store
from pellucid.preprocess import wavelets
from pellucid.preprocess.settings import Wavelets
from pellucid.settings import merged
from pellucid.stages import attribute, evaluate, figures
from pellucid.stages.simulate import simulate as simulate_stage
from pellucid.systems.deepinsight.simulate import fingers, tones, track
from pellucid.systems.deepinsight.simulate.settings import Fingers, Settings, Tones, Track
from pellucid.systems.deepinsight.simulate.simulate import simulate
from whole_run import Run

ROOT = Path(__file__).parents[2]
CONFIG = config.load(ROOT / "configs/published-deepinsight/config.yaml")

TETRODES = {"duration_s": 30.0, "tetrodes": 2}
"""Eight channels for 128, 30 seconds for 40 minutes."""

SIMULATED = {
    "tetrodes_ca1": {"scenario": "spikes", "format": "open_ephys_nwb1", "spikes": TETRODES},
    "tones_auditory": {
        "scenario": "tones",
        "format": "nwb",
        "tones": {"channels": 8, "tones": 8, "repeats": 6},
    },
    "track_calcium": {"scenario": "track", "track": {"cells": 12, "duration_s": 100.0}},
    "fingers_sub1": {"scenario": "fingers", "fingers": {"channels": 7, "train_s": 60.0, "test_s": 5.0}},
    "replay_ca1": {
        "scenario": "replay",
        "format": "open_ephys_nwb1",
        "replay": TETRODES | {"duration_s": 12.0, "rest_every_s": 4.0, "rest_s": 1.0},
    },
}
"""Analysis -> a recording of its shape, in the format its reader takes, with fewer channels and seconds."""

FILES = {"track_calcium": "track.mat", "fingers_sub1": "sub1_comp.mat"}

SMALL = {"filters": 4, "merge_filters": 4, "units": 8, "schedule": {"epochs": 1, "steps": 4, "batch": 4}}


@pytest.mark.parametrize(
    ("analysis", "rate", "seconds", "count", "last"),
    [
        ("tetrodes_ca1", 30_000, 2400, 26, 2.59),
        ("tones_auditory", 30_000, 578, 26, 2.59),
        ("track_calcium", 30, 73_073 / 30, 26, 0.0026),
        ("fingers_sub1", 1000, 400, 16, 2.76),
        ("replay_ca1", 30_000, 2100, 26, 2.59),
    ],
)
def test_the_grids_are_those_of_the_article(analysis, rate, seconds, count, last):
    """Half octaves down from Nyquist; 26 bands and 16 for electrocorticography."""
    settings = Wavelets.model_validate(CONFIG["analyses"][analysis]["preprocess"]["wavelets"])
    grid = wavelets.frequencies(rate, round(rate * seconds), settings)
    assert grid == pytest.approx(rate / 2 * 2.0 ** (-np.arange(count) / 2))
    assert grid[-1] == pytest.approx(last, rel=5e-3)
    rows = {"tetrodes_ca1": 30, "tones_auditory": 30, "track_calcium": 30, "fingers_sub1": 20, "replay_ca1": 500}
    assert rate / settings.block_samples == rows[analysis]


def test_models_ask_for_the_published_training():
    for analysis in CONFIG["analyses"].values():
        fit = config.fit_settings(analysis["fit"], "main")
        schedule = fit["schedule"]
        assert (schedule["epochs"] * schedule["steps"] * schedule["batch"], schedule["rate"]) == (18_000, 7e-4)
        assert fit["window_rows"] == analysis["preprocess"]["window_rows"]
        assert set(fit["outputs"]) == set(analysis["preprocess"]["targets"])
    outputs = config.fit_settings(CONFIG["analyses"]["tetrodes_ca1"]["fit"], "main")["outputs"]
    assert {name: (one["loss"], one["weight"]) for name, one in outputs.items()} == {
        "position": ("euclidean", 1),
        "head_direction": ("cyclic", 25),
        "speed": ("absolute", 2),
    }


def test_the_configuration_is_dry_run(tmp_path):
    """With empty files in the place of those that are put there by hand."""
    for block in CONFIG["recordings"].values():
        if config.made_from(block["raw"]) is None:
            (tmp_path / block["raw"]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block["raw"]).touch()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(Path(sys.executable).parent / "snakemake"), "-n", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(tmp_path), "--workflow-profile", "none"]
    command += ["--configfile", str(ROOT / "configs/published-deepinsight/config.yaml")]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert counts["convert"] == str(len(CONFIG["recordings"]))
    assert counts["fit"] == str(sum(5 * len(one["fit"]["models"]) for one in CONFIG["analyses"].values()))
    assert counts["figures"] == str(len(CONFIG["analyses"]))


def test_tones_are_played_as_published():
    """41 tones of 200 ms from 4 to 64 kHz, each once a repeat, 500 to 510 ms apart: 820 in 9 to 10 minutes."""
    settings = Tones()
    series = tones.tone_series(settings, np.random.default_rng(0))
    assert np.unique(series.hertz)[[0, -1]] == pytest.approx([4000, 64_000])
    assert np.diff(np.log2(np.unique(series.hertz))) == pytest.approx(np.full(40, 0.1))
    for repeat in series.hertz.reshape(20, 41):
        assert len(np.unique(repeat)) == 41
    gaps = np.diff(series.starts) - 0.2
    assert 0.5 <= gaps.min() < gaps.max() <= 0.51
    assert 540 < series.end < 600
    assert (np.diff(series.hertz.reshape(20, 41)[:, :5], axis=0) != 0).any()
    played = tones.playing(settings, series)
    assert (played > 0).mean() == pytest.approx(820 * 0.2 / series.end, rel=1e-3)


def test_power_in_both_bands_follows_the_tone():
    """Fourier power of each tone at the two carriers against the logarithm of its frequency, and none in silence."""
    settings = Tones(channels=6, repeats=4, rate_hz=15_000.0)
    series = tones.tone_series(settings, np.random.default_rng(1))
    drawn = [
        np.concatenate(list(tones.signal(settings, series, np.random.default_rng(2), block)))
        for block in (50_000, 1_234_567)
    ]
    assert (drawn[0] == drawn[1]).all()
    for first, hertz in ((0, settings.bands_hz[0]), (3, settings.bands_hz[1])):
        power = {}
        for name, delay in (("tone", 0.005), ("silence", 0.25)):
            start = np.round((series.starts + delay) * 15_000).astype(int)
            cut = drawn[0][start[:, None] + np.arange(2850), first : first + 3] * 0.195
            wave = np.exp(-2j * np.pi * hertz * np.arange(2850) / 15_000)[:, None]
            power[name] = np.abs((cut * wave).sum(1)).mean(1)
        assert np.corrcoef(power["tone"], np.log2(series.hertz))[0, 1] > 0.95
        assert power["silence"].max() < power["tone"].min()


def test_the_calcium_deposit_holds_laps_and_place_cells(tmp_path):
    """Read by scipy: a struct of traces and position; NaN for two seconds between laps; cells fire in their fields."""
    settings = {"cells": 9, "duration_s": 200.0, "place_cells": 0.67}
    simulate(Settings.model_validate({"scenario": "track", "track": settings}), 1, tmp_path)
    found = scipy.io.loadmat(tmp_path / "track.mat", squeeze_me=True)["dataSave"]
    traces, position = found["df_f"].item(), found["pos_dat"].item()
    assert traces.shape == (6000, 9)
    dark = np.isnan(position).astype(int)
    starts, stops = np.flatnonzero(np.diff(dark) > 0), np.flatnonzero(np.diff(dark) < 0)
    assert len(starts) >= 10
    assert set((stops - starts[: len(stops)]).tolist()) == {60}
    assert (position[starts] > 228).all()
    assert (position[stops[1:] + 1] < 2).all()
    carries = store.open_store(tmp_path / "truth.zarr")["truth"]["carries"].values[:, 0]
    assert carries.tolist() == [True] * 6 + [False] * 3
    centres = track.fields(Track.model_validate(settings))
    events = np.diff(traces, axis=0) > 0.4
    for cell in range(6):
        at = position[1:][events[:, cell] & ~np.isnan(position[1:])]
        assert np.median(at) == pytest.approx(centres[cell], abs=10)
    bins = np.digitize(np.nan_to_num(position[1:]), [77, 153])
    assert np.ptp([events[bins == third, 6:].mean() for third in range(3)]) < 0.01


def test_the_finger_files_are_those_of_the_competition(tmp_path):
    """Names and shapes; one finger at a time; only the channels of a finger carry it."""
    options = {"channels": 12, "train_s": 120.0, "test_s": 30.0}
    simulate(Settings.model_validate({"scenario": "fingers", "fingers": options}), 1, tmp_path)
    comp, labels = (scipy.io.loadmat(tmp_path / f"sub1_{name}.mat") for name in ("comp", "testlabels"))
    assert comp["train_data"].shape == (120_000, 12)
    assert comp["test_data"].shape == (30_000, 12)
    assert labels["test_dg"].shape == (30_000, 5)
    glove = comp["train_dg"]
    assert ((glove > 0).sum(1) <= 1).all()
    assert (glove.max(0) > 0.9).all()
    assert (glove.reshape(-1, 40, 5) == glove.reshape(-1, 40, 5)[:, :1]).all()  # 25 Hz
    t = np.arange(120_000)[:, None] / 1000
    wave = comp["train_data"] * np.exp(-2j * np.pi * Fingers().band_hz * t)
    power = np.abs(wave.reshape(-1, 250, 12).sum(1)) ** 2
    bent = glove.reshape(-1, 250, 5).mean(1)
    r = np.corrcoef(power.T, bent.T)[:12, 12:]
    carries = store.open_store(tmp_path / "truth.zarr")["truth"]["carries"].values
    assert r[carries].min() > 0.7
    assert r[~carries].max() < 0.3
    assert carries.sum(1).tolist() == [1] * 12
    assert fingers.NAMES[int(np.argmax(r[7]))] == "middle"


def _shortened(analysis):
    """The block of an analysis with short training, two folds, no test of pairs, and few draws."""
    block = CONFIG["analyses"][analysis]
    split = {"split": {"folds": 2, "validation": 0.3, "purge_rows": 70}, "parts": 1}
    shared = merged(block["fit"]["shared"], SMALL | {"device": {"name": "cpu", "threads": 1}})
    models = {name: one for name, one in block["fit"]["models"].items() if name in ("main", "ridge")}
    every = 64 if analysis == "replay_ca1" else 16
    return {
        "preprocess": merged(block["preprocess"], split),
        "fit": {"seeds": [0], "shared": shared, "models": models},
        "evaluate": {"shifts": 20, "least_shift_rows": 50, "bootstrap": 100},
        "attribute": {"model": "main", "repeats": 1, "every_rows": every, "null_shifts": 2, "least_shift_rows": 50},
    }


@pytest.mark.slow
@pytest.mark.parametrize("analysis", SIMULATED)
def test_every_variant_runs_once(analysis, tmp_path, monkeypatch):
    """From raw files in the configured format to figures, with the configured reader, targets, bands and losses.

    Reduced: channels, seconds, filters and units, training to one epoch of four steps, folds to two, a fixed purge, and
    shifts, resamples and shuffles, and the dots of pictures; of the models the network and ridge are fitted.
    """
    monkeypatch.chdir(tmp_path)
    simulate_stage("deepinsight", 0, SIMULATED[analysis], Path("data/raw/simulated"))
    block = _shortened(analysis)
    dataset = CONFIG["analyses"][analysis]["dataset"]
    (name,) = (name for name, one in CONFIG["recordings"].items() if one["dataset"] == dataset)
    raw = Path("data/raw/simulated", FILES.get(analysis, "recording.nwb"))
    run = Run("deepinsight")
    base = run.convert_all(analysis, {name: CONFIG["recordings"][name] | {"raw": str(raw)}}, block["preprocess"])
    run.fit_all(base, block["fit"], folds=[0])
    inputs = (base / "features.json", base / "fits.json")
    made = [base / part for part in ("metrics.json", "predictions.zarr", "attribution.zarr", "figures")]
    evaluate.evaluate("deepinsight", block["evaluate"], *inputs, *made[:2], [])
    attribute.attribute("deepinsight", block["attribute"], *inputs, made[2], [])
    figures.figures(analysis, "deepinsight", {"dpi": 50}, *inputs, *made, Path("page"))
    assert {"influence_bands", "influence_channels", "errors"} <= set(figures.check(made[3]))
    features = store.open_store(base / "features" / f"{name}.zarr")["features"]
    targets = list(dict.fromkeys(features["target"].values.tolist()))
    assert targets == list(block["preprocess"]["targets"])
    assert np.isfinite(features["power"].values).all()
    influence = store.open_store(base / "attribution.zarr")["band"]["influence"]
    assert influence.shape[0] == features.sizes["frequency"]
    assert np.isfinite(influence.values).all()
    shutil.rmtree(tmp_path)
