import time
from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store

from .settings import Settings


def extract(recording: xr.DataTree, settings: Settings, output: Path) -> None:
    if "responses" in recording:
        x = recording["stimulus/image"].values.reshape(recording["stimulus"].sizes["image"], -1)
        response = recording["responses/response"].mean("repeat").values[:, 0]
        y, rows = (response > np.median(response)).astype(float), "image"
    else:
        parts = np.array_split(recording["trials/signal"].values, settings.bins, axis=1)
        x = np.stack([np.nan_to_num(np.nanmean(part, axis=1)) for part in parts], axis=1)
        y, rows = recording["trials/label"].values.astype(float), "trial"
    features = xr.Dataset({"x": ((rows, "feature"), x, {"units": "1"}), "y": (rows, y, {"units": "1"})})
    tree = xr.DataTree.from_dict({"/features": features})
    tree.attrs["subject"] = recording.attrs["subject"]
    time.sleep(settings.pause_s)
    store.write(output, tree)
