"""Recordings as laboratories keep them, to features and a small fit: layouts, unequal sessions, animals left out."""

import numpy as np
import pytest
from dunl_data import make, simulated
from scipy.io import loadmat

from pellucid.artifacts import Features, Fold
from pellucid.errors import DataError
from pellucid.readers import trial_calcium
from pellucid.systems.dunl.attribute.attribute import attribute
from pellucid.systems.dunl.attribute.settings import Settings as AttributeSettings
from pellucid.systems.dunl.model.evaluate import evaluate
from pellucid.systems.dunl.model.kernels import learnt
from pellucid.systems.dunl.model.predict import predict
from pellucid.systems.dunl.model.settings import Evaluate

SCORED = Evaluate(bootstrap=100, shifts=20, smoothing_taus=[10.0], smoothing_levels=2, tolerances_s=[0.05])
EXPLAINED = AttributeSettings(bootstrap=100, permutations=100, most_traces=20)
SECONDS = {"units": "s"}
FIBRES = {"anna": (17, 2), "bert": (11, 1), "carl": (9, 3)}
"""Subject -> trials, fibres."""
RESPONSES = {"cue": {"event": "cue", "code": "positive"}, "reward": {"event": "reward", "code": "positive"}}
QUICK = {"training": {"epochs": 3, "steps": 4, "rate": 0.05}, "initial": "average"}


@pytest.fixture(scope="module")
def fibres(tmp_path_factory):
    """Photometry of three animals in two formats, with other numbers of trials and fibres; half of the trials short."""
    folder = tmp_path_factory.mktemp("fibres")
    recordings = {}
    for seed, (name, (trials, count)) in enumerate(FIBRES.items()):
        options = {"scenario": "photometry", "trials": trials, "neurons": count, "short_share": 0.5}
        table = count == 1
        raw = simulated(folder, name, seed, **options, layout="flmm" if table else "session")
        signal = {"dims": ["trial", "time"] if table else ["trial", "time", "neuron"]}
        variables = {"signal": {**signal, "source": "photometry.*" if table else "photometry"}}
        variables |= {key: {"dims": ["trial"], "units": "s"} for key in ("cue_s", "reward_s")}
        groups = {"trials": {"rate_hz": 25, "start_s": 0, "variables": {**variables, "reward": {"dims": ["trial"]}}}}
        reader = "csv" if table else "matlab"
        recordings[name] = {"reader": reader, "options": {"groups": groups}, "files": raw, "subject": name}
    settings = {
        **{"source": "/trials/signal", "kind": "values", "bin_ms": 80, "baseline_s": [0, 2]},
        "events": {name: {"source": f"/trials/{name}_s"} for name in ("cue", "reward")},
        "covariates": {"size": {"source": "/trials/reward", "units": "uL"}},
        "split": {"by": "subject", "folds": 3},
    }
    return make(folder, recordings, settings)


def test_animals_left_out_are_scored_with_shared_kernels(fibres):
    models = {
        "main": {"likelihood": "gaussian", "lag_bins": 38, "kernels": RESPONSES, **QUICK},
        "trial": {"likelihood": "gaussian", "lag_bins": 38, "kernels": RESPONSES, **QUICK, "baseline": "trial"},
        "psth": {"kind": "psth", "likelihood": "gaussian"},
    }
    fits = [fibres.fit(name, fold, **settings) for name, settings in models.items() for fold in range(3)]
    metrics, predictions = evaluate(fibres.features, fits, SCORED, fibres.truth)
    assert len(metrics["table"]) == 3 * 3 * (2 + 1 + 3)  # models x metrics x fibres, each tested in one fold
    assert all(np.isfinite(row["value"]) for row in metrics["table"])
    for name in FIBRES:
        signal = fibres.features.group(name)["signal"].values
        assert np.isnan(signal).any()
        found = np.isfinite(predictions[name]["rate"].values).any(axis=(1, 2))
        assert (found == np.isfinite(signal)).all()
    # truth at 40 ms, fits at 80 ms: the kernels are smooth, and the noise of 150 responses is small beside them
    assert max(row["error"] for row in metrics["kernels"] if row["model"] == "main") < 0.35
    assert {row["kernel"]: row["matched"] for row in metrics["kernels"]} == {"cue": "cue", "reward": "reward"}
    reward = [row for row in metrics["codes"] if (row["model"], row["kernel"]) == ("main", "reward")]
    assert min(row["correlation"] for row in reward) > 0.7
    tree = attribute(fibres.features, fits, EXPLAINED, fibres.truth)
    for name, (trials, count) in FIBRES.items():
        codes = tree[f"codes/{name}"]
        assert codes["code"].shape == (trials, count, 2)
        assert all(np.isfinite(codes[key].values).all() for key in ("baseline", "kkt", "truth"))
        group = fibres.features.group(name)
        start = np.floor(group["onset"].values / 0.08 + 1e-6).astype(int)  # (trial, cue and reward)
        length = np.isfinite(group["signal"].values[..., 0]).sum(axis=1)
        for kernel in (0, 1):  # a code is known where half of its kernel was recorded
            known = length - start[:, kernel] >= 19
            code, sd = (codes[key].values[..., kernel] for key in ("code", "sd"))
            assert (np.isfinite(code) == known[:, None]).all()
            assert (np.isfinite(sd) == (known[:, None] & (code != 0))).all()  # a code at its bound has no s.d.
    rho = tree["covariates/size"]["code_rho"].values
    assert rho.shape == (6, 2)
    assert rho[:, 1].mean() > 0.5  # the response to reward grows with its size


def test_animals_left_out_have_no_kernels_of_their_own(fibres):
    settings = {"likelihood": "gaussian", "lag_bins": 38, "kernels": RESPONSES, "dictionary": "neuron", **QUICK}
    with pytest.raises(DataError, match="anna, bert in fold 0"):
        fibres.fit("own", 0, **settings)


def test_kernels_of_each_fibre_of_one_session(fibres, tmp_path):
    """With trials of each animal in every part; sessions that a model leaves out have neither codes nor a say."""
    features = fibres.features
    folds = [make_fold(features, offset) for offset in (0, 3)]
    data = type(fibres)(tmp_path, fibres.settings, Features(features.stores, folds, {}))
    settings = {"likelihood": "gaussian", "lag_bins": 38, "kernels": RESPONSES, "dictionary": "neuron", **QUICK}
    fits = [data.fit("main", fold, **settings, recordings=["bert"]) for fold in (0, 1)]
    weights = fits[0].weights()
    assert weights["kernels"].shape == (6, 2, 38)
    assert learnt(weights).shape == (1, 2, 38)
    assert (learnt(weights) == weights["kernels"][2]).all()  # after the two fibres of anna
    predicted = predict(fits[0], data.features, 2)
    assert np.unique(predicted.traces.neuron).tolist() == [2]
    metrics, predictions = evaluate(data.features, fits, SCORED, fibres.truth)
    assert np.isnan(predictions["anna"]["rate"].values).all()
    # the five fibres that are not fitted keep random kernels, which would be the median
    assert max(row["error"] for row in metrics["kernels"]) < 0.6
    tree = attribute(data.features, fits, EXPLAINED, fibres.truth)
    assert np.isnan(tree["codes/anna"]["code"].values).all()
    assert np.isfinite(tree["codes/bert"]["code"].values[::3, :, 0]).all()
    shown = tree["kernels"]["kernel_shape"].values[0, 0, :, 2]
    true = tree["kernels"]["truth"].values
    assert (np.abs((shown * true).sum(0)) > 0.8).all()


def make_fold(features, offset):
    """A fold in which every session has trials of each part."""
    rows = {}
    for place, part in enumerate(("train", "validation", "test")):
        rows[part] = {
            name: [
                (row, row + 1) for row in range(features.group(name).sizes["trial"]) if part_of(row, offset) == place
            ]
            for name in features.stores
        }
    return Fold(**rows)


def part_of(row, offset):
    """Test every third trial, validate on one in six, train on the others."""
    return {0: 2, 3: 1}.get((row + offset) % 6, 0)


def test_one_neuron_a_file_on_the_clock_of_the_session(tmp_path):
    """Dopamine spikes as in Eshel et al. 2016: three files, times in ms, types 8-14 rewarded 1.5 s after a cue."""
    raw = simulated(tmp_path, "vta", 4, scenario="dopamine", layout="eshel", trials=42, neurons=3)
    variables = {
        "spikes": {"time": {"source": "responses.spike", "dims": ["spike"], "units": "s", "divisor": 1000}},
        "events": {
            "odor_on": {"source": "events.odorOn", "dims": ["event"], "units": "s", "divisor": 1000},
            "trial_type": {"source": "events.trialType", "dims": ["event"]},
        },
    }
    options = {"groups": {name: {"variables": listed} for name, listed in variables.items()}}
    recordings = {f"n{k}": {"reader": "matlab", "options": options, "files": raw / f"neuron{k}.mat"} for k in (1, 2, 3)}
    cued = {"source": "/events/trial_type", "equals": list(range(8, 15))}
    free = {"source": "/events/trial_type", "equals": list(range(1, 8))}
    settings = {
        **{"source": "/spikes/time", "bin_ms": 25, "trial_type": "/events/trial_type", "baseline_s": [-1, 0]},
        "trials": {"around": "/events/odor_on", "window_s": [-1, 2.1]},
        "events": {
            "cue": {"at_s": 0, "when": cued},
            "reward_cued": {"at_s": 1.5, "when": cued, "kind": "reward"},
            "reward_free": {"at_s": 0, "when": free, "kind": "reward"},
        },
        "split": {"folds": 2},
    }
    data = make(tmp_path, recordings, settings)
    total = sum(data.features.group(name)["signal"].values.sum() for name in recordings)
    spikes = [loadmat(raw / f"neuron{k}.mat", simplify_cells=True)["responses"]["spike"] for k in (1, 2, 3)]
    assert total == sum(map(len, spikes))  # trials follow each other without a gap
    group = data.features.group("n1")
    assert group.attrs["events"] == '["cue", "reward"]'
    first = np.nanmin(np.where(group["event_kind"].values == 1, group["onset"].values, np.nan), axis=1)
    assert dict(zip(group["trial_type"].values, first))["1"] == pytest.approx(0.0)
    assert dict(zip(group["trial_type"].values, first))["8"] == pytest.approx(1.5)
    kernels = {"cue": {"event": "cue"}, "reward_1": {"event": "reward"}, "reward_2": {"event": "reward"}}
    fit = data.fit("main", 0, lag_bins=24, kernels=kernels, ridge=0.05, **QUICK)
    metrics, predictions = evaluate(data.features, [fit], SCORED, data.truth)
    assert metrics["headline"][0]["value"] > 0
    assert metrics["kernels"] == []  # three neurons were simulated, each recording has one: whose truth is not known
    tested = data.rows(0, "test", "n2")
    assert np.isfinite(predictions["n2"]["rate"].values[0, 0, 0, tested]).all()


def test_whisker_deflections_of_several_units(tmp_path):
    """Thalamic units in folders, published training and test trials, codes at unknown times."""
    raw = simulated(
        tmp_path, "vpm", 2, scenario="whisker", layout="whisker", trials=40, neurons=2, bin_ms=25, baseline_hz=14
    )
    options = {"units": ["Dir1/Neuron1", "Dir1/Neuron2"], "trial_ms": 4000}
    settings = {
        **{"bin_ms": 25, "baseline_s": [0, 0.5], "events": {"deflection": {"source": "/trials/deflection"}}},
        "covariates": {"part": {"source": "/trials/published_part"}},
        "split": {"by": "covariate", "folds": 1, "test": {"covariate": "part", "least": 1}},
    }
    data = make(tmp_path, {"vpm": {"reader": "whisker_mat", "options": options, "files": raw}}, settings)
    assert data.rows(0, "test", "vpm").tolist() == list(range(24, 40))
    group = data.features.group("vpm")
    assert group["neuron"].values.tolist() == options["units"]
    onset = np.sort(data.truth["vpm"]["truth"]["onset"].values, axis=1)
    assert group["onset"].values == pytest.approx(onset)
    shared = {"lag_bins": 20, "training": {"epochs": 3, "steps": 4, "rate": 0.05}}
    there = {"kernels": {"a": {"event": "deflection", "code": "positive"}}, "initial": "average"}
    known = data.fit("known", **shared, **there)
    search = {"kernels": {"a": {"code": "positive"}}, "encoder": {"solver": "pursuit", "tolerance": 1e-3}}
    search["initial"] = "sinusoid"  # published
    fits = [known, data.fit("pursuit", **shared, **search)]
    metrics, _ = evaluate(data.features, fits, SCORED, data.truth)
    error = {row["model"]: row["error_best_lag"] for row in metrics["kernels"]}
    # 200 responses of about ten spikes each
    assert error["known"] < 0.3
    assert error["pursuit"] < 0.4
    (row,) = [row for row in metrics["detection"] if row["detector"] == "codes" and row["kernel"] == "any kernel"]
    assert row["hit"] > 0.4 > 4 * row["hit_chance"]
    assert row["false"] < 0.5


def test_calcium_of_trials_of_unequal_length(tmp_path):
    """Sessions of variable reward: trials of other lengths in cells, events on the clock of the frames."""
    generator = np.random.default_rng(0)
    trials, neurons = 16, 3
    frames = generator.integers(90, 130, trials)
    start = np.concatenate([[3.0], 3 + np.cumsum(frames / 15 + 2)[:-1]])
    stamps = [begin + np.arange(count) / 15 for begin, count in zip(start, frames, strict=True)]
    which = np.arange(trials) % 2 == 0
    amount = np.array([0.3, 1.2, 5.0, 11.0])[np.arange(trials) // 2 % 4]
    response = np.exp(-np.arange(20) / 6)
    signals = []
    for trial, count in enumerate(frames):
        signal = generator.normal(0, 0.05, (count, neurons))
        signal[60:80] += response[:, None] * amount[trial]
        signals.append(signal)
    onsets = {
        "stimulus1_s": np.where(which, start + 15 / 15, np.nan),
        "stimulus7_s": np.where(which, np.nan, start + 15 / 15),
        "reward_s": start + 60 / 15,
    }
    path = tmp_path / "raw" / "session" / "VarMag_1.mat"
    trial_calcium.write(path, signals, stamps, onsets, reward=amount, trial_type=np.where(which, 1.0, 7.0))
    settings = {
        **{"source": "/trials/signal", "kind": "values", "bin_ms": None, "trial_type": "/trials/trial_type"},
        "events": {
            "cue_regret": {"source": "/trials/stimulus1_s"},
            "cue_expected": {"source": "/trials/stimulus7_s"},
            "reward": {"source": "/trials/reward_s"},
        },
        "covariates": {"size": {"source": "/trials/reward", "units": "uL"}},
        "split": {"folds": 2},
    }
    data = make(tmp_path, {"varmag": {"reader": "trial_calcium", "files": path.parent}}, settings)
    group = data.features.group("varmag")
    assert np.isfinite(group["signal"].values).sum(axis=1).tolist() == [[count] * neurons for count in frames]
    kernels = {name: {"event": name} for name in settings["events"]}
    fits = [data.fit("main", fold, likelihood="gaussian", lag_bins=20, kernels=kernels, **QUICK) for fold in (0, 1)]
    for fit in fits:
        assert list(fit.settings["kernels"]) == ["cue_expected", "cue_regret", "reward"]
        found = fit.weights()["kernels"][0, 2]
        # noise of 0.05 in 5 trials of 3 neurons beside responses of 0.3 to 11
        assert found @ response / np.linalg.norm(response) > 0.995
    tree = attribute(data.features, fits, EXPLAINED, {})
    code = tree["codes/varmag"]["code"].values
    expected = np.tile((amount * np.linalg.norm(response))[:, None], neurons)
    assert code[..., 2] == pytest.approx(expected, abs=0.3)  # 4 s.d. of 0.05, and the kernel's 0.5 % of 21
    assert (np.isfinite(code[..., 1]) == which[:, None]).all()
    assert tree["covariates/size"]["code_rho"].values[:, 2].min() > 0.9
    published = data.fit("d2", 0, preset="d2", lag_bins=20, encoder={"layers": 5}, training={"epochs": 1})
    assert np.isfinite(predict(published, data.features, 2).held).all()
