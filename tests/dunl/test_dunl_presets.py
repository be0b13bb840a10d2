"""Every preset fits; kernels keep their names whatever the order they are listed in, and those given stay as given."""

import numpy as np
import pytest
from dunl_data import AT_EVENTS, features_of, fitted

from pellucid.systems.dunl.attribute.attribute import attribute
from pellucid.systems.dunl.attribute.settings import Settings as AttributeSettings
from pellucid.systems.dunl.model.evaluate import evaluate
from pellucid.systems.dunl.model.predict import predict
from pellucid.systems.dunl.model.presets import PRESETS
from pellucid.systems.dunl.model.settings import Evaluate, Settings
from pellucid.systems.dunl.model.traces import ABSENT
from pellucid.systems.dunl.simulate import kernels as true_kernels

QUICK = {"lag_bins": 16, "training": {"epochs": 2, "steps": 4, "rate": 0.1}}
SCORED = Evaluate(bootstrap=100, shifts=20, smoothing_taus=[10.0], smoothing_levels=2, tolerances_s=[0.05])
EXPLAINED = {"bootstrap": 100, "permutations": 100, "most_traces": 40}


def published(counts, trials=12, bins=96, seed=0):
    """Features with every kind of event that a preset follows, of two neurons."""
    generator = np.random.default_rng(seed)
    events = ("cue", "reward", "cue_regret", "cue_expected", "deflection")
    shape = (trials, bins, 2)
    signal = generator.poisson(1.0, shape) if counts else generator.normal(0, 1, shape)
    onset = np.tile([2, 20, 5, 28, 30], (trials, 1))
    onset[::2, 0], onset[1::2, 2] = ABSENT, ABSENT
    return features_of(signal, onset, np.tile(np.arange(5), (trials, 1)), events, counts=counts)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_fits_and_predicts(preset, tmp_path):
    """One step with five layers; what the block says itself goes before the preset."""
    counts = PRESETS[preset]["likelihood"] == "binomial"
    settings = {"preset": preset, "encoder": {"layers": 5}, "training": {"epochs": 1, "steps": 1, "batch": 3}}
    fit = fitted(published(counts), tmp_path, preset, **settings)
    typed = Settings.model_validate(fit.settings)
    assert (typed.encoder.layers, typed.encoder.step) == (5, PRESETS[preset]["encoder"]["step"])
    shape = (2 if typed.dictionary == "neuron" else 1, len(typed.kernels), typed.lag_bins)
    weights = fit.weights()["kernels"]
    assert weights.shape == shape
    assert np.linalg.norm(weights, axis=2) == pytest.approx(1, abs=1e-6)  # float32
    for index, kernel in enumerate(typed.kernels.values()):
        assert weights[:, index].min() >= 0 or not kernel.nonnegative
    predicted = predict(fit, published(counts), 2)
    assert np.isfinite(predicted.held).all()
    codes, which = predicted.found.codes, predicted.found.slots.kernel
    for index, kernel in enumerate(typed.kernels.values()):
        signs = {"positive": 1, "negative": -1, "free": 0}
        assert (codes[which == index] * signs[kernel.code]).min(initial=0) >= 0


def test_given_kernels_that_are_fixed_keep_their_names(dunl_rewards):
    """`big` comes before the faster `fast`, as names go; of kernels that are learnt the faster would come first."""
    data = dunl_rewards
    shapes = dict(zip(("cue", "fast", "big"), true_kernels.normalised(np.array(true_kernels.DOPAMINE)), strict=True))
    listed = {"fast": {"event": "reward"}, "cue": {"event": "cue"}, "big": {"event": "reward"}}
    settings = {"lag_bins": 24, "kernels": listed, "fixed": True, "ridge": 0.05}
    settings["given"] = {name: shapes[name].tolist() for name in listed}
    fits = [data.fit("main", fold, **settings) for fold in (0, 1)]
    names = sorted(listed)
    assert fits[0].weights()["kernels"][0] == pytest.approx(np.stack([shapes[name] for name in names]))
    assert fits[0].notes["kernels"] == list(fits[0].settings["kernels"]) == names
    assert len(fits[0].history()) == 1
    said = {"within": [str(kind) for kind in range(1, 8)], "window_event": "reward", "plane": ["fast", "big"]}
    tree = attribute(data.features, fits, AttributeSettings.model_validate({**EXPLAINED, **said}), data.truth)
    rho = dict(zip(names, tree["covariates/reward"]["code_rho"].values.T, strict=True))
    # value follows the reward in 42 unexpected trials, where rho of nothing has an s.d. of 0.16
    assert rho["big"].min() > 0
    assert rho["big"].mean() > 0.3
    assert np.isnan(rho["cue"]).all()  # never in unexpected trials
    true, code = (tree["codes/r"][key].values for key in ("truth", "code"))
    assert np.corrcoef(true[..., 0].ravel(), code[..., 0].ravel())[0, 1] > 0.4  # of `big`, over all trials and neurons
    assert np.isfinite(code[:42, :, 1]).all()
    assert np.isnan(code[42:, :, 1]).all()  # the second half of the trials has no cue
    metrics, _ = evaluate(data.features, fits, SCORED, data.truth)
    assert max(row["error"] for row in metrics["kernels"]) == pytest.approx(0, abs=1e-6)
    matched = {row["kernel"]: row["matched"] for row in metrics["kernels"]}
    assert matched == {"cue": "cue", "salience": "fast", "value": "big"}


@pytest.mark.parametrize("order", [("late", "early"), ("early", "late")])
def test_the_order_in_which_kernels_are_listed_changes_nothing(dunl_structured, order, tmp_path):
    """JSON keeps names in alphabetical order, so settings do: a fit that is read back has its kernels at its events."""
    listed = {name: AT_EVENTS[name] for name in order}
    fit = fitted(dunl_structured.features, tmp_path, "main", **{**QUICK, "kernels": listed, "initial": "average"})
    metrics, _ = evaluate(dunl_structured.features, [fit], SCORED, dunl_structured.truth)
    assert {row["kernel"]: row["matched"] for row in metrics["kernels"]} == {"kernel0": "early", "kernel1": "late"}
    assert min(row["correlation"] for row in metrics["codes"]) > 0.9
