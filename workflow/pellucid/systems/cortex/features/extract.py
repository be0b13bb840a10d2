"""From one recording to one store of features: inputs of decoders and the behavioural state on one clock."""

from pathlib import Path

import xarray as xr

from pellucid import schema, store
from pellucid.systems.cortex.features import frames, inputs, labels, traces
from pellucid.systems.cortex.features.settings import Movie, Settings


def extract(recording: xr.DataTree, settings: Settings, output: Path) -> None:
    """Write `/behaviour` with state, segment and speed (time), one group for each input, and `/parcels` if there are.

    Traces have `signal` (time, roi) with row, column and area of each ROI; movies `movie` (time, height, width), `mean`
    and `sd` over time (height, width), and `scale` with a rule for bad pixels. Nothing is normalised and no threshold
    applied. Movies are read in blocks, in memory that does not grow with their length.
    Raises MissingError or DataError naming the variable, and leaves nothing half-written.
    """
    clock = inputs.clock(recording, settings)
    groups = {"/behaviour": labels.dataset(recording, settings, clock)}
    if settings.parcels is not None:
        groups["/parcels"] = _parcels(recording, settings.parcels)
    groups |= {f"/{name}": found for name, found in traces.datasets(recording, settings, clock).items()}
    movies = {
        name: frames.Frames(recording, name, item, clock)
        for name, item in settings.inputs.items()
        if isinstance(item, Movie)
    }
    groups |= {f"/{name}": movie.template() for name, movie in movies.items()}
    _write(output, xr.DataTree.from_dict({"/": _identity(recording), **groups}), movies)


def _identity(recording: xr.DataTree) -> xr.Dataset:
    return xr.Dataset(
        attrs={key: recording.attrs[key] for key in schema.RECORDING_ATTRIBUTES if key in recording.attrs}
    )


def _parcels(recording: xr.DataTree, path: str) -> xr.Dataset:
    return xr.Dataset({"parcels": (("height", "width"), inputs.parcels(recording, path, None), {"units": "1"})})


def _write(output: Path, tree: xr.DataTree, movies: dict[str, frames.Frames]) -> None:
    """Write the store with its movies; what is known of a movie only at its end is noted before the store is moved."""
    import zarr

    with store.atomic_folder(output) as partial:
        made = partial / "made"
        with store.Writer(made, tree) as writer:
            known = {name: movie.write(writer) for name, movie in movies.items()}
        for name, attributes in known.items():
            zarr.open_group(made, path=name, mode="r+").attrs.update(attributes)
        for part in sorted(made.iterdir()):
            part.rename(partial / part.name)
        made.rmdir()
