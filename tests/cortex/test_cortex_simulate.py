"""Simulated mice: behaviour, calcium, images and confounds are what their definitions say, and files hold them."""

import tracemalloc
from pathlib import Path

import dask
import numpy as np
import pytest
import tifffile

from pellucid import config, store, systems
from pellucid.errors import ConfigError
from pellucid.readers.cortex_mat import ROIS
from pellucid.stages import convert, simulate
from pellucid.systems.cortex.simulate import behaviour, confounds, formats, images, signals
from pellucid.systems.cortex.simulate.settings import Settings

SMALL = {"mice": 2, "sessions": [2, 1], "frames": 90}
MOVIES = SMALL | {"scenario": "image", "size_px": (20, 28)}


def session(seed=0, mouse=1, number=0, **options):
    return signals.simulated(Settings.model_validate(options), seed, mouse, number)


def run(folder, seed=0, **options):
    simulate.simulate("cortex", seed, options, folder)
    return store.open_store(folder / "truth.zarr")


def converted(folder, output, reader, options):
    block = {"dataset": "d", "subject": "m1", "raw": str(folder), "reader": reader, "options": options}
    convert.convert("m1_s0", block, [folder], output)
    return store.open_store(output, kind="recording")


# ---- behaviour ----


def test_bouts_are_gamma_distributed_with_a_floor():
    states = behaviour.bouts((4.0, 6.0), 1_200_000, 30, np.random.default_rng(0))
    edges = np.flatnonzero(np.diff(states)) + 1
    lengths, kinds = np.diff(edges) / 30, states[edges[:-1]]
    assert lengths.min() >= 0.3 - 1 / 30  # both ends are rounded to frames
    for kind, mean in ((0, 4.0), (1, 6.0)):
        chosen = lengths[kinds == kind]
        # about 4000 bouts: standard errors of 1.1 % of a mean and 2.5 % of a s.d. (mean / sqrt 2); the floor adds .5 %
        assert chosen.mean() == pytest.approx(mean, rel=0.05)
        assert chosen.std() == pytest.approx(mean / np.sqrt(2), rel=0.1)


def test_mice_differ_within_the_ranges_and_sessions_keep_their_mouse():
    means = np.array([behaviour.bout_means(np.random.default_rng(seed)) for seed in range(400)])
    for values, (low, high) in zip(means.T, (behaviour.REST_MEANS_S, behaviour.RUN_MEANS_S)):
        assert low < values.min() < low + 0.2 < high - 0.2 < values.max() < high
    first = {seed: session(seed, frames=30).run.tolist() for seed in range(20)}
    assert {states[0] for states in first.values()} == {0, 1}  # a session begins with either
    assert session(3, 1, 0).run.tolist() != session(3, 1, 1).run.tolist()


@pytest.mark.parametrize("rate_hz", [30.0, 10.0, 47.0])
def test_drive_is_the_delayed_unit_sum_kernel(rate_hz):
    shape = behaviour.kernel(rate_hz)
    assert shape.sum() == pytest.approx(1)
    assert len(shape) == round(3 * rate_hz)
    states = np.zeros(200, np.uint8)
    states[[20, 21, 90]] = 1
    found, delay = behaviour.drive(states, rate_hz), round(0.1 * rate_hz)
    t = np.arange(int(3 * rate_hz)) / rate_hz
    k = (1 - np.exp(-t / 0.05)) * np.exp(-t / 0.4)
    wanted = [
        sum(states[frame - delay - lag] * k[lag] for lag in range(len(k)) if frame - delay - lag >= 0) / k.sum()
        for frame in range(200)
    ]
    assert found == pytest.approx(np.array(wanted), abs=1e-12)
    assert not found[: 20 + delay + 1].any()  # k(0) = 0
    assert behaviour.drive(np.ones(400, np.uint8), rate_hz)[-1] == pytest.approx(1)


def test_speed_tells_rest_from_running_without_jumps():
    states = behaviour.bouts((3.0, 5.0), 9000, 30, np.random.default_rng(1))
    found = behaviour.speed(states, 30, np.random.default_rng(2))
    assert ((found > 0.5) == (states == 1)).all()
    assert found.min() >= 0
    assert 5 < found[states == 1].mean() < 12
    assert np.abs(np.diff(found)).max() < 0.15 * found.max()  # in a thirtieth of a second
    still = behaviour.speed(np.zeros(50, np.uint8), 30, np.random.default_rng(3))
    assert still.max() < 0.5


@pytest.mark.parametrize(("rho", "rate_hz", "step"), [(0.98, 30.0, 0.98), (0.9, 10.0, 0.9**3)])
def test_slow_processes_are_stationary_with_the_correlation_asked_for(rho, rate_hz, step):
    tau_s = -1 / (30 * np.log(rho))
    found = behaviour.slow(4000, 50, tau_s, rate_hz, np.random.default_rng(4))
    # 200 000 numbers, a hundredth of them independent: a standard error of 2 % of the variance, 10 % of one row's
    assert found.var() == pytest.approx(1, abs=0.08)
    assert found[0].var() == pytest.approx(1, abs=0.6)
    assert (found[1:] * found[:-1]).mean() / found.var() == pytest.approx(step, abs=0.01)
    others = np.corrcoef(found.T)[~np.eye(50, dtype=bool)]
    assert np.abs(others.mean()) < 0.05


# ---- calcium ----


def test_gains_are_the_published_ones_with_a_tenth_of_spread():
    wanted = dict.fromkeys(range(1, 51), 0.15) | dict.fromkeys([1, 2, 3, 4, 26, 27, 28, 29], 0.4)
    wanted |= dict.fromkeys([6, 8, 31, 33], 1.5)
    assert signals.gains(Settings()).tolist() == [wanted[roi] for roi in ROIS]
    factors = []
    for number in range(12):
        made = session(number=number, sessions=12, frames=400)
        # what two ROIs share falls out of their difference, which is the drive times the difference of their gains
        differences = made.neural - made.neural[:, :1]
        slopes = differences.T @ made.drive / (made.drive @ made.drive)
        np.testing.assert_allclose(differences, made.drive[:, None] * slopes, atol=1e-12)
        shared = (made.neural - made.drive[:, None] * slopes).mean(axis=1)
        both = np.linalg.lstsq(np.stack([made.drive, shared], axis=1), made.neural, rcond=None)[0]
        factors.append((slopes - slopes[4]) / (np.array(list(wanted.values())) - 0.15 + 1e-9))
        assert both[1] == pytest.approx(np.ones(50))
    limb = np.array(factors)[:, [5, 7, 30, 32]]
    assert limb.mean() == pytest.approx(1, abs=0.05)  # 48 factors of s.d. .1
    assert limb.std() == pytest.approx(0.11, abs=0.05)


def test_private_activity_and_drift_have_their_sizes():
    made = session(frames=7000)
    private = made.activity - made.neural
    # .7 sqrt(.6^2 + .3^2), and a correlation of .6^2 rho / (.6^2 + .3^2) from frame to frame
    assert private.std() == pytest.approx(0.7 * np.hypot(0.6, 0.3), rel=0.03)
    assert (private[1:] * private[:-1]).mean() / private.var() == pytest.approx(0.9 * 0.8, abs=0.02)
    t = np.arange(7000) / 30
    waves = np.stack([np.exp(-t / 120), np.sin(2 * np.pi * t / 100), np.cos(2 * np.pi * t / 100)], axis=1)
    parts, rest, *_ = np.linalg.lstsq(waves, made.drift, rcond=None)
    assert rest == pytest.approx(np.zeros(50), abs=1e-12)
    assert np.hypot(parts[1], parts[2]) == pytest.approx(np.abs(parts[0]) / 2)
    assert parts[0].mean() == pytest.approx(12, abs=2)  # 50 sizes of s.d. 3.6
    assert parts[0].std() == pytest.approx(3.6, abs=1.2)
    np.testing.assert_allclose(made.calcium, made.activity + made.drift)


def test_running_without_neural_drive():
    made, known = session(neural_drive=False, frames=300), session(frames=300)
    assert (made.run == known.run).all()
    assert (made.neural == made.neural[:, :1]).all()
    assert np.ptp(known.neural - made.neural, axis=0).min() > 0


# ---- confounds ----


@pytest.mark.parametrize("rate_hz", [30.0, 100.0])
def test_blood_follows_activity_by_a_gamma_kernel_with_its_peak_at_a_second(rate_hz):
    shape = confounds.kernel(rate_hz)
    assert np.argmax(shape) / rate_hz == pytest.approx(1)
    assert shape.sum() == pytest.approx(1)
    assert shape[-1] < 1e-3 * shape.max()
    cause = np.zeros(150)
    cause[[10, 40]] = 1, 2
    found = confounds.haemodynamics(
        Settings(haemodynamics={"amplitude": 0.6}).haemodynamics, cause, cause, rate_hz, np.random.default_rng(0)
    )
    slow = [-0.6 * sum(2 * cause[t - lag] * shape[lag] for lag in range(min(t + 1, len(shape)))) for t in range(150)]
    assert found == pytest.approx(np.array(slow), abs=1e-12)


def test_second_colour_holds_blood_and_noise_alone():
    made = session(haemodynamics={"violet_noise": 0.2}, frames=3000)
    noise = made.violet - made.haemodynamics[:, None]
    assert noise.std() == pytest.approx(0.2, rel=0.02)  # 150 000 numbers
    assert np.abs(np.corrcoef(noise.T)[0, 1:]).max() < 0.1
    np.testing.assert_allclose(made.calcium - made.activity - made.drift - made.haemodynamics[:, None], 0, atol=1e-12)


def test_independent_blood_knows_nothing_of_running():
    settings = {"haemodynamics": {"independent": True}, "frames": 18000}
    made = session(**settings)
    assert (made.haemodynamics == session(neural_drive=False, **settings).haemodynamics).all()
    # 10 minutes, time constants of 2 s: about 150 independent samples
    assert abs(np.corrcoef(made.haemodynamics, made.drive)[0, 1]) < 0.25
    told = session(haemodynamics={}, frames=18000)
    for one, known in ((made, False), (told, True)):  # ROI 5 holds the shared activity and the drive, in other shares
        causes = np.stack([one.drive, one.neural[:, 4]], axis=1)
        causes = np.apply_along_axis(lambda cause: np.convolve(cause, confounds.kernel(30))[:18000], 0, causes)
        parts, rest, *_ = np.linalg.lstsq(causes, one.haemodynamics, rcond=None)
        assert (rest.item() < 1e-12) == known
        assert (parts[1] == pytest.approx(-0.6 / 0.35)) == known


def test_confounds_change_nothing_else():
    plain = session(scenario="image", frames=200)
    all_of_them = session(scenario="image", frames=200, haemodynamics={}, motion={}, flicker={})
    for name in ("run", "speed", "drive", "neural", "activity", "drift"):
        assert (getattr(plain, name) == getattr(all_of_them, name)).all()


def test_shifts_and_flicker_follow_running():
    made = session(scenario="image", frames=6000, motion={"jitter_px": 0.4}, flicker={"counts": 7.0})
    moving = made.run == 1
    assert not made.shift[~moving].any()
    assert not made.flicker[~moving].any()
    # about 3000 frames: standard errors below .004 px and .05 counts
    assert np.hypot(*made.shift[moving].mean(axis=0)) == pytest.approx(0.4, abs=0.02)
    assert made.shift[moving].std(axis=0) == pytest.approx([0.2, 0.2], abs=0.02)
    assert made.flicker[moving].mean() == pytest.approx(7, abs=0.3)
    other = session(mouse=2, scenario="image", frames=6000, motion={"jitter_px": 0.4})
    directions = [one.shift[one.run == 1].mean(axis=0) for one in (made, other)]
    assert directions[0] @ directions[1] > 0.1  # all mice push the same way


def test_maps_of_vessels_and_border():
    found = [confounds.vessels((48, 64), np.random.default_rng(seed)) for seed in range(20)]
    for vessels in found:
        assert vessels[:, 31:33].all()
        assert 0.03 < vessels.mean() < 0.3
    assert not (found[0] == found[1]).all()
    edge = confounds.border((48, 64))
    assert edge[3:-3, 4:-4].sum() == 0
    assert edge.sum() == 48 * 64 - 42 * 56


# ---- images ----


def bells(shape):
    """Return the Gaussian of every ROI, (roi, height, width), pixel by pixel."""
    made = np.zeros((50, *shape))
    for index, (row, column, _) in enumerate(ROIS.values()):
        for i in range(shape[0]):
            for j in range(shape[1]):
                square = ((i + 0.5) / shape[0] - row) ** 2 + ((j + 0.5) / shape[1] - column) ** 2
                made[index, i, j] = np.exp(-square / (2 * 0.045**2))
    return made


def shown(made, shape, vessels=0.0):
    return np.stack(list(images.frames(made, shape, images.blood(np.full(shape, vessels))))).astype(float)


def test_frames_are_gaussians_at_the_rois_under_noise():
    made, shape = session(scenario="image", frames=400), (36, 48)
    movie = shown(made, shape)
    light = np.tensordot(200 + 20 * made.calcium, bells(shape), axes=1)
    noise = movie - 1000 - light
    assert noise.std() == pytest.approx(8, rel=0.01)  # 700 000 pixels, and rounding adds 1/12 to 64
    assert abs(noise.mean()) < 0.05
    assert np.abs(noise.mean(axis=0)).max() < 5 * 8 / np.sqrt(400)
    peaks = [(round(row * 36 - 0.5), round(column * 48 - 0.5)) for row, column, _ in ROIS.values()]
    mean = movie.mean(axis=0)
    assert min(mean[peak] for peak in peaks) > np.median(mean)


def test_shifts_can_be_recovered_from_the_frames():
    made, shape = session(scenario="image", frames=300, motion={"jitter_px": 0.8}), (40, 56)
    movie = shown(made, shape)
    rest = movie[made.run == 0].mean(axis=0)
    slopes = np.stack([-slope.ravel() for slope in np.gradient(rest)], axis=1)
    calcium = bells(shape).reshape(50, -1).T
    found = np.linalg.lstsq(np.hstack([slopes, calcium]), (movie - rest).reshape(300, -1).T, rcond=None)[0][:2].T
    for axis in (0, 1):  # a frame is linear in small shifts only, so the slope is near 1
        assert np.corrcoef(found[:, axis], made.shift[:, axis])[0, 1] > 0.98
        assert np.polyfit(made.shift[:, axis], found[:, axis], 1)[0] == pytest.approx(1, abs=0.15)


def test_flicker_is_at_the_border_alone():
    made, shape = session(scenario="image", frames=200, flicker={"counts": 30.0}), (32, 48)
    movie = shown(made, shape) - shown(session(scenario="image", frames=200), shape)
    edge = confounds.border(shape) == 1
    assert np.abs(movie[:, ~edge]).max() <= 1  # rounding
    assert np.abs(movie[:, edge] - made.flicker[:, None]).max() <= 1


def test_colours_take_turns_and_blood_shows_in_both():
    shape = (24, 40)
    made = session(scenario="image", frames=300, haemodynamics={"amplitude": 4.0}, drift=0.0)
    vessels = np.zeros(shape)
    vessels[:, :20] = 1
    movie = np.stack(list(images.frames(made, shape, images.blood(vessels)))).astype(float)
    assert movie.shape == (600, *shape)
    blue, violet = movie[::2], movie[1::2]
    assert violet.mean() / blue.mean() == pytest.approx(0.5, abs=0.02)
    h = made.haemodynamics - made.haemodynamics.mean()
    slope = np.tensordot(h, violet, axes=1) / (h @ h)
    # 480 pixels of noise 8 on 300 frames: far below the modulation of 10 counts, and of 4 beside vessels
    assert slope[:, :20].mean() == pytest.approx(10, abs=0.3)
    assert slope[:, 20:].mean() == pytest.approx(4, abs=0.3)
    light = np.tensordot(200 + 20 * made.activity, bells(shape), axes=1)
    slope = np.tensordot(h, blue - light, axes=1) / (h @ h)
    assert slope[:, :20].mean() == pytest.approx(20, abs=0.6)


@pytest.mark.parametrize("shape", [(16, 16), (32, 32), (24, 40), (128, 128)])
def test_parcels_hold_their_centres(shape):
    found = images.parcels(shape)
    assert set(np.unique(found)) == set(range(51))
    for roi, (row, column, _) in ROIS.items():
        assert found[min(int(row * shape[0]), shape[0] - 1), min(int(column * shape[1]), shape[1] - 1)] == roi
    if min(shape) > 100:
        assert (found == 8).sum() == pytest.approx(np.pi * (0.0385 * 128) ** 2, rel=0.1)


# ---- files ----


@pytest.mark.parametrize(
    "options", [{"haemodynamics": {}}, MOVIES | {"motion": {}, "haemodynamics": {}}], ids=["roi", "image"]
)
def test_same_seed_same_bytes(options, tmp_path):
    options = options | {"mice": 1, "sessions": 1, "frames": 300}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        run(tmp_path / name, seed, **options)
    manifests = [store.read_json(tmp_path / name / "manifest.json") for name in "abc"]
    assert manifests[0] == manifests[1]
    same = {"truth.zarr"} | {name for name in manifests[0] if "parcels" in name}
    for name in set(manifests[0]) - same:
        assert manifests[0][name]["sha256"] != manifests[2][name]["sha256"], name


def test_signals_are_read_back(tmp_path):
    options = SMALL | {"haemodynamics": {}, "rate_hz": 20.0, "drift": 0.0}
    truth = run(tmp_path / "raw", 7, **options)
    assert {path.name for path in (tmp_path / "raw").glob("*.mat")} == {
        *("signal_2mice_raw.mat", "signal_2mice_405.mat", "runrest_2mice.mat", "speed_2mice.mat")
    }
    assert set(truth.children) == {"truth", "m1_s0", "m1_s1", "m2_s0"}
    for mouse, number in ((1, 1), (2, 0)):
        read = {"mouse": mouse, "session": number, "rate_hz": 20, "signal": "signal_2mice_raw"}
        read["violet"] = "signal_2mice_405"
        found = converted(tmp_path / "raw", tmp_path / f"{mouse}.zarr", "cortex_mat", read)
        known, made = truth[f"m{mouse}_s{number}"], session(7, mouse, number, **options)
        # float32 in files
        blood = known["haemodynamics"].values[:, None]
        np.testing.assert_allclose(found["imaging/signal"], known["activity"].values + blood, atol=1e-5)
        np.testing.assert_allclose(found["imaging/signal_405"], made.violet, atol=1e-5)
        assert found["imaging/signal"].dtype == np.float32
        assert (found["behaviour/run"].values == made.run).all()
        np.testing.assert_allclose(found["behaviour/speed"], made.speed, atol=1e-5)
        np.testing.assert_allclose(known["drive"], behaviour.drive(made.run, 20.0), atol=1e-6)
        np.testing.assert_allclose(known["neural"], made.neural, atol=1e-5)
        assert known.attrs == {"rate_hz": 20.0, "start_s": 0.0}


def layout(colours):
    movies = {name: {"source": f"{{stem}}{part}", "dims": ["time", "height", "width"]} for name, part in colours}
    maps = {name: {"source": f"{{stem}}_{name}", "dims": ["height", "width"]} for name in ("parcels", "vessels")}
    columns = {name: {"source": f"{{stem}}/{name.title()}", "dims": ["time"]} for name in ("run", "speed")}
    imaging = {"rate_hz": 30, "variables": movies | maps}
    return {"imaging": imaging, "behaviour": {"rate_hz": 30, "variables": columns}}


@pytest.mark.parametrize("two", [False, True])
def test_movies_are_read_back(two, tmp_path):
    options = MOVIES | {"motion": {}} | ({"haemodynamics": {}} if two else {})
    truth = run(tmp_path / "raw", 8, **options)
    colours = [("movie", "/blue"), ("movie_405", "/violet")] if two else [("movie", "")]
    read = {"stem": "m1_s1", "groups": layout(colours)} | ({"interleaved": ["blue", "violet"]} if two else {})
    found = converted(tmp_path / "raw", tmp_path / "x.zarr", "tiff", read)
    made = session(8, 1, 1, **options)
    vessels = confounds.vessels((20, 28), signals.mouse_streams(8, 1)[1])
    movie = np.stack(list(images.frames(made, (20, 28), images.blood(vessels))))
    assert found["imaging/movie"].dtype == np.uint16
    assert (found["imaging/movie"].values == movie[:: 1 + two]).all()
    if two:
        assert (found["imaging/movie_405"].values == movie[1::2]).all()
    assert (found["imaging/parcels"].values == images.parcels((20, 28))).all()
    assert (found["imaging/vessels"].values == vessels).all()
    assert (found["behaviour/run"].values == made.run).all()
    np.testing.assert_allclose(found["behaviour/speed"], made.speed, atol=5.1e-4, rtol=0)  # three decimals
    np.testing.assert_allclose(truth["m1_s1/shift"], made.shift, atol=1e-6)
    assert ("haemodynamics" in truth["m1_s1"]) == two


@pytest.mark.parametrize("drives", [True, False])
def test_truth_of_rois(drives, tmp_path):
    truth = run(tmp_path / "raw", **SMALL, neural_drive=drives)["truth"].load()
    assert truth.attrs == {"scenario": "roi"}
    assert truth["roi"].values[truth["driving"].values == 1].tolist() == (["6", "8", "31", "33"] if drives else [])
    assert truth["gain"].sel(roi="31").item() == 1.5 * drives
    assert (truth["row"].sel(roi="8").item(), truth["column"].sel(roi="8").item()) == (0.47, 0.20)


def test_a_large_movie_is_a_bigtiff(tmp_path, monkeypatch):
    options = MOVIES | {"mice": 1, "sessions": 1}
    for name, limit in (("classic", 2 * 90 * 20 * 28), ("big", 2 * 90 * 20 * 28 - 1)):
        monkeypatch.setattr(formats, "LARGEST_CLASSIC", limit)
        run(tmp_path / name, **options)
        with tifffile.TiffFile(tmp_path / name / "m1_s0.tif") as file:
            assert file.is_bigtiff == (name == "big")
            assert file.asarray().shape == (90, 20, 28)


@pytest.mark.slow
def test_memory_does_not_grow_with_mice(tmp_path):
    peaks = []
    for mice in (1, 2, 6):  # the first one also pays for imports
        tracemalloc.start()
        with dask.config.set(scheduler="synchronous"):
            run(Path(tmp_path, str(mice)), mice=mice, sessions=1, frames=2000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.3 * peaks[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mice": 3, "sessions": [1, 2]}, "3 mice"),
        ({"sessions": 0}, "at least 1"),
        ({"motion": {}}, "scenario image"),
        ({"size_px": 12}, "16"),
        ({"frames": 1}, "frames"),
        ({"layout": "cells"}, "layout"),
    ],
)
def test_settings_that_cannot_be(options, words):
    with pytest.raises(ConfigError, match=words):
        config.parse(systems.settings("cortex", "simulate"), options, "options")


def test_published_sizes():
    settings = Settings(sessions=[11, 12, 14, 15, 12], frames=18000)
    assert sum(settings.counts) == len(list(formats.names(settings))) == 64
    assert (Settings().counts, Settings().length, Settings().drift_size) == ((2,) * 5, 4500, 12)
    image = Settings(scenario="image")
    assert (image.counts, image.length, image.drift_size, image.shape) == ((1,) * 5, 3000, 2, (32, 32))
