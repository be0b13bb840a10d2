"""Which covariates the codes of each fit follow on its test trials, in brief: one number per kernel and covariate."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.artifacts import Features
from pellucid.learning.metrics import spearman
from pellucid.systems.dunl.model.predict import Predicted
from pellucid.systems.dunl.model.traces import covariates

LEAST_TRIALS = 5


def rows(said: Mapping[str, Any], predicted: Predicted, features: Features, names: list[str]) -> list[dict[str, Any]]:
    """Return rows of Spearman's rho between trial codes and covariates: each neuron's own, averaged over neurons.

    names  of the kernels; neurons with fewer than five known trials, or with constant codes, are left out
    """
    if predicted.found is None:
        return []
    traces = predicted.traces
    codes = predicted.trial_codes()
    found = []
    for covariate in json.loads(features.first().attrs["covariates"]):
        values = covariates(features, covariate)[traces.trial]
        for kernel, name in enumerate(names):
            known = np.isfinite(codes[:, kernel]) & np.isfinite(values)
            rho = [
                float(spearman(values[own][:, None], codes[own, kernel][:, None])[0])
                for own in (known & (traces.neuron == neuron) for neuron in np.unique(traces.neuron))
                if own.sum() >= LEAST_TRIALS
            ]
            defined = [value for value in rho if np.isfinite(value)]
            if defined:
                row = {"kernel": name, "covariate": covariate, "rho": float(np.mean(defined)), "neurons": len(defined)}
                found.append({**said, **row})
    return found
