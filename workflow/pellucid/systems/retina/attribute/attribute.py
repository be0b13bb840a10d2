"""Which few interneurons a fitted network uses for each response, and what speaks for and against it.

Tanaka et al. 2019, Maheswaranathan et al. 2023: the first layer's channels stand for interneurons; integrated gradients
say what each adds to a response, the smallest set that still gives it is the circuit.
"""

from collections.abc import Mapping, Sequence

import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.systems.retina.attribute.settings import Settings
from pellucid.systems.retina.attribute.tree import tree


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    """Return channels, receptive fields, phenomena with their circuits, agreement and matched interneurons.

    truth  simulated truth by the name of its raw folder, against which circuits are scored
    Phenomena, agreement and interneurons are of all seeds of the first fold. A model that predicts held-out responses
    no better than a constant rate is not attributed: the attribute `warning` says so. Raises DataError or ConfigError
    if a model of the settings is not among the fits, or a stimulus does not fit its image or its history.
    """
    return xr.DataTree.from_dict(tree(features, fits, settings, truth))
