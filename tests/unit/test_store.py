"""Stores: what is written is read back, in equal bytes, whole or not at all, and in bounded memory."""

import errno
import json
import os
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pellucid import store
from pellucid.errors import MissingError, SchemaError, StorageError

DTYPES = st.sampled_from(["<i2", "<i4", "<f4", "<f8", "bool"])
SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, max_side=7)
AXES = ("trial", "channel", "feature")


def tree(values: np.ndarray) -> xr.DataTree:
    variable = xr.Variable(AXES[: values.ndim], values, {"units": "uV"})
    return xr.DataTree.from_dict({"/trials": xr.Dataset({"signal": variable})})


def regular(values: np.ndarray | object) -> xr.DataTree:
    group = xr.Dataset({"signal": (("time", "channel"), values, {"units": "uV"})})
    group.attrs = {"rate_hz": 1000.0, "start_s": 0.0}
    return xr.DataTree.from_dict({"/ephys": group})


@settings(max_examples=25, deadline=None)
@given(values=st.tuples(DTYPES, SHAPES).flatmap(lambda pair: hnp.arrays(*pair)))
def test_round_trip_keeps_values_and_types(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("round") / "x.zarr"
    store.write(path, tree(values))
    found = store.open_store(path)["trials/signal"]
    assert found.dtype == values.dtype
    assert found.dims == AXES[: values.ndim]
    np.testing.assert_array_equal(found.values, values)


def test_equal_trees_give_equal_bytes(tmp_path):
    values = np.random.default_rng(0).standard_normal((50, 3))
    for name in ("a", "b"):
        store.write(tmp_path / f"{name}.zarr", tree(values))
    assert store.digest(tmp_path / "a.zarr") == store.digest(tmp_path / "b.zarr")


def test_a_streamed_store_has_the_bytes_of_one_written_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "CHUNK_BYTES", 64)
    monkeypatch.setattr(store, "SHARD_CHUNKS", 3)
    values = np.random.default_rng(0).standard_normal((101, 3)).astype("float32")
    store.write(tmp_path / "whole.zarr", regular(values))
    with store.Writer(tmp_path / "parts.zarr", regular(store.placeholder(values.shape))) as writer:
        for rows in np.split(values, [1, 30, 31, 77]):
            writer.append("/ephys/signal", rows)
    assert store.digest(tmp_path / "whole.zarr") == store.digest(tmp_path / "parts.zarr")


def test_streaming_needs_the_memory_of_a_few_shards(tmp_path):
    rows = np.ones((100_000, 16), "float32")
    tracemalloc.start()
    with store.Writer(tmp_path / "x.zarr", regular(store.placeholder((4_000_000, 16)))) as writer:
        for _ in range(40):
            writer.append("/ephys/signal", rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * store.CHUNK_BYTES * store.SHARD_CHUNKS  # the array itself: 256 MB


@pytest.mark.parametrize("count", [9, 11])
def test_a_writer_given_too_few_or_too_many_rows_leaves_nothing(tmp_path, count):
    with (
        pytest.raises(SchemaError, match="expected 10 rows"),
        store.Writer(tmp_path / "x.zarr", regular(store.placeholder((10, 2)))) as writer,
    ):
        writer.append("/ephys/signal", np.zeros((count, 2), "float32"))
    assert list(tmp_path.iterdir()) == []


def test_digests_tell_bytes_from_content(tmp_path):
    values = np.arange(12.0).reshape(4, 3)
    renamed = tree(values)
    renamed.attrs["recording"] = "other"
    store.write(tmp_path / "a.zarr", tree(values))
    store.write(tmp_path / "b.zarr", renamed)
    store.write(tmp_path / "c.zarr", tree(values + 1))
    digests = [store.digest(tmp_path / f"{name}.zarr") for name in "abc"]
    contents = [store.content_digest(tmp_path / f"{name}.zarr") for name in "abc"]
    assert len(set(digests)) == 3
    assert contents[0] == contents[1] != contents[2]


def test_the_time_stamp_of_snakemake_changes_no_digest_and_no_reading(tmp_path):
    store.write(tmp_path / "a.zarr", tree(np.ones((2, 2))))
    before = store.digest(tmp_path / "a.zarr"), store.content_digest(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / ".snakemake_timestamp").touch()
    assert before == (store.digest(tmp_path / "a.zarr"), store.content_digest(tmp_path / "a.zarr"))
    store.open_store(tmp_path / "a.zarr")


def test_the_order_of_a_listing_is_never_seen(tmp_path, monkeypatch):
    names = [f"v{i}" for i in range(9)]
    made = xr.Dataset({n: ("trial", np.zeros(2), {"units": "1"}) for n in names}, {"trial": [0, 1]}, {"why": "test"})
    store.write(tmp_path / "x.zarr", xr.DataTree.from_dict({f"/{n}/inner": made for n in names}))
    listed = os.scandir
    for order in (lambda e: e.name, lambda e: e.name[::-1], lambda e: [-ord(c) for c in e.name]):
        monkeypatch.setattr(os, "scandir", lambda path, order=order: Listing(sorted(listed(path), key=order)))
        found = store.open_store(tmp_path / "x.zarr")
        assert list(found.children) == names
        inner = found["v4/inner"].to_dataset()
        assert list(inner.data_vars) == names
        assert list(inner.coords) == ["trial"]
        assert inner.attrs == {"why": "test"}


class Listing(list):
    """Entries of a folder, as `os.scandir` gives them."""

    def __enter__(self):
        return iter(self)

    def __exit__(self, *error):
        return None


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path):
    with store.atomic_folder(tmp_path / "x") as partial:
        (partial / "one").write_text("1")
    with pytest.raises(ValueError, match="invalid literal"), store.atomic_folder(tmp_path / "x") as partial:
        (partial / "two").write_text(str(int("two")))
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["x", "x/one"]


def test_what_a_killed_job_left_is_replaced(tmp_path):
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "x.partial" / "half").write_text("?")
    with store.atomic_folder(tmp_path / "x") as partial:
        (partial / "one").write_text("1")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["one"]
    assert not (tmp_path / "x.partial").exists()


def test_a_full_disk_is_one_clear_message(tmp_path):
    with (
        pytest.raises(StorageError, match=r"No space left.*Free disk space"),
        store.atomic_file(tmp_path / "x") as partial,
    ):
        raise OSError(errno.ENOSPC, "No space left on device", str(partial))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_while_a_store_is_opened_leaves_nothing(tmp_path, monkeypatch):
    def full(tree, folder, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr(store, "_to_zarr", full)
    with (
        pytest.raises(StorageError, match="Free disk space"),
        store.Writer(tmp_path / "x.zarr", regular(np.zeros((4, 2)))),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_missing_store_says_so(tmp_path):
    with pytest.raises(MissingError, match=r"expected a zarr v3 store, found no zarr.json"):
        store.open_store(tmp_path / "none.zarr")


def test_json_is_sorted_and_has_no_nan(tmp_path):
    store.write_json(tmp_path / "x.json", {"b": np.float32(np.nan), "a": np.arange(2), "c": (1, 2.5)})
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"a": [0, 1], "b": None, "c": [1, 2.5]}
    assert text.index('"a"') < text.index('"b"')


@pytest.mark.parametrize("depth", [1, 2])
def test_only_products_that_no_one_names_are_deleted(tmp_path, depth):
    places = {1: ("a", "b", "notes"), 2: ("m/a", "m/b", "n/a", "m/notes")}[depth]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / ("read.me" if "notes" in place else "model.json")).touch()
    store.keep_only([tmp_path / places[0]], "model.json", depth=depth)
    left = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {places[0], places[-1]}
    assert not (tmp_path / "n").exists()
