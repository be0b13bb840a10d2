"""Movies of the cortex: block means of pixels, averages over parcels, masks and borders, and images of three frames.

A movie is (time, height, width), one colour; row 0 is the top (anterior).
"""

import numpy as np

from pellucid.errors import DataError
from pellucid.preprocess.streams import Stream

SCALE_BYTES = 1 << 26
"""Evenly spaced frames that the median behind a pixel's scale is taken over, as float64."""


def bin_means(movie: np.ndarray, side_px: int) -> np.ndarray:
    """Return means over square blocks of pixels, (time, height / side, width / side), float32 (float64 stays).

    side_px  divides height and width
    """
    count, height, width = movie.shape
    blocks = movie.reshape(count, height // side_px, side_px, width // side_px, side_px)
    found = blocks.mean(axis=(2, 4), dtype=np.float64)
    return np.asarray(found.astype(np.float64 if movie.dtype == np.float64 else np.float32, copy=False))


def binned(stream: Stream, side_px: int, where: str = "movie") -> Stream:
    """Return block means as a stream. Raises DataError if the side does not divide both sides of the image."""
    _, height, width = stream.shape
    if height % side_px or width % side_px:
        raise DataError(
            f"{where}, bin_px",
            expected=f"a divisor of both sides of {height} x {width} px",
            found=str(side_px),
            remedy="Choose another `bin_px`.",
        )
    return stream.each(lambda movie: bin_means(movie, side_px), (height // side_px, width // side_px))


def averages(stream: Stream, weights: np.ndarray, label: str = "averages") -> np.ndarray:
    """Return weighted sums of pixels, (time, roi) float64: one matrix product for each block of frames.

    stream   (time, height, width)
    weights  (roi, height, width), rows that sum to 1 for means
    """
    table = weights.reshape(len(weights), -1).T
    used = np.flatnonzero(table.any(axis=1))
    table = np.ascontiguousarray(table[used], np.float64)
    out = np.empty((stream.shape[0], len(weights)))
    for start, block in stream.blocks(label):
        pixels = block.reshape(len(block), -1)[:, used]
        out[start : start + len(block)] = pixels.astype(np.float64, copy=False) @ table
    return out


def of_mask(mask: np.ndarray) -> np.ndarray:
    """Return weights of the mean over the pixels where a mask, (height, width), is not 0: (1, height, width)."""
    inside = np.asarray(mask) != 0
    return np.asarray(inside[None] / max(1, int(inside.sum())), np.float64)


def of_parcels(parcels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return weights of the mean over each parcel, (roi, height, width).

    parcels  (height, width) labels, 0 outside; labels: (roi,) those wanted
    """
    return np.concatenate([of_mask(parcels == label) for label in labels])


def of_border(height: int, width: int, strip_px: int) -> np.ndarray:
    """Return weights of the means over the strips along top, bottom, left and right, (4, height, width)."""
    masks = np.zeros((4, height, width), bool)
    masks[0, :strip_px], masks[1, -strip_px:] = True, True
    masks[2, :, :strip_px], masks[3, :, -strip_px:] = True, True
    return np.concatenate([of_mask(mask) for mask in masks])


def centres(parcels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the centroid of each parcel as fractions of height and width, each (roi,).

    parcels  (height, width) labels; a label without pixels gives NaN
    The centre of pixel i of n is at (i + 0.5) / n.
    """
    found = np.full((2, len(labels)), np.nan)
    for index, label in enumerate(labels):
        places = np.nonzero(parcels == label)
        if len(places[0]):
            found[:, index] = [(place.mean() + 0.5) / size for place, size in zip(places, parcels.shape)]
    return found[0], found[1]


def triples(movie: np.ndarray) -> np.ndarray:
    """Return every three successive frames as one image, (time - 2, 3, height, width): a view that copies nothing.

    Image i has the frames i, i + 1 and i + 2 as channels and is labelled by its middle one.
    """
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(movie, 3, axis=0), -1, 1)


def centred(movie: np.ndarray, length: int) -> np.ndarray:
    """Return a movie of whole segments, each minus its mean over time, (time, height, width).

    length  frames of a segment; a frame is changed by later ones of its segment
    """
    apart = movie.reshape(-1, length, *movie.shape[1:])
    kind = np.float64 if movie.dtype == np.float64 else np.float32
    return np.asarray((apart - apart.mean(axis=1, keepdims=True, dtype=np.float64)).astype(kind).reshape(movie.shape))


def scale(stream: Stream) -> np.ndarray:
    """Return the scale of every pixel, (height, width) float64: the median over time of its absolute value.

    Long movies are read at evenly spaced frames that fit into SCALE_BYTES.
    """
    count = stream.shape[0]
    most = max(1, SCALE_BYTES // (8 * int(np.prod(stream.shape[1:]))))
    frames = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
    found = np.concatenate([stream.read(int(frame), int(frame) + 1) for frame in frames])
    return np.asarray(np.median(np.abs(found.astype(np.float64)), axis=0))


def scale_threshold(scales: np.ndarray, deviations: float) -> float:
    """Return the scale above which a pixel is an outlier: median + deviations x 1.4826 MAD.

    scales      of all pixels of some movies, any shape; pixels of scale 0, which are always 0, do not count
    deviations  in s.d. of a normal distribution with this MAD
    Raises DataError if every pixel is 0.
    """
    known = scales[scales > 0]
    if not known.size:
        raise DataError("movies", expected="pixels that are not 0", found="none", remedy="Correct the input.")
    median = float(np.median(known))
    return median + deviations * 1.4826 * float(np.median(np.abs(known - median)))
