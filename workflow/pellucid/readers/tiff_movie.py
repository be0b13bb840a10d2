"""One TIFF file as an array that is read by slices: mapped where its frames follow each other, else frame by frame."""

import logging
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pellucid.errors import DataError, PellucidError

if TYPE_CHECKING:
    import numpy as np
    import tifffile

Index: TypeAlias = tuple[int | slice, ...]

_DAMAGE = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, OverflowError, ZeroDivisionError),
    *(OSError, EOFError, RuntimeError, MemoryError, struct.error, zlib.error, lzma.LZMAError),
)
"""What tifffile, NumPy and decompression raise over damaged files; errors of tifffile are ValueErrors."""


class Movie:
    """A TIFF file as an array: shape and dtype are known, frames are read when sliced."""

    def __init__(self, path: Path, shape: Sequence[int], axes: str, dtype: "np.dtype[Any]") -> None:
        """axes: a letter for each axis, as tifffile names them: T, C, Y, X, or I and Q for frames."""
        self._path, self.shape, self.axes, self.dtype = path, tuple(shape), axes, dtype

    def __getitem__(self, index: Index) -> "np.ndarray":
        raise NotImplementedError


class Colour:
    """Every n-th frame of a movie, or one colour of a hyperstack that has n."""

    def __init__(self, movie: Movie, colour: int, colours: int) -> None:
        """colour: its number from 0; colours: how many there are."""
        axis = movie.axes.find("C")
        stacked = axis >= 0 and movie.shape[axis] == colours
        self._movie, self._colour, self._colours, self._axis = movie, colour, colours, axis if stacked else None
        length, *rest = movie.shape
        self.shape = (*movie.shape[:axis], *movie.shape[axis + 1 :]) if stacked else (length // colours, *rest)
        self.dtype, self.ndim = movie.dtype, len(self.shape)

    def __getitem__(self, index: Index) -> "np.ndarray":
        if self._axis is not None:
            return self._movie[(*index[: self._axis], self._colour, *index[self._axis :])]
        chosen: int | range = range(self.shape[0])[index[0]]
        if isinstance(chosen, int):
            return self._movie[(self._colour + chosen * self._colours, *index[1:])]
        start, stop = (self._colour + end * self._colours for end in (chosen.start, chosen.stop))
        return self._movie[(slice(start, stop, chosen.step * self._colours), *index[1:])]


def open_movie(path: Path) -> Movie:
    """Return a file as an array. Raises DataError: damage, truncation, frames of different sizes or unread types."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it would say is raised here as one error
    with _errors(path), tifffile.TiffFile(path) as file:
        _check_chain(file)
        pages = [_page(path, file, number) for number in range(len(file.pages))]
        mapped = _mapped(path, file)
        movie = mapped or _Paged(path, *_frames(file, pages), pages)
        if mapped is None:
            movie[(slice(0, 1),) * len(movie.shape)]
    return movie


@dataclass(frozen=True)
class _Page:
    """Where a frame's data are, and how they become its pixels."""

    shape: tuple[int, ...]
    whole: tuple[int, ...]
    dtype: "np.dtype[Any]"
    segments: tuple[tuple[int, int], ...]
    decode: Callable[..., Any]


class _Mapped(Movie):
    """Frames that follow each other in the file, mapped while a slice is copied."""

    def __init__(self, path: Path, shape: Sequence[int], axes: str, dtype: "np.dtype[Any]", offset: int) -> None:
        super().__init__(path, shape, axes, dtype)
        self._offset = offset

    def __getitem__(self, index: Index) -> "np.ndarray":
        import numpy as np

        with _errors(self._path):
            return np.array(np.memmap(self._path, self.dtype, "r", self._offset, self.shape)[index])


class _Paged(Movie):
    """Frames that are compressed or lie apart: only those of a slice are read."""

    def __init__(self, path: Path, shape: Sequence[int], axes: str, order: Sequence[int], pages: list[_Page]) -> None:
        """order: the pages in the order of the array."""
        super().__init__(path, shape, axes, pages[0].dtype)
        self._order, self._pages = order, pages

    def __getitem__(self, index: Index) -> "np.ndarray":
        import numpy as np

        size = self._pages[0].shape
        leading = len(self.shape) - len(size)
        chosen = np.reshape(self._order, self.shape[:leading])[index[:leading]]
        block = np.empty((chosen.size, *size), self.dtype)
        with _errors(self._path), self._path.open("rb") as file:
            for place, number in enumerate(np.ravel(chosen)):
                block[place] = _pixels(file, self._pages[number])
        wanted: np.ndarray = block.reshape(chosen.shape + size)[(..., *index[leading:])]
        return wanted


def _check_chain(file: "tifffile.TiffFile") -> None:
    """Raise ValueError unless the last page says that none follows."""
    position, kind = file.pages.next_page_offset, file.tiff
    if position is None or not len(file.pages):
        raise ValueError("no frames")
    file.filehandle.seek(position)
    (following,) = struct.unpack(kind.offsetformat, file.filehandle.read(kind.offsetsize))
    if following:
        raise ValueError(f"frame {len(file.pages)} should be at byte {following} of {file.filehandle.size}")


def _page(path: Path, file: "tifffile.TiffFile", number: int) -> _Page:
    """Return a frame. Raises DataError for another size or type than the first one's, ValueError for damage."""
    page, first = file.pages.get(number, aspage=True), file.pages.first
    if page.shape != first.shape or page.dtype != first.dtype:
        raise DataError(
            f"{path}, frame {number}",
            expected=f"{first.dtype} of shape {first.shape}, as in frame 0",
            found=f"{page.dtype} of shape {page.shape}",
            remedy="Save frames of different sizes or types as separate files.",
        )
    if page.dtype is None or not page.shape:
        raise ValueError(f"frame {number} has no pixels of a known type")
    segments = tuple(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not segments or any(count <= 0 or start + count > file.filehandle.size for start, count in segments):
        raise ValueError(f"the data of frame {number} are not all there")
    return _Page(page.shape, page.shaped, page.dtype, segments, page.decode)


def _mapped(path: Path, file: "tifffile.TiffFile") -> _Mapped | None:
    """Return the frames as one block of the file if they are. Raises ValueError if the file ends before they do."""
    found = file.series[0]
    offset, dtype = found.dataoffset, found.dtype.newbyteorder(file.byteorder)
    if len(file.series) != 1 or offset is None:
        return None
    promised = int((file.imagej_metadata or {}).get("images", 1))
    if file.pages.first.offset < offset and promised > math.prod(found.shape[:-2]):
        raise ValueError(f"frames are missing of the {promised} that its description promises")
    end = offset + math.prod(found.shape) * dtype.itemsize
    if end > file.filehandle.size:
        raise ValueError(f"{file.filehandle.size} of {end} bytes")
    return _Mapped(path, found.shape, found.axes, dtype, offset)


def _frames(file: "tifffile.TiffFile", pages: list[_Page]) -> tuple[tuple[int, ...], str, list[int]]:
    """Return shape, axes and the pages in order: those of a hyperstack, or of all series of pages one after the other.

    A hyperstack of which frames are missing is such a series too.
    """
    series, size = file.series, pages[0].shape
    if len(series) == 1 and math.prod(series[0].shape) == len(pages) * math.prod(size):
        order = [page.index for page in series[0].pages if page is not None]
        if sorted(order) == list(range(len(pages))):
            return series[0].shape, series[0].axes, order
    letters = file.pages.first.axes
    return (len(pages), *size), f"I{letters}", list(range(len(pages)))


def _pixels(file: Any, page: _Page) -> "np.ndarray":  # noqa: ANN401 - an open file
    """Read one frame: its strips or tiles, decoded and put where they belong, cut at the edges."""
    import numpy as np

    image = np.empty(page.whole, page.dtype)
    for number, (start, count) in enumerate(page.segments):
        file.seek(start)
        values, place, _ = page.decode(file.read(count), number)
        corner = place[:4]
        ends = [min(low + length, side) for low, length, side in zip(corner[1:], values.shape, page.whole[1:])]
        inside = tuple(slice(low, end) for low, end in zip(corner[1:], ends))
        image[(corner[0], *inside)] = values[tuple(slice(0, end - low) for low, end in zip(corner[1:], ends))]
    return image.reshape(page.shape)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn what is raised over damaged files into one DataError."""
    try:
        yield
    except PellucidError:
        raise
    except _DAMAGE as error:
        codec = "imagecodecs" in str(error)
        raise DataError(
            str(path),
            expected="a whole TIFF file" if not codec else "frames without compression, or with zlib or PackBits",
            found=f"a damaged or truncated one ({error})" if not codec else f"another one ({error})",
            remedy="Copy the file again." if not codec else "Save it again without compression.",
        ) from error
