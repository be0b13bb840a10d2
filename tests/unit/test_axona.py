"""Axona sessions: real ones against a reading by hand, and headers that contradict their files."""

import re
import struct
import tracemalloc

import numpy as np
import pytest
from ephys_formats import counts, places, write_axona
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid import schema, store
from pellucid.errors import DataError, MissingError, PellucidError
from pellucid.readers import axona, axona_files
from recordings import find

M851 = {
    "set": "bed4f27846330356660893bbd5ab25e1d16d635c5578a5fec8fef9e7c80550bb",
    "eeg": "c337dbd05fa54e798a1ef6500e91fbede33ded937789c642dea72bef6b8a55b7",
    "pos": "3925bb4b2c749bd9f810443c0fbc93773bb79ae15a4b87ccc4bbd2a08dfdfa07",
}
M851_CUT = "2cb014c60a1c85000214b418ce13e7b398716f79e5d8832766ac418d33a84439"
DVH = {
    ".set": "7187ba39731dac911d6c0213c402f18f7ccce6afcaf8bd531c8d6723ca7563e1",
    ".egf": "42ef67e878dbb99f485baac1c3065e52fe5a5ff2dc3d67ba5cdcd8109bf970b6",
    ".egf2": "fd7d3cbaf95d80eccbf67c3b589d7fb2bcad090b0b21c0b4cf0de1065ebb44c5",
    ".pos": "8c38c31c9a36b79381eaf87972153661980827e8131aadd0a6014b93f0e7d49a",
    ".3": "90d79f1c40e34e2c91b01860d77e748dd9f127957078081d5f3426bb8f4b22cc",
    "_3.cut": "0c51ad19fe9a8ad963dff5e5473282e2b52f50e43b3e1d74e70ffd2bd6f5c49a",
    ".8": "64e16ba19f57783536d0d3e2538ac25dfb58450f12bdc87211d58f6911c24454",
    "_8.cut": "c485011577127fa5e97112a8825b9fd9b3f47ed01e9352240f63fc30c79dd551",
}


def between(content: bytes) -> bytes:
    """Return what lies between data_start and data_end."""
    return content.partition(b"data_start")[2].rpartition(b"\r\ndata_end")[0]


def read(folder, **options):
    return axona.read(sorted(folder.iterdir()), axona.Settings.model_validate(options))


@pytest.fixture
def session(tmp_path):
    write_axona(tmp_path, counts("int8", 500, 3))
    return tmp_path


def edit(path, old: str, new: str) -> None:
    content = path.read_bytes()
    changed = re.sub(rb"(?m)^" + old.encode(), new.encode(), content, count=1)
    assert changed != content
    path.write_bytes(changed)


@pytest.mark.recording
def test_real_session_with_one_led():
    files = {ending: find(f"M851_140908t2rh.{ending}", digest) for ending, digest in M851.items()}
    cut = find("M851_140908t2rh_3.cut", M851_CUT)
    tree = schema.check(axona.read([*files.values(), cut], axona.Settings()), "M851")
    eeg = np.array([value - 256 * (value > 127) for value in between(files["eeg"].read_bytes())])
    assert tree["ephys/signal"].dtype == np.int8
    np.testing.assert_array_equal(tree["ephys/signal"].values[:, 0], eeg)
    assert tree["ephys"].attrs == {"rate_hz": 250.0, "start_s": 0.0}
    assert tree["ephys/signal"].attrs == {"units": "uV", "scale": 1500 * 1000 / 7000 / 128}  # gain_ch_15: EEG_ch_1 16
    assert not eeg[600_000:].any()  # the last second holds no recording
    rows = list(struct.iter_unpack(">I8h", between(files["pos"].read_bytes())))
    led = np.array([(x, y) if x != 1023 and t == row else (np.nan, np.nan) for row, (t, x, y, *_) in enumerate(rows)])
    found = tree["behaviour/led"]
    assert found["output"].values.tolist() == ["x1", "y1"]
    np.testing.assert_array_equal(found.values, led)
    assert np.isfinite(led[:, 0]).sum() == sum(row[1] != 1023 for row in rows) - 50  # one record, 50 times over
    assert tree["behaviour"].attrs == {"px_per_m": 300.0, "rate_hz": 50.0, "start_s": 0.0}
    with pytest.raises(MissingError, match=r"M851_140908t2rh\.3"):
        axona.select([*files.values(), cut], axona.Settings(tetrodes=[3]))


@pytest.mark.recording
def test_real_session_with_wide_band_and_tetrodes():
    files = {ending: find(f"DVH_2013103103{ending}", digest) for ending, digest in DVH.items()}
    given_options = axona.Settings(signal="egf", tetrodes=[3, 8])
    tree = schema.check(axona.read(list(files.values()), given_options), "DVH")
    for column, ending in enumerate((".egf", ".egf2")):
        values = [value for (value,) in struct.iter_unpack("<h", between(files[ending].read_bytes()))]
        np.testing.assert_array_equal(tree["ephys/signal"].values[:, column], values)
    assert tree["ephys/signal"].shape == (1_891_200, 2)
    assert tree["ephys/signal"].attrs["scale"] == 1500 * 1000 / 2000 / 32768
    assert tree["ephys/channel_group"].values.tolist() == ["11", "10"]
    assert np.isfinite(tree["behaviour/led"].values[:, 0]).mean() == pytest.approx(29 / 19_700)
    spikes = tree["spikes"]
    for tetrode in (3, 8):
        times = [
            row[0] / 96_000
            for row in struct.iter_unpack(">I50xI50xI50xI50x", between(files[f".{tetrode}"].read_bytes()))
        ]
        words = files[f"_{tetrode}.cut"].read_text().partition("spikes:")[2].split()[1:]
        for cluster in sorted(set(words) - {"0"}, key=int):
            index = spikes["neuron"].values.tolist().index(f"{tetrode}_{cluster}")
            mine = spikes["spike_time"].values[spikes["spike_unit"].values == index]
            np.testing.assert_array_equal(mine, [t for t, word in zip(times, words, strict=True) if word == cluster])
            assert spikes["unit_group"].values[index] == str(tetrode)
    assert len(spikes["spike_time"]) == 1192


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("day1.eeg2", "num_EEG_samples 500", "num_EEG_samples 400", ("day1.eeg2", "data_end")),
        ("day1.eeg2", "num_EEG_samples 500", "num_EEG_samples 600", ("day1.eeg2", "data_end")),
        ("day1.eeg2", "num_EEG_samples 500", "num_EEG_samples 9e99", ("num_EEG_samples", "whole")),
        ("day1.eeg2", "num_EEG_samples 500", "num_EEG_samples -1", ("num_EEG_samples", "positive")),
        ("day1.eeg2", "num_EEG_samples 500\r\n", "", ("num_EEG_samples", "no such line")),
        ("day1.eeg2", "bytes_per_sample 1", "bytes_per_sample 2", ("data_end",)),
        ("day1.eeg2", "bytes_per_sample 1", "bytes_per_sample 3", ("1 or 2",)),
        ("day1.eeg2", "sample_rate 250", "sample_rate nan", ("sample_rate", "positive")),
        ("day1.eeg2", "sample_rate 250", "sample_rate 200", ("500 samples at 250 Hz", "200 Hz")),
        ("day1.eeg2", "duration 2", "duration 9", ("duration", "9 s", "2 s")),
        ("day1.eeg2", "num_chans 1", "num_chans 4", ("num_chans",)),
        ("day1.pos", "EEG_samples_per_position 5", "EEG_samples_per_position 4", ("250 Hz", "200 Hz")),
        ("day1.pos", "num_pos_samples 100", "num_pos_samples 99", ("num_pos_samples 99", "data_end")),
        ("day1.pos", "pos_format t,x1", "pos_format t,x", ("pos_format", "numpix2")),
        ("day1.pos", "bytes_per_coord 2", "bytes_per_coord 4", ("bytes_per_coord",)),
        ("day1.pos", "timebase 50", "timebase 25", ("time stamps",)),
        ("day1.pos", "window_max_x 1022", "window_max_x 300", ("record", "0 to 300 px")),
        ("day1.pos", "pixels_per_metre 300", "pixels_per_metre 0", ("pixels_per_metre",)),
        ("day1.3", "num_spikes 5", "num_spikes 4", ("day1.3", "num_spikes 4")),
        ("day1.3", "samples_per_spike 50", "samples_per_spike 999999", ("samples_per_spike",)),
        ("day1.3", "timebase 96000", "timebase 10", ("spike 0", "within the session")),
        ("day1_3.cut", "Exact_cut_for: day1 spikes: 5", "Exact_cut_for: day1 spikes: 6", ("day1_3.cut", "6 spikes")),
        ("day1_3.cut", "0 2 1 2 1", "0 2 1 2 x", ("day1_3.cut", "'x'")),
        ("day1_3.cut", "0 2 1 2 1", "0 2 1 2 -1", ("'-1'",)),
        ("day1_3.cut", "Exact_cut_for", "cut_for", ("Exact_cut_for",)),
        ("day1.set", "gain_ch_5 5000", "gain_ch_5 0", ("gain_ch_5",)),
        ("day1.set", "tracked_spots 2", "tracked_spots two", ("tracked_spots",)),
        ("day1.set", "trial_date", "date", ("trial_date",)),
    ],
)
def test_contradictions_are_one_error(name, old, new, words, session):
    edit(session / name, old, new)
    with pytest.raises(DataError) as caught:
        read(session, tetrodes=[3, 12])
    for word in words:
        assert word in str(caught.value)


def test_cut_of_another_session(session):
    (session / "day1_3.cut").write_bytes((session / "day1_12.cut").read_bytes())
    with pytest.raises(DataError, match=r"day1_3\.cut.*5 spikes, as in day1\.3.*2"):
        read(session, tetrodes=[3])


def test_channels_of_a_tetrode_must_agree(session):
    content = bytearray((session / "day1.3").read_bytes())
    content[content.index(b"data_start") + len(b"data_start") + 54 + 3] ^= 1
    (session / "day1.3").write_bytes(bytes(content))
    with pytest.raises(DataError, match="one time on all channels"):
        read(session, tetrodes=[3])


def test_records_out_of_their_place_are_lost(tmp_path):
    """One record in a hundred may be a repeat, as at the end of a session that was stopped."""
    led = np.full((200, 2), 7.0)
    write_axona(tmp_path, counts("int8", 1000, 1), led=led)
    content = bytearray((tmp_path / "day1.pos").read_bytes())
    start = content.index(b"data_start") + len(b"data_start")
    content[start + 20 * 198 : start + 20 * 200] = 2 * content[start + 20 * 50 : start + 20 * 51]
    (tmp_path / "day1.pos").write_bytes(bytes(content))
    found = read(tmp_path)["behaviour/led"].values
    assert np.isnan(found[198:]).all()
    assert (found[:198] == 7).all()


def test_clock_of_positions_that_starts_late(session):
    content = bytearray((session / "day1.pos").read_bytes())
    start = content.index(b"data_start") + len(b"data_start")
    for row in range(100):
        content[start + 20 * row : start + 20 * row + 4] = struct.pack(">I", row + 25)
    (session / "day1.pos").write_bytes(bytes(content))
    found = read(session)["behaviour"]
    assert found.attrs["start_s"] == 0.5
    np.testing.assert_array_equal(found["led"], places(100).astype(np.float32))


def test_without_gains_numbers_are_as_stored(session):
    edit(session / "day1.set", "gain_ch_1 5000\r\n", "")
    found = read(session, channels=["eeg", "eeg3"], position=False)
    assert found["ephys/signal"].attrs == {"units": "as stored"}
    assert "behaviour" not in found.children
    np.testing.assert_array_equal(found["ephys/signal"], counts("int8", 500, 3)[:, [0, 2]])


def test_led_that_is_not_tracked_is_left_out(tmp_path):
    write_axona(tmp_path, counts("int8", 500, 1), led=places(100)[:, :2])
    edit(tmp_path / "day1.set", "tracked_spots 1\r\n", "")
    assert read(tmp_path)["behaviour"].sizes == {"time": 100, "output": 2}


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"tetrodes": [5]}, "day1.5"),
        ({"channels": ["eeg7"]}, "day1.eeg7"),
        ({"signal": "egf"}, "day1.egf"),
        ({"session": "day2"}, ".set"),
    ],
)
def test_missing_files_are_named(options, missing, session):
    with pytest.raises(MissingError, match=re.escape(missing)):
        read(session, **options)


def test_several_sessions_need_a_name(session):
    axona.write(session, "day2", signal=counts("int8", 250, 1), rate_hz=250, gains=[1], electrodes=[1])
    with pytest.raises(DataError, match="session"):
        read(session)
    assert read(session, session="day1")["ephys"].sizes["channel"] == 3


def test_channel_of_another_signal(session):
    with pytest.raises(DataError, match="channels"):
        read(session, channels=["pos"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 1), change=st.integers(1, 255), cut=st.booleans())
@pytest.mark.parametrize(
    ("name", "parse"),
    [
        ("day1_3.cut", axona_files.clusters),
        ("day1.3", axona_files.spike_times),
        ("day1.pos", axona_files.positions),
        ("day1.eeg", lambda path: axona_files.samples(path, "num_EEG_samples")),
        ("day1.set", axona_files.settings),
    ],
)
def test_damage_is_an_error_or_harmless(name, parse, start, change, cut, session):
    original = (session / name).read_bytes()
    content = bytearray(original)
    place = int(start * (len(content) - 1))
    content[place] ^= change
    (session / name).write_bytes(bytes(content[:place] if cut else content))
    error = None
    try:
        parse(session / name)
    except PellucidError as caught:
        error = str(caught)
    (session / name).write_bytes(original)
    assert error is None or name in error


def test_a_long_signal_is_streamed(tmp_path):
    samples = 60_000_000  # 120 MB on each of two channels, in sparse files
    (tmp_path / "raw").mkdir()
    write_axona(tmp_path / "raw", counts("int16", 4800, 2), led=None, tetrodes=None)
    for path in sorted((tmp_path / "raw").glob("day1.egf*")):
        head = path.read_bytes().partition(b"data_start")[0]
        head = re.sub(rb"num_EGF_samples \d+", b"num_EGF_samples %d" % samples, head)
        head = re.sub(rb"duration \S+", b"duration %d" % (samples // 4800), head) + b"data_start"
        with path.open("wb") as file:
            file.write(head)
            file.truncate(len(head) + 2 * samples)
            file.seek(0, 2)
            file.write(b"\r\ndata_end\r\n")
    tracemalloc.start()
    store.write(tmp_path / "x.zarr", read(tmp_path / "raw", signal="egf", position=False))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6, f"{peak / 1e6:.0f} MB held at once"
    assert store.open_store(tmp_path / "x.zarr")["ephys/signal"].shape == (samples, 2)
