"""Two real recordings, from the public files to features, and linear anchors on them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from pellucid import config, store
from pellucid.artifacts import Features, row_indices
from pellucid.preprocess import behaviour
from pellucid.readers import matlab
from pellucid.systems.cortex.features.collect import collect
from pellucid.systems.cortex.features.extract import extract
from pellucid.systems.cortex.features.settings import Settings
from recordings import find

pytestmark = pytest.mark.recording

PARCELS = ("data_animal1.mat", "63d8f177dc5c7ee06e75df46b1d31939e1dd96045f0fd7e8e328dea7f552147a")
NAME = "SupFig11_{}_20220929_SingleWhisker_allDeflections_eventAligned_shifted.mat"
VOLTAGE = {
    "EMXJ25": "831025d6c0c45db7bf9e5101885d840bd8d79da264f51670436f735d8b605534",
    "EMXJ26": "930d7c29e07a3d8087a080c8ca5940acb5ddaa38939ccbbb414469fd1df6542b",
    "EMXJ30": "ac47a67de877785bff6033e3844431add486dc0e46599345cc7280fd26854b21",
}
SESSION = {
    "groups": {
        "imaging": {
            "time": "t",
            "variables": {
                "signal": {"source": "x", "dims": ["roi", "time"], "units": "dF/F, unverified"},
                "parcels": {"source": "func_map", "dims": ["height", "width"]},
            },
        },
        "behaviour": {
            "time": "t",
            "variables": {"traces": {"source": "behavior_traces", "dims": ["output", "time"]}},
            "coordinates": {"output": {"values": ["pupil", "wheel", "whisking"]}},
        },
    }
}
TRIALS = {
    "groups": {
        "trials": {
            "rate_hz": 200,
            "start_s": -0.005,
            "variables": {"frames": {"source": "sumArray", "dims": ["height", "width", "time", "trial"]}},
        }
    }
}
WHISKING = {
    "inputs": {
        "roi": {"kind": "traces", "source": "/imaging/signal", "parcels": "/imaging/parcels", "detrend_s": 33.3},
    },
    "label": {"source": "/behaviour/traces", "output": "whisking", "threshold": "median"},
    "split": {"by": "block", "folds": 8, "purge_s": 1.0},
}
RESPONSES = {
    "inputs": {
        "movie": {"kind": "movie", "source": "/trials/frames", "centre": "segment", "bad": {"deviations": 8}},
        "raw": {"kind": "movie", "source": "/trials/frames"},
    },
    "label": {"trials": {"before": [0, 1], "response": [3, 4, 5]}},
    "split": {"by": "subject", "pairs": "next", "folds": 3},
}


def features(folder, trees, settings):
    """Features of several recordings with their folds, as a model opens them."""
    settings = config.parse(Settings, settings, "preprocess")
    for name, tree in trees.items():
        extract(tree, settings, folder / "features" / f"{name}.zarr")
    made = collect({name: store.open_store(folder / "features" / f"{name}.zarr") for name in trees}, settings)
    folds = [{part: fold.rows(part) for part in ("train", "validation", "test")} for fold in made.folds]
    statistics = {
        name: {"dims": a.dims, "dtype": str(a.dtype), "values": a.values} for name, a in made.statistics.items()
    }
    names = dict.fromkeys(trees, "")
    store.write_json(folder / "features.json", {"recordings": names, "folds": folds, "statistics": statistics})
    return Features.load(folder / "features.json")


def read(path, options, **identity):
    tree = matlab.read([path], matlab.Settings.model_validate(options))
    tree.attrs |= identity
    return tree


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    tree = read(find(*PARCELS), SESSION, subject="animal1")
    return features(tmp_path_factory.mktemp("session"), {"session": tree}, WHISKING)


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    trees = {mouse: read(find(NAME.format(mouse), sha), TRIALS, subject=mouse) for mouse, sha in VOLTAGE.items()}
    return features(tmp_path_factory.mktemp("trials"), trees, RESPONSES)


def test_parcels_have_centres_and_their_own_clock(session):
    group = session.group("session", "roi")
    assert group["signal"].shape == (4000, 48)
    assert group["roi"].values.tolist() == [str(number) for number in range(1, 49)]
    assert group.attrs["rate_hz"] == pytest.approx(10, rel=1e-6)
    assert group.attrs["start_s"] == pytest.approx(299.9664, abs=1e-4)
    labels = session.group("session", "parcels")["parcels"].values
    assert labels.shape == (256, 256)
    row, column = np.nonzero(labels == 7)
    assert float(group["row"][6]) == pytest.approx((row.mean() + 0.5) / 256)
    assert float(group["column"][6]) == pytest.approx((column.mean() + 0.5) / 256)


def test_a_lagged_linear_model_decodes_whisking(session):
    """Anchor measured elsewhere: AUC .79 (.72 to .89 over blocks) of whisking above its median, 48 parcels, +-0.5 s."""
    signal = session.group("session", "roi")["signal"].values.astype(float)
    trace = session.group("session", "behaviour")["state"].values
    lagged = np.stack([np.roll(signal, -lag, axis=0) for lag in range(-5, 6)], axis=1).reshape(len(signal), -1)
    inside = np.arange(5, len(signal) - 5)
    scores = []
    for index, fold in enumerate(session.folds):
        low, high = session.statistics["threshold"].values[index]
        state = behaviour.states(trace, low, high, rate_hz=10.0)
        train, test = (
            np.intersect1d(inside, np.concatenate([row_indices(fold.rows(part)["session"]) for part in parts]))
            for parts in (("train", "validation"), ("test",))
        )
        assert np.abs(train[:, None] - test).min() > 10  # purge of 1 s: no frame is in windows of both
        mean, sd = lagged[train].mean(0), lagged[train].std(0)
        fitted = Ridge(alpha=300).fit((lagged[train] - mean) / sd, state[train])
        scores.append(roc_auc_score(state[test], fitted.predict((lagged[test] - mean) / sd)))
    assert 0.75 < np.mean(scores) < 0.83
    assert min(scores) > 0.65


def test_trials_follow_each_other_and_are_labelled_by_place(trials):
    group = trials.group("EMXJ26", "behaviour")
    assert group["segment"].values.tolist() == [trial for trial in range(15) for _ in range(10)]
    states = group["state"].values.reshape(15, 10)
    assert (states[:, :2] == 0).all()
    assert (states[:, 3:6] == 1).all()
    assert np.isnan(states[:, [2, 6, 7, 8, 9]]).all()
    assert (group.attrs["rate_hz"], group.attrs["start_s"], group.attrs["trial_start_s"]) == (200, 0, -0.005)
    movie = trials.group("EMXJ26", "movie")["movie"].values.reshape(15, 10, 50, 50)
    assert np.abs(movie.mean(axis=1)).max() < 1e-4 * np.abs(movie).max()


def test_the_rule_for_bad_pixels_finds_about_sixty(trials):
    """Pixels with |median| above 10 were counted elsewhere as outliers, about 60 a mouse, beside 99 that are 0."""
    for index, fold in enumerate(trials.folds):
        (mouse,) = fold.test
        scale = trials.group(mouse, "movie")["scale"].values
        threshold = trials.statistics["movie/threshold"].values[index]
        assert (scale == 0).sum() == 99
        assert 45 <= (scale > threshold).sum() <= 75
        assert 8 < threshold < 12


def leave_one_mouse_out(trials, name, masked):
    scores = []
    for index, fold in enumerate(trials.folds):
        parts = {"train": [*fold.train, *fold.validation], "test": list(fold.test)}
        rows = {}
        for part, mice in parts.items():
            signals, states = [], []
            for mouse in mice:
                group = trials.group(mouse, name)
                movie = group["movie"].values.astype(float)
                if masked:
                    scale, limit = group["scale"].values, trials.statistics[f"{name}/threshold"].values[index]
                    movie[:, (scale == 0) | (scale > limit)] = 0
                known = np.isfinite(trials.group(mouse, "behaviour")["state"].values)
                signals.append(((movie - movie.mean(axis=0)) / movie.std())[known].reshape(known.sum(), -1))
                states.append(trials.group(mouse, "behaviour")["state"].values[known])
            rows[part] = np.concatenate(signals), np.concatenate(states)
        model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=3000).fit(*rows["train"])
        scores.append(roc_auc_score(rows["test"][1], model.decision_function(rows["test"][0])))
    return scores


def test_responses_are_decoded_in_a_new_mouse_once_prepared(trials):
    """Anchors measured elsewhere: AUC about .5 raw, .99 to 1 with bad pixels masked and trial means subtracted."""
    assert np.mean(leave_one_mouse_out(trials, "raw", masked=False)) < 0.62
    assert min(leave_one_mouse_out(trials, "movie", masked=True)) > 0.98
