"""Pairs of bands, elimination, spikes of classes, profiles and one-band networks, on answers known by hand."""

import json
from itertools import combinations, product

import di_hand_made as made
import numpy as np
import pytest
import torch
import xarray as xr

from pellucid import schema
from pellucid.errors import DataError
from pellucid.systems.deepinsight.attribute import inputs, pairs, spikes
from pellucid.systems.deepinsight.attribute.attribute import attribute
from pellucid.systems.deepinsight.attribute.elimination import Eliminated
from pellucid.systems.deepinsight.attribute.inputs import MEDIAN, Input
from pellucid.systems.deepinsight.attribute.scoring import Scorer
from pellucid.systems.deepinsight.attribute.settings import Settings
from pellucid.systems.deepinsight.model.network import DeepInsight, last_outputs
from pellucid.systems.deepinsight.model.settings import Settings as ModelSettings
from pellucid.systems.deepinsight.model.windows import stretches

QUICK = {"filters": 8, "merge_filters": 8, "units": 16, "schedule": {"epochs": 2, "steps": 5, "batch": 4}}
ROWS, CHANNELS = 1200, 2
FOLDS = [(0, 600), (600, 1200)]


def settings(**changed):
    """Quick settings of the attribution."""
    return Settings.model_validate({"repeats": 2, "every_rows": 8, "bootstrap": 200, "channels": False, **changed})


def noise(seed=0, size=0.01):
    """Power of bands that carry nothing."""
    return size * np.random.default_rng(seed).standard_normal((ROWS, made.BANDS, CHANNELS))


@pytest.fixture(scope="module")
def redundant(tmp_path_factory):
    """`same`: half in band 4 and half in band 20 of the first channel; `sum`: what bands 6 and 22 carry is added."""
    generator = np.random.default_rng(1)
    power, b, c = noise(), generator.standard_normal(ROWS), generator.standard_normal((2, ROWS))
    power[:, 4, 0] = power[:, 20, 0] = b / 2
    power[:, 6, 1], power[:, 22, 1] = c
    features = made.features(power, {"same": b, "sum": c.sum(0)}, [(0, ROWS)])
    network = made.linear(CHANNELS, {"same": [[1, 0], [1, 0]], "sum": [[0, 1], [0, 1]]})
    folder = tmp_path_factory.mktemp("redundant")
    return features, [made.fit(folder, network, CHANNELS)]


def test_the_network_made_by_hand_adds_the_last_row(redundant):
    features, fits = redundant
    scorer = Scorer.load(fits[0], features, settings())
    power = features.group("r")["power"].values[63:].astype(float)
    expected = np.stack([power[::8, :, 0].sum(1), power[::8, :, 1].sum(1)], axis=1)
    assert scorer.predict([])[0].numpy() == pytest.approx(expected, abs=2e-3)


@pytest.fixture(scope="module")
def interacting(redundant):
    """The attribution of the redundant bands with all pairs, against their truth."""
    features, fits = redundant
    hz = features.first()["frequency"].values
    truth = xr.Dataset(
        {
            "band_hz": ("output", hz[[4, 6]]),
            "redundant_hz": ("output", [hz[20], np.nan]),
            "carries": (("channel", "output"), np.eye(2, dtype=bool)),
        },
        coords={"output": np.array(["same", "sum"], object)},
        attrs={"informative": 1},
    )
    both = {"bands_hz": hz[[4, 20]].tolist()}
    used = settings(repeats=1, blocks=20, pairs=True, groups={"both": both})
    return hz, attribute(features, fits, used, {"r": xr.DataTree.from_dict({"/truth": truth})})


def test_a_group_of_redundant_bands_has_more_influence_than_they_have_one_by_one(interacting):
    """With y = x1 + x2 and x1 = x2 = b / 2, one shuffle costs E(b' - b)^2 / 4, both together four times as much."""
    hz, tree = interacting
    singles = tree["band"]["influence"].values[[4, 20], 0]
    group = float(tree["group"]["influence"].values[0, 0])
    assert group == pytest.approx(2 * singles.sum(), rel=0.3)  # other draws
    found = schema.check(tree, "attribution")["pairs"]
    first, second = found["first_hz"].values, found["second_hz"].values
    assert found.sizes["feature"] == made.BANDS * (made.BANDS - 1) // 2
    value, low, p = (found[name].values[:, 0] for name in ("interaction", "low", "p_holm"))
    both = (first == hz[4]) & (second == hz[20])
    assert value[both] == pytest.approx(group / 2, rel=0.3)
    assert low[both] > 0
    assert p[both] < 0.05
    assert np.abs(value[~both]).max() < 0.05 * value[both]
    # independent bands of the same network do not interact: shuffled together they cost what they cost apart
    added = (first == hz[6]) & (second == hz[22])
    apart = tree["band"]["influence"].values[[6, 22], 1].sum()
    assert np.abs(found["interaction"].values[added, 1]) < 0.3 * apart


def test_redundancy_is_reported_against_the_truth(interacting):
    hz, tree = interacting
    rows = {row["name"]: row for row in json.loads(tree.attrs["headline"])}
    assert rows["influence: same: group both over the sum of its bands"]["value"] == pytest.approx(2, rel=0.3)
    (name,) = [name for name in rows if "interaction of" in name]
    assert rows[name]["low"] > 0
    assert rows[f"influence: same: rank of the true band ({hz[4]:.4g} Hz)"]["value"] == 1


def test_pairs_equal_windows_with_both_bands_permuted(tmp_path):
    """Against the network run on whole windows whose two bands were exchanged by hand; an odd number of channels."""
    torch.manual_seed(3)
    power = np.random.default_rng(2).standard_normal((260, 5, 3))
    features = made.features(power, {"b": power[:, 0, 0]}, [(0, 260)])
    network = DeepInsight(3, 5, {"b": 1}, filters=4, merge_filters=4, units=6)
    fit = made.fit(tmp_path, network, 3, frequencies=5, filters=4, merge_filters=4, units=6)
    used = settings(repeats=1, blocks=2, every_rows=4)
    scorer = Scorer.load(fit, features, used)
    found = pairs.score(scorer, features.first(), used)
    order = np.random.default_rng([used.seed, 0, 0, pairs.STREAM]).permutation(260)
    ends = np.arange(63, 260, 4)
    expected = []
    for changed in [(), *((f,) for f in range(5)), *combinations(range(5), 2)]:
        one = power.astype(np.float32)
        one[:, changed] = one[order][:, changed]
        windows = torch.from_numpy(np.stack([one[end - 63 : end + 1] for end in ends])).permute(0, 3, 1, 2)
        with torch.no_grad():
            predicted = last_outputs(network(windows))[:, 0].numpy()
        error = (predicted - power[ends, 0, 0].astype(np.float32)) ** 2
        half = np.arange(len(ends)) * 2 // len(ends)
        expected.append([error[half == k].sum() for k in (0, 1)])
    assert pytest.approx(np.array(expected), rel=1e-4) == found[..., 0].T


@pytest.fixture(scope="module")
def classed(tmp_path_factory):
    """Place units are seen on the first channel in bands 3 and 4, interneurons on the second in band 20.

    `position` is the power at place spikes and `heading` that at interneuron spikes; both are 0 elsewhere.
    """
    generator = np.random.default_rng(4)
    power = noise(4)
    counts = generator.poisson(0.15, (ROWS, 4))
    values = 1 + generator.random((2, ROWS))
    position = np.where(counts[:, :2].any(1), values[0], 0)
    heading = np.where(counts[:, 2:].any(1), values[1], 0)
    power[:, 3, 0] += position / 4
    power[:, 4, 0] += 3 * position / 4
    power[:, 20, 1] += heading
    units = {
        "spikes": counts.astype(np.int32),
        "unit_class": np.array(["place", "place", "interneuron", "interneuron"], np.dtypes.StringDType()),  # as stored
        "unit_channels": np.array([[1, 0], [1, 0], [0, 1], [0, 1]], bool),
    }
    features = made.features(power, {"position": position, "heading": heading}, FOLDS, **units)
    network = made.linear(CHANNELS, {"position": [[1, 0], [0, 0]], "heading": [[0, 0], [0, 1]]})
    folder = tmp_path_factory.mktemp("classed")
    return features, [made.fit(folder, network, CHANNELS, fold) for fold in (0, 1)]


def test_elimination_hurts_the_variable_of_the_class(classed):
    """Against the loss computed from the power that is left; the control leaves the rows with spikes alone."""
    features, fits = classed
    hz = features.first()["frequency"].values
    wanted = {"interneuron": {"bands_hz": [hz[20]]}, "place": {"bands_hz": hz[[3, 4]].tolist()}}
    units = xr.Dataset(
        {
            "unit_class": ("neuron", np.array(["place", "interneuron"], object)),
            "tuned": ("neuron", np.array(["position", "heading"], object)),
        }
    )
    truth = {"r": xr.DataTree.from_dict({"/units": units})}
    tree = attribute(features, fits, settings(elimination=wanted, classes=True), truth)
    found = tree["elimination"]
    assert found["feature"].values.tolist() == ["interneuron", "place"]
    group = features.group("r")
    rows = np.r_[63:600:8, 663:1200:8]
    spiking = group["spikes"].values[:, :2].any(1)
    power, b = (group[name].values.astype(float)[rows] for name in ("power", "behaviour"))
    left = power.copy()
    left[np.ix_(spiking[rows], [3, 4], [0])] = 0
    error = [((one[:, :10, 0].sum(1) - b[:, 0]) ** 2).sum() for one in (power, left)]
    influence, control = found["influence"].values, found["control"].values
    assert influence[1, 0] == pytest.approx(error[1] / error[0] - 1, rel=0.01)
    assert np.abs(influence[1, 1]) < 0.01 * influence[1, 0]
    assert (influence[0, 1] > 100) & (found["low"].values[0, 1] > 100)
    assert np.abs(control).max() < 1
    test_rows = np.r_[0:600, 600:1200]
    assert found["rows"].values[1] == pytest.approx(spiking[test_rows].mean())
    rows_of = {row["name"]: row["value"] for row in json.loads(tree.attrs["headline"])}
    assert rows_of["influence: eliminating place: position hurt more than heading"] == 1
    assert rows_of["influence: eliminating interneuron: heading hurt more than position"] == 1


def test_the_profile_of_a_class_is_its_power_at_spikes(classed):
    features, fits = classed
    tree = attribute(features, fits, settings(classes=True, repeats=1, elimination={"place": {}}), {})
    found = schema.check(tree, "attribution")["classes"]
    group = features.group("r")
    power, counts = group["power"].values.astype(float), group["spikes"].values
    expected = [power[counts[:, n] > 0, :, 0].mean(0) - power[counts[:, n] == 0, :, 0].mean(0) for n in (0, 1)]
    assert found["feature"].values.tolist() == ["interneuron", "place"]
    assert found["power"].values[:, 1] == pytest.approx(np.mean(expected, axis=0), abs=1e-6)
    assert np.argmax(found["power"].values, axis=0).tolist() == [20, 4]
    assert found["units"].values.tolist() == [2, 2]


@pytest.mark.parametrize("how", ["replace", "scramble"])
@pytest.mark.parametrize("control", [False, True])
def test_eliminated_rows_are_those_they_should_be(how, control):
    generator = np.random.default_rng(0)
    at = np.repeat(generator.random((50, 2)) < [0.2, 0.7], [2, 1], axis=1)  # two channels of one group, one of another
    one = Eliminated("x", [1], [0, 2, 3], at, how, control)
    source = one.source(50, np.random.default_rng(7), None)
    changed = source != np.arange(50)[:, None]
    assert (source[:, 0] == source[:, 1]).all()
    if control:
        assert not (changed & at).any()
        count = np.minimum(at.sum(0), (~at).sum(0))
        assert (changed.sum(0) <= count).all()  # a value may be scrambled to itself
        assert (changed.sum(0) >= count - 2).all()
    else:
        assert (changed == at).all()
    taken = [source[changed[:, k], k] for k in range(3)]
    assert all((t == MEDIAN).all() if how == "replace" else not at[t, k].any() for k, t in enumerate(taken))
    assert (one.source(50, np.random.default_rng(7), None) == source).all()
    power, pool = torch.randn(50, 3, 4), torch.randn(50, 3, 4)
    values = one.variant(power, pool, source).power
    expected = np.where(
        source[:, None] == MEDIAN, 0, pool[:, 1:2][np.maximum(source, 0), :, [0, 2, 3]].numpy()[:, None, :, 0]
    )
    assert values.numpy() == pytest.approx(expected)


@pytest.mark.parametrize(("average", "neighbours"), [(1, 0), (1, 2), (3, 0), (3, 1)])
def test_spikes_are_found_in_averaged_and_neighbouring_rows(classed, average, neighbours):
    features, _ = classed
    model = ModelSettings.model_validate({"average_rows": average, "window_rows": 16})
    found = stretches(features, 1, "test", model)
    known = spikes.units(features, "test")
    at = spikes.at_spikes(found, known, "interneuron", average, neighbours)
    counts = features.group("r")["spikes"].values[:, 2:].any(1)
    rows = np.concatenate([stretch.rows for stretch in found])
    expected = [counts[max(0, r - average + 1 - neighbours) : r + 1 + neighbours].any() for r in rows]
    assert (at[:, 1] == expected).all()
    assert not at[:, 0].any()


def test_variants_of_bands_apart_leave_what_lies_between():
    power, pool = torch.randn(40, 6, 3), torch.randn(90, 6, 3)
    source = np.random.default_rng(0).integers(0, 90, 40)
    one = Input("x", [1, 4], [0, 2])
    changed = one.applied(power, pool, source)
    expected = power.clone()
    for band, channel in product([1, 4], [0, 2]):
        expected[:, band, channel] = pool[source, band, channel]
    assert torch.equal(changed, expected)
    assert one.variant(power, pool, source).bands == (1, 5)


def test_profiles_and_one_band_networks(small):
    """Models that differ in data, window, averaging and bands; one that is the attributed model itself agrees fully."""
    hz = small.features.first()["frequency"].values
    options = {
        "main": {},
        "short": {"train_s": 12.0, "window_rows": 16},
        "averaged": {"average_rows": 2, "window_rows": 16},
        "low": {"bands": {"below_hz": 60.0}},
        **{f"one{k}": {"bands": {"only_hz": [float(hz[k])]}, "window_rows": 16} for k in (2, 5, 9)},
    }
    fits = [small.fit(name, 0, **QUICK, **own) for name, own in options.items()]
    used = settings(profiles=["short", "averaged", "low", "main"])
    tree = attribute(small.features, fits, used, small.truth)
    found = schema.check(tree, "attribution")["profiles"]
    assert found["influence"].shape == (4, 16, 2)
    assert np.isfinite(found["pearson"].values).all()
    assert found["pearson"].values[3] == pytest.approx([1, 1])
    assert found["influence"].values[3] == pytest.approx(tree["band"]["influence"].values)
    assert (np.isnan(found["influence"].values[2]).all(1) == (hz >= 60)).all()
    assert np.isnan(found["rank"].values[2, 0])  # 62.5 Hz is not among its bands
    assert np.isfinite(found["rank"].values[:2]).all()
    order = np.argsort(-found["influence"].values[0, :, 1])
    assert found["rank"].values[0, 1] == 1 + np.flatnonzero(np.isclose(hz[order], 7.8125))[0]
    assert found["train_s"].values[0] == 12
    assert np.isnan(found["train_s"].values[1:]).all()
    assert found["average_rows"].values.tolist() == [1, 2, 1, 1]
    assert found["window_rows"].values.tolist() == [16, 16, 64, 64]
    single = tree["one_band"]
    assert single["frequency"].values.tolist() == hz[[2, 5, 9]].tolist()
    assert single.attrs["n"] == 3
    assert (single["loss"].values > 0).all()


def test_a_model_of_some_bands_and_targets_has_a_profile_of_its_own(classed, tmp_path):
    features, _ = classed
    hz = features.first()["frequency"].values
    torch.manual_seed(0)
    network = DeepInsight(CHANNELS, 4, {"heading": 1}, filters=1, merge_filters=128, units=1)
    bands = {"only_hz": hz[[3, 4, 19, 20]].tolist()}
    fit = made.fit(tmp_path, network, CHANNELS, frequencies=4, bands=bands, decode=["heading"])
    tree = attribute(features, [fit], settings(pairs=True, classes=True, groups={"two": {"bands_hz": [hz[3]]}}), {})
    assert tree["band"]["frequency"].values.tolist() == hz[[3, 4, 19, 20]].tolist()
    assert tree["band"]["output"].values.tolist() == ["heading"]
    assert tree["pairs"].sizes["feature"] == 6
    assert tree["classes"]["power"].shape == (4, 2)
    assert tree["group"]["influence"].values[0] != pytest.approx(0)


def test_wrong_names_get_one_clear_error(classed, redundant):
    for (features, fits), changed, message in [
        (classed, {"elimination": {"granule": {}}}, "granule"),
        (redundant, {"elimination": {"place": {}}}, "spikes"),
        (redundant, {"classes": True}, "unit_class"),
        (redundant, {"profiles": ["short"]}, "short"),
        (redundant, {"model": "mian"}, "mian"),
        (redundant, {"groups": {"x": {"channels": ["ch7"]}}}, "ch7"),
    ]:
        with pytest.raises(DataError, match=message):
            attribute(features, fits, settings(repeats=1, **changed), {})


def test_bands_are_the_nearest():
    grid = xr.Dataset(coords={"frequency": [1000.0, 500.0, 250.0]})
    assert inputs.nearest([260, 980, 1100], grid) == [0, 2]
    assert inputs.nearest(None, grid) == [0, 1, 2]
