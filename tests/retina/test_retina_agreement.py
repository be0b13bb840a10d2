"""Agreement of circuits: by labels, whatever the channels' numbers, against circuits drawn at random."""

import json

import numpy as np
import pytest
from scipy import stats

from pellucid.systems.retina.attribute import agreement
from pellucid.systems.retina.attribute.agreement import Member, jaccard

LABELS = ["ON fast", "OFF fast", "OFF slow", "OFF fast"]


def member(seed, order=(0, 1, 2, 3), kept=(0, 2), model="main", noise=0.0):
    """A network whose channels are the same ones in another order."""
    rng = np.random.default_rng(0)
    courses = rng.normal(size=(60, 4)) + noise * np.random.default_rng(seed).normal(size=(60, 4))
    where = [list(order).index(channel) for channel in kept]
    return Member(model, seed, [LABELS[k] for k in order], where, courses[:, list(order)])


def said(members):
    found = agreement.group({"omitted": members}, 0)
    return {name: json.loads(found.attrs[name]) for name in ("circuits", "pairs", "courses")}


def test_the_order_of_channels_does_not_matter():
    found = said([member(0), member(1, order=(3, 1, 0, 2))])
    assert found["pairs"][0]["jaccard"] == 1
    assert found["pairs"][0]["same"]
    assert [row["r"] for row in found["courses"]] == pytest.approx([1, 1, 1])
    assert {row["label"] for row in found["courses"]} == set(LABELS)


def test_every_pair_of_networks_is_compared_once():
    found = said([member(0), member(1), member(2), member(0, model="other", kept=(1,))])
    assert len(found["circuits"]) == 4
    assert len(found["pairs"]) == 6
    assert [row["experiments"] for row in found["pairs"]] == [False, False, True, False, True, True]
    assert [row["jaccard"] for row in found["pairs"]] == [1, 1, 0, 1, 0, 0]


def test_contributions_are_summed_by_label_before_they_are_correlated():
    one, other = member(0), member(1, noise=1.0)
    row = next(row for row in said([one, other])["courses"] if row["label"] == "OFF fast")
    truth = stats.pearsonr(one.courses[:, 1] + one.courses[:, 3], other.courses[:, 1] + other.courses[:, 3]).statistic
    assert row["r"] == pytest.approx(truth)


def test_labels_that_only_one_network_has_are_left_out():
    alone = Member("main", 1, ["ON slow"], [0], np.ones((60, 1)))
    found = said([member(0), alone])
    assert found["courses"] == []
    assert found["pairs"][0]["jaccard"] == 0


def test_chance_is_that_of_circuits_drawn_at_random():
    rng = np.random.default_rng(0)
    whole = Member("main", 0, LABELS, [0, 1, 2, 3], np.zeros((2, 4)))
    assert agreement.chance(whole, whole, rng) == 1
    one = Member("main", 0, ["ON fast", "OFF fast"], [0], np.zeros((2, 2)))
    # two labels, one drawn on either side: equal half of the time; s.e. .5 / sqrt(200) = .035
    assert agreement.chance(one, one, rng) == pytest.approx(0.5, abs=0.12)


def test_constant_contributions_have_no_correlation():
    flat = Member("main", 1, LABELS, [0], np.zeros((60, 4)))
    assert {row["r"] for row in said([member(0), flat])["courses"]} == {None}


@pytest.mark.parametrize(
    ("one", "other", "truth"),
    [([], [], 1), (["a"], [], 0), (["a", "b"], ["b", "c"], 1 / 3), (["a", "a"], ["a"], 1)],
)
def test_jaccard(one, other, truth):
    assert jaccard(one, other) == pytest.approx(truth)
