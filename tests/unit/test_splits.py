"""Folds: parts never overlap, a purge gap lies between them, every row is tested once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.artifacts import row_indices
from pellucid.errors import DataError
from pellucid.preprocess import splits
from pellucid.preprocess.settings import Split


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.integers(200, 900), min_size=1, max_size=3),
    folds=st.integers(2, 5),
    purge=st.integers(0, 10),
    by=st.sampled_from(["block", "group"]),
    seed=st.integers(0, 99),
)
def test_parts_are_apart_and_every_row_is_tested_once(rows, folds, purge, by, seed):
    generator = np.random.default_rng(seed)
    counts = {f"r{i}": n for i, n in enumerate(rows)}
    groups = {name: np.sort(generator.integers(0, 30, n)) for name, n in counts.items()}
    found = splits.make(counts, Split(by=by, folds=folds), purge=purge, groups=groups)
    for name, count in counts.items():
        tested = np.zeros(count, int)
        for fold in found:
            parts = {p: row_indices(fold.rows(p).get(name, [])) for p in ("train", "validation", "test")}
            tested[parts["test"]] += 1
            for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
                if len(parts[one]) and len(parts[other]):
                    assert np.abs(parts[one][:, None] - parts[other][None]).min() > purge
            if by == "group":
                inside = set(groups[name][parts["test"]])
                assert (np.isin(groups[name], list(inside)).nonzero()[0] == parts["test"]).all()
        assert (tested == 1).all()


def test_validation_is_a_share_of_the_rest():
    fold = splits.make({"r": 1000}, Split(folds=5, validation=0.25), purge=0)[2]
    assert row_indices(fold.test["r"]).tolist() == list(range(400, 600))
    assert row_indices(fold.validation["r"]).tolist() == list(range(200, 400))
    assert len(row_indices(fold.train["r"])) == 600


def test_leave_one_subject_out_keeps_subjects_whole():
    subjects = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    found = splits.make({"a1": 5, "a2": 7, "b1": 3, "c1": 4}, Split(by="subject", folds=3), subjects=subjects)
    assert [set(fold.test) for fold in found] == [{"a1", "a2"}, {"b1"}, {"c1"}]
    for fold in found:
        assert not set(fold.train) & set(fold.test)
        assert not set(fold.validation) & (set(fold.test) | set(fold.train))


@pytest.mark.parametrize(
    ("rows", "split", "purge", "groups", "message"),
    [
        ({"r": 40}, Split(folds=2), 30, None, "purge of 30 rows"),
        ({"r": 40}, Split(by="group", folds=2), 0, None, "group label"),
        ({"r": 40}, Split(by="group", folds=2), 0, {"r": np.zeros(39)}, "group label"),
        ({"r": 40}, Split(by="subject", folds=2), 0, None, "as many subjects"),
    ],
)
def test_impossible_splits_are_refused(rows, split, purge, groups, message):
    with pytest.raises(DataError, match=message):
        splits.make(rows, split, purge=purge, groups=groups, subjects={"r": "only"})


@given(st.lists(st.booleans(), max_size=50))
def test_ranges_and_row_indices_invert_each_other(mask):
    assert row_indices(splits.ranges(np.array(mask, bool))).tolist() == np.flatnonzero(mask).tolist()
