"""Tracked lights, gaps in behaviour and in signals, and spikes in rows."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import DataError
from pellucid.preprocess import behaviour, gaps, spikes, splits, tracking
from pellucid.preprocess.settings import Split

RATE = 50.0


def circling(samples=400, radius=30.0, turn=1.5, apart=6.0):
    """Times and two lights of an animal that runs on a circle: light 2 leads light 1."""
    times = np.arange(samples) / RATE
    centre = radius * np.stack([np.cos(turn * times), np.sin(turn * times)], axis=1)
    ahead = np.stack([-np.sin(turn * times), np.cos(turn * times)], axis=1)
    return times, np.concatenate([centre - apart / 2 * ahead, centre + apart / 2 * ahead], axis=1)


def test_midpoint_heading_and_speed_of_a_circle():
    times, lights = circling()
    position = tracking.midpoint(times, lights)
    assert position[:, 0] == pytest.approx(30 * np.cos(1.5 * times))
    assert tracking.heading(lights) == pytest.approx(behaviour.wrap(1.5 * times + np.pi / 2), abs=1e-9)
    # a chord is shorter than its arc, and the box averages directions: both by (0.03 rad)^2 / 24 and more
    assert tracking.speed(times, position) == pytest.approx(np.full(400, 45.0), rel=1e-3)


@given(st.floats(-3.1, 3.1), st.floats(0.5, 9))
def test_heading_points_from_light_1_to_light_2(angle, apart):
    lights = np.array([[2.0, -1.0, 2 + apart * np.cos(angle), -1 + apart * np.sin(angle)]])
    assert abs(behaviour.wrap(tracking.heading(lights)[0] - angle)) < 1e-9


def test_speed_does_not_lag_on_an_irregular_clock():
    generator = np.random.default_rng(1)
    times = np.cumsum(generator.uniform(0.015, 0.025, 2000))
    run = 10 * times - 5 * np.cos(2 * times)  # speed 10 + 10 sin 2t, along one line
    position = np.stack([run * 0.6, run * 0.8], axis=1)
    found = tracking.speed(times, position)
    expected = 10 + 10 * np.sin(2 * times)
    assert found[2:-2] == pytest.approx(expected[2:-2], abs=0.15)
    lags = [np.abs(found[50:-50] - np.interp(times[50:-50] - lag, times, expected)).mean() for lag in (-0.02, 0, 0.02)]
    assert np.argmin(lags) == 1


def test_the_published_average_lags_by_two_samples():
    times = np.arange(60) / RATE
    ramp = np.stack([times, 2 * times], axis=1)
    found = tracking.smoothed(times, ramp, 5)
    assert found[4:] == pytest.approx(ramp[2:-2])
    assert (tracking.smoothed(times, ramp, 1) == ramp).all()
    lost = ramp.copy()
    lost[10:13] = np.nan  # bridged on a line: nothing changes
    assert tracking.smoothed(times, lost, 5, 0.1)[4:] == pytest.approx(ramp[2:-2])
    assert np.isnan(tracking.smoothed(times, lost, 5, 0.05)[10:13]).all()
    assert tracking.smoothed(times, lost, 5, 0.05)[14] == pytest.approx(ramp[[13, 14]].mean(axis=0))


def test_a_lost_light_does_not_move_the_midpoint():
    times, lights = circling()
    true = tracking.midpoint(times, lights)
    lights[100:110, 2:] = np.nan
    lights[200:210, :2] = np.nan
    lights[300, 0] = np.nan
    found = tracking.midpoint(times, lights, 1.0)
    assert np.abs(found - true).max() < 0.05  # of a separation of 6, which turns by 0.3 rad in the gap
    assert np.abs(tracking.speed(times, found, 1.0) - 45).max() < 2
    alone = tracking.midpoint(times, lights, 0.1)
    assert alone[100:110] == pytest.approx(lights[100:110, :2])
    lights[50:52] = np.nan
    assert np.isnan(tracking.midpoint(times, lights, 1.0)[50:52]).all()
    assert np.isnan(tracking.heading(lights)[[50, 105, 205, 300]]).all()


@pytest.mark.parametrize("most", [0.3, 1.0])
def test_long_gaps_are_not_bridged(most):
    times = np.arange(500) / RATE
    values = np.stack([np.sin(times), np.cos(times)], axis=1)
    gone = np.zeros(500, bool)
    for start, length in ((40, 14), (100, 15), (200, 49), (300, 50), (460, 40)):
        gone[start : start + length] = True
    values[gone] = np.nan
    at = np.linspace(0.003, times[-1], 777)
    bridged = behaviour.resample(times, values, at)
    found = behaviour.resample(times, values, at, most_gap_s=most)
    kept = np.isfinite(found)
    assert (found[kept] == bridged[kept]).all()
    known = np.flatnonzero(~gone) / RATE
    longer = [(a, b) for a, b in itertools.pairwise(known) if b - a > most + 1e-6]
    expected = np.array([any(a < t < b for a, b in longer) or t > known[-1] for t in at])
    assert (~kept.any(axis=1) == expected).all()
    assert len(longer) == {0.3: 3, 1.0: 1}[most]


def irregular(samples, columns, seed):
    """A random signal and which of its samples are missing: single ones, runs, and whole ends."""
    generator = np.random.default_rng(seed)
    signal = generator.integers(-100, 100, (samples, columns)).astype(np.int8)
    gone = generator.random((samples, columns)) < 0.2
    for column in range(columns):
        start = int(generator.integers(0, samples - 1))
        gone[start : start + samples // 3, column] = True
        gone[int(generator.integers(0, samples)), column] = False
    return signal, gone


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 40), st.integers(1, 4))
def test_filled_signals_do_not_depend_on_how_they_are_read(seed, piece, length, columns):
    samples = 150
    signal, gone = irregular(samples, columns, seed)
    borders = np.append(np.arange(0, samples, 16), samples)
    found = gaps.Filled(
        lambda a, b: signal[a:b], lambda start, part: gone[start : start + len(part)], borders, samples, piece
    )
    number = np.arange(samples)
    expected = np.stack(
        [np.interp(number, number[~gone[:, c]], signal[~gone[:, c], c]) for c in range(columns)], axis=1
    ).astype(np.float32)
    cut = [found.read(start, min(start + length, samples)) for start in range(0, samples, length)]
    assert (np.concatenate(cut) == expected).all()
    assert cut[0].dtype == np.float32
    share = [gone[a:b].mean() for a, b in itertools.pairwise(borders)]
    assert found.share == pytest.approx(np.array(share), abs=1e-6)
    assert found.known.all()


def test_a_column_without_samples_is_known_to_have_none():
    signal = np.ones((30, 2, 3), np.float32)
    signal[:, 1, 2] = np.nan
    found = gaps.Filled(lambda a, b: signal[a:b], lambda _, part: np.isnan(part), np.array([0, 20]), 30, 7)
    assert found.known.tolist() == [True] * 5 + [False]
    assert found.share == pytest.approx([1 / 6])  # samples past the last row are in none


def test_spikes_are_counted_in_the_rows_they_fall_into():
    generator = np.random.default_rng(2)
    times, units = generator.uniform(-0.5, 12, 3000), generator.integers(0, 5, 3000)
    edges = np.cumsum(generator.uniform(0.1, 0.4, 30))
    found = spikes.bin_rows(times, units, edges[:-1], edges[1:], neurons=6)
    expected = np.histogram2d(times, units, [edges, np.arange(7) - 0.5])[0]
    assert (found == expected).all()
    apart = spikes.bin_rows(times, units, edges[:-1:2], edges[1::2], neurons=6)
    assert (apart == expected[::2]).all()


def test_equal_rows_agree_with_the_bins_of_trials_at_their_borders():
    borders = 0.3 + np.arange(40) / 30
    times = np.concatenate([borders, borders + 1 / 60])
    units = np.zeros(80, int)
    found = spikes.bin_rows(times, units, borders[:-1], borders[1:], neurons=1)
    trial = spikes.bin_times(times, units, np.array([0.3]), neurons=1, bins=39, bin_s=1 / 30)
    assert (found == trial[0]).all()
    assert (found == 2).all()
    with pytest.raises(DataError, match="1 that are not"):
        spikes.bin_rows(np.array([np.nan]), np.array([0]), borders[:-1], borders[1:], neurons=1)


def test_validation_is_taken_from_rows_that_count():
    usable = np.ones(1000, bool)
    usable[250:750] = False
    settings = Split(folds=2, validation=0.2)
    all_rows = splits.make({"r": 1000}, settings, purge=10)
    assert splits.make({"r": 1000}, settings, purge=10, usable={"r": np.ones(1000, bool)}) == all_rows
    first, second = splits.make({"r": 1000}, settings, purge=10, usable={"r": usable})
    assert (first.test["r"], second.test["r"]) == ([(0, 500)], [(500, 1000)])
    # a fifth of the 250 usable rows of the other half validates: the end of the recording, or what precedes the gap
    assert first.validation["r"] == [(950, 1000)]
    assert second.validation["r"] == [(200, 490)]
    assert second.train["r"] == [(0, 190)]
