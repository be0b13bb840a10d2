"""dF/F, moving means and scaling equal plain loops, and streams equal arrays, whatever the block."""

import numpy as np
import pytest

from pellucid.errors import DataError
from pellucid.preprocess import calcium, streams
from pellucid.preprocess.streams import Stream


def fluorescence(count, *shape, seed=0):
    """Slow drift, noise and a level that differs from element to element, all above 0."""
    generator = np.random.default_rng(seed)
    drift = np.sin(np.arange(count) / 40.0).reshape(-1, *[1] * len(shape))
    return generator.uniform(500, 900, shape) + 50 * drift + 20 * generator.normal(size=(count, *shape))


def looped_mean(values, window):
    """The published moving mean, sample by sample: window // 2 back, the rest ahead, shorter at the ends."""
    out = np.empty(values.shape)
    for index in range(len(values)):
        start, stop = max(0, index - window // 2), min(len(values), index + (window - 1) // 2 + 1)
        out[index] = values[start:stop].sum(axis=0) / (stop - start)
    return out


def looped_percentile(values, rate, percentile, window):
    """Percentile at every rate-th sample, drawn by sorting, and straight lines between."""
    out = np.empty(values.shape)
    for place in np.ndindex(values.shape[1:]):
        trace, grid, found = values[:, *place], list(range(0, len(values), rate)), []
        for at in grid:
            part = sorted(trace[max(0, at - window // 2) : at + (window - 1) // 2 + 1])
            rank = percentile / 100 * (len(part) - 1)
            low = int(rank)
            found.append(part[low] + (rank - low) * (part[min(low + 1, len(part) - 1)] - part[low]))
        out[:, *place] = np.interp(np.arange(len(values)), grid, found)
    return out


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [
        (33.3, 30, 1000),
        (33.3, 10, 333),
        (33.333, 30, 1000),
        (0.5, 30, 15),
        (0.3, 10, 3),
        (33.2, 10, 332),
        (0.001, 5, 1),
    ],
)
def test_lengths_in_seconds(seconds, rate, expected):
    assert calcium.samples(seconds, rate) == expected


@pytest.mark.parametrize("window", [1, 2, 7, 10, 999, 1000, 3000])
def test_moving_mean_is_the_loop(window):
    values = fluorescence(1203, 2)
    assert calcium.moving_mean(values, window) == pytest.approx(looped_mean(values, window), abs=1e-9)
    assert calcium.detrend(values, window) == pytest.approx(values - looped_mean(values, window), abs=1e-9)


def test_the_published_window_reaches_500_back_and_499_ahead():
    impulse = np.zeros(3000)
    impulse[1500] = 1000
    found = np.flatnonzero(calcium.moving_mean(impulse, 1000) > 0.5)
    assert (found[0], found[-1]) == (1500 - 499, 1500 + 500)


@pytest.mark.parametrize(("count", "window_s"), [(97, 4.0), (97, 3.7), (41, 60.0), (1, 2.0), (5, 2.0)])
def test_percentile_baseline_is_the_loop(count, window_s):
    values = fluorescence(count, 2, 3)
    expected = looped_percentile(values, 5, 10, round(window_s * 5))
    assert calcium.percentile_baseline(values, 5.0, 10, window_s) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("baseline", ["mean", "first", "percentile"])
@pytest.mark.parametrize("size", [1, 13, 1000])
def test_streams_equal_arrays(baseline, size, monkeypatch):
    values = fluorescence(150, 3, 4)
    stream = Stream.of(values)
    relative = calcium.dff(stream, 6.0, baseline, percentile=20, window_s=5, first_s=7)
    floor = {
        "mean": values.mean(0),
        "first": values[:42].mean(0),
        "percentile": looped_percentile(values, 6, 20, 30),
    }[baseline]
    expected = (values - floor) / floor
    expected = expected - looped_mean(expected, 37)
    made = calcium.detrended(relative, 37)
    monkeypatch.setattr(streams, "BLOCK_BYTES", 4 * 12 * size)
    blocks = [block for _, block in Stream(made.read, made.shape).blocks()]
    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert np.concatenate(blocks) == pytest.approx(expected, abs=1e-9)
    assert made.whole() == pytest.approx(expected, abs=1e-9)


def test_what_is_zero_throughout_stays_zero_and_other_baselines_must_be_positive():
    values = fluorescence(30, 4)
    values[:, 2] = 0
    assert (calcium.relative(values, values.mean(0))[:, 2] == 0).all()
    with pytest.raises(DataError, match="a baseline F0 above 0"):
        calcium.dff(Stream.of(values - 700), 5.0, "mean").whole()
    values[3, 2] = 1
    with pytest.raises(DataError, match=r"inputs\.x, dff"):
        calcium.dff(Stream.of(values), 5.0, "percentile", where="inputs.x, dff").whole()


def test_integers_keep_their_precision():
    counts = np.random.default_rng(0).integers(30_000, 60_000, (500, 3), dtype=np.uint16)
    expected = counts - looped_mean(counts.astype(float), 40)
    found = calcium.detrend(counts, 40)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 2e-3  # float32 at 30 000


def test_scaling_is_the_loop():
    values = fluorescence(80, 4)
    values[:, 1] = 3.0
    minmax, by_trace, by_all = (
        calcium.minmax(values),
        calcium.zscore(values, by="element"),
        calcium.zscore(values, by="all"),
    )
    spread = np.sqrt(((values - values.mean()) ** 2).mean())
    for roi in range(4):
        trace = values[:, roi]
        if roi == 1:
            assert (minmax[:, 1] == 0).all()
            assert (by_trace[:, 1] == 0).all()
            continue
        low, high = min(trace), max(trace)
        assert minmax[:, roi] == pytest.approx([(x - low) / (high - low) for x in trace], abs=1e-12)
        mean = sum(trace) / 80
        sd = (sum((x - mean) ** 2 for x in trace) / 80) ** 0.5
        assert by_trace[:, roi] == pytest.approx([(x - mean) / sd for x in trace], abs=1e-9)
        assert by_all[:, roi] == pytest.approx((trace - mean) / spread, abs=1e-9)


def test_moments_of_blocks_are_those_of_the_whole():
    values = 1e6 + fluorescence(101, 5, 3)
    moments = streams.Moments((5, 3))
    for start in (0, 1, 40, 99):
        moments.add(values[start : {0: 1, 1: 40, 40: 99, 99: 101}[start]])
    assert moments.mean == pytest.approx(values.mean(0), rel=1e-12)
    assert moments.sd == pytest.approx(values.std(0), rel=1e-9)
    assert moments.overall_sd == pytest.approx(values.std(), rel=1e-9)


def test_a_missing_frame_is_named():
    values = fluorescence(20, 2, 3)
    values[13, 1, 1] = np.nan
    with pytest.raises(DataError, match=r"/imaging/movie, frame 13: expected finite values, found 1 of 6"):
        calcium.detrended(Stream.of(values).finite("/imaging/movie"), 5).read(9, 12)
