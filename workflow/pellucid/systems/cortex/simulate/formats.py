"""The raw files of the simulated mice.

roi    the merged MATLAB files of Ajioka et al. 2024 (reader cortex_mat), M the number of mice: signal_Mmice_raw.mat,
       runrest_Mmice.mat, speed_Mmice.mat and, with haemodynamics, signal_Mmice_405.mat
image  for session s of mouse m (reader tiff): m1_s0.tif, 16 bit, with haemodynamics two colours by turns, calcium
       first; m1_s0.csv with the columns Frame (from 0, of each colour), Speed and Run; m1_s0_parcels.tif and
       m1_s0_vessels.tif, the maps of ROIs and of vessels
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pellucid.readers import cortex_mat, csv, tiff
from pellucid.systems.cortex.simulate import confounds, images
from pellucid.systems.cortex.simulate.settings import Settings
from pellucid.systems.cortex.simulate.signals import Session, mouse_streams, simulated

LARGEST_CLASSIC = 2**32 - 2**25
"""Bytes of pixels up to which a classic TIFF file has room for the rest."""


def names(settings: Settings) -> Iterator[tuple[int, int, str]]:
    """Yield mouse from 1, session from 0, and their name: m1_s0."""
    for mouse, count in enumerate(settings.counts, start=1):
        for number in range(count):
            yield mouse, number, f"m{mouse}_s{number}"


def write_signals(settings: Settings, seed: int, folder: Path) -> None:
    """Write the merged MATLAB files, one mouse in memory at a time."""
    merged = f"{settings.mice}mice"
    _write_merged(settings, seed, folder / f"signal_{merged}_raw.mat", lambda session: _single(session.calcium).T)
    _write_merged(settings, seed, folder / f"runrest_{merged}.mat", lambda session: session.run[None])
    _write_merged(settings, seed, folder / f"speed_{merged}.mat", lambda session: _single(session.speed)[None])
    if settings.haemodynamics is not None:
        _write_merged(settings, seed, folder / f"signal_{merged}_405.mat", lambda session: _single(session.violet).T)


def write_movies(settings: Settings, seed: int, folder: Path) -> None:
    """Write movies, tables and maps, session by session, a block of frames in memory at a time."""
    colours = 1 if settings.haemodynamics is None else 2
    large = 2 * colours * settings.length * settings.shape[0] * settings.shape[1] > LARGEST_CLASSIC
    for mouse, number, name in names(settings):
        session = simulated(settings, seed, mouse, number)
        vessels = confounds.vessels(settings.shape, mouse_streams(seed, mouse)[1])
        shown = images.frames(session, settings.shape, images.blood(vessels))
        tiff.write(folder / f"{name}.tif", shown, bigtiff=large)
        tiff.write(folder / f"{name}_parcels.tif", images.parcels(settings.shape)[None])
        tiff.write(folder / f"{name}_vessels.tif", vessels[None])
        columns = {"Frame": np.arange(settings.length), "Speed": session.speed.round(3), "Run": session.run}
        csv.write(folder / f"{name}.csv", columns)


def _write_merged(settings: Settings, seed: int, path: Path, part: Callable[[Session], np.ndarray]) -> None:
    """Write one array of every session; variables are named after the beginning of the file's name."""

    def sessions(mouse: int) -> list[np.ndarray]:
        return [part(simulated(settings, seed, mouse, number)) for number in range(settings.counts[mouse - 1])]

    cortex_mat.write(path, path.stem.partition("_")[0], settings.mice, sessions)


def _single(values: np.ndarray | None) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)
