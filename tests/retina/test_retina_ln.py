"""LN models: planted filters, delays and nonlinearities are found, and predictions stay calibrated and positive."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import Ridge

import recordings
from pellucid.errors import DataError
from pellucid.systems.retina.model import filters, linear_nonlinear, nonlinearities
from pellucid.systems.retina.model.settings import LN

SIZE = (7, 5)
HISTORY = 6


def windows(frames, history):
    """Every window of frames, oldest first, (row, lag x pixel)."""
    rows = len(frames) - history + 1
    return np.concatenate([frames[step : step + rows].reshape(rows, -1) for step in range(history)], axis=1)


def planted(history=HISTORY, size=SIZE, cells=2):
    """Unit filters, biphasic in time and Gaussian in space at another place each, (neuron, lag, height, width)."""
    time = np.array([0.0, -0.2, -0.4, 0.3, 1.0, 0.5])[-history:]
    row, column = np.indices(size)
    found = []
    for cell in range(cells):
        space = np.exp(-((row - 2 - cell) ** 2 + (column - 1 - cell) ** 2) / 2)
        found.append((-1) ** cell * time[:, None, None] * space)
    return np.stack([one / np.linalg.norm(one) for one in found])


def rates(frames, kernels, gain=1.5):
    """Softplus of filtered frames, spikes per bin, (row, neuron)."""
    return 2 * np.log1p(np.exp(gain * windows(frames, kernels.shape[1]) @ kernels.reshape(len(kernels), -1).T - 0.5))


def shown(rng, count, kernels, lag=1, smooth=0.0):
    """Frames, rows, spike counts and true rates of rows of cells with these filters."""
    frames = rng.standard_normal((count, *kernels.shape[2:]))
    if smooth:
        frames = gaussian_filter(frames, smooth)
    frames = (frames / frames.std()).astype(np.float32)
    history = kernels.shape[1]
    rows = np.arange(history - 1 + lag, count)
    rate = rates(frames, kernels)[: len(rows)]
    return frames, rows, rng.poisson(rate).astype(np.float32), rate


def fitted(frames, rows, response, history=HISTORY, lag=1, **given):
    return linear_nonlinear.fit(frames, rows, response, history=history, lag=lag, settings=LN(**given))


def alike(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


@pytest.fixture(scope="module")
def example():
    rng = np.random.default_rng(0)
    kernels = planted()
    frames, rows, counts, _ = shown(rng, 8000, kernels)
    return kernels, fitted(frames, rows, counts), frames, rows, counts


def test_planted_filters_and_rates_are_recovered(example):
    kernels, model, *_ = example
    frames, rows, _, rate = shown(np.random.default_rng(1), 2000, kernels)
    found = model.respond(frames)[: len(rows)]
    for cell in range(2):
        assert alike(model.filter[cell], kernels[cell]) > 0.95
        assert alike(found[:, cell], rate[:, cell]) > 0.97
        assert 0.9 < np.polyfit(found[:, cell], rate[:, cell], 1)[0] < 1.1


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_a_row_sees_the_frames_that_its_lag_says(lag):
    rng = np.random.default_rng(lag)
    frames = rng.standard_normal((3000, 3, 2)).astype(np.float32)
    rows = np.arange(4 - 1 + lag, 3000)
    response = np.exp(frames[rows - lag - 1, 1, 1])[:, None]  # the last frame but one that is seen
    model = fitted(frames, rows, response, history=4, lag=lag)
    assert np.unravel_index(np.abs(model.filter[0]).argmax(), (4, 3, 2)) == (2, 1, 1)
    found = model.respond(frames[rows[0] - lag - 3 : rows[-1] - lag + 1])
    assert len(found) == len(rows)
    assert alike(found, response) > 0.98


def test_a_full_field_is_a_movie_that_is_uniform(example):
    model, rng = example[1], np.random.default_rng(2)
    full, bars = rng.standard_normal(40).astype(np.float32), rng.standard_normal((40, SIZE[1])).astype(np.float32)
    for seen, movie in (
        (full, np.broadcast_to(full[:, None, None], (40, *SIZE))),
        (bars, np.broadcast_to(bars[:, None], (40, *SIZE))),
    ):
        # float32 sums in another order
        np.testing.assert_allclose(model.respond(seen), model.respond(np.ascontiguousarray(movie)), rtol=1e-4)


def test_the_average_is_that_of_the_definition(example):
    *_, frames, rows, counts = example
    over_time = np.full((len(frames), 2), np.nan, np.float32)
    over_time[rows] = counts
    over_time[500:700, 1] = np.nan
    parts = np.array_split(rows, 3)
    found = filters.moments(frames.reshape(len(frames), -1), parts, over_time, history=HISTORY, lag=1).average([0, 2])
    kept = np.concatenate([parts[0], parts[2]])
    for cell in range(2):
        own = kept[np.isfinite(over_time[kept, cell])]
        seen = windows(frames, HISTORY)[own - HISTORY]
        y = over_time[own, cell] - np.nanmean(over_time[rows, cell])
        # the mean of pixels is that of all parts, the one place where the definition is not exact
        expected = ((seen - seen.mean(0)) * y[:, None]).mean(0)
        assert alike(found[..., cell], expected) > 0.9999
        np.testing.assert_allclose(found[..., cell].ravel(), expected, atol=0.005)


def test_a_ridge_of_one_pixel_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    frames = np.convolve(rng.standard_normal(6010), [0.2, 0.5, 1.0, 0.5], "valid")[:6000].astype(np.float32)
    frames = (frames / frames.std())[:, None, None]
    rows = np.arange(5, 6000)
    seen = windows(frames, 5)[rows - 5]
    response = rng.poisson(np.exp(seen @ [0.1, -0.2, 0.3, 0.4, -0.1])).astype(np.float32)[:, None]
    over_time = np.full((6000, 1), np.nan, np.float32)
    over_time[rows] = response
    found = filters.moments(frames.reshape(6000, 1), [rows], over_time, history=5, lag=1)
    (filter_,) = filters.solve(found, [0], [("ridge", 0.05)], np.ones(1, bool))
    expected = Ridge(alpha=0.05 * len(rows)).fit(seen, response[:, 0]).coef_
    # a covariance that depends on the distance of frames only: differs at the ends of 6000 rows
    np.testing.assert_allclose(filter_.ravel(), expected, atol=0.01 * np.abs(expected).max())


def test_decorrelation_finds_the_filter_that_correlated_noise_blurs():
    kernels = planted()
    frames, rows, counts, _ = shown(np.random.default_rng(4), 12000, kernels, smooth=0.6)
    blurred = fitted(frames, rows, counts, filters=["sta"])
    sharp = fitted(frames, rows, counts, filters=["ridge"])
    for cell in range(2):
        lost, kept = (1 - alike(model.filter[cell], kernels[cell]) for model in (sharp, blurred))
        assert lost < 0.6 * kept


def test_a_separable_filter_has_rank_one_and_less_noise():
    kernels = planted()
    frames, rows, counts, _ = shown(np.random.default_rng(5), 2500, kernels)
    noisy = fitted(frames, rows, counts, filters=["sta"])
    clean = fitted(frames, rows, counts, filters=["separable"])
    chosen = fitted(frames, rows, counts)
    for cell in range(2):
        size = np.linalg.svd(clean.filter[cell].reshape(HISTORY, -1), compute_uv=False)
        assert size[1] < 1e-5 * size[0]
        assert alike(clean.filter[cell], kernels[cell]) > alike(noisy.filter[cell], kernels[cell])
        assert chosen.choices[cell]["filter"] == "separable"
        assert chosen.loss[cell] <= noisy.loss[cell]


def test_rates_are_calibrated_where_filters_have_many_values_and_few_rows():
    kernels = planted(size=(12, 11))
    frames, rows, counts, _ = shown(np.random.default_rng(6), 1500, kernels)  # 792 values a filter
    model = fitted(frames, rows, counts, filters=["sta"], nonlinearities=["polynomial", "spline", "softplus"])
    new, later, _, rate = shown(np.random.default_rng(7), 4000, kernels)
    found = model.respond(new)[: len(later)]
    for cell in range(2):
        assert 0.75 < np.polyfit(found[:, cell], rate[:, cell], 1)[0] < 1.3


def test_missing_responses_and_other_cells_change_nothing(example):
    _, model, frames, rows, counts = example
    gaps = counts.copy()
    gaps[1000:1400, 1] = np.nan
    again = fitted(frames, rows, gaps)
    np.testing.assert_array_equal(again.filter[0], model.filter[0])
    assert np.isfinite(again.respond(frames)).all()
    assert alike(again.filter[1], model.filter[1]) > 0.98


def test_constant_cells_keep_their_rate():
    frames, rows, counts, _ = shown(np.random.default_rng(8), 1000, planted(cells=1))
    cells = np.column_stack([counts, np.zeros(len(rows)), np.full(len(rows), 2.5)])
    found = fitted(frames, rows, cells).respond(frames)
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found[:, 2], 2.5)
    assert np.ptp(found[:, 0]) > 1


def test_a_window_around_the_centre_holds_the_filter():
    kernels = planted()
    frames, rows, counts, _ = shown(np.random.default_rng(9), 4000, kernels)
    where = linear_nonlinear.fit(
        frames, rows, counts, history=HISTORY, lag=1, settings=LN(cutout_px=1), centres=np.array([[5, 1], [np.nan] * 2])
    )
    inside = np.abs(where.filter).max(1) > 0
    assert np.argwhere(inside[0]).min(0).tolist() == [4, 0]
    assert np.argwhere(inside[0]).max(0).tolist() == [6, 2]
    assert np.argwhere(inside[1]).mean(0).tolist() == [3, 2]  # where it was planted


def test_polynomials_are_least_squares():
    rng = np.random.default_rng(10)
    g = rng.standard_normal(400)
    y = rng.poisson(np.exp(g)).astype(float)
    found = nonlinearities.fit("polynomial", g, y, LN())
    inner = np.linspace(-1, 1, 9)
    expected = np.polynomial.Polynomial.fit(g, y, 5)(inner)
    np.testing.assert_allclose(found(inner), np.maximum(expected, 1e-3 * y.mean()), rtol=1e-8)


@pytest.mark.parametrize("kind", nonlinearities.KINDS)
def test_nonlinearities_find_the_planted_one_and_stay_positive(kind):
    rng = np.random.default_rng(11)
    g = rng.standard_normal(40_000)
    true = 3 * np.log1p(np.exp(1.5 * g - 1))
    found = nonlinearities.fit(kind, g, rng.poisson(true).astype(float), LN())
    common = np.abs(g) < 2
    # 40 000 Poisson counts; a polynomial cannot follow the softplus everywhere
    assert np.abs(found(g) - true)[common].mean() < 0.06 * true.mean()
    far = found(np.array([-1e3, -20.0, 20.0, 1e3]))
    assert (far > 0).all()
    assert np.isfinite(far).all()
    if kind != "softplus":
        np.testing.assert_array_equal(far[[0, 3]], found(np.array([g.min(), g.max()])))


def test_a_cell_that_both_signs_drive_takes_a_nonlinearity_that_can_say_so():
    rng = np.random.default_rng(12)
    frames = rng.standard_normal((6000, 1, 1)).astype(np.float32)
    rows = np.arange(1, 6000)
    drive = frames[rows - 1, 0, 0]
    counts = rng.poisson(0.3 + (drive + 0.4) ** 2)[:, None].astype(np.float32)
    model = fitted(frames, rows, counts, history=1, nonlinearities=["softplus", "spline"])
    assert model.choices[0]["nonlinearity"] == "spline"
    found = model.respond(np.array([-2.0, -0.4, 2.0], np.float32))[:, 0]
    np.testing.assert_allclose(found, [2.86, 0.3, 6.06], rtol=0.15, atol=0.1)  # tails of 6000 normal frames


def test_rates_in_hz_are_spikes_per_bin_times_bins_per_second(example):
    _, model, frames, rows, counts = example
    found = fitted(frames, rows, 100 * counts)
    assert found.choices == model.choices
    np.testing.assert_allclose(found.respond(frames), 100 * model.respond(frames), rtol=2e-3)  # float32 sums


def test_models_are_restored_from_their_arrays(example, tmp_path):
    _, model, frames, *_ = example
    save_file({k: np.ascontiguousarray(v) for k, v in model.weights().items()}, tmp_path / "weights.safetensors")
    again = linear_nonlinear.from_weights(load_file(tmp_path / "weights.safetensors"))
    np.testing.assert_array_equal(again.respond(frames), model.respond(frames))
    assert again.choices == model.choices
    assert again.parameters == model.parameters


def test_blocks_hold_all_rows_and_pass_over_long_gaps():
    rows = np.concatenate([np.arange(10, 9000), np.arange(50_000, 50_010)])
    found = list(filters.blocks(rows))
    assert np.isin(rows, np.concatenate([np.arange(*one) for one in found])).all()
    assert all(stop - start <= filters.BLOCK for start, stop in found)
    assert not any(start < 40_000 < stop for start, stop in found)


def test_too_few_rows_are_refused():
    frames = np.zeros((60, 2, 2), np.float32)
    with pytest.raises(DataError, match="50 training rows"):
        fitted(frames, np.arange(20, 60), np.zeros((40, 1), np.float32))


STIMULUS = "dba084b91416024a2e5d170612771a32966b7efe7a0930b83c7a7fbc3c33da55"
ONSETS = "45f82b3fef5d419c6beb8d06583334841db8ff2bfa7d6921f71bb8b1f173cb84"
SPIKES = {
    "fullfieldnoise_C1.txt": "c8f9b2b7bdeb64de53927c78cf1f9a1dfbea241141d99e14faa3dc9daa6469fd",
    "fullfieldnoise_C7.txt": "c6ad85e708a39773a011272a5a6c16393f9ca73bd4446d989cfb74dcc28c4e5a",
    "fullfieldnoise_C8.txt": "3ebaa3b8ec4df8f96ed8bfedfca240be65ebf23a8f1dd1637c1f41ecbb17cb02",
}


@pytest.mark.slow
@pytest.mark.recording
def test_real_cells_under_full_field_flicker_are_predicted_as_by_others():
    stimulus = np.array(recordings.find("stimulus_fullfieldnoise.txt", STIMULUS).read_text().split(), np.float32)
    onsets = np.array(recordings.find("frametimes_fullfieldnoise.txt", ONSETS).read_text().split(), float)
    cycles = 2400 * 41
    edges = onsets[: cycles + 1]
    times = [np.array(recordings.find(name, sha).read_text().split(), float) for name, sha in SPIKES.items()]
    counts = np.stack([np.histogram(own, edges)[0] for own in times], 1).astype(np.float32)
    place = np.arange(cycles) % 2400
    rows = np.flatnonzero((place >= 40) & (place < 1800))
    frames = stimulus[:cycles, None, None]
    model = fitted(frames, rows, counts[rows], history=40, lag=0)
    mean = counts.reshape(41, 2400, 3)[:, 1839:].mean(0)
    found = model.respond(frames[1800:2400])
    r = [alike(found[:, cell], mean[:, cell]) for cell in range(3)]
    # a plain LN model of others reaches .66 to .80 on these cells
    assert r[0] > 0.76
    assert r[1] > 0.63
    assert r[2] > 0.76
