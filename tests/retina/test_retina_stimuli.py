"""Probe stimuli: counts, timing, areas and positions, at published and at other scales."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pydantic import ValidationError
from retina_probes import CLOCK, SHAPE, SMALL, settings, shown, small, windows

from pellucid.errors import ConfigError
from pellucid.systems.retina.attribute.phenomena import stimuli

NATIVE = {"history": 40, "lag": 1, "rate_hz": 100.0, "shape": (50, 50)}


def onsets(course):
    """Frames in which a flash begins."""
    lit = np.concatenate([[False], course != 0])
    return np.flatnonzero(lit[1:] & ~lit[:-1])


def centroid(image):
    """Place of a bar, px from the middle of its row of pixels."""
    return (image * (np.arange(image.shape[-1]) + 0.5)).sum(-1) / image.sum(-1) - image.shape[-1] / 2


def test_flashes_before_the_omission_are_as_many_as_published():
    made = shown(settings("omitted"), **NATIVE)
    assert [len(onsets(one)) for one in made.frames] == [15, 12, 9, 8, 5]
    assert all(len(one) == 140 for one in made.frames)
    for period, one in zip(made.values, made.frames):
        assert onsets(one)[-1] == 89
        assert one[89] == one[90] == -2
        assert set(np.diff(onsets(one))) == {period}
        newest = windows(one, 40)[:, -1, 0, 0]  # of output i
        assert newest[50] == -2
        assert newest[49] == 0
        assert not newest[52:].any()
        assert int(50 + period) < made.rows


@pytest.mark.parametrize(("history", "lag", "rate_hz"), [(12, 1, 100.0), (25, 0, 60.0), (40, 3, 30.0)])
def test_the_last_flash_is_newest_in_its_row_whatever_the_history(history, lag, rate_hz):
    made = shown(settings("omitted", flashes=3), history=history, lag=lag, rate_hz=rate_hz)
    assert made.rows == 101
    np.testing.assert_allclose(made.time_s[50], lag / rate_hz)
    for one, newest in zip(made.frames, made.shown):
        assert len(onsets(one)) == 3
        assert onsets(newest)[-1] == 50
        assert onsets(one)[-1] == history - 1 + 50


def test_noise_on_flashes_has_its_size_and_a_stream_for_each_period():
    plain, noisy = settings("omitted"), settings("omitted", noise_sd=0.2)
    added = [b - a for a, b in zip(shown(plain, **NATIVE).frames, shown(noisy, **NATIVE, seed=3).frames)]
    assert np.std(added) == pytest.approx(0.2, rel=0.1)  # 700 draws: s.d. of the s.d. is 3 %
    alone = shown(settings("omitted", noise_sd=0.2, periods_frames=[10]), **NATIVE, seed=3)
    np.testing.assert_array_equal(alone.frames[0] - shown(plain, **NATIVE).frames[2], added[2])


def test_published_counts_of_the_other_stimuli():
    steps, flashes = shown(settings("latency_steps"), **NATIVE), shown(settings("latency_flashes"), **NATIVE)
    assert (len(steps.frames), len(steps.frames[0])) == (40, 80)
    np.testing.assert_allclose(np.abs(steps.values), np.arange(0, 1.96, 0.05), atol=1e-12)
    assert onsets(steps.frames[1])[0] == onsets(flashes.frames[1])[0] == 40
    assert (len(flashes.frames), len(flashes.frames[0])) == (21, 70)
    assert [np.count_nonzero(one) for one in flashes.frames[1:]] == [2] * 20
    np.testing.assert_allclose(flashes.values, np.linspace(0, -3, 21), atol=1e-12)
    step = shown(settings("step"), **NATIVE)
    assert len(step.frames[0]) == 200
    assert onsets(step.frames[0])[0] == 50
    assert np.count_nonzero(step.frames[0]) == 100
    paired = shown(settings("paired_flash"), **NATIVE)
    assert len(paired.frames) == 19
    assert {len(one) for one in paired.frames} == {100}
    np.testing.assert_array_equal(onsets(paired.frames[3]), [40, 46])  # an interval of 5 grey frames
    np.testing.assert_array_equal(onsets(paired.frames[18]), [40])
    assert len(shown(settings("reversing_grating"), **NATIVE).frames[0]) == 300
    assert shown(settings("reversal"), **NATIVE).rows == 210
    noise = shown(settings("contrast_adaptation", space="full_field"), **NATIVE)
    assert len(noise.frames[0]) == 200 + 9040


def test_a_slow_sweep_of_the_image_has_751_positions():
    made = shown(settings("anticipation"), **NATIVE)
    assert made.frames[0].shape == (751, 50)
    assert made.rows == 712
    assert made.labels[:2] == ("rightward", "leftward")
    assert len(made.frames) == 2 + 3  # 51 flashed bars fill three sweeps
    np.testing.assert_allclose(made.shown[0], -30 + 0.08 * np.arange(39, 751), atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "over", "columns"),
    [
        ("anticipation", {}, 50),
        ("anticipation", {"speed_px": 0.176, "width_px": 4}, 37),
        ("reversal", {}, 50),
        ("reversal", {"speed_px": 0.14, "width_px": 3, "flips_px": [-2.3, 4]}, 41),
    ],
)
def test_the_centroid_of_a_bar_advances_by_exactly_the_speed(kind, over, columns):
    probe = settings(kind, **over)
    made = shown(probe, **(NATIVE | {"shape": (20, columns)}))
    for k in (0, 1, len(made.frames) - 1):
        image, place = made.frames[k][39:], made.shown[k]
        inside = np.abs(place) <= columns / 2 - probe.width_px / 2
        np.testing.assert_allclose(image[inside].sum(-1), -probe.width_px, rtol=1e-6)
        if kind == "anticipation" and k > 1:
            continue
        # float32 coverage of a few pixels: errors of 1e-7 px
        np.testing.assert_allclose(centroid(image[inside].astype(float)), place[inside], atol=1e-6)
        steps = np.diff(place)
        np.testing.assert_allclose(np.abs(steps), probe.speed_px, atol=1e-9)


@given(
    st.floats(-20, 20),
    st.integers(1, 7),
    st.integers(8, 33),
    st.floats(-4, 4).filter(lambda c: abs(c) > 0.01),
)
def test_a_bar_covers_its_area_wherever_it_lies(position, width, columns, contrast):
    image = stimuli.bar(np.array([position]), width, columns, contrast)[0].astype(float) / contrast
    left, right = columns / 2 + position - width / 2, columns / 2 + position + width / 2
    covered = max(0.0, min(right, columns) - max(left, 0.0))
    assert image.sum() == pytest.approx(covered, abs=1e-5)
    assert image.min() >= 0
    assert image.max() <= 1 + 1e-6
    if left >= 0 and right <= columns:
        assert centroid(image) == pytest.approx(position, abs=1e-6)


@given(st.floats(-30, 30), st.integers(1, 6), st.sampled_from(["square", "sine"]))
def test_a_grating_is_the_mean_over_each_pixel(shift, bar, waveform):
    found = stimuli.grating(shift, bar, 9, 1.0, waveform)
    fine = (np.arange(9 * 2000) + 0.5) / 2000 - shift
    wave = np.sin(np.pi * fine / bar)
    wave = np.where(wave >= 0, 1, -1) if waveform == "square" else wave
    np.testing.assert_allclose(found, wave.reshape(9, 2000).mean(1), atol=2e-3)  # 2000 points: an edge is 1/1000


def test_a_disc_has_its_area_and_its_place():
    made = stimuli.disc((31, 23), (12.0, 9.5), 6.0)
    assert made.sum() == pytest.approx(np.pi * 36, rel=0.01)  # 16 x 16 points per pixel
    rows, columns = np.mgrid[:31, :23]
    assert (made * rows).sum() / made.sum() == pytest.approx(12.0, abs=1e-3)
    assert (made * columns).sum() / made.sum() == pytest.approx(9.5, abs=1e-3)
    np.testing.assert_allclose(stimuli.disc((9, 9), None, 2.5), stimuli.disc((9, 9), (4, 4), 2.5))


def test_held_noise_is_held_and_longer_noise_begins_alike():
    one, two = (stimuli.noise(np.random.default_rng(1), n, (3, 5), 3) for n in (40, 90))
    np.testing.assert_array_equal(one, two[:40])
    np.testing.assert_array_equal(two[0::3], two[2::3])
    assert two.std() == pytest.approx(1, abs=0.1)  # 450 draws


def test_flashed_bars_are_all_shown_and_no_window_sees_two():
    probe = small("anticipation")
    made = shown(probe)
    places = []
    for k in made.control:
        own = made.frames[k]
        for window in windows(own, 12)[:, :, 0]:
            lit = onsets(window.any(-1).astype(int))
            assert len(lit) <= 1
        starts = onsets(own.any(-1).astype(int))
        places += [float(np.round(centroid(own[s : s + 1])[0], 5)) for s in starts]
        assert starts[0] == 11
    np.testing.assert_allclose(places, np.arange(-7, 8))


def test_a_turn_and_a_sweep_are_the_same_until_the_turn():
    probe = small("reversal", scales=[1.0, 2.0])
    made = shown(probe)
    each, flip = len(made.frames) // 2, 11 + probe.before_rows
    assert made.control == tuple(range(each, 2 * each))
    for k in range(each):
        np.testing.assert_array_equal(made.frames[k][: flip + 1], made.frames[each + k][: flip + 1])
        np.testing.assert_allclose(made.frames[k][flip:], made.frames[k][flip - 30 + 1 : flip + 1][::-1], atol=1e-6)
        assert made.shown[k].max() == pytest.approx(made.values[k])
    np.testing.assert_allclose(made.frames[5], 2 * made.frames[0], atol=1e-6)


def test_an_object_moves_alone_with_all_or_not():
    probe = small("object_motion", centre_px=(6, 5))
    made = shown(probe)
    inside = stimuli.disc(SHAPE, (6, 5), 3.0)
    differential, both, around = (made.frames[k * probe.phases] for k in range(3))
    out, core = inside == 0, inside == 1
    assert not np.ptp(differential[:, out], axis=0).any()
    assert not np.ptp(around[:, core], axis=0).any()
    np.testing.assert_array_equal(differential[:, core], both[:, core])
    np.testing.assert_array_equal(around[:, out], both[:, out])
    np.testing.assert_allclose(both[-1][:, 3:], both[0][:, :-3], atol=1e-6)  # shifted by 3 px, rigidly
    event = 11 + probe.before_rows
    assert np.abs(both[event] - both[event - 1]).max() > 0
    assert not np.abs(np.diff(both[:event], axis=0)).any()
    assert not np.abs(np.diff(both[event + 7 - 1 :], axis=0)).any()


def test_a_surround_shifts_as_the_disc_flashes():
    probe = small("polarity_reversal")
    made = shown(probe)
    event = 11 + probe.before_rows
    inside = stimuli.disc(SHAPE, None, 3.0)
    dark, none, bright = made.frames[3:]
    np.testing.assert_allclose(bright + dark, 2 * none, atol=1e-6)
    np.testing.assert_allclose(none[event][inside == 0], -none[event - 1][inside == 0], atol=1e-6)
    assert (bright[event : event + 4, 7, 8] == 1).all()
    assert not none[:, 7, 8].any()
    assert not np.ptp(made.frames[1], axis=0).any()


def test_noise_differs_only_in_contrast_and_the_filter_sees_new_frames():
    probe = settings("contrast_adaptation", filter_frames=60, frames=300)
    made = shown(probe)
    np.testing.assert_allclose(made.frames[3], 4 * made.frames[0], rtol=1e-6)
    changed = np.abs(np.diff(made.frames[1], axis=0)).max((1, 2)) > 0
    assert changed[:60].all()
    np.testing.assert_array_equal(np.flatnonzero(changed[60:])[:3], [2, 5, 8])
    assert made.window == slice(0, 49)
    np.testing.assert_array_equal(made.shown[2], made.frames[2][11:, SHAPE[0] // 2, SHAPE[1] // 2])


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize(
    ("clock", "shape"), [({}, SHAPE), ({"history": 17, "lag": 0, "rate_hz": 75.0}, (11, 23)), ({"lag": 2}, (20, 12))]
)
def test_conditions_have_one_length_and_the_fewest_axes(kind, clock, shape):
    probe = small(kind)
    made = shown(probe, shape, **clock)
    history = (CLOCK | clock)["history"]
    axes = {
        "anticipation": 2, "reversal": 2, "reversing_grating": 2, "contrast_adaptation": 3, "polarity_reversal": 3,
        "object_motion": 3,
    }.get(kind, 1)  # fmt: skip
    for own in made.frames:
        assert own.dtype == np.float32
        assert own.shape == ((made.rows + history - 1), *{1: (), 2: shape[1:], 3: shape}[axes])
    assert made.shown.shape == (len(made.values), made.rows)
    assert len(made.labels) == len(set(made.labels)) == len(made.values) == len(made.frames)
    assert 0 <= made.window.start < made.window.stop <= made.rows
    np.testing.assert_allclose(np.diff(made.time_s), 1 / (CLOCK | clock)["rate_hz"])
    again = shown(probe, shape, **clock)
    for one, two in zip(made.frames, again.frames):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("probe", "clock"),
    [
        (settings("anticipation", speed_px=3.0), {}),
        (settings("latency_flashes"), {"rate_hz": 500.0}),
        (settings("reversing_grating", frames=100), {}),
        (settings("contrast_adaptation", filter_frames=8), {}),
    ],
)
def test_stimuli_that_do_not_fit_are_refused(probe, clock):
    with pytest.raises(ConfigError, match=probe.kind):
        shown(probe, **clock)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "omitted", "periods_frames": [8, 6]},
        {"kind": "omitted", "periods_frames": [30]},
        {"kind": "omitted", "period_frames": [8]},
        {"kind": "paired_flash", "intervals_frames": [70]},
        {"kind": "latency_flashes", "mass_s": 0.3},
        {"kind": "anticipation", "flashes_px": [5, -5]},
        {"kind": "anticipation", "width_px": 1.5},
        {"kind": "flicker"},
    ],
)
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)
