"""Averages of pixels, binning, shifts and images of three frames, in memory that does not grow with a movie."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr

from pellucid import store
from pellucid.errors import DataError
from pellucid.preprocess import calcium, movies, registration, streams
from pellucid.preprocess.streams import Stream


def blobs(size, centres, shift=(0.0, 0.0), width=1.5):
    """A smooth image of Gaussian spots, moved down and right by a fraction of a pixel."""
    row, column = np.mgrid[: size[0], : size[1]]
    found = np.full(size, 1000.0)
    for down, right in centres:
        apart = (row - down - shift[0]) ** 2 + (column - right - shift[1]) ** 2
        found += 200 * np.exp(-apart / (2 * width**2))
    return found


def moving(count, size, *, noise, width=1.5, most=2.5, seed=0):
    """A movie of spots that wander, and how far, (time, 2) px."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(0.05, 0.95, (40, 2)) * size
    walk = np.cumsum(0.15 * generator.normal(size=(count, 2)), axis=0)
    walk = np.clip(walk - walk.mean(axis=0), -most, most)
    movie = np.stack([blobs(size, centres, shift, width) for shift in walk])
    return movie + noise * generator.normal(size=movie.shape), walk


def test_binning_averages_and_triples_are_loops(monkeypatch):
    generator = np.random.default_rng(0)
    movie = generator.integers(0, 60_000, (17, 6, 9), dtype=np.uint16)
    parcels = generator.integers(0, 4, (6, 9))
    binned = movies.bin_means(movie, 3)
    labels = np.array([1, 3])
    monkeypatch.setattr(streams, "BLOCK_BYTES", 4 * 54 * 5)  # blocks of 5 frames
    weights = np.concatenate([movies.of_parcels(parcels, labels), movies.of_border(6, 9, 2)])
    found = movies.averages(Stream.of(movie), weights)
    images = movies.triples(movie)
    assert images.shape == (15, 3, 6, 9)
    assert np.shares_memory(images, movie)
    for t in range(17):
        for i, j in np.ndindex(2, 3):
            block = [int(movie[t, 3 * i + a, 3 * j + b]) for a in range(3) for b in range(3)]
            assert binned[t, i, j] == pytest.approx(sum(block) / 9, rel=1e-6)  # float32
        strips = [movie[t, :2], movie[t, -2:], movie[t, :, :2], movie[t, :, -2:]]
        expected = [movie[t][parcels == label].mean() for label in labels] + [strip.mean() for strip in strips]
        assert found[t] == pytest.approx(expected, rel=1e-12)
        for channel in range(3):
            if 0 <= t - channel < 15:
                assert (images[t - channel, channel] == movie[t]).all()


def test_centres_are_fractions_of_the_image():
    parcels = np.zeros((8, 20), int)
    parcels[2:4, 5:15] = 7
    row, column = movies.centres(parcels, np.array([7, 9]))
    assert (row[0], column[0]) == (3 / 8, 10 / 20)
    assert np.isnan([row[1], column[1]]).all()


def test_a_side_that_does_not_divide_is_refused():
    with pytest.raises(DataError, match="a divisor of both sides of 6 x 9 px, found 2"):
        movies.binned(Stream.of(np.zeros((3, 6, 9))), 2)


def test_trials_are_one_stream_and_centred_one_by_one():
    trials = np.random.default_rng(0).normal(size=(5, 4, 2, 3))
    stream = Stream.of_trials(xr.DataArray(trials, dims=("trial", "time", "height", "width")))
    flat = trials.reshape(20, 2, 3)
    for start, stop in ((0, 20), (3, 5), (7, 8), (4, 12), (19, 20)):
        np.testing.assert_array_equal(stream.read(start, stop), flat[start:stop])
    made = stream.segmented(lambda movie: movies.centred(movie, 4), 4)
    expected = (trials - trials.mean(axis=1, keepdims=True)).reshape(20, 2, 3)
    for start, stop in ((0, 20), (3, 5), (7, 8), (4, 12)):
        assert made.read(start, stop) == pytest.approx(expected[start:stop], abs=1e-12)


@pytest.mark.parametrize(
    ("size", "width", "noise", "error"),
    # the last: spots of 1 px that wander by 2.5 px are blurred in the mean image
    [((32, 40), 1.5, 8.0, 0.02), ((60, 48), 4.0, 8.0, 0.02), ((40, 32), 1.0, 0.5, 0.06)],
)
def test_planted_shifts_are_found_to_a_fraction_of_a_pixel(size, width, noise, error, monkeypatch):
    movie, walk = moving(150, size, noise=noise, width=width)
    movie = movie * np.linspace(0.9, 1.1, 150)[:, None, None]  # a change of brightness is no shift
    monkeypatch.setattr(streams, "BLOCK_BYTES", movie[0].size * 4 * 40)
    found = registration.shifts(Stream.of(movie))
    off = (found - found.mean(axis=0)) - (walk - walk.mean(axis=0))
    assert off.std() < error


def test_shifts_of_whole_pixels_and_of_nothing():
    generator = np.random.default_rng(1)
    moves = np.concatenate([generator.integers(-6, 7, (20, 2)), np.zeros((60, 2), int)])
    wide = blobs((80, 90), generator.uniform(0, 80, (90, 2)))
    movie = np.stack([wide[16 - down : 64 - down, 15 - right : 75 - right] for down, right in moves])
    found = registration.shifts(Stream.of(movie))
    assert np.abs(found - moves - (found - moves)[20:].mean(axis=0)).max() < 0.1
    assert (registration.shifts(Stream.of(np.full((5, 12, 16), 7.0))) == 0).all()


def test_the_limit_of_scale_is_median_plus_deviations():
    generator = np.random.default_rng(0)
    scales = np.concatenate([generator.normal(3, 0.5, 20_000), [40.0, 500.0], np.zeros(900)])
    limit = movies.scale_threshold(scales, 8.0)
    assert limit == pytest.approx(3 + 8 * 0.5, abs=0.1)  # 20 000 samples of a normal distribution
    assert (scales > limit).sum() == 2
    with pytest.raises(DataError, match="pixels that are not 0"):
        movies.scale_threshold(np.zeros(5), 8.0)


def test_scale_is_the_median_over_evenly_spaced_frames(monkeypatch):
    movie = np.random.default_rng(0).normal(size=(31, 2, 3))
    assert movies.scale(Stream.of(movie)) == pytest.approx(np.median(np.abs(movie), axis=0))
    monkeypatch.setattr(movies, "SCALE_BYTES", 11 * 6 * 8)
    assert movies.scale(Stream.of(movie)) == pytest.approx(np.median(np.abs(movie[::3]), axis=0))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_movie(tmp_path, monkeypatch):
    """dF/F, detrending, averages and shifts of movies of 4 and 12 MB of 16 bit, read from a store."""
    monkeypatch.setattr(streams, "BLOCK_BYTES", 1 << 20)
    monkeypatch.setattr(store, "CHUNK_BYTES", 1 << 16)
    peaks = []
    for count in (2000, 6000):
        path, frame = tmp_path / f"{count}.zarr", (24, 43)
        movie = xr.Variable(("time", "height", "width"), store.placeholder((count, *frame), "uint16"), {"units": "1"})
        template = xr.Dataset({"movie": movie}, attrs={"rate_hz": 30.0, "start_s": 0.0})
        with store.Writer(path, xr.DataTree.from_dict({"/imaging": template})) as writer:
            for seed in range(count // 1000):
                frames = np.random.default_rng(seed).integers(900, 1100, (1000, *frame), dtype=np.uint16)
                writer.append("/imaging/movie", frames)
        stream = Stream.of(store.open_store(path)["imaging/movie"])
        tracemalloc.start()
        made = calcium.detrended(calcium.dff(stream, 30.0, "mean"), 300)
        moments = streams.Moments(frame)
        for _, block in made.blocks():
            moments.add(block)
        movies.averages(made, movies.of_border(*frame, 4))
        registration.shifts(Stream(stream.read, (count // 10, *frame)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # a few blocks of 1 MiB as float32, with neighbours of 300 frames and as float64; the averages are 0.2 MB
    assert peaks[1] < 1.1 * peaks[0] + 0.2e6, peaks
    assert peaks[1] < 35e6, peaks
