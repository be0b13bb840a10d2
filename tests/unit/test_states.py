"""States from a trace: thresholds with hysteresis, bridged pauses, least bouts; and states on another clock."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.preprocess import behaviour


def looped(trace, low, high):
    """Hysteresis sample by sample."""
    state, out = trace[0] > (low + high) / 2, []
    for value in trace:
        state = True if value > high else False if value <= low else state
        out.append(float(state))
    return out


def lengths(state):
    return np.diff(np.flatnonzero(np.diff(np.concatenate([[-1], state, [-1]])) != 0))


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=60), st.integers(-2, 1), st.integers(0, 2))
def test_hysteresis_is_the_loop(values, low, more):
    trace = np.array(values, float)
    found = behaviour.states(trace, low, low + more, rate_hz=10.0)
    assert found.tolist() == looped(trace, low, low + more)
    if more == 0:
        assert found.tolist() == (trace > low).astype(float).tolist()


@given(st.lists(st.integers(0, 1), min_size=1, max_size=80), st.integers(0, 9), st.integers(0, 9))
def test_no_short_bout_is_left(values, least, bridge):
    trace = np.array(values, float)
    found = behaviour.states(trace, 0.5, 0.5, least_s=least / 10, bridge_s=bridge / 10, rate_hz=10.0)
    assert len(found) == len(trace)
    kept = lengths(found)
    assert len(kept) == 1 or kept.min() >= least
    if least == 0 and bridge == 0:
        assert (found == trace).all()


def test_pauses_are_bridged_before_short_bouts_go():
    trace = np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0], float)
    bridged = behaviour.states(trace, 0.5, 0.5, least_s=0.3, bridge_s=0.2, rate_hz=10.0)
    assert bridged.tolist() == [0] * 4 + [1] * 5 + [0] * 9
    alone = behaviour.states(trace, 0.5, 0.5, least_s=0.3, rate_hz=10.0)
    assert alone.tolist() == [0] * 18


def test_a_length_in_seconds_is_a_whole_number_of_samples():
    trace = np.r_[np.zeros(9), np.ones(7), np.zeros(9)]  # 0.7 s x 10 Hz is 7.000000000000001
    assert behaviour.states(trace, 0.5, 0.5, least_s=0.7, rate_hz=10.0).sum() == 7


def test_missing_samples_stay_and_part_the_trace():
    trace = np.array([1, 1, np.nan, 0, 0, 1, 0, 0, np.nan, np.nan, 1])
    found = behaviour.states(trace, 0.5, 0.5, least_s=0.2, rate_hz=10.0)
    np.testing.assert_array_equal(found, [1, 1, np.nan, 0, 0, 0, 0, 0, np.nan, np.nan, 1])
    assert np.isnan(behaviour.states(np.full(4, np.nan), 0, 1, rate_hz=5.0)).all()


def test_states_on_another_clock_are_those_of_the_nearest_sample():
    times, values = np.array([0.0, 1.0, 2.0, 4.0]), np.array([0.0, 1.0, np.nan, 1.0])
    at = np.array([-1.2, -0.4, 0.4, 0.5, 0.6, 1.6, 3.1, 4.9, 5.1])
    found = behaviour.nearest(times, values, at)
    np.testing.assert_array_equal(found, [np.nan, 0, 0, 0, 1, np.nan, 1, 1, np.nan])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_nearest_is_the_closest_of_all(count, rows, seed):
    generator = np.random.default_rng(seed)
    times, values = np.cumsum(generator.uniform(0.1, 2, count)), np.arange(count, dtype=float)
    at = np.clip(generator.uniform(times[0] - 0.01, times[-1], rows), times[0], None)
    expected = np.argmin(np.abs(at[:, None] - times), axis=1)
    assert behaviour.nearest(times, values, at).tolist() == pytest.approx(expected.tolist())
