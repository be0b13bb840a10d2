"""Simulated recordings against their own formulas, their truth, and decoders that know no simulator."""

import numpy as np
import pytest
from pydantic import ValidationError

from pellucid import store
from pellucid.preprocess import behaviour, wavelets
from pellucid.preprocess.settings import Wavelets
from pellucid.stages.convert import convert
from pellucid.systems.deepinsight.simulate import behaviours, spikes
from pellucid.systems.deepinsight.simulate.settings import Replay, Settings, Spikes
from pellucid.systems.deepinsight.simulate.simulate import simulate

SHORT = {"duration_s": 6.0, "tetrodes": 2, "rate_hz": 15_000.0}


def written(folder, seed=0, **options):
    """Simulate into a new folder and return it."""
    folder.mkdir(parents=True)
    simulate(Settings.model_validate(options), seed, folder)
    return folder


def converted(raw, reader, **options):
    """The recording that a reader makes of simulated files."""
    block = {"dataset": "d", "subject": "s", "raw": raw.name, "reader": reader, "options": options}
    output = raw.parent / f"{raw.name}.zarr"
    convert("r", block, [raw], output)
    return store.open_store(output, kind="recording")


@pytest.fixture(scope="module")
def run():
    """A run of three minutes and its units, without the signal."""
    settings = Spikes(duration_s=180.0)
    generator = np.random.default_rng(5)
    found = behaviours.run(settings, generator)
    return settings, found, spikes.sorted_units(settings, found, generator)


@pytest.mark.parametrize("channels", [8, 5])
def test_two_bands_follow_their_formula(tmp_path, channels):
    """Drawn anew in the same order: behaviours, phases, noise; equal to half a step of the int16."""
    raw = written(tmp_path / "a", 7, duration_s=20, channels=channels)
    generator = np.random.default_rng(7)
    noise = generator.standard_normal((400, 2))
    slow = np.zeros((400, 2))
    for row in range(400):
        slow[row] = noise[row] + np.exp(-1 / 40) * slow[row - 1]
    slow = (slow - slow.mean(0)) / slow.std(0)
    phase = generator.uniform(0, 2 * np.pi, channels)
    signal = generator.standard_normal((20_000, channels))
    t = np.arange(20_000) / 1000
    first = channels // 2
    for channel in range(channels):
        b, hertz = (slow[:, 0], 62.5) if channel < first else (slow[:, 1], 7.8125)
        amplitude = 0.7 * (1 + np.tanh(np.interp(t, np.arange(400) / 20, b)))
        signal[:, channel] += amplitude * np.sin(2 * np.pi * hertz * t + phase[channel])
    stored = np.fromfile(raw / "signal.bin", "<i2").reshape(-1, channels)
    assert np.abs(stored * 5e-4 - signal).max() <= 2.5e-4 + 1e-9
    truth = store.open_store(raw / "truth.zarr")["truth"]
    assert truth["carries"].values.tolist() == [[c < first, c >= first] for c in range(channels)]


def test_a_second_carrier_is_redundant(tmp_path):
    """On the channels of the first behaviour, with the same envelope; nothing else changes."""
    plain = written(tmp_path / "a", 3, duration_s=60, channels=3)
    both = written(tmp_path / "b", 3, duration_s=60, channels=3, redundant_hz=187.5)
    first, second = (np.fromfile(raw / "signal.bin", "<i2").reshape(-1, 3) * 5e-4 for raw in (plain, both))
    added = second - first
    assert np.abs(added[:, 1:]).max() == 0
    t = np.arange(len(added)) / 1000
    window = np.hanning(200) / np.hanning(200).sum()
    envelope = 2 * np.abs(np.convolve(added[:, 0] * np.exp(-2j * np.pi * 187.5 * t), window, "same"))
    b1 = np.fromfile(both / "behaviour.bin", "<f4").reshape(-1, 2)[:, 0]
    expected = 0.7 * (1 + np.tanh(np.interp(t, np.arange(len(b1)) / 20, b1)))
    assert np.corrcoef(envelope[500:-500], expected[500:-500])[0, 1] > 0.98
    known = store.open_store(both / "truth.zarr")["truth"]
    assert known["redundant_hz"].values[0] == 187.5
    assert np.isnan(known["redundant_hz"].values[1])
    assert "redundant_hz" not in store.open_store(plain / "truth.zarr")["truth"].dataset


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenario": "spikes", "channels": 4}, "settings of scenario spikes in `spikes`, not channels"),
        ({"tones": {"repeats": 2}}, "settings of scenario two_band beside `scenario`, not tones"),
        ({"scenario": "track", "format": "nwb"}, "scenario track in one of the formats matlab"),
        ({"scenario": "spikes", "spikes": {"rate_hz": 12_500.5}}, "whole kHz"),
        ({"scenario": "replay", "replay": {"rest_s": 20}}, "`rest_s` below `rest_every_s`"),
        ({"scenario": "tones", "tones": {"gap_s": [0.5, 0.4]}}, "`gap_s` in order"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate(options)


def test_the_signal_does_not_depend_on_its_blocks():
    settings = Replay.model_validate(SHORT | {"rest_every_s": 3.0, "rest_s": 1.0})
    found = behaviours.run(settings, np.random.default_rng(0))
    units = spikes.sorted_units(settings, found, np.random.default_rng(1))
    drawn = [
        np.concatenate(list(spikes.signal(settings, found, units, np.random.default_rng(2), block)))
        for block in (90_000, 7_777)
    ]
    assert (drawn[0] == drawn[1]).all()
    assert drawn[0].shape == (90_000, 8)


def test_the_mean_around_spikes_is_the_waveform():
    """On the unit's own channels, within five standard errors of the noise."""
    settings = Spikes(duration_s=20.0, tetrodes=2, place_units=0, interneurons=1, theta_uv=0.0)
    found = behaviours.run(settings, np.random.default_rng(0))
    (unit,) = spikes.sorted_units(settings, found, np.random.default_rng(1))
    signal = np.concatenate(list(spikes.signal(settings, found, [unit], np.random.default_rng(2)))) * spikes.BIT_UV
    near = unit.samples[(unit.samples > 50) & (unit.samples < len(signal) - 50)]
    alone = near[1:-1][(np.diff(near)[:-1] > 20) & (np.diff(near)[1:] > 20)]
    mean = signal[alone[:, None] + np.arange(-5, 6)].mean(0)
    t = np.arange(-5, 6) / 30_000 / 0.0563e-3
    expected = 80 * ((1 - t**2) * np.exp(-(t**2) / 2))[:, None] * np.array([0, 0, 0, 0, 1, 0.4, 0.2, 0.4])
    assert np.abs(mean - expected).max() < 5 * 10 / np.sqrt(len(alone))


def test_the_energy_of_the_two_classes_lies_in_different_bands():
    """Half-power bands apart; closed forms peak at 1 / (2 pi s) and sqrt(2) / (2 pi s)."""
    place, interneuron = (spikes.half_power(kind, 30_000.0) for kind in ("place", "interneuron"))
    assert place[0] == pytest.approx(1 / (2 * np.pi * 0.177e-3), rel=0.005)
    assert interneuron[0] == pytest.approx(np.sqrt(2) / (2 * np.pi * 0.0563e-3), rel=0.005)
    assert place[1] < place[0] < place[2] < interneuron[1] < interneuron[0] < interneuron[2]
    grid = wavelets.frequencies(30_000.0, 3_000_000, Wavelets())
    inside = [[round(f) for f in grid if low <= f <= high] for _, low, high in (place, interneuron)]
    assert inside == [[1326, 938, 663, 469], [5303, 3750, 2652]]
    assert np.abs(grid - Spikes().theta_hz).min() < 1e-9


def test_rates_follow_position_and_heading(run):
    """Counted from spikes: the rate in the middle of a field, far from it, and the heading that is preferred."""
    _, found, units = run
    for unit in units:
        at = unit.samples // 30
        if unit.kind == "place":
            distance = np.abs((found.position - unit.centre + 2) % 4 - 2)
            inside, outside = distance < 0.08, distance > 1.2
            rates = [np.isin(at, np.flatnonzero(mask)).sum() / mask.sum() * 1000 for mask in (inside, outside)]
            assert rates[0] == pytest.approx(30, rel=0.3)
            assert rates[1] < 0.1
        else:
            resultant = np.exp(1j * found.heading[at]).sum() / len(at) - np.exp(1j * found.heading).mean()
            assert abs(behaviour.wrap(np.angle(resultant) - unit.centre)) < 0.5
    tetrodes = {kind: {unit.tetrode for unit in units if unit.kind == kind} for kind in spikes.TUNED}
    assert tetrodes == {"place": {0, 1}, "interneuron": {1, 2}}


def test_position_is_decoded_from_the_true_spikes(run):
    """Poisson decoder with the known rates, 0.5 s of spikes: the median error is below a fifth of a field's s.d."""
    _, found, units = run
    place = [unit for unit in units if unit.kind == "place"]
    counts = np.stack([np.bincount(unit.samples // 15_000, minlength=360) for unit in place])
    grid = np.arange(0, 4, 0.02)
    away = (grid - np.array([[unit.centre] for unit in place]) + 2) % 4 - 2
    rates = 30 * np.exp(-((away / 0.24) ** 2) / 2) + 1e-3
    posterior = counts.T @ np.log(rates) - 0.5 * rates.sum(0)
    middle = found.position[250::500]
    error = behaviour.circular_error(middle, grid[posterior.argmax(1)], 4.0)
    assert np.median(error) < 0.05
    assert np.median(behaviour.circular_error(np.roll(middle, 100), grid[posterior.argmax(1)], 4.0)) > 0.5


def test_the_lights_show_position_heading_and_speed(run):
    """By the formulas of Frey et al. 2021 (released code) for two LEDs."""
    settings, found, _ = run
    at = np.arange(0, 180_000, 40)
    x1, y1, x2, y2 = behaviours.leds(found.position[at], found.heading[at], settings.track_m).T
    heading = -behaviour.wrap(np.arctan2(x1 - x2, y1 - y2) + np.pi / 2)
    assert np.abs(behaviour.wrap(heading - found.heading[at])).max() < 1e-9
    radius = 400 / (2 * np.pi)
    x, y = (x1 + x2) / 2 - radius - 10, (y1 + y2) / 2 - radius - 10
    assert np.hypot(x, y) == pytest.approx(np.full(len(at), radius))
    along = np.mod(np.arctan2(y, x), 2 * np.pi) / (2 * np.pi) * 4
    assert behaviour.circular_error(along, found.position[at], 4.0).max() < 1e-9
    moved = np.hypot(np.diff(x), np.diff(y)) / 0.04
    mean = (found.speed[1:179_961]).reshape(-1, 40).mean(1)  # between the samples; the chord is a little shorter
    assert moved / 100 == pytest.approx(mean, rel=1e-3)


def test_a_ripple_replays_the_track_while_the_rat_rests(tmp_path):
    options = {"duration_s": 20.0, "tetrodes": 2, "rate_hz": 15_000.0, "rest_every_s": 5.0, "rest_s": 2.0}
    settings = Replay.model_validate(options)
    found = behaviours.run(settings, np.random.default_rng(0))
    assert found.ripples == pytest.approx(np.array([[s - 0.05, s + 0.05] for s in (4.0, 9.0, 14.0, 19.0)]))
    resting = np.mod(found.times, 5) >= 3
    assert (found.speed[resting] == 0).all()
    assert (found.speed[~resting] > 0).all()
    ripple = (found.times >= 3.95) & (found.times < 4.05)
    assert np.polyfit(found.times[ripple], found.represented[ripple], 1)[0] == pytest.approx(40.0)
    assert (found.represented[~np.isin(found.gain, [10.0])] == found.position[found.gain == 1]).all()
    raw = written(tmp_path / "a", scenario="replay", replay=options)
    signal = np.fromfile(raw / "signal.bin", "<i2").reshape(-1, 8)[:, 0] * spikes.BIT_UV
    power = np.abs(np.fft.rfft(signal.reshape(-1, 1500), axis=1)[:, 17]) ** 2  # 0.1 s at 170 Hz
    starts = np.flatnonzero(power > 20 * np.median(power)) * 0.1
    assert len(starts) >= 4
    assert all(np.abs(found.ripples[:, 0] - start).min() < 0.1 for start in starts)
    assert store.open_store(raw / "truth.zarr")["ripples"]["start"].values == pytest.approx(found.ripples[:, 0])


def test_every_format_holds_the_same_recording(tmp_path):
    """Binary, NWB and the first NWB version of Open Ephys, each written twice to the same bytes."""
    names = ("position", "head_direction", "speed", "led")
    series = {"behaviour": {name: f"processing/behavior/{name}" for name in names}}
    found = {}
    for form, options in (("binary", {}), ("nwb", series), ("open_ephys_nwb1", {"group_channels": 4, "units": "cm"})):
        raws = [written(tmp_path / f"{form}{i}", 2, scenario="spikes", format=form, spikes=SHORT) for i in range(2)]
        assert store.digest(raws[0]) == store.digest(raws[1])
        found[form] = converted(raws[0], form, **options)
        truth = store.open_store(raws[0] / "truth.zarr")
        assert truth["units"]["unit_class"].values.tolist() == ["place"] * 8 + ["interneuron"] * 4
    plain = found["binary"]
    for other in (found["nwb"], found["open_ephys_nwb1"]):
        assert (other["ephys"]["signal"].values == plain["ephys"]["signal"].values).all()
        assert other["ephys"]["signal"].attrs["scale"] == pytest.approx(0.195)
        groups = (tree["ephys"]["channel_group"].values for tree in (other, plain))
        assert np.array_equal(*(np.unique(group, return_inverse=True)[1] for group in groups))
        assert other["behaviour"]["led"].values == pytest.approx(plain["behaviour"]["led"].values)
    units = found["nwb"]["spikes"]
    for name in ("spike_time", "spike_unit"):
        assert units[name].values == pytest.approx(plain["spikes"][name].values)
    for name in ("neuron", "unit_class", "unit_group"):
        assert units[name].values.tolist() == plain["spikes"][name].values.tolist()
    for name in names:
        assert found["nwb"]["behaviour"][name].values == pytest.approx(plain["behaviour"][name].values)


@pytest.mark.slow
def test_each_behaviour_is_decoded_from_the_power_of_its_own_bands(tmp_path):
    """Ridge on the power of single bands, averaged over 1 s, first two thirds to last third of 240 s."""
    recording = converted(written(tmp_path / "a", 0, scenario="spikes", spikes={"rate_hz": 15_000.0}), "binary")
    signal = recording["ephys"]["signal"]
    settings = Wavelets(block_samples=500, reference="none")

    def read(start, stop):
        return signal[start:stop].values

    power = np.concatenate(list(wavelets.stream_block_power(read, len(signal), 15_000.0, settings)))
    grid = wavelets.frequencies(15_000.0, len(signal), settings)
    group = recording["behaviour"]
    angle = 2 * np.pi * group["position"].values / 4
    heading = group["head_direction"].values
    targets = {
        "position": np.stack([np.sin(angle), np.cos(angle)], 1),
        "head_direction": np.stack([np.sin(heading), np.cos(heading)], 1),
        "speed": group["speed"].values[:, None],
    }
    truth = store.open_store(tmp_path / "a" / "truth.zarr")["truth"]
    for column, target in enumerate(targets.values()):
        score = np.array([_ridge(power[:, band], target) for band in range(len(grid))])
        low, high = (truth[f"band_{end}_hz"].values[column] for end in ("low", "high"))
        assert score[(grid >= low) & (grid <= high)].min() > 0.8
        far = (grid < low / 8) | (grid > high * 4)
        assert np.abs(score[far]).max() < 0.5
        assert low <= grid[np.argmax(score)] <= high


def _ridge(power, target):
    """Pearson's r on the last third, mean over columns: windows of 30 rows around the row that is decoded."""
    scaled = (power - np.median(power, 0)) / np.median(np.abs(power - np.median(power, 0)), 0)
    sums = np.cumsum(np.concatenate([np.zeros((1, scaled.shape[1])), scaled]), 0)
    mean, target = (sums[30:] - sums[:-30]) / 30, target[15 : len(target) - 14]
    train, test = slice(0, 4600), slice(4800, None)
    mean = (mean - mean[train].mean(0)) / mean[train].std(0)
    centred = target[train] - target[train].mean(0)
    weights = np.linalg.solve(mean[train].T @ mean[train] + 30 * np.eye(mean.shape[1]), mean[train].T @ centred)
    found = mean[test] @ weights
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(found.T, target[test].T)])
