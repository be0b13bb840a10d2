"""Readers of raw formats by name.

Each module has `Settings`, `select(files, settings)` (the files that are used), `read(files, settings) -> tree` and
`write` for simulators.

A new format is one module and one entry here. Modules import heavy libraries inside their functions, so that a
configuration is checked without them.
"""

from importlib import import_module
from types import ModuleType

from pellucid.errors import ConfigError
from pellucid.settings import Block

READERS = {
    "antolik": "pellucid.readers.antolik",
    "axona": "pellucid.readers.axona",
    "binary": "pellucid.readers.binary",
    "cortex_mat": "pellucid.readers.cortex_mat",
    "csv": "pellucid.readers.csv",
    "frame_spikes": "pellucid.readers.frame_spikes",
    "image_set": "pellucid.readers.image_set",
    "matlab": "pellucid.readers.matlab",
    "numpy": "pellucid.readers.numpy",
    "nwb": "pellucid.readers.nwb",
    "odour_mat": "pellucid.readers.odour_mat",
    "open_ephys_nwb1": "pellucid.readers.open_ephys",
    "ppd": "pellucid.readers.ppd",
    "retina_hdf5": "pellucid.readers.retina_hdf5",
    "retina_interneurons": "pellucid.readers.retina_interneurons",
    "tiff": "pellucid.readers.tiff",
    "torch_file": "pellucid.readers.torch_file",
    "trial_calcium": "pellucid.readers.trial_calcium",
    "whisker_mat": "pellucid.readers.whisker_mat",
    "whisker_segments": "pellucid.readers.whisker_segments",
}


def reader(name: str) -> ModuleType:
    """Return the module of a reader. Raises ConfigError for an unknown name."""
    if name not in READERS:
        raise ConfigError(
            f"reader {name!r}",
            expected=f"one of {', '.join(READERS)}",
            found=repr(name),
            remedy="Correct `reader`, or add the new format to pellucid.readers.READERS.",
        )
    return import_module(READERS[name])


def settings(name: str) -> type[Block]:
    """Return the class of a reader's options."""
    found: type[Block] = reader(name).Settings
    return found
