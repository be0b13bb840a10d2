"""Regressions equal scikit-learn's, follow the theory of least squares, and choose penalties on validation images."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LinearRegression, Ridge

from pellucid.errors import DataError
from pellucid.systems.whatwhere.model import regression, scores

HEIGHT, WIDTH, CHANNELS = 14, 11, 2


def recording(count, neurons, seed, *, noise=1.0, mean=0.0):
    """Correlated images with two channels, responses of sparse filters inside 5 x 5 windows, and the centres."""
    generator = np.random.default_rng(seed)
    images = mean + generator.standard_normal((count, CHANNELS, HEIGHT, WIDTH))
    images[:, :, 1:] += 0.5 * images[:, :, :-1]
    positions = np.stack([generator.integers(0, HEIGHT, neurons), generator.integers(0, WIDTH, neurons)], axis=1)
    filters = np.zeros((neurons, CHANNELS, HEIGHT, WIDTH))
    for whole, (row, column) in zip(filters, positions):
        window = whole[:, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        window[:] = generator.standard_normal(window.shape) * (generator.random(window.shape) < 0.3)
    response = np.einsum("dcij,ncij->dn", images, filters) + 2 * mean
    return images, response + noise * generator.standard_normal(response.shape), positions, filters


def window_of(images, position, half=2):
    row, column = position
    return images[:, :, max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1].reshape(
        len(images), -1
    )


def parts(images, responses, validation=60):
    return (images[validation:], responses[validation:]), (images[:validation], responses[:validation])


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kind", ["ols", "ridge", "lasso"])
def test_every_kind_equals_scikit_learn(kind, intercept):
    images, responses, positions, _ = recording(300, 6, seed=1, mean=0.7)
    train, validation = parts(images, responses)
    penalty = {"ols": 0, "ridge": 30.0, "lasso": 0.05}[kind]
    model = {
        "ols": LinearRegression(fit_intercept=intercept),
        "ridge": Ridge(alpha=penalty, fit_intercept=intercept),
        "lasso": Lasso(alpha=max(penalty, 1e-9), fit_intercept=intercept, tol=1e-8, max_iter=10000),
    }[kind]
    found = regression.fit(
        train, validation, positions, kind=kind, window_px=5, penalties=[penalty], intercept=intercept
    )
    for neuron, position in enumerate(positions):
        model.fit(window_of(train[0], position), train[1][:, neuron])
        expected = model.predict(window_of(validation[0], position))
        # the lasso path stops at a duality gap of 1e-4 of the variance; the others are float32 filters
        tolerance = 2e-2 if kind == "lasso" else 1e-4
        np.testing.assert_allclose(found.predict(validation[0])[:, neuron], expected, atol=tolerance)
        np.testing.assert_allclose(found.intercept[neuron], model.intercept_, atol=tolerance)
        loss = np.mean((expected - validation[1][:, neuron]) ** 2)
        np.testing.assert_allclose(found.loss[neuron], loss, rtol=tolerance)
    np.testing.assert_array_equal(found.penalty, penalty)


def test_the_penalty_of_each_neuron_is_the_best_on_validation_images():
    images, responses, positions, _ = recording(200, 5, seed=2, noise=4)
    train, validation = parts(images, responses)
    candidates = [0.1, 1000.0, 30.0, 300.0]
    found = regression.fit(train, validation, positions, kind="ridge", window_px=5, penalties=candidates)
    alone = [
        regression.fit(train, validation, positions, kind="ridge", window_px=5, penalties=[penalty])
        for penalty in candidates
    ]
    best = np.argmin([one.loss for one in alone], axis=0)
    np.testing.assert_array_equal(found.penalty, np.array(candidates)[best])
    np.testing.assert_allclose(found.loss, np.min([one.loss for one in alone], axis=0))
    assert len(set(found.penalty)) > 1


def test_filters_are_zero_outside_the_window_and_recover_the_truth_inside():
    images, responses, positions, truth = recording(4000, 8, seed=3, noise=0.5)
    train, validation = parts(images, responses, validation=400)
    for kind in ("ols", "ridge", "lasso"):
        found = regression.fit(train, validation, positions, kind=kind, window_px=5, penalties=[1e-3])
        row, column = np.arange(HEIGHT), np.arange(WIDTH)
        outside = (np.abs(row - positions[:, :1]) > 2)[:, :, None] | (np.abs(column - positions[:, 1:]) > 2)[:, None]
        assert np.all(found.filters[np.broadcast_to(outside[:, None], found.filters.shape)] == 0)
        # sampling s.d. of a weight: .5 / sqrt(3600) = .008
        np.testing.assert_allclose(found.filters, truth, atol=0.05)


def test_least_squares_with_fewer_images_than_pixels_is_the_shortest_solution():
    images, responses, positions, _ = recording(30, 3, seed=4)
    found = regression.fit((images, responses), (images, responses), positions, kind="ols", window_px=7)
    for neuron, position in enumerate(positions):
        patch = window_of(images, position, 3)
        expected = patch @ np.linalg.pinv(patch) @ responses[:, neuron]
        np.testing.assert_allclose(found.predict(images)[:, neuron], expected, atol=1e-4)


def test_a_neuron_uses_only_the_images_it_has_responses_to():
    images, responses, positions, _ = recording(300, 3, seed=5)
    positions[1] = positions[0]  # one window, two sets of images
    train, validation = parts(images, responses)
    train[1][::3, 1], validation[1][:, 2] = np.nan, np.nan
    found = regression.fit(train, validation, positions, kind="ridge", window_px=5, penalties=[1.0, 10.0])
    keep = np.isfinite(train[1][:, 1])
    alone = regression.fit(
        (train[0][keep], train[1][keep, 1:2]),
        (validation[0], validation[1][:, 1:2]),
        positions[1:2],
        kind="ridge",
        window_px=5,
        penalties=[1.0, 10.0],
    )
    np.testing.assert_allclose(found.filters[1], alone.filters[0], atol=1e-6)
    assert found.penalty[2] == 10  # nothing to choose on: the strongest
    assert np.isnan(found.loss[2])


def test_silent_and_unseen_neurons_get_an_empty_filter():
    images, responses, positions, _ = recording(100, 3, seed=6)
    responses[:, 0], responses[:, 1] = 0, np.nan
    for kind in ("ols", "ridge", "lasso"):
        found = regression.fit((images, responses), (images, responses), positions, kind=kind, window_px=5)
        assert np.all(found.filters[:2] == 0)
        np.testing.assert_array_equal(np.isnan(found.penalty), [False, True, False])


def white_population(count, neurons, seed, size=30, side=17):
    """White images, centre-surround cells (Klindt et al. 2017, Fig. 3) with noise variance |response|."""
    generator = np.random.default_rng(seed)
    images = generator.standard_normal((count, 1, size, size), dtype=np.float32)
    squares = np.add.outer(np.arange(-8, 9) ** 2, np.arange(-8, 9) ** 2)
    kernel = np.exp(-squares / 4) / (4 * np.pi) - 2 * np.exp(-squares / 16) / (16 * np.pi)
    kernel *= 0.1 * np.sqrt(np.pi / 2) / np.linalg.norm(kernel)
    positions = generator.integers(8, size - 8, (neurons, 2))
    filters = np.zeros((neurons, 1, size, size))
    for whole, (row, column) in zip(filters, positions):
        whole[0, row - 8 : row + 9, column - 8 : column + 9] = kernel
    truth = images.reshape(count, -1) @ filters.reshape(neurons, -1).T
    return images, truth, truth + generator.standard_normal(truth.shape) * np.sqrt(np.abs(truth)), positions


def test_least_squares_explains_what_its_theory_says():
    images, truth, noisy, positions = white_population(4096 + 1000, 20, seed=7)
    train = images[:4096], noisy[:4096]
    found = regression.fit(train, (images[:10], noisy[:10]), positions, kind="ols", window_px=17)
    fev = scores.fev(truth[4096:], found.predict(images[4096:])).mean()
    expected = 1 - 289 / (4096 - 289 - 1) * 0.1 / 0.015708
    assert abs(fev - expected) < 0.05  # s.d. of the mean of 20 neurons: .01


@pytest.mark.slow
def test_every_kind_explains_what_was_published_for_4096_images():
    images, truth, noisy, positions = white_population(4096 + 1000, 100, seed=8)
    train, validation = (images[:3276], noisy[:3276]), (images[3276:4096], noisy[3276:4096])
    fev = {}
    for kind in ("ols", "ridge", "lasso"):
        found = regression.fit(train, validation, positions, kind=kind)
        fev[kind] = scores.fev(truth[4096:], found.predict(images[4096:])).mean()
    # published with penalties chosen on test images: .38, .62, .60
    assert abs(fev["ols"] - 0.38) < 0.05
    assert abs(fev["ridge"] - 0.62) < 0.05
    assert abs(fev["lasso"] - 0.60) < 0.05


def test_input_that_cannot_be_used_is_refused():
    images, responses, positions, _ = recording(50, 2, seed=9)
    part = images, responses
    with pytest.raises(DataError, match="position of neuron 1"):
        regression.fit(part, part, np.array([[1.0, 2.0], [np.nan, 1.0]]), kind="ols")
    with pytest.raises(DataError, match="14 x 11 pixels"):
        regression.fit(part, part, np.array([[1.0, 11.0], [2.0, 1.0]]), kind="ols")
    with pytest.raises(DataError, match="odd"):
        regression.fit(part, part, positions, kind="ols", window_px=8)
    with pytest.raises(DataError, match="none negative"):
        regression.fit(part, part, positions, kind="ridge", penalties=[-1.0])
