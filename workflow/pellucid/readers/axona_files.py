"""Files of the Axona DacqUSB system: a text header of `key value` lines, then numbers up to `data_end`.

Two-spot positions are big-endian records of a uint32 time and eight int16, tetrode files records of a big-endian uint32
time and a snippet per channel; .eeg is int8 and .egf little-endian int16. A .set is a header alone, a .cut is text.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.readers.hdf5 import wrong

if TYPE_CHECKING:
    import numpy as np

HEADER_BYTES = 1 << 16
"""Largest header that is looked for."""

LOST = 1023
"""Coordinate of an LED that was not seen."""

FORMAT = "t,x1,y1,x2,y2,numpix1,numpix2"
"""`pos_format` of two-spot tracking."""

MOST_MISPLACED = 0.01
"""Share of position records whose time stamp may be another than that of their place; these count as lost."""

_TRUNCATED = "Copy the file again: it is truncated or damaged."


@dataclass(frozen=True)
class Header:
    """The `key value` lines of a file."""

    label: str
    values: Mapping[str, str]

    def number(self, key: str) -> float:
        """Return a positive number, without its unit. Raises DataError if it is missing or no such number."""
        said = self.values.get(key)
        try:
            value = float((said or "").split()[0])
        except (ValueError, IndexError):
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise wrong(f"{self.label}, {key}", "a positive number", repr(said)[:80] if said else "no such line")
        return value

    def count(self, key: str) -> int:
        """Return a whole number from 1. Raises DataError likewise."""
        value = self.number(key)
        if value != int(value) or value > 2**53:
            raise wrong(f"{self.label}, {key}", "a whole number from 1", f"{value:g}")
        return int(value)

    def must(self, key: str, value: int) -> None:
        """Raise DataError unless a line has this value."""
        if self.count(key) != value:
            raise wrong(f"{self.label}, {key}", f"{value}", f"{self.count(key)}", "Only this variant is read.")


@dataclass(frozen=True)
class Samples:
    """Where the samples of one channel are: type, first byte and number, and their rate in Hz."""

    path: Path
    dtype: str
    start: int
    count: int
    rate_hz: float


class Channels:
    """Channels of equal length, each a file of its own, shown as (time, channel) and read by slices."""

    def __init__(self, files: Sequence[Samples]) -> None:
        import numpy as np

        self._files, self.ndim = list(files), 2
        self.shape = (files[0].count, len(files))
        self.dtype = np.result_type(*[np.dtype(file.dtype) for file in files])

    def __getitem__(self, index: tuple[slice, slice]) -> "np.ndarray":
        import numpy as np

        rows, columns = index
        found = [
            np.array(np.memmap(file.path, file.dtype, "r", file.start, (file.count,))[rows], self.dtype)
            for file in self._files[columns]
        ]  # each map is closed here, so that pages read do not add up
        return np.stack(found, axis=-1)


def settings(path: Path) -> Header:
    """Return the lines of a .set. Raises DataError for a file without any."""
    return Header(str(path), _lines(path.read_bytes()[: 1 << 20], path))


def header(path: Path) -> tuple[Header, int]:
    """Return the header of a file and where its numbers begin. Raises DataError if there is no `data_start`."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    end = head.find(b"\ndata_start")
    if end < 0:
        raise wrong(str(path), "a header that ends with data_start", f"none in {len(head)} bytes", _TRUNCATED)
    return Header(str(path), _lines(head[:end], path)), end + len(b"\ndata_start")


def records(path: Path, count: int, width: int, start: int, key: str) -> None:
    """Raise DataError unless `count` records of `width` bytes lie between data_start and data_end.

    key  the line of the header that says the count
    """
    size = path.stat().st_size - start
    found = f"{max(size, 0)} bytes after data_start, of which {count * width} should be numbers"
    if size >= count * width:
        with path.open("rb") as file:
            file.seek(start + count * width)
            tail = file.read(32)
        if re.fullmatch(rb"(\r?\n)?data_end(\r?\n)?", tail):
            return
        found += f", then {tail[:12]!r}"
    raise wrong(f"{path}, {key} {count}", f"{count} records of {width} bytes and data_end", found, _TRUNCATED)


def samples(path: Path, key: str) -> Samples:
    """Return where the samples of an .eeg or .egf are. Raises DataError unless they are as many as its header says.

    key  the line that says the number of samples, num_EEG_samples or num_EGF_samples
    """
    head, start = header(path)
    head.must("num_chans", 1)
    width, count, rate = head.count("bytes_per_sample"), head.count(key), head.number("sample_rate")
    if width not in (1, 2):
        raise wrong(f"{path}, bytes_per_sample", "1 or 2", f"{width}")
    records(path, count, width, start, key)
    _check_duration(head, count / rate)
    return Samples(path, f"<i{width}", start, count, rate)


def positions(path: Path) -> "tuple[np.ndarray, float, float, Header]":
    """Return the LEDs (time, 4) float32 of x1, y1, x2, y2 in px, NaN where lost, the rate, the start and the header.

    Raises DataError: another format, coordinates outside the camera's window, or more records than MOST_MISPLACED whose
    time stamp is another than that of their place.
    """
    import numpy as np

    head, start = header(path)
    said = head.values.get("pos_format", "")
    if said != FORMAT:
        raise wrong(f"{path}, pos_format", FORMAT, repr(said[:80]), "Only this variant is read.")
    head.must("bytes_per_timestamp", 4)
    head.must("bytes_per_coord", 2)
    samples, rate, timebase = head.count("num_pos_samples"), head.number("sample_rate"), head.number("timebase")
    records(path, samples, 20, start, "num_pos_samples")
    _check_duration(head, samples / rate)
    raw = np.fromfile(path, np.dtype([("t", ">u4"), ("led", ">i2", 8)]), samples, offset=start)
    off = raw["t"].astype(np.float64) - np.arange(samples) * (timebase / rate)
    first = float(np.median(off))
    misplaced = np.abs(off - first) >= 0.5 * timebase / rate
    if misplaced.mean() > MOST_MISPLACED:
        at = int(np.argmax(misplaced))
        found = f"{raw['t'][at]} in record {at}, and {int(misplaced.sum())} such records of {samples}"
        raise wrong(f"{path}, time stamps", f"one every {timebase / rate:g} ticks", found)
    led = raw["led"][:, :4].astype(np.float32)
    for column in (0, 2):
        led[(led[:, column : column + 2] == LOST).any(axis=1) | misplaced, column : column + 2] = np.nan
    _check_window(led, head)
    return led, rate, first / timebase, head


def spike_times(path: Path) -> "np.ndarray":
    """Return the times of the spikes of a tetrode, (spike,) s, without their snippets.

    Raises DataError: channels that disagree on a time, times that step back or lie after the end.
    """
    import numpy as np

    head, start = header(path)
    head.must("bytes_per_timestamp", 4)
    head.must("bytes_per_sample", 1)
    channels, length = head.count("num_chans"), head.count("samples_per_spike")
    spikes, timebase = head.count("num_spikes"), head.number("timebase")
    if channels > 64 or length > 10_000:
        raise wrong(str(path), "num_chans to 64 and samples_per_spike to 10000", f"{channels} and {length}")
    records(path, spikes, channels * (4 + length), start, "num_spikes")
    one = np.dtype([("t", ">u4"), ("snippet", "i1", length)])
    stamps = np.array(np.memmap(path, one, "r", start, (spikes, channels))["t"])
    if (stamps != stamps[:, :1]).any():
        at = int(np.argmax((stamps != stamps[:, :1]).any(axis=1)))
        raise wrong(f"{path}, spike {at}", "one time on all channels", f"{stamps[at].tolist()}")
    times = stamps[:, 0].astype(np.float64) / timebase
    late = times > head.number("duration") + 1
    late[1:] |= np.diff(times) < 0
    if late.any():
        at = int(np.argmax(late))
        raise wrong(f"{path}, spike {at}", "times that do not step back, within the session", f"{times[at]:g} s")
    return times


def clusters(path: Path) -> "np.ndarray":
    """Return the cluster of each spike in a .cut, (spike,) int64. Raises DataError unless they are as many as said."""
    import numpy as np

    lines = path.read_bytes().decode("latin-1").splitlines()
    at = next((row for row, line in enumerate(lines) if line.startswith("Exact_cut_for:")), None)
    said = "" if at is None else lines[at].rpartition("spikes:")[2].strip()
    if at is None or not (said.isascii() and said.isdigit()):
        found = "no such line" if at is None else repr(lines[at][:80])
        raise wrong(str(path), "a line `Exact_cut_for: NAME spikes: NUMBER`", found, _TRUNCATED)
    words = " ".join(lines[at + 1 :]).split()
    wrong_one = next((word for word in words if not (word.isascii() and word.isdigit() and len(word) < 5)), None)
    if wrong_one is not None or len(words) != int(said[:12]):
        found = f"{len(words)} clusters" if wrong_one is None else repr(wrong_one[:40])
        raise wrong(str(path), f"the cluster of each of {said[:12]} spikes", found, _TRUNCATED)
    return np.array(words, np.int64)


def _lines(head: bytes, path: Path) -> dict[str, str]:
    """Return key -> value; where a key comes twice, what it says first."""
    found: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines():
        key, _, value = line.partition(" ")
        if key:
            found.setdefault(key, value.strip())
    if "trial_date" not in found:
        raise wrong(str(path), "a header of an Axona file", "no line trial_date", _TRUNCATED)
    return found


def _check_duration(head: Header, seconds: float) -> None:
    duration = head.number("duration")
    if abs(duration - seconds) > 1:
        raise wrong(f"{head.label}, duration", f"{duration:g} s", f"{seconds:g} s of samples", _TRUNCATED)


def _check_window(led: "np.ndarray", head: Header) -> None:
    """Raise DataError for coordinates that are below 0 or after the end of the camera's window."""
    import numpy as np

    for column, axis in enumerate("xyxy"):
        most = head.number(f"window_max_{axis}")
        with np.errstate(invalid="ignore"):
            off = (led[:, column] < 0) | (led[:, column] > most)
        if off.any():
            at = int(np.argmax(off))
            expected = f"0 to {most:g} px (window_max_{axis})"
            raise wrong(f"{head.label}, record {at}", expected, f"{led[at, column]:g}", _TRUNCATED)
