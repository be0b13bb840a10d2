"""The frames of a recording: the movie as a stream, its clock, its continuous blocks, and which rows test."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.preprocess import stimulus
from pellucid.preprocess.streams import Stream
from pellucid.systems.retina.features.settings import Frozen, Settings

MOVIE = "/stimulus/movie"

TRAIN, TEST, OUT = 0, 1, 2
"""What a row may be used for: fits, the test, or neither."""


@dataclass(frozen=True)
class Frames:
    """The frames of one recording.

    movie     (time, height, width) of finite values
    dtype     of the movie in the features: the recorded integer type, or float32
    kept      attributes of the movie: units, and scale where it was recorded as integers
    rate_hz   frames per second
    edges     (time + 1,) onsets and the end of the last frame, s
    block     (time,) int32, number of the continuous block of the movie
    test      (time,) int8, TRAIN, TEST or OUT
    repeats   first rows of all showings of a segment inside the movie
    noted     late time stamps, irregular frames; standardised: 1 where the movie is in s.d. from mean grey already
    """

    movie: Stream
    dtype: np.dtype
    kept: dict[str, str | float]
    rate_hz: float
    edges: np.ndarray
    block: np.ndarray
    test: np.ndarray
    repeats: tuple[int, ...]
    noted: dict[str, int]

    @property
    def rows(self) -> int:
        """Number of frames."""
        return self.movie.shape[0]

    @property
    def clock(self) -> dict[str, float]:
        """What a group on this clock says about it."""
        return {"rate_hz": self.rate_hz, "start_s": float(self.edges[0])}


def find(recording: xr.DataTree, settings: Settings, *, fitted: bool) -> Frames:
    """Return the frames of a recording.

    fitted  False for interneurons: their rows are never fitted nor tested, so no block, test or repeat is asked for
    Raises MissingError or DataError.
    """
    group, variable = schema.variable(recording, MOVIE)
    if variable.dims != ("time", "height", "width") or variable.dtype.kind not in "iuf" or not variable.size:
        raise DataError(
            MOVIE,
            expected="numbers with axes ('time', 'height', 'width')",
            found=f"{variable.dtype} with axes {variable.dims} of sizes {variable.shape}",
            remedy="Correct `dims` in the reader's options.",
        )
    if variable.shape[0] < 2:
        raise DataError(MOVIE, expected="two frames or more", found="one", remedy="Leave this recording out.")
    movie = Stream.of(variable).finite(MOVIE)
    rate, edges, irregular, noted = _clock(group)
    block, test = _whole(group, "block", np.int32), _whole(group, "test", np.int8)
    repeats: tuple[int, ...] = ()
    if fitted:
        if settings.blocks is not None:
            block = _cut(block, test, settings.blocks)
        test = _skipped(block, test, settings.skip_frames)
        test, repeats = _tested(movie, test, irregular, rate, settings)
        test = np.where(irregular, np.int8(OUT), test)
    if "standardised" in group.attrs:
        noted["standardised"] = int(group.attrs["standardised"])
    whole = variable.dtype.kind in "iu"
    kept = {"units": str(variable.attrs.get("units", "1"))}
    scale = {"scale": float(variable.attrs["scale"])} if whole and "scale" in variable.attrs else {}
    dtype = variable.dtype.newbyteorder("=") if whole else np.dtype(np.float32)
    return Frames(movie, dtype, {**kept, **scale}, rate, edges, block, test, repeats, noted)


def _clock(group: xr.Dataset) -> tuple[float, np.ndarray, np.ndarray, dict[str, int]]:
    """Return rate (Hz), edges (time + 1,) in s, irregular frames (time,), and numbers worth keeping."""
    count = group.sizes["time"]
    if "time" not in group.coords:
        rate, start = float(group.attrs["rate_hz"]), float(group.attrs["start_s"])
        return rate, start + np.arange(count + 1) / rate, np.zeros(count, bool), {}
    found = stimulus.onsets(schema.sample_times(group))
    noted = {"late_frames": found.late, "irregular_frames": int(found.irregular.sum())}
    return 1 / found.median_s, found.edges, found.irregular, noted


def _whole(group: xr.Dataset, name: str, dtype: type) -> np.ndarray:
    """Return one whole number for each frame, (time,); 0 where the recording has none. Raises DataError."""
    if name not in group.variables:
        return np.zeros(group.sizes["time"], dtype)
    variable = group[name]
    if variable.dims != ("time",) or variable.dtype.kind not in "iub":
        raise DataError(
            f"/stimulus/{name}",
            expected="one whole number for each frame",
            found=f"{variable.dtype} with axes {variable.dims}",
            remedy="Correct the reader's options.",
        )
    return np.asarray(variable.values, dtype)


def _cut(block: np.ndarray, test: np.ndarray, blocks: int) -> np.ndarray:
    """Return blocks (time,) of which so many, equal to within a frame, are the training rows; they come first."""
    count = int((test == TRAIN).sum())
    if blocks > count or (test[:count] != TRAIN).any():
        raise DataError(
            "blocks",
            expected=f"at least {blocks} training rows, before all test rows",
            found=f"{count}, the first test row at {int(np.argmax(test != TRAIN))} of {len(test)}",
            remedy="Leave `blocks` out: the recording says where its blocks are.",
        )
    borders = np.round(np.linspace(0, count, blocks + 1)[1:]).astype(int)
    made = np.searchsorted(borders, np.arange(len(block)), side="right").astype(np.int32)
    rest = block[count:]
    made[count:] = blocks + np.cumsum(np.diff(rest, prepend=rest[:1]) != 0)
    return made


def _skipped(block: np.ndarray, test: np.ndarray, skip: int) -> np.ndarray:
    """Return what rows are for with the first ones of each training block left out."""
    begins = np.flatnonzero(np.diff(block, prepend=block[0] - 1) != 0)
    since = np.arange(len(block)) - np.repeat(begins, np.diff(np.append(begins, len(block))))
    return np.where((since < skip) & (test == TRAIN), np.int8(OUT), test)


def _tested(
    movie: Stream, test: np.ndarray, irregular: np.ndarray, rate_hz: float, settings: Settings
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return what rows are for once test rows are chosen inside the movie, and the first rows of all showings."""
    if settings.frozen is None and settings.test_s is None:
        return test, ()
    if (test == TEST).any():
        asked = "test_s" if settings.frozen is None else "frozen"
        raise DataError(
            asked,
            expected="a recording without test rows of its own",
            found=f"{int((test == TEST).sum())} of them",
            remedy=f"Leave `{asked}` out.",
        )
    if settings.frozen is not None:
        return _frozen(movie, test, irregular, settings.frozen)
    assert settings.test_s is not None
    count = round(settings.test_s * rate_hz)
    if not 0 < count < len(test):
        raise DataError(
            "test_s",
            expected=f"a frame or more, and less than the {len(test) / rate_hz:g} s of the recording",
            found=f"{settings.test_s:g} s",
            remedy="Correct it.",
        )
    return np.where(np.arange(len(test)) >= len(test) - count, np.int8(TEST), test), ()


def _frozen(
    movie: Stream, test: np.ndarray, irregular: np.ndarray, frozen: Frozen
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return what rows are for and the first rows of all showings, without those in which a frame is irregular."""
    begins = stimulus.showings(movie, frozen.start, frozen.frames, frozen.period, MOVIE)
    kept = tuple(begin for begin in begins if not irregular[begin : begin + frozen.frames].any())
    if len(kept) < 2:
        raise DataError(
            "frozen",
            expected="two showings or more without irregular frames",
            found=f"{len(kept)} of {len(begins)}",
            remedy="Leave `frozen` out, or correct the frame times.",
        )
    made = test.copy()
    for begin in range(frozen.start, len(test), frozen.period):
        made[begin : begin + frozen.frames] = OUT
    made[kept[0] : kept[0] + frozen.frames] = TEST
    return made, kept
