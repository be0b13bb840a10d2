"""From one recording to one store of features: the movie, responses to it, and responses to its repeats."""

import hashlib
from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.systems.retina.features import frames as stimulus
from pellucid.systems.retina.features import responses
from pellucid.systems.retina.features.frames import TEST, Frames
from pellucid.systems.retina.features.settings import Settings


def extract(recording: xr.DataTree, settings: Settings, output: Path) -> None:
    """Write `/stimulus` with movie (time, height, width), block and test (time), and what was recorded with it.

    Ganglion cells: `/responses` with response (time, neuron), in Hz or counts, sta_lag and sta_z (neuron); with repeats
    `/repeats` with response (repeat, time, neuron) and frame (time). Interneurons: `/potential` with potential (time,
    neuron). Nothing is standardised; whole numbers stay so. The movie is read in blocks, in memory that does not grow
    with its length. Raises MissingError or DataError naming the variable, and leaves nothing half-written.
    """
    interneurons = responses.of_interneurons(recording)
    frames = stimulus.find(recording, settings, fitted=not interneurons)
    groups = {"/": _identity(recording), "/stimulus": _template(frames)}
    if interneurons:
        groups["/potential"] = responses.potential(recording, frames)
    else:
        groups["/responses"] = responses.responses(recording, frames, settings)
        own = schema.variable(recording, stimulus.MOVIE)[0].get("test")
        tested = np.zeros(frames.rows, bool) if own is None else np.asarray(own.values) == TEST
        values = groups["/responses"]["response"].values
        found = responses.repeats(recording, frames, settings, values, tested)
        if found is not None:
            groups["/repeats"] = found
    _write(output, xr.DataTree.from_dict(groups), frames)


def _identity(recording: xr.DataTree) -> xr.Dataset:
    """Return the root: what the recording says of its origin, and which stimulus it is."""
    kept = {key: recording.attrs[key] for key in schema.RECORDING_ATTRIBUTES if key in recording.attrs}
    named = recording["stimulus"].attrs.get("stimulus", recording.attrs.get("stimulus", "unnamed"))
    return xr.Dataset(attrs={**kept, "stimulus": str(named)})


def _template(frames: Frames) -> xr.Dataset:
    """Return the group of the movie with a placeholder for what `_write` fills."""
    arrays = {
        "movie": (
            ("time", "height", "width"),
            store.placeholder(frames.movie.shape, frames.dtype.str),
            frames.kept,
        ),
        "block": ("time", frames.block, {"units": "1"}),
        "test": ("time", frames.test, {"units": "1"}),
    }
    return xr.Dataset(arrays, attrs={**frames.clock, **frames.noted})


def _write(output: Path, tree: xr.DataTree, frames: Frames) -> None:
    """Write the store; the movie's fingerprint, known at its end, is noted before the store is moved into place."""
    import zarr

    with store.atomic_folder(output) as partial:
        made, content = partial / "made", hashlib.sha256()
        with store.Writer(made, tree) as writer:
            for _, block in frames.movie.blocks("movie"):
                stored = np.ascontiguousarray(block, frames.dtype)
                content.update(stored.data)
                writer.append("/stimulus/movie", stored)
        zarr.open_group(made, path="stimulus", mode="r+").attrs["fingerprint"] = content.hexdigest()
        for part in sorted(made.iterdir()):
            part.rename(partial / part.name)
        made.rmdir()
