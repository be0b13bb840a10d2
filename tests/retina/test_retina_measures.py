"""Measures on responses to probes: planted latencies, slopes, shifts, delays, gains and harmonics come back."""

import numpy as np
import pytest
from retina_probes import CLOCK, SHAPE, SMALL, bump, measured, respond, settings, shown, small
from scipy.stats import spearmanr

from pellucid.systems.retina.attribute.phenomena import contrast, peaks

CLOCKS = [{}, {"history": 40}, {"history": 17, "lag": 0, "rate_hz": 60.0}, {"lag": 3, "rate_hz": 200.0}]


def flicker(probe, period, burst, height=1.0, delay=8, rest=0.2):
    """A rate with a bump `delay` rows after every flash, and one of some height in row `burst`."""
    rows = probe.before_rows + 1 + probe.after_rows
    flashes = sum(bump(rows, k + delay) for k in range(probe.before_rows, -60, -period))
    return rest + flashes + bump(rows, burst, height=height)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize(("planted", "first"), [(0.0, 32), (0.5, 22), (1.0, 10)])
def test_the_slope_of_the_latency_after_an_omission_is_recovered(clock, planted, first):
    probe = settings("omitted")
    made = shown(probe, **clock)
    own = CLOCK | clock
    rate = np.stack(
        [
            np.stack([flicker(probe, int(p), 50 + first + planted * p, height) for height in (1.0, 0.4)], -1)
            for p in made.values
        ]
    )
    found = measured(probe, made, rate, **clock)
    assert found["latency_slope"].unit == "s/s"
    np.testing.assert_allclose(found["latency_slope"].value, planted, atol=0.05)
    np.testing.assert_allclose(found["latency_slope"].of_mean, planted, atol=0.05)
    np.testing.assert_array_equal(found["periods"].value, 5)
    for period in made.values:
        late = (first + planted * period + own["lag"]) / own["rate_hz"]
        np.testing.assert_allclose(found["latency", period].value, late, atol=0.5 / own["rate_hz"])  # whole rows
        np.testing.assert_allclose(found["burst", period].value, [1.0, 0.4], rtol=0.05)  # bumps of 6 rows overlap


def test_the_ratio_compares_the_omitted_cycle_with_those_of_flashes():
    probe = settings("omitted")
    made = shown(probe)
    heights = np.array([0.0, 0.5, 2.0, 5.0])
    rate = np.stack(
        [np.stack([flicker(probe, int(p), 50 + p + 8, h, rest=0) for h in heights], -1) for p in made.values]
    )
    found = measured(probe, made, rate)
    for period in (8.0, 10.0, 12.0, 20.0):
        # bumps of s.d. 1.5 rows: up to a tenth of one lies in the neighbouring cycle of 8 rows
        np.testing.assert_allclose(found["ratio", period].value, heights, rtol=0.1, atol=0.1)


def test_a_cell_that_flashes_silence_and_release_is_found():
    probe = settings("omitted")
    made = shown(probe)
    rows = np.arange(made.rows)
    late = 10 + 0.75 * made.values  # after the last flash; before, and up to 6 rows after, silence
    released = [np.maximum(0, rows - 50 - t + 6) * np.exp(-(rows - 50 - t) / 6) / 6 for t in late]
    recovering = [2 - 2 * np.exp(-np.maximum(0, rows - 50 - t) / 4) for t in late]
    found = measured(probe, made, np.stack([np.stack(released), np.stack(recovering)], -1))
    np.testing.assert_allclose(found["latency_slope"].value[0], 0.75, atol=0.05)
    np.testing.assert_allclose(found["latency_slope"].value[1], np.nan)  # it comes back to rest, without a burst
    np.testing.assert_array_equal(found["periods"].value, [5, 0])
    assert np.isnan(found["ratio", 10.0].value).all()  # no rate at all during flashes


def test_cells_without_a_burst_have_no_latency():
    probe = settings("omitted")
    made = shown(probe)
    rate = np.stack(
        [
            np.stack([flicker(probe, int(p), 50, 0), flicker(probe, int(p), 70 + p / 2, 0.05), np.full(101, 3.0)], -1)
            for p in made.values
        ]
    )
    found = measured(probe, made, rate)
    for period in made.values:
        assert np.isnan(found["latency", period].value).all()
        np.testing.assert_array_equal(found["burst", period].value, [0, 0, np.nan])
    np.testing.assert_array_equal(found["periods"].value, 0)
    assert np.isnan(found["latency_slope"].value).all()


def transient(delay, sign=-1.0):
    """A cell that fires once, `delay` frames after the newest frame turned dark by as much."""
    return lambda w: np.maximum(0, sign * (w[:, -1 - delay] - w[:, -2 - delay]).mean((1, 2)))


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("kind", ["latency_steps", "latency_flashes"])
def test_latency_counts_from_the_onset_to_the_response(clock, kind):
    own = CLOCK | clock
    probe = small(kind, mass_s=0.06)
    made = shown(probe, **clock)
    rate = 10 * respond(made, own["history"], [transient(2), transient(5), lambda w: np.ones(len(w))])
    found = measured(probe, made, rate, **clock)
    late = (np.array([2, 5]) + own["lag"]) / own["rate_hz"]
    np.testing.assert_allclose(found["latency", -1.0].value[:2], late, atol=1e-12)
    assert np.isnan(found["latency", -1.0].value[2])
    np.testing.assert_allclose(found["peak", -1.0].value, [10, 10, 10], rtol=1e-6)
    if kind == "latency_steps":
        assert np.isnan(found["latency", 0.0].value).all()
        np.testing.assert_allclose(found["peak_rank"].value[:2], 1)


@pytest.mark.parametrize("units", ["Hz", "count"])
def test_latency_as_a_function_of_contrast_is_recovered(units):
    probe = settings("latency_flashes")
    made = shown(probe, history=20)
    size = np.abs(made.values)
    late = np.stack([0.10 - 0.012 * size, np.full(21, 0.08), 0.05 + 0.01 * size], -1)  # s
    strong = np.stack([5 + 10 * size, 20 - 2 * size, np.full(21, 1.0)], -1)  # Hz; the last below the threshold
    course = np.exp(-((made.time_s[None, :, None] - late[:, None]) ** 2) / (2 * 0.008**2))
    rate = strong[:, None] * course
    found = measured(probe, made, rate / (100 if units == "count" else 1), units=units)
    for at, true in zip(made.values, late):
        np.testing.assert_allclose(found["latency", at].value, true, atol=0.005 + 1e-9)  # half a bin
        # rates under 3 Hz are cut off on both sides alike: 1000 points over 200 ms, and the spline
        np.testing.assert_allclose(found["latency_mass", at].value[:2], true[:2], atol=4e-4)
        assert np.isnan(found["latency_mass", at].value[2])
    np.testing.assert_allclose(found["latency_mass_slope"].value[:2], [-0.012, 0], atol=2e-4)
    # 21 contrasts over 36 ms: several share a bin, so ranks of the argmax have ties
    np.testing.assert_allclose(found["latency_rank"].value[[0, 2]], [-1, 1], atol=0.05)
    np.testing.assert_allclose(found["peak_rank"].value[:2], [1, -1], atol=0.06)  # peaks between bins are cut
    assert found["peak", -3.0].unit == units


def test_ranks_and_slopes_are_those_of_other_implementations():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 5, 12).astype(float)
    y = generator.integers(0, 6, (12, 4)).astype(float)
    y[[1, 5], 2] = np.nan
    y[2:, 3] = np.nan
    known = np.isfinite(y[:, 2])
    true = [spearmanr(x, y[:, 0])[0], spearmanr(x, y[:, 1])[0], spearmanr(x[known], y[known, 2])[0], np.nan]
    np.testing.assert_allclose(peaks.rank_correlation(x, y), true)
    fits = [np.polyfit(x, y[:, 0], 1)[0], np.polyfit(x, y[:, 1], 1)[0], np.polyfit(x[known], y[known, 2], 1)[0], np.nan]
    np.testing.assert_allclose(peaks.slope(x, y), fits)
    assert np.isnan(peaks.slope(np.ones(4), y[:4])).all()


def seen(delay, place, columns, width=2.0):
    """A cell that adds up darkness about a place, `delay` frames before the newest, with a Gaussian field."""
    weight = np.exp(-((np.arange(columns) + 0.5 - columns / 2 - place) ** 2) / (2 * width**2))
    return lambda w: np.maximum(0, -w[:, -1 - delay].mean(1) @ weight)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize(("delay", "speed"), [(0, 0.16), (5, 0.16), (8, 0.08)])
def test_a_delayed_cell_lags_behind_the_bar_in_both_directions(clock, delay, speed):
    own = CLOCK | clock
    probe = small("anticipation", speed_px=speed)
    made = shown(probe, (9, 16), **clock)
    cells = [seen(delay, place, 16) for place in (-2.3, 0.0, 1.5)]
    found = measured(probe, made, respond(made, own["history"], cells), **clock, pixel_um=25.0)
    late = speed * (delay + own["lag"])
    tolerance = 0.06  # places are read off 20 points per px
    for one in ("value", "of_mean"):
        np.testing.assert_allclose(getattr(found["shift_rightward"], one), -late, atol=tolerance)
        np.testing.assert_allclose(getattr(found["shift_leftward"], one), late, atol=tolerance)
        np.testing.assert_allclose(getattr(found["ahead"], one), -late, atol=tolerance)
    np.testing.assert_allclose(found["ahead_um"].value, 25 * found["ahead"].value)
    assert found["ahead_um"].unit == "um"


def test_an_anticipating_cell_is_ahead_in_both_directions():
    probe = small("anticipation")
    made = shown(probe)
    flashed = respond(made, 12, [seen(2, 1.0, 16), seen(2, -0.5, 16), lambda w: np.full(len(w), 2.0)])
    rate, bar = flashed.copy(), made.time_s * 100 * 0.16
    for k, sign in enumerate((1, -1)):
        for cell, place in enumerate((1.0, -0.5)):
            rate[k, :, cell] = np.exp(-((sign * bar - (place - sign * 1.2)) ** 2) / 8)  # 1.2 px before it gets there
    found = measured(probe, made, rate)
    np.testing.assert_allclose(found["ahead"].value[:2], 1.2, atol=0.06)
    np.testing.assert_allclose(found["shift_rightward"].value[:2], 1.2, atol=0.06)
    np.testing.assert_allclose(found["shift_leftward"].value[:2], -1.2, atol=0.06)
    assert np.isnan(found["ahead"].value[2])


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_delay_of_a_burst_after_a_turn_is_recovered(clock):
    own = CLOCK | clock
    probe = small("reversal", scales=[1.0, 2.5])
    made = shown(probe, **clock)
    flips, rows = np.array(probe.flips_px), made.rows
    turning = np.array([label.startswith("turn") for label in made.labels])
    bursts = 30 + 5 + np.stack([np.zeros(len(turning)), made.values], -1)  # the second cell's moves with the place
    heights = np.where(turning, 3.0, 1.5)
    rate = np.stack([np.stack([h * bump(rows, b) for b in own_], -1) for h, own_ in zip(heights, bursts)])
    found = measured(probe, made, rate, **clock)
    step = 1 / own["rate_hz"]
    for scale in probe.scales:
        np.testing.assert_allclose(found["delay", scale].value[0], (5 + own["lag"]) * step)
        np.testing.assert_allclose(found["delay_sd", scale].value, [0, flips.std(ddof=1) * step], atol=1e-9)
        np.testing.assert_allclose(found["delay_slope", scale].value, [0, step], atol=1e-9)
        np.testing.assert_allclose(found["gain", scale].value, 2, rtol=1e-6)


def test_a_sweep_seen_alike_has_no_gain_and_no_burst():
    probe = small("reversal")
    made = shown(probe)
    ramp = np.tile(np.linspace(5, 1, made.rows)[None, :, None], (len(made.values), 1, 2))
    found = measured(probe, made, ramp)
    np.testing.assert_allclose(found["gain"].value, 1)
    assert np.isnan(found["delay"].value).all()


@pytest.mark.parametrize(("units", "space"), [("Hz", "pixels"), ("count", "full_field")])
def test_the_gain_of_cells_that_scale_with_contrast_is_recovered(units, space):
    probe = small("contrast_adaptation", space=space, hold_frames=1, frames=3000)
    made = shown(probe, (4, 5))
    generator = np.random.default_rng(1)
    kernel = generator.standard_normal((2, 12, *((4, 5) if space == "pixels" else ())))
    kernel /= np.sqrt((kernel**2).sum(tuple(range(1, kernel.ndim)), keepdims=True))
    drive = np.stack([contrast.filtered_stimulus(own, kernel) for own in made.frames])
    power = np.array([0.0, 0.5])  # the second cell divides by the root of the contrast
    rate = 20 + 3 * drive / made.values[:, None, None] ** power
    kernels = np.stack([kernel * 7] * 4)  # only their shape matters
    found = measured(probe, made, rate, kernels=kernels, units=units)
    for at in made.values:
        # s.d. of 3000 filtered frames: 1 % of that of the stimulus
        np.testing.assert_allclose(found["gain", at].value, 3 / at**power, rtol=0.05)
    np.testing.assert_allclose(found["gain_slope"].value[0], 0, atol=1e-3)
    assert found["gain_slope"].value[1] < -0.5
    assert found["gain", 0.5].unit == units


@pytest.mark.parametrize("clock", [{}, {"history": 40}, {"history": 50, "rate_hz": 60.0}])
def test_the_centre_of_a_filters_spectrum_is_recovered(clock):
    own = CLOCK | clock
    probe = small("contrast_adaptation", frames=300)
    made = shown(probe, (3, 4), **clock)
    late = np.arange(own["history"])[::-1] / own["rate_hz"]
    courses = np.stack(
        [
            np.stack([np.exp(-(((late - 0.06) / 0.02) ** 2)) * np.sin(2 * np.pi * f * late) for f in (6 + 2 * c, 9, 0)])
            for c in made.values
        ]
    )
    rate = np.zeros((4, made.rows, 3))
    found = measured(probe, made, rate, kernels=courses, **clock)
    assert "gain_slope" not in found  # filters without space say nothing about noise of pixels
    window = max(0.4, own["history"] / own["rate_hz"])
    bins = np.arange(int(15 * window + 1e-9) + 1) / window
    power = np.abs(np.exp(-2j * np.pi * bins[:, None] * late) @ courses[2].T[:, :2]) ** 2  # transform at the bins
    np.testing.assert_allclose(
        found["frequency", 1.5].value[:2], (bins @ power) / power.sum(0), rtol=0.03
    )  # the spline between samples takes a little from high frequencies
    assert np.isnan(found["frequency", 1.5].value[2])
    assert found["frequency_slope"].value[0] > 0.1
    np.testing.assert_allclose(found["frequency_slope"].value[1], 0, atol=1e-9)
    if clock.get("history") == 40:
        assert len(bins) == 7  # as published
    space = np.random.default_rng(0).random((3, 4))
    again = measured(probe, made, rate, kernels=courses[..., None, None] * space, **clock)
    np.testing.assert_allclose(again["frequency", 1.5].value, found["frequency", 1.5].value)
    assert measured(probe, made, rate, **clock) == {}


def test_harmonics_of_a_reversing_grating():
    probe = small("reversing_grating")
    made = shown(probe)
    still = made.shown[0]  # +1, -1 of the whole image
    reverses = np.abs(np.diff(still, prepend=-still[0])) > 0
    rate = np.stack([20 + 5 * still, 1 + 9 * reverses, 20 + 5 * still + 9 * reverses, np.full(len(still), 4.0)], -1)
    found = measured(probe, made, np.tile(rate, (len(made.values), 1, 1)))
    own = rate[made.window]
    assert len(own) == 80
    freq = np.exp(-2j * np.pi * np.outer([1 / 40, 2 / 40], np.arange(80)))
    one, two = np.abs(freq @ own)
    for bar in probe.bars_px:
        np.testing.assert_allclose(found["f2_share", bar].value[:3], (two / (one + two))[:3], atol=1e-9)
        assert found["f2_share", bar].value[0] == pytest.approx(0, abs=1e-9)
        assert found["f2_share", bar].value[1] == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(found["f2_f1", bar].value[[0, 2]], (two / one)[[0, 2]], atol=1e-9)
        assert np.isnan(found["f2_f1", bar].value[[1, 3]]).all()
        assert np.isnan(found["f2_share", bar].value[3])


@pytest.mark.parametrize("clock", CLOCKS)
def test_steps_tell_on_from_off_and_transient_from_sustained(clock):
    own = CLOCK | clock
    probe = small("step")
    made = shown(probe, **clock)
    on, off = transient(3, 1.0), transient(3)
    held = lambda w: 1 + np.maximum(0, -w[:, -3].mean((1, 2)))  # noqa: E731
    rate = respond(made, own["history"], [on, off, held, lambda w: on(w) + off(w), lambda w: np.ones(len(w))])
    found = measured(probe, made, rate, **clock)
    for at in (-1.0, 1.0):
        sustained = -1 if at < 0 else np.nan  # brightness is not seen by that cell
        np.testing.assert_allclose(found["on_off", at].value, [1, -1, sustained, 0, np.nan], atol=1e-9)
    np.testing.assert_allclose(found["sustained", -1.0].value[1:4], [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(found["peak", -1.0].value[:4], [0, 1, 1, 1], atol=1e-9)


def test_a_cell_that_a_step_suppresses_has_no_sustained_response():
    probe = small("step")
    made = shown(probe)
    blip, bright = transient(3, 1.0), lambda w: w[:, -3].mean((1, 2))
    rate = respond(made, CLOCK["history"], [lambda w: 5 + 0.01 * blip(w) - 2 * np.maximum(0, bright(w))])
    found = measured(probe, made, rate)
    assert np.isnan(found["sustained", 1.0].value[0])


def test_paired_flashes_that_depress_recover_with_the_interval():
    probe = small("paired_flash")
    made = shown(probe)
    linear = lambda w: 5 - (w[:, :, 0, 0] * bump(12, 8)).sum(1)  # noqa: E731
    single = respond(made, 12, [linear, linear, lambda w: np.ones(len(w))])
    rate = single.copy()
    for k, interval in enumerate(probe.intervals_frames):
        second = single[k] - single[-1]
        rate[k, :, 1] = (single[-1] + (1 - np.exp(-interval / 6)) * second)[:, 1]
    found = measured(probe, made, rate)
    for interval in probe.intervals_frames:
        np.testing.assert_allclose(found["ratio", interval].value[:2], [1, 1 - np.exp(-interval / 6)], rtol=1e-6)
        assert np.isnan(found["ratio", interval].value[2])
    assert found["ratio_rank"].value[1] == 1


def test_polarity_reverses_where_the_preferred_flash_does():
    probe = small("polarity_reversal")
    made = shown(probe)
    middle = lambda w: w[:, -2, SHAPE[0] // 2, SHAPE[1] // 2]  # noqa: E731
    off, on = (lambda w: 2 + np.maximum(0, -middle(w))), (lambda w: 2 + np.maximum(0, middle(w)))
    rate = respond(made, 12, [off, on, off, lambda w: np.ones(len(w))])
    rate[3:, :, 2] = rate[3:, :, 1]  # OFF, and ON once the surround has shifted
    found = measured(probe, made, rate)
    np.testing.assert_allclose(found["polarity_still"].value, [-1, 1, -1, np.nan])
    np.testing.assert_allclose(found["polarity_shifted"].value, [-1, 1, 1, np.nan])
    np.testing.assert_allclose(found["polarity_change"].value, [0, 0, 2, np.nan])
    assert "reverses" not in found
    signs = np.where(np.arange(4000)[:, None] < [0, 2, 1000, 4000], -1.0, 1.0)
    found = measured(probe, made, rate, projection=signs)
    np.testing.assert_allclose(found["reversed_share"].value, [0, 0.0005, 0.25, 1])
    np.testing.assert_array_equal(found["reverses"].value, [0, 0, 1, 0])
    assert found["reverses"].of_mean == 0.25


def test_cells_that_want_different_motion_prefer_the_object():
    probe = small("object_motion")
    made = shown(probe)
    disc, around = (slice(None), slice(6, 8), slice(7, 9)), (slice(None), slice(0, 2), slice(None))

    def change(part):
        return lambda w: np.abs(w[:, -1][part] - w[:, -2][part]).mean((1, 2))

    centre, edge = change(disc), change(around)
    rate = respond(
        made,
        12,
        [
            lambda w: np.maximum(0, centre(w) - edge(w)),
            centre,
            lambda w: 3 + centre(w) + edge(w),
            lambda w: 1 + 0 * edge(w),
        ],
    )
    found = measured(probe, made, rate)
    assert np.isnan(found["differential_global"].value[0]) or found["differential_global"].value[0] > 5
    np.testing.assert_allclose(found["differential_global"].value[1], 1, rtol=1e-6)
    np.testing.assert_allclose(found["background_global"].value[1], 0, atol=1e-6)
    both = found["differential"].value[2] + found["background"].value[2]
    assert found["global"].value[2] == pytest.approx(both, rel=0.2)  # the largest rates need not be in one row
    assert np.isnan(found["global"].value[3])


@pytest.mark.parametrize("kind", SMALL)
def test_silent_cells_have_no_measure_and_noisy_ones_have_numbers(kind):
    probe = small(kind)
    made = shown(probe, (10, 16))
    rate = np.random.default_rng(5).gamma(2.0, 2.0, (len(made.values), made.rows, 5))
    rate[..., 3] = 1.7
    rate[..., 4] = np.nan
    kernels = np.random.default_rng(3).standard_normal((len(made.values), 5, 12, 10, 16), np.float32)
    kernels[:, 3:] = 0
    found = measured(probe, made, rate, **({"kernels": kernels} if kind == "contrast_adaptation" else {}))
    assert found
    for key, one in found.items():
        assert one.value.shape == (5,)
        if key != "periods" and "burst" not in key and "peak" not in key:
            assert np.isnan(one.value[3:]).all(), key
        assert isinstance(one.of_mean, float)
    assert any(np.isfinite(one.value[:3]).any() for one in found.values())
    before = rate.copy()
    again = measured(probe, made, rate, **({"kernels": kernels} if kind == "contrast_adaptation" else {}))
    np.testing.assert_array_equal(rate, before)
    assert list(again) == list(found)
