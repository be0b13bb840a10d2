"""Time, error and memory of the wavelet power, beside the published transform and four other packages.

    python benchmarks/wavelets.py [--seconds 60] [--channels 64] [--repeats 5] [--skip-recording]

Every row gives the same thing: 26 bands from 15 kHz to 2.6 Hz of 30 kHz signals, averaged over blocks of 1000 samples.
A package that is not installed is reported and left out (`pip install ssqueezepy fCWT`).
"""

# ruff: noqa: E402, PLC0415 - thread counts must be set before anything is imported, and peers may be absent
import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["SSQ_PARALLEL"] = "0"

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from scipy.signal import fftconvolve

from pellucid.preprocess.settings import Wavelets
from pellucid.preprocess.wavelet_bank import OMEGA0, scale_s
from pellucid.preprocess.wavelets import block_power, frequencies, row_times, rows, stream_block_power

RATE, WINDOW, BLOCK = 30_000.0, 100_000, 1000
BANDS = frequencies(RATE, WINDOW, Wavelets())
INSIDE = slice(20, 80)  # rows that the ends of a window do not reach, for bands above 10 Hz
Transform = Callable[[np.ndarray], np.ndarray]  # (sample,) to (frequency, row)


def best(work: Callable[[], object], repeats: int, windows: float = 1) -> np.ndarray:
    """Shortest of several times per window, after one run that is not counted: seconds by the clock and of the CPU."""
    work()
    times = []
    for _ in range(repeats):
        start = perf_counter(), process_time()
        work()
        times.append((perf_counter() - start[0], process_time() - start[1]))
    return np.min(times, axis=0) / windows


def block_means(wave: np.ndarray) -> np.ndarray:
    """Means of |wave|² over blocks, one band at a time."""
    return np.stack([(np.square(w.real) + np.square(w.imag)).reshape(-1, BLOCK).mean(axis=1) for w in wave])


def published(signal: np.ndarray) -> np.ndarray:
    """The released transform: every scale of the grid, convolved in time in float64; the lowest six are thrown away."""
    everything = frequencies(RATE, WINDOW, Wavelets(lowest_hz=1e-6))
    power = []
    for f in everything:
        s = scale_s(f) * RATE
        t = np.arange(-int(5 * s), int(5 * s) + 1) / s
        psi = np.pi**-0.25 * (np.exp(1j * OMEGA0 * t) - np.exp(-(OMEGA0**2) / 2)) * np.exp(-(t**2) / 2) / np.sqrt(s)
        power.append(np.abs(fftconvolve(signal - signal.mean(), psi, mode="same")) ** 2)
    return np.array(power)[everything > 2].reshape(len(BANDS), -1, BLOCK).mean(axis=-1)


def mne_package() -> Transform:
    """MNE: n_cycles is omega0 at the wavelet's centre; float64 and full rate is what it offers."""
    from mne.time_frequency import tfr_array_morlet

    centre = OMEGA0 / (2 * np.pi * np.array([scale_s(f) for f in BANDS]))

    def transform(signal: np.ndarray) -> np.ndarray:
        # it refuses wavelets longer than the signal, as those of the two lowest bands are
        padded = np.pad(signal.astype(np.float64), 8000)[None, None]
        power = tfr_array_morlet(
            padded, RATE, centre, n_cycles=OMEGA0, zero_mean=False, output="power", n_jobs=1, verbose="error"
        )
        return np.asarray(power[0, 0, :, 8000:-8000].reshape(len(BANDS), -1, BLOCK).mean(axis=-1))

    return transform


def pywavelets_package() -> Transform:
    """PyWavelets: the complex Morlet of bandwidth 2 and centre omega0/2π, float32."""
    import pywt

    wavelet = pywt.ContinuousWavelet(f"cmor2.0-{OMEGA0 / (2 * np.pi):.12f}", dtype=np.float32)
    wavelet.lower_bound, wavelet.upper_bound = -5, 5
    scales = np.array([scale_s(f) * RATE for f in BANDS])
    return lambda signal: block_means(pywt.cwt(signal, scales, wavelet, method="fft", precision=16)[0])


def ssqueezepy_package() -> Transform:
    """ssqueezepy: Morlet of mu = omega0, L2 norm, float32, one thread, its wavelets kept between calls."""
    import ssqueezepy

    wavelet = ssqueezepy.Wavelet(("morlet", {"mu": OMEGA0, "dtype": "float32"}))
    scales = np.array([scale_s(f) * RATE for f in BANDS], dtype=np.float32)
    return lambda signal: block_means(
        ssqueezepy.cwt(signal, wavelet, scales=scales, fs=RATE, l1_norm=False, padtype="zero", cache_wavelet=True)[0]
    )


def fcwt_package() -> Transform:
    """fCWT: float32, one thread, buffers kept between calls; its frequencies run down the same geometric grid."""
    import fcwt

    morlet = fcwt.Morlet(OMEGA0 / (2 * np.pi))
    engine = fcwt.FCWT(morlet, 1, False, True)
    centre = OMEGA0 / (2 * np.pi * np.array([scale_s(f) for f in BANDS]))
    scales = fcwt.Scales(morlet, fcwt.FCWT_LOGSCALES, int(RATE), float(centre[-1]), float(centre[0]), len(BANDS))
    wave = np.zeros((len(BANDS), WINDOW), dtype=np.complex64)

    def transform(signal: np.ndarray, keep: object = morlet) -> np.ndarray:  # the engine holds a bare pointer to it
        engine.cwt(signal, scales, wave)
        return block_means(wave)

    return transform


PACKAGES = {
    "MNE": mne_package,
    "PyWavelets": pywavelets_package,
    "ssqueezepy": ssqueezepy_package,
    "fCWT": fcwt_package,
}


def error(found: np.ndarray, truth: np.ndarray) -> tuple[float, str]:
    """Largest error over rows away from the ends, relative to each band's mean, after its best factor; and where.

    found, truth  (frequency, row); the two bands nearest Nyquist, where every package has its own idea, and those whose
    wavelets do not fit the window are left out
    """
    chosen = slice(2, 22)  # 7.5 kHz to 10.4 Hz
    a, b = found[chosen, INSIDE], truth[chosen, INSIDE]
    factor = (a * b).sum(axis=1) / (a * a).sum(axis=1)
    each = np.abs(a * factor[:, None] - b).max(axis=1) / b.mean(axis=1)
    worst = int(each.argmax())
    return float(each[worst]), f"{BANDS[chosen][worst]:.4g} Hz"


def compare_windows(repeats: int) -> None:
    """One table: seconds per channel-window of each implementation, its error and its distance from the published."""
    rng = np.random.default_rng(0)
    channels = 16
    signal = rng.standard_normal((WINDOW, channels)).astype(np.float32)
    truth = published(signal[:, 0].astype(np.float64))
    reference = best(lambda: published(signal[:, 0].astype(np.float64)), max(1, repeats // 3))
    line("published transform, float64, this process", reference, reference, None)
    settings = Wavelets(reference="none", edges="published")
    found = block_power(signal, RATE, settings)[..., 0].T
    long = rng.standard_normal((3_000_000, 16)).astype(np.float32)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        label = f"pellucid, {threads} thread{'s' * (threads > 1)}"
        time = best(lambda: block_power(signal, RATE, settings), repeats, channels)
        line(f"{label}, one window, {channels} channels", time, reference, error(found, truth))
        time = best(lambda: block_power(signal[:, :1], RATE, settings), repeats)
        line(f"{label}, one window, 1 channel", time, reference, None)
        time = best(lambda: block_power(long, RATE, Wavelets(reference="none")), max(1, repeats // 2), 16 * 30)
        line(f"{label}, 100 s, 16 channels, halos included", time, reference, None)
    torch.set_num_threads(1)
    print("(published windows overlap by half: over a recording that transform runs twice per window's length)")
    for name, package in PACKAGES.items():
        try:
            transform = package()
        except ImportError:
            print(f"{name:<48} not installed, skipped")
            continue
        power = transform(signal[:, 0].copy())
        time = best(lambda run=transform: run(signal[:, 0].copy()), max(1, repeats // 2))  # type: ignore[misc]
        line(f"{name}, 1 thread", time, reference, error(power, truth))


def line(name: str, seconds: np.ndarray, reference: np.ndarray, worst: tuple[float, str] | None) -> None:
    """Print one row of the table; seconds and reference are (clock, CPU)."""
    accuracy = "" if worst is None else f"{worst[0]:8.1e} at {worst[1]}"
    (clock, cpu), (clocks, cpus) = 1000 * seconds, reference / seconds
    print(f"{name:<56} {clock:8.2f} {cpu:8.2f} ms {clocks:7.1f}x {cpus:7.1f}x {1 / seconds[0]:7.1f}/s {accuracy}")


def record(folder: Path, seconds: int, channels: int) -> None:
    """A whole recording from an int16 file to a store, with the share of each part; run in a process of its own."""
    import xarray as xr

    from pellucid import store

    path, samples, settings = folder / "raw.dat", int(seconds * RATE), Wavelets()
    spent = {"reading": 0.0, "writing": 0.0}

    def read(start: int, stop: int) -> np.ndarray:
        begin = perf_counter()
        piece = np.fromfile(path, np.int16, (stop - start) * channels, offset=2 * start * channels)
        spent["reading"] += perf_counter() - begin
        return piece.reshape(-1, channels)

    bands = frequencies(RATE, samples, settings)
    coordinates = {
        "time": row_times(samples, RATE, settings),
        "frequency": ("frequency", bands, {"units": "Hz"}),
        "channel": np.arange(channels),
    }
    shape = (rows(samples, settings), len(bands), channels)
    power = xr.DataArray(store.placeholder(shape), coordinates, ("time", "frequency", "channel"), attrs={"units": "1"})
    template = xr.DataTree.from_dict({"/features": xr.Dataset({"power": power})})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, begin_cpu = perf_counter(), process_time()
    with store.Writer(folder / "out.zarr", template) as out:
        for piece in stream_block_power(read, samples, RATE, settings):
            start = perf_counter()
            out.append("/features/power", piece)
            spent["writing"] += perf_counter() - start
        closing = perf_counter()
    spent["writing"] += perf_counter() - closing
    total, cpu = perf_counter() - begin, process_time() - begin_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shares: dict[str, Any] = {**spent, "computing": total - sum(spent.values())}
    print(
        f"{channels} channels x {seconds} s at 30 kHz, 1 thread: {total:.1f} s, {seconds / total:.2f}x real time,",
        end=" ",
    )
    windows = samples / WINDOW * channels
    print(f"{1000 * total / windows:.2f} ms ({1000 * cpu / windows:.2f} ms CPU) per channel-window;", end=" ")
    print(", ".join(f"{name} {share / total:.1%}" for name, share in shares.items()), end="; ")
    print(f"peak memory {peak / 2**20:.2f} GiB, of which {before / 2**20:.2f} GiB before the first sample")


def whole_recording(seconds: int, channels: int) -> None:
    """Make the file, then run `record` in a process of its own, so that its peak memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        with (Path(folder) / "raw.dat").open("wb") as file:
            for _ in range(seconds):
                file.write(
                    (300 * rng.standard_normal((int(RATE), channels), dtype=np.float32)).astype(np.int16).tobytes()
                )
        subprocess.run(
            [sys.executable, __file__, "--record", folder, "--seconds", str(seconds), "--channels", str(channels)],
            check=True,
        )


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="length of the whole recording")
    parser.add_argument("--channels", type=int, default=64, help="channels of the whole recording")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions of which the shortest counts")
    parser.add_argument("--skip-recording", action="store_true", help="compare windows only")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.record:
        record(options.record, options.seconds, options.channels)
        return
    if not options.skip_recording:  # first: a process starts with the peak memory of the one that makes it
        whole_recording(options.seconds, options.channels)
    print(f"{'per window of 100 000 samples, 26 bands':<56} {'clock':>8} {'CPU':>8}", end="    ")
    print(f"{'ratio':>8} {'(CPU)':>8} {'windows':>9}  largest error")
    compare_windows(options.repeats)


if __name__ == "__main__":
    main()
