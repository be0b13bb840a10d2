"""Permutations, and influence on models whose influence is known by hand."""

import numpy as np
import pytest

from pellucid.attribution.shuffling import influence, permutation
from pellucid.learning.intervals import resampled_weights


@pytest.mark.parametrize(("rows", "block"), [(50, None), (50, 7), (5, 9)])
def test_permutations_hold_every_row_once(rows, block):
    order = permutation(rows, np.random.default_rng(0), block_rows=block)
    assert sorted(order) == list(range(rows))


def test_blocks_keep_their_inside():
    order = permutation(40, np.random.default_rng(1), block_rows=8)
    inside = np.arange(40) % 8 != 7
    following = {row: order[np.flatnonzero(order == row)[0] + 1] for row in np.flatnonzero(inside)}
    assert all(after == row + 1 for row, after in following.items())
    assert (order != np.arange(40)).any()


def test_influence_of_a_known_linear_model():
    """For y = 2 a + b + noise of s.d. 1, shuffling a adds 2 x 4 var(a): influence 8; b: 2; c, unused: 0."""
    generator = np.random.default_rng(2)
    x = generator.standard_normal((4000, 3))
    y = x @ [2, 1, 0] + generator.standard_normal(4000)
    block = np.arange(4000) * 10 // 4000

    def loss(inputs):
        each = (y - inputs @ [2, 1, 0]) ** 2
        return np.bincount(block, each)

    base = loss(x)[None, None, :, None]
    shuffled = np.empty((1, 1, 4, 10, 3, 1))
    for repeat in range(4):
        for column in range(3):
            changed = x.copy()
            changed[:, column] = changed[generator.permutation(4000), column]
            shuffled[0, 0, repeat, :, column, 0] = loss(changed)
    found = influence(base, shuffled, resampled_weights(1, 1, 10, resamples=500, generator=generator))
    # 4000 rows, 4 shuffles: the standard error of each ratio is about 3 % of it
    assert found.value[:, 0] == pytest.approx([8, 2, 0], rel=0.1, abs=0.01)
    assert (found.low[:2] > 0).all()
    assert found.low[2, 0] <= 0 <= found.high[2, 0]
    assert (found.repeat_sd[:2] > 0).all()
