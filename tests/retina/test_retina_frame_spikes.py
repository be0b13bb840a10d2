"""Frames with measured times and spike times, as text and in MATLAB files; two public recordings."""

import numpy as np
import pytest
import retina_data as data
from pydantic import ValidationError

from pellucid import store
from pellucid.artifacts import row_indices
from pellucid.errors import DataError, MissingError
from pellucid.readers import frame_spikes, matfile
from pellucid.systems.retina.features.collect import collect
from pellucid.systems.retina.features.extract import extract
from recordings import find

ONSETS = 0.5 + 0.02 * np.arange(30)
FRAMES = np.random.default_rng(0).standard_normal(34)
SPIKES = {"a": np.array([0.1, 0.51, 0.51, 0.9]), "b": np.array([0.52, 0.515 + 0.2])}
OPTIONS = {
    "stimulus": {"file": "frames.txt", "name": "flicker"},
    "times": {"file": "onsets.txt"},
    "spikes": {"a": "cell_a.txt", "b": "cell_b.txt"},
}


def files(folder):
    """Text files of a recording; returns all of them."""
    for name, numbers in {"frames": FRAMES, "onsets": ONSETS}.items():
        frame_spikes.write(folder / f"{name}.txt", numbers)
    for name, numbers in SPIKES.items():
        frame_spikes.write(folder / f"cell_{name}.txt", numbers)
    return sorted(folder.iterdir())


def read(paths, **given):
    return frame_spikes.read(paths, frame_spikes.Settings.model_validate({**OPTIONS, **given}))


def refused(paths, message, error=DataError, **given):
    with pytest.raises(error, match=message):
        read(paths, **given)


def test_text_becomes_frames_with_a_time_and_spikes_in_order(tmp_path):
    tree = read(files(tmp_path))
    assert tree["stimulus"]["movie"].dims == ("time", "height", "width")
    assert np.array_equal(tree["stimulus"]["movie"].values[:, 0, 0], FRAMES[:30])
    assert np.array_equal(tree["stimulus"]["time"].values, ONSETS)
    assert tree["stimulus"].attrs["stimulus"] == "flicker"
    assert tree["spikes"]["neuron"].values.tolist() == ["a", "b"]
    times, units = tree["spikes"]["spike_time"].values, tree["spikes"]["spike_unit"].values
    assert (np.diff(times) >= 0).all()
    for index, spikes in enumerate(SPIKES.values()):
        assert np.array_equal(times[units == index], spikes)
    tree.attrs |= data.attributes()
    store.write(tmp_path / "r.zarr", tree, kind="recording")  # keeps the array contract


def test_windows_text_and_a_byte_order_mark_are_the_same_numbers(tmp_path):
    files(tmp_path)
    text = (tmp_path / "onsets.txt").read_text().replace("\n", "\r\n")
    (tmp_path / "onsets.txt").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    assert np.array_equal(read(sorted(tmp_path.iterdir()))["stimulus"]["time"].values, ONSETS)


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_matlab_files_have_axes_in_their_order_and_times_in_ms(tmp_path, version):
    steps = np.arange(2.0 * 3 * 30).reshape(2, 3, 30)
    matfile.write(tmp_path / "steps.mat", {"steps": steps, "times": 1000 * ONSETS[None]}, version=version)
    files(tmp_path)
    given = {
        "stimulus": {"file": "steps.mat", "variable": "steps", "dims": ["width", "height", "time"], "frames": 20},
        "times": {"file": "steps.mat", "variable": "times", "scale_s": 0.001, "offset_s": -0.025, "count": 20},
    }
    tree = read(sorted(tmp_path.iterdir()), **given)
    assert np.array_equal(tree["stimulus"]["movie"].values, steps.transpose(2, 1, 0)[:20])
    np.testing.assert_allclose(tree["stimulus"]["time"].values, ONSETS[:20] - 0.025, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("frames", 3, "nan", r"frames\.txt, line 4: expected one finite number, found 'nan'"),
        ("frames", 0, "1,5", r"frames\.txt, line 1: expected one finite number, found '1,5'"),
        ("onsets", 7, "0.5 0.6", r"onsets\.txt, line 8"),
        ("onsets", 7, "", r"onsets\.txt, line 8"),
        ("onsets", 7, "1_0", r"onsets\.txt, line 8"),
        ("onsets", 7, "inf", r"onsets\.txt, line 8"),
        ("onsets", 7, "0.62", r"frame time 8: expected a time after 0\.62 s, found 0\.62 s"),
        ("cell_a", 3, "0.3", r"spike 4: expected a time from 0\.51 s, found 0\.3 s"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, name, line, text, message):
    paths = files(tmp_path)
    lines = (tmp_path / f"{name}.txt").read_text().splitlines()
    lines[line] = text
    (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    refused(paths, message)


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    paths = files(tmp_path)
    refused(paths, "31 frame times", times={"file": "onsets.txt", "count": 31})
    refused(paths, "35 frames", stimulus={"file": "frames.txt", "frames": 35})
    refused(paths, "a time for each of 34 frames", stimulus={"file": "frames.txt", "frames": 34})
    more = {"stimulus": {"file": "cell_a.txt"}, "spikes": {"b": "cell_b.txt"}}
    refused(paths, "30 frames .as many as frame times", **more)
    refused(paths, "axes", stimulus={"file": "frames.txt", "dims": ["width", "time"]})
    refused(paths, "cell_c.txt", MissingError, spikes={"c": "cell_c.txt"})
    (tmp_path / "cell_a.txt").write_text("\n")
    refused(paths, "an empty file")
    (tmp_path / "cell_a.txt").write_bytes(b"\xff\xfe1")
    refused(paths, "UTF-8")
    (tmp_path / "again").mkdir()
    frame_spikes.write(tmp_path / "again" / "frames.txt", FRAMES)
    refused([*paths, tmp_path / "again" / "frames.txt"], "one file frames.txt")


def test_variables_of_matlab_files_that_cannot_be_used_are_refused(tmp_path):
    matfile.write(tmp_path / "m.mat", {"x": np.array([1.0, np.nan, 2.0]), "t": "text", "e": np.eye(3)})
    paths = files(tmp_path)
    refused(paths, "number 2: expected a finite number", times={"file": "m.mat", "variable": "x"})
    refused(paths, "a vector", times={"file": "m.mat", "variable": "e"})
    refused(paths, "numbers", times={"file": "m.mat", "variable": "t"})
    refused(paths, "a variable 'y'", times={"file": "m.mat", "variable": "y"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"times": {"file": "onsets.mat"}},
        {"times": {"file": "onsets.txt", "variable": "x"}},
        {"times": {"file": "onsets.csv"}},
        {"stimulus": {"file": "frames.txt", "dims": ["width"]}},
        {"stimulus": {"file": "frames.txt", "dims": ["time", "time"]}},
        {"spikes": {}},
        {"spikes": {"a": "cell_a.txt", "b": "cell_a.txt"}},
    ],
)
def test_options_without_meaning_are_refused(wrong):
    with pytest.raises(ValidationError):
        frame_spikes.Settings.model_validate({**OPTIONS, **wrong})


FLICKER = {
    "stimulus_fullfieldnoise.txt": "dba084b91416024a2e5d170612771a32966b7efe7a0930b83c7a7fbc3c33da55",
    "frametimes_fullfieldnoise.txt": "45f82b3fef5d419c6beb8d06583334841db8ff2bfa7d6921f71bb8b1f173cb84",
    "fullfieldnoise_C1.txt": "c8f9b2b7bdeb64de53927c78cf1f9a1dfbea241141d99e14faa3dc9daa6469fd",
    "fullfieldnoise_C2.txt": "56302e9518a2cdc0d67288473c91b22cf548f24659e176f0ac408792a2dd188a",
    "fullfieldnoise_C3.txt": "b70db935bdd172f482a549b344c3dac29824dc128cd7ea21ce49b3ae9af26a42",
    "fullfieldnoise_C4.txt": "c2592027a304768f9a0683e65bea691091288cc727da807e69b053423e74a0aa",
    "fullfieldnoise_C5.txt": "ac31ec424394fa8b51604e7ade5291fac63faa30c7102d9e320d6122669fc5bb",
    "fullfieldnoise_C6.txt": "7c6dce4d61e4ec1cac50d31afc9a8ef61539a7bbc233d5f4ca13bf23698fb554",
    "fullfieldnoise_C7.txt": "c6ad85e708a39773a011272a5a6c16393f9ca73bd4446d989cfb74dcc28c4e5a",
    "fullfieldnoise_C8.txt": "3ebaa3b8ec4df8f96ed8bfedfca240be65ebf23a8f1dd1637c1f41ecbb17cb02",
}
MOTION = {
    "motionSteps.mat": "5fa8c45cf7285408b571827c30fbee49ade52c579e8677f7ed5ee2488f5291df",
    "13_OMB_bg4x4corr8_C150_Gsteps3_frametimings.mat": (
        "46a3930bfd316759f2622478bfbb9f9fd76caab361e7ba80bc326e372a41058a"
    ),
    "13_SP_C807.txt": "c4ed52380089381c1294c53893904763c93dc54d1b6a457836e6a9f30ba63e32",
    "13_SP_C1803.txt": "43528841f7d3bdef4ccdd386826ac2e5783d9bbe7f2e6e9281e5fd45ab7594ef",
}


def collected(folder, tree, **given):
    """Features of one recording, their fold and statistics."""
    settings = data.settings(response="spikes", **given)
    extract(tree, settings, folder / "one.zarr")
    found = store.open_store(folder / "one.zarr")
    return found, collect({"one": found}, settings)


@pytest.fixture(scope="module")
def flicker(tmp_path_factory):
    options = {
        "stimulus": {"file": "stimulus_fullfieldnoise.txt", "frames": 98400},
        "times": {"file": "frametimes_fullfieldnoise.txt", "count": 98400},
        "spikes": {f"C{cell}": f"fullfieldnoise_C{cell}.txt" for cell in range(1, 9)},
    }
    tree = read([find(*item) for item in FLICKER.items()], **options)
    frozen = {"start": 1800, "frames": 600, "period": 2400}
    return collected(tmp_path_factory.mktemp("flicker"), tree, frozen=frozen, history_frames=41)


@pytest.mark.recording
def test_eight_cells_saw_a_frozen_segment_forty_one_times(flicker):
    found, made = flicker
    assert found["stimulus"]["movie"].shape == (98400, 1, 1)
    assert found["repeats"]["response"].shape == (41, 600, 8)
    assert found["stimulus"].attrs["rate_hz"] == pytest.approx(75.075, abs=1e-3)  # median frame of 13.32 ms
    assert found["stimulus"].attrs["late_frames"] == 18
    assert found["stimulus"].attrs["irregular_frames"] == 1
    kept = found["responses"]["response"].values
    assert found["responses"].attrs["spikes_outside"] + kept.sum() == 188716  # all numbers of the eight files
    assert len(row_indices(made.folds[0].test["one"])) == 600 - 40


@pytest.mark.recording
def test_halves_of_the_repeats_correlate_as_measured_elsewhere(flicker):
    """Anchor: r of .84 to .96 between two halves of the 41 repeats."""
    repeats = flicker[0]["repeats"]["response"].values
    halves = repeats[::2].mean(axis=0), repeats[1::2].mean(axis=0)
    r = [np.corrcoef(halves[0][:, cell], halves[1][:, cell])[0, 1] for cell in range(8)]
    assert min(r) == pytest.approx(0.84, abs=0.01)
    assert max(r) == pytest.approx(0.96, abs=0.01)


@pytest.mark.recording
def test_no_response_precedes_the_flicker(flicker):
    """Spike-triggered averages of the running frames: none at negative lags, a peak some 4 to 7 frames back."""
    found, made = flicker
    lag, z = found["responses"]["sta_lag"].values, found["responses"]["sta_z"].values
    assert ((lag >= 4) & (lag <= 7)).all()
    assert (np.abs(z) > 15).all()
    frames, response = found["stimulus"]["movie"].values.ravel(), found["responses"]["response"].values
    train = row_indices(made.folds[0].train["one"])
    for ahead in (1, 2, 5, 10):
        inside = train[np.isin(train + ahead, train)]
        r = [np.corrcoef(frames[inside + ahead], response[inside, cell])[0, 1] for cell in range(8)]
        assert np.abs(r).max() * np.sqrt(len(inside)) < 4  # 32 values of a normal distribution


@pytest.mark.recording
def test_the_file_of_the_flicker_ends_with_copies_of_earlier_frames():
    """Why frames from 98400 on are left out: the segment shown then is the frozen one, that of the file is another."""
    name = "stimulus_fullfieldnoise.txt"
    values = np.array((find(name, FLICKER[name])).read_text().split(), float)
    assert len(values) == 101401
    assert len(np.unique(values[:98400])) == 41 * 1800 + 600
    assert np.isin(values[98400:], values[:98400]).all()
    frozen = values[1800:2400]
    again = [np.array_equal(values[begin : begin + 600], frozen) for begin in range(1800, 101401 - 600, 2400)]
    assert again == [True] * 41 + [False]


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    options = {
        "stimulus": {"file": "motionSteps.mat", "variable": "stimulus", "dims": ["width", "time"], "frames": 27000},
        "times": {
            **{"file": "13_OMB_bg4x4corr8_C150_Gsteps3_frametimings.mat", "variable": "ftimes"},
            **{"scale_s": 0.001, "offset_s": -0.025, "count": 27000},
        },
        "spikes": {"C807": "13_SP_C807.txt", "C1803": "13_SP_C1803.txt"},
    }
    tree = read([find(*item) for item in MOTION.items()], **options)
    return collected(tmp_path_factory.mktemp("motion"), tree, test_s=225, history_frames=25)


@pytest.mark.recording
def test_two_cells_saw_motion_steps_once(motion):
    found, made = motion
    assert found["stimulus"]["movie"].shape == (27000, 1, 2)
    assert "repeats" not in found.children
    assert found["stimulus"].attrs["start_s"] == pytest.approx(5.1033)
    assert found["stimulus"].attrs["rate_hz"] == pytest.approx(30.21, abs=0.01)
    counts = found["responses"]["response"].values.sum(axis=0)
    assert found["responses"].attrs["spikes_outside"] + counts.sum() == 9453 + 9285
    assert ((counts > 3000) & (counts < 3500)).all()
    test = row_indices(made.folds[0].test["one"])
    assert len(test) == round(225 * found["stimulus"].attrs["rate_hz"]) - 1  # one frame was half as long again
    assert test[-1] == 26999


@pytest.mark.recording
def test_direction_selective_cells_follow_the_motion_by_a_quarter_of_a_second(motion):
    """Cell 807 prefers steps in one horizontal direction, cell 1803 in the other; neither precedes the motion."""
    found, _ = motion
    assert ((found["responses"]["sta_lag"].values >= 5) & (found["responses"]["sta_lag"].values <= 9)).all()
    steps = found["stimulus"]["movie"].values[:, 0].astype(float)
    response = found["responses"]["response"].values.astype(float)

    def r(lag):
        """Correlation of both cells with both directions `lag` frames before, (direction, cell)."""
        late, early = max(lag, 0), max(-lag, 0)
        joined = np.hstack([steps[early : 27000 - late], response[late : 27000 - early]])
        return np.corrcoef(joined.T)[:2, 2:]

    horizontal = np.array([r(lag)[0] for lag in range(1, 13)])
    assert horizontal[:, 0].max() > 0.04
    assert horizontal[:, 1].min() < -0.04
    ahead = [np.abs(r(-lag)).max() for lag in range(1, 9)]
    assert max(ahead) * np.sqrt(27000) < 4  # 32 values of a normal distribution
