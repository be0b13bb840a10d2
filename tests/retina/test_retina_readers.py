"""Files of ganglion cells and of interneurons are read as they were written, streamed, and refused when they lie."""

import contextlib
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid import config, schema, store
from pellucid.errors import ConfigError, DataError, MissingError, PellucidError
from pellucid.readers import retina_hdf5, retina_interneurons
from pellucid.readers.hdf5 import Datasets, Joined
from pellucid.stages import convert

CELLS, REPEATS = 4, 3
FRAMES = {"train": 24, "test": 7}
SHAPE = (3, 5)


def arrays(seed=0):
    """Movie, rates and counts of either part, and rates and counts of every repeat."""
    generator = np.random.default_rng(seed)
    made = {}
    for name, frames in FRAMES.items():
        made[name] = {
            "stimulus": generator.integers(0, 256, (frames, *SHAPE), dtype=np.uint8),
            "firing_rate_10ms": generator.gamma(1.0, 10.0, (CELLS, frames)),
            "binned": generator.poisson(2.0, (CELLS, frames)),
        }
    made["repeats"] = {
        "firing_rate_10ms": generator.gamma(1.0, 10.0, (REPEATS, CELLS, FRAMES["test"])),
        "binned": generator.poisson(2.0, (REPEATS, CELLS, FRAMES["test"])),
    }
    return made


def write(path, made=None, repeats="named", first=1, parts=("train", "test")):
    """Write a file, its repeats by the name of the response, by cell counted from `first`, or not at all."""
    made = made or arrays()
    named = made["repeats"]
    by_cell = {f"cell{cell + first:02d}": named["firing_rate_10ms"][:, cell] for cell in range(CELLS)}
    chosen = {"named": named, "cells": by_cell, "none": {}}[repeats]
    given = {}
    for name in parts:
        content = dict(made[name])
        movie = content.pop("stimulus")
        extra = {"repeats": lambda: chosen} if name == "test" else {}
        given[name] = retina_hdf5.Part(len(movie), iter([movie[:2], movie[2:]]), lambda c=content: c, **extra)
    retina_hdf5.write(path, given)
    return path


def read(path, **options):
    return retina_hdf5.read([path], retina_hdf5.Settings.model_validate(options))


# ---- ganglion cells ----


def test_training_rows_come_first_then_test_rows(tmp_path):
    made = arrays()
    options = {"response": ["binned", "firing_rate_10ms"], "blocks": 3, "cells": [3, 1], "centres": [[1, 2], [0.5, 4]]}
    tree = schema.check(read(write(tmp_path / "mixed.h5", made), **options).load(), "x")
    both = [made["train"], made["test"]]
    np.testing.assert_array_equal(tree["stimulus/movie"], np.concatenate([part["stimulus"] for part in both]))
    assert tree["stimulus/movie"].dtype == np.uint8
    assert tree["stimulus/block"].values.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 7
    assert tree["stimulus/test"].values.tolist() == [0] * 24 + [1] * 7
    for kind, name, units in (("rate", "firing_rate_10ms", "Hz"), ("counts", "binned", "count")):
        wanted = np.concatenate([part[name][[3, 1]].T for part in both])
        np.testing.assert_array_equal(tree[f"responses/{kind}"], wanted.astype(np.float32))
        repeats = np.stack([made["repeats"][name][:, cell] for cell in (3, 1)], axis=-1)
        np.testing.assert_array_equal(tree[f"trials/{kind}"], repeats.astype(np.float32))
        assert tree[f"responses/{kind}"].attrs["units"] == units
    for group in ("responses", "trials"):
        assert tree[group]["neuron"].values.tolist() == ["cell03", "cell01"]
        assert tree[group]["row"].values.tolist() == [1, 0.5]
        assert tree[group]["column"].values.tolist() == [2, 4]
    assert {group.attrs["rate_hz"] for group in tree.children.values()} == {100.0}
    assert tree["stimulus"].attrs["stimulus"] == "mixed"


@pytest.mark.parametrize("first", [0, 1])
def test_repeats_by_cell_are_counted_from_0_or_1(first, tmp_path):
    made = arrays()
    by_cell = read(write(tmp_path / "a.h5", made, "cells", first), cells=[2, 0])
    named = read(write(tmp_path / "b.h5", made, "named"), cells=[2, 0])
    np.testing.assert_array_equal(by_cell["trials/rate"], named["trials/rate"])
    as_counts = read(tmp_path / "a.h5", cells=[2, 0], response=["binned"], repeats="counts")
    np.testing.assert_array_equal(as_counts["trials/counts"], named["trials/rate"])
    assert "trials" not in read(tmp_path / "a.h5", response=["binned"]).children  # Hz are no counts


def test_more_than_ten_cells_keep_their_order(tmp_path):
    generator = np.random.default_rng(1)
    cells = {f"cell{cell}": generator.random((2, 6)) for cell in range(1, 13)}  # as text, cell10 comes before cell2
    part = retina_hdf5.Part(6, [np.zeros((6, 1, 1), np.uint8)], lambda: {"binned": np.ones((12, 6))}, lambda: cells)
    retina_hdf5.write(tmp_path / "a.h5", {"train": part, "test": part})
    found = retina_hdf5.Part(6, [np.zeros((6, 1, 1), np.uint8)], lambda: {"binned": np.ones((12, 6))})
    assert found.repeats() == {}
    tree = read(tmp_path / "a.h5", response=["binned"], repeats="counts")
    np.testing.assert_allclose(tree["trials/counts"].values, np.stack([*cells.values()], axis=-1), rtol=1e-6)


def test_repeats_and_test_rows_may_be_absent(tmp_path):
    assert set(read(write(tmp_path / "a.h5", repeats="none")).children) == {"stimulus", "responses"}
    only = read(write(tmp_path / "b.h5", parts=("train",)))
    assert only["stimulus/test"].values.tolist() == [0] * 24
    assert set(only.children) == {"stimulus", "responses"}


def test_one_file_is_chosen_by_the_end_of_its_path(tmp_path):
    paths = [
        tmp_path / day / name for day in ("15-10-07", "15-11-21a") for name in ("naturalscene.h5", "whitenoise.h5")
    ]
    for path in paths:
        write(path)

    def chosen(name):
        return retina_hdf5.select(paths, retina_hdf5.Settings(file=name))

    assert chosen("15-11-21a/naturalscene.h5") == [paths[2]]
    with pytest.raises(MissingError, match=r"07/naturalscene\.h5"):
        chosen("07/naturalscene.h5")
    with pytest.raises(DataError, match=r"different names|one file"):
        chosen("naturalscene.h5")


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3), bounds=st.tuples(st.integers(0, 9), st.integers(1, 9))
)
def test_joined_arrays_are_sliced_as_one(lengths, bounds):
    generator = np.random.default_rng(2)
    parts = [generator.random((length, 2, 3)) for length in lengths]
    whole, joined = np.concatenate(parts), Joined(parts, np.dtype(float), "x")
    start = min(bounds[0], len(whole) - 1)
    rows = slice(start, start + bounds[1])
    np.testing.assert_array_equal(joined[rows, 1:, :2], whole[rows, 1:, :2])
    assert joined.shape == whole.shape


def change(path, name, make):
    """Replace a dataset of a file."""
    with h5py.File(path, "r+") as file:
        old = file[name][()] if name in file else None
        if old is not None:
            del file[name]
        if make is not None:
            file[name] = make(old)


def with_value(index, value):
    def make(array):
        array = array.astype(float)
        array[index] = value
        return array

    return make


@pytest.mark.parametrize(
    ("name", "make", "options", "words"),
    [
        ("train/stimulus", None, {}, ["train/stimulus"]),
        ("train/stimulus", lambda a: a[:, 0], {}, ["train/stimulus", "height", "(24, 5)"]),
        ("test/stimulus", lambda a: a[:, :2], {}, ["test/stimulus", "(3, 5)", "(2, 5)"]),
        ("train/time", None, {}, ["train/time"]),
        ("train/time", lambda a: a[:-1], {}, ["train/time", "24", "23"]),
        ("train/time", with_value(5, np.nan), {}, ["train/time", "sample 4", "nan"]),
        ("train/time", with_value(slice(9, None), 3.0), {}, ["train/time", "sample 8"]),
        ("test/time", lambda a: a * 2, {}, ["test/time", "0.02 s", "rate_hz"]),
        (None, None, {"rate_hz": 50}, ["train/time", "0.01 s"]),
        ("train/response/firing_rate_10ms", None, {}, ["firing_rate_10ms", "binned"]),
        ("train/response/firing_rate_10ms", lambda a: a[:, 1:], {}, ["firing_rate_10ms", "24", "(4, 23)"]),
        ("test/response/firing_rate_10ms", lambda a: a[:3], {}, ["test/response", "4 cells", "3"]),
        ("train/response/firing_rate_10ms", with_value((2, 5), np.nan), {}, ["(2, 5)", "nan", "cells"]),
        ("test/response/firing_rate_10ms", with_value((0, 1), -1), {}, ["(0, 1)", "-1"]),
        ("test/repeats/firing_rate_10ms", lambda a: a[:, :, 1:], {}, ["test/repeats", "(3, 4, 6)"]),
        ("test/repeats/firing_rate_10ms", with_value((0, 1, 2), np.inf), {}, ["(0, 1, 2)", "inf"]),
        (None, None, {"cells": [0, 4]}, ["cells 0 to 3", "4"]),
        (None, None, {"blocks": 5}, ["5 blocks", "24"]),
    ],
)
def test_what_does_not_fit_is_one_error(name, make, options, words, tmp_path):
    path = write(tmp_path / "a.h5")
    if name is not None:
        change(path, name, make)
    with pytest.raises(DataError) as caught:
        read(path, **options)
    for word in ["a.h5", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(("count", "shape"), [(3, None), (4, (2, 7))])
def test_cells_without_their_repeats(count, shape, tmp_path):
    path = write(tmp_path / "a.h5", repeats="cells")
    if shape is None:
        change(path, "test/repeats/cell04", None)
    else:
        change(path, "test/repeats/cell04", lambda a: a[:2])
    with pytest.raises(DataError, match="test/repeats"):
        read(path)


def test_a_cell_that_cannot_be_used_may_be_left_out(tmp_path):
    path = write(tmp_path / "a.h5")
    change(path, "train/response/firing_rate_10ms", with_value((2, 5), np.nan))
    change(path, "test/repeats/firing_rate_10ms", with_value((0, 2, 5), np.nan))
    assert read(path, cells=[3, 0])["responses/rate"].shape == (31, 2)


def test_a_clock_may_pause_between_blocks_only(tmp_path):
    path = write(tmp_path / "a.h5")
    change(path, "train/time", lambda a: a + 7.0 * (np.arange(24) // 8))
    read(path, blocks=3)
    with pytest.raises(DataError, match="after sample 7"):
        read(path, blocks=2)


def test_times_in_float32_are_regular_after_an_hour(tmp_path):
    path = write(tmp_path / "a.h5")
    change(path, "train/time", lambda a: (3600 + a).astype(np.float32))
    read(path)


def test_a_movie_with_nan_is_refused_when_it_is_read(tmp_path):
    path = write(tmp_path / "a.h5")
    change(path, "test/stimulus", with_value((2, 1, 1), np.nan))
    with pytest.raises(DataError, match="row 26"):
        read(path)["stimulus/movie"].load()


@pytest.mark.parametrize(
    "options",
    [
        {"cells": [-1]},
        {"cells": [1, 1]},
        {"centres": [[0, 0]]},
        {"cells": [0, 1], "centres": [[0, 0]]},
        {"response": ["firing_rate_10ms", "firing_rate_20ms"]},
        {"response": ["spikes"]},
        {"blocks": 0},
        {"rate_hz": 0},
        {"cell": [0]},
    ],
)
def test_options_that_mean_nothing(options):
    with pytest.raises(ConfigError):
        config.parse(retina_hdf5.Settings, options, "options")


# ---- files that lie ----


def link_outside(file):
    file["train/stimulus"] = h5py.ExternalLink("other.h5", "/train/stimulus")


def link_inside(file):
    file["train/stimulus"] = h5py.SoftLink("/test/stimulus")


def link_in_a_circle(file):
    file["train/stimulus"] = h5py.SoftLink("/train")


def virtual(file):
    layout = h5py.VirtualLayout((24, *SHAPE), np.uint8)
    layout[:] = h5py.VirtualSource("other.h5", "/train/stimulus", (24, *SHAPE))
    file.create_virtual_dataset("train/stimulus", layout)


def stored_outside(file):
    size = 24 * SHAPE[0] * SHAPE[1]
    file.create_dataset("train/stimulus", (24, *SHAPE), np.uint8, external=[("secret.bin", 0, size)])


def never_written(file):
    file.create_dataset("train/stimulus", (24, 3000, 5000), np.uint8, chunks=(1, 3000, 5000))


def deep(file):
    file["train/stimulus"] = np.zeros(2)
    file.create_group("/".join("abcdefghijkl"))["x"] = 1


@pytest.mark.parametrize(
    "make", [link_outside, link_inside, link_in_a_circle, virtual, stored_outside, never_written, deep]
)
def test_nothing_is_read_from_outside_the_file(make, tmp_path):
    path = write(tmp_path / "a.h5")
    write(tmp_path / "other.h5")
    (tmp_path / "secret.bin").write_bytes(bytes(10000))
    with h5py.File(path, "r+") as file:
        del file["train/stimulus"]
        make(file)
    with pytest.raises(DataError, match=r"a\.h5"):
        read(path)


def test_a_hard_link_of_a_group_into_itself(tmp_path):
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["train/again"] = file["train"]
    with pytest.raises(DataError, match="groups inside"):
        read(path)


def test_what_is_no_array_of_numbers_is_left_out(tmp_path):
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["notes"] = "text"
        file["nothing"] = h5py.Empty("f")
        file["names"] = np.array(["a"], dtype=object)
    assert not {"notes", "nothing", "names"} & set(Datasets(path))
    read(path)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_file_that_is_none(content, tmp_path):
    path = write(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    with pytest.raises(DataError, match="damaged or truncated"):
        read(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 1), flip=st.integers(1, 255), kind=st.sampled_from(["cells", "boxes"]))
def test_damage_is_noticed_or_harmless(start, flip, kind, tmp_path):
    path = tmp_path / "a.h5"
    if kind == "cells":
        write(path)
    else:
        retina_interneurons.write(path, {"boxes": stimulus("boxes")})
    content = bytearray(path.read_bytes())
    content[int(start * (len(content) - 1))] ^= flip
    path.write_bytes(bytes(content))
    with contextlib.suppress(PellucidError):  # any other error fails the test
        (read(path) if kind == "cells" else potentials(path)).load()


def test_equal_values_give_equal_bytes(tmp_path):
    first, second = (store.file_digest(write(tmp_path / name)) for name in ("a.h5", "b.h5"))
    assert first == second


@pytest.mark.slow
def test_a_long_movie_is_streamed(tmp_path):
    frames, shape = 80_000, (50, 50)  # 200 MB, converted in shards of 32 MB, one in each thread
    blocks = (np.full((1000, *shape), number, np.uint8) for number in range(80))
    part = retina_hdf5.Part(frames, blocks, lambda: {"binned": np.ones((2, frames))})
    tracemalloc.start()
    retina_hdf5.write(tmp_path / "raw/a.h5", {"train": part})
    written = tracemalloc.get_traced_memory()[1]
    block = {"dataset": "d", "subject": "s", "raw": str(tmp_path / "raw"), "reader": "retina_hdf5"}
    convert.convert("r", block | {"options": {"response": ["binned"]}}, [tmp_path / "raw"], tmp_path / "r.zarr")
    read_back = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written < 10e6
    assert read_back < 150e6
    assert store.open_store(tmp_path / "r.zarr")["stimulus/movie"][::1000, 0, 0].values.tolist() == list(range(80))


# ---- interneurons ----


def stimulus(kind, samples=30, cells=3, seed=0):
    generator = np.random.default_rng(seed)
    shape = {"boxes": (samples, 6, 9), "lines": (samples, 11), "flashes": (samples,), "movingbar": (samples, 20)}[kind]
    potential = generator.normal(size=(cells, 5 * samples if kind == "movingbar" else samples))
    return generator.integers(0, 2, shape).astype(float), potential


def potentials(path, **options):
    return retina_interneurons.read([path], retina_interneurons.Settings.model_validate(options))


def shown(kind, stimuli):
    """What the network is shown, as the reference code has it, loop by loop."""
    if kind == "boxes":
        return 2 * stimuli - 1
    if kind == "flashes":
        return np.ones((len(stimuli), 38, 38)) * stimuli[:, None, None]
    if kind == "lines":
        mean = np.array([np.convolve(row, [0.5, 0.5], mode="same") for row in stimuli])[:, ::2]
        return np.stack([np.stack([row] * mean.shape[1]) for row in mean])
    groups = [stimuli[:, start : start + 6] for start in range(0, stimuli.shape[1], 6)]
    mean = np.stack([group.sum(axis=1) / 6 for group in groups], axis=1)
    frames = [np.stack([row] * mean.shape[1], axis=1) for row in mean]
    return np.stack([frame for frame in frames for _ in range(5)])


@pytest.mark.parametrize("kind", retina_interneurons.AXES)
def test_stimuli_become_movies_as_in_the_reference_code(kind, tmp_path):
    stimuli, potential = stimulus(kind)
    retina_interneurons.write(tmp_path / "bipolars.h5", {kind: (stimuli, potential), "other": stimulus("boxes")})
    tree = schema.check(potentials(tmp_path / "bipolars.h5", stimulus=kind, size_px=[43, 40], cells=[2, 0]).load(), "x")
    field = shown(kind, stimuli)
    top, left = int((43 - field.shape[1]) / 2), int((40 - field.shape[2]) / 2)
    padded = np.zeros((len(field), 43, 40), np.float32)
    padded[:, top : top + field.shape[1], left : left + field.shape[2]] = field
    np.testing.assert_allclose(tree["stimulus/movie"], padded, atol=1e-7)
    np.testing.assert_array_equal(tree["responses/potential"], potential[[2, 0]].T.astype(np.float32))
    assert tree["responses/neuron"].values.tolist() == ["cell02", "cell00"]
    assert tree["stimulus"].attrs["standardised"] == 1
    assert tree["responses/potential"].attrs["units"] == "mV"


@pytest.mark.parametrize(
    ("name", "make", "options", "words"),
    [
        ("boxes/stimuli", None, {}, ["boxes/stimuli"]),
        ("boxes/stimuli", lambda a: a[:, 0], {}, ["3 axes"]),
        ("boxes/stimuli", lambda a: a[1:], {}, ["29 samples", "30"]),
        ("boxes/detrended_membrane_potential", with_value((1, 2), np.nan), {}, ["(1, 2)", "nan"]),
        ("boxes/detrended_membrane_potential", lambda a: a[0], {}, ["cell and time", "(30,)"]),
        (None, None, {"stimulus": "lines"}, ["lines/stimuli", "boxes"]),
        (None, None, {"size_px": [50, 8]}, ["(50, 8)", "(6, 9)"]),
        (None, None, {"cells": [3]}, ["cells 0 to 2"]),
    ],
)
def test_interneurons_that_do_not_fit(name, make, options, words, tmp_path):
    retina_interneurons.write(tmp_path / "a.h5", {"boxes": stimulus("boxes")})
    if name is not None:
        change(tmp_path / "a.h5", name, make)
    with pytest.raises(DataError) as caught:
        potentials(tmp_path / "a.h5", **options)
    for word in ["a.h5", *words]:
        assert word in str(caught.value)
