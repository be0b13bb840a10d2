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


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    folds=st.integers(2, 6),
    types=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_stratified_folds_share_out_every_label(counts, folds, types, seed):
    generator = np.random.default_rng(seed)
    rows = {f"r{i}": n + 3 * folds for i, n in enumerate(counts)}
    labels = {name: generator.integers(0, types, n).astype(str) for name, n in rows.items()}
    split = Split(by="stratified", folds=folds, validation=0.2, seed=seed)
    found = splits.make(rows, split, groups=labels)
    parts = [{part: fold.rows(part) for part in ("train", "validation", "test")} for fold in found]
    for name, label in labels.items():
        masks = [{part: row_indices(rows.get(name, [])) for part, rows in fold.items()} for fold in parts]
        assert np.bincount(np.concatenate([mask["test"] for mask in masks])).tolist() == [1] * rows[name]
        for mask in masks:
            together = np.concatenate(list(mask.values()))
            assert sorted(together) == list(range(rows[name]))  # no purge, no overlap
        for kind in np.unique(label):
            tested = [(label[mask["test"]] == kind).sum() for mask in masks]
            assert max(tested) - min(tested) <= 1
            for mask, test in zip(masks, tested):
                rest = (label == kind).sum() - test
                assert abs((label[mask["validation"]] == kind).sum() - 0.2 * rest) <= 1
    for fold in parts:
        sizes = {part: sum(len(row_indices(r)) for r in found.values()) for part, found in fold.items()}
        assert abs(sizes["validation"] - 0.2 * (sizes["validation"] + sizes["train"])) <= 0.5 + 1e-9


def test_stratified_folds_follow_the_seed_alone():
    labels = {"r": np.array(list("abc") * 20)}

    def made(seed):
        return splits.make({"r": 60}, Split(by="stratified", seed=seed), groups=labels)

    assert made(3) == made(3)
    assert made(3) != made(4)


def test_stratified_folds_can_be_purged_and_need_labels():
    labels = {"r": np.zeros(400, int)}
    fold = splits.make({"r": 400}, Split(by="stratified", folds=50, validation=0.01, purge_rows=1), groups=labels)[0]
    train, test = row_indices(fold.train["r"]), row_indices(fold.test["r"])
    assert np.abs(train[:, None] - test[None]).min() > 1
    with pytest.raises(DataError, match="split by stratified"):
        splits.make({"r": 400}, Split(by="stratified"), groups=None)
