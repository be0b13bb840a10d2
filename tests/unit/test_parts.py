"""Parts of a long store: together they have the bytes of one job, and whatever is not whole is refused."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pellucid import parts, store
from pellucid.errors import ConfigError, DataError, MissingError, SchemaError, StorageError
from pellucid.readers import binary
from pellucid.stages.convert import convert
from pellucid.stages.preprocess import collect_features, preprocess

ROWS, SHARD = 101, 12  # nine shards, the last of five rows


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    """Chunks of four rows of three bands and five channels, shards of three chunks."""
    monkeypatch.setattr(store, "CHUNK_BYTES", 4 * 3 * 5 * 4 + 7)
    monkeypatch.setattr(store, "SHARD_CHUNKS", 3)


POWER = np.random.default_rng(0).standard_normal((ROWS, 3, 5)).astype("float32")


def template(power=POWER, rows=ROWS, subject="rat"):
    """A store with one long variable, or with that variable in memory."""
    features = xr.Dataset(
        {
            "power": (("time", "frequency", "channel"), power, {"units": "uV^2"}),
            "behaviour": (("time", "output"), np.random.default_rng(1).standard_normal((rows, 2)), {"units": "m"}),
        },
        coords={
            "time": ("time", np.arange(rows) / 30, {"units": "s"}),
            "channel": np.array(list("abcde"), object),
            "channel_group": ("channel", np.array(list("vvwww"), object)),
        },
    )
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"subject": subject}), "/features": features})


def long(**changes):
    return template(store.placeholder(POWER.shape), **changes)


def blocks(start, stop, step=7):
    """Pieces that end anywhere but at the borders of shards."""
    return (POWER[at : min(at + step, stop)] for at in range(start, stop, step))


def scatter(folder: Path, count: int, origin: str = "o") -> list[Path]:
    made = [folder / f"{number}.zarr" for number in range(count)]
    for number, path in enumerate(made):
        parts.write(path, long(), blocks, parts.Part(number, count, origin))
    return made


def shards(path: Path) -> list[str]:
    return sorted(file.parent.parent.name for file in (path / "features/power/c").glob("*/0/0"))


@pytest.fixture
def whole(tmp_path):
    """Return the digest of the store that is written at once."""
    store.write(tmp_path / "whole.zarr", template())
    return store.digest(tmp_path / "whole.zarr")


@pytest.mark.parametrize("count", [1, 4, 11])
def test_gathered_parts_have_the_bytes_of_one_store(tmp_path, whole, count):
    made = scatter(tmp_path, count)
    parts.gather(tmp_path / "all.zarr", long(), list(reversed(made)), "o")
    assert store.digest(tmp_path / "all.zarr") == whole
    np.testing.assert_array_equal(store.open_store(tmp_path / "all.zarr")["features/power"].values, POWER)


def test_no_shard_is_written_twice_and_the_parts_are_linked(tmp_path):
    made = scatter(tmp_path, 4)
    assert sorted(shard for path in made for shard in shards(path)) == [str(number) for number in range(9)]
    assert [len(shards(path)) for path in made] == [2, 2, 2, 3]
    parts.gather(tmp_path / "all.zarr", long(), made, "o")
    for path in made:
        for shard in shards(path):
            files = [root / "features/power/c" / shard / "0/0" for root in (path, tmp_path / "all.zarr")]
            assert files[0].samefile(files[1])


@hypothesis_settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 400), count=st.integers(1, 20))
def test_parts_are_whole_shards_that_follow_each_other(rows, count):
    tree = template(store.placeholder((rows, 3, 5)), rows=rows)
    borders = [parts.Part(number, count, "o").rows(tree) for number in range(count)]
    assert [start for start, _ in borders] == [0, *(stop for _, stop in borders[:-1])]
    assert borders[-1][1] == rows
    size = store.layout(tree["features/power"].variable)[1][0]
    assert all(stop % size == 0 for _, stop in borders[:-1] if stop < rows)
    sizes = [-(-(stop - start) // size) for start, stop in borders]
    assert max(sizes) - min(sizes) <= 1


def test_a_part_without_a_shard_holds_none_and_asks_for_no_rows(tmp_path):
    def refuse(start, stop):
        raise AssertionError(f"asked for [{start}, {stop})")

    part = next(part for n in range(11) if (part := parts.Part(n, 11, "o")).rows(long())[0] == part.rows(long())[1])
    parts.write(tmp_path / "empty.zarr", long(), refuse, part)
    assert shards(tmp_path / "empty.zarr") == []


def test_a_part_is_the_same_store_each_time_and_reads_as_nan_elsewhere(tmp_path):
    for name in ("a", "b"):
        parts.write(tmp_path / f"{name}.zarr", long(), blocks, parts.Part(1, 3, "o"))
    assert store.digest(tmp_path / "a.zarr") == store.digest(tmp_path / "b.zarr")
    found = store.open_store(tmp_path / "a.zarr")["features/power"].values
    np.testing.assert_array_equal(found[3 * SHARD : 6 * SHARD], POWER[3 * SHARD : 6 * SHARD])
    assert np.isnan(found[: 3 * SHARD]).all()
    assert np.isnan(found[6 * SHARD :]).all()


def test_shards_of_nothing_but_nan_are_no_loss(tmp_path):
    power = POWER.copy()
    power[2 * SHARD : 4 * SHARD] = np.nan  # zarr writes no file for them, neither alone nor in parts
    made = [tmp_path / f"{number}.zarr" for number in range(3)]
    for number, path in enumerate(made):
        parts.write(path, long(), lambda a, b: iter([power[a:b]]), parts.Part(number, 3, "o"))
    store.write(tmp_path / "whole.zarr", template(power))
    parts.gather(tmp_path / "all.zarr", long(), made, "o")
    assert store.digest(tmp_path / "all.zarr") == store.digest(tmp_path / "whole.zarr")


def refuse_shards(code):
    """Return a function in place of os.link that links anything but shards: zarr links its metadata too."""
    link = os.link

    def refuse(source, target):
        if "features/power/c" in str(source) and "partial" not in str(source):
            raise OSError(code, os.strerror(code))
        link(source, target)

    return refuse


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM])
def test_where_no_link_can_be_made_shards_are_copied(tmp_path, whole, monkeypatch, code):
    made = scatter(tmp_path, 2)
    monkeypatch.setattr(os, "link", refuse_shards(code))
    parts.gather(tmp_path / "all.zarr", long(), made, "o")
    assert store.digest(tmp_path / "all.zarr") == whole
    shutil.rmtree(made[0])
    assert store.digest(tmp_path / "all.zarr") == whole


def test_a_full_disk_leaves_no_store(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    made = scatter(tmp_path, 2)
    monkeypatch.setattr(os, "link", refuse_shards(errno.ENOSPC))
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match="No space left"):
        parts.gather(tmp_path / "all.zarr", long(), made, "o")
    assert not list(tmp_path.glob("all*"))


def lose(part):
    (part / "features/power/c/3/0/0").unlink()


def cut(part):
    file = part / "features/power/c/4/0/0"
    file.write_bytes(file.read_bytes()[:-9])


def other_rows(part):
    text = (part / "features/power/zarr.json").read_text()
    (part / "features/power/zarr.json").write_text(text.replace(str(ROWS), str(ROWS + 1)))


def no_part(part):
    store.write(part, template())


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lose, MissingError, r"1.zarr.*c/3/0/0: expected a shard of \d+ bytes, found nothing. Delete .*1.zarr and run"),
        (cut, MissingError, r"c/4/0/0: expected a shard of \d+ bytes, found \d+ bytes"),
        (shutil.rmtree, MissingError, r"1.zarr: expected the store of a part, found no zarr.json"),
        (other_rows, DataError, r"1.zarr: .*found an array of another shape"),
        (no_part, DataError, r"1.zarr: .*found a store that is no part of another"),
    ],
)
def test_a_damaged_part_is_refused_by_name(tmp_path, damage, error, message):
    made = scatter(tmp_path, 3)
    damage(made[1])
    with pytest.raises(error, match=message):
        parts.gather(tmp_path / "all.zarr", long(), made, "o")
    assert not list(tmp_path.glob("all*"))


def test_parts_of_something_else_are_refused(tmp_path):
    made = scatter(tmp_path / "a", 2)
    with pytest.raises(DataError, match=r"0.zarr: .*found a part of another recording, or made with other settings"):
        parts.gather(tmp_path / "all.zarr", long(), made, "other")
    with pytest.raises(DataError, match="found an array of another shape"):
        parts.gather(tmp_path / "all.zarr", template(store.placeholder((ROWS + SHARD, 3, 5)), ROWS + SHARD), made, "o")


@pytest.mark.parametrize("chosen", [[0, 1], [0, 1, 1], [0, 1, 2, 2]])
def test_every_part_is_needed_once(tmp_path, chosen):
    made = scatter(tmp_path, 3)
    with pytest.raises(DataError, match=f"expected parts 0 to 2, each once, found parts {', '.join(map(str, chosen))}"):
        parts.gather(tmp_path / "all.zarr", long(), [made[number] for number in chosen], "o")


@pytest.mark.parametrize("number", [-1, 3])
def test_there_are_only_so_many_parts(tmp_path, number):
    with pytest.raises(ConfigError, match="expected a number from 0 to 2, as there are 3 parts"):
        parts.write(tmp_path / "x.zarr", long(), blocks, parts.Part(number, 3, "o"))


@pytest.mark.parametrize("more", [-1, ROWS])
def test_rows_must_be_those_that_were_asked_for(tmp_path, more):
    given = np.concatenate([POWER, POWER])
    with pytest.raises(SchemaError, match="rows"):
        parts.write(tmp_path / "x.zarr", long(), lambda a, b: iter([given[a : b + more]]), parts.Part(0, 2, "o"))
    assert list(tmp_path.iterdir()) == []


def test_a_part_holds_one_shard_in_memory(tmp_path, monkeypatch):
    flushed, flush = [], store.Writer._flush
    monkeypatch.setattr(store.Writer, "_flush", lambda self, *a: (flushed.append(len(a[1])), flush(self, *a)))
    parts.write(tmp_path / "x.zarr", long(), blocks, parts.Part(1, 2, "o"))
    assert flushed == [SHARD, SHARD, SHARD, SHARD, 5]


# The stage, with the features of a real system

FEATURES = {
    "targets": {"b": {"source": "/behaviour/b", "units": "m"}},
    "wavelets": {"block_samples": 10, "lowest_hz": 60},
    "window_rows": 2,
    "split": {"folds": 2, "purge_rows": 9},
}


def record(folder: Path, seed: int) -> Path:
    """Make a recording of 2030 samples of three channels at 1 kHz, int16, and one behaviour at 50 Hz."""
    rng = np.random.default_rng(seed)
    signal, b = rng.normal(0, 300, (2030, 3)).astype("int16"), rng.standard_normal((110, 1))
    axes = {"ephys": ["time", "channel"], "behaviour": ["time", "output"]}
    for group, name, values, rate in (("ephys", "signal", signal, 1000.0), ("behaviour", "b", b, 50.0)):
        about = {"group": group, "variable": name, "dims": axes[group], "rate_hz": rate, "units": "uV", "scale": 0.195}
        binary.write(folder / "raw", name, values, **about)
    block = {"dataset": "d", "subject": "s", "raw": str(folder / "raw"), "reader": "binary"}
    convert("walk", block, [folder / "raw"], folder / "walk.zarr")
    return folder / "walk.zarr"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Return two recordings of the same names and shapes and other samples."""
    return [record(tmp_path_factory.mktemp(f"recording{seed}"), seed) for seed in range(2)]


def in_parts(recording: Path, folder: Path, params: dict, count: int) -> list[Path]:
    made = [folder / f"{number}.zarr" for number in range(count)]
    for number, path in enumerate(made):
        preprocess("deepinsight", {**params, "parts": count}, recording, path, part=number)
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bad_channels": ["1"], "wavelets": {"block_samples": 7, "lowest_hz": 90, "causal": True}},
        {"transform": "none"},
        {"missing": {"rail": [-500, 500], "mask_s": [[0.9, 1.1]]}},
    ],
    ids=["wavelets", "causal", "no transform", "missing samples"],
)
def test_features_in_parts_have_the_bytes_of_one_job(recordings, tmp_path, changes):
    params = {**FEATURES, **changes}
    preprocess("deepinsight", params, recordings[0], tmp_path / "one/walk.zarr")
    made = in_parts(recordings[0], tmp_path, params, 3)
    preprocess("deepinsight", params, recordings[0], tmp_path / "some/walk.zarr", parts=made)
    assert all(shards(path) for path in made)
    tables = []
    for name, number in (("one", 1), ("some", 3)):
        folder = tmp_path / name
        settings = {**params, "parts": number}
        collect_features("deepinsight", settings, [folder / "walk.zarr"], folder / "features.json")
        tables.append((folder / "features.json").read_bytes())
    assert store.digest(tmp_path / "one/walk.zarr") == store.digest(tmp_path / "some/walk.zarr")
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("recording", "changes"), [(1, {}), (0, {"window_rows": 3}), (0, {"wavelets": {"block_samples": 10}})]
)
def test_parts_of_another_recording_or_with_other_settings_are_refused(recordings, tmp_path, recording, changes):
    made = in_parts(recordings[0], tmp_path, FEATURES, 2)
    with pytest.raises(DataError, match=r"0.zarr: .*found a part of another recording, or made with other settings"):
        preprocess("deepinsight", {**FEATURES, **changes}, recordings[recording], tmp_path / "x.zarr", parts=made)


def test_part_and_parts_exclude_each_other_and_need_a_system_that_knows_them(recordings, tmp_path):
    with pytest.raises(ConfigError, match="expected --part or --parts, found both"):
        preprocess("deepinsight", FEATURES, recordings[0], tmp_path / "x", part=0, parts=[tmp_path])
    with pytest.raises(ConfigError, match="system 'retina': expected no parts, which this system does not know"):
        preprocess("retina", {}, recordings[0], tmp_path / "x", part=0)
