"""Simulated truth in the neurons and pixels of the features."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from pellucid import schema
from pellucid.artifacts import Features


@dataclass(frozen=True)
class Truth:
    """What a simulation put into a dataset; neurons follow each other as in the features.

    response  recording -> noise-free responses (image, neuron)
    position  (neuron, 2) row and column of the receptive fields in px of the processed image, NaN where unknown
    kind      (neuron,) number of each neuron's type; types of different recordings are different
    sign      (neuron,) -1 for a receptive field that is its type's with the sign flipped, else 1
    filters   (neuron, height, width) linear receptive fields in the recorded pixels, or None
    kernels   (kernel, height, width), or None
    """

    response: dict[str, np.ndarray]
    position: np.ndarray
    kind: np.ndarray
    sign: np.ndarray
    filters: np.ndarray | None
    kernels: np.ndarray | None


def of(features: Features, truth: Mapping[str, xr.DataTree]) -> Truth | None:
    """Return the truth behind features, or None unless it is known for every recording.

    truth  name of the simulated raw folder -> tree; it has to be the recording's name, or the only one there is for the
           only recording
    Filters are None where images were cropped, binned or inverted.
    """
    names = sorted(features.stores)
    single = len(names) == len(truth) == 1
    trees = [next(iter(truth.values())) if single else truth.get(name) for name in names]
    known = [tree for tree in trees if tree is not None]
    if len(known) < len(names) or not names:
        return None
    groups = {name: schema.group(tree, "truth", name) for name, tree in zip(names, known)}
    own = {name: features.group(name) for name in names}
    if any(groups[name].sizes["neuron"] != own[name].sizes["neuron"] for name in names):
        return None
    first, kinds = 0, []
    for group in groups.values():
        kinds.append(first + group["type"].values.astype(int))
        first = int(kinds[-1].max()) + 1
    plain = all(_unchanged(group) for group in own.values())
    filters = all("filter" in group for group in groups.values()) and plain
    kernels = [_kernels(tree) for tree in known if "kernels" in tree.children]
    return Truth(
        response={name: group["response"].values for name, group in groups.items()},
        position=np.concatenate([_position(groups[name], own[name]) for name in names]),
        kind=np.concatenate(kinds),
        sign=np.concatenate([_sign(group) for group in groups.values()]),
        filters=np.concatenate([group["filter"].values for group in groups.values()]) if filters else None,
        kernels=np.concatenate(kernels) if len(kernels) == len(names) else None,
    )


def _sign(group: xr.Dataset) -> np.ndarray:
    return group["sign"].values.astype(int) if "sign" in group else np.ones(group.sizes["neuron"], int)


def _kernels(tree: xr.DataTree) -> np.ndarray:
    return schema.group(tree, "kernels", "truth")["kernel"].values


def _unchanged(group: xr.Dataset) -> bool:
    said = json.loads(group.attrs["processing"])
    whole = list(said["crop_origin_px"]) == [0, 0]
    return bool(said["downsample"] == 1 and not said["invert"] and whole)


def _position(group: xr.Dataset, own: xr.Dataset) -> np.ndarray:
    """Return positions in pixels after cropping and binning, (neuron, 2)."""
    said = json.loads(own.attrs["processing"])
    raw = np.stack([group["row"].values, group["column"].values], axis=1)
    factor = said["downsample"]
    return np.asarray((raw - np.asarray(said["crop_origin_px"]) - (factor - 1) / 2) / factor)
