"""What single formats have beyond the contract of all readers: their options, their complaints and real recordings."""

import csv as csv_module
import json
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch
import xarray as xr
from fixed_formats import UNITS, calcium, save_odours, save_photometry, save_whisker, segment, whisker

from pellucid import readers, schema, store
from pellucid.errors import DataError, MissingError, PellucidError
from pellucid.readers import csv, matlab, odour_mat, ppd, torch_file, trial_calcium, whisker_mat, whisker_segments
from recordings import find

LICKS = ("example_data.csv", "ff17c9f421d418b0919a804fd22ff8b20834756d5c6a1dc30b6ec4fa212ab15a")
CUES = ("corr_data.csv", "7a882cdd31453606f568d7342981c90b1993bf3379364d5b2679be7e50a6c877")
M17 = ("m17-R-2018-12-12-090409.ppd", "aea5ae303f4f1253040e7195f1aaaf372a93cdc2ab7b3ea647a34a21a05cec7d")
M53 = ("m53_NAc_L-2019-11-24-093939.ppd", "5a7139125bea8843396e977ace42cc200aedb6de92b8addcc57a65b16ae59727")
M53_CUES = ("reward_cue_times.npy", "64441a76c78098efe5277082b0cf929996d2f453f211f730346109203fd51802")
VPM = ("VPM_cell_83_E2.mat", "bd4ae22fce4dfc5a4ba703f46056c3b0deb9ec3a7c8479625cd178badfbd698c")
PIRIFORM = ("aPCx_15.mat", "e2af68e56e5fc0754bb51c2b0bebff3ff23b1bca01dd9ff11d73a1249be86db8")


def read(reader: str, files: list[Path], **options: object) -> xr.DataTree:
    module = readers.reader(reader)
    return schema.check(module.read(files, module.Settings.model_validate(options)), reader)


def read_folder(reader: str, folder: Path, **options: object) -> xr.DataTree:
    return read(reader, sorted(path for path in folder.rglob("*") if path.is_file()), **options)


def complain(kind: type[PellucidError], *words: str) -> "pytest.RaisesContext[PellucidError]":
    return pytest.raises(kind, match="(?s)" + "".join(f"(?=.*{word})" for word in words))


# ---- csv: text columns and chosen rows ----

TABLE = "id,x.1,x.2,rate,x.10\nm-1,1,2,Inf,3\nf-2,4,5,0.5,6\nm-1,7,8,-inf,9\n"


def table(folder: Path, content: str = TABLE, **options: object) -> xr.Dataset:
    (folder / "t.csv").write_text(content)
    variables = {
        "signal": {"source": "x.*", "dims": ["trial", "time"]},
        "rate": {"dims": ["trial"], "units": "Hz"},
    }
    group = {"rate_hz": 25, "variables": variables | options.pop("variables", {})}
    return read("csv", [folder / "t.csv"], groups={"trials": group}, **options)["trials"].to_dataset()


def test_csv_keeps_the_rows_asked_for_and_the_order_of_the_columns(tmp_path):
    found = table(tmp_path, where={"id": "m-1"})
    assert found["signal"].values.tolist() == [[1, 2, 3], [7, 8, 9]]
    assert found["rate"].values.tolist() == [np.inf, -np.inf]


def test_csv_rows_may_be_chosen_by_several_columns(tmp_path):
    assert table(tmp_path, where={"id": "m-1", "x.1": "7"})["signal"].values.tolist() == [[7, 8, 9]]


def test_csv_text_is_kept_where_it_is_asked_for(tmp_path):
    found = table(tmp_path, text=["id"], variables={"animal": {"source": "id", "dims": ["trial"]}})
    assert found["animal"].values.tolist() == ["m-1", "f-2", "m-1"]
    assert found["animal"].attrs == {}
    store.write(tmp_path / "x.zarr", xr.DataTree.from_dict({"/trials": found}))
    assert store.open_store(tmp_path / "x.zarr")["trials/animal"].values.tolist() == ["m-1", "f-2", "m-1"]


def test_csv_text_that_is_used_as_numbers_is_an_error(tmp_path):
    with complain(DataError, "line 2, column id", "'m-1'"):
        table(tmp_path, variables={"animal": {"source": "id", "dims": ["trial"]}})


def test_csv_wrong_cell_in_a_row_left_out_does_not_matter(tmp_path):
    found = table(tmp_path, TABLE.replace("4", "four"), where={"id": "m-1"})
    assert found["signal"].dtype == np.int64


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"id": "m-2"}, ("id 'm-2'", "'m-1', 'f-2'")),
        ({"id": "f-2", "x.1": "7"}, ("x.1 '7'", "'1', '4', '7'")),
        ({"animal": "m-1"}, ("column animal", "id, x.1, x.2")),
    ],
)
def test_csv_without_such_rows_says_what_there_is(where, words, tmp_path):
    with complain(DataError, *words):
        table(tmp_path, where=where)


def test_csv_text_survives(tmp_path):
    csv.write(tmp_path / "t.csv", {"id": np.array(["a,b", 'say "c"', "d"]), "x": np.arange(3)})
    group = {"variables": {"id": {"dims": ["trial"]}, "x": {"dims": ["trial"]}}}
    found = read("csv", [tmp_path / "t.csv"], text=["id"], groups={"trials": group})["trials"]
    assert found["id"].values.tolist() == ["a,b", 'say "c"', "d"]


@pytest.mark.recording
@pytest.mark.parametrize(
    ("file", "samples", "trials"),
    [
        (LICKS, 112, {"HJ-FP-M2": 85, "HJ-FP-M3": 92, "HJ-FP-M4": 70, "HJ-FP-F1": 63, "HJ-FP-M8": 36}),
        (CUES, 125, {"HJ-FP-M2": 149, "HJ-FP-M3": 147, "HJ-FP-M7": 146}),
    ],
    ids=["licks", "cues"],
)
def test_real_trials_of_photometry_are_read_as_published(file, samples, trials):
    path = find(*file)
    with path.open(newline="") as opened:
        rows = list(csv_module.DictReader(opened))
    variables = {"signal": {"source": "photometry.*", "dims": ["trial", "time"]}, "session": {"dims": ["trial"]}}
    infinite = 0
    for animal, number in trials.items():
        more = {"bout_rate": {"dims": ["trial"], "units": "Hz"}} if file is LICKS else {}
        group = {"rate_hz": 25, "variables": variables | more}
        found = read("csv", [path], where={"id": animal}, groups={"trials": group})["trials"]
        own = [row for row in rows if row["id"] == animal]
        assert len(own) == number
        oracle = [[float(row[f"photometry.{sample + 1}"]) for sample in range(samples)] for row in own]
        np.testing.assert_array_equal(found["signal"].values, oracle)
        assert set(found["session"].values.tolist()) == {int(row["session"]) for row in own}
        infinite += int(np.isinf(found["bout_rate"].values).sum()) if more else 0
    assert infinite == (1 if file is LICKS else 0)


# ---- the layout of one unit in conditioning, read by `matlab` ----


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_conditioning_is_a_layout_of_matlab_files(version, tmp_path):
    """responses.spike and events.odorOn in ms, events.trialType with its invalid types kept."""
    spikes = np.array([1001.0, 1001.0, 1009.4, 35_250.75])
    content = {
        "responses": {"spike": spikes, "lick": np.arange(3.0)},
        "events": {"odorOn": np.array([1000.0, 9000, 20_000]), "trialType": np.array([14, np.nan, 15])},
    }
    matlab.write(tmp_path / "unit.mat", content, version=version)
    spiking = {"variables": {"time": {"source": "responses.spike", "dims": ["spike"], "units": "s", "divisor": 1000}}}
    events = {
        "odor_on": {"source": "events.odorOn", "dims": ["event"], "units": "s", "divisor": 1000},
        "trial_type": {"source": "events.trialType", "dims": ["event"]},
    }
    tree = read("matlab", [tmp_path / "unit.mat"], groups={"spikes": spiking, "events": {"variables": events}})
    store.write(tmp_path / "x.zarr", tree)
    found = store.open_store(tmp_path / "x.zarr")
    assert found["spikes/time"].dims == ("spike",)
    assert found["spikes/time"].values.tolist() == [1.001, 1.001, 1.0094, 35.25075]
    assert found["events/odor_on"].values.tolist() == [1, 9, 20]
    np.testing.assert_array_equal(found["events/trial_type"].values, [14, np.nan, 15])


def test_a_divisor_needs_numbers(tmp_path):
    matlab.write(tmp_path / "a.mat", {"x": np.array(["a", "b"])})
    group = {"variables": {"x": {"dims": ["trial"], "divisor": 1000}}}
    with complain(DataError, "numbers to divide"):
        read("matlab", [tmp_path / "a.mat"], groups={"trials": group})


def test_a_divisor_of_a_stored_signal_is_applied_lazily(tmp_path):
    matlab.write(tmp_path / "a.mat", {"x": np.array([[1, 2, 4]], dtype=np.int16)}, version="7.3")
    group = {"rate_hz": 1.0, "variables": {"x": {"dims": ["time"], "divisor": 8}}}
    found = read("matlab", [tmp_path / "a.mat"], groups={"behaviour": group})["behaviour/x"]
    assert found.chunks is not None
    assert found.values.tolist() == [0.125, 0.25, 0.5]


# ---- ppd ----


def header(path: Path, **changes: object) -> None:
    """Change the header of a .ppd file."""
    content = path.read_bytes()
    length = int.from_bytes(content[:2], "little")
    said = json.dumps(json.loads(content[2 : 2 + length]) | changes).encode()
    path.write_bytes(len(said).to_bytes(2, "little") + said + content[2 + length :])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "1.0"}, ("version 1.0", "two signals")),
        ({"version": 1.1, "mode": "3EX_2EM_pulsed"}, ("3EX_2EM_pulsed",)),
        ({"volts_per_division": [0.1, 0.2]}, ("one scale", "0.2")),
        ({"volts_per_division": []}, ("header, volts_per_division",)),
        ({"sampling_rate": 0}, ("header, sampling_rate",)),
        ({"mode": None}, ("header, mode",)),
    ],
)
def test_ppd_header_that_is_not_understood(changes, words, tmp_path):
    save_photometry(tmp_path)
    header(tmp_path / "mouse.ppd", **changes)
    with complain(DataError, "mouse.ppd", *words):
        read_folder("ppd", tmp_path)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (np.array([1.0, np.nan]), ("event 1", "nan s after 1.0 s")),
        (np.array([1.0, 0.5]), ("event 1", "0.5 s after 1.0 s")),
        (np.array([1.0, 1.0]), ("event 1",)),
        (np.array([-0.1]), ("event 0", "-0.1 s")),
        (np.array([0.0, 7.8]), ("event 1", "7.71538 s")),  # the session has 1003 / 130 s
        (np.zeros((2, 2)), ("shape",)),
        (np.array(["a"]), ("numbers",)),
    ],
)
def test_ppd_events_outside_the_session(times, words, tmp_path):
    save_photometry(tmp_path)
    np.save(tmp_path / "cues.npy", times)
    with complain(DataError, "cues.npy", *words):
        read_folder("ppd", tmp_path, events={"cue": "cues.npy"})


def test_ppd_events_that_are_pickled_or_missing(tmp_path):
    save_photometry(tmp_path)
    (tmp_path / "cues.npy").write_bytes(pickle.dumps([1.0]))
    with complain(DataError, "cues.npy"):
        read_folder("ppd", tmp_path, events={"cue": "cues.npy"})
    with complain(MissingError, "cue.npy"):
        read_folder("ppd", tmp_path, events={"cue": "cue.npy"})


def test_ppd_asks_which_file_is_meant(tmp_path):
    save_photometry(tmp_path)
    ppd.write(tmp_path / "other.ppd", np.ones((3, 2)), np.zeros((3, 2)), rate_hz=130, scale=1.0)
    with complain(DataError, "mouse.ppd, other.ppd", "options.file"):
        read_folder("ppd", tmp_path)
    assert read_folder("ppd", tmp_path, file="other.ppd")["imaging/signal"].values.tolist() == [[1, 1]] * 3


def test_ppd_is_streamed(tmp_path):
    rows = 40_000_000  # 160 MB of words, in a sparse file
    path = tmp_path / "long.ppd"
    ppd.write(path, np.ones((1, 2)), np.zeros((1, 2)), rate_hz=130, scale=1.0)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4 + 4 * rows)
    tracemalloc.start()
    tree = read("ppd", [path])
    last = tree["imaging/signal"][-1000:].values
    first = tree["imaging/digital"][:1000].values
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tree["imaging/signal"].shape == (rows, 2)
    assert not last.any()
    assert not first.any()
    assert peak < 100e6, f"{peak / 1e6:.0f} MB held at once"  # one shard of words, widened once


@pytest.mark.recording
@pytest.mark.parametrize(("file", "samples"), [(M17, 474_192), (M53, 705_249)], ids=["m17", "m53"])
def test_real_photometry_is_read_as_published(file, samples):
    """Compared with the words of the file, read one by one."""
    path = find(*file)
    found = read("ppd", [path])["imaging"]
    content = path.read_bytes()
    words = content[2 + int.from_bytes(content[:2], "little") :]
    assert found.sizes == {"time": samples, "roi": 2}
    assert found.attrs["rate_hz"] == 130
    assert found["signal"].attrs["scale"] == 1.0122e-4
    signal, digital = found["signal"].values, found["digital"].values
    for index in [*range(0, samples, 9973), samples - 1]:
        pair = struct.unpack_from("<HH", words, 4 * index)
        assert signal[index].tolist() == [word // 2 for word in pair]
        assert digital[index].tolist() == [word % 2 == 1 for word in pair]
    volts = signal.astype(float) * 1.0122e-4
    assert 0.6 < volts.min() < volts.max() < 1.7


@pytest.mark.recording
def test_real_cues_lie_in_their_session():
    files = [find(*M53), find(*M53_CUES)]
    found = read("ppd", files, events={"cue": "reward_cue_times.npy"})["events/cue"]
    assert found.shape == (137,)
    np.testing.assert_allclose(found.values[[0, -1]], [22.8, 4974.8], atol=0.05)  # as the table of files says
    late = int(np.argmax(found.values > 474_192 / 130))
    with complain(DataError, f"event {late}", "3647.63 s"):  # the other session ends before the last cues
        read("ppd", [find(*M17), files[1]], events={"cue": "reward_cue_times.npy"})


# ---- trials of calcium ----


def published_frame(second: float, times: np.ndarray) -> int:
    """Return the last frame stamped at or before a time, the published rule."""
    return int(np.where(times <= second)[0][-1])


def test_calcium_onsets_fall_into_the_frames_of_the_published_rule(tmp_path):
    generator = np.random.default_rng(0)
    stamps = [start + np.cumsum(generator.uniform(0.8, 1.2, 80) / 15) for start in generator.uniform(0, 1e4, 40)]
    signals = [np.zeros((80, 1))] * 40
    seconds = np.array([generator.uniform(times[0], times[-1]) for times in stamps])
    seconds[::5] = [times[33] for times in stamps[::5]]  # at the very time of a frame
    onsets = dict.fromkeys(trial_calcium.STATES, seconds)
    amounts = np.zeros(40)
    trial_calcium.write(tmp_path / "s.mat", signals, stamps, onsets, reward=amounts, trial_type=amounts)
    found = read("trial_calcium", [tmp_path / "s.mat"])["trials/reward_s"].values
    expected = [published_frame(*pair) for pair in zip(seconds, stamps, strict=True)]
    # 1e-6 of a frame: i / 15 * 15 may be a rounding error below i
    assert np.floor(found * 15 + 1e-6).astype(int).tolist() == expected


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_calcium_of_other_shapes_is_the_same(version, tmp_path):
    """Times in rows, states as single times or empty, amounts as a plain vector."""
    signals, stamps, onsets = calcium()
    states = [
        {
            state: np.zeros((0, 0)) if np.isnan(onsets[name][trial]) else onsets[name][trial]
            for name, state in trial_calcium.STATES.items()
        }
        for trial in range(3)
    ]
    content = {
        "DFoF_corrraw_fissa": signals,
        "CellsTimeStamps": [times.reshape(1, -1) for times in stamps],
        "States": states,
        "Session": {"RewardDelivered": np.array([[0.3, np.nan, 11]]), "TrialTypes": np.array([1.0, 7, 4])},
    }
    (tmp_path / "a").mkdir()
    matlab.write(tmp_path / "a/mouse.mat", content, version=version)
    found = read_folder("trial_calcium", tmp_path / "a", rate_hz=16)
    amounts, types = np.array([0.3, np.nan, 11]), np.array([1, 7, 4])
    trial_calcium.write(tmp_path / "b.mat", signals, stamps, onsets, reward=amounts, trial_type=types)
    xr.testing.assert_identical(found, read("trial_calcium", [tmp_path / "b.mat"], rate_hz=16))


def test_calcium_states_may_be_a_struct_array(tmp_path):
    """As scipy writes a structured array: what MATLAB itself would call States(trial).Reward."""
    signals, stamps, onsets = calcium()
    states = np.empty((1, 3), dtype=[(state, "O") for state in trial_calcium.STATES.values()])
    for name, state in trial_calcium.STATES.items():
        for trial in range(3):
            states[state][0, trial] = np.array([[onsets[name][trial], 1e9]])
    cells = np.empty((2, 1, 3), dtype=object)
    cells[0, 0, :], cells[1, 0, :] = signals, stamps
    session = {"RewardDelivered": np.array([[1.0, 9], [2, 9], [3, 9]]), "TrialTypes": np.array([[1.0, 7, 4]])}
    content = {"DFoF_corrraw_fissa": cells[0], "CellsTimeStamps": cells[1], "States": states, "Session": session}
    scipy.io.savemat(tmp_path / "s.mat", content)
    found = read("trial_calcium", [tmp_path / "s.mat"], rate_hz=16)["trials"]
    assert found["reward"].values.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(np.isnan(found["stimulus1_s"]), np.isnan(onsets["stimulus1_s"]))


def broken_calcium(change: str) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    signals, stamps, _ = calcium()
    amounts = np.ones(3)
    if change == "frames":
        signals[1] = signals[1][:-1]
    elif change == "neurons":
        signals[2] = signals[2][:, :1]
    elif change == "times":
        stamps[2][3] = np.nan
    elif change == "trials":
        stamps = stamps[:2]
    elif change == "amounts":
        amounts = np.ones(4)
    return signals, stamps, amounts


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("frames", (r"fissa\[1\]", "4 frames", r"\(3, 2\)")),
        ("neurons", (r"fissa\[2\]", "2 neurons", r"\(9, 1\)")),
        ("times", (r"CellsTimeStamps\[2\]", "increasing")),
        ("trials", ("CellsTimeStamps", "3 trials", "2")),
        ("amounts", ("reward", "axis trial")),
        ("rate", ("about 15 frames per second", "16", "rate_hz")),
    ],
)
def test_calcium_that_does_not_fit(change, words, tmp_path):
    signals, stamps, amounts = broken_calcium(change)
    onsets = dict.fromkeys(trial_calcium.STATES, np.full(3, np.nan))
    trial_calcium.write(tmp_path / "s.mat", signals, stamps, onsets, reward=amounts, trial_type=np.ones(3))
    with complain(DataError, "s.mat", *words):
        read("trial_calcium", [tmp_path / "s.mat"], rate_hz=15 if change == "rate" else 16)


@pytest.mark.parametrize("gone", ["DFoF_corrraw_fissa", "CellsTimeStamps", "States", "Session"])
def test_calcium_without_a_variable(gone, tmp_path):
    save = {"DFoF_corrraw_fissa": [np.zeros((2, 1))], "CellsTimeStamps": [np.array([0, 1 / 15])]}
    save |= {"States": [dict.fromkeys(trial_calcium.STATES.values(), np.nan)]}
    save |= {"Session": {"RewardDelivered": np.ones((1, 2)), "TrialTypes": np.ones(1)}}
    matlab.write(tmp_path / "s.mat", save)
    assert read("trial_calcium", [tmp_path / "s.mat"])["trials/signal"].shape == (1, 2, 1)
    del save[gone]
    matlab.write(tmp_path / "s.mat", save)
    with complain(DataError, gone):
        read("trial_calcium", [tmp_path / "s.mat"])


# ---- whisker deflection ----


def test_whisker_trials_in_columns_are_the_same(tmp_path):
    raster, stimulus = whisker()
    save_whisker(tmp_path / "rows")
    for number, unit in enumerate(UNITS):
        for part, rows in (("trngdata", slice(0, 3)), ("testdata", slice(3, 5))):
            content = {"y": raster[rows, :, number].T.astype(float), "t": stimulus[rows].reshape(-1, 1)}
            matlab.write(tmp_path / "columns" / unit / "Stim3" / f"{part}.mat", content)
    found = [
        read_folder("whisker_mat", tmp_path / name, units=list(UNITS), trial_ms=40) for name in ("rows", "columns")
    ]
    xr.testing.assert_identical(*found)


def test_whisker_stimulus_may_be_analog(tmp_path):
    raster, _ = whisker()
    stimulus = np.tile(np.sin(2 * np.pi * np.arange(40) / 20).round(6), (5, 1))  # 50 Hz, rises in ms 1 and 21
    whisker_mat.write(tmp_path, {UNITS[0]: raster[..., 0]}, stimulus, training=2)
    found = read_folder("whisker_mat", tmp_path, units=[UNITS[0]], trial_ms=40)["trials"]
    assert found["stimulus"].dtype == np.float32
    assert found["deflection"].values.tolist() == [[0.001, 0.021]] * 5
    above = read_folder("whisker_mat", tmp_path, units=[UNITS[0]], trial_ms=40, above=2.0)["trials/deflection"]
    assert above.shape == (5, 1)
    assert np.isnan(above).all()


def test_whisker_unit_that_is_not_there(tmp_path):
    save_whisker(tmp_path)
    with complain(MissingError, "Dir2/Neuron1/Stim3/trngdata.mat", "options.units"):
        read_folder("whisker_mat", tmp_path, units=[*UNITS, "Dir2/Neuron1"], trial_ms=40)
    with complain(MissingError, "Dir1/Neuron2/Stim3"):  # the published list
        read_folder("whisker_mat", tmp_path)


def test_whisker_trials_of_another_duration(tmp_path):
    save_whisker(tmp_path)
    with complain(DataError, "trngdata.mat, y", "trials of 50 ms", r"\(1, 120\)"):
        read_folder("whisker_mat", tmp_path, units=list(UNITS), trial_ms=50)


@pytest.mark.parametrize("change", ["stimulus", "trials"])
def test_whisker_units_must_share_their_trials(change, tmp_path):
    raster, stimulus = whisker()
    save_whisker(tmp_path)
    if change == "stimulus":
        stimulus[4, 3] = 1
    rows = slice(0, 4) if change == "trials" else slice(None)
    whisker_mat.write(tmp_path, {UNITS[1]: raster[rows, :, 1]}, stimulus[rows], training=3)
    with complain(DataError, UNITS[1], UNITS[0], "options.units"):
        read_folder("whisker_mat", tmp_path, units=list(UNITS), trial_ms=40)


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, 256.0])
def test_whisker_spikes_are_counts(value, tmp_path):
    raster, stimulus = whisker()
    spikes = raster[..., 0].astype(float)
    spikes[4, 7] = value
    whisker_mat.write(tmp_path, {UNITS[0]: spikes}, stimulus, training=3)
    with complain(DataError, "testdata.mat, y", str(value)):
        read_folder("whisker_mat", tmp_path, units=[UNITS[0]], trial_ms=40)


# ---- torch ----


class Trap:
    """Would leave a trace if it were loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.trace,))


def tensors(path: Path, source: str = "y", dims: tuple[str, ...] = ("channel", "time")) -> xr.DataArray:
    group = {"rate_hz": 1.0, "variables": {"y": {"source": source, "dims": list(dims)}}}
    return read("torch_file", [path], groups={"ephys": group})["ephys/y"]


def test_torch_drops_the_axis_of_one_trial(tmp_path):
    values = np.random.default_rng(0).normal(size=(1, 15, 40)).astype(np.float32)
    torch_file.write(tmp_path / "a.pt", {"y": values, "a": np.zeros((1, 15, 1))})
    np.testing.assert_array_equal(tensors(tmp_path / "a.pt").values, values[0].T)


def test_torch_inner_dicts_and_other_entries(tmp_path):
    content = {"trial0": {"y": torch.arange(4).reshape(1, 4), "name": "x"}, 3: [torch.zeros(1)], "n": 5}
    torch.save(content, tmp_path / "a.pt")
    assert tensors(tmp_path / "a.pt", "trial0.y").values.ravel().tolist() == [0, 1, 2, 3]
    with complain(DataError, "only trial0.y"):
        tensors(tmp_path / "a.pt", "3")


def test_torch_never_runs_what_is_in_a_file(tmp_path):
    for name, content in (("trap", Trap(tmp_path / "trace")), ("array", {"y": np.zeros((2, 3))})):
        torch.save(content, tmp_path / f"{name}.pt")
        with complain(DataError, f"{name}.pt", "any code", "tensors only"):
            tensors(tmp_path / f"{name}.pt")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.zeros(2, 3), ("Tensor without any",)),
        ({"x": 3}, ("dict without any",)),
        ({"y": torch.zeros(2, 3).to_sparse()}, ("tensor y", "to_dense")),
        ({"y": torch.zeros(2, 3, dtype=torch.bfloat16)}, ("tensor y", "bfloat16")),
    ],
)
def test_torch_files_without_plain_tensors(content, words, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with complain(DataError, *words):
        tensors(tmp_path / "a.pt")


# ---- odours ----


def test_odour_experiment_that_is_not_there(tmp_path):
    save_odours(tmp_path)
    with complain(DataError, "experiment 2", "counted from 0"):
        read_folder("odour_mat", tmp_path, experiment=2)


def test_odours_must_be_the_same_for_all_units(tmp_path):
    shanks = [np.ones((1, 3, 4, 25), np.uint8), np.ones((1, 2, 4, 25), np.uint8)]
    odour_mat.write(tmp_path / "a.mat", [shanks])
    with complain(DataError, r"\(2, 4, 25\) and \(3, 4, 25\)"):
        read_folder("odour_mat", tmp_path, experiment=0)


@pytest.mark.recording
def test_real_odour_responses_are_read_as_published():
    """Spikes agree with the sparse matrices, found by another way through the file; some shanks have no units."""
    path = find(*PIRIFORM)
    espe = scipy.io.loadmat(path)["espe"]
    for experiment, units in ((0, 20), (5, 30), (9, 9)):
        found = read("odour_mat", [path], experiment=experiment, start_s=-4.0)["trials"]
        assert (found.sizes["trial"], found.sizes["time"]) == (150, 10_000)
        assert found["good"].values.all()
        assert found.sizes["neuron"] == units
        shanks = espe[0, experiment]["shank"]
        shank, cell = (int(part.strip("shankcel")) for part in str(found["neuron"].values[-1]).split("_"))
        odor = shanks[0, shank]["SUA"][0, 0]["cell"][0, cell]["odor"][0, 6]["spikeMatrix"]
        rows = (found["odour"] == 7).values
        assert found["repeat"].values[rows].tolist() == list(range(1, 11))
        np.testing.assert_array_equal(found["raster"].values[rows, :, -1], odor.toarray())


# ---- segments of whisking ----


@pytest.mark.parametrize(("change", "found"), [("gap", r"\[40, 80\]"), ("still", r"\[0\]"), ("rate", "Fs 0")])
def test_segments_need_an_even_clock(change, found, tmp_path):
    values = segment(0)
    if change != "rate":
        values["samples"] = values["samples"] * (change == "gap") + (np.arange(17) > 4) * (change == "gap") * 40
    whisker_segments.write(tmp_path / "a.mat", [values], rate_hz=0 if change == "rate" else 40_000)
    with complain(DataError, "evenly spaced", found):
        read_folder("whisker_segments", tmp_path, segment=0)


def test_segment_that_is_not_there(tmp_path):
    whisker_segments.write(tmp_path / "a.mat", [segment(0)], rate_hz=40_000)
    with complain(DataError, "segment 1", r"whiskparams\[1\]"):
        read_folder("whisker_segments", tmp_path, segment=1)


@pytest.mark.recording
def test_real_whisking_is_read_as_published():
    """Four segments of 10.008 s at 1 kHz; spikes also before and after them."""
    path = find(*VPM)
    raw = scipy.io.loadmat(path, squeeze_me=True)["whiskparams"]
    spikes = []
    for number in range(4):
        tree = read("whisker_segments", [path], segment=number)
        found, one = tree["behaviour"], raw[number]
        assert found.sizes["time"] == 10_008
        assert found.attrs["rate_hz"] == 1000
        clock = schema.sample_times(found.to_dataset())
        np.testing.assert_allclose(clock, one["samples"] / 40_000, rtol=0, atol=1e-9)  # rounding of sums of 1 ms
        inside = set(one["iswhisking"].tolist())
        assert found["whisking"].values.tolist() == [sample in inside for sample in one["samples"].tolist()]
        np.testing.assert_array_equal(found["amplitude"].values, one["amp"])
        assert (np.abs(found["phase"].values) <= np.pi).all()
        times = tree["spikes/time"].values
        assert (np.diff(times) > 0).all()
        spikes.append((len(times), int(((times >= clock[0]) & (times <= clock[-1])).sum())))
    assert spikes == [(248, 177), (616, 524), (326, 229), (639, 464)]  # all, and those in the tracked time
