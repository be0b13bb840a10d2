"""Hit and false rates by hand and against slow matchings, chance against what is expected, and smoothing."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from pellucid.errors import DataError
from pellucid.systems.dunl.model import detection

NONE = np.empty(0)


def one(true, detected, tolerance=1.0, **options):
    found = detection.rates([np.array(true, float)], [np.array(detected, float)], tolerance, **options)
    return found.hit, found.false


@pytest.mark.parametrize(
    ("true", "detected", "matched", "published"),
    [
        ([10], [10], (1, 0), (1, 0)),
        ([10], [11], (1, 0), (1, 0)),
        ([10], [12], (0, 1), (0, 1)),
        ([10], [10, 11], (1, 0.5), (1, 0)),  # the same event twice
        ([10, 30], [10, 11], (0.5, 0.5), (1, 0)),  # the published count lets it stand for the missed one
        ([10, 30], [9, 10, 11], (0.5, 2 / 3), (1, 0)),
        ([10, 30], [10, 50], (0.5, 0.5), (0.5, 0.5)),
        ([10, 11], [10], (0.5, 0), (0.5, 0)),  # one detection serves one event
        ([10, 12], [11], (0.5, 0), (0.5, 0)),
        ([10, 12], [11, 9], (1, 0), (1, 0)),
        ([10, 12], [11, 13], (1, 0), (1, 0)),
        ([30, 10], [31, 9], (1, 0), (1, 0)),  # any order
    ],
)
def test_rates_by_hand(true, detected, matched, published):
    assert one(true, detected) == pytest.approx(matched)
    assert one(true, detected, published=True) == pytest.approx(published)


@pytest.mark.parametrize("published", [False, True])
def test_trials_that_are_empty(published):
    assert one([3], [], published=published) == (0, 1)
    hit, false = one([], [3], published=published)
    assert np.isnan(hit)
    assert false == 1
    assert np.isnan(one([], [], published=published)).all()
    # each trial's own rates, then the mean: the middle trial has no hit rate, the last has none at all
    found = detection.rates(
        [np.array([3.0]), NONE, np.array([5.0, 9.0]), NONE], [NONE, np.array([4.0]), np.array([5.0]), NONE], 1.0
    )
    assert (found.hit, found.false) == pytest.approx((0.25, 2 / 3))


@pytest.mark.parametrize("published", [False, True])
def test_a_tolerance_includes_its_end(published):
    assert one([0.3], [0.1 + 0.2 + 0.025], 0.025, published=published) == (1, 0)
    assert one([0.3], [0.3 + 0.0251], 0.025, published=published) == (0, 1)


def test_pairs_are_the_maximum_matching():
    """Against the maximum bipartite matching of every trial, dense enough that greedy choices could go wrong."""
    generator = np.random.default_rng(0)
    true = [generator.uniform(0, 20, generator.integers(1, 9)) for _ in range(300)]
    detected = [generator.uniform(0, 20, generator.integers(1, 12)) for _ in range(300)]
    for tolerance in (0.0, 0.6, 2.0, 30.0):
        hits, falses = [], []
        for events, found in zip(true, detected):
            near = csr_array((np.abs(events[:, None] - found) <= tolerance).astype(int))
            pairs = (maximum_bipartite_matching(near, perm_type="column") >= 0).sum()
            hits.append(pairs / len(events))
            falses.append(1 - pairs / len(found))
        rates = detection.rates(true, detected, tolerance)
        assert (rates.hit, rates.false) == pytest.approx((np.mean(hits), np.mean(falses)))


def test_published_rates_are_the_loops():
    generator = np.random.default_rng(1)
    true = [generator.uniform(0, 20, generator.integers(1, 6)) for _ in range(100)]
    detected = [generator.uniform(0, 20, generator.integers(1, 12)) for _ in range(100)]
    hits, falses = [], []
    for events, found in zip(true, detected):
        inside = sum(any(abs(d - e) <= 1.5 for e in events) for d in found)
        hits.append(min(1, inside / len(events)))
        falses.append((len(found) - inside) / len(found))
    rates = detection.rates(true, detected, 1.5, published=True)
    assert (rates.hit, rates.false) == pytest.approx((np.mean(hits), np.mean(falses)))
    matched = detection.rates(true, detected, 1.5)
    assert matched.hit <= rates.hit
    assert matched.false >= rates.false


def test_time_has_no_direction_and_no_origin():
    generator = np.random.default_rng(2)
    true = [generator.uniform(0, 20, 5) for _ in range(30)]
    detected = [generator.uniform(0, 20, 7) for _ in range(30)]
    found = detection.rates(true, detected, 0.7)
    assert found == detection.rates([8 - t for t in true], [8 - t for t in detected], 0.7)
    assert found == detection.rates([3 * t for t in true], [3 * t for t in detected], 2.1)
    swapped = detection.rates(detected, true, 0.7)
    assert (1 - swapped.false, 1 - swapped.hit) == pytest.approx((found.hit, found.false))


def test_a_code_is_detected_at_the_centres_of_its_bins():
    code = np.zeros((2, 6))
    code[0, [1, 4]] = (0.5, -2)
    first, second = detection.times_of(code, 0.025, -1.0)
    assert first == pytest.approx([-1 + 1.5 * 0.025, -1 + 4.5 * 0.025])
    assert len(second) == 0


def test_trials_must_agree():
    with pytest.raises(DataError, match="2 trials"):
        detection.rates([NONE, NONE], [NONE], 1.0)


# ------------------------------------------------------------------------------------------------ chance


@pytest.mark.parametrize("published", [False, True])
def test_chance_of_one_detection_is_the_share_of_the_trial_inside_the_windows(published):
    """40 trials of 100 bins, events far from each other and the ends: (2 tol + 1) / 100 of the bins per event."""
    true = [np.array([20.0, 50.0, 80.0])] * 40
    detected = [np.array([float(t)]) for t in range(40)]
    shifts = 400
    found = detection.chance(
        true,
        detected,
        3,
        start=np.zeros(40),
        bins=np.full(40, 100),
        step=1,
        shifts=shifts,
        seed=0,
        published=published,
    )
    inside = 3 * 7 / 100
    error = 4 * np.sqrt(inside * (1 - inside) / (40 * shifts))  # four standard errors
    assert found.false == pytest.approx(1 - inside, abs=error)
    assert found.hit == pytest.approx(inside / 3, abs=error / 3)


def test_chance_of_a_circular_pattern_is_known_exactly():
    """Shifts keep the distances of detections around the circle: with every bin detected, every shift is the same."""
    detected = [np.arange(12) + 0.5, np.arange(8) + 3.5]
    true = [np.array([2.5, 7.5]), np.array([5.5])]
    options = {"start": np.array([0.0, 3.0]), "bins": np.array([12, 8]), "step": 1.0, "shifts": 5, "seed": 1}
    found = detection.chance(true, detected, 0.0, **options)
    assert found == detection.rates(true, detected, 0.0)
    assert (found.hit, found.false) == pytest.approx((1, (10 / 12 + 7 / 8) / 2))


def test_chance_in_seconds_is_that_in_bins_and_repeats_itself():
    generator = np.random.default_rng(0)
    true = [generator.choice(60, 4, replace=False) for _ in range(20)]
    detected = [generator.choice(60, generator.integers(0, 9), replace=False) for _ in range(20)]
    options = {"bins": np.full(20, 60), "shifts": 20, "seed": 3}
    bins = detection.chance(true, detected, 2, start=np.zeros(20), step=1, **options)
    assert bins == detection.chance(true, detected, 2, start=np.zeros(20), step=1, **options)
    assert bins != detection.chance(true, detected, 2, start=np.zeros(20), step=1, **{**options, "seed": 4})
    seconds = detection.chance(
        [-1 + 0.005 * (t + 0.5) for t in true],
        [-1 + 0.005 * (t + 0.5) for t in detected],
        0.010,
        start=np.full(20, -1.0),
        step=0.005,
        **options,
    )
    assert (seconds.hit, seconds.false) == pytest.approx((bins.hit, bins.false))


# ------------------------------------------------------------------------------------------------ smoothing detector


@pytest.mark.parametrize("constant", [1, 10, 30])
def test_smoothing_is_the_convolution(constant):
    signal = np.random.default_rng(0).poisson(0.1, (3, 70)).astype(float)
    t = np.arange(70)
    kernel = (1 - np.exp(-t)) * np.exp(-t / constant)
    expected = np.stack([np.convolve(row, kernel)[:70] for row in signal])
    assert detection.smoothed(signal, constant) == pytest.approx(expected, abs=1e-12)


def test_peaks_are_valid_local_maxima_above_each_threshold():
    values = np.array([[0.0, 0.3, 0.1, 0.2, 0.1, 0.0, 0.5, 0.4], [0.9, 0.1, 0.0, 0.0, 0.2, 0.2, 0.1, 0.3]])
    valid = np.ones(values.shape, bool)
    valid[0, 7] = False
    low, middle, high = detection.peaks(values, valid, [0.05, 0.25, 0.4])
    assert [list(row) for row in low] == [[1, 3], [4]]
    assert [list(row) for row in middle] == [[1], []]
    assert [list(row) for row in high] == [[], []]


def test_padding_adds_no_peak():
    generator = np.random.default_rng(0)
    values, valid = generator.random((5, 30)), generator.random((5, 30)) < 0.9
    wide = ((0, 0), (0, 7))
    found = detection.peaks(values, valid, [0.2, 0.7])
    wider = detection.peaks(np.pad(values, wide, constant_values=0.5), np.pad(valid, wide), [0.2, 0.7])
    assert all((a == b).all() for one, two in zip(found, wider) for a, b in zip(one, two))


def test_the_curve_falls_with_the_threshold_and_finds_clear_bursts():
    generator = np.random.default_rng(0)
    trials, bins, bin_s = 30, 300, 0.005
    true_bins = [np.sort(generator.choice(np.arange(2, 28), 4, replace=False)) * 10 for _ in range(trials)]
    signal = generator.binomial(5, 0.002, (trials, bins)) / 5
    for row, events in zip(signal, true_bins):
        for lag, height in enumerate((0.6, 0.8, 0.4)):
            row[events + lag] += height
    true = [-0.5 + (events + 1) * bin_s for events in true_bins]
    valid = np.ones(signal.shape, bool)
    curve = detection.smoothing_curve(
        signal, valid, true, constant_bins=1, bin_s=bin_s, tolerance_s=0.0125, start_s=-0.5, thresholds=[0.01, 0.2, 5]
    )
    (_, many), (_, right), (height, nothing) = curve
    assert right.hit == 1
    assert right.false < 0.02
    assert many.hit == 1
    assert many.false > 0.2
    assert (height, nothing.hit, nothing.false) == (5, 0, 1)
