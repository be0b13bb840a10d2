"""Spike times of sorted units as the group /spikes of a recording."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pellucid.readers.hdf5 import wrong

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr


def spikes(times: "Mapping[str, np.ndarray]", labels: Mapping[str, list[str]], label: str) -> "xr.Dataset":
    """Return the spikes of all units in the order of time.

    times   unit -> its spike times (any,) s
    labels  unit_class, unit_group: what is known of each unit, "" where it is not
    label   what messages call the units
    Gives spike_time (spike,) s, spike_unit (spike,) int32 the index of the unit, the units as `neuron`, and the labels
    (neuron). Raises DataError for a time that is not finite.
    """
    import numpy as np
    import xarray as xr

    found = [np.asarray(one, np.float64).ravel() for one in times.values()]
    time = np.concatenate([np.zeros(0), *found])
    if not np.isfinite(time).all():
        raise wrong(label, "finite spike times", "NaN or infinity")
    unit = np.repeat(np.arange(len(found)), [len(one) for one in found])
    order = np.lexsort((unit, time))
    variables = {
        "spike_time": ("spike", time[order], {"units": "s"}),
        "spike_unit": ("spike", unit[order].astype(np.int32), {"units": "1"}),
    }
    known = {name: ("neuron", np.array(values, object)) for name, values in labels.items()}
    return xr.Dataset({**variables, **known}, {"neuron": np.array(list(times), object)})
