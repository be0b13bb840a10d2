"""What happens to the pixels of an image before any model: crop, block means, inversion; and its fingerprint."""

import hashlib
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid.errors import DataError
from pellucid.systems.whatwhere.features.settings import Settings

BLOCK_BYTES = 1 << 22
"""Pixels held at once, as float64."""


@dataclass(frozen=True)
class Processing:
    """How images are processed; sizes and origin are (row, column) in px of the recorded image.

    white  the largest value an image may have if it is inverted
    scale  units per step of the recorded numbers
    """

    crop_origin_px: tuple[int, int]
    crop_px: tuple[int, int]
    downsample: int
    invert: bool
    white: float
    scale: float

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px of a processed image."""
        return self.crop_px[0] // self.downsample, self.crop_px[1] // self.downsample

    def images(self, raw: np.ndarray) -> np.ndarray:
        """Return processed images, shape (image, feature, height, width), float32.

        raw  (image, feature, height, width) as recorded
        """
        (top, left), (height, width), side = self.crop_origin_px, self.crop_px, self.downsample
        kept = raw[..., top : top + height, left : left + width].astype(np.float64)
        if self.scale != 1.0:
            kept = kept * self.scale
        if side > 1:
            blocks = (*kept.shape[:2], height // side, side, width // side, side)
            kept = kept.reshape(blocks).mean(axis=(3, 5))
        if self.invert:
            kept = self.white - kept
        return (kept + 0.0).astype(np.float32)  # + 0: -0 and 0 are the same pixel

    def position(self, raw_px: np.ndarray, axis: int) -> np.ndarray:
        """Return positions in px of the processed image, (x - origin - (f - 1) / 2) / f, in the shape given.

        raw_px  along one axis of the recorded image, in px; axis: 0 for rows, 1 for columns
        """
        offset = self.crop_origin_px[axis] + (self.downsample - 1) / 2
        return np.asarray((np.asarray(raw_px, np.float64) - offset) / self.downsample)


def processing(images: xr.DataArray, settings: Settings) -> Processing:
    """Return how the images of a recording are processed.

    images  (image[, feature], height, width). Raises DataError if they cannot be cropped or divided so
    """
    size = images.sizes["height"], images.sizes["width"]
    crop = size if settings.crop_px is None else settings.crop_px
    if crop[0] > size[0] or crop[1] > size[1]:
        raise DataError(
            f"{settings.images}, crop_px",
            expected=f"at most {size[0]} x {size[1]} px, the size of the images",
            found=f"{crop[0]} x {crop[1]}",
            remedy="Choose a smaller crop; height comes first.",
        )
    if crop[0] % settings.downsample or crop[1] % settings.downsample:
        raise DataError(
            f"{settings.images}, downsample",
            expected=f"a divisor of both sides of {crop[0]} x {crop[1]} px",
            found=str(settings.downsample),
            remedy="Cut the rest off by `crop_px`.",
        )
    scale = float(images.attrs.get("scale", 1.0))
    white = float(images.attrs.get("white", 255 if images.dtype == np.uint8 else 1)) * scale
    origin = (size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2
    return Processing(origin, crop, settings.downsample, settings.invert, white, scale)


def rows_at_once(values: int) -> int:
    """Return how many images of so many values fit into one block."""
    return max(1, BLOCK_BYTES // (8 * values))


def fingerprints(images: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash (BLAKE2b) of the bytes of each image, shape (image,), uint64.

    images  processed, (image, feature, height, width)
    """
    found = [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest() for image in images]
    return np.frombuffer(b"".join(found), "<u8").astype(np.uint64)


def groups(fingerprint: np.ndarray) -> np.ndarray:
    """Return the number of the group of equal images, in order of first occurrence, shape (image,), int32."""
    _, first, code = np.unique(fingerprint, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return np.asarray(rank[code], np.int32)
