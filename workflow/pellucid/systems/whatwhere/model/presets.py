"""The published settings by name (reference code: CNN.py, training.py, the notebooks of Figs 3-5, v1data/convnet.py).

The presets of figures 3 to 5 keep batch norm as released, those named `unit` have unit-norm kernels instead, which do
not depend on running statistics. Ranges of penalties are those searched; validation images choose.
"""

from typing import Any, Literal

from pellucid.settings import merged

Preset = Literal["fig3", "fig3_unit", "fig4", "fig5", "fig5_fixed", "fig5_dense", "v1", "v1_fixed", "v1_dense", "lnp"]


_MASK_L1 = [0.001, 0.00215, 0.00464, 0.01, 0.0215, 0.0464, 0.1, 0.215, 0.464, 1.0]  # geomspace(.001, 1, 10)

_FIG3: dict[str, Any] = {
    "core": {
        "layers": [{"kernel_px": 17, "maps": 1}],
        "normalisation": "batch",
        "centre": False,
        "decay": 0.998,
    },
    "readout": {"weight": 1.0, "weight_sd": 0.0},
    "penalties": [{"mask_l1": value} for value in _MASK_L1],
}

_FIG4: dict[str, Any] = {
    "core": {"layers": [{"kernel_px": 17, "maps": 2}], "normalisation": "unit"},
    "readout": {"weight": 0.136},  # the mean s.d. of responses, as the mask's peak
    "penalties": [{"mask_l1": 0.01, "weight_l1": 0.04}],
    "training": {"batch": 512, "plateaus": 2, "burn_in": 10},
}

_FIG5: dict[str, Any] = {
    "core": {
        "layers": [{"kernel_px": 5, "maps": maps, "activation": "relu"} for maps in (32, 64, 4)],
        "normalisation": "batch",
        "decay": 0.998,
    },
    "readout": {"weights": "nonnegative", "peak": 1.0},
    "penalties": [{"mask_l1": 0.003, "weight_l1": value} for value in (0.03, 0.1, 0.3)],
    "training": {"batch": 64, "burn_in": 10},
}

_V1: dict[str, Any] = {
    "core": {
        "layers": [
            {"kernel_px": 13, "maps": 48, "activation": "softplus", "smooth": True},
            {"kernel_px": 3, "maps": 48, "padding": "same", "activation": "softplus", "group": True},
            {"kernel_px": 3, "maps": 48, "padding": "same", "activation": "identity", "group": True},
        ],
        "normalisation": "batch",
    },
    "readout": {"mask": "nonnegative", "weights": "nonnegative", "start": "random", "mask_sd": 0.01, "weight": 0.0},
    "output": "softplus",
    "bias": True,
    "loss": "poisson",
    "penalties": [
        {"smoothness": smooth, "group_sparsity": group, "product_l1": readout}
        for smooth in (0.001, 0.003, 0.01)
        for group in (0.025, 0.05)
        for readout in (0.03, 0.04, 0.05)
    ],
    "training": {"steps": 50, "epochs": 600, "patience": 10, "factor": 1 / 3, "rollback": True},
}

PRESETS: dict[str, dict[str, Any]] = {
    "fig3": _FIG3,
    "fig3_unit": merged(_FIG3, {"core": {"normalisation": "unit"}}),
    "fig4": _FIG4,
    "fig5": _FIG5,
    "fig5_fixed": merged(_FIG5, {"readout": {"kind": "fixed"}, "penalties": [{"weight_l1": 0.001}]}),
    "fig5_dense": merged(
        _FIG5,
        {
            "readout": {"kind": "dense", "start": "random", "mask_sd": 0.01},
            "penalties": [
                {"weight_l2": value, "activity_l1": 0.1} for value in (0.05, 0.158, 0.5, 1.58, 5.0)
            ],  # geomspace(.05, 5, 5)
            "training": {"patience": 8, "burn_in": 5, "epochs": 150},
        },
    ),
    "v1": _V1,
    "v1_fixed": merged(
        _V1,
        {
            "readout": {"kind": "fixed", "start": "located", "smoothing_px": 4.8},
            "penalties": [
                {"smoothness": smooth, "group_sparsity": group}
                for smooth in (0.001, 0.003, 0.01)
                for group in (0.025, 0.05)
            ],
        },
    ),
    "v1_dense": merged(
        _V1,
        {
            "readout": {"kind": "dense", "mask": "signed", "mask_sd": 0.01, "dropout": 0.5},
            "penalties": [
                {"smoothness": 0.01, "group_sparsity": 0.025, "weight_l2": 0.01, "activity_l1": value}
                for value in (0.01, 0.02, 0.04)
            ],
            "training": {"patience": 3, "factor": 0.1, "plateaus": 4},
        },
    ),
    "lnp": {
        "core": {"layers": [], "normalisation": "none"},
        "readout": {"kind": "dense", "start": "random", "mask_sd": 0.001},
        "output": "exp",
        "bias": True,
        "loss": "poisson",
        "penalties": [
            {"readout_smoothness": smooth, "mask_l1": l1}
            for smooth in (0.005, 0.02, 0.08)
            for l1 in (0.02, 0.03, 0.04, 0.05, 0.06)
        ],
        "training": {"steps": 50, "epochs": 200, "patience": 10, "plateaus": 1},
    },
}
