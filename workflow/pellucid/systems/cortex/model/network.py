"""The decoders: recurrent networks on windows of traces or of image features, a CNN, and a linear one."""

from typing import cast

import torch
from torch import Tensor, nn

from pellucid.systems.cortex.model import backbone
from pellucid.systems.cortex.model.keras_gru import KerasGRU
from pellucid.systems.cortex.model.settings import Settings

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class Recurrent(nn.Module):
    """A recurrent layer over the window, its last state, and one linear output (Ajioka et al. 2024)."""

    def __init__(self, inputs: int, settings: Settings) -> None:
        """inputs: number of ROIs or of features."""
        super().__init__()
        if settings.cell == "keras_gru":
            self.rnn: nn.Module = KerasGRU(inputs, settings.units)
        else:
            self.rnn = CELLS[settings.cell](
                inputs, settings.units, settings.layers, batch_first=True, bidirectional=settings.bidirectional,
                dropout=settings.dropout if settings.layers > 1 else 0.0,
            )  # fmt: skip
        self.head = nn.Linear(settings.units * (1 + settings.bidirectional), 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows (window, lag, roi or feature) to an output (window,): the logit of state 1, or the speed."""
        if isinstance(self.rnn, KerasGRU):
            return cast(Tensor, self.head(self.rnn(windows)).squeeze(-1))
        last = self.rnn(windows)[1]  # of every layer and direction; taken from all states, it costs more backwards
        if isinstance(last, tuple):  # an LSTM's states, and its cells
            last = last[0]
        states = torch.cat(last[-2:].unbind(0), dim=-1) if self.rnn.bidirectional else last[-1]
        return cast(Tensor, self.head(states).squeeze(-1))


class Linear(nn.Module):
    """A weight for every sample of the window and an intercept."""

    def __init__(self, lags: int, inputs: int) -> None:
        """lags, inputs: samples of a window, and ROIs (or pixels of an image)."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(lags, inputs))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows (window, lag, roi) to an output (window,)."""
        return torch.einsum("wlr,lr->w", windows, self.weight) + self.bias


class Images(nn.Module):
    """A backbone with one linear output per image; with a recurrent stage, one output per window of images."""

    def __init__(self, settings: Settings, shape: tuple[int, int]) -> None:
        """shape: height and width of an image."""
        super().__init__()
        self.backbone = backbone.build(settings.backbone, shape)
        self.dropout = nn.Dropout(settings.backbone.dropout)
        self.head = nn.Linear(self.backbone.size, 1)
        self.recurrent = Recurrent(self.backbone.size, settings) if settings.kind == "cnn_rnn" else None

    def single(self, images: Tensor) -> Tensor:
        """Map images (image, frame, height, width) to the output of stage 1, (image,)."""
        return cast(Tensor, self.head(self.dropout(self.backbone(images))).squeeze(-1))

    def features(self, images: Tensor) -> Tensor:
        """Map images (image, frame, height, width) to features (image, feature)."""
        return cast(Tensor, self.backbone(images))

    def from_features(self, features: Tensor) -> Tensor:
        """Map features of windows (window, lag, feature) to an output (window,); a CNN's windows have one image."""
        if self.recurrent is None:
            return cast(Tensor, self.head(self.dropout(features[:, 0])).squeeze(-1))
        return cast(Tensor, self.recurrent(features))

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows of images (window, lag, frame, height, width) to an output (window,), every image on its own."""
        return self.from_features(self.backbone(windows.flatten(0, 1)).unflatten(0, windows.shape[:2]))


def parameters(network: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(value.numel() for value in network.parameters())
