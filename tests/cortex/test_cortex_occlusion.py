"""Patches of the published geometry, on images of any shape, and what hiding them costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.attribution.occlusion import drops, patches, stride
from pellucid.errors import DataError


def test_the_published_squares_are_49_explicit_slices():
    found = patches((128, 128))
    assert found.grid == (7, 7)
    assert found.side == 32
    masks = found.squares().reshape(7, 7, 128, 128)
    for i in range(7):
        for j in range(7):
            hidden = np.ones((128, 128), bool)
            hidden[j * 16 : (j + 2) * 16, i * 16 : (i + 2) * 16] = False
            np.testing.assert_array_equal(masks[j, i], hidden)


def test_the_published_circles_have_radius_16_around_multiples_of_16():
    masks = patches((128, 128)).circles().reshape(7, 7, 128, 128)
    for j, i in ((0, 0), (2, 5), (6, 6)):
        for row in range(0, 128, 3):
            for column in range(0, 128, 3):
                inside = np.hypot(row - 16 * (j + 1), column - 16 * (i + 1)) <= 16
                assert masks[j, i, row, column] == (not inside)
    assert (~masks[3, 3]).sum() == pytest.approx(np.pi * 16**2, rel=0.02)  # pixels against area


def test_the_published_borders_are_corners_and_pairs_of_strips():
    found = patches((128, 128))
    masks, names = found.borders(), found.border_names()
    assert len(masks) == len(names) == 15
    corners = np.ones((128, 128), bool)
    for rows in (slice(0, 16), slice(112, 128)):
        for columns in (slice(0, 16), slice(112, 128)):
            corners[rows, columns] = False
    np.testing.assert_array_equal(masks[0], corners)
    for i in range(7):
        ends, sides = np.ones((128, 128), bool), np.ones((128, 128), bool)
        ends[:16, i * 16 : (i + 2) * 16] = ends[112:, i * 16 : (i + 2) * 16] = False
        sides[i * 16 : (i + 2) * 16, :16] = sides[i * 16 : (i + 2) * 16, 112:] = False
        np.testing.assert_array_equal(masks[1 + i], ends)
        np.testing.assert_array_equal(masks[8 + i], sides)
    assert set((~masks).sum((1, 2))) == {1024}
    assert names[0] == "corners"
    assert len(set(names)) == 15


@pytest.mark.parametrize("side", [16, 32, 50, 64, 256])
def test_square_images_of_any_size_have_the_same_seven_positions(side):
    found = patches((side, side))
    assert found.grid == (7, 7)
    assert abs(found.side - side / 4) <= 1


@given(st.integers(4, 40), st.integers(4, 40), st.integers(2, 16))
def test_patches_cover_the_image_from_edge_to_edge_whatever_its_shape(height, width, side):
    if side > min(height, width):
        with pytest.raises(DataError, match="side of the occluding patches"):
            patches((height, width), side)
        return
    found = patches((height, width), side)
    for starts, length in ((found.rows, height), (found.columns, width)):
        assert starts[0] == 0
        assert starts[-1] == length - side
        assert (np.diff(starts) > 0).all()
        assert (np.diff(starts) <= side).all()  # no pixel between two patches
    assert (~found.squares()).any(0).all()
    assert found.squares().shape == (np.prod(found.grid), height, width)
    assert len(found.borders()) == 1 + sum(found.grid) == len(found.border_names())


def test_non_square_images_have_square_patches_and_more_positions_along_the_longer_side():
    found = patches((48, 96))
    assert found.side == 12
    assert found.grid == (7, 15)
    down, across = found.centres()
    np.testing.assert_allclose(np.diff(down), stride(12))
    np.testing.assert_allclose(across[[0, -1]], [6, 90])


def test_a_mask_that_hides_nothing_costs_exactly_nothing():
    image = np.random.default_rng(0).standard_normal((24, 30))
    base = float((image * 1).sum())
    lost = drops(base, lambda masks: (image * masks).sum((1, 2)), patches(image.shape).nothing())
    assert lost.tolist() == [0.0]


def test_a_score_that_needs_one_pixel_is_lost_where_the_patch_holds_it():
    found, seen = patches((40, 28), 8), []

    def score(masks):
        seen.append(len(masks))
        return masks[:, 17, 9].astype(float)

    lost = drops(1.0, score, found.squares(), at_once=5).reshape(found.grid)
    np.testing.assert_array_equal(lost == 1, found.holding(np.array([17.5]), np.array([9.5])))
    assert lost.sum() == 4  # half a side apart: two rows and two columns of patches hold a pixel
    assert max(seen) <= 5


def test_patches_hold_points_from_their_first_pixel_up_to_the_next_patch_but_one():
    found = patches((32, 32))
    truth = np.zeros((7, 7), bool)
    points = [(14.1, 4.2), (15.0, 27.8)]
    for j in range(7):
        for i in range(7):
            truth[j, i] = any(4 * j <= row < 4 * j + 8 and 4 * i <= column < 4 * i + 8 for row, column in points)
    rows, columns = np.array(points).T
    np.testing.assert_array_equal(found.holding(rows, columns), truth)
    assert truth.sum() == 8


def test_averages_are_means_within_squares_without_missing_pixels():
    image = np.random.default_rng(1).standard_normal((20, 36))
    image[3, 5] = np.nan
    found = patches(image.shape, 6)
    averages = found.averages(image)
    for j, top in enumerate(found.rows):
        for i, left in enumerate(found.columns):
            assert averages[j, i] == pytest.approx(np.nanmean(image[top : top + 6, left : left + 6]))
    assert np.isnan(found.averages(np.full(image.shape, np.nan))).all()
