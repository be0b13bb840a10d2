from pathlib import Path

import numpy as np
import xarray as xr

from pellucid import store
from pellucid.readers import numpy

from .settings import Settings


def simulate(settings: Settings, seed: int, folder: Path) -> None:
    generator = np.random.default_rng(seed)
    if settings.kind == "images":
        image = generator.standard_normal((40, 3, 5))
        rate = image.reshape(40, -1) @ generator.standard_normal((15, 2))
        arrays = {"image": image, "response": rate + 0.1 * generator.standard_normal((4, 40, 2))}
        numpy.write(folder / "gallery.npz", arrays)
        return
    for subject in range(settings.subjects):
        for session in range(2 + (subject < 2)):
            label = generator.integers(0, 2, settings.trials + session)
            valid = np.arange(20) < generator.integers(12, 21, len(label))[:, None]
            signal = generator.standard_normal(valid.shape) + label[:, None]
            arrays = {"signal": np.where(valid, signal, np.nan), "valid": valid, "label": label}
            numpy.write(folder / f"m{subject}_{session}.npz", arrays)
    store.write(folder / "truth.zarr", xr.DataTree.from_dict({"/truth": xr.Dataset(attrs={"shift": 1.0})}))
