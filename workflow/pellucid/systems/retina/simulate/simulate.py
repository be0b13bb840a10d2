"""A simulated retina: raw files in the layout of published recordings, and the truth behind them."""

from pathlib import Path

import xarray as xr

from pellucid import store
from pellucid.systems.retina.simulate import depression, formats, interneurons, probes, teacher, truth
from pellucid.systems.retina.simulate.settings import Settings


def simulate(settings: Settings, seed: int, folder: Path) -> None:
    """Write the raw files (see formats) and truth.zarr; movies are drawn and written block by block."""
    store.write(folder / "truth.zarr", write_raw(settings, seed, folder))


def write_raw(settings: Settings, seed: int, folder: Path) -> xr.DataTree:
    """Write the raw files and return the truth behind them.

    The retina, each movie, the noise of each and the interneurons have random streams of their own.
    The truth has /teacher and /weights or /synapse (see truth.mechanism), /probes/NAME (see probes.groups), /STIMULUS,
    rate (time, neuron) without noise in the rows of each recording, and with interneurons /interneurons.
    """
    if settings.scenario == "depression":
        return xr.DataTree.from_dict(_cells(settings, depression.build(settings, seed), seed, folder))
    retina = teacher.build(settings, seed)
    groups = _cells(settings, retina, seed, folder)
    if settings.interneurons:
        recorded = interneurons.record(settings, retina, seed)
        formats.write_interneurons(recorded, folder)
        groups |= truth.interneurons(recorded)
    return xr.DataTree.from_dict(groups)


def _cells(
    settings: Settings, retina: teacher.Subunits | depression.Depression, seed: int, folder: Path
) -> truth.Groups:
    """Write the recordings of ganglion cells, and return the truth about them."""
    groups = truth.mechanism(settings, retina)
    groups |= probes.groups(settings, retina, truth.coordinates(settings, retina))
    for kind in settings.shown:
        rate = formats.write_cells(settings, retina, kind, seed, folder)
        groups[f"/{kind}"] = truth.noiseless(settings, rate)
    return groups
