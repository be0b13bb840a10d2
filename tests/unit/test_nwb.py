"""NWB 2 and the HDF5 layout of Open Ephys: files of pynwb itself, equal bytes, clocks, links that lead elsewhere."""

import os
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from ephys_formats import CHANNELS, SPIKES, TRACK, counts, nwb_bytes, places, save_nwb, save_open_ephys, write_nwb
from pynwb import NWBHDF5IO, NWBFile, validate
from pynwb.behavior import Position, SpatialSeries
from pynwb.ecephys import LFP, ElectricalSeries

from pellucid import config, schema, store
from pellucid.errors import ConfigError, DataError
from pellucid.readers import clocks, nwb, open_ephys

LED = "acquisition/timeseries/recording0/tracking/ProcessedPos"
STAMPS = "acquisition/timeseries/recording0/continuous/processor0/timestamps"


def read(path: Path, **options):
    return nwb.read([path], nwb.Settings.model_validate(options))


def foreign(path: Path, **signal: object) -> Path:
    """Write what another laboratory might: stamps, a gain per channel, int ids, LFP in processing, classes renamed."""
    file = NWBFile(session_description="x", identifier="y", session_start_time=datetime(2020, 1, 2, tzinfo=UTC))
    device = file.create_device(name="probe")
    shanks = [file.create_electrode_group(name, "x", "CA1", device) for name in ("left", "right")]
    for index in range(4):
        file.add_electrode(id=10 + index, location="CA1", group=shanks[index // 2])
    raw = {"data": counts()[:, :3], "electrodes": file.create_electrode_table_region([3, 0, 1], "some")}
    clock = {"timestamps": 5 + np.arange(1003) / 500.0}
    file.add_acquisition(ElectricalSeries(**({"name": "raw", "conversion": 2e-7} | raw | clock | signal)))
    one = file.create_electrode_table_region([2], "one")
    lfp = LFP()
    file.create_processing_module("ecephys", "x").add(lfp)
    lfp.create_electrical_series(name="lfp", data=counts()[:, 0], electrodes=one, rate=100.0, starting_time=2.5)
    led = SpatialSeries(name="led", data=places()[:, :2], timestamps=np.arange(61) * 0.1, reference_frame="x")
    file.create_processing_module("behavior", "x").add(Position(spatial_series=led))
    file.add_unit_column("kind", "class")
    for index, times in enumerate(SPIKES.values()):
        file.add_unit(spike_times=times, electrode_group=shanks[index % 2], kind=f"k{index}", id=7 + index)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def test_file_of_another_writer(tmp_path):
    path = foreign(tmp_path / "a.nwb", channel_conversion=[1.0, 1.0, 2.5])
    options = {"unit_class": "kind", "unit_group": "electrode_group"}
    tree = schema.check(read(path, **options, behaviour={"led": "processing/behavior/Position/led"}), "x")
    ephys = tree["ephys"]
    np.testing.assert_array_equal(ephys["signal"], counts()[:, :3])
    assert ephys["channel"].values.tolist() == ["13", "10", "11"]
    assert ephys["channel_group"].values.tolist() == ["right", "left", "left"]
    assert ephys["scale"].values.tolist() == [0.2, 0.2, 0.5]
    assert ephys["signal"].attrs == {"units": "uV"}
    assert ephys.attrs == {"rate_hz": 500.0, "start_s": 5.0}
    assert tree["spikes/neuron"].values.tolist() == ["7", "8", "9"]
    assert tree["spikes/unit_class"].values.tolist() == ["k0", "k1", "k2"]
    assert tree["spikes/unit_group"].values.tolist() == ["left", "right", "left"]
    assert tree["behaviour/led"].attrs == {"units": "meters"}
    assert tree["behaviour/output"].values.tolist() == ["1", "2"]
    np.testing.assert_array_equal(tree["behaviour/led"], places()[:, :2])


def test_a_group_may_be_called_like_anything_else(tmp_path):
    """Every object has an id of its own, also where two of them share a name."""
    for name in ("probe", "signal", "units", "electrodes"):
        write_nwb(tmp_path / f"{name}.nwb", groups=[name] * len(CHANNELS))
        assert set(read(tmp_path / f"{name}.nwb")["ephys"]["channel_group"].values) == {name}


def test_series_by_its_path(tmp_path):
    tree = read(foreign(tmp_path / "a.nwb"), series="/processing/ecephys/LFP/lfp", spikes=False)
    assert list(tree.children) == ["ephys"]
    np.testing.assert_array_equal(tree["ephys/signal"], counts()[:, :1])
    assert tree["ephys/signal"].dtype == np.int16
    assert tree["ephys/signal"].attrs == {"units": "uV", "scale": 1e6}
    assert tree["ephys"].attrs == {"rate_hz": 100.0, "start_s": 2.5}
    assert tree["ephys/channel"].values.tolist() == ["12"]


def test_offset_is_noted(tmp_path):
    found = read(foreign(tmp_path / "a.nwb", offset=-0.001))["ephys/signal"]
    assert found.attrs == {"units": "uV", "scale": 0.2, "offset": -1000.0}


def test_pynwb_finds_no_fault_with_what_is_written(tmp_path):
    save_nwb(tmp_path)
    with NWBHDF5IO(tmp_path / "session.nwb", "r", load_namespaces=False) as io:
        assert not validate(io=io)
        content = io.read()
        np.testing.assert_array_equal(content.acquisition["signal"].data[:], counts())
        np.testing.assert_allclose(content.acquisition["signal"].conversion, 0.195e-6, rtol=1e-12)
        assert content.units["unit_name"][:].tolist() == list(SPIKES)
        np.testing.assert_array_equal(content.units["spike_times"][0], SPIKES["u7"])
        assert content.subject.subject_id == "rat1"


def test_equal_sessions_give_equal_bytes(tmp_path):
    write_nwb(tmp_path / "session.nwb")
    assert (tmp_path / "session.nwb").read_bytes() == nwb_bytes()


@pytest.mark.slow
def test_equal_bytes_in_another_process(tmp_path):
    """With another hash seed, at another time."""
    code = "from pathlib import Path; from ephys_formats import write_nwb; write_nwb(Path('made.nwb'))"
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "made.nwb").read_bytes() == nwb_bytes()


def test_object_ids_are_those_of_their_place_and_session(tmp_path):
    ids = []
    for session in ("s1", "s2"):
        write_nwb(tmp_path / f"{session}.nwb", session=session)
        found = []
        with h5py.File(tmp_path / f"{session}.nwb") as file:
            file.visititems(lambda _, node, found=found: found.append(node.attrs.get("object_id")))
        ids += [one for one in found if one is not None]
    assert len(ids) > 20
    assert len(set(ids)) == len(ids)


def test_rows_that_do_not_make_the_signal(tmp_path):
    for blocks in ([counts()[:50]], [counts(), counts()], [counts()[:, :2]]):
        with pytest.raises(DataError, match=r"session\.nwb"):
            write_nwb(tmp_path / "session.nwb", signal_blocks=iter(blocks))
    assert not list(tmp_path.iterdir())


def test_behaviour_at_a_rate(tmp_path):
    save_nwb(tmp_path)
    found = read(tmp_path / "session.nwb", behaviour={"speed": "processing/behavior/speed"})["behaviour"]
    assert found.attrs == {"rate_hz": 50.0, "start_s": 0.0}
    assert found["speed"].attrs == {"units": "m/s"}
    np.testing.assert_array_equal(found["speed"], np.arange(7.0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"series": "acquisition/raw"}, ("acquisition/raw", "acquisition/signal", "series")),
        ({"behaviour": {"led": "processing/behavior/place"}}, ("processing/behavior/led", "speed")),
        ({"behaviour": {"led": TRACK, "speed": "processing/behavior/speed"}}, ("clock of processing/behavior/led",)),
        ({"behaviour": {"led": TRACK | {"outputs": ["x", "y"]}}}, ("4 names", "2")),
        ({"channel": "label"}, ("label", "channel_name")),
        ({"channel": "location"}, ("different names", "unknown")),
        ({"unit_class": "kind"}, ("kind", "unit_class")),
        ({"rate_hz": 1000.0}, ("1000 Hz", "2000 Hz")),
    ],
)
def test_what_is_not_there_is_one_error(options, words, tmp_path):
    save_nwb(tmp_path)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "session.nwb", **options)
    for word in words:
        assert word in str(caught.value)


def test_behaviour_is_not_named_like_an_axis():
    with pytest.raises(ConfigError, match="axes"):
        config.parse(nwb.Settings, {"behaviour": {"time": "processing/behavior/led"}}, "options")


def change(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        file[name] = value
        if isinstance(file.get(name, getlink=True), h5py.HardLink):
            file[name].attrs.update(attributes)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("acquisition/signal/starting_time", np.inf, "a start"),
        ("units/spike_times_index", np.array([9, 3, 5]), "spike_times_index"),
        ("units/spike_times_index", np.array([3, 3, 4]), "spike_times_index"),
        ("units/spike_times", np.array([0.5, np.nan, 1, 2, 3]), "finite"),
        ("acquisition/signal/electrodes", np.array([0, 1, 2, 3, 9]), "electrodes"),
        ("acquisition/signal/data", np.zeros((1003, 4), "int16"), "an electrode for each channel"),
        ("acquisition/signal/data", h5py.ExternalLink("other.nwb", "/data"), "a link out of it"),
        ("general/devices/more", h5py.ExternalLink("/etc/passwd", "/"), "a link out of it"),
        ("acquisition/loop", h5py.SoftLink("/acquisition"), "session.nwb"),
    ],
)
def test_contradictions_and_links_are_one_error(name, value, words, tmp_path):
    save_nwb(tmp_path)
    path = tmp_path / "session.nwb"
    change(path, name, value)
    with pytest.raises(DataError, match=words):
        read(path, behaviour={"led": TRACK}).load()


def test_numbers_outside_the_file_are_refused(tmp_path):
    save_nwb(tmp_path)
    path, name = tmp_path / "session.nwb", "processing/behavior/led/data"
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = places()
    virtual = h5py.VirtualLayout((61, 4), "float64")
    virtual[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (61, 4))
    makers = (
        lambda file: file.create_virtual_dataset(name, virtual),
        lambda file: file.create_dataset(name, (61, 4), "float64", external=[(str(tmp_path / "raw"), 0, 1952)]),
        lambda file: file.create_dataset(name, (10**9, 4), "float64", chunks=(1000, 4)),
    )
    for make in makers:
        with h5py.File(path, "r+") as file:
            del file[name]
            make(file)
        with pytest.raises(DataError, match="led/data"):
            read(path)


def test_types_of_extensions_are_not_loaded(tmp_path):
    save_nwb(tmp_path)
    with h5py.File(tmp_path / "session.nwb", "r+") as file:
        file["processing/behavior/led"].attrs["namespace"] = "ndx-odd"
        file["processing/behavior/led"].attrs["neurodata_type"] = "OddSeries"
        file["specifications/ndx-odd/1.0/namespace"] = "{}"
    with pytest.raises(DataError, match=r"types of the core.*ndx-odd"):
        read(tmp_path / "session.nwb")


def test_first_version_is_sent_to_its_reader(tmp_path):
    save_open_ephys(tmp_path)
    with pytest.raises(DataError, match="open_ephys_nwb1"):
        read(tmp_path / "rat.nwb")


@pytest.mark.parametrize("rate", [333.0, 30_000.0, 1250.05])
def test_regular_stamps(rate):
    stamps = 17.5 + np.arange(40_000) / rate
    jittered = stamps + np.random.default_rng(1).uniform(-0.2, 0.2, len(stamps)) / rate
    jittered[[0, -1]] = stamps[[0, -1]]
    for given in (stamps, jittered):
        found, start = clocks.regular(given, None, "x")
        assert found == pytest.approx(rate, rel=1e-9)
        assert start == 17.5
    assert clocks.regular(stamps, rate, "x")[0] == rate


@pytest.mark.parametrize("at", [1, 700, 998])
@pytest.mark.parametrize("value", [np.nan, 0.6, -0.6, 5.0])
def test_stamps_off_by_more_than_half_a_sample(at, value, monkeypatch):
    monkeypatch.setattr(clocks, "_ROWS", 300)
    stamps = np.arange(1000) / 250.0
    stamps[at] += value / 250.0
    with pytest.raises(DataError, match=f"sample {at}"):
        clocks.regular(stamps, None, "x")


def test_gap_in_the_stamps(tmp_path):
    stamps = np.r_[np.arange(500), np.arange(600, 1103)] / 2000.0
    save_open_ephys(tmp_path)
    change(tmp_path / "rat.nwb", STAMPS, stamps)
    with pytest.raises(DataError, match="sample"):
        open_ephys.read([tmp_path / "rat.nwb"], open_ephys.Settings())


@pytest.mark.parametrize("stamps", [np.zeros(1003), np.arange(1003)[::-1] / 2.0, np.full(1003, np.nan), np.zeros(4)])
def test_stamps_that_are_no_clock(stamps, tmp_path):
    save_open_ephys(tmp_path)
    change(tmp_path / "rat.nwb", STAMPS, stamps)
    with pytest.raises(DataError, match="timestamps"):
        open_ephys.read([tmp_path / "rat.nwb"], open_ephys.Settings())


@pytest.mark.parametrize("bad", [b"1,9", b"x", b"-1", 3])
def test_bad_channels_that_are_no_channels(bad, tmp_path):
    save_open_ephys(tmp_path)
    change(tmp_path / "rat.nwb", open_ephys.BAD, np.bytes_(bad) if isinstance(bad, bytes) else bad)
    with pytest.raises(DataError, match="badChan"):
        open_ephys.read([tmp_path / "rat.nwb"], open_ephys.Settings())


def test_open_ephys_without_tracking_or_second_led(tmp_path):
    save_open_ephys(tmp_path)
    path = tmp_path / "rat.nwb"
    led = places()
    led[:, 2:] = np.nan
    change(path, LED, np.column_stack([np.arange(61) / 32, led]))
    found = open_ephys.read([path], open_ephys.Settings())["behaviour/led"]
    assert found["output"].values.tolist() == ["x1", "y1"]
    with h5py.File(path, "r+") as file:
        del file[LED]
    with pytest.raises(DataError, match="tracking: false"):
        open_ephys.read([path], open_ephys.Settings())
    assert list(open_ephys.read([path], open_ephys.Settings(tracking=False)).children) == ["ephys"]


def test_open_ephys_with_several_recordings(tmp_path):
    save_open_ephys(tmp_path)
    with h5py.File(tmp_path / "rat.nwb", "r+") as file:
        file.copy("acquisition/timeseries/recording0", "acquisition/timeseries/recording1")
    with pytest.raises(DataError, match="recording0, recording1"):
        open_ephys.read([tmp_path / "rat.nwb"], open_ephys.Settings())
    tree = open_ephys.read([tmp_path / "rat.nwb"], open_ephys.Settings(recording="recording1"))
    np.testing.assert_array_equal(tree["ephys/signal"], counts())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nwb", "open_ephys"])
def test_a_long_signal_is_written_and_read_in_blocks(kind, tmp_path):
    rows, path = 1_600_000, tmp_path / "long.nwb"  # 205 MB of int16 in 64 channels
    blocks = (np.full((100_000, 64), block, np.int16) for block in range(16))
    tracemalloc.start()
    if kind == "nwb":
        names = {"channels": [f"c{channel}" for channel in range(64)], "groups": ["g"] * 64}
        write_nwb(path, signal_blocks=blocks, samples=rows, **names)
        tree = read(path)
    else:
        track = {"led": places(), "led_times": np.arange(61.0)}
        open_ephys.write(path, signal_blocks=blocks, samples=rows, rate_hz=30_000, channels=64, **track)
        tree = open_ephys.read([path], open_ephys.Settings())
    store.write(tmp_path / "x.zarr", tree)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tree["ephys/signal"].nbytes == 204_800_000
    assert peak < 150e6, f"{peak / 1e6:.0f} MB held at once"
    found = store.open_store(tmp_path / "x.zarr")["ephys/signal"]
    assert [int(found[row, 5]) for row in (0, 99_999, 100_000, rows - 1)] == [0, 0, 1, 15]


def test_names_of_channels_are_kept(tmp_path):
    save_nwb(tmp_path)
    assert read(tmp_path / "session.nwb")["ephys/channel"].values.tolist() == CHANNELS
