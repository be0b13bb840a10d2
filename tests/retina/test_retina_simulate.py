"""Simulated retinas respond as their definitions say, whatever is drawn beside them, and files hold them."""

import tracemalloc

import h5py
import numpy as np
import pytest

from pellucid import config, store
from pellucid.errors import ConfigError
from pellucid.readers import retina_hdf5, retina_interneurons
from pellucid.systems.retina.simulate import depression, flicker, interneurons, probes, stimuli, teacher
from pellucid.systems.retina.simulate.settings import Settings
from pellucid.systems.retina.simulate.simulate import simulate, write_raw

SMALL = {"cells": 2, "frames": 60, "blocks": 3, "test_frames": 25, "repeats": 4}
ODD = {**SMALL, "size_px": (9, 12), "kernel_px": 4, "history": 7, "lag": 2, "hold": 3, "checker_px": 2}
CALIBRATION_FRAMES = teacher.CALIBRATION_FRAMES
PUBLISHED_COUNTS = {6: 15, 8: 12, 10: 9, 12: 8, 20: 5}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(teacher, "CALIBRATION_FRAMES", 256)


def run(folder, seed=0, **options):
    """Simulate into a folder; returns the truth, not stored."""
    folder.mkdir()
    return write_raw(config.parse(Settings, options, "options"), seed, folder)


def cells(folder, name, **options):
    given = {"file": f"{name}.h5", "response": ["binned", "firing_rate_10ms"], **options}
    return retina_hdf5.read([*folder.rglob("*.h5")], retina_hdf5.Settings.model_validate(given)).load()


def draw(kind, frames, seed=0, **options):
    """Return a movie in s.d. of a pixel, before it is cut and rounded to grey levels of 1/30 s.d."""
    blocks = stimuli.noise(kind, Settings(**options), frames, np.random.default_rng(seed))
    return stimuli.standardised(np.concatenate(list(blocks)))


def rates(retina, movie):
    return retina.rate(retina.parts(movie, retina.begin())[0])


# ---- subunits ----


@pytest.mark.parametrize("options", [ODD, {**SMALL, "size_px": (8, 7), "lag": 0, "pathways": ["off_slow", "on_fast"]}])
def test_noiseless_responses_follow_from_the_truth_and_the_movie(options, tmp_path):
    truth = run(tmp_path / "raw", 3, stimuli=["mixed"], **options)
    found, known, weights = cells(tmp_path / "raw", "mixed", blocks=3), truth["teacher"], truth["weights"]
    history, lag = known.attrs["history"], known.attrs["lag"]
    s = (found["stimulus/movie"].values - known.attrs["movie_mean"]) / known.attrs["movie_sd"]
    kernel, side = known["filter"].values.astype(float), known["filter"].shape[-1]
    for rows in (slice(0, 20), slice(20, 40), slice(40, 60), slice(60, 85)):  # grey before every block
        seen = np.concatenate([np.zeros((history - 1 + lag, *s.shape[1:])), s[rows]])
        drive = np.tile(weights["offset"].values, (rows.stop - rows.start, 1))
        for row in range(len(drive)):
            window = seen[row : row + history]  # frames row - lag - history + 1 to row - lag
            for x, y in np.ndindex(*weights["weight"].shape[-2:]):
                u = np.tensordot(window[:, x : x + side, y : y + side], kernel, axes=([0, 1, 2], [0, 2, 3]))
                drive[row] += weights["weight"].values[:, :, x, y] @ np.maximum(0, u - known["threshold"].values)
        wanted = known.attrs["gain"] * np.log1p(np.exp(drive))
        # filters and weights are stored in single precision
        np.testing.assert_allclose(truth["mixed/rate"].values[rows], wanted, rtol=1e-4, atol=1e-5)
    names = [name for name in teacher.PATHWAYS if name in options.get("pathways", teacher.PATHWAYS)]
    assert known["kernel"].values.tolist() == names


def test_kernels_are_biphasic_and_their_peaks_are_said(tmp_path):
    truth = run(tmp_path / "raw", **SMALL)["teacher"]
    assert truth["peak_ms"].values.tolist() == [20, 20, 40]  # peaks 1 and 3 frames before the newest, and a lag of 1
    assert truth["sign"].values.tolist() == [-1, 1, -1]
    assert truth["fast"].values.tolist() == [1, 1, 0]
    for kernel, scale in zip(truth["filter"].values.swapaxes(0, 1), (1.0, 1.0, 2.0)):
        tau = (11.5 - np.arange(12)) / scale
        wanted = tau**2 * np.exp(-tau) * (1 - tau / 4.5)
        found = kernel.sum(axis=(1, 2))
        np.testing.assert_allclose(np.abs(found @ wanted), np.linalg.norm(found) * np.linalg.norm(wanted), rtol=1e-6)
        space = kernel[kernel.reshape(12, -1).std(axis=1).argmax()]
        np.testing.assert_allclose(space, np.outer(space[:, 2], space[2]) / space[2, 2], rtol=1e-4)
        np.testing.assert_allclose(space[1] / space[2], np.exp(-0.5), rtol=1e-4)  # a Gaussian of one px


@pytest.mark.parametrize("pathways", [["off_fast"], ["off_fast", "on_fast", "off_slow"]])
def test_rates_under_white_noise_are_those_aimed_at(pathways, monkeypatch):
    monkeypatch.setattr(teacher, "CALIBRATION_FRAMES", CALIBRATION_FRAMES)
    retina = teacher.build(Settings(pathways=pathways), 5)
    state, pooled, squares = retina.begin(), [], []
    for block in np.split(draw("white", 5120, 1), 20):
        squares.append((retina.drive(block, state)[0] ** 2).mean(axis=(0, 2, 3)))
        parts, state = retina.parts(block, state)
        pooled.append(parts)
    # 5120 x 144 units, correlated over 9 frames and 13 places: about 6000 independent ones
    assert np.sqrt(np.mean(squares, axis=0)) == pytest.approx(np.ones(len(pathways)), rel=0.03)
    parts = np.concatenate(pooled)
    drive = parts.sum(axis=2) + retina.offset
    # some 1000 independent numbers here, and in the calibration
    assert drive.mean(axis=0) == pytest.approx(np.full(4, teacher.DRIVE_MEAN), abs=0.3)
    assert drive.std(axis=0) == pytest.approx(np.full(4, teacher.DRIVE_SD), rel=0.12)
    rate = retina.rate(parts)
    counts = np.random.default_rng(0).poisson(rate)
    assert rate.mean() == pytest.approx(4.1, abs=0.5)
    assert rate.std(axis=0).mean() == pytest.approx(3.5, abs=0.5)
    single = [np.corrcoef(rate[:, cell], counts[:, cell])[0, 1] for cell in range(4)]
    assert np.mean(single) == pytest.approx(0.86, abs=0.03)


def test_state_carries_a_movie_over_any_cut():
    for retina in (teacher.build(Settings(**ODD), 1), depression.build(Settings(scenario="depression", lag=3), 1)):
        movie = np.random.default_rng(0).normal(size=(50, 9, 12))
        whole, _ = retina.parts(movie, retina.begin())
        state, parts = retina.begin(), []
        for block in np.split(movie, [1, 2, 7, 30]):
            part, state = retina.parts(block, state)
            parts.append(part)
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-12)


def test_a_response_is_delayed_by_the_lag():
    movie = draw("white", 80, size_px=(8, 8))
    early, late = (teacher.build(Settings(size_px=(8, 8), lag=lag), 0) for lag in (0, 3))
    np.testing.assert_allclose(rates(late, movie)[3:], rates(early, movie)[:-3])


def test_planted_channels_are_those_of_the_whole_teacher():
    whole = teacher.build(Settings(), 2)
    for names in (["off_fast"], ["on_fast", "off_slow"]):
        part = teacher.build(Settings(pathways=names), 2)
        for place, name in enumerate(part.names):
            same = whole.names.index(name)
            np.testing.assert_allclose(part.kernel[place], whole.kernel[same])
            ratio = part.weight[:, place] / whole.weight[:, same]
            assert ratio.min(axis=(1, 2)) == pytest.approx(ratio.max(axis=(1, 2)))
            assert (ratio > 0).all()


# ---- streams ----


def movie_of(folder, name):
    with h5py.File(next(folder.rglob(f"{name}.h5"))) as file:
        return {part: file[f"{part}/stimulus"][:] for part in ("train", "test")}


def test_what_is_drawn_changes_nothing_else(tmp_path):
    first = run(tmp_path / "a", 1, **SMALL, stimuli=["white"])
    longer = {**SMALL, "frames": 120, "cells": 3, "test_frames": 40, "interneurons": 2}
    second = run(tmp_path / "b", 1, **longer)
    for path in ("weights/weight", "weights/offset", "weights/row", "probes/dark_step/rate"):
        found = second[path].isel(neuron=slice(2))
        np.testing.assert_array_equal(first[path].values, found.values)
    short, long = movie_of(tmp_path / "a", "whitenoise"), movie_of(tmp_path / "b", "whitenoise")
    for part in ("train", "test"):
        np.testing.assert_array_equal(short[part], long[part][: len(short[part])])
    other = run(tmp_path / "c", 2, **SMALL, stimuli=["white"])
    assert (other["weights/row"].values != first["weights/row"].values).all()
    assert (movie_of(tmp_path / "c", "whitenoise")["train"] != short["train"]).mean() > 0.9
    assert (short["train"][:25] != short["test"]).mean() > 0.9


@pytest.mark.parametrize("options", [{**ODD, "interneurons": 2}, {**SMALL, "scenario": "depression"}])
def test_equal_seeds_give_equal_bytes(options, tmp_path):
    for name in "ab":
        simulate(config.parse(Settings, options, "options"), 4, tmp_path / name)
    assert store.digest(tmp_path / "a") == store.digest(tmp_path / "b")


def test_files_hold_counts_and_their_smoothed_rates(tmp_path):
    truth = run(tmp_path / "raw", **{**SMALL, "frames": 3000, "repeats": 50}, stimuli=["white"])
    found = cells(tmp_path / "raw", "whitenoise", blocks=3)
    counts, rate = found["responses/counts"].values, truth["white/rate"].values
    assert (counts[:3000] == counts[:3000].astype(int)).all()
    # dispersion of Poisson counts around their rates, over 6000 of them
    assert ((counts[:3000] - rate[:3000]) ** 2 / rate[:3000]).mean() == pytest.approx(1, abs=0.1)
    repeats = found["trials/counts"].values
    np.testing.assert_allclose(counts[3000:], repeats.mean(axis=0), rtol=1e-6)
    assert np.abs(repeats.mean(axis=0) - rate[3000:]).mean() < 0.4  # sqrt(4 / 50)
    assert np.corrcoef(repeats[0].ravel(), repeats[1].ravel())[0, 1] < 0.95
    for block in np.split(np.arange(3000), 3):  # smoothing moves no spike into another block
        total = found["responses/rate"].values[block].sum(axis=0) / 100
        np.testing.assert_allclose(total, counts[block].sum(axis=0), rtol=1e-5)
    spread = found["responses/rate"].values[:3000].var(axis=0) / (100 * counts[:3000]).var(axis=0)
    assert (spread < 0.8).all()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_movie(tmp_path):
    options = {**SMALL, "size_px": (40, 48), "kernel_px": 11, "stimuli": ["mixed"]}
    run(tmp_path / "imports", **SMALL)
    peaks = []
    for frames in (300, 1800):
        tracemalloc.start()
        run(tmp_path / f"{frames}", **options | {"frames": frames})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2e6  # 1500 frames more take 23 MB as numbers


# ---- stimuli ----


def test_white_noise_comes_in_held_checkers():
    movie = draw("white", 601, checker_px=3, hold=4, size_px=(7, 11))
    assert movie.shape == (601, 7, 11)
    assert (movie[:600].reshape(150, 4, 7, 11) == movie[:600:4, None]).all()
    assert (movie[:, :3, 3:6] == movie[:, :1, 3:4]).all()
    kept = movie[::4, ::3, ::3].reshape(151, -1)
    assert kept.std() == pytest.approx(1, abs=0.05)  # 1800 numbers
    assert np.abs(np.corrcoef(kept.T)[np.triu_indices(12, 1)]).max() < 0.35  # 66 correlations of 151 numbers


def test_mixed_noise_has_the_same_variance_everywhere_and_three_components():
    movie = draw("mixed", 6000, size_px=(10, 13))
    assert movie.std(axis=0) == pytest.approx(np.ones((10, 13)), rel=0.05)  # 6000 numbers each
    assert abs(movie.mean()) < 0.02
    total = 0.8**2 + 0.4**2 + 0.25**2
    far = (movie[:, 0, 0] * movie[:, 9, 12]).mean()  # opposite corners share full-field noise alone
    assert far == pytest.approx(0.25**2 / total, abs=0.05)
    weights = stimuli.interpolation(13)
    near = (movie[:, 5, 4] * movie[:, 5, 5]).mean()
    assert near == pytest.approx((0.25**2 + 0.4**2 * weights[4] @ weights[5]) / total, abs=0.05)


def test_flicker_has_trains_of_every_period_and_unit_variance():
    options = Settings(scenario="depression", size_px=(2, 3))
    blocks = list(flicker.movie(options, 60_000, np.random.default_rng(0)))
    movie = stimuli.standardised(np.concatenate(blocks))
    assert movie.shape == (60_000, 2, 3)
    assert (movie == movie[:, :1, :1]).all()
    contrast = movie[:, 0, 0]
    assert contrast.mean() == pytest.approx(0, abs=0.05)  # about 200 trains, dark and bright
    assert contrast.std() == pytest.approx(1, abs=0.03)
    flash = (np.abs(np.abs(contrast) - 2) < 0.02).astype(int)
    onset = np.flatnonzero((flash[1:-1] == 1) & (flash[2:] == 1) & (contrast[:-2] == 0)) + 1
    assert set(np.diff(onset)) >= set(range(5, 25))


# ---- probes ----


def test_flashes_are_as_many_as_published():
    for settings in (Settings(), Settings(scenario="depression"), Settings(history=52, size_px=(20, 20))):
        made = probes.movies(settings)
        for period, count in PUBLISHED_COUNTS.items():
            movie = made[f"omitted_{period:02d}"]
            onsets = np.flatnonzero((movie[1:] < 0) & (movie[:-1] == 0)) + 1
            onsets = [0, *onsets] if movie[0] < 0 else list(onsets)
            extra = (max(0, settings.span - 40)) // period  # a longer history has room for more
            assert len(onsets) in (count, count + extra, count + extra + 1)
            assert set(np.diff(onsets)) == {period}
            assert (movie < 0).sum() == 2 * len(onsets)
            assert onsets[-1] == 89 + max(0, settings.span - 40)
            assert set(np.unique(movie)) == {-settings.contrast, 0}
    assert [len(made) for made in (probes.movies(Settings()),)] == [9]


def test_contributions_make_up_the_response_to_a_probe(tmp_path):
    for number, options in enumerate((ODD, {**SMALL, "scenario": "depression"})):
        truth = run(tmp_path / str(number), **options)
        gain, offset = truth["teacher"].attrs["gain"], truth[("weights", "synapse")[number]]["offset"].values
        full = truth["teacher"].attrs["history"] - 1 + truth["teacher"].attrs["lag"]
        for name, probe in truth["probes"].children.items():
            rate, parts = probe["rate"].values, probe["contribution"].values
            assert np.isnan(rate[:full]).all(), name
            assert np.isfinite(rate[full:]).all()
            wanted = gain * np.logaddexp(0, parts[full:].sum(axis=2) + offset)
            np.testing.assert_allclose(rate[full:], wanted, rtol=1e-4, atol=1e-6)  # stored in single precision


def test_dark_flashes_are_signalled_by_off_and_bright_ones_by_on_channels(tmp_path):
    truth = run(tmp_path / "raw", **SMALL)
    on = truth["teacher/sign"].values > 0
    for name in ("dark_flash", "dark_step", "bright_flash", "bright_step"):
        parts = np.abs(truth[f"probes/{name}/contribution"].values[12:]).sum(axis=(0, 1))
        right = on if name.startswith("bright") else ~on
        assert parts[right].sum() / parts.sum() > 0.99
        rate, rest = truth[f"probes/{name}/rate"].values[12:], truth[f"probes/{name}/rate"].values[12]
        assert (rate.max(axis=0) > 10 * rest).all()


# ---- depressing synapse ----


def latencies(retina, settings):
    """Return frames from the last flash to the peak after the omitted one, for each period; the rates at the peak,
    between flashes at most, and at rest."""
    found, responses = [], []
    for period in probes.PERIODS:
        movie = np.concatenate([probes.movies(settings)[f"omitted_{period:02d}"], np.zeros(30)])
        rate = rates(retina, movie[:, None, None])[:, 0]
        peak = 89 + period + int(rate[89 + period :].argmax())
        found.append(peak - 89)
        responses.append((rate[peak], rate[92 : 89 + period].max(), rate[0]))
    return found, np.array(responses).T


def test_omitted_flashes_are_signalled_later_the_slower_they_came(monkeypatch):
    settings = Settings(scenario="depression", cells=1)
    retina = depression.build(settings, 0)
    found, (peak, between, rest) = latencies(retina, settings)
    assert (peak > 3 * rest).all()
    assert (between < 0.1 * peak).all()
    slope = np.polyfit(probes.PERIODS, found, 1)[0]
    assert (np.diff(found) > 0).all()
    assert slope == pytest.approx(0.73, abs=0.02)
    monkeypatch.setitem(depression.CONSTANTS, "recovery_s", 1e-6)  # the resource is always full: no depression
    assert np.polyfit(probes.PERIODS, latencies(depression.build(settings, 0), settings)[0], 1)[0] < slope - 0.1


def test_the_synapse_follows_its_differential_equations():
    """Euler steps 200 times as short, of a movie that changes slowly enough for steps of 10 ms."""
    settings = Settings(scenario="depression", cells=1, lag=0)
    retina, constant = depression.build(settings, 0), depression.CONSTANTS
    contrast = -1.2 * np.sin(np.arange(300) / 25) ** 2
    parts, _ = retina.parts(contrast[:, None, None], retina.begin())
    y, resource, inhibition, excitation, found = 0.0, 1.0, 0.0, 0.0, []
    dt = 0.01 / 200
    for value in contrast.repeat(200):
        y += dt * (value - y) / constant["drive_s"]
        rate = constant["release_hz"] * max(0.0, -y - constant["threshold"])
        inhibition += dt * (rate * resource - inhibition / constant["inhibition_s"])
        excitation += dt * (rate - excitation / constant["excitation_s"])
        resource += dt * ((1 - resource) / constant["recovery_s"] - rate * resource)
        found.append((resource, inhibition))
    resource, inhibition = np.array(found)[199::200].T
    np.testing.assert_allclose(-parts[:, 0, 2] / retina.weight[0, 2] * -1, inhibition, atol=0.2 * inhibition.max())
    assert 0 < resource.min() < 0.5


def test_inhibition_never_exceeds_what_the_resource_allows():
    settings = Settings(scenario="depression", cells=3)
    retina = depression.build(settings, 1)
    parts, state = retina.parts(np.random.default_rng(0).normal(0, 5, (3000, 1, 1)), retina.begin())
    assert (parts[..., 2] <= 0).all()
    assert (parts[..., :2] >= 0).all()
    assert 0 <= state[-3] <= 1
    assert retina.parts(np.zeros((5, 1, 1)), retina.begin())[0] == pytest.approx(0)  # nothing at rest


# ---- interneurons ----


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_potentials_are_the_drive_of_the_subunit_that_is_said(noise, tmp_path):
    options = {**SMALL, "size_px": (18, 22), "interneurons": 5, "interneuron_frames": 700, "interneuron_noise": noise}
    truth = run(tmp_path / "raw", 6, **options, hold=2)
    given = {"file": "bipolars_simulated.h5", "size_px": (18, 22)}
    found = retina_interneurons.read(
        [*(tmp_path / "raw").rglob("*.h5")], retina_interneurons.Settings.model_validate(given)
    ).load()
    movie, potential = found["stimulus/movie"].values, found["responses/potential"].values
    assert set(np.unique(movie)) == {-1, 0, 1}
    seen = np.concatenate([np.zeros((12, 18, 22)), movie])
    known = truth["interneurons"]
    assert known["feature"].values.tolist() == [0, 1, 2, 0, 1]
    for cell in range(5):
        row, column = int(known["row"][cell]), int(known["column"][cell])
        kernel = truth["teacher/filter"].values[:, int(known["feature"][cell])]
        field = seen[:, row : row + 5, column : column + 5]
        wanted = np.array([(field[at : at + 12] * kernel).sum() for at in range(700)])
        if noise == 0:
            np.testing.assert_allclose(potential[:, cell], wanted, atol=1e-4)  # filters in single precision
        r = np.corrcoef(potential[:, cell], wanted)[0, 1]
        assert r == pytest.approx(1 / np.hypot(1, noise), abs=0.02)  # 700 numbers


def test_recorded_subunits_see_boxes_alone():
    settings = Settings(interneurons=40, interneuron_frames=10)
    recorded = interneurons.record(settings, teacher.build(settings, 0), 0)
    top = (16 - recorded.boxes.shape[1]) // 2
    assert recorded.place.min() >= top
    assert recorded.place.max() + 5 <= top + recorded.boxes.shape[1]


# ---- settings ----


@pytest.mark.parametrize(
    "options",
    [
        {"stimuli": ["flicker"]},
        {"scenario": "depression", "stimuli": ["white"]},
        {"scenario": "depression", "interneurons": 1},
        {"stimuli": ["white", "white"]},
        {"stimuli": []},
        {"pathways": ["off_fast", "off_fast"]},
        {"pathways": ["on_slow"]},
        {"frames": 100, "blocks": 3},
        {"size_px": (4, 20)},
        {"scenario": "depression", "probe_contrast": 4.5},
        {"history": 3},
        {"cell": 3},
    ],
)
def test_settings_that_mean_nothing(options):
    with pytest.raises(ConfigError):
        config.parse(Settings, options, "options")
