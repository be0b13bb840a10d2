"""From images to features: a small convolutional network for laptops, and EfficientNet-B0 (Tan & Le 2019)."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pellucid.errors import DataError, MissingError
from pellucid.systems.cortex.model.settings import Backbone

IMAGENET = (
    "https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/efficientnet-b0-355c32eb.pth",
    "355c32eb",
)
"""Where the weights of efficientnet-pytorch are, and how their sha256 begins."""

SIDE = 8
"""Height and width that the maps of the small network are pooled to on larger images."""


class Small(nn.Module):
    """Two strided convolutions: 5 px to 16 maps with batch norm, 3 px to 16 maps; both rectified."""

    def __init__(self, frames: int, shape: tuple[int, int]) -> None:
        """frames: channels of an image; shape: its height and width."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(frames, 16, 5, stride=2, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        height, width = ((side + 3) // 4 for side in shape)  # after two strides of 2
        step = (max(1, height // SIDE), max(1, width // SIDE))
        self.pool: nn.Module = nn.Identity() if step == (1, 1) else nn.AvgPool2d(step)
        self.size = 16 * (height // step[0]) * (width // step[1])

    def forward(self, images: Tensor) -> Tensor:
        """Map images (image, frame, height, width) to features (image, feature)."""
        return cast(Tensor, self.pool(self.layers(images)).flatten(1))


class EfficientNet(nn.Module):
    """MONAI's EfficientNet-B0, whose padding is that of the published network, without its head."""

    size = 1280

    def __init__(self, frames: int) -> None:
        """frames: channels of an image."""
        from monai.networks.nets.efficientnet import EfficientNetBN

        super().__init__()
        self.network = EfficientNetBN(
            "efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=frames, num_classes=1
        )
        self.network.add_module("_dropout", nn.Identity())
        self.network.add_module("_fc", nn.Identity())

    def forward(self, images: Tensor) -> Tensor:
        """Map images (image, frame, height, width) to features (image, feature), averaged over the image."""
        return cast(Tensor, self.network(images))


def build(settings: Backbone, shape: tuple[int, int]) -> Small | EfficientNet:
    """Return a backbone with random weights for images of a height and width."""
    return EfficientNet(settings.frames) if settings.kind == "efficientnet_b0" else Small(settings.frames, shape)


def start(network: Small | EfficientNet, settings: Backbone) -> str:
    """Put ImageNet weights into a backbone where the settings ask for them; return where its weights come from.

    Raises MissingError if they are required and neither given nor reachable, DataError for a file of other weights.
    """
    if settings.imagenet == "no" or not isinstance(network, EfficientNet):
        return "random"
    path = _weights_file(settings)
    if path is None:
        if settings.imagenet == "required":
            raise MissingError(
                "fit, backbone.imagenet: required",
                expected=f"the weights, from {IMAGENET[0]}",
                found="neither `backbone.file` nor a network",
                remedy="Fetch the file elsewhere and name it in `backbone.file`, or set `imagenet: no`.",
            )
        return "random (ImageNet weights were not reachable)"
    _fill(network, _read(path), path)
    return "ImageNet"


def _weights_file(settings: Backbone) -> Path | None:
    """Return the file of weights: the given one, the mirror's, or a download; None if there is none."""
    import pooch
    from requests.exceptions import RequestException

    url, beginning = IMAGENET
    name = url.rsplit("/", 1)[-1]
    mirror = os.environ.get("PELLUCID_DATA")
    for path in (settings.file, str(Path(mirror) / name) if mirror else None):
        if path is not None and Path(path).is_file():
            return _checked(Path(path), beginning)
    if settings.file is not None:
        raise MissingError(settings.file, expected="weights", found="nothing", remedy="Correct `backbone.file`.")
    try:
        return _checked(Path(pooch.retrieve(url, known_hash=None, path=pooch.os_cache("pellucid"))), beginning)
    except (RequestException, OSError):
        return None


def _checked(path: Path, beginning: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(beginning):
        raise DataError(
            str(path),
            expected=f"a file whose sha256 begins with {beginning}",
            found=found[:16],
            remedy="Remove it, or name another file.",
        )
    return path


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        return cast(Mapping[str, Tensor], torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises what its unpickler, zip and tensors raise
        raise DataError(
            str(path), expected="a dictionary of tensors", found=f"{error}"[:120], remedy="Fetch the file again."
        ) from error


def _fill(network: EfficientNet, given: Mapping[str, Tensor], path: Path) -> None:
    """Copy weights by name; blocks are numbered flat in the file, by stage and block in the network."""
    own: dict[str, Any] = network.network.state_dict()
    for name, value in own.items():
        source = given.get(re.sub(r"(.+)\.\d+(\.\d+\..+)", r"\1\2", name))
        if source is None or source.shape != value.shape:
            raise DataError(
                str(path),
                expected=f"a tensor for {name} of shape {tuple(value.shape)}",
                found="none" if source is None else f"{tuple(source.shape)}",
                remedy="Use the weights of efficientnet-pytorch's EfficientNet-B0.",
            )
        own[name] = source
    network.network.load_state_dict(own)
