"""Interneurons with a known place in a network are found there, and chance has no such score."""

import json

import numpy as np
import pytest
import retina_fits
import torch
import xarray as xr
from scipy import stats

from pellucid import schema
from pellucid.errors import DataError
from pellucid.systems.retina.attribute import activity, interneurons
from pellucid.systems.retina.attribute.matching import Units, standardised
from pellucid.systems.retina.attribute.settings import Interneurons
from pellucid.systems.retina.model.restore import restore
from pellucid.systems.retina.model.settings import Settings as Model

SHAPE = (9, 11)
PLACES = [(0, 0), (1, 2)]
CNN = Model(
    history=6,
    layers=[{"channels": 4, "kernel_px": [3, 3]}, {"channels": 3, "kernel_px": [3, 3]}],
    readout={"kind": "located", "kernel_px": [3, 3]},
)
QUICK = Interneurons(drop_first=8, draws=100, untrained=2)
UNIT = (2, 4, 7)
"""Channel, row and column of the unit that the planted interneuron is."""
NOISE = 0.75
"""Noise of the planted potential in s.d. of the unit: its correlation with the unit is 1 / sqrt(1 + .75^2) = .8."""


@pytest.fixture
def network():
    return retina_fits.made(CNN, SHAPE, PLACES)


def boxes(rows=1500, seed=1):
    return np.random.default_rng(seed).choice([-1.0, 1.0], (rows, *SHAPE)).astype(np.float32)


def planted(network, movie, lag=1, noise=NOISE, seed=2):
    """Potentials (time, 2) in mV: a unit of the first layer with noise, and noise alone."""
    rng = np.random.default_rng(seed)
    with torch.inference_mode():
        drive = network.first(torch.from_numpy(movie)).numpy()[:, UNIT[0], UNIT[1], UNIT[2]]
    potential = rng.normal(size=(len(movie), 2))
    rows = np.arange(len(drive)) + network.history - 1 + lag
    kept = rows < len(movie)
    potential[rows[kept], 0] = (drive / drive.std())[kept] + noise * rng.normal(size=kept.sum())
    return 5 * potential - 40


def built(folder, network, movie, potential, **extra):
    made = retina_fits.fit(folder, CNN, network, PLACES)
    white = retina_fits.cells(np.zeros((40, *SHAPE)), np.zeros((40, 2)))
    features = retina_fits.features({"white": white, "bip": retina_fits.interneurons(movie, potential, **extra)}, {})
    return features, {0: restore(made, features)}, {0: ["ON fast", "OFF fast", "ON slow", "OFF slow"]}


def test_a_planted_interneuron_is_found_at_its_channel_and_pixel(tmp_path, network):
    movie = boxes()
    features, fitted, labels = built(tmp_path, network, movie, planted(network, movie))
    found = interneurons.group(features, "bip", fitted, labels, QUICK, 0)
    place = [int(found[f"best_{name}"].values[0, 0]) for name in ("feature", "row", "column")]
    assert place == list(UNIT)
    assert found["r"].values[0, 0] == pytest.approx(1 / np.hypot(1, NOISE), abs=0.03)
    null = found["null_shift"].values[0]
    assert found["r"].values[0, 0] > np.quantile(null[0], 0.99)
    assert found["r"].values[0, 1] < np.quantile(null[1], 0.99)  # noise is like its own shifts
    assert found["r"].values[0, 0] > np.nanmax(found["untrained"].values[0, 0]) + 0.1
    rows = json.loads(found.attrs["matches"])
    assert [(row["layer"], row["neuron"], row["label"]) for row in rows][:2] == [
        ("first", "bipolar0", "ON slow"), ("first", "bipolar1", labels[0][rows[1]["feature"]])
    ]  # fmt: skip
    assert rows[0]["p"] == pytest.approx(1 / 101)
    assert rows[0]["null_99"] < 0.3
    schema.check(xr.DataTree.from_dict({"/interneurons/bip": found}), "made")


def test_maps_equal_a_loop_of_correlations(tmp_path, network):
    movie = boxes(rows=200)
    potential = planted(network, movie)
    features, fitted, labels = built(tmp_path, network, movie, potential)
    found = interneurons.group(features, "bip", fitted, labels, QUICK, 0)
    with torch.inference_mode():
        windows = torch.from_numpy(np.stack([movie[i : i + 6] for i in range(194)]))
        units = network.norms[0](network.convolution_list()[0](windows)).numpy()
    response = np.arange(194) + 6
    kept = response >= 8
    for unit in (UNIT, (0, 0, 0), (3, 6, 8), (1, 2, 5)):
        for cell in range(2):
            truth = stats.pearsonr(units[kept][:, unit[0], unit[1], unit[2]], potential[response[kept], cell]).statistic
            # float32 activity and products
            assert found["correlation"].values[0, cell][unit] == pytest.approx(truth, abs=1e-5)


def test_the_second_layer_is_seen_after_its_normalisation_and_before_its_relu(network):
    movie = boxes(rows=30)
    block = np.array([0] * 18 + [3] * 12)
    first, second = activity.activity(network, movie, block)
    assert len(first) == len(second) == 13 + 7
    window = torch.from_numpy(movie[20:26])[None]
    convolutions = network.convolution_list()
    with torch.inference_mode():
        one = network.norms[0](convolutions[0](window))
        two = network.norms[1](convolutions[1](torch.relu(one)))
    np.testing.assert_allclose(first[13 + 2], one[0], atol=1e-5)
    np.testing.assert_allclose(second[13 + 2], two[0], atol=1e-5)
    rows = activity.rows(block, 6, 1, 8)
    assert rows.tolist() == [-1, -1, *range(8, 18), -1, *[-1] * 2, *range(26, 30), -1]


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_potential_is_as_late_as_responses_are(tmp_path, network, lag):
    movie = boxes(rows=600)
    potential = planted(network, movie, lag=lag, noise=0)
    made = CNN.model_copy(update={"lag": lag})
    features, _, labels = built(tmp_path, network, movie, potential)
    fitted = {0: restore(retina_fits.fit(tmp_path, made, network, PLACES), features)}
    found = interneurons.group(features, "bip", fitted, labels, QUICK, 0)
    assert found["r"].values[0, 0] == pytest.approx(1, abs=1e-4)


def test_dead_units_and_constant_potentials_say_nothing():
    rng = np.random.default_rng(0)
    activity_ = rng.normal(size=(300, 5)).astype(np.float32)
    potential = np.stack([activity_[:, 1] + activity_[:, 3], np.full(300, -60.0)], axis=1)
    activity_[:, 3] *= 1e-8  # below exp(-15) on average
    activity_[:, 4] = 7
    units = Units(activity_, gap=10)
    found = units.correlation(potential)
    assert units.dead.tolist() == [False, False, False, True, True]
    assert (found[0, 3:] == 0).all()
    assert np.isnan(found[1]).all()
    match = units.match(potential)
    assert match.unit[0] == 1
    assert np.isnan(match.second[1])
    first, second = slice(0, 150), slice(160, 300)
    assert match.first[0] == pytest.approx(stats.pearsonr(activity_[first, 1], potential[first, 0]).statistic, abs=1e-5)
    assert match.second[0] == pytest.approx(
        stats.pearsonr(activity_[second, 1], potential[second, 0]).statistic, abs=1e-5
    )


def test_the_largest_of_many_correlations_is_biased_and_the_second_half_is_not():
    rng = np.random.default_rng(3)
    units = Units(rng.normal(size=(200, 4000)).astype(np.float32), gap=0)
    match = units.match(rng.normal(size=(200, 40)))
    assert match.first.mean() > 0.3
    assert abs(match.second.mean()) < 0.05  # its standard error is .1 / sqrt(40) = .016
    shifted = units.shifted(rng.normal(size=(200, 2)), 60, 20, np.random.default_rng(0))
    assert shifted.shape == (2, 60)
    assert abs(shifted.mean()) < 0.04


def test_shifts_are_never_shorter_than_asked():
    time = np.arange(400)
    wave = np.sin(2 * np.pi * time / 400)[:, None]
    units = Units(np.cos(2 * np.pi * (time[:, None] - np.arange(400)) / 400).astype(np.float32), gap=0)
    rng = np.random.default_rng(0)
    found = units.shifted(wave, 50, 100, rng)
    np.testing.assert_array_equal(found, units.shifted(wave, 50, 100, np.random.default_rng(0)))
    assert np.isfinite(found).all()


def test_standardised_columns_have_mean_zero_and_unit_spread():
    values = np.random.default_rng(0).normal(-60, 4, (100, 3))
    z = standardised(values)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("movie", "message"),
    [
        (np.zeros((100, 9, 12)), "9 x 11 px"),
        (np.full((100, *SHAPE), 128.0), "contrast"),
    ],
)
def test_movies_a_network_cannot_see_are_refused(tmp_path, network, movie, message):
    features, fitted, labels = built(tmp_path, network, movie, np.zeros((100, 2)))
    with pytest.raises(DataError, match=message):
        interneurons.group(features, "bip", fitted, labels, QUICK, 0)


def test_grey_levels_are_standardised_where_it_is_asked_for(tmp_path, network):
    movie = boxes(rows=400)
    features, fitted, labels = built(tmp_path, network, 100 + 20 * movie, planted(network, movie))
    own = QUICK.model_copy(update={"contrast": "own"})
    found = interneurons.group(features, "bip", fitted, labels, own, 0)
    assert [int(found[f"best_{name}"].values[0, 0]) for name in ("feature", "row", "column")] == list(UNIT)
