"""Simulated recordings in raw formats, and truth.zarr with the bands, channels and units that carry behaviour."""

from pathlib import Path

from pellucid.systems.deepinsight.simulate import fingers, spikes, tones, track, two_band
from pellucid.systems.deepinsight.simulate.settings import Settings


def simulate(settings: Settings, seed: int, folder: Path) -> None:
    """Write the raw files of one recording and truth.zarr; equal settings and seeds give equal bytes."""
    if settings.scenario == "two_band":
        two_band.simulate(settings, seed, folder)
    elif settings.scenario == "spikes":
        spikes.simulate(settings.spikes, seed, settings.raw, folder)
    elif settings.scenario == "replay":
        spikes.simulate(settings.replay, seed, settings.raw, folder)
    elif settings.scenario == "tones":
        tones.simulate(settings.tones, seed, settings.raw, folder)
    elif settings.scenario == "track":
        track.simulate(settings.track, seed, folder)
    else:
        fingers.simulate(settings.fingers, seed, folder)
