"""Tetrodes over CA1: place units, interneurons and theta in white noise, written block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.systems.deepinsight.simulate import behaviours, formats
from pellucid.systems.deepinsight.simulate.behaviours import STEP_S, Run
from pellucid.systems.deepinsight.simulate.settings import Format, Replay, Spikes

CHANNELS = 4
"""Channels of a tetrode."""

WEIGHTS = np.array([1.0, 0.4, 0.2, 0.4])
"""Height of a waveform on the loudest channel of its tetrode and on the following ones, in turn."""

BIT_UV = 0.195
"""Resolution of an Intan amplifier, in uV."""

PLACE_S, INTERNEURON_S = 0.177e-3, 0.0563e-3
"""Width sigma of the waveforms, whose spectra peak at 0.9 and 4 kHz."""

TUNED = {"place": "position", "interneuron": "head_direction"}
"""Class of a unit -> the behaviour its rate follows."""

BLOCK = 1 << 18
"""Samples of all channels held at once."""


@dataclass(frozen=True)
class Unit:
    """One simulated cell.

    centre   of its place field in m, or its preferred heading in rad
    channel  the loudest one, counted over all tetrodes
    samples  (spike,) numbers of the samples its spikes are centred on
    """

    name: str
    kind: str
    centre: float
    channel: int
    samples: np.ndarray

    @property
    def tetrode(self) -> int:
        """Number of its tetrode."""
        return self.channel // CHANNELS

    @property
    def weights(self) -> np.ndarray:
        """Height of its waveform on the channels of its tetrode, shape (channel,)."""
        return np.roll(WEIGHTS, self.channel % CHANNELS)


def simulate(settings: Spikes, seed: int, form: Format, folder: Path) -> None:
    """Write one recording in a raw format, and truth.zarr."""
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)]
    run = behaviours.run(settings, streams[0])
    units = sorted_units(settings, run, streams[1])
    samples = round(settings.duration_s * settings.rate_hz)
    seen = np.round(np.arange(int(settings.duration_s * settings.behaviour_rate_hz)) / settings.behaviour_rate_hz, 9)
    at = np.minimum(np.round(seen / STEP_S).astype(int), len(run.position) - 1)
    position, heading = run.position[at], run.heading[at]
    led = formats.Trace(behaviours.leds(position, heading, settings.track_m), "cm", ("x1", "y1", "x2", "y2"))
    raw = formats.Raw(
        blocks=signal(settings, run, units, streams[2]),
        samples=samples,
        rate_hz=settings.rate_hz,
        scale_uv=BIT_UV,
        channels=[f"ch{index}" for index in range(CHANNELS * settings.tetrodes)],
        groups=[f"tetrode{index // CHANNELS}" for index in range(CHANNELS * settings.tetrodes)],
        behaviour={
            "position": formats.Trace(position, "m"),
            "head_direction": formats.Trace(heading, "rad"),
            "speed": formats.Trace(run.speed[at], "m/s"),
            "led": led,
        },
        behaviour_rate_hz=settings.behaviour_rate_hz,
        spikes={unit.name: unit.samples / settings.rate_hz for unit in units},
        unit_class={unit.name: unit.kind for unit in units},
        unit_group={unit.name: f"tetrode{unit.tetrode}" for unit in units},
    )
    formats.write(raw, form, folder)
    store.write(folder / "truth.zarr", truth(settings, run, units))


def waveform(kind: str, rate_hz: float) -> np.ndarray:
    """Return the waveform of a class, shape (time,), its largest value 1 and its middle sample at the spike.

    place        -(t/s) exp(1/2 - t²/2s²), 1 ms long and biphasic
    interneuron  (1 - t²/s²) exp(-t²/2s²), 0.4 ms long
    """
    sigma = PLACE_S if kind == "place" else INTERNEURON_S
    half = int(np.ceil(5 * sigma * rate_hz))
    t = np.arange(-half, half + 1) / rate_hz / sigma
    return np.asarray(-t * np.exp((1 - t**2) / 2) if kind == "place" else (1 - t**2) * np.exp(-(t**2) / 2))


def half_power(kind: str, rate_hz: float) -> tuple[float, float, float]:
    """Return peak, lower and upper end in Hz of the band in which a waveform has half of its largest power."""
    count = 1 << 16
    power = np.abs(np.fft.rfft(waveform(kind, rate_hz), count)) ** 2
    hertz = np.fft.rfftfreq(count, 1 / rate_hz)
    inside = hertz[power >= power.max() / 2]
    return float(hertz[np.argmax(power)]), float(inside[0]), float(inside[-1])


def sorted_units(settings: Spikes, run: Run, generator: np.random.Generator) -> list[Unit]:
    """Return the units with their spikes: place units on all tetrodes but the last, interneurons on all but the first.

    Fields are spread evenly over the track, preferred headings over the circle. The Poisson rates are
    g r exp(-d²/2s²) at distance d along the track, and r (1 + m cos(heading - preferred)).
    """
    units = []
    for kind, count in (("place", settings.place_units), ("interneuron", settings.interneurons)):
        for index in range(count):
            tetrode = index % (settings.tetrodes - 1) + (kind == "interneuron")
            channel = CHANNELS * tetrode + index // (settings.tetrodes - 1) % CHANNELS
            if kind == "place":
                centre = (index + 0.5) / count * settings.track_m
                away = (run.represented - centre + settings.track_m / 2) % settings.track_m - settings.track_m / 2
                rate = settings.place_hz * np.exp(-((away / settings.field_share / settings.track_m) ** 2) / 2)
                rate = rate * run.gain
            else:
                centre = 2 * np.pi * index / count
                rate = settings.interneuron_hz * (1 + settings.modulation * np.cos(run.heading - centre))
            name = f"{kind}{index}"
            units.append(Unit(name, kind, centre, channel, _poisson(rate, settings.rate_hz, generator)))
    return units


def signal(
    settings: Spikes, run: Run, units: list[Unit], generator: np.random.Generator, block: int = BLOCK
) -> Iterator[np.ndarray]:
    """Yield the samples, (time, channel) int16 in steps of BIT_UV, the same whatever the length of a block."""
    channels = CHANNELS * settings.tetrodes
    samples = round(settings.duration_s * settings.rate_hz)
    waveforms = {kind: _height(settings, kind) * waveform(kind, settings.rate_hz) for kind in TUNED}
    for start in range(0, samples, block):
        stop = min(start + block, samples)
        part = generator.standard_normal((stop - start, channels), dtype=np.float32)
        part *= np.float32(settings.noise_uv)
        part += _oscillations(settings, run, np.arange(start, stop) / settings.rate_hz)
        for unit in units:
            _add(part, start, unit, waveforms[unit.kind])
        yield np.clip(np.round(part / np.float32(BIT_UV)), -32768, 32767).astype("<i2")


def truth(settings: Spikes, run: Run, units: list[Unit]) -> xr.DataTree:
    """Return bands and channels that carry each behaviour, the units, and the ripples where there are any."""
    peaks = {kind: half_power(kind, settings.rate_hz) for kind in TUNED}
    theta = settings.theta_hz * 2.0 ** np.array([0, -0.25, 0.25])  # the band of a grid of half octaves that holds it
    bands = np.array([peaks["place"], peaks["interneuron"], theta])
    tetrodes = np.arange(CHANNELS * settings.tetrodes) // CHANNELS
    carries = np.ones((len(tetrodes), 3), bool)
    for column, kind in enumerate(TUNED):
        carries[:, column] = np.isin(tetrodes, [unit.tetrode for unit in units if unit.kind == kind])
    hertz = {"units": "Hz"}
    known = xr.Dataset(
        {
            "band_hz": ("output", bands[:, 0], hertz),
            "band_low_hz": ("output", bands[:, 1], hertz),
            "band_high_hz": ("output", bands[:, 2], hertz),
            "carries": (("channel", "output"), carries),
        },
        coords={"output": np.array([*TUNED.values(), "speed"], object)},
        attrs={"informative": 1},
    )
    groups = {"/truth": known, "/units": _known_units(units, bands[:2])}
    if len(run.ripples):
        replayed = {"start": ("event", run.ripples[:, 0], {"units": "s"})}
        replayed["stop"] = ("event", run.ripples[:, 1], {"units": "s"})
        groups["/ripples"] = xr.Dataset(replayed)
    return xr.DataTree.from_dict(groups)


def _known_units(units: list[Unit], bands: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {
            "unit_class": ("neuron", np.array([unit.kind for unit in units], object)),
            "tuned": ("neuron", np.array([TUNED[unit.kind] for unit in units], object)),
            "unit_group": ("neuron", np.array([f"tetrode{unit.tetrode}" for unit in units], object)),
            "centre": ("neuron", np.array([unit.centre for unit in units]), {"units": "m or rad"}),
            "bands_low_hz": ("feature", bands[:, 1], {"units": "Hz"}),
            "bands_high_hz": ("feature", bands[:, 2], {"units": "Hz"}),
        },
        coords={
            "neuron": np.array([unit.name for unit in units], object),
            "feature": np.array(list(TUNED), object),
        },
    )


def _height(settings: Spikes, kind: str) -> float:
    return settings.place_uv if kind == "place" else settings.interneuron_uv


def _poisson(rate_hz: np.ndarray, sampling_hz: float, generator: np.random.Generator) -> np.ndarray:
    """Return the samples of the spikes of a rate on the grid of STEP_S, at most one in a step, shape (spike,)."""
    fired = np.flatnonzero(generator.random(len(rate_hz)) < -np.expm1(-rate_hz * STEP_S))
    within = round(STEP_S * sampling_hz)
    return np.asarray(fired * within + generator.integers(0, within, len(fired)))


def _oscillations(settings: Spikes, run: Run, times: np.ndarray) -> np.ndarray:
    """Return theta, and ripples where there are any, (time, channel) float32 in uV.

    Phases are spread evenly over the tetrodes, so that the mean over channels holds neither.
    """
    phase = 2 * np.pi * (np.arange(CHANNELS * settings.tetrodes) // CHANNELS) / settings.tetrodes
    amplitude = settings.theta_uv / settings.speed_m_s * np.interp(times, run.times, run.speed)
    wave = carrier(amplitude, settings.theta_hz, times, phase)
    if isinstance(settings, Replay):
        for start, stop in run.ripples:
            near = slice(*np.searchsorted(times, [start, stop]))
            hann = np.sin(np.pi * (times[near] - start) / (stop - start)) ** 2
            wave[near] += carrier(settings.ripple_uv * hann, settings.ripple_hz, times[near], phase)
    return wave


def carrier(amplitude: np.ndarray, hertz: float, times: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Return amplitude(t) sin(2 pi f t + phase), (time, channel) float32."""
    angle = 2 * np.pi * hertz * times
    parts = np.stack([amplitude * np.sin(angle), amplitude * np.cos(angle)], axis=1)
    return np.asarray((parts @ np.stack([np.cos(phase), np.sin(phase)])).astype(np.float32))


def _add(part: np.ndarray, start: int, unit: Unit, wave: np.ndarray) -> None:
    """Add the waveforms of a unit, (time,) in uV, to a block that begins at a sample; ends may lie in other blocks."""
    half = len(wave) // 2
    near = slice(*np.searchsorted(unit.samples, [start - half, start + len(part) + half]))
    index = unit.samples[near, None] + np.arange(-half, half + 1) - start
    inside = (index >= 0) & (index < len(part))
    train = np.bincount(index[inside], np.broadcast_to(wave, index.shape)[inside], minlength=len(part))
    first = CHANNELS * unit.tetrode
    part[:, first : first + CHANNELS] += (train[:, None] * unit.weights).astype(np.float32)
