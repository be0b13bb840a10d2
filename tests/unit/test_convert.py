"""Converting raw folders: identity and provenance, damage found by checksum, the truth never opened."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import recordings
from pellucid import readers, store
from pellucid.errors import ConfigError, DataError, MissingError, SchemaError
from pellucid.readers import binary, matlab
from pellucid.stages.convert import convert
from pellucid.stages.fetch import fetch

PARAMS = {"dataset": "rats", "subject": "rat1", "raw": "data/raw/rat", "reader": "binary"}


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """Make data/raw/rat as the stage simulate leaves it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("data/raw/rat")
    signal = np.random.default_rng(0).integers(-99, 99, (500, 4), dtype=np.int16)
    said = {"group": "ephys", "variable": "signal", "dims": ["time", "channel"], "units": "uV", "scale": 0.195}
    binary.write(folder, "signal", signal, **said, rate_hz=100.0)
    position = np.linspace(0, 1, 50, dtype=np.float32)
    position[3] = np.nan
    said = {"group": "behaviour", "variable": "position", "dims": ["time"], "units": "m"}
    binary.write(folder, "position", position, **said, rate_hz=10.0)
    (folder / "truth.zarr").mkdir()
    (folder / "truth.zarr" / "kernel.bin").write_bytes(b"secret")
    sign(folder)
    return folder


def sign(folder, **more):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    entries = {
        path.relative_to(folder).as_posix(): {"sha256": store.file_digest(path), "bytes": path.stat().st_size, **more}
        for path in files
    }
    store.write_json(folder / "manifest.json", entries)


OUTPUT = Path("results/recordings/rats/r.zarr")


def check_nothing_written():
    assert not OUTPUT.exists()
    assert not list(Path("results").rglob("*.partial"))


def test_recording_says_where_it_comes_from(raw):
    convert("r", {**PARAMS, "licence": "CC0", "citation": "a test"}, [raw], OUTPUT)
    tree = store.open_store(OUTPUT, kind="recording")
    said = json.loads(tree.attrs["provenance"])
    assert {key: tree.attrs[key] for key in tree.attrs if key != "provenance"} == {
        **{"recording": "r", "dataset": "rats", "subject": "rat1", "session": "1"},
        **{"licence": "CC0", "citation": "a test"},
    }
    assert said["config"]["raw"] == "data/raw/rat"
    assert sorted(said["inputs"]) == ["position.bin", "position.json", "signal.bin", "signal.json"]
    assert said["inputs"]["signal.bin"] == store.file_digest(raw / "signal.bin")
    assert said["manifest"] == store.file_digest(raw / "manifest.json")
    signal = tree["ephys/signal"]
    assert (signal.dtype, signal.attrs) == (np.int16, {"units": "uV", "scale": 0.195})
    assert np.isnan(tree["behaviour/position"].values).sum() == 1


def test_bytes_do_not_depend_on_where_and_how_often(raw, tmp_path, monkeypatch):
    convert("r", PARAMS, [raw], OUTPUT)
    first = store.digest(OUTPUT)
    convert("r", PARAMS, [raw], OUTPUT)
    assert store.digest(OUTPUT) == first
    convert("r", PARAMS, sorted(path for path in raw.iterdir() if path.is_file()), OUTPUT)
    assert store.digest(OUTPUT) == first
    shutil.copytree(tmp_path, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    convert("r", PARAMS, [raw], OUTPUT)
    assert store.digest(OUTPUT) == first


def test_local_files_are_named_without_their_place(raw, tmp_path):
    local = {**PARAMS, "raw": str(tmp_path / raw)}
    convert("r", local, [tmp_path / raw], OUTPUT)
    text = "".join(path.read_text() for path in OUTPUT.rglob("zarr.json"))
    assert str(tmp_path) not in text
    assert json.loads(store.open_store(OUTPUT).attrs["provenance"])["config"]["raw"] == "rat"


@pytest.fixture(scope="module")
def opened():
    """Record every file and folder this process opens or lists while the flag is up."""
    seen = {"on": False, "paths": []}

    def hook(event, args):
        if seen["on"] and event in ("open", "os.listdir", "os.scandir") and args:
            seen["paths"].append(str(args[0]))

    sys.addaudithook(hook)  # stays for the life of the process, silent while the flag is down
    return seen


@pytest.mark.parametrize("one_by_one", [False, True])
def test_truth_is_never_opened(one_by_one, raw, opened):
    inputs = sorted(path for path in raw.rglob("*") if path.is_file()) if one_by_one else [raw]
    opened["paths"].clear()
    opened["on"] = True
    convert("r", PARAMS, inputs, OUTPUT)
    opened["on"] = False
    assert any("signal.bin" in path for path in opened["paths"])
    assert not any("truth.zarr" in path for path in opened["paths"])


@pytest.mark.parametrize(("more", "stage"), [({}, "simulate"), ({"url": "http://127.0.0.1/x"}, "fetch")])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_damaged_file_is_refused(one_by_one, more, stage, raw):
    sign(raw, **more)
    content = bytearray((raw / "signal.bin").read_bytes())
    content[100] ^= 1
    (raw / "signal.bin").write_bytes(bytes(content))
    inputs = sorted(raw.glob("*.*n")) if one_by_one else [raw]
    with pytest.raises(DataError) as caught:
        convert("r", PARAMS, inputs, OUTPUT)
    assert "signal.bin" in str(caught.value)
    assert f"stage {stage}" in str(caught.value)
    check_nothing_written()


def test_missing_file_of_the_manifest_is_refused(raw):
    (raw / "position.bin").unlink()
    (raw / "position.json").unlink()
    with pytest.raises(MissingError, match=r"position\.(bin|json)"):
        convert("r", PARAMS, [raw], OUTPUT)
    check_nothing_written()


def test_file_beside_the_manifest_is_refused(raw):
    said = {"group": "behaviour", "variable": "speed", "dims": ["time"], "rate_hz": 10.0}
    binary.write(raw, "speed", np.zeros(50), **said)
    with pytest.raises(DataError, match="speed"):
        convert("r", PARAMS, [raw], OUTPUT)


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', '{"a": {"md5": "x"}}'])
def test_manifest_of_another_kind(text, raw):
    (raw / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json"):
        convert("r", PARAMS, [raw], OUTPUT)


def test_local_folder_needs_no_manifest(raw, tmp_path):
    (raw / "manifest.json").unlink()
    shutil.move(raw, tmp_path / "lab")
    files = sorted(path for path in Path("lab").iterdir() if path.is_file())
    convert("r", {**PARAMS, "raw": "lab"}, files, OUTPUT)
    assert "manifest" not in json.loads(store.open_store(OUTPUT, kind="recording").attrs["provenance"])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"reader": "floppy"}, ConfigError),
        ({"options": {"group": {}}}, ConfigError),
        ({"colour": "red"}, ConfigError),
        ({"reader": "csv", "options": {"groups": {"trials": {"variables": {"x": {"dims": ["trial"]}}}}}}, MissingError),
    ],
)
def test_wrong_block_is_one_error(change, error, raw):
    with pytest.raises(error):
        convert("r", {**PARAMS, **change}, [raw], OUTPUT)
    check_nothing_written()


def test_group_that_is_no_clock(raw):
    said = json.loads((raw / "signal.json").read_text()) | {"group": "lfp"}
    (raw / "signal.json").write_text(json.dumps(said))
    sign(raw)
    with pytest.raises(SchemaError, match="lfp"):
        convert("r", PARAMS, [raw], OUTPUT)
    check_nothing_written()


def test_damage_seen_only_while_streaming_leaves_nothing(raw):
    """A v7.3 file whose chunk is broken opens well and fails when the chunk is read."""
    (raw / "manifest.json").unlink()
    path = Path("lab/session.mat")
    matlab.write(path, {"x": np.random.default_rng(0).normal(size=(2000, 3))}, version="7.3", compress=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.write_bytes(bytes(content))
    options = {"groups": {"ephys": {"rate_hz": 1.0, "variables": {"x": {"dims": ["time", "channel"]}}}}}
    given = readers.settings("matlab").model_validate(options)
    readers.reader("matlab").read([path], given)
    with pytest.raises(DataError, match=r"session\.mat"):
        convert("r", {**PARAMS, "raw": "lab", "reader": "matlab", "options": options}, [path], OUTPUT)
    check_nothing_written()


@pytest.mark.recording
def test_real_recording_from_mirror_to_store(tmp_path, monkeypatch):
    """The published features of Figure 2, fetched from the mirror without a network and converted."""
    sha256 = "d2b55add7e75573d95cadd02942729a23995349268cf03b831e0e3144965cad1"
    path = recordings.find("Figure2_source_data_wake.mat", sha256)
    monkeypatch.setenv("PELLUCID_DATA", str(recordings.folder()))
    monkeypatch.chdir(tmp_path)
    file = {
        "url": "http://127.0.0.1:9/wake.mat",
        "sha256": sha256,
        "mirror": str(path.relative_to(recordings.folder())),
    }
    fetch({"files": {"wake.mat": file}, "licence": "not stated", "citation": "none"}, Path("data/raw/wake"))
    amplitude = {"source": "FPAuhf", "dims": ["time", "channel"], "units": "mV"}
    options = {"groups": {"features": {"rate_hz": 3.333, "variables": {"amplitude": amplitude}}}}
    params = {**PARAMS, "raw": "data/raw/wake", "reader": "matlab", "options": options}
    convert("wake", params, [Path("data/raw/wake")], OUTPUT)
    tree = store.open_store(OUTPUT, kind="recording")
    assert tree["features/amplitude"].shape == (2650, 128)
    assert json.loads(tree.attrs["provenance"])["inputs"] == {"wake.mat": sha256}
