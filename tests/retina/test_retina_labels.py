"""Labels of channels: planted polarity, peak times and groups, and space and time courses."""

import numpy as np
import pytest
import retina_paths as made

from pellucid.systems.retina.attribute.labels import gap, labels, separated, strength

RATE_HZ = 100.0


def channel(sign, peak, history=40, shape=(5, 7), width=2.0):
    """A kernel with one space and one time course, whose peak is so many frames before the newest one."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    space = np.exp(-((row - 2) ** 2 + (column - 3) ** 2) / 4)
    time = np.exp(-((np.arange(history)[::-1] - peak) ** 2) / width)
    return sign * time[:, None, None] * space


def test_planted_labels_are_found():
    kernels = np.stack([channel(-1, 5), channel(1, 6), channel(-1, 15), channel(1, 16)])
    found = labels(kernels, lag=1, rate_hz=RATE_HZ)
    np.testing.assert_array_equal(found.polarity, [-1, 1, -1, 1])
    # The newest frame comes 10 ms before the response.
    np.testing.assert_allclose(found.peak_ms, [60, 70, 160, 170])
    assert (found.threshold_ms, found.threshold) == (115, "gap")
    assert found.names == ("OFF fast", "ON fast", "OFF slow", "ON slow")
    np.testing.assert_allclose(found.separability, 1)


@pytest.mark.parametrize(("lag", "rate_hz", "expected"), [(0, 100, 50), (1, 100, 60), (2, 50, 140), (1, 25, 240)])
def test_peaks_are_told_from_the_response(lag, rate_hz, expected):
    found = labels(channel(1, 5)[None], lag=lag, rate_hz=rate_hz)
    assert found.peak_ms == pytest.approx([expected])
    assert (found.threshold, found.fast.tolist()) == ("none", [True])


def test_only_recent_frames_tell_the_polarity():
    late, early = channel(1, 5), channel(-3, 30)  # frames 34 and 9 of 40: published are 15 to 39
    assert labels((late + early)[None], lag=1, rate_hz=RATE_HZ).polarity == [1]
    assert labels((late + early)[None], lag=1, rate_hz=RATE_HZ, recent=1.0).polarity == [-1]


@pytest.mark.parametrize("history", [40, 12, 8, 1])
def test_recent_frames_are_the_published_share_of_any_history(history):
    kernels = np.zeros((history, history, 1, 1))
    kernels[np.arange(history), np.arange(history)] = 1.0  # one frame each
    peak = labels(kernels, lag=0, rate_hz=1000.0).peak_ms
    first = {40: 15, 12: 4, 8: 3, 1: 0}[history]
    np.testing.assert_allclose(peak[first:], np.arange(history)[::-1][first:])
    assert (peak[:first] == history - 1 - first).all()  # nothing left to see: the first of equals


def test_a_threshold_can_be_given():
    kernels = np.stack([channel(-1, 5), channel(-1, 15)])
    found = labels(kernels, lag=1, rate_hz=RATE_HZ, fast_ms=60)
    assert (found.threshold, found.threshold_ms, found.fast.tolist()) == ("given", 60, [True, False])
    assert labels(kernels, lag=1, rate_hz=RATE_HZ, fast_ms=59).fast.tolist() == [False, False]


def test_a_weak_channel_makes_no_group_of_its_own():
    peak = np.array([50.0, 60, 110, 120, 300])
    assert gap(peak, np.array([1, 1, 1, 1, 0.01]), 10) == (85, "gap")
    assert gap(peak, np.ones(5), 10) == (210, "gap")


def test_gaps_of_one_bin_are_none():
    threshold, origin = gap(np.array([50.0, 60, 60, 70]), np.ones(4), 10)
    assert np.isnan(threshold)
    assert origin == "none"


def test_order_and_sign_do_not_depend_on_the_order_of_channels():
    kernels = np.stack([channel(-1, 5), channel(1, 6), channel(-1, 15), channel(1, 16)])
    order = np.array([2, 0, 3, 1])
    one, other = (labels(k, lag=1, rate_hz=RATE_HZ) for k in (kernels, kernels[order]))
    assert tuple(np.array(one.names)[order]) == other.names
    np.testing.assert_allclose(one.spatial[order], other.spatial, atol=1e-12)
    np.testing.assert_allclose(one.component[order], other.component, atol=1e-12)


def test_first_component_is_the_best_product_of_space_and_time():
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(3, 2, 9, 4, 6))
    space, time, share = separated(kernels)
    product = time[..., :, None, None] * space[..., None, :, :]
    left = ((kernels - product) ** 2).sum((-3, -2, -1)) / (kernels**2).sum((-3, -2, -1))
    np.testing.assert_allclose(share, 1 - left, rtol=1e-10)
    np.testing.assert_allclose((space**2).sum((-2, -1)), 1)
    flat = space.reshape(3, 2, -1)
    assert (np.take_along_axis(flat, np.abs(flat).argmax(-1)[..., None], -1) > 0).all()
    # The same up to rounding for the same kernel with the other sign, but for the time course.
    again = separated(-kernels)
    np.testing.assert_allclose(again[0], space, atol=1e-9)
    np.testing.assert_allclose(again[1], -time, atol=1e-9)


def test_an_on_off_surround_does_not_change_the_sign_of_the_time_course():
    kernel = channel(-1, 5)
    found = labels((kernel - 0.1 * kernel.mean((1, 2), keepdims=True))[None], lag=1, rate_hz=RATE_HZ)
    assert found.polarity == [-1]
    assert found.component[0][np.abs(found.component[0]).argmax()] < 0
    assert found.spatial[0].max() == np.abs(found.spatial[0]).max()


def test_a_kernel_of_zeros_has_no_separability():
    kernels = np.stack([channel(1, 5), np.zeros((40, 5, 7))])
    found = labels(kernels, lag=1, rate_hz=RATE_HZ)
    assert found.separability[0] == pytest.approx(1)
    assert np.isnan(found.separability[1])
    assert found.strength[1] == 0


@pytest.mark.parametrize("kind", ["convgc", "bn_cnn", "one layer"])
def test_strength_is_that_of_all_weights_of_a_channel(kind):
    network = made.network(kind)
    before = strength(network)
    network.convolutions[0].parts[-1].weight.data[1] *= 2
    if kind == "one layer":
        network.readout.weight.data[:, 2] = 0
    else:
        network.convolutions[1].parts[-1].weight.data[:, 2] = 0
    expected = before.copy()
    expected[1] *= 2
    expected[2] = 0
    np.testing.assert_allclose(strength(network), expected, rtol=1e-5)
