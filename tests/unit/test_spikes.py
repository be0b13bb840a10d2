"""Binning of spikes: nothing is lost or counted twice, and borders belong to the later bin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import DataError
from pellucid.preprocess.spikes import bin_raster, bin_times


@given(
    trials=st.integers(1, 4),
    samples=st.integers(1, 60),
    neurons=st.integers(1, 3),
    factor=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_sums_conserve_every_spike_but_those_of_the_rest(trials, samples, neurons, factor, seed):
    raster = np.random.default_rng(seed).integers(0, 3, (trials, samples, neurons)).astype(np.uint8)
    found = bin_raster(raster, factor)
    bins = samples // factor
    assert found.shape == (trials, bins, neurons)
    assert (found.sum(axis=1) == raster[:, : bins * factor].sum(axis=1)).all()
    for index in range(bins):
        assert (found[:, index] == raster[:, index * factor : (index + 1) * factor].sum(axis=1)).all()


def test_small_types_do_not_overflow():
    assert bin_raster(np.full((1, 300, 1), 255, np.uint8), 300).item() == 300 * 255
    assert bin_raster(np.ones((2, 8, 3), bool), 4).tolist() == np.full((2, 2, 3), 4).tolist()


def test_a_bin_with_a_missing_sample_is_missing():
    raster = np.ones((2, 6, 1))
    raster[1, 3:] = np.nan
    found = bin_raster(raster, 2)
    assert found[0, :, 0].tolist() == [2, 2, 2]
    assert found[1, 0] == 2
    assert np.isnan(found[1, 1:]).all()


@pytest.mark.parametrize(
    ("wrong", "message"), [(-1, "found -1"), (0.5, "found 0.5"), (np.inf, "found inf"), ("x", "type")]
)
def test_other_numbers_are_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        bin_raster(np.array([0, 1, wrong]).reshape(1, 3, 1), 1)


@given(
    seed=st.integers(0, 999),
    trials=st.integers(1, 5),
    neurons=st.integers(1, 4),
    bins=st.integers(1, 30),
    bin_ms=st.sampled_from([1, 5, 25]),
)
def test_times_are_counted_like_a_loop_counts_them(seed, trials, neurons, bins, bin_ms):
    """Whole milliseconds, so that borders can be told exactly in integers; trials may overlap."""
    generator = np.random.default_rng(seed)
    spikes_ms = generator.integers(-50, 900, 200)
    units = generator.integers(0, neurons, 200)
    starts_ms = generator.integers(0, 500, trials)
    expected = np.zeros((trials, bins, neurons), int)
    for trial, start in enumerate(starts_ms):
        for spike, unit in zip(spikes_ms, units):
            index = (spike - start) // bin_ms
            if 0 <= index < bins:
                expected[trial, index, unit] += 1
    options = {"neurons": neurons, "bins": bins, "bin_s": bin_ms * 1e-3}
    assert (bin_times(spikes_ms * 1e-3, units, starts_ms * 1e-3, **options) == expected).all()


def test_trials_without_a_gap_count_every_spike_once():
    generator = np.random.default_rng(3)
    times, units = generator.uniform(0, 50, 5000), generator.integers(0, 7, 5000)
    found = bin_times(times, units, np.arange(25) * 2.0, neurons=7, bins=80, bin_s=0.025)
    assert found.sum() == 5000
    assert (found.sum(axis=(0, 1)) == np.bincount(units)).all()


def test_times_and_raster_agree():
    generator = np.random.default_rng(4)
    raster = (generator.random((3, 200, 2)) < 0.1).astype(np.uint8)
    trial, sample, unit = np.nonzero(raster)
    times = trial * 0.2 + sample * 1e-3
    found = bin_times(times, unit, np.arange(3) * 0.2, neurons=2, bins=8, bin_s=0.025)
    assert (found == bin_raster(raster, 25)).all()


def test_times_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="1 that are not"):
        bin_times(np.array([0.1, np.nan]), np.zeros(2, int), np.zeros(1), neurons=1, bins=2, bin_s=0.1)
