"""Wavelet power: its identities, two independent implementations, and signals whose power is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from published_transform import analytic_power, block_means, published_power, wavelet_power

from pellucid.errors import ConfigError, DataError
from pellucid.preprocess import wavelet_segments
from pellucid.preprocess.settings import Wavelets
from pellucid.preprocess.wavelet_bank import scale_s
from pellucid.preprocess.wavelets import (
    block_power,
    frequencies,
    row_times,
    rows,
    stream_block_power,
    support_s,
)

RATE = 30_000.0
DEVICES = [
    "cpu",
    *(["cuda"] if torch.cuda.is_available() else []),
    *(["mps"] if torch.backends.mps.is_available() else []),
]
PUBLISHED_HZ = """15000 10606.6 7500 5303.3 3750 2651.7 1875 1325.8 937.5 662.9 468.75 331.5 234.4 165.7 117.2 82.86
58.59 41.43 29.30 20.72 14.65 10.36 7.32 5.18 3.66 2.59"""
# The error allowed against another implementation, relative to the mean power of the band: block means of noise err by
# 3e-6 r.m.s. by design (wavelet_bank.ERROR), so 1e-4 is over 30 standard deviations.
EXACT = 1e-4


def noise(samples, channels, seed=0):
    return np.random.default_rng(seed).standard_normal((samples, channels)).astype(np.float32)


def assert_equal_power(found, truth, tolerance=EXACT):
    """Equal (row, frequency, channel) up to a share of the mean power of each band and channel."""
    error = np.abs(found - truth).max(axis=0) / truth.mean(axis=0)
    assert error.max() < tolerance, f"largest errors of the bands: {error.max(axis=1)}"


def small(**changes):
    """A 1 kHz set-up with 8 bands from 500 to 44 Hz, where a wavelet reaches at most 0.11 s."""
    return Wavelets(**{"reference": "none", "lowest_hz": 40.0, "block_samples": 50, **changes})


# Bands, rows and their times


def test_published_bands():
    bands = frequencies(RATE, 100_000, Wavelets())
    np.testing.assert_allclose(bands, 15_000 * 2 ** (-np.arange(26) / 2), rtol=1e-6)
    np.testing.assert_allclose(bands, [float(f) for f in PUBLISHED_HZ.split()], rtol=1e-3)  # printed to 3-4 digits
    assert len(frequencies(RATE, 100_000, Wavelets(dj=0.25))) == 52


@pytest.mark.parametrize("samples", [71_000, 73_073, 100_000])
def test_calcium_bands(samples):
    bands = frequencies(30.0, samples, Wavelets(lowest_hz=1 / 500, block_samples=1))
    assert len(bands) == 26
    assert bands[0] == 15
    assert bands[-1] == pytest.approx(0.0026, abs=5e-5)


def test_ecog_bands():
    assert len(frequencies(1000.0, 100_000, Wavelets(block_samples=50))) == 16


def test_bands_are_strictly_between_the_limits():
    np.testing.assert_allclose(frequencies(1000.0, 10_000, Wavelets(dj=1, lowest_hz=62.5, highest_hz=500)), [250, 125])


def test_explicit_bands():
    np.testing.assert_array_equal(frequencies(1000.0, 10_000, Wavelets(bands_hz=[100.0, 7.0])), [100, 7])


@pytest.mark.parametrize(("samples", "expected"), [(1000, 20), (1001, 21), (1049, 21), (50, 1)])
def test_every_sample_has_a_row(samples, expected):
    assert rows(samples, small()) == expected
    assert block_power(noise(samples, 1), 1000.0, small(bands_hz=[250.0])).shape == (expected, 1, 1)


def test_row_times():
    expected = {"start": [0, 0.05, 0.1], "centre": [0.025, 0.075, 0.11], "end": [0.05, 0.1, 0.12]}
    for align, times in expected.items():
        np.testing.assert_allclose(row_times(120, 1000.0, small(align=align)), times)


# Calibration


def test_white_noise_has_its_variance_in_every_band():
    signal = 3 * noise(10_000_000 // 4, 8)  # 667 s × channel: at 20 Hz some 5000 independent values, so 1.5 % s.d.
    settings = Wavelets(reference="none", lowest_hz=20, highest_hz=5400)
    power = block_power(signal, RATE, settings).mean(axis=(0, 2))
    np.testing.assert_allclose(power, 9.0, rtol=0.05)


def test_power_of_a_sine_grows_with_amplitude_squared_and_scale():
    bands = [200.0, 50.0]  # scales 1 : 4
    t = np.arange(20_000)[:, None] / 1000.0
    power = [
        block_power(a * np.sin(2 * np.pi * f * t), 1000.0, small(bands_hz=bands))[100:-100, i].mean()
        for i, (f, a) in enumerate([(200.0, 1.0), (50.0, 1.0)])
    ]
    assert power[1] / power[0] == pytest.approx(4, rel=1e-5)
    double = block_power(2 * np.sin(2 * np.pi * 200.0 * t), 1000.0, small(bands_hz=bands))[100:-100, 0].mean()
    assert double / power[0] == pytest.approx(4, rel=1e-5)  # float32
    s = scale_s(200.0)
    theory = np.sqrt(np.pi) / 2 * 1000.0 * s * np.exp(-((2 * np.pi * 200 * s - 6) ** 2))  # |A/2 √(s/dt) ψ̂(sω)|²
    assert power[0] == pytest.approx(theory, rel=1e-5)


def test_impulse_stays_where_it_is():
    signal = np.zeros((300_000, 1), dtype=np.float32)
    signal[150_500] = 1000
    power = block_power(signal, RATE, Wavelets(reference="none"))[..., 0]
    times = row_times(len(signal), RATE, Wavelets(align="centre"))
    centre = (power * times[:, None]).sum(axis=0) / power.sum(axis=0)
    np.testing.assert_allclose(centre, 150_500 / RATE, atol=1000 / RATE)
    assert power.min() >= 0


# Against independent implementations


def test_equals_the_published_transform_away_from_the_ends():
    signal = noise(400_000, 2)
    settings = Wavelets(reference="none", lowest_hz=5)
    found = block_power(signal, RATE, settings)
    bands = frequencies(RATE, len(signal), settings)
    truth = [[block_means(wavelet_power(c, RATE, f), 1000) for c in signal.T] for f in bands]
    inside = slice(30, -30)  # the lowest band, 5.2 Hz, reaches 0.93 s = 28 blocks
    assert_equal_power(found[inside], np.array(truth).transpose(2, 0, 1)[inside])


def test_equals_float64_in_the_frequency_domain():
    # mirrored ends: one period of the mirrored signal is what the circular reference sees
    signal = noise(60_000, 3, seed=1)
    mirrored = np.concatenate([signal, signal[-2:0:-1]])
    settings = small(nyquist="analytic", highest_hz=300)  # a band cut at Nyquist rings too far for the halo
    found = block_power(signal, 1000.0, settings)
    bands = frequencies(1000.0, len(signal), settings)
    truth = [[block_means(analytic_power(c, 1000.0, f)[: len(signal)], 50) for c in mirrored.T] for f in bands]
    assert_equal_power(found, np.array(truth).transpose(2, 0, 1))  # at every row, the first and last included


def test_published_edges_equal_the_published_windows():
    settings = small(edges="published", window_samples=4000, reference="common_average")
    signal = noise(11_700, 3) + np.array([0, 5, -3], dtype=np.float32)  # 4 windows of 4000, 1700 samples lost
    bands = frequencies(1000.0, len(signal), settings)
    found = block_power(signal, 1000.0, settings)
    truth = published_power(signal.astype(float), 1000.0, bands, block=50, window=4000)
    assert found.shape == truth.shape == (rows(len(signal), settings), len(bands), 3)
    assert_equal_power(found, truth)


def test_published_windows_at_the_published_size():
    settings = Wavelets(edges="published")
    signal = noise(200_000, 2)
    bands = frequencies(RATE, len(signal), settings)
    assert len(bands) == 26
    truth = published_power(signal.astype(float), RATE, bands, block=1000, window=100_000)
    assert_equal_power(block_power(signal, RATE, settings), truth)


def test_published_edges_transform_a_short_recording_as_a_whole():
    settings = small(edges="published", block_samples=1)
    signal = noise(3000, 1) + 10
    bands = frequencies(1000.0, len(signal), settings)
    truth = [[wavelet_power(c, 1000.0, f) for c in (signal - signal.mean()).T] for f in bands]
    assert_equal_power(block_power(signal, 1000.0, settings), np.array(truth).transpose(2, 0, 1))


def test_the_two_forms_differ_at_the_nyquist_band_only():
    signal = noise(1_200_000, 4)
    high = {"reference": "none", "lowest_hz": 1000}
    analytic, sampled = (
        block_power(signal, RATE, Wavelets(nyquist=n, **high)).mean(axis=(0, 2)) for n in ("analytic", "sampled")
    )
    difference = 1 - analytic / sampled
    assert difference[0] == pytest.approx(0.45, abs=0.01)
    assert np.abs(difference[1:]).max() < 0.0025


# Blocks


@pytest.mark.parametrize("block", [7, 50, 60, 97, 64])
@pytest.mark.parametrize("nyquist", ["analytic", "sampled"])
def test_rows_are_exact_means(block, nyquist):
    signal = noise(5003, 2)  # a multiple of none of them: the last block is partial
    # the analytic wavelet is bounded away from Nyquist only; at other block lengths segments end elsewhere
    settings = small(nyquist=nyquist, highest_hz=300 if nyquist == "analytic" else None)
    full = block_power(signal, 1000.0, settings.model_copy(update={"block_samples": 1}))
    found = block_power(signal, 1000.0, settings.model_copy(update={"block_samples": block}))
    truth = np.stack([full[at : at + block].mean(axis=0) for at in range(0, len(full), block)])
    assert_equal_power(found, truth)


def test_segments_do_not_show():
    signal = noise(1_000_000, 1)
    settings = Wavelets(reference="none")
    read = lambda start, stop: signal[start:stop]  # noqa: E731
    whole = np.concatenate(list(stream_block_power(read, len(signal), RATE, settings, segment_blocks=1000)))
    pieces = list(stream_block_power(read, len(signal), RATE, settings, segment_blocks=170))
    assert len(pieces) > 1
    found = np.concatenate(pieces)
    # segments of other lengths are summed from other values, which errs by ERROR; the halo lets in exp(-5²/2) = 4e-6
    assert_equal_power(found, whole, 1e-4)


def test_streaming_reads_bounded_pieces_in_order():
    asked, told = [], []

    def read(start, stop):
        asked.append((start, stop))
        return np.random.default_rng(start).standard_normal((stop - start, 3)).astype(np.float32)

    settings = small(block_samples=50)
    samples = 200_030
    pieces = list(
        stream_block_power(
            read, samples, 1000.0, settings, segment_blocks=100, progress=lambda *done: told.append(done)
        )
    )
    reach = support_s(frequencies(1000.0, samples, settings)[-1]) * 1000
    assert max(stop - start for start, stop in asked) < 2 * (100 * 50 + 2 * reach)
    assert all(0 <= start < stop <= samples for start, stop in asked)
    assert [start for start, _ in asked] == sorted(start for start, _ in asked)
    assert sum(len(piece) for piece in pieces) == rows(samples, settings) == 4001
    assert told[-1] == (4001, 4001)
    assert len(told) == len(pieces)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(
    "changes",
    [{}, {"reference": "common_average"}, {"causal": True}, {"edges": "published", "window_samples": 4000}],
    ids=["halo", "common average", "causal", "published"],
)
def test_chosen_rows_are_those_of_the_whole_bit_for_bit(changes, channels):
    settings, signal = small(**changes), noise(20_030, channels)

    def chosen(rows=None):
        pieces = stream_block_power(
            lambda start, stop: signal[start:stop], len(signal), 1000.0, settings, segment_blocks=37, rows=rows
        )
        return list(pieces)

    whole = np.concatenate(chosen())
    last = len(whole)
    for start, stop in [(0, last), (0, 1), (36, 38), (37, 74), (99, 100), (59, last), (last - 1, last)]:
        np.testing.assert_array_equal(np.concatenate(chosen((start, stop))), whole[start:stop])
    assert chosen((5, 5)) == []


def test_chosen_rows_read_only_the_segments_that_hold_them():
    asked, told = [], []

    def read(start, stop):
        asked.append((start, stop))
        return np.ones((stop - start, 2), np.float32)

    settings = small()
    samples = 200_030
    list(
        stream_block_power(
            read, samples, 1000.0, settings, segment_blocks=100, rows=(1890, 2010), progress=lambda *d: told.append(d)
        )
    )
    assert told == [(70, 120), (120, 120)]  # 41 segments of 98 rows: those that begin at rows 1862 and 1960
    reach = support_s(frequencies(1000.0, samples, settings)[-1]) * 1000
    assert min(start for start, _ in asked[1:]) > 1800 * 50 - 2 * reach
    assert max(stop for _, stop in asked[1:]) < 2100 * 50 + 2 * reach


@pytest.mark.parametrize("rows", [(-1, 3), (0, 402), (7, 3)])
def test_rows_that_there_are_not_are_refused(rows):
    with pytest.raises(DataError, match=r"rows: expected a range within \[0, 401\), found \[-?\d+, \d+\)"):
        stream_block_power(lambda a, b: noise(b - a, 1), 20_030, 1000.0, small(), rows=rows)


def test_a_recording_shorter_than_its_halo():
    settings = small(bands_hz=[5.0])  # reaches 0.97 s
    signal = noise(120, 1)
    period = np.concatenate([signal, signal[-2:0:-1]])[:, 0]
    truth = block_means(analytic_power(np.tile(period, 20), 1000.0, 5.0)[:120], 50)
    np.testing.assert_allclose(block_power(signal, 1000.0, settings)[:, 0, 0], truth, rtol=1e-3)


@pytest.mark.parametrize(("gain", "tolerance"), [(1, 1e-5), (100, 1e-3)])
def test_a_row_knows_nothing_of_later_samples(gain, tolerance):
    settings = small(causal=True)
    signal = noise(20_000, 1)
    changed = signal.copy()
    changed[10_000:] = gain * noise(10_000, 1, seed=1)  # power grows gain²-fold, and float32 rounding with it
    before, after = (block_power(x, 1000.0, settings)[..., 0] for x in (signal, changed))
    assert (np.abs(after - before)[:200] / before.mean(axis=0)).max() < tolerance
    assert np.abs(after / before - 1)[202:].max() > 0.5


def test_causal_power_is_late_by_its_reach():
    bands = [support_s(1.0) / delay for delay in (0.05, 0.1)]  # supports of 50 and 100 samples, and M = 1 needs no more
    np.testing.assert_allclose([support_s(f) for f in bands], [0.05, 0.1])
    signal = noise(20_000, 1)
    plain, causal = (
        block_power(signal, 1000.0, small(block_samples=1, bands_hz=bands, causal=causal)) for causal in (False, True)
    )
    for i, late in enumerate((50, 100)):
        assert_equal_power(causal[late:, i : i + 1], plain[:-late, i : i + 1])


@pytest.mark.parametrize("changes", [{"edges": "published"}, {"nyquist": "analytic"}])
def test_what_cannot_be_causal(changes):
    with pytest.raises(ConfigError, match="edges: halo and nyquist: sampled"):
        block_power(noise(5000, 1), 1000.0, small(causal=True, **changes))


# Channels, types and devices


@pytest.mark.parametrize("channels", [1, 3, 17])
def test_channels_are_independent(channels):
    signal = noise(70_000, channels)
    together = block_power(signal, 1000.0, small())
    alone = [block_power(signal[:, c : c + 1], 1000.0, small()) for c in range(channels)]
    np.testing.assert_allclose(
        together, np.concatenate(alone, axis=2), rtol=1e-4, atol=1e-6
    )  # float32, other FFT order


def test_batches_of_channels_do_not_show(monkeypatch):
    signal = noise(5000, 5)
    together = block_power(signal, 1000.0, small(reference="common_average"))
    monkeypatch.setitem(wavelet_segments.BATCH_SAMPLES, "cpu", 1)
    monkeypatch.setattr(wavelet_segments, "LEAST_BATCH", 1)
    wavelet_segments.segment_bank.cache_clear()
    np.testing.assert_allclose(
        block_power(signal, 1000.0, small(reference="common_average")), together, rtol=1e-4, atol=1e-6
    )


def test_common_average_is_subtracted_sample_by_sample():
    signal = noise(5000, 3) + 20 * noise(5000, 1, seed=1)
    referenced = block_power(signal, 1000.0, small(reference="common_average"))
    by_hand = block_power(signal - signal.mean(axis=1, keepdims=True), 1000.0, small())
    assert_equal_power(referenced, by_hand, 1e-5)  # float32


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("reference", ["none", "common_average"])
def test_types_of_samples(dtype, reference):
    signal = np.round(200 * noise(5000, 3)) + 1000
    truth = block_power(signal, 1000.0, small(reference=reference))
    assert_equal_power(block_power(signal.astype(dtype), 1000.0, small(reference=reference)), truth, 1e-5)  # float32


def test_a_large_offset_costs_no_accuracy():
    signal = noise(5000, 2).astype(np.float64)
    assert_equal_power(block_power(signal + 1e6, 1000.0, small()), block_power(signal, 1000.0, small()), 1e-5)


def test_a_dead_channel_has_no_power():
    signal = noise(5000, 2)
    signal[:, 1] = 12_345.678
    power = block_power(signal, 1000.0, small())
    assert np.all(power[..., 1] == 0)
    assert np.isfinite(block_power(signal, 1000.0, small(reference="common_average"))).all()


def test_threads_share_the_channels_and_are_left_as_they_were():
    signal = noise(5000, 20)
    before = torch.get_num_threads()
    alone = block_power(signal, 1000.0, small())
    try:
        torch.set_num_threads(3)
        shared = block_power(signal, 1000.0, small())
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(shared, alone, rtol=1e-4, atol=1e-6)  # float32, batches of another size


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device):
    signal = noise(20_000, 3)
    found = block_power(signal, 1000.0, small(nyquist="sampled"), device=device)
    assert_equal_power(found, block_power(signal, 1000.0, small(nyquist="sampled")), 1e-5)  # float32


@hypothesis_settings(max_examples=15, deadline=None)
@given(gain=st.floats(0.01, 100), blocks=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_scaling_and_shift(gain, blocks, seed):
    signal = noise(6000, 1, seed)
    power = block_power(signal, 1000.0, small())
    moved = block_power((gain * signal)[50 * blocks :], 1000.0, small())
    assert_equal_power(moved[3:] / np.float32(gain) ** 2, power[blocks + 3 :])  # 3 rows, 0.15 s, see the moved end


# Refusals


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("reference", ["none", "common_average"])
def test_gaps_are_refused_by_name(value, reference):
    signal = noise(5000, 3)
    signal[[10, 20], [2, 0]] = value
    with pytest.raises(DataError, match=r"channel 2, time 0\.01 s.*Interpolate"):
        block_power(signal, 1000.0, small(reference=reference))


@pytest.mark.parametrize(
    ("signal", "rate_hz", "changes", "message"),
    [
        (np.zeros(5000), 1000.0, {}, "two axes"),
        (np.zeros((5000, 1, 1)), 1000.0, {}, "two axes"),
        (np.zeros((5000, 0)), 1000.0, {}, "real samples"),
        (np.zeros((5000, 1), dtype=complex), 1000.0, {}, "real samples"),
        (np.zeros((49, 1)), 1000.0, {}, "at least 50 samples"),
        (np.zeros((5000, 1)), 0.0, {}, "positive"),
        (np.zeros((5000, 1)), np.nan, {}, "positive"),
        (np.zeros((5000, 1)), 1000.0, {"bands_hz": [501.0, 10.0]}, "half the sampling rate, 500 Hz, found 501 Hz"),
        (np.zeros((5000, 1)), 1000.0, {"bands_hz": [10.0, -1.0]}, "above 0"),
        (np.zeros((5000, 1)), 1000.0, {"lowest_hz": 600.0}, "at least one band"),
        (np.zeros((5000, 1)), 1000.0, {"edges": "published", "window_samples": 4100}, "whole blocks"),
    ],
)
def test_unusable_signals_are_refused(signal, rate_hz, changes, message):
    with pytest.raises(DataError, match=message):
        block_power(signal, rate_hz, small(**changes))


@pytest.mark.parametrize("channels", [3, 12, 13])
def test_any_number_of_threads_gives_the_same_bits(channels):
    before, signal = torch.get_num_threads(), noise(70_000, channels)
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(block_power(signal, RATE, Wavelets(lowest_hz=20)).tobytes())
    finally:
        torch.set_num_threads(before)
    assert len(set(found)) == 1
