"""The published settings by name (published, read in the configurations of the authors' code).

Names of kernels and events are ours: `cue` and `reward` are the events a dataset has to name. In every preset the
binomial likelihood counts each bin once and the baseline is that of the trial, as published. Not published, and
therefore ours: the competition matrix of D2 (competition among the three reward kernels is assumed), the fixed kernel
of D3 (given by the user), and epochs of simulations.
"""

from typing import Any


def _known(count: int) -> dict[str, Any]:
    return {"solver": "unrolled", "layers": count, "step": 0.1}


_CONDITIONING = {
    "cue": {"event": "cue", "nonnegative": True},
    "reward_1": {"event": "reward", "nonnegative": True},
    "reward_2": {"event": "reward", "nonnegative": True},
}
_CODE122 = {
    "cue": {"event": "cue", "code": "positive"},
    "reward_1": {"event": "reward", "nonnegative": True},
    "reward_2": {"event": "reward", "nonnegative": True},
}
_CALCIUM = {
    "cue_regret": {"event": "cue_regret"},
    "cue_expected": {"event": "cue_expected"},
    "reward_1": {"event": "reward", "code": "positive"},
    "reward_2": {"event": "reward", "code": "positive", "nonnegative": True},
    "reward_3": {"event": "reward", "code": "negative", "nonnegative": True},
}
_REWARDS_COMPETE = [[2.5 * float(j > 1 and k > 1 and j != k) for k in range(5)] for j in range(5)]
_PUBLISHED: dict[str, Any] = {
    "bin_weight": "published",
    "baseline": "trial",
    "initial": "random",
    "validation": "objective",
    "precision": "float32",
}


def _training(epochs: int, batch: int, steps: int | None = None) -> dict[str, Any]:
    return {
        "epochs": epochs,
        "batch": batch,
        "steps": steps,
        "rate": 0.01,
        "epsilon": 1e-3,
        "stop_after": None,
        "patience": 10_000,
    }


def _d1(kernels: dict[str, Any], epochs: int, smoothness: float = 0.0, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        **_PUBLISHED,
        "likelihood": "binomial",
        "kernels": kernels,
        "lag_bins": 24,
        "smoothness": smoothness,
        "encoder": _known(100),
        "training": _training(epochs, 32),
        **more,
    }


def _d2(epochs: int, batch: int, smoothness: float = 0.0, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        **_PUBLISHED,
        "likelihood": "gaussian",
        "kernels": _CALCIUM,
        "lag_bins": 60,
        "smoothness": smoothness,
        "encoder": {**_known(100), "competition": _REWARDS_COMPETE},
        "training": _training(epochs, batch),
        **more,
    }


def _unknown(
    count: int,
    lags: int,
    penalty: float,
    code_penalty: float,
    top: int,
    smoothness: float,
    **more: Any,  # noqa: ANN401
) -> dict[str, Any]:
    encoder = {"solver": "unrolled", "layers": 800, "step": 0.25, "top": top, "top_every": 10}
    return {
        **_PUBLISHED,
        "likelihood": "binomial",
        "kernels": {f"kernel{k}": {"code": "positive"} for k in range(count)},
        "lag_bins": lags,
        "penalty": penalty,
        "code_penalty": code_penalty,
        "smoothness": smoothness,
        "encoder": {**encoder, **more.pop("encoder", {})},
        "training": _training(200, 128),
        **more,
    }


_OVER_STEPS = {"layers": 20}
_WHISKER = {"step": 0.5, "top": 16}

PRESETS: dict[str, dict[str, Any]] = {
    "d1_main": _d1(_CONDITIONING, 15),
    "d1_code122": _d1(_CODE122, 15),
    "d1_code122_inferred": _d1(_CODE122, 15, baseline="inferred"),
    "d1_per_neuron": _d1(_CODE122, 600, 5e-4, baseline="inferred", dictionary="neuron"),
    "d1_limited": _d1(_CONDITIONING, 50, 5e-4),
    "d2": _d2(15, 8),
    "d2_inferred": _d2(30, 8, baseline="inferred"),
    "d2_per_neuron": _d2(600, 32, 5e-4, dictionary="neuron"),
    "d2_per_neuron_inferred": _d2(150, 32, 5e-4, baseline="inferred", dictionary="neuron"),
    "d3": _unknown(1, 25, 0.03, 0.03, 16, 3e-3, encoder=_WHISKER, training=_training(120, 30)),
    "d3_group": _unknown(
        1, 25, 0.01, 0.03, 18, 3e-3, encoder={**_WHISKER, "top": 18, "group": 0.05}, training=_training(120, 30)
    ),
    "d3_glm": _unknown(
        1,
        25,
        0.0,
        0.0,
        16,
        0.0,
        kernels={"kernel0": {"event": "deflection", "code": "positive"}},
        encoder={"layers": 2000, "step": 1.0, "top": None},
        fixed=True,
        training=_training(1, 30),
    ),
    "d4": _unknown(
        1,
        30,
        0.25,
        0.25,
        1,
        2e-3,
        likelihood="gaussian",
        baseline="inferred",
        kernels={"kernel0": {"code": "positive", "nonnegative": True}},
        encoder={"layers": 1000, "step": 0.01, "top": None},
        training=_training(1000, 32),
    ),
    "sim_dopamine": {**_d1(_CONDITIONING, 200), "training": _training(200, 2)},
    "sim_short": _unknown(2, 16, 0.10, 0.10, 2, 0.015),
    "sim_structured": _unknown(2, 16, 0.10, 0.10, 1, 0.015),
    "sim_long": _unknown(2, 16, 0.10, 0.10, 3, 0.015),
    "sim_calscenario": _unknown(2, 16, 0.15, 0.15, 4, 0.012),
    "sim_local": _unknown(2, 16, 0.1, 0.1, 4, 0.007, encoder={"competition": [[0.0, 2.5], [2.5, 0.0]]}),
    "sim_orthogonal": _unknown(
        5, 80, 0.005, 0.005, 1, 0.01, encoder={**_OVER_STEPS, "group": 0.05}, training=_training(200, 5, 5)
    ),
    "sim_two_kernel": _unknown(
        3, 80, 0.005, 0.005, 1, 0.01, encoder={**_OVER_STEPS, "group": 0.025}, training=_training(200, 10, 5)
    ),
    "sim_whisker": _unknown(1, 20, 0.03, 0.03, 5, 0.0, initial="sinusoid"),
}
"""Name -> settings that differ from the defaults of `Settings`."""
