"""Interactions of pairs: ratios of means, signed ranks and corrected p against their definitions."""

from itertools import combinations, product

import numpy as np
import pytest

from pellucid.attribution.interactions import holm_sidak, interaction, signed_rank


def test_interactions_are_ratios_of_means():
    generator = np.random.default_rng(0)
    base, singles, both = (generator.uniform(1, 2, (2, 1, 4, *shape)) for shape in ((3,), (3, 3), (2, 3)))
    members = np.array([[0, 1], [0, 2]])
    found = interaction(base, singles, both, members, np.ones((7, 2, 1, 4)))
    total = base.sum((0, 1, 2))
    increase = [values.sum((0, 1, 2)) / total - 1 for values in (singles, both)]
    for pair, (x, y) in enumerate(members):
        assert found.value[pair] == pytest.approx(increase[1][pair] - increase[0][x] - increase[0][y])
    assert found.low == pytest.approx(found.value)  # every resample is the sample itself


def test_signed_ranks_equal_all_signs_in_turn():
    """Exact p: the share of the 2^n assignments of signs whose rank sum is at least as far from its mean."""
    values = np.random.default_rng(5).normal([1.0, 0.0], size=(7, 2))
    ranks = np.argsort(np.argsort(np.abs(values), axis=0), axis=0) + 1
    for column in (0, 1):
        r = ranks[:, column]
        sums = np.array([r[np.array(signs)].sum() for signs in product([False, True], repeat=7)])
        far = abs(r[values[:, column] > 0].sum() - r.sum() / 2)
        expected = np.mean(np.abs(sums - r.sum() / 2) >= far)
        assert signed_rank(values)[column] == pytest.approx(expected)
    assert signed_rank(np.zeros((7, 2))).tolist() == [1, 1]


def test_holm_sidak_equals_closed_testing():
    """Corrected p of a test: the largest Sidak p 1 - (1 - min p)^k over all sets of k tests that hold it."""
    p = np.random.default_rng(1).uniform(0, 0.3, (5, 2))
    p[0, 1] = 1.0
    for column in (0, 1):
        one = p[:, column]
        sets = [s for size in range(1, 6) for s in combinations(range(5), size)]
        expected = [max(1 - (1 - one[list(s)].min()) ** len(s) for s in sets if i in s) for i in range(5)]
        assert holm_sidak(p)[:, column] == pytest.approx(expected)
