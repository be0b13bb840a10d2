"""Cutting continuous recordings: which trials there are, which samples and which events they hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.preprocess import events


@given(seed=st.integers(0, 999), window=st.tuples(st.integers(-5, 3), st.integers(4, 9)))
def test_events_of_trials_are_those_a_loop_finds(seed, window):
    generator = np.random.default_rng(seed)
    references = generator.integers(0, 200, 12) / 2.0
    times = generator.integers(0, 400, 40) / 4.0
    windows = events.around(references, tuple(map(float, window)), overlap="keep")
    found = events.within(times, windows)
    assert (windows.zero_s == np.sort(references)).all()
    assert (references[windows.source] == windows.zero_s).all()
    for zero, row in zip(windows.zero_s, found):
        expected = sorted(t - zero for t in times if window[0] <= t - zero < window[1])
        assert row[: len(expected)].tolist() == expected  # quarters of seconds are exact
        assert np.isnan(row[len(expected) :]).all()


def test_trials_cut_by_the_ends_are_dropped_or_kept():
    times = np.array([0.5, 5.0, np.nan, 9.5])
    dropped = events.around(times, (-1.0, 2.0), (0.0, 10.0))
    assert dropped.source.tolist() == [1]
    assert dropped.dropped == {"without a reference event": 1, "cut by the ends of the recording": 2}
    padded = events.around(times, (-1.0, 2.0), (0.0, 10.0), ends="pad")
    assert padded.source.tolist() == [0, 1, 3]
    assert padded.dropped == {"without a reference event": 1}


def test_no_moment_lies_in_two_trials_unless_asked_for():
    times = np.array([1.0, 2.0, 3.0, 4.5, 7.0])
    found = events.around(times, (-1.0, 1.0))
    assert found.zero_s.tolist() == [1.0, 3.0, 7.0]  # a trial may begin where the one before ends
    assert found.dropped == {"overlapping the trial before": 2}
    assert (np.diff(found.start_s) >= found.length_s).all()
    assert len(events.around(times, (-1.0, 1.0), overlap="keep").zero_s) == 5


def test_consecutive_windows_cover_all_but_the_rest():
    assert len(events.consecutive((0.0, 0.3), 0.1).zero_s) == 3  # 0.3 / 0.1 is 2.9999... in floating point
    found = events.consecutive((0.1, 3.35), 0.65)
    assert found.start_s == pytest.approx(0.1 + 0.65 * np.arange(5))
    assert len(events.consecutive((0.0, 9.9), 2.0).zero_s) == 4
    rows = events.within(np.linspace(0.1, 3.3, 33), found)
    assert np.isfinite(rows).sum() == 33


def test_samples_are_cut_where_the_clock_says():
    signal = np.arange(40).reshape(20, 2)
    found = events.cut(signal, np.array([0, 7, 17]), 3)
    assert found.dtype == signal.dtype
    assert (found == np.stack([signal[0:3], signal[7:10], signal[17:20]])).all()
    padded = events.cut(signal, np.array([-1, 18]), 3)
    assert np.isnan(padded[0, 0]).all()
    assert np.isnan(padded[1, 2]).all()
    assert (padded[0, 1:] == signal[:2]).all()
    assert (padded[1, :2] == signal[18:]).all()


@given(st.floats(0, 30), st.sampled_from([15.0, 20.0, 130.0, 1000.0]))
def test_snapped_events_have_their_last_sample_before_them(time, rate):
    start = 0.3
    grid = start + np.arange(-int(rate), int(31 * rate)) / rate
    last = grid[np.searchsorted(grid, time + 1e-6 / rate, side="right") - 1]
    assert events.snap(np.array([time]), start, rate)[0] == pytest.approx(last, abs=1e-9)
    assert np.abs(events.snap(grid, start, rate) - grid).max() < 1e-9  # an event at a sample stays there
