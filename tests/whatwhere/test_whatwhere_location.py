"""Receptive fields are found from squared averages: recovery, an independent implementation, chance, edge cases."""

import numpy as np
import pytest
from scipy.signal import convolve2d
from sklearn.linear_model import Ridge

from pellucid.systems.whatwhere.model import location

HALF = 8  # px: simulated filters are 17 x 17


def centre_surround() -> np.ndarray:
    """Difference of Gaussians, surround volume twice the centre's (Klindt et al. 2017, Fig. 3); norm sqrt(pi/2)/10."""
    squares = np.add.outer(np.arange(-HALF, HALF + 1) ** 2, np.arange(-HALF, HALF + 1) ** 2)
    kernel = np.exp(-squares / 4) / (4 * np.pi) - 2 * np.exp(-squares / 16) / (16 * np.pi)
    return 0.1 * np.sqrt(np.pi / 2) * kernel / np.linalg.norm(kernel)


def gabor(angle: float, phase: float) -> np.ndarray:
    row, column = np.meshgrid(np.arange(-HALF, HALF + 1), np.arange(-HALF, HALF + 1), indexing="ij")
    along = column * np.cos(angle) + row * np.sin(angle)
    kernel = np.exp(-(row**2 + column**2) / 12.5) * np.cos(2 * np.pi * 0.18 * along + phase)
    return kernel / np.linalg.norm(kernel)


def driven(images, kernels, centres):
    """Linear responses of one kernel per neuron at its centre."""
    height, width = images.shape[2:]
    filters = np.zeros((len(kernels), height, width))
    for whole, kernel, (row, column) in zip(filters, kernels, centres):
        whole[row - HALF : row + HALF + 1, column - HALF : column + HALF + 1] = kernel
    return images.reshape(len(images), -1) @ filters.reshape(len(filters), -1).T.astype(np.float32)


def population(kinds, count, seed, height=40, width=48):
    """White images, noisy responses (noise variance |response|, half of it for energy cells) and centres."""
    generator = np.random.default_rng(seed)
    images = generator.standard_normal((count, 1, height, width), dtype=np.float32)
    ends = np.array([height, width]) - HALF
    centres = generator.integers(HALF, ends, (len(kinds), 2))
    even = [{"on": centre_surround(), "off": -centre_surround()}.get(kind, gabor(0.5, 0)) for kind in kinds]
    response = driven(images, even, centres)
    energy = np.array(kinds) == "energy"
    odd = driven(images, [gabor(0.5, np.pi / 2)] * len(kinds), centres)
    response[:, energy] = np.hypot(response, odd)[:, energy] / np.sqrt(np.pi / 2)  # mean 1
    noise = generator.standard_normal(response.shape) * np.sqrt(np.abs(response) * np.where(energy, 0.5, 1))
    return images, response + noise, centres


def share(found, centres, within=1):
    return np.mean(np.abs(found - centres).max(axis=1) <= within)


@pytest.mark.parametrize(("count", "least"), [(1024, 0.80), (4096, 0.99)])  # measured .90 and 1.0
def test_centre_surround_cells_are_found_within_one_pixel(count, least):
    images, responses, centres = population(["on", "off"] * 60, count, seed=1)
    found, _ = location.locate(location.squared_average(images, responses), (HALF, HALF))
    assert share(found, centres) >= least


def test_the_smoothed_signed_average_misses_what_the_squared_one_finds():
    images, responses, centres = population(["on"] * 30, 4096, seed=2)
    average = np.einsum("dn,dij->nij", responses, images[:, 0]) / len(images)
    smooth = np.abs(location.gaussian_filter(average, (0, 2, 2)))[:, HALF:-HALF, HALF:-HALF]
    signed = np.stack(np.divmod(smooth.reshape(30, -1).argmax(1), smooth.shape[2]), 1) + HALF
    assert share(signed, centres) == 0
    assert share(location.locate(location.squared_average(images, responses), (HALF, HALF))[0], centres) == 1


def test_both_statistics_together_see_on_off_and_phase_invariant_cells():
    kinds = ["on", "off", "energy"] * 20
    images, responses, centres = population(kinds, 4096, seed=3)
    energy = np.array(kinds) == "energy"
    found = {
        name: location.locate(location.squared_average(images, responses, statistic=name), (HALF, HALF))[0]
        for name in ("average", "energy", "both")
    }
    assert share(found["both"], centres) >= 0.95  # measured 1.0
    assert share(found["average"][~energy], centres[~energy]) == 1
    assert share(found["average"][energy], centres[energy]) <= 0.15  # their STA is flat: chance is 9 of 768 positions
    assert share(found["energy"][energy], centres[energy]) >= 0.95
    assert share(found["energy"][~energy], centres[~energy]) <= 0.15


@pytest.mark.parametrize("power", [1, 2])
def test_the_map_equals_a_loop_over_pixels(power):
    generator = np.random.default_rng(4)
    images = generator.normal(0.2, 1.5, (60, 2, 9, 13)).astype(np.float32)
    responses = generator.standard_normal((60, 3))
    responses[:20, 1] = np.nan
    maps = location.squared_average(
        images, responses, smoothing_px=1.0, statistic="average" if power == 1 else "energy"
    )
    reach = np.arange(-4, 5)  # scipy's filter ends at 4 s.d.
    bell = np.exp(-(reach**2) / 2) / np.exp(-(reach**2) / 2).sum()
    variance = (images.astype(float) ** power).var(axis=0).mean()
    for neuron in range(3):
        known = np.isfinite(responses[:, neuron])
        deviation = responses[known, neuron] - responses[known, neuron].mean()
        squared = np.zeros((9, 13))
        for channel in range(2):
            score = np.empty((9, 13))
            for i, j in np.ndindex(9, 13):
                pixel = images[known, channel, i, j].astype(float) ** power
                score[i, j] = (deviation * pixel).mean() * np.sqrt(known.sum() / variance) / deviation.std()
            squared += (score - np.median(score)) ** 2
        smooth = convolve2d(squared - squared.mean(), np.outer(bell, bell), mode="same")
        lost = convolve2d(np.ones((9, 13)), np.outer(bell, bell) ** 2, mode="same") / (bell**2).sum() ** 2
        # float32 products; the sampled narrower Gaussian has .7 % other mass at a border than the squared samples
        np.testing.assert_allclose(maps[neuron], smooth / np.sqrt(lost), rtol=0.02, atol=1e-3)


def test_the_map_depends_neither_on_units_nor_on_the_order_of_images():
    images, responses, _ = population(["on", "energy", "off"], 300, seed=5)
    order = np.random.default_rng(0).permutation(300)
    for statistic in ("average", "energy", "both"):
        map_ = location.squared_average(images, responses, statistic=statistic)
        other = location.squared_average(3 * images[order], 50 * responses[order] + 7, statistic=statistic)
        np.testing.assert_allclose(other, map_, atol=2e-3 * np.abs(map_).max())  # float32 sums in another order


def test_positions_stay_within_margins():
    maps = np.zeros((2, 12, 20), np.float32) + np.random.default_rng(0).random((2, 12, 20), dtype=np.float32)
    maps[0, 0, 19], maps[0, 5, 7], maps[1, 3, 16] = 100, 50, 50
    np.testing.assert_array_equal(location.locate(maps, (3, 3))[0], [[5, 7], [3, 16]])
    np.testing.assert_array_equal(location.locate(maps)[0], [[0, 19], [3, 16]])


def test_confidence_separates_driven_from_unrelated_neurons():
    images, responses, centres = population(["on"] * 40, 2048, seed=6)
    generator = np.random.default_rng(7)
    responses = np.concatenate([responses, generator.standard_normal((2048, 160))], axis=1)
    found, confidence = location.locate(location.squared_average(images, responses), (HALF, HALF))
    by_chance = location.chance(images, responses, margins=(HALF, HALF), count=3, seed=8)
    p = location.probability(confidence, by_chance)
    assert by_chance.shape == (3, 200)
    assert np.mean(p[:40] < 0.05) >= 0.95
    assert share(found[:40][p[:40] < 0.05], centres[:40][p[:40] < 0.05]) >= 0.9
    # p is uniform without a relation: .1 of 160 neurons, s.d. .024
    assert abs(np.mean(p[40:] <= 0.1) - 0.1) < 0.075
    np.testing.assert_array_equal(by_chance, location.chance(images, responses, margins=(HALF, HALF), count=3, seed=8))


def test_the_signal_is_the_standard_deviation_of_the_noise_free_response():
    images, responses, centres = population(["on", "off"] * 30, 4096, seed=9)
    found = location.signal(images, responses, centres, HALF)
    norm = 0.1 * np.sqrt(np.pi / 2)
    # sampling s.d. of one neuron's estimate is .008 (measured), of the mean of 60 .001
    assert abs(found.mean() - norm) < 0.004
    assert np.all(found <= responses.std(axis=0) + 1e-6)
    nothing = location.signal(images, np.random.default_rng(1).standard_normal((4096, 20)), centres[:20], HALF)
    assert nothing.min() >= 0.05 * 0.95
    assert np.median(nothing) < 0.15  # the bias sqrt(289 / 4096) = .27 is removed


def test_silent_neurons_get_the_middle_and_no_confidence():
    images, responses, _ = population(["on"] * 4, 200, seed=10)
    responses[:, 1], responses[:, 2] = 0, np.nan
    for statistic in ("average", "energy", "both"):
        maps = location.squared_average(images, responses, statistic=statistic)
        position, confidence = location.locate(maps, (HALF, HALF))
        assert np.isnan(maps[[1, 2]]).all()
        np.testing.assert_array_equal(position[[1, 2]], [[20, 24]] * 2)
        np.testing.assert_array_equal(np.isnan(confidence), [False, True, True, False])
    np.testing.assert_array_equal(np.isnan(location.signal(images, responses, position)), [False, True, True, False])


def test_a_pixel_that_never_varies_adds_nothing():
    images, responses, centres = population(["on"] * 5, 4096, seed=11)
    images[:, :, :5] = 0.3
    found, _ = location.locate(location.squared_average(images, responses, statistic="both"), (HALF, HALF))
    assert np.isfinite(found).all()
    assert share(found[centres[:, 0] >= 12], centres[centres[:, 0] >= 12]) == 1


def test_decorrelated_averages_find_cells_in_images_with_a_natural_spectrum():
    generator = np.random.default_rng(12)
    images, _, centres = population(["on", "off"] * 15, 3000, seed=12)
    height, width = images.shape[2:]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    images = np.fft.irfft2(np.fft.rfft2(images) / frequency, s=(height, width)).astype(np.float32)
    images = (images - images.mean(0)) / images.std(0)
    response = driven(images, [centre_surround(), -centre_surround()] * 15, centres)
    response += 0.5 * response.std(0) * generator.standard_normal(response.shape)
    found = {
        way: location.locate(location.squared_average(images, response, decorrelate=way), (HALF, HALF))[0]
        for way in (False, True)
    }
    assert share(found[True], centres) >= 0.9  # measured .97
    assert share(found[False], centres) <= 0.75  # measured .60: a plain average is often largest beside the centre


def test_decorrelation_is_a_ridge_regression():
    generator = np.random.default_rng(13)
    images = generator.standard_normal((50, 2, 4, 6)).astype(np.float32)
    images[:, :, 1:] += images[:, :, :-1]
    responses = generator.standard_normal((50, 3))
    responses[:, 1] = 4  # a constant neuron does not disturb the others
    pixels = images.reshape(50, -1) - images.reshape(50, -1).mean(0)
    alpha = 50 * pixels.var(0).mean()
    expected = Ridge(alpha=alpha).fit(pixels, responses[:, 0]).coef_
    found = location._decorrelated(location._scores(images, responses, 1), images)
    scale = alpha / np.sqrt(50 * pixels.var(0).mean()) / responses[:, 0].std()
    np.testing.assert_allclose(found[0].ravel(), scale * expected, atol=1e-4)  # float32
    np.testing.assert_array_equal(np.isnan(found).all(axis=(1, 2, 3)), [False, True, False])
