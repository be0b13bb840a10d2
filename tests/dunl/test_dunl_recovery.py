"""Simulated truth on the bins of a fit, scores against it, and that fits find it: kernels, codes, number of kernels."""

import numpy as np
import pytest
import xarray as xr
from dunl_data import AT_EVENTS, features_of, fitted, two_kernels
from scipy.linalg import subspace_angles

from pellucid.artifacts import Features
from pellucid.errors import DataError
from pellucid.systems.dunl.model import recovery, selection, truth
from pellucid.systems.dunl.model.evaluate import evaluate
from pellucid.systems.dunl.model.settings import Evaluate
from pellucid.systems.dunl.model.traces import ABSENT, coarse, join
from pellucid.systems.dunl.simulate import kernels as true_kernels

SAID = {"model": "main", "fold": 0, "seed": 0}
SCORED = Evaluate(bootstrap=100, shifts=20, smoothing_taus=[10.0], smoothing_levels=2, tolerances_s=[0.05])


def truth_of(trials=7, neurons=2, bin_s=0.01, lags=8, seed=0, hz=5.0, names=("a", "b")):
    """A truth as the simulators write it: two kernels, of which the second has no event in every third trial."""
    generator = np.random.default_rng(seed)
    kernels = generator.random((2, lags)) + 0.1
    onset = generator.uniform(0.05, 0.4, (trials, 2))
    onset[::3, 1] = np.nan
    which = np.where(np.isnan(onset), ABSENT, [0, 1]).astype("i2")
    amplitude = np.where((which == ABSENT)[..., None], np.nan, generator.normal(9, 1, (trials, 2, neurons)))
    group = xr.Dataset(
        {
            "kernels": (
                ("lag", "kernel"),
                (kernels / np.linalg.norm(kernels, axis=1, keepdims=True)).T,
                {"units": "1"},
            ),
            "onset": (("trial", "event"), onset, {"units": "s"}),
            "event_kernel": (("trial", "event"), which, {"units": "1"}),
            "amplitude": (("trial", "event", "neuron"), amplitude, {"units": "1"}),
        },
        coords={"kernel": np.array(names, object)},
        attrs={"bin_s": bin_s, "baseline_hz": hz},
    )
    return xr.DataTree.from_dict({"/truth": group})


def recordings(*, trials, neurons, kept, bin_s=0.01):
    """Features of recordings: name -> number of trials and neurons of the simulation, and the trials that were kept."""
    stores = {}
    for name in trials:
        rows = np.asarray(kept[name])
        made = features_of(
            np.zeros((len(rows), 60, neurons[name])),
            np.full((len(rows), 1), ABSENT),
            np.zeros((len(rows), 1)),
            ("e",),
            bin_s=bin_s,
        )
        group = made.first().assign(source=("trial", rows, {"units": "1"}))
        stores[name] = xr.DataTree.from_dict({"/features": group})
    return Features(stores, [], {})


def test_truth_follows_dropped_trials_neurons_and_recordings():
    """Two recordings of unequal size, trials left out: every trace has the events of its own trial and neuron."""
    kept = {"a": [0, 2, 5], "b": [1, 3]}
    features = recordings(trials={"a": 7, "b": 4}, neurons={"a": 2, "b": 3}, kept=kept)
    trees = {"b": truth_of(4, 3, seed=1), "a": truth_of(7, 2, seed=2), "other": truth_of(3, 1)}
    traces = join(features, {"a": np.array([0, 2]), "b": np.array([1])})  # rows of the features
    found = truth.of(traces, features, trees, 8)
    assert found.names == ("a", "b")
    place = 0
    for name, source in (("a", 0), ("a", 5), ("b", 3)):
        group = trees[name]["truth"]
        for neuron in range(group.sizes["neuron"]):
            assert traces.neurons[traces.neuron[place]] == f"{name}/{neuron}"
            for key, values in (("onset", found.onset), ("event_kernel", found.kernel)):
                assert values[place] == pytest.approx(group[key].values[source], nan_ok=True)
            assert found.amplitude[place] == pytest.approx(group["amplitude"].values[source, :, neuron], nan_ok=True)
            place += 1
    assert place == len(traces)
    codes = found.codes()
    assert np.isnan(codes[found.kernel[:, 1] == ABSENT, 1]).all()
    assert codes[:, 0] == pytest.approx(found.amplitude[:, 0])
    assert [row.tolist() for row in found.times(0)] == [[onset] for onset in found.onset[:, 0]]


@pytest.mark.parametrize("factor", [2, 0.5, 1, 4 / 3])
def test_the_drive_is_the_same_in_bins_of_another_width(factor):
    """h x averaged (or repeated) over the bins of the fit is the rescaled code times the rebinned unit-norm kernel."""
    tree = truth_of(5, 2, bin_s=0.012, lags=8)
    features = recordings(trials={"r": 5}, neurons={"r": 2}, kept={"r": range(5)}, bin_s=0.012 * factor)
    traces = join(features, {"r": np.arange(5)})
    lags = round(8 / factor)
    found = truth.of(traces, features, {"raw": tree}, lags)
    assert np.linalg.norm(found.kernels, axis=1) == pytest.approx(1)
    fine = 12  # steps of a true bin, a common multiple
    group = tree["truth"]
    each = np.repeat(group["kernels"].values.T, fine, axis=1)
    wide = round(factor * fine)
    for trace in range(len(traces)):
        true = group["amplitude"].values[traces.row[trace], 0, traces.neuron[trace]]
        expected = (true * each[0]).reshape(lags, wide).mean(1)
        assert found.amplitude[trace, 0] * found.kernels[0] == pytest.approx(expected)
    if factor == 2:  # for kernels constant over the wider bin, the scale rule A / sqrt(N)
        flat, norms = truth.rebinned(np.repeat(true_kernels.two_kernel(), 2, axis=1) / np.sqrt(2), 2.0, 80)
        assert flat == pytest.approx(true_kernels.two_kernel())
        assert norms == pytest.approx(1 / np.sqrt(2))


def test_longer_fits_have_zeros_and_shorter_ones_a_cut_kernel():
    shapes = np.array([[3.0, 4.0, 0.0, 12.0]]) / 13
    longer, one = truth.rebinned(shapes, 1.0, 6)
    assert longer[0] == pytest.approx(np.array([3, 4, 0, 12, 0, 0]) / 13)
    assert one == pytest.approx([1])
    cut, share = truth.rebinned(shapes, 1.0, 3)
    assert cut[0] == pytest.approx(np.array([3, 4, 0]) / 5)
    assert share == pytest.approx([5 / 13])


def test_there_is_no_truth_where_it_is_not_known_whose():
    features = recordings(trials={"a": 4, "b": 4}, neurons={"a": 1, "b": 1}, kept={"a": range(4), "b": range(4)})
    traces = join(features, {"a": np.arange(4), "b": np.arange(4)})
    assert truth.of(traces, features, {"a": truth_of(4, 1)}, 8) is None
    assert truth.of(traces, features, {"a": truth_of(4, 1), "b": truth_of(4, 2)}, 8) is None  # some of two neurons
    both = truth.of(traces, features, {"a": truth_of(4, 1), "b": truth_of(4, 1, hz=9.0)}, 8)
    assert np.isnan(both.baseline_hz)
    own = truth.of(traces.take(traces.recording == 0), features, {"a": truth_of(4, 1)}, 8)
    assert own.baseline_hz == 5


def test_coarse_traces_keep_their_truth():
    """Bins joined at fit time are those of a recording binned so: means over pairs of bins, onsets in seconds."""
    features = recordings(trials={"r": 4}, neurons={"r": 1}, kept={"r": range(4)})
    traces = join(features, {"r": np.arange(4)})
    tree = {"r": truth_of(4, 1, lags=8)}
    fine, wide = truth.of(traces, features, tree, 8), truth.of(coarse(traces, 2), features, tree, 4)
    assert wide.onset == pytest.approx(fine.onset, nan_ok=True)
    pairs = (fine.amplitude[:, :1] * fine.kernels[0]).reshape(4, 4, 2).mean(-1)
    assert wide.amplitude[:, :1] * wide.kernels[0] == pytest.approx(pairs)


def known(shapes, names):
    """A truth that has kernels only."""
    empty = np.empty((0, 1))
    return truth.Truth(shapes, names, empty, empty.astype(int), empty, 5.0)


def test_kernels_are_named_after_their_partners_whatever_order_and_sign():
    generator = np.random.default_rng(4)
    shapes = np.linalg.qr(generator.standard_normal((20, 3)))[0].T
    shapes[1] = (shapes[1] + shapes[0]) / np.sqrt(2)
    order, sign = [2, 0, 1], np.array([-1, 1, -1])
    estimated = shapes[order] * sign[:, None]
    rows = recovery.kernels(SAID, known(shapes, ("p", "q", "s")), estimated[None], ["x", "y", "z"])
    assert {row["kernel"]: row["matched"] for row in rows} == {"p": "y", "q": "z", "s": "x"}
    assert max(row["error"] for row in rows) == pytest.approx(0, abs=1e-7)  # sqrt of rounding
    assert rows[0]["largest_angle_deg"] == pytest.approx(0, abs=1e-5)
    fewer = recovery.kernels(SAID, known(shapes, ("p", "q", "s")), shapes[None, :1], ["x"])
    assert [(row["matched"], round(row["error"], 3)) for row in fewer] == [("x", 0), ("", 1), ("", 1)]


def test_mixed_kernels_have_errors_but_no_angle():
    """Salience and value that start together: any mixture spans the same plane, and the angle says so."""
    shapes, _ = truth.rebinned(np.array(true_kernels.DOPAMINE), 1.0, 24)
    mixed = np.stack([shapes[0], shapes[1] + 0.8 * shapes[2], shapes[2] - 0.6 * shapes[1]])
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    three = recovery.kernels(SAID, known(shapes, ("cue", "salience", "value")), mixed[None], ["a", "b", "c"])
    assert [row["matched"] for row in three] == ["a", "b", "c"]
    assert min(row["error"] for row in three[1:]) > 0.3
    assert three[0]["largest_angle_deg"] == pytest.approx(0, abs=1e-5)
    moved = mixed + 0.1 * np.random.default_rng(0).standard_normal(mixed.shape)
    found = recovery.kernels(SAID, known(shapes, ("cue", "salience", "value")), moved[None], ["a", "b", "c"])
    independent = np.rad2deg(subspace_angles(shapes.T, moved.T)).max()
    assert found[0]["largest_angle_deg"] == pytest.approx(independent)
    assert independent > 5


def restarts(folder, losses, kernels, model="main", **settings):
    """Fits whose least validation loss and kernels are given."""
    signal = np.random.default_rng(0).poisson(1.0, (9, 30, 1))
    features = features_of(signal, np.full((9, 1), 12), np.zeros((9, 1)), ("early",))
    spec = {"kernels": {"a": {"event": "early"}, "b": {"event": "early"}}, "lag_bins": 4, "fixed": True, **settings}
    made = []
    for seed, (loss, shapes) in enumerate(zip(losses, kernels, strict=True)):
        given = dict(zip("ab", shapes.tolist(), strict=True))
        fit = fitted(features, folder, model, 0, seed, **{**spec, "given": given})
        (fit.folder / "history.csv").write_text(f"epoch,validation\n0,{loss + 1}\n1,{loss}\n2,{loss + 0.5}\n")
        made.append(fit)
    return made


def test_the_best_restart_is_the_one_of_least_validation_loss(tmp_path):
    shapes = np.eye(4)[:2]
    fits = restarts(tmp_path, [0.3, 0.1, 0.2], [shapes, shapes[::-1], -shapes])
    assert selection.best_restarts(fits)["main", 0].seed == 1
    (row,) = selection.rows(fits, [])
    assert row["validation"] == pytest.approx(0.1)
    assert row["stability"] == pytest.approx(1)  # the same kernels in another order and sign
    assert row["chosen"]
    turned = np.array([[1.0, 1, 0, 0], [0, 0, 1, 0]]) / np.sqrt([[2], [1]])
    apart = restarts(tmp_path / "two", [0.3, 0.1], [shapes, turned])
    # matched 1-1 through e0: |<e0, (e0 + e1) / sqrt 2>| = .707 and |<e1, e2>| = 0
    assert selection.rows(apart, [])[0]["stability"] == pytest.approx(0.5 / np.sqrt(2))
    assert selection.rows(apart[:1], [])[0]["stability"] is None


def test_only_models_of_the_same_data_and_loss_are_compared(tmp_path):
    shapes = np.eye(4)[:2]
    fits = restarts(tmp_path, [0.3], [shapes])
    fits += restarts(tmp_path, [0.2], [shapes], "other", penalty=1.0)
    fits += restarts(tmp_path, [0.1], [shapes], "few", train_trials=2)
    fits += restarts(tmp_path, [0.1], [shapes], "objective", validation="objective")
    found = {row["model"]: row["chosen"] for row in selection.rows(fits, [])}
    assert found == {"main": False, "other": True}
    assert [row["model"] for row in selection.rows(fits, ["main"])] == ["main"]
    with pytest.raises(DataError, match="nothing like it"):
        selection.rows(fits, ["nothing like it"])
    weighted = restarts(tmp_path, [0.3], [shapes], "counted", validation="objective")
    weighted += restarts(tmp_path, [0.01], [shapes], "once", validation="objective", bin_weight="published")
    assert [row["model"] for row in selection.rows(weighted, [])] == ["counted"]


@pytest.mark.slow
def test_kernels_and_codes_at_known_times_are_recovered(tmp_path):
    """400 training trials at 8 Hz, seed 0. A baseline of 500 ms of one trial is noise, one of 400 trials is not.

    Mean codes are biased by the baseline's sampling error (2.5 % of 1600 spikes) alone: with the true kernels they are
    the same.
    """
    data = two_kernels(tmp_path, 1000)
    shapes = dict(zip(AT_EVENTS, true_kernels.normalised(np.array(true_kernels.LOCAL)).tolist(), strict=True))
    shared = {"lag_bins": 16, "kernels": AT_EVENTS, "train_trials": 400}
    shared["training"] = {"epochs": 15, "steps": 10, "rate": 0.05}
    models = {"main": {}, "trial": {"baseline": "trial"}, "true": {"fixed": True, "given": shapes}}
    fits = [data.fit(name, fold, 0, **shared, **model) for name, model in models.items() for fold in (0, 1)]
    metrics, _ = evaluate(data.features, fits, SCORED, data.truth)

    def values(rows, key, model):
        return np.array([row[key] for row in metrics[rows] if row["model"] == model]).reshape(2, 2)  # (fold, kernel)

    assert values("kernels", "error", "main").max() <= 0.03
    assert values("kernels", "error", "trial").max() <= 0.05  # .045 and .038: the first kernel rides on the baseline
    assert values("kernels", "train_trials", "main").max() == 400
    ratio = {name: values("codes", "mean_code", name) / values("codes", "mean_true", name) for name in models}
    assert ratio["main"].mean(axis=0) == pytest.approx(1, abs=0.03)
    assert ratio["main"] == pytest.approx(ratio["true"], abs=0.01)
    assert values("codes", "correlation", "main").min() >= 0.93
    own = values("codes", "correlation", "trial")
    assert own.min() >= 0.55
    assert own.max() <= 0.8
    assert metrics["headline"][0]["value"] > metrics["headline"][1]["value"]


@pytest.mark.slow
def test_held_out_likelihood_tells_two_kernels_from_one_and_three(tmp_path):
    """Two kernels that start together with amplitudes of their own: 80 trials to learn from, 80 to choose on.

    It takes a prior on codes (`ridge`): codes of largest likelihood, found on half of a trial's bins, predict the other
    half so badly that the smaller model wins.
    """
    generator = np.random.default_rng(1)
    lag, trials = np.arange(12), 240
    shapes = np.stack([np.exp(-lag / 2) * (lag > 0), np.hanning(14)[1:-1] ** 2 * np.linspace(0.3, 1, 12)])
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    onset = generator.integers(12, 44, trials)
    drive = np.full((trials, 60), -3.5)
    for row, start, code in zip(drive, onset, generator.normal([8, 7], 4, (trials, 2)), strict=True):
        row[start : start + 12] += code @ shapes
    counts = generator.binomial(25, 1 / (1 + np.exp(-drive)))
    features = features_of(counts[..., None], onset[:, None], np.zeros((trials, 1)), ("go",))
    shared = {"lag_bins": 12, "ridge": 0.05, "encoder": {"tolerance": 1e-3}}
    shared["training"] = {"epochs": 12, "steps": 10, "rate": 0.05}
    fits = []
    for count in (1, 2, 3):
        kernels = {f"kernel{k}": {"event": "go"} for k in range(count)}
        fits += [fitted(features, tmp_path, f"k{count}", 0, seed, kernels=kernels, **shared) for seed in (0, 1)]
    rows = {row["model"]: row for row in selection.rows(fits, [])}
    assert [name for name, row in rows.items() if row["chosen"]] == ["k2"]
    assert rows["k1"]["validation"] - rows["k2"]["validation"] > 0.1
    plain = fitted(
        features, tmp_path, "plain", 0, 0, **{**shared, "ridge": 0.0, "kernels": dict(fits[2].settings["kernels"])}
    )
    assert selection.validation(plain) > max(row["validation"] for row in rows.values())
