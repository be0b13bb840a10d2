"""One contract for all readers: simulated files are read back as written, streamed, and refused when damaged."""

import io
import json
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import xarray as xr
from fixed_formats import FIXED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pellucid import config, readers, schema, store
from pellucid.errors import ConfigError, DataError, MissingError, PellucidError
from pellucid.readers import binary, csv, matlab, tiff, torch_file
from pellucid.readers import numpy as numpy_reader
from recordings import find

WAKE = "d2b55add7e75573d95cadd02942729a23995349268cf03b831e0e3144965cad1"
SCALE, RATE, START = 0.195, 1000.0, 0.25


@dataclass(frozen=True)
class Format:
    """A way to write the simulated session, and the options that read it back."""

    reader: str
    save: Callable[[Path, dict[str, np.ndarray]], None]
    names: dict[str, str | list[str]]
    truncate: Callable[[Path], Path]
    integer: str = "int16"


def session(rows: int = 1003, channels: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    position = generator.normal(size=61)
    position[5] = np.nan
    return {
        "signal": generator.integers(-(2**15), 2**15, (rows, channels), dtype=np.int16),
        "position": position,
        "clock": np.cumsum(generator.uniform(0.01, 0.05, 61)),
    }


def expected(arrays: dict[str, np.ndarray], integer: str) -> xr.DataTree:
    """Build the tree by hand, independently of the layout."""
    signal = xr.Variable(("time", "channel"), arrays["signal"].astype(integer), {"units": "uV", "scale": SCALE})
    ephys = xr.Dataset({"signal": signal}, attrs={"rate_hz": RATE, "start_s": START})
    ephys = ephys.assign_coords(channel=np.array(["a", "b", "c"], dtype=object))
    behaviour = xr.Dataset(
        {"position": ("time", arrays["position"], {"units": "cm"})},
        coords={"time": ("time", arrays["clock"], {"units": "s"})},
    )
    return xr.DataTree.from_dict({"/ephys": ephys, "/behaviour": behaviour})


def save_binary(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    blocks = np.array_split(arrays["signal"], 4)  # a simulator may write block by block
    ephys = {"group": "ephys", "variable": "signal", "dims": ["time", "channel"], "units": "uV", "scale": SCALE}
    labels = {"channel": ["a", "b", "c"]}
    binary.write(folder, "signal", blocks, **ephys, rate_hz=RATE, start_s=START, coordinates=labels)
    for name, variable, units in (("position", "position", "cm"), ("clock", "time", "s")):
        where = {"group": "behaviour", "variable": variable, "dims": ["time"], "units": units}
        binary.write(folder, name, arrays[name], **where)


def save_csv(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    csv.write(folder / "ephys.csv", {f"signal{i}": column for i, column in enumerate(arrays["signal"].T)})
    csv.write(folder / "behaviour.csv", {"t": arrays["clock"], "position": arrays["position"]})


def save_tiff(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    tiff.write(folder / "signal.tif", arrays["signal"][None])  # one image
    csv.write(folder / "behaviour.csv", {"t": arrays["clock"], "position": arrays["position"]})


def save_matlab(**options: object) -> Callable[[Path, dict[str, np.ndarray]], None]:
    def save(folder: Path, arrays: dict[str, np.ndarray]) -> None:
        content = {"lfp": {"signal": arrays["signal"]}, "track": ["x", arrays["position"]], "t": arrays["clock"]}
        matlab.write(folder / "session.mat", content, **options)

    return save


def halve(name: str) -> Callable[[Path], Path]:
    def cut(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 1])
        return path

    return cut


def cut_row(folder: Path) -> Path:
    path = folder / "ephys.csv"
    path.write_bytes(path.read_bytes().rpartition(b",")[0])
    return path


MAT = {"signal": "lfp.signal", "position": "track[1]", "clock": "t"}
PLAIN = {"signal": "signal", "position": "position", "clock": "clock"}
TABLES = {"signal": "ephys/signal*", "position": "behaviour/position", "clock": "behaviour/t"}
FORMATS = {
    "binary": Format("binary", save_binary, {}, halve("signal.bin")),
    "csv": Format("csv", save_csv, TABLES, cut_row, "int64"),
    "matlab-5": Format("matlab", save_matlab(), MAT, halve("session.mat")),
    "matlab-7": Format("matlab", save_matlab(compress=True), MAT, halve("session.mat")),
    "matlab-7.3": Format("matlab", save_matlab(version="7.3"), MAT, halve("session.mat")),
    "matlab-7.3z": Format("matlab", save_matlab(version="7.3", compress=True), MAT, halve("session.mat")),
    "npy": Format("numpy", lambda f, a: numpy_reader.write(f, a), PLAIN, halve("signal.npy")),
    "npz": Format("numpy", lambda f, a: numpy_reader.write(f / "s.npz", a), PLAIN, halve("s.npz")),
    "tiff": Format("tiff", save_tiff, {"signal": "signal", "position": "position", "clock": "t"}, halve("signal.tif")),
    "torch": Format("torch_file", lambda f, a: torch_file.write(f / "s.pt", a), PLAIN, halve("s.pt")),
}
every = pytest.mark.parametrize("name", [*FORMATS, *FIXED])
with_clock = pytest.mark.parametrize("name", FORMATS)
with_layout = pytest.mark.parametrize("name", [name for name in FORMATS if name != "binary"])


def save(name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if name in FIXED:
        FIXED[name].save(folder)
    else:
        FORMATS[name].save(folder, session())


def saved(name: str) -> xr.DataTree:
    """Return what `save` put into the files, built by hand."""
    return FIXED[name].tree() if name in FIXED else expected(session(), FORMATS[name].integer)


def truncate(name: str, folder: Path) -> Path:
    return (FIXED | FORMATS)[name].truncate(folder)


def options(name: str, **changes: object) -> dict[str, object]:
    if name in FIXED:
        return FIXED[name].options
    names = FORMATS[name].names
    if not names:
        return {}
    signal = {"source": names["signal"], "dims": ["time", "channel"], "units": "uV", "scale": SCALE}
    position = {"source": names["position"], "dims": ["time"], "units": "cm"}
    ephys = {
        "rate_hz": RATE,
        "start_s": START,
        "variables": {"signal": signal | changes},
        "coordinates": {"channel": {"values": ["a", "b", "c"]}},
    }
    return {"groups": {"ephys": ephys, "behaviour": {"time": names["clock"], "variables": {"position": position}}}}


def read(name: str, folder: Path, **changes: object) -> xr.DataTree:
    module = readers.reader((FIXED | FORMATS)[name].reader)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return module.read(files, module.Settings.model_validate(options(name, **changes)))


def check_message(error: PellucidError, *words: str) -> None:
    for part in (error.where, error.expected, error.found, error.remedy):
        assert part
    for word in words:
        assert word in str(error)


@every
def test_what_is_written_is_read_back(name, tmp_path):
    save(name, tmp_path)
    tree = read(name, tmp_path)
    xr.testing.assert_identical(tree.load(), saved(name))
    schema.check(tree, name)


@every
def test_store_holds_the_same(name, tmp_path):
    save(name, tmp_path / "raw")
    store.write(tmp_path / "x.zarr", read(name, tmp_path / "raw"))
    found = store.open_store(tmp_path / "x.zarr").load()
    for path, array in schema.data_variables(saved(name)):
        text = array.dtype.kind == "O"  # strings are StringDType in a store
        assert found[path].dtype == (np.dtypes.StringDType() if text else array.dtype)
        np.testing.assert_array_equal(found[path].values, array.values)
        assert found[path].attrs == array.attrs


def test_equal_arrays_give_equal_bytes(tmp_path):
    names = [*FORMATS, *FIXED]
    for name in names:
        save(name, tmp_path / "first" / name)
    time.sleep(1.1)  # the clocks of file headers count seconds
    for name in names:
        save(name, tmp_path / "second" / name)
        assert store.digest(tmp_path / "first" / name) == store.digest(tmp_path / "second" / name), name


@every
def test_truncated_file_is_one_error(name, tmp_path):
    save(name, tmp_path)
    path = truncate(name, tmp_path)
    with pytest.raises(DataError) as caught:
        read(name, tmp_path)
    check_message(caught.value, path.name)


@every
def test_empty_file_is_one_error(name, tmp_path):
    save(name, tmp_path)
    path = truncate(name, tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read(name, tmp_path)
    check_message(caught.value, path.name)


@with_layout
def test_missing_variable_suggests_the_nearest(name, tmp_path):
    FORMATS[name].save(tmp_path, session())
    wrong = str(FORMATS[name].names["position"]).replace("i", "y").replace("k[1]", "k[7]")
    changes = {"source": wrong, "dims": ["time"]}
    with pytest.raises(DataError) as caught:
        read(name, tmp_path, **changes)
    check_message(caught.value, wrong, "Did you mean", "ephys/signal")


@pytest.mark.parametrize("dims", [["time"], ["time", "channel", "neuron"], ["time", "chanel"], ["time", "time"]])
@with_layout
def test_wrong_axes_are_one_error(name, dims, tmp_path):
    FORMATS[name].save(tmp_path, session())
    with pytest.raises(DataError) as caught:
        read(name, tmp_path, dims=dims)
    check_message(caught.value, "ephys/signal")


@pytest.mark.parametrize("rate", [0, -5.0, float("nan"), float("inf"), "fast"])
@with_layout
def test_wrong_rate_is_refused_with_the_options(name, rate):
    wrong = options(name)
    wrong["groups"]["ephys"]["rate_hz"] = rate
    with pytest.raises(ConfigError) as caught:
        config.parse(readers.settings(FORMATS[name].reader), wrong, "options")
    check_message(caught.value, "rate_hz")


@every
def test_file_that_is_not_there(name, tmp_path):
    with pytest.raises(MissingError):
        read(name, tmp_path)


@with_layout
def test_unequal_lengths_name_both_arrays(name, tmp_path):
    FORMATS[name].save(tmp_path, session())
    wrong = options(name)
    wrong["groups"]["behaviour"]["variables"] |= wrong["groups"].pop("ephys")["variables"]
    module = readers.reader(FORMATS[name].reader)
    with pytest.raises(DataError) as caught:
        module.read(sorted(tmp_path.iterdir()), module.Settings.model_validate(wrong))
    check_message(caught.value, "axis time", "1003", "61")


@pytest.mark.parametrize(("index", "value"), [(3, np.nan), (3, 0.0), (0, np.inf)])
@with_clock
def test_a_clock_that_stops_is_one_error(name, index, value, tmp_path):
    arrays = session()
    arrays["clock"][index] = value
    FORMATS[name].save(tmp_path, arrays)
    with pytest.raises(DataError) as caught:
        read(name, tmp_path)
    check_message(caught.value, "sample", "time")


def big_binary(folder: Path, rows: int) -> None:
    binary.write(
        folder, "x", np.zeros((1, 64), "int16"), **{"group": "ephys", "variable": "x"}, dims=["time", "channel"]
    )
    with (folder / "x.bin").open("r+b") as file:
        file.truncate(rows * 128)
    said = json.loads((folder / "x.json").read_text()) | {"samples": rows, "rate_hz": 1.0}
    (folder / "x.json").write_text(json.dumps(said))


def big_npy(folder: Path, rows: int) -> None:
    np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.int16, shape=(rows, 64)).flush()


def big_mat(folder: Path, rows: int) -> None:
    matlab.write(folder / "x.mat", {"y": 1.0}, version="7.3")
    with h5py.File(folder / "x.mat", "r+") as file:
        file.create_dataset("x", (64, rows), "int16", chunks=(64, 4096)).attrs["MATLAB_class"] = b"int16"


@pytest.mark.parametrize(
    ("name", "make"), [("binary", big_binary), ("numpy", big_npy), ("matlab", big_mat)], ids=lambda v: str(v)[:8]
)
def test_a_long_signal_is_streamed(name, make, tmp_path):
    rows = 1_600_000  # 205 MB of int16 in 64 channels, in a sparse file
    (tmp_path / "raw").mkdir()
    make(tmp_path / "raw", rows)
    variables = {"x": {"dims": ["time", "channel"]}}
    layout = {} if name == "binary" else {"groups": {"ephys": {"rate_hz": 1.0, "variables": variables}}}
    module = readers.reader(name)
    tracemalloc.start()
    tree = module.read(sorted((tmp_path / "raw").iterdir()), module.Settings.model_validate(layout))
    store.write(tmp_path / "x.zarr", tree)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tree["ephys/x"].nbytes == 204_800_000
    assert peak < 150e6, f"{peak / 1e6:.0f} MB held at once"  # a few shards of 32 MiB, one thread each
    assert store.open_store(tmp_path / "x.zarr")["ephys/x"].shape == (rows, 64)


ARRAYS = st.sampled_from(["int8", "uint8", "int16", "int32", "int64", "uint64", "float32", "float64", "bool"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=ARRAYS, order=st.permutations(["repeat", "time", "neuron", "width"]))
@pytest.mark.parametrize("name", ["binary", "matlab-5", "matlab-7", "matlab-7.3", "npy", "npz", "torch"])
def test_any_array_survives(name, array, order, tmp_path):
    dims = order[: array.ndim]
    kind = FORMATS[name].reader
    with_name = {"lfp": {"signal": array}, "track": ["x", 1], "t": 1}
    if kind == "binary":
        if array.dtype == bool:
            return
        said = {"group": "ephys", "variable": "signal", "dims": dims}
        binary.write(tmp_path, "signal", array, **said, rate_hz=1.0)
    elif kind == "matlab":
        packed = {"matlab-5": {}, "matlab-7": {"compress": True}, "matlab-7.3": {"version": "7.3"}}[name]
        matlab.write(tmp_path / "session.mat", with_name, **packed)
    else:
        FORMATS[name].save(tmp_path, {"signal": array})
    variable = {"source": FORMATS[name].names.get("signal"), "dims": dims}
    layout = {} if kind == "binary" else {"groups": {"ephys": {"rate_hz": 1.0, "variables": {"signal": variable}}}}
    module = readers.reader(kind)
    found = module.read(sorted(tmp_path.iterdir()), module.Settings.model_validate(layout))["ephys/signal"]
    assert found.dtype == array.dtype
    assert list(found.dims) == sorted(dims, key=schema.DIMENSIONS.index)
    np.testing.assert_array_equal(found.transpose(*dims).values, array)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=hnp.arrays("float64", st.integers(1, 30), elements=st.floats(allow_nan=True)),
    whole=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30),
)
def test_any_column_survives(numbers, whole, tmp_path):
    csv.write(tmp_path / "a.csv", {"x": numbers})
    csv.write(tmp_path / "b.csv", {"n": np.array(whole, dtype=np.int64)})
    groups = {"behaviour": {"rate_hz": 1.0, "variables": {"x": {"source": "a/x", "dims": ["time"]}}}}
    groups["spikes"] = {"variables": {"n": {"source": "b/n", "dims": ["spike"]}}}
    found = csv.read([tmp_path / "a.csv", tmp_path / "b.csv"], csv.Settings.model_validate({"groups": groups}))
    np.testing.assert_array_equal(found["behaviour/x"].values, numbers)
    np.testing.assert_array_equal(found["spikes/n"].values, whole)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 1), change=st.integers(1, 255), cut=st.booleans())
@pytest.mark.parametrize("name", ["matlab-5", "matlab-7", "matlab-7.3", "npy", "npz", "tiff", "torch", *FIXED])
def test_damage_is_noticed_or_harmless(name, start, change, cut, tmp_path):
    save(name, tmp_path)
    path = truncate(name, tmp_path)
    save(name, tmp_path)
    content = bytearray(path.read_bytes())
    place = int(start * (len(content) - 1))
    content[place] ^= change
    path.write_bytes(bytes(content[:place] if cut else content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of what looks odd, before or instead of failing
        try:
            read(name, tmp_path).load()
        except PellucidError as error:
            check_message(error)


# ---- what only one format has ----


def table(tmp_path: Path, text: str, source: str = "x", **more: object) -> np.ndarray:
    (tmp_path / "t.csv").write_text(text)
    group = {"rate_hz": 1.0, "variables": {"x": {"source": source, "dims": ["time"]}}}
    given = csv.Settings.model_validate({"groups": {"behaviour": group}, **more})
    return csv.read([tmp_path / "t.csv"], given)["behaviour/x"].values


def test_csv_missing_cells_are_nan(tmp_path):
    np.testing.assert_array_equal(table(tmp_path, "t,x\n0,1.5\n1,\n2,NA\n3,-2\n\n"), [1.5, np.nan, np.nan, -2])


def test_csv_without_names_and_with_tabs(tmp_path):
    text = "made by a camera\n1\t2\n3\t4\n"
    found = table(tmp_path, text, delimiter="\t", columns=["t", "x"], skip_lines=1)
    assert found.dtype == np.int64
    assert found.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t,x\n0,1\n1,two\n", ("line 3", "column x", "'two'")),
        ("t,x\n0,1\n1,1_0\n", ("line 3", "'1_0'")),
        ("t,x\n0,1\n1\n", ("line 3", "2 cells", "1")),
        ("t,x\n0,1\n\n1,2\n", ("line 3", "an empty line")),
        ("t,t\n0,1\n", ("different names",)),
        ("", ("different names",)),
        ("t,x\n", ("axis time",)),
    ],
)
def test_csv_names_the_line(text, words, tmp_path):
    with pytest.raises(DataError) as caught:
        table(tmp_path, text)
    check_message(caught.value, *words)


def test_csv_that_is_not_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x81")
    group = {"rate_hz": 1.0, "variables": {"x": {"dims": ["time"]}}}
    with pytest.raises(DataError, match="UTF-8"):
        csv.read([tmp_path / "t.csv"], csv.Settings.model_validate({"groups": {"behaviour": group}}))


def test_numpy_refuses_pickles(tmp_path):
    for name, save in (("a.npy", np.save), ("b.npz", np.savez)):
        folder = tmp_path / name[0]
        folder.mkdir()
        save(folder / name, np.array([{"x": 1}], dtype=object))
        group = {"rate_hz": 1.0, "variables": {"x": {"source": "a" if name == "a.npy" else "arr_0", "dims": ["time"]}}}
        given = numpy_reader.Settings.model_validate({"groups": {"behaviour": group}})
        with pytest.raises(DataError, match="pickled"):
            numpy_reader.read(list(folder.iterdir()), given)


def test_npz_entries_have_no_times(tmp_path):
    numpy_reader.write(tmp_path / "a.npz", {"x": np.arange(3)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def mat(tmp_path: Path, version: str, source: str, dims: list[str], **content: object) -> np.ndarray:
    matlab.write(tmp_path / "m.mat", content, version=version)
    variables = {"x": {"source": source, "dims": dims}}
    given = matlab.Settings.model_validate({"groups": {"trials": {"variables": variables}}})
    return matlab.read([tmp_path / "m.mat"], given)["trials/x"].values


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_matlab_types(version, tmp_path):
    nested = {"a": [np.arange(3), {"b": np.array(["left", "up"])}], "ok": np.array([True, False])}
    assert mat(tmp_path, version, "s.a[1].b", ["trial"], s=nested).tolist() == ["left", "up"]
    assert mat(tmp_path, version, "s.a[0]", ["trial"], s=nested).tolist() == [0, 1, 2]
    assert mat(tmp_path, version, "s.ok", ["trial"], s=nested).dtype == bool
    assert mat(tmp_path, version, "z", ["trial"], z=np.array([1 + 2j, 3])).tolist() == [1 + 2j, 3]
    for wrong in ("s", "s.a", "s.a[5]", "s.b", "s.a.b", "s[0]", "s..a", "q"):
        with pytest.raises(DataError) as caught:
            mat(tmp_path, version, wrong, ["trial"], s=nested)
        check_message(caught.value, repr(wrong), "s.ok")


@pytest.mark.parametrize("shape", [(3, 2), (1, 3, 2), (3, 2, 1)])
@pytest.mark.parametrize("version", ["5", "7.3"])
def test_matlab_singleton_axes_are_dropped(version, shape, tmp_path):
    values = np.arange(6.0).reshape(shape)
    np.testing.assert_array_equal(mat(tmp_path, version, "x", ["trial", "neuron"], x=values), values.reshape(3, 2))


def test_an_axis_that_could_be_either_is_refused(tmp_path):
    with pytest.raises(DataError, match="several ways"):
        mat(tmp_path, "5", "x", ["trial", "neuron"], x=np.zeros((1, 4, 1)))


def test_matlab_struct_arrays(tmp_path):
    values = np.array([(np.arange(2.0), "x"), (np.arange(3.0), "y")], dtype=[("t", "O"), ("n", "O")])
    assert mat(tmp_path, "5", "s[1].t", ["trial"], s=values).tolist() == [0, 1, 2]


def test_matlab73_struct_arrays(tmp_path):
    """As MATLAB stores them: each field is a set of references without a class."""
    matlab.write(tmp_path / "m.mat", {"c": [np.arange(2.0), np.arange(3.0)]}, version="7.3")
    with h5py.File(tmp_path / "m.mat", "r+") as file:
        group = file.create_group("s")
        group.attrs["MATLAB_class"] = b"struct"
        group.create_dataset("t", data=file["c"][()], dtype=h5py.ref_dtype)
    given = {"groups": {"trials": {"variables": {"x": {"source": "s[1].t", "dims": ["trial"]}}}}}
    found = matlab.read([tmp_path / "m.mat"], matlab.Settings.model_validate(given))
    assert found["trials/x"].values.tolist() == [0, 1, 2]


def test_matlab_sparse(tmp_path, monkeypatch):
    dense = np.diag([1.0, 0.0, 3.0])
    assert np.array_equal(mat(tmp_path, "5", "x", ["trial", "neuron"], x=scipy.sparse.csc_array(dense)), dense)
    monkeypatch.setattr("pellucid.readers.matlab73.SPARSE_BYTES", 8)
    with pytest.raises(DataError, match="72 bytes"):
        mat(tmp_path, "5", "x", ["trial", "neuron"], x=scipy.sparse.csc_array(dense))


def test_matlab73_sparse(tmp_path):
    dense = scipy.sparse.csc_array(np.array([[1.0, 0, 0], [0, 2, 5]]))
    matlab.write(tmp_path / "m.mat", {"y": 1.0}, version="7.3")
    with h5py.File(tmp_path / "m.mat", "r+") as file:
        group = file.create_group("x")
        group.attrs["MATLAB_sparse"] = np.uint64(2)
        for key, value in (("data", dense.data), ("ir", dense.indices), ("jc", dense.indptr)):
            group[key] = value
    given = {"groups": {"trials": {"variables": {"x": {"dims": ["trial", "neuron"]}}}}}
    found = matlab.read([tmp_path / "m.mat"], matlab.Settings.model_validate(given))
    np.testing.assert_array_equal(found["trials/x"].values, dense.toarray())


def test_matlab_numbers_keep_their_class(tmp_path):
    """MATLAB stores doubles that are whole numbers as bytes; they are doubles all the same."""
    matlab.write(tmp_path / "m.mat", {"x": np.arange(4.0)})
    content = bytearray((tmp_path / "m.mat").read_bytes())
    small = io.BytesIO()
    scipy.io.savemat(small, {"x": np.arange(4, dtype=np.uint8).reshape(-1, 1)})
    content[128:] = small.getvalue()[128:]
    content[144] = 6  # mxDOUBLE_CLASS over uint8 data
    (tmp_path / "m.mat").write_bytes(bytes(content))
    given = {"groups": {"trials": {"variables": {"x": {"dims": ["trial"]}}}}}
    found = matlab.read([tmp_path / "m.mat"], matlab.Settings.model_validate(given))["trials/x"]
    assert found.dtype == np.float64
    assert found.values.tolist() == [0, 1, 2, 3]


def test_matlab73_header_is_the_one_of_matlab(tmp_path):
    matlab.write(tmp_path / "m.mat", {"x": 1.0}, version="7.3")
    head = (tmp_path / "m.mat").read_bytes()[:520]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:128] == b"\x00\x02IM"
    assert head[512:] == b"\x89HDF\r\n\x1a\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate_hz": 0}, "rate_hz"),
        ({"rate_hz": -1.0}, "rate_hz"),
        ({"rate_hz": float("nan")}, "rate_hz"),
        ({"rate_hz": None}, "rate_hz"),
        ({"dims": ["time"]}, "shape"),
        ({"dims": ["time", "chanel"]}, "channel"),
        ({"dtype": "int24"}, "dtype"),
        ({"unit": "uV"}, "unit"),
        ({"samples": 1004}, "1004 rows"),
        ({"shape": [None, 5]}, "rows"),
        ({"shape": [10, 3]}, "one block"),
        ({"offset_bytes": 10_000}, "header"),
        ({"coordinates": {"channel": {"values": ["a"]}}}, "axis channel"),
    ],
)
def test_binary_sidecar_that_does_not_fit(change, words, tmp_path):
    save_binary(tmp_path, session())
    said = json.loads((tmp_path / "signal.json").read_text()) | change
    (tmp_path / "signal.json").write_text(json.dumps(said))
    with pytest.raises(DataError) as caught:
        read("binary", tmp_path)
    check_message(caught.value, words)


def test_binary_sidecar_that_is_not_json(tmp_path):
    save_binary(tmp_path, session())
    (tmp_path / "signal.json").write_text("{")
    with pytest.raises(DataError, match=r"signal\.json"):
        read("binary", tmp_path)


@pytest.mark.parametrize("gone", ["signal.bin", "signal.json"])
def test_binary_half_a_pair(gone, tmp_path):
    save_binary(tmp_path, session())
    (tmp_path / gone).unlink()
    with pytest.raises(MissingError, match=gone):
        read("binary", tmp_path)


def test_binary_sidecars_must_agree(tmp_path):
    for name, rate in (("a", 10.0), ("b", 20.0)):
        said = {"group": "ephys", "variable": name, "dims": ["time"]}
        binary.write(tmp_path, name, np.zeros(4), **said, rate_hz=rate)
    with pytest.raises(DataError, match="rate_hz"):
        read("binary", tmp_path)


def test_binary_described_in_the_options(tmp_path):
    """A bare file of an acquisition system: header, then samples of all channels."""
    values = np.arange(12, dtype="<i2").reshape(4, 3)
    (tmp_path / "day1.dat").write_bytes(b"HEAD" + values.tobytes())
    said = {"group": "ephys", "variable": "signal", "dims": ["time", "channel"], "shape": [None, 3], "dtype": "int16"}
    given = {"files": {"day1.dat": said | {"offset_bytes": 4, "rate_hz": 10.0}}}
    found = binary.read([tmp_path / "day1.dat"], binary.Settings.model_validate(given))
    np.testing.assert_array_equal(found["ephys/signal"].values, values)
    with pytest.raises(MissingError, match=r"day1\.dat"):
        binary.read([], binary.Settings.model_validate(given))


def test_settings_ask_for_a_clock():
    with pytest.raises(ConfigError, match="rate_hz"):
        config.parse(matlab.Settings, {"groups": {"ephys": {"variables": {"x": {"dims": ["time"]}}}}}, "options")


def test_clock_in_milliseconds_and_coordinates_of_the_file(tmp_path):
    arrays = {"t": np.array([0.0, 20, 40]), "x": np.zeros((3, 2)), "unit": np.array([7, 9]), "f": np.array([4.0, 8])}
    numpy_reader.write(tmp_path / "a.npz", arrays)
    group = {
        **{"time": "t", "time_scale": 0.001, "attributes": {"track_cm": 290}},
        "variables": {"x": {"dims": ["time", "neuron"]}},
        "coordinates": {"neuron": {"source": "unit"}, "depth": {"source": "f", "dims": ["neuron"], "units": "um"}},
    }
    given = numpy_reader.Settings.model_validate({"groups": {"responses": group}})
    tree = schema.check(numpy_reader.read([tmp_path / "a.npz"], given), "x")
    found = tree["responses"]
    np.testing.assert_allclose(found["time"], [0, 0.02, 0.04], rtol=1e-15)
    assert found["neuron"].values.tolist() == [7, 9]
    assert found["depth"].attrs == {"units": "um"}
    assert set(found.coords) == {"time", "neuron", "depth"}
    assert found.attrs == {"track_cm": 290}


@pytest.mark.recording
def test_real_recording_is_read_as_published():
    """128 channels of ultra-high-frequency amplitude, position, speed and 77 units (Figure 2 source data)."""
    path = find("Figure2_source_data_wake.mat", WAKE)
    variables = {
        "amplitude": {"source": "FPAuhf", "dims": ["time", "channel"], "units": "mV"},
        "position": {"source": "Position", "dims": ["time"], "units": "track length"},
        "spikes": {"source": "Spikes", "dims": ["time", "neuron"], "units": "count"},
    }
    given = matlab.Settings.model_validate({"groups": {"features": {"rate_hz": 3.333, "variables": variables}}})
    found = schema.check(matlab.read([path], given), "wake")["features"]
    assert found.sizes == {"time": 2650, "channel": 128, "neuron": 77}
    oracle = scipy.io.loadmat(path)
    np.testing.assert_array_equal(found["amplitude"], oracle["FPAuhf"])
    np.testing.assert_array_equal(found["position"], oracle["Position"][:, 0])
    assert 0 <= float(found["position"].min()) <= float(found["position"].max()) <= 1
