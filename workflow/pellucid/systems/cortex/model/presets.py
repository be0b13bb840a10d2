"""The published settings by name (Ajioka et al. 2024; reference code and its stored notebooks).

fastai's defaults behind the image model (Adam with decoupled decay, epsilon, one-cycle momentum) are unverified.
"""

from typing import Any, Literal

Preset = Literal["roi_gru", "roi_keras_gru", "image_cnn", "image_cnn_gru", "small_cnn", "small_cnn_gru"]

_FASTAI: dict[str, Any] = {
    "epochs": 3,
    "rate": 1e-3,
    "decay": 0.01,
    "one_cycle": True,
    "epsilon": 1e-5,
    "smoothing": 0.0,
}
_EFFICIENTNET: dict[str, Any] = {"kind": "efficientnet_b0", "frames": 3, "dropout": 0.2, "imagenet": "if_reachable"}
_RECURRENT: dict[str, Any] = {"cell": "gru", "units": 128, "layers": 2, "dropout": 0.2}
_SMALL: dict[str, Any] = {
    "epochs": 4,
    "batch": 128,
    "rate": 1e-3,
    "decay": 0.05,
    "smoothing": 0.0,
}

PRESETS: dict[str, dict[str, Any]] = {
    "roi_gru": {},
    "roi_keras_gru": {"cell": "keras_gru"},
    "image_cnn": {
        "kind": "cnn",
        "input": "movie",
        "window_s": 0.0,
        "backbone": _EFFICIENTNET,
        "normalise": {"kind": "scalar"},
        "training": {**_FASTAI, "batch": 512},
    },
    "image_cnn_gru": {
        "kind": "cnn_rnn",
        "input": "movie",
        "window_s": 1 / 6,  # 5 images of 30 frames/s to either side
        "backbone": _EFFICIENTNET,
        **_RECURRENT,
        "normalise": {"kind": "scalar"},
        "stage_1": {**_FASTAI, "batch": 512},
        "training": {**_FASTAI, "batch": 32},
    },
    "small_cnn": {
        "kind": "cnn",
        "input": "movie",
        "window_s": 0.0,
        "normalise": {"kind": "zscore"},
        "training": _SMALL,
    },
    "small_cnn_gru": {
        "kind": "cnn_rnn",
        "input": "movie",
        "window_s": 1 / 6,
        "units": 32,
        "backbone": {"frozen": True},
        "normalise": {"kind": "zscore"},
        "stage_1": _SMALL,
        "training": {**_SMALL, "batch": 64, "rate": 3e-3, "decay": 0.0},
    },
}
