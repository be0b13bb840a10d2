"""What a model sees: bands, targets, shifts, amounts and averages of rows; and the support vector baseline."""

import di_model_data as data
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.svm import SVR

from pellucid.errors import DataError
from pellucid.learning import baselines
from pellucid.systems.deepinsight.model import scan
from pellucid.systems.deepinsight.model.fit import fit as train
from pellucid.systems.deepinsight.model.network import DeepInsight, last_outputs
from pellucid.systems.deepinsight.model.predict import predict, trained
from pellucid.systems.deepinsight.model.settings import Settings
from pellucid.systems.deepinsight.model.windows import bands_of, columns_of, decoded, stretches

ROWS = 150
BANDS = 7
CHANNELS = 3


def made(rows=ROWS, seed=0, train=70, held=30, **more):
    """One recording with targets a (2 outputs) and b (1 output); training, validation and test rows in order."""
    generator = np.random.default_rng(seed)
    targets = {"a": ("value", data.slow(generator, rows, 2)), "b": ("value", data.slow(generator, rows, 1))}
    power = generator.standard_normal((rows, BANDS, CHANNELS))
    power[:, 2, 1] += 2 * targets["b"][1][:, 0]
    test = train + held
    folds = [({"r": [(0, train)]}, {"r": [(train, test)]}, {"r": [(test, rows)]})]
    return data.features({"r": data.recording(targets, power, **more)}, folds)


def settings(**changes):
    return Settings.model_validate({"kind": "ridge", "window_rows": 16, **changes})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"above_hz": 0, "below_hz": 150}, [4, 5, 6]),
        ({"above_hz": 150, "below_hz": 250}, [3]),
        ({"below_hz": 250}, [3, 4, 5, 6]),
        ({"above_hz": 250}, [0, 1]),
        ({"only_hz": [469]}, [0]),
        ({"only_hz": [60, 130, 120]}, [4, 6]),
    ],
)
def test_bands_are_an_open_interval_or_the_nearest(asked, expected):
    """The grid is 500, 353.6, 250, 176.8, 125, 88.4, 62.5 Hz: 250 Hz itself lies in neither half."""
    assert bands_of(made(), settings(bands=asked)).tolist() == expected


def test_bands_that_hold_nothing_or_say_two_things_are_refused():
    with pytest.raises(DataError, match=r"62\.5"):
        bands_of(made(), settings(bands={"above_hz": 251, "below_hz": 300}))
    for asked in ({}, {"above_hz": 5, "only_hz": [7]}):
        with pytest.raises(ValidationError, match="only_hz"):
            settings(bands=asked)
    with pytest.raises(ValidationError, match="power"):
        settings(bands={"only_hz": [7]}, input="spikes")


@pytest.mark.parametrize("kind", ["cnn", "ridge", "svm"])
def test_bands_left_out_change_nothing(kind, tmp_path):
    """Power outside the interval may be anything: same weights, same predictions, bit for bit."""
    whole, other = made(), made()
    changed = other.stores["r"]["features"].dataset["power"].values.copy()
    changed[:, [0, 3, 4, 5, 6]] = 1e6
    tree = other.stores["r"]["features"].to_dataset()
    other.stores["r"]["features"].dataset = tree.assign(power=(tree["power"].dims, changed))
    asked = {"kind": kind, "window_rows": 16, "bands": {"only_hz": [354, 250]}, **(data.QUICK if kind == "cnn" else {})}
    one, two = data.fit(whole, tmp_path / "one", **asked), data.fit(other, tmp_path / "two", **asked)
    assert one.notes["bands_hz"] == pytest.approx([353.55, 250], rel=1e-4)
    mine, theirs = one.weights(), two.weights()
    assert all((mine[name] == theirs[name]).all() for name in mine)
    assert (predict(one, whole, 16)[0].prediction == predict(two, other, 16)[0].prediction).all()


@pytest.mark.parametrize("kind", ["cnn", "ridge"])
def test_a_decoded_target_is_trained_as_if_it_were_alone(kind, tmp_path):
    both = made()
    group = both.stores["r"]["features"].to_dataset()
    alone = made()
    alone.stores["r"]["features"].dataset = group.isel(output=[2])
    asked = {"kind": kind, "window_rows": 16, **(data.QUICK if kind == "cnn" else {})}
    one = data.fit(both, tmp_path / "one", decode=["b"], **asked)
    two = data.fit(alone, tmp_path / "two", **asked)
    mine, theirs = one.weights(), two.weights()
    assert mine.keys() == theirs.keys()
    assert all((mine[name] == theirs[name]).all() for name in mine)
    (found,), (expected,) = predict(one, both, 16), predict(two, alone, 16)
    assert found.prediction.shape == (35, 1)
    assert (found.prediction == expected.prediction).all()
    assert (found.behaviour == expected.behaviour).all()
    assert columns_of(both, settings(decode=["b"])).tolist() == [2]


def test_unknown_targets_are_named():
    assert [target.name for target in decoded(made(), settings(decode=["b", "a"]))] == ["a", "b"]
    with pytest.raises(DataError, match="speed"):
        decoded(made(), settings(decode=["b", "speed"]))


def test_train_s_is_the_first_seconds_of_training_rows(tmp_path):
    generator = np.random.default_rng(1)
    trees = {}
    for name, rows in (("r", 90), ("q", 60)):
        targets = {"b": ("value", data.slow(generator, rows))}
        trees[name] = data.recording(targets, generator.standard_normal((rows, 2, 3)))
    rest = ({"q": [(30, 45)]}, {"r": [(70, 90)]})
    ranges = {"r": [(0, 30), (40, 60)], "q": [(0, 30)]}
    whole = data.features(trees, [(ranges, *rest)])
    cut = data.features(trees, [({"r": [(0, 30), (40, 60)], "q": [(0, 14)]}, *rest)])
    asked = settings(window_rows=1, train_s=3.2)  # 64 rows at 20 Hz: 30 + 20 + 14
    lengths = [(s.recording, int(s.rows[0]), len(s.rows)) for s in stretches(whole, 0, "train", asked)]
    assert lengths == [("r", 0, 30), ("r", 40, 20), ("q", 0, 14)]
    assert [len(s.rows) for s in stretches(whole, 0, "test", asked)] == [20]
    one, two = train(whole, 0, 0, asked, tmp_path), train(cut, 0, 0, settings(window_rows=1), tmp_path)
    assert (one.weights["coefficients"] == two.weights["coefficients"]).all()


def test_shifted_behaviour_is_rolled_over_the_recording_before_it_is_cut():
    scored = np.ones(ROWS, bool)
    scored[[10, 120]] = False
    found = made(scored=scored)
    behaviour = found.first()["behaviour"].values
    for seconds, rows in ((2.0, 40), (-1.5, -30), (9.0, 180)):
        for part, start, stop in (("train", 0, 70), ("validation", 70, 100), ("test", 100, ROWS)):
            (stretch,) = stretches(found, 0, part, settings(shift_s=seconds))
            came_from = (np.arange(start, stop) - rows) % ROWS
            assert (stretch.behaviour.numpy() == behaviour[came_from]).all()
            both = ~np.isin(np.arange(start, stop), [10, 120]) & ~np.isin(came_from, [10, 120])
            assert (stretch.scored.numpy() == both).all()
            (plain,) = stretches(found, 0, part, settings())
            assert torch.equal(stretch.power, plain.power)


def test_seconds_need_a_regular_clock():
    found = made(time=np.cumsum(np.linspace(1, 2, ROWS)))
    for asked in ({"shift_s": 3.0}, {"train_s": 3.0}):
        with pytest.raises(DataError, match="irregular"):
            stretches(found, 0, "train", settings(**asked))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_averaged_rows_are_trailing_means_and_every_row_ends_a_window(count):
    found = made()
    (whole,) = stretches(found, 0, "test", settings())
    phases = stretches(found, 0, "test", settings(window_rows=1, average_rows=count))
    assert len(phases) == count
    rows = np.concatenate([phase.rows for phase in phases])
    assert sorted(rows.tolist()) == list(range(100 + count - 1, ROWS))
    for phase in phases:
        for row, power, behaviour in zip(phase.rows, phase.power, phase.behaviour):
            last = row - 100 + 1
            assert np.allclose(power, whole.power[last - count : last].mean(0), atol=1e-6)
            assert torch.equal(behaviour, whole.behaviour[last - 1])


@pytest.mark.parametrize("kind", ["cnn", "ridge", "svm"])
def test_windows_of_averages_are_dilated(kind, tmp_path):
    """Every prediction equals the model on a window put together row by row: rows t - 3 k, each a mean of three."""
    found, count, window = made(rows=250, train=90, held=60), 3, 16
    asked = {"kind": kind, "window_rows": window, "average_rows": count, **(data.QUICK if kind == "cnn" else {})}
    one = data.fit(found, tmp_path, **asked)
    (predicted,) = predict(one, found, 48)
    assert predicted.rows.tolist() == list(range(150 + 48 - 1, 250))
    power = found.first()["power"].values.astype(float)
    weights = one.weights()
    for row, prediction in zip(predicted.rows, predicted.prediction):
        steps = [power[row - count * k - count + 1 : row - count * k + 1].mean(0) for k in range(window)]
        inputs = np.stack(steps[::-1]).astype(np.float32)
        if kind == "cnn":
            network, _ = trained(one, found)
            with torch.inference_mode():
                expected = last_outputs(network(torch.from_numpy(inputs).permute(2, 0, 1)[None]))[0]
        elif kind == "ridge":
            expected = inputs.ravel() @ weights["coefficients"] + weights["intercepts"]
        else:
            away = ((weights["vectors"] - inputs.ravel()) ** 2).sum(1, dtype=float)
            expected = np.exp(-weights["gamma"][0] * away) @ weights["dual"] + weights["intercepts"]
        assert prediction == pytest.approx(np.asarray(expected), abs=1e-4)  # float32 sums in another order


def test_the_longest_span_sets_the_rows_that_all_models_are_scored_on(tmp_path):
    found = made(rows=250, train=90, held=60)
    fits = [data.fit(found, tmp_path, f"m{n}", window_rows=16, average_rows=n, kind="ridge") for n in (1, 3)]
    one, three = (predict(fit, found, 48)[0] for fit in fits)
    assert one.rows.tolist() == three.rows.tolist() == list(range(197, 250))
    assert (one.behaviour == three.behaviour).all()


@pytest.mark.parametrize("bands", [1, 2, 3])
@pytest.mark.parametrize("step", [1, 4])
def test_scan_of_few_bands_equals_the_network_window_by_window(bands, step):
    torch.manual_seed(bands)
    network = DeepInsight(5, bands, {"a": 2}, filters=6, merge_filters=8, units=10).eval()
    power = torch.randn(150, bands, 5)
    ends = np.arange(63, 150, step)
    shuffled = power[torch.randperm(150)]
    variants = [scan.Variant((band, band + 1), None, shuffled[:, band : band + 1]) for band in range(bands)]
    found = scan.predict(network, power, ends, 64, variants)
    for number in range(bands + 1):
        changed = power.clone()
        if number:
            changed[:, number - 1] = shuffled[:, number - 1]
        windows = torch.stack([changed[e - 63 : e + 1] for e in ends]).permute(0, 3, 1, 2)
        with torch.inference_mode():
            assert torch.allclose(found[number], last_outputs(network(windows)), atol=1e-5)  # float32


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_svm_equals_sklearn(kernel):
    """scikit-learn stops within 1e-3 of the optimum, whichever way the kernel is given."""
    generator = np.random.default_rng(0)
    inputs = (3 * generator.standard_normal((130, 7))).astype(np.float32)
    behaviour = np.stack([np.sin(inputs[:, 0]), 2 * inputs[:, 1] - inputs[:, 2]], 1)
    new = (3 * generator.standard_normal((40, 7))).astype(np.float32)
    weights, converged = baselines.svm(inputs, behaviour, kernel, 100)
    assert kernel == "linear" or converged == [True, True]
    found = (
        baselines.support_vectors(new, weights)
        if kernel == "rbf"
        else new @ weights["coefficients"] + weights["intercepts"]
    )
    for output, values in enumerate(behaviour.T):
        if not converged[output]:
            continue  # a sine is not linear: the solver is cut short, and says so
        theirs = SVR(kernel=kernel, C=100, gamma="scale").fit(inputs.astype(float), values).predict(new.astype(float))
        assert found[:, output] == pytest.approx(theirs, abs=1e-2)
    assert converged[1]


def test_svm_decodes_angles_through_their_sine_and_cosine(tmp_path):
    """An angle that power holds as two waves comes back, across the border at pi, for more rows than one block."""
    generator = np.random.default_rng(2)
    angle = np.cumsum(generator.normal(0, 0.3, 700))
    power = np.stack([np.cos(angle), np.sin(angle)], 1)[:, None] + 0.05 * generator.standard_normal((700, 1, 2))
    targets = {"h": ("angle", np.angle(np.exp(1j * angle))[:, None])}
    folds = [({"r": [(0, 300)]}, {"r": [(300, 350)]}, {"r": [(350, 700)]})]
    found = data.features({"r": data.recording(targets, power)}, folds)
    one = data.fit(found, tmp_path, kind="svm", window_rows=1, outputs={"h": {"loss": "cyclic"}})
    (predicted,) = predict(one, found, 1)
    error = np.angle(np.exp(1j * (predicted.prediction - predicted.behaviour)))
    assert np.median(np.abs(error)) < 0.15
    assert len(predicted.rows) == 350
