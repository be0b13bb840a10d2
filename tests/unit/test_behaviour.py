"""Behaviour on the clock of the features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.preprocess import behaviour


def test_linear_behaviour_is_interpolated_exactly_and_not_extrapolated():
    times = np.array([0.0, 1.0, 2.0, 4.0])
    found = behaviour.resample(times, np.stack([times * 3, 1 - times], axis=1), np.array([0.5, 3.0, 4.5]))
    assert found[:2] == pytest.approx(np.array([[1.5, 0.5], [9.0, -2.0]]))
    assert np.isnan(found[2]).all()


def test_missing_samples_are_bridged():
    values = np.array([[0.0], [np.nan], [2.0]])
    assert behaviour.resample(np.arange(3.0), values, np.array([1.0]))[0, 0] == 1


def test_angles_are_interpolated_through_the_wrap():
    found = behaviour.resample(np.array([0.0, 1.0]), np.array([[3.0], [-3.0]]), np.array([0.5]), angular=True)
    assert abs(abs(found[0, 0]) - np.pi) < 1e-9  # halfway between 3 and -3 + 2 pi, not 0


@given(st.floats(-50, 50), st.floats(0.1, 10))
def test_circular_code_is_inverted(value, period):
    decoded = behaviour.decircular(behaviour.circular(np.array([value]), period), period)[0]
    distance = (decoded - value) % period
    assert min(distance, period - distance) < 1e-9 * max(1, abs(value))


@given(st.floats(-20, 20))
def test_wrap_stays_in_its_interval(angle):
    wrapped = float(behaviour.wrap(np.array(angle)))
    assert -np.pi < wrapped <= np.pi + 1e-12
    assert abs(np.exp(1j * wrapped) - np.exp(1j * angle)) < 1e-9


@pytest.mark.parametrize("sign", [1, -1])
def test_laps_are_counted_once_in_either_direction_despite_jitter(sign):
    generator = np.random.default_rng(0)
    track = np.linspace(0, 5, 500, endpoint=False) + 0.002 * generator.standard_normal(500)
    found = behaviour.laps(np.mod(sign * track + 0.001, 1.0), 1.0)
    assert (np.diff(found) >= 0).all()
    assert len(np.unique(found)) in (5, 6)  # jitter may put the first sample before the origin
    assert np.bincount(found).max() <= 105
