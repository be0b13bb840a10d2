"""Fibre photometry of pyPhotometry (.ppd, versions before 1.0): two interleaved signals and two digital inputs.

Two bytes say how long the header in JSON is, little-endian words follow: the upper 15 bits of a word are an analog
value, its lowest bit is a digital input; words of the first and second signal alternate. Later versions store other
numbers of signals, and LED-on and LED-off samples in turn; they are refused.
"""

import json
import math
import tokenize
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from pellucid.errors import DataError, MissingError
from pellucid.readers import layout
from pellucid.readers.assemble import assemble
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

SIGNALS = ("analog_1", "analog_2")
_WORD = 2
_DAMAGE = (ValueError, TypeError, EOFError, OSError, SyntaxError, tokenize.TokenError)
"""What NumPy raises over damaged .npy files."""


class Settings(Block):
    """Which file is read, and which times of events lie beside it."""

    file: str | None = Field(None, description="name of the .ppd file, where there are several")
    events: dict[str, str] = Field(
        default_factory=dict, description="event -> name of a .npy file with its times in s after the first sample"
    )


class _Header(Block, extra="ignore"):
    """What the reader uses of a file's header."""

    mode: str
    sampling_rate: float = Field(gt=0)
    volts_per_division: list[float] = Field(min_length=1)
    version: str | float


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the .ppd file and the files of its events. Raises MissingError, or DataError if there are several."""
    wanted = [path for path in files if settings.file in (None, path.name)]
    found = layout.single(wanted, ".ppd", remedy="Name one of them in `options.file`.")
    named = {path.name: path for path in files}
    for name in settings.events.values():
        if name not in named or not named[name].is_file():
            raise MissingError(
                name, expected="a file of this name", found="nothing", remedy="Correct `raw` or `options.events`."
            )
    return [found, *(named[name] for name in sorted(set(settings.events.values())))]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity, its signals streamed.

    files     see `select`
    settings  see Settings
    Gives /imaging signal (time, roi) int16, its `scale` in V per step, and digital (time, roi) bool; /events with one
    variable (event,) in s for each kind, NaN after the last one of the shorter kinds.
    Raises DataError: a damaged or truncated file, a version that is not understood, times outside the session.
    """
    path, *beside = select(files, settings)
    header, offset = _header(path)
    samples = _samples(path, offset)
    sources: dict[str, layout.Array] = {
        "signal": _Words(path, offset, samples, "int16"),
        "digital": _Words(path, offset, samples, "bool"),
    }
    imaging = {
        **{"rate_hz": header.sampling_rate, "attributes": {"mode": header.mode}},
        "variables": {
            "signal": {"dims": ["time", "roi"], "units": "V", "scale": header.volts_per_division[0]},
            "digital": {"dims": ["time", "roi"]},
        },
        "coordinates": {"roi": {"values": list(SIGNALS)}},
    }
    groups = {"imaging": imaging}
    if settings.events:
        named = {found.name: found for found in beside}
        times = {name: _times(named[file], samples / header.sampling_rate) for name, file in settings.events.items()}
        sources |= _padded(times)
        groups["events"] = {"variables": {name: {"dims": ["event"], "units": "s"} for name in times}}
    return assemble(sources, {name: layout.Group.model_validate(group) for name, group in groups.items()}, str(path))


def write(
    path: Path,
    signal: "np.ndarray",
    digital: "np.ndarray",
    *,
    rate_hz: float,
    scale: float,
    mode: str = "2 colour time div.",
    version: str | float = 0.2,
) -> None:
    """Write one file; equal values give equal bytes.

    signal   whole numbers from 0 to 32767, shape (time, 2)
    digital  booleans, shape (time, 2)
    rate_hz  samples per second of each signal
    scale    V per step
    """
    import numpy as np

    from pellucid import store

    header = {"mode": mode, "sampling_rate": rate_hz, "volts_per_division": [scale, scale], "version": version}
    said = json.dumps(header).encode()
    words = (np.asarray(signal).astype("<u2") << 1) | np.asarray(digital, dtype=bool)
    with store.atomic_file(path) as partial:
        partial.write_bytes(len(said).to_bytes(2, "little") + said + words.astype("<u2").tobytes())


class _Words:
    """The analog values (int16) or the digital inputs (bool) of a file, shape (time, 2), read by slices."""

    def __init__(self, path: Path, offset: int, samples: int, dtype: str) -> None:
        import numpy as np

        self._path, self._offset = path, offset
        self.shape, self.dtype, self.ndim = (samples, len(SIGNALS)), np.dtype(dtype), 2

    def __getitem__(self, index: tuple[slice, ...]) -> "np.ndarray":
        import numpy as np

        words = np.memmap(self._path, "<u2", "r", self._offset, self.shape)[index]
        if self.dtype == bool:
            return np.asarray(np.bitwise_and(words, 1, dtype="u1", casting="unsafe")).view(bool)
        return np.asarray(words >> 1).view("<i2")


def _header(path: Path) -> tuple[_Header, int]:
    """Return the header and where the words begin. Raises DataError if the file is damaged or not understood."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(2), "little")
        said = file.read(length)
    try:
        header = _Header.model_validate(json.loads(said))
    except ValidationError as error:
        raise layout.invalid(f"{path}, header", error) from None
    except ValueError as error:
        raise DataError(
            str(path), expected="a header in JSON", found=str(error), remedy="Copy the file again, or correct `raw`."
        ) from error
    if not str(header.version).startswith("0."):
        raise DataError(
            f"{path}, version",
            expected="pyPhotometry before 1.0, with two signals and two digital inputs",
            found=f"version {header.version}, mode {header.mode!r}",
            remedy="Save its signals as .npy or .csv with pyPhotometry's own import, and use that reader.",
        )
    if len(set(header.volts_per_division)) != 1:
        raise DataError(
            f"{path}, volts_per_division",
            expected="one scale for all signals",
            found=str(header.volts_per_division),
            remedy="Save its signals in V as .npy or .csv, and use that reader.",
        )
    return header, 2 + length


def _samples(path: Path, offset: int) -> int:
    """Return how many samples of all signals follow the header."""
    row = _WORD * len(SIGNALS)
    size = path.stat().st_size - offset
    if size < row or size % row:
        raise DataError(
            str(path),
            expected=f"samples of {row} bytes after {offset} bytes of header",
            found=f"{size} bytes, which is {size / row:g} samples",
            remedy="Copy the file again: it is truncated.",
        )
    return size // row


def _times(path: Path, duration: float) -> "np.ndarray":
    """Return the times of events in a .npy file, shape (event,), in s; they increase within the session."""
    import numpy as np

    try:
        times = np.load(path, allow_pickle=False)
    except _DAMAGE as error:
        raise DataError(
            str(path), expected="a whole .npy file of numbers", found=str(error), remedy="Copy or make it again."
        ) from error
    if not isinstance(times, np.ndarray) or times.dtype.kind not in "iuf" or times.ndim != 1:
        raise DataError(
            str(path),
            expected="numbers of shape (event,)",
            found=f"{getattr(times, 'dtype', type(times))} of shape {getattr(times, 'shape', None)}",
            remedy="Save the times in s as one vector.",
        )
    seconds = times.astype("float64")
    wrong = ~((seconds >= 0) & (seconds <= duration))
    wrong[1:] |= ~(np.diff(seconds) > 0)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise DataError(
            f"{path}, event {index}",
            expected=f"finite times that increase from 0 to {duration:g} s, where the session ends",
            found=f"{seconds[index]} s" + (f" after {seconds[index - 1]} s" if index else ""),
            remedy="Give the times in s after the first sample, or name the file of this session.",
        )
    return seconds


def _padded(times: "Mapping[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """Return times of one length, NaN at the end of the shorter ones."""
    import numpy as np

    most = max(map(len, times.values()))
    return {name: np.pad(found, (0, most - len(found)), constant_values=math.nan) for name, found in times.items()}
