"""Published settings by name."""

from typing import Any, Literal

Preset = Literal["bn_cnn", "convgc", "mcintosh_2016"]

_TRAINING = {"epochs": 100, "batch": 2500, "rate": 5e-3, "patience": 6, "improvement": 1e-2, "factor": 0.5}

PRESETS: dict[str, dict[str, Any]] = {
    # Maheswaranathan et al. 2023, reference code: dense readout, batch normalisation of every unit
    "bn_cnn": {
        "kind": "cnn",
        "layers": [{"channels": 8, "kernel_px": [15, 15]}, {"channels": 8, "kernel_px": [11, 11]}],
        "norm": {"per": "unit", "positive": False, "momentum": 0.01},
        "noise": 0.05,
        "readout": {"kind": "dense"},
        "training": {**_TRAINING, "epochs": 250, "batch": 5000, "rate": 1e-2, "patience": 10, "factor": 0.2,
                     "stop_after": 20, "weights": 0.02},
    },
    # Maheswaranathan et al. 2023, reference code (config.json): stacked 3 x 3 kernels, one location per cell
    "convgc": {
        "kind": "cnn",
        "layers": [
            {"channels": 8, "kernel_px": [15, 15], "stacked": True},
            {"channels": 8, "kernel_px": [11, 11], "stacked": True},
        ],
        "norm": {"per": "channel", "positive": True, "momentum": 0.01},
        "noise": 0.05,
        "dropout": 0.05,
        "readout": {"kind": "located", "kernel_px": [11, 11]},
        "training": {**_TRAINING, "activity": 1e-4, "weights": 1e-3},
    },
    # McIntosh et al. 2016, reference code (nips_cnn)
    "mcintosh_2016": {
        "kind": "cnn",
        "layers": [{"channels": 16, "kernel_px": [15, 15]}, {"channels": 8, "kernel_px": [9, 9]}],
        "norm": None,
        "noise": 0.1,
        "readout": {"kind": "dense", "norm": False},
        "training": {"epochs": 50, "batch": 5000, "rate": 1e-3, "patience": 50, "activity": 1e-3, "weights": 2e-3},
    },
}  # fmt: skip
"""The penalty of weights is half of `weights` times their sum of squares: Keras' l2 is half of it, Adam's coupled
weight decay is it; neither is applied to batch normalisation here."""
