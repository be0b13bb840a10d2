"""Occlusion: square and circular patches on a grid, controls at the borders, and what hiding them costs a score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError


@dataclass(frozen=True)
class Patches:
    """A grid of overlapping patches. Masks are true where the image is shown and false where it is hidden.

    shape    (height, width) of the image, px
    side     of a square patch, or diameter of a circular one, px
    rows     (row,) first pixel of each patch from the top
    columns  (column,) first pixel of each patch from the left
    """

    shape: tuple[int, int]
    side: int
    rows: np.ndarray
    columns: np.ndarray

    @property
    def grid(self) -> tuple[int, int]:
        """Number of rows and columns of patches."""
        return len(self.rows), len(self.columns)

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the centres of the patches, (row,) and (column,), in px from the image's upper left corner."""
        return self.rows + self.side / 2, self.columns + self.side / 2

    def squares(self) -> np.ndarray:
        """Return one mask per patch, (patch, height, width) bool, row by row."""
        side = self.side
        return np.stack([self._hidden([(top, left, side, side)]) for top in self.rows for left in self.columns])

    def circles(self) -> np.ndarray:
        """Return discs with the same centres, radius half a side, rims included; (patch, height, width) bool."""
        row, column = np.ogrid[: self.shape[0], : self.shape[1]]
        down, across = self.centres()
        distance = [(row - y) ** 2 + (column - x) ** 2 for y in down for x in across]
        return np.stack([one > (self.side / 2) ** 2 for one in distance])

    def borders(self) -> np.ndarray:
        """Return controls along the borders, (border, height, width) bool.

        First the four corners, half a side wide and high; then, for each column of patches, one strip at the top and
        one at the bottom, a side long and half a side wide; then, for each row of patches, one at either side.
        """
        height, width = self.shape
        strip, side = stride(self.side), self.side
        ends = [(top, left) for top in (0, height - strip) for left in (0, width - strip)]
        masks = [self._hidden([(top, left, strip, strip) for top, left in ends])]
        masks += [self._hidden([(top, left, strip, side) for top in (0, height - strip)]) for left in self.columns]
        masks += [self._hidden([(top, left, side, strip) for left in (0, width - strip)]) for top in self.rows]
        return np.stack(masks)

    def border_names(self) -> list[str]:
        """Return what each mask of `borders` hides."""
        across = [f"top and bottom, column {int(left)}" for left in self.columns]
        return ["corners", *across, *(f"left and right, row {int(top)}" for top in self.rows)]

    def nothing(self) -> np.ndarray:
        """Return the mask that hides nothing, (1, height, width) bool."""
        return np.ones((1, *self.shape), bool)

    def holding(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Return which patches hold at least one point, (row, column) bool; row and column (point,) in px."""
        down, across = (
            (first[:, None] <= place) & (place < first[:, None] + self.side)
            for first, place in ((self.rows, np.asarray(row)), (self.columns, np.asarray(column)))
        )
        return np.asarray((down[:, None] & across[None]).any(-1))

    def averages(self, image: np.ndarray) -> np.ndarray:
        """Return the mean of an image (height, width) within each square patch, (row, column), NaN left out."""
        side = self.side
        blocks = [image[top : top + side, left : left + side] for top in self.rows for left in self.columns]
        found = [block[np.isfinite(block)] for block in blocks]
        means = [block.mean() if len(block) else np.nan for block in found]
        return np.reshape(means, self.grid)

    def _hidden(self, boxes: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
        """Return the mask that hides some boxes, each top, left, height and width in px."""
        mask = np.ones(self.shape, bool)
        for top, left, height, width in boxes:
            mask[top : top + height, left : left + width] = False
        return mask


def patches(shape: tuple[int, int], side_px: int | None = None) -> Patches:
    """Return patches half a side apart that begin and end at the image's edges.

    shape    (height, width) of the image, px
    side_px  of a patch; none: a quarter of the shorter side of the image, in even numbers
    128 x 128 px give 7 x 7 patches of 32 px, 16 px apart (Ajioka et al. 2024, reference code). Where half a side does
    not divide the image, distances are rounded to whole pixels, and the last patch still ends at the edge.
    Raises DataError if a patch is larger than the image.
    """
    side = 2 * max(1, round(min(shape) / 8)) if side_px is None else side_px
    if side > min(shape):
        raise DataError(
            "side of the occluding patches",
            expected=f"at most the shorter side of the image, {min(shape)} px",
            found=f"{side} px",
            remedy="Choose smaller patches, or none for a quarter of the image.",
        )
    rows, columns = (_starts(length, side) for length in shape)
    return Patches((shape[0], shape[1]), side, rows, columns)


def stride(side: int) -> int:
    """Return the distance between neighbouring patches, px: half a side."""
    return max(1, side // 2)


def drops(base: float, score: Callable[[np.ndarray], np.ndarray], masks: np.ndarray, *, at_once: int = 8) -> np.ndarray:
    """Return base - score of every mask, (mask,): what is lost when its pixels are hidden.

    base   the score of the whole input
    score  masks (mask, height, width) -> their scores (mask,); it is given at most `at_once` masks
    masks  (mask, height, width) bool, false where hidden
    """
    parts = [score(masks[start : start + at_once]) for start in range(0, len(masks), at_once)]
    return np.asarray(base - np.concatenate(parts))


def _starts(length: int, side: int) -> np.ndarray:
    last = length - side
    count = 1 + max(round(last / stride(side)), int(last > 0))
    return np.rint(np.linspace(0, last, count)).astype(int)
