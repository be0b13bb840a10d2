"""The teacher as a network, the stimuli it and models are shown, and where stimuli leave the range of training."""

import json

import numpy as np
import pytest
import retina_fits
import torch
import xarray as xr
from scipy.stats import poisson

from pellucid.systems.retina.attribute import distribution, evidence, fields, tasks, teacher
from pellucid.systems.retina.attribute.distinct import distinct
from pellucid.systems.retina.attribute.settings import Distribution, Settings
from pellucid.systems.retina.model.restore import restore
from pellucid.systems.retina.model.settings import Settings as Model

SHAPE = (9, 12)
PLACES = [(0, 0), (1, 3), (1, 1)]
HISTORY = 6
CNN = Model(
    history=HISTORY,
    layers=[{"channels": 4, "kernel_px": [3, 4]}, {"channels": 3, "kernel_px": [3, 2]}],
    readout={"kind": "located", "kernel_px": [3, 3]},
)
DENSE = Model(
    history=HISTORY,
    layers=[{"channels": 3, "kernel_px": [4, 3]}, {"channels": 2, "kernel_px": [3, 3]}],
    norm={"per": "unit", "positive": False},
    readout={"kind": "dense"},
)
MODELS = pytest.mark.parametrize("settings", [CNN, DENSE], ids=["located", "dense"])
MOVIE_SD = 30.0
GAIN = 2.0
TEACHER_HISTORY = 5


def movie(rows, axes=3, seed=1):
    size = {1: (), 2: SHAPE[1:], 3: SHAPE}[axes]
    return np.random.default_rng(seed).normal(size=(rows, *size)).astype(np.float32)


def simulated(lag=1, periods=(3, 5), cells=3):
    """The truth of a simulation of two channels, its stored responses computed frame by frame."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(2, TEACHER_HISTORY, 3, 3)).astype(np.float32)
    threshold = np.array([0.1, -0.2])
    weight = rng.normal(size=(cells, 2, SHAPE[0] - 2, SHAPE[1] - 2)).astype(np.float32) * 0.05
    offset = np.linspace(0, 1, cells)
    names = np.array([f"cell{i:02d}" for i in range(cells)], object)
    labels = {"kernel": np.array(["off_fast", "on_slow"], object)}
    about = {"mechanism": "subunits", "gain": GAIN, "history": TEACHER_HISTORY, "lag": lag, "rate_hz": 100.0,
             "movie_mean": 128.0, "movie_sd": MOVIE_SD}  # fmt: skip
    channels = xr.Dataset(
        {
            "filter": (("lag", "kernel", "height", "width"), kernel.swapaxes(0, 1)),
            "threshold": ("kernel", threshold),
            "sign": ("kernel", np.array([-1, 1])),
            "fast": ("kernel", np.array([1, 0])),
        },
        labels,
        about,
    )
    weights = xr.Dataset(
        {"weight": (("neuron", "kernel", "height", "width"), weight), "offset": ("neuron", offset)},
        {"neuron": names, **labels},
    )

    def rate(stimulus):
        """(time, neuron), NaN without a full history: every unit's sum written out."""
        out = np.full((len(stimulus), cells), np.nan)
        for t in range(TEACHER_HISTORY - 1 + lag, len(stimulus)):
            seen = stimulus[t - lag - TEACHER_HISTORY + 1 : t - lag + 1]
            drive = offset.copy()
            for k in range(2):
                for y in range(SHAPE[0] - 2):
                    for x in range(SHAPE[1] - 2):
                        unit = (kernel[k] * seen[:, y : y + 3, x : x + 3]).sum() - threshold[k]
                        drive += weight[:, k, y, x] * max(0, unit)
            out[t] = GAIN * np.logaddexp(0, drive)
        return out

    def probe(frames):
        full = np.broadcast_to(frames.reshape(len(frames), 1, 1), (len(frames), *SHAPE))
        values = {"movie": ("time", frames.astype(np.float32)), "rate": (("time", "neuron"), rate(full))}
        return xr.Dataset(values, {"neuron": names})

    flash = np.zeros(24)
    flash[12:14] = -0.5
    probes = {"/probes/dark_flash": probe(flash)}
    for period in periods:
        frames = np.zeros(40)
        for onset in range(25, -1, -period):
            frames[onset : onset + 2] = -0.5
        probes[f"/probes/omitted_{period:02d}"] = probe(frames)
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/teacher": channels, "/weights": weights, **probes})
    return tree, rate


def fitted(folder, settings=CNN, stimulus_sd=20.0, raw=None, units="count", places=PLACES):
    network = retina_fits.made(settings, SHAPE, places)
    made = retina_fits.fit(folder, settings, network, places, units=units)
    made = type(made)(**{**vars(made), "notes": {**made.notes, "stimulus_sd": stimulus_sd}})
    store = retina_fits.cells(movie(80), np.ones((80, len(places))))
    if raw is not None:
        store.attrs["provenance"] = json.dumps({"config": {"raw": raw}})
    return restore(made, retina_fits.features({"white": store}, {"train": {"white": [(7, 60)]}}))


def known_of(model, truth):
    return teacher.known(model._features, model, truth)


def test_a_teacher_responds_as_its_definition_says(tmp_path):
    truth, rate = simulated()
    known = known_of(fitted(tmp_path), {"retina": truth})
    frames = movie(16)
    expected = rate(frames)[TEACHER_HISTORY:]
    found = known.respond(frames * MOVIE_SD / 20.0)[:-1]  # the same pixels, in contrasts of the model
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # float32
    assert known.labels == ("OFF fast", "ON slow")
    for axes in (1, 2):
        plain = movie(12, axes)
        full = np.broadcast_to(plain.reshape(12, 1, -1), (12, *SHAPE))
        np.testing.assert_allclose(known.respond(plain), known.respond(full), rtol=1e-4)


def test_a_teacher_is_in_the_unit_of_the_model(tmp_path):
    truth, _ = simulated()
    count, hz = (known_of(fitted(tmp_path / units, units=units), {"r": truth}) for units in ("count", "Hz"))
    np.testing.assert_allclose(hz.respond(movie(9)), 100 * count.respond(movie(9)), rtol=1e-6)


def test_the_truth_is_that_of_the_raw_folder_of_the_recordings(tmp_path):
    truth, _ = simulated()
    both = {"one": truth, "two": xr.DataTree.from_dict({"/": xr.Dataset()})}
    assert known_of(fitted(tmp_path / "a", raw="data/raw/one"), both) is not None
    assert known_of(fitted(tmp_path / "b", raw="data/raw/two"), both) is None
    assert known_of(fitted(tmp_path / "c"), both) is None
    assert known_of(fitted(tmp_path / "d"), {}) is None
    more = [*PLACES, (0, 2)]
    assert known_of(fitted(tmp_path / "e", places=more), {"one": simulated(cells=3)[0]}) is None


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_probes_hold_the_stored_responses_row_by_row(tmp_path, lag):
    truth, _ = simulated(lag=lag)
    settings = CNN.model_copy(update={"lag": lag})
    model = fitted(tmp_path, settings)
    known = known_of(model, {"retina": truth})
    found = {task.name: task for task in tasks.probes(model, known)}
    assert set(found) == {"probe_dark_flash", "probe_omitted"}
    assert found["probe_omitted"].kind == "omitted"
    for task in found.values():
        # the teacher's own network, shown the same frames, is as late as the stored response
        again = tasks.responses(known, task.conditions, model)
        known_rows = np.isfinite(again)
        np.testing.assert_allclose(again[known_rows], task.teacher[known_rows], rtol=1e-4)
        assert (
            task.conditions.shown.shape == task.teacher.shape[:2] == (len(task.conditions.values), task.conditions.rows)
        )
    window = found["probe_dark_flash"].conditions.window
    change = np.abs(found["probe_dark_flash"].teacher[0] - found["probe_dark_flash"].teacher[0, 0]).mean(1)
    assert window.start <= change.argmax() < window.stop


def test_other_models_are_shifted_to_the_rows_of_the_attributed_one(tmp_path):
    long = fitted(tmp_path / "long")
    short = fitted(tmp_path / "short", CNN.model_copy(update={"history": 4, "lag": 2}))
    settings = Settings(phenomena={"step": {"kind": "step", "step_frames": 8, "after_rows": 4, "before_rows": 3}})
    (task,) = tasks.tasks(long, settings, None)
    own = tasks.responses(long, task.conditions, long)
    np.testing.assert_array_equal(own[0], long.respond(task.conditions.frames[0]))
    # row i of the long one is the response at i + 6 - 1 + 1, row j of the short one that at j + 4 - 1 + 2
    other = tasks.responses(short, task.conditions, long)
    np.testing.assert_allclose(other[0], short.respond(task.conditions.frames[0])[1:-1], rtol=1e-5)  # float32
    (task,) = tasks.tasks(short, settings, None)
    frames = task.conditions.frames[0]
    seen = np.concatenate([[0], frames, frames[-1:]]).astype(np.float32)  # grey before, the last frame after
    np.testing.assert_allclose(tasks.responses(long, task.conditions, short)[0], long.respond(seen), rtol=1e-5)


@MODELS
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_mean_drive_needs_no_map(settings, axes):
    network = retina_fits.made(settings, SHAPE, PLACES)
    frames = movie(20, axes)
    with torch.inference_mode():
        truth = network.first(torch.from_numpy(frames)).mean((2, 3)).numpy()
    np.testing.assert_allclose(distribution.drive(network, frames), truth, atol=1e-5)


def test_a_stimulus_is_outside_where_no_training_row_drives_a_channel_as_it_does(tmp_path):
    model = fitted(tmp_path)
    found = distribution.training_range(model._features, model, Distribution())
    frames = model.standardise(movie(80))
    rows = np.arange(7, 60) - 1 - HISTORY + 1
    truth = distribution.drive(model.network, frames)[rows]
    np.testing.assert_allclose([found.low, found.high], [truth.min(0), truth.max(0)], rtol=1e-5)
    assert found.outside(truth, 0) == 0
    moved = np.concatenate([truth, truth[:1] + 1.5 * (found.high - found.low)])
    assert found.outside(moved, 0.1) == pytest.approx(1 / len(moved))
    assert found.outside(moved, 2) == 0


@MODELS
def test_receptive_fields_are_gradients_of_the_rate(settings):
    network = retina_fits.made(settings, SHAPE, PLACES)
    frames = movie(14)
    rows = np.array([0, 3, 4, 8])
    found = fields.mean_field(network, frames, rows)
    truth = np.zeros_like(found)
    for row in rows:
        window = torch.from_numpy(frames[row : row + HISTORY])[None].requires_grad_(True)
        for cell in range(len(PLACES)):
            truth[cell] += torch.autograd.grad(network(window)[0, cell], window)[0].numpy()[0] / len(rows)
    np.testing.assert_allclose(found, truth, atol=1e-6)
    field = np.random.default_rng(0).normal(size=found.shape)
    each = np.stack([fields.mean_field(network, frames, rows[i : i + 1]) for i in range(len(rows))])
    product = fields.projections(network, frames, rows, field)
    np.testing.assert_allclose(product, np.einsum("tnlhw,nlhw->tn", each, field), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2])
def test_fields_under_uniform_stimuli_are_those_under_the_expanded_ones(axes):
    network = retina_fits.made(CNN, SHAPE, PLACES)
    plain = movie(9, axes)
    full = np.ascontiguousarray(np.broadcast_to(plain.reshape(9, 1, -1), (9, *SHAPE)))
    rows = np.arange(4)
    whole = fields.mean_field(network, full, rows)
    found = fields.mean_field(network, plain, rows)
    assert found.shape[2:] == (1, 1 if axes == 1 else SHAPE[1])
    truth = whole.sum((2, 3) if axes == 1 else 2, keepdims=True)  # per contrast that all pixels have in common
    np.testing.assert_allclose(found, truth, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_windows_that_are_the_same_are_found_once(axes):
    stimuli = [movie(30, axes, seed) for seed in range(2)]
    for one in stimuli:
        one[:20] = 0
    stimuli[1][25:] = -0.0
    found = distinct(stimuli, 4)
    windows = np.stack([np.stack([one[i : i + 4] for i in range(27)]) for one in stimuli])
    different = np.unique(windows.reshape(54, -1), axis=0)
    assert len(found.rows) == len(different)
    seen = np.stack([found.movie[row : row + 4] for row in found.rows])
    np.testing.assert_array_equal(found.spread(seen), windows)
    assert (np.diff(found.rows) > 0).all()


def test_bits_per_spike_are_those_of_a_poisson_likelihood(tmp_path):
    model = fitted(tmp_path, stimulus_sd=1.0)
    rng = np.random.default_rng(0)
    store = retina_fits.cells(movie(80), rng.poisson(2, (80, 3)))
    store["responses"]["response"].values[60:, 1] = np.nan
    features = retina_fits.features({"white": store}, {"test": {"white": [(30, 50), (60, 78)]}})
    model = restore(model.fit, features)
    rows = np.r_[30:50, 60:78]
    rate = np.stack([model.respond(movie(80)[row - HISTORY : row])[0] for row in rows])
    found = evidence.bits_per_spike(features, model)
    for cell, own in enumerate([slice(None), slice(0, 20), slice(None)]):
        seen = store["responses"]["response"].values[rows[own], cell]
        gain = poisson.logpmf(seen, rate[own, cell]) - poisson.logpmf(seen, 1.0)
        assert found[cell] == pytest.approx(gain.sum() / seen.sum() / np.log(2), rel=1e-4)


def test_a_model_that_knows_no_more_than_the_mean_is_said_to():
    cells = ["a", "b"]
    good = {0: np.array([0.2, -0.1]), 1: np.array([0.3, -0.2])}
    assert evidence.convincing(good)
    assert "predicts b no better" in evidence.said(good, cells, "main")
    bad = {0: np.array([0.01, -0.1]), 1: np.array([0.01, np.nan])}
    assert not evidence.convincing(bad)
    assert "not attributed" in evidence.said(bad, cells, "main")
    assert evidence.said({0: np.array([0.2, 0.1])}, cells, "main") == ""
