"""The Poisson decoder on positions, angles and circles, against a slow second implementation and simulated truth."""

from itertools import pairwise

import di_model_data as data
import numpy as np
import pytest
from pydantic import ValidationError

from pellucid.errors import DataError
from pellucid.systems.deepinsight.model.fit import fit as train
from pellucid.systems.deepinsight.model.predict import predict
from pellucid.systems.deepinsight.model.settings import Settings

RATE = 10.0
FOLDS = [({"r": [(0, 900)]}, {"r": [(900, 1100)]}, {"r": [(1100, 1290), (1300, 1400)]})]


def walk(generator, rows, extent, speed=3.0):
    """A path (rows, dimension) that is reflected at the walls of a box of this extent."""
    steps = data.slow(generator, rows, len(extent), steps=10) * speed / RATE * 3
    path = np.cumsum(steps, axis=0) + generator.random(len(extent)) * extent
    return np.abs((path + np.array(extent)) % (2 * np.array(extent)) - extent)


def cells(generator, path, extent, neurons, width, top=3.0):
    """Spike counts of place cells, (rows, neuron)."""
    centres = generator.random((neurons, len(extent))) * extent
    away = np.linalg.norm(path[:, None] - centres, axis=2)
    return generator.poisson(0.02 + top * np.exp(-((away / width) ** 2) / 2))


def made(kind="value", extent=(40.0, 25.0), neurons=30, top=3.0, seed=0, scale=1.0, scored=None):
    """Features of 1400 rows at 10 Hz with one target `p` and the spikes of cells tuned to it."""
    generator = np.random.default_rng(seed)
    if kind in ("circular", "angle"):
        phase = np.cumsum(data.slow(generator, 1400, 1, steps=10) * 0.02, axis=0) % 1
        angle = 2 * np.pi * phase
        where = np.angle(np.exp(1j * angle)) if kind == "angle" else np.concatenate([np.sin(angle), np.cos(angle)], 1)
        tuning = 6 * (np.cos(angle - 2 * np.pi * generator.random(neurons)) - 1)
        spikes = generator.poisson(0.02 + top * np.exp(tuning))
    else:
        where = walk(generator, 1400, extent)
        spikes = cells(generator, where, extent, neurons, 5.0, top)
    tree = data.recording({"p": (kind, scale * where)}, np.zeros((1400, 1, 1)), rate=RATE, spikes=spikes, scored=scored)
    return data.features({"r": tree}, FOLDS)


def asked(window=16, **bayes):
    return {"kind": "bayes", "input": "spikes", "window_rows": window, "bayes": bayes}


def smoothed(table, sigma, wraps):
    """Weighted sums over neighbours, one bin after another; weights end at four s.d."""
    radius, found = int(4 * sigma + 0.5), np.zeros_like(table, dtype=float)
    reach = range(-radius, radius + 1)
    norm = sum(np.exp(-(d**2) / (2 * sigma**2)) for d in reach)
    for index in np.ndindex(table.shape):
        for offset in np.ndindex((len(reach),) * table.ndim):
            other = [i + o - radius for i, o in zip(index, offset)]
            weight = np.exp(-sum((o - radius) ** 2 for o in offset) / (2 * sigma**2)) / norm**table.ndim
            if wraps:
                found[index] += weight * table[tuple(o % n for o, n in zip(other, table.shape))]
            elif all(0 <= o < n for o, n in zip(other, table.shape)):
                found[index] += weight * table[tuple(other)]
    return found


class Slow:
    """The equation of the article, one row and one bin at a time, over coordinates (row, dimension)."""

    def __init__(self, where, counts, shape, low, sizes, sigma, wraps=False):
        bins = [tuple(min(int((x - b) / s), n - 1) for x, b, s, n in zip(row, low, sizes, shape)) for row in where]
        occupancy, spikes = np.zeros(shape), np.zeros((counts.shape[1], *shape))
        for index, row in zip(bins, counts):
            occupancy[index] += 1
            spikes[(slice(None), *index)] += row
        # a circle's decoder keeps bins that were never visited, at the floor of 1e-6
        self.bins = [index for index in np.ndindex(*shape) if wraps or occupancy[index] > 0]
        occupancy = smoothed(occupancy, sigma, wraps)
        total = occupancy.sum() if wraps else sum(occupancy[index] for index in self.bins)
        self.prior = [np.log(occupancy[index] / total + (1e-6 if wraps else 0)) for index in self.bins]
        maps = [smoothed(one, sigma, wraps) / occupancy for one in spikes]
        self.rates = [[max(one[index], 1e-6) for one in maps] for index in self.bins]
        self.centres = [np.array([b + (i + 0.5) * s for i, b, s in zip(index, low, sizes)]) for index in self.bins]
        self.wraps, self.sizes = wraps, sizes

    def away(self, one, other):
        distance = np.abs(one - other)
        return np.linalg.norm(np.minimum(distance, 1 - distance) if self.wraps else distance)

    def posterior(self, counts):
        """counts (T, neuron); returns one value per bin."""
        k, rows = counts.sum(0), len(counts)
        return [
            prior + sum(n * np.log(a) for n, a in zip(k, rates)) - rows * sum(rates)
            for prior, rates in zip(self.prior, self.rates)
        ]

    def decode(self, counts, rows, continuity_s=None, steps=4):
        """Return estimates at every row from T - 1 on."""
        found = {}
        for end in range(rows - 1, len(counts)):
            score = self.posterior(counts[end - rows + 1 : end + 1])
            past = [found[end - rows * k] for k in range(1, steps + 2) if end - rows * k in found]
            if continuity_s is not None and len(past) > 1:
                moved = [self.away(a, b) for a, b in pairwise(past)]
                speed = np.mean(moved) / (rows / RATE)
                sigma = max(speed * continuity_s, min(self.sizes))
                score = [s - self.away(c, past[0]) ** 2 / (2 * sigma**2) for s, c in zip(score, self.centres)]
            found[end] = self.centres[int(np.argmax(score))]
        return np.stack(list(found.values()))


@pytest.mark.parametrize("continuity", [None, 1.0, 0.2])
@pytest.mark.parametrize("extent", [(60.0,), (40.0, 25.0)])
def test_positions_equal_the_slow_implementation(extent, continuity, tmp_path):
    found = made(extent=extent, neurons=6, top=1.0)
    size = 4.0
    options = {"bin_size": size, "smoothing_bins": 1.2, "rows": 5, "continuity_s": continuity, "steps": 3}
    fit = data.fit(found, tmp_path, **asked(**options))
    group = found.first()
    where, counts = group["behaviour"].values, group["spikes"].values
    train_rows = np.arange(15, 900)  # rows with a whole window behind them
    low = where[train_rows].min(0).astype(float)
    shape = np.floor(np.ptp(where[train_rows], axis=0) / size).astype(int) + 1
    own = Slow(where[train_rows], counts[train_rows], tuple(shape), low, [size] * len(extent), 1.2)
    for predicted, (start, stop) in zip(predict(fit, found, 16), FOLDS[0][2]["r"]):
        expected = own.decode(counts[start:stop], 5, continuity, 3)
        assert predicted.rows.tolist() == list(range(start + 15, stop))
        assert predicted.prediction == pytest.approx(expected[15 - 4 :], abs=1e-4)


@pytest.mark.parametrize("continuity", [None, 1.0])
@pytest.mark.parametrize("kind", ["circular", "angle"])
def test_phases_equal_the_slow_implementation(kind, continuity, tmp_path):
    found = made(kind, neurons=5, top=1.0)
    fit = data.fit(found, tmp_path, **asked(bins=23, rows=3, continuity_s=continuity))
    group = found.first()
    values, counts = group["behaviour"].values, group["spikes"].values
    angle = values[:, 0] if kind == "angle" else np.arctan2(values[:, 0], values[:, 1])
    phase = (angle / (2 * np.pi) % 1)[:, None]
    own = Slow(phase[15:900], counts[15:900], (23,), [0.0], [1 / 23], 1.5, wraps=True)
    for predicted, (start, stop) in zip(predict(fit, found, 16), FOLDS[0][2]["r"]):
        expected = 2 * np.pi * own.decode(counts[start:stop], 3, continuity)[15 - 2 :, 0]
        guess = predicted.prediction
        decoded = guess[:, 0] if kind == "angle" else np.arctan2(guess[:, 0], guess[:, 1])
        assert np.exp(1j * decoded) == pytest.approx(np.exp(1j * expected), abs=1e-5)


def test_positions_are_recovered_and_the_unit_does_not_matter(tmp_path):
    """In metres with bins of 0.02 m or in centimetres with bins of 2 cm: the same bins are decoded."""
    found = made(neurons=60)
    fit = data.fit(found, tmp_path / "cm", **asked(bin_size=2.0))
    errors = np.concatenate([np.linalg.norm(p.prediction - p.behaviour, axis=1) for p in predict(fit, found, 16)])
    assert np.median(errors) < 2.5
    metres = made(neurons=60, scale=0.01)
    other = data.fit(metres, tmp_path / "m", **asked(bin_size=0.02))
    for one, two in zip(predict(fit, found, 16), predict(other, metres, 16)):
        assert np.mean(np.linalg.norm(one.prediction - 100 * two.prediction, axis=1) < 0.01) > 0.99  # float32 edges


def test_the_continuity_prior_helps_where_spikes_are_few(tmp_path):
    found = made(extent=(60.0,), neurons=8, top=0.5, seed=4)
    error = {}
    for name, continuity in (("without", None), ("with", 2.0)):
        fit = data.fit(found, tmp_path / name, **asked(bin_size=2.0, rows=4, continuity_s=continuity))
        away = [np.abs(p.prediction - p.behaviour) for p in predict(fit, found, 16)]
        error[name] = float(np.mean(np.concatenate(away)))
    assert error["with"] < error["without"]


def test_places_that_were_never_visited_are_never_decoded(tmp_path):
    """The path keeps out of a block in the middle of the box, which every cell's smoothed map covers."""
    found = made(extent=(40.0, 25.0), neurons=20)
    group = found.stores["r"]["features"].to_dataset()
    where = group["behaviour"].values.copy()
    inside = (np.abs(where[:, 0] - 20) < 8) & (np.abs(where[:, 1] - 12) < 6)
    scored = np.ones(len(where), bool)
    scored[:900] = ~inside[:900]
    assert inside[900:].any()
    found.stores["r"]["features"].dataset = group.assign(scored=("time", scored))
    trained = train(found, 0, 0, Settings.model_validate(asked(bins=20)), tmp_path)
    centres = trained.weights["centres"]
    deep = (np.abs(centres[:, 0] - 20) < 6) & (np.abs(centres[:, 1] - 12) < 4)
    assert len(centres) < 400
    assert not deep.any()
    assert np.exp(trained.weights["log_prior"]).sum() == pytest.approx(1)


def test_rows_are_as_given_or_chosen_on_validation(tmp_path):
    found = made()
    given = train(found, 0, 0, Settings.model_validate(asked(bins=15, rows=7)), tmp_path)
    chosen = train(found, 0, 0, Settings.model_validate(asked(bins=15)), tmp_path)
    assert given.notes["rows"] == 7
    assert [row["rows"] for row in chosen.history] == [1, 2, 4, 8, 16]
    best = min(chosen.history, key=lambda row: row["validation"])
    assert chosen.notes["rows"] == best["rows"]
    with pytest.raises(ValidationError, match="window_rows"):
        Settings.model_validate(asked(rows=17))


def test_slow_rows_are_left_out_of_rate_maps_only(tmp_path):
    """The same maps as when slow training rows are not scored at all; test rows are decoded whatever their speed."""
    found = made()
    where = found.first()["behaviour"].values[:900].astype(float)
    speed = np.linalg.norm(np.gradient(where, axis=0), axis=1) * RATE
    scored = np.ones(1400, bool)
    scored[:900] = speed > 8
    assert 0.1 < scored[:900].mean() < 0.9
    fast = data.fit(found, tmp_path / "fast", **asked(bins=12, rows=4, least_speed=8.0))
    less = made(scored=scored)
    other = data.fit(less, tmp_path / "less", **asked(bins=12, rows=4))
    mine, theirs = fast.weights(), other.weights()
    assert all((mine[name] == theirs[name]).all() for name in mine)
    assert [len(p.rows) for p in predict(fast, found, 16)] == [175, 85]


def test_what_cannot_be_decoded_is_refused(tmp_path):
    def check(found, match, decode=None, **bayes):
        settings = Settings.model_validate({**asked(**bayes), "decode": decode})
        with pytest.raises(DataError, match=match):
            train(found, 0, 0, settings, tmp_path)

    check(made("circular"), "bin_size", bin_size=2.0)
    check(made("angle"), "least_speed", least_speed=2.0)
    check(made(), "least_speed", least_speed=1e6)
    check(made(extent=(20.0, 20.0, 20.0), neurons=4), "3 dimensions")
    with pytest.raises(ValidationError, match="counts"):
        Settings.model_validate({**asked(), "average_rows": 2})


def test_one_target_of_several_is_decoded(tmp_path):
    generator = np.random.default_rng(5)
    path, other = walk(generator, 1400, (30.0,)), data.slow(generator, 1400, 3)
    spikes = cells(generator, path, (30.0,), 20, 3.0)
    targets = {"other": ("value", other), "p": ("value", path)}
    tree = data.recording(targets, np.zeros((1400, 1, 1)), rate=RATE, spikes=spikes)
    found = data.features({"r": tree}, FOLDS)
    with pytest.raises(DataError, match="decode"):
        train(found, 0, 0, Settings.model_validate(asked()), tmp_path)
    fit = data.fit(found, tmp_path, **asked(), decode=["p"])
    assert np.median(np.abs(np.concatenate([p.prediction - p.behaviour for p in predict(fit, found, 16)]))) < 2
