"""Inputs that are movies: streamed from the recording into the store, with their mean, s.d. and fingerprint."""

import hashlib

import numpy as np
import xarray as xr

from pellucid import schema, store
from pellucid.errors import DataError
from pellucid.preprocess import movies, streams
from pellucid.preprocess.streams import Stream
from pellucid.systems.cortex.features import inputs, steps
from pellucid.systems.cortex.features.inputs import Clock
from pellucid.systems.cortex.features.settings import Movie

IMAGE = ("height", "width")


class Frames:
    """One movie on its way into the features."""

    def __init__(self, recording: xr.DataTree, name: str, item: Movie, clock: Clock) -> None:
        """Raises MissingError or DataError."""
        self._name, self._item, self._clock = name, item, clock
        variable = schema.variable(recording, item.source)[1]
        signal = _binned(recording, item.source, item, clock)
        violet = None
        if item.reference is not None:
            violet = _binned(recording, item.reference.source, item, clock)
            _check_alike(signal, violet, item)
        self._scale = movies.scale(signal) if item.bad is not None else None
        factor = float(variable.attrs.get("scale", 1.0))
        as_recorded = variable.dtype.kind in "biu" and not _computed(item)
        if factor != 1.0 and not as_recorded:
            signal = signal.each(lambda values: values * factor)
        found, self._slope = steps.processed(signal, violet, item, clock, name)
        self.stream = _centred(found, clock, name) if item.centre == "segment" else found
        self._dtype = variable.dtype.newbyteorder("=") if as_recorded else np.dtype(np.float32)
        self._units = steps.units(str(variable.attrs.get("units", "1")), item)
        self._kept = {"scale": factor} if factor != 1.0 and as_recorded else {}

    def template(self) -> xr.Dataset:
        """Return the group with placeholders for what `write` fills."""
        shape, units = self.stream.shape, {"units": self._units}
        variables = {
            "movie": (("time", *IMAGE), store.placeholder(shape, self._dtype.str), units | self._kept),
            "mean": (IMAGE, store.placeholder(shape[1:]), units),
            "sd": (IMAGE, store.placeholder(shape[1:]), units),
        }
        if self._scale is not None:
            variables["scale"] = (IMAGE, self._scale.astype(np.float32), {"units": self._units})
        if self._slope is not None:
            variables["coefficient"] = (IMAGE, self._slope.astype(np.float32), {"units": "1"})
        return xr.Dataset(variables, attrs={**self._clock.attributes, "kind": "movie", "units": self._units})

    def write(self, writer: store.Writer) -> dict[str, str | float]:
        """Write all frames, their mean and s.d., block by block, and return the attributes known after that."""
        moments, content = streams.Moments(self.stream.shape[1:]), hashlib.sha256()
        for _, block in self.stream.blocks(self._name):
            stored = np.ascontiguousarray(block, self._dtype)
            content.update(stored.data)
            moments.add(stored)
            writer.append(f"/{self._name}/movie", stored)
        writer.append(f"/{self._name}/mean", moments.mean.astype(np.float32))
        writer.append(f"/{self._name}/sd", moments.sd.astype(np.float32))
        return {"sd": moments.overall_sd, "fingerprint": content.hexdigest()}


def _binned(recording: xr.DataTree, path: str, item: Movie, clock: Clock) -> Stream:
    stream = inputs.movie(recording, path, clock)[0]
    return stream if item.bin_px == 1 else movies.binned(stream, item.bin_px, path)


def _computed(item: Movie) -> bool:
    """Return whether values differ from the recorded ones."""
    steps_asked = (item.dff, item.reference, item.detrend_s)
    return item.bin_px > 1 or item.centre != "none" or any(step is not None for step in steps_asked)


def _centred(stream: Stream, clock: Clock, name: str) -> Stream:
    """Return a movie minus the mean over time of each trial, or of the whole session."""
    if clock.trial_frames is not None:
        length = clock.trial_frames
        return stream.segmented(lambda movie: movies.centred(movie, length), length)
    level = streams.mean(stream, f"{name}, mean")
    return stream.each(lambda movie: (movie - level).astype(np.float32))


def _check_alike(signal: Stream, violet: Stream, item: Movie) -> None:
    if violet.shape != signal.shape and item.reference is not None:
        raise DataError(
            item.reference.source,
            expected=f"{signal.shape[1]} x {signal.shape[2]} px, as {item.source} has",
            found=f"{violet.shape[1]} x {violet.shape[2]}",
            remedy="Give both channels at one size.",
        )
