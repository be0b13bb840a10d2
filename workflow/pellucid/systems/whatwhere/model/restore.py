"""A fit put back together: what it predicts, and what its weights say about each neuron."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.artifacts import Features, Fit
from pellucid.learning import loop
from pellucid.systems.whatwhere.model import training
from pellucid.systems.whatwhere.model.fit import CONSTANT
from pellucid.systems.whatwhere.model.network import Network, Start
from pellucid.systems.whatwhere.model.readouts import Dense, Masked, Point
from pellucid.systems.whatwhere.model.settings import Settings


@dataclass(frozen=True)
class Fitted:
    """A trained model of some neurons.

    network  images (image, channel, height, width), standardised -> responses (image, neuron), differentiable
    neurons  numbers of its neurons among all of the dataset
    parts    the network of each candidate in use, by its number; empty for regressions
    choice   (neuron,) candidate of each neuron, CONSTANT for the mean response
    stored   the arrays of the fit's file
    """

    fit: Fit
    settings: Settings
    network: nn.Module
    neurons: np.ndarray
    parts: dict[int, Network]
    choice: np.ndarray
    stored: dict[str, np.ndarray]

    def predict(self, images: np.ndarray, batch: int = 512) -> np.ndarray:
        """Return responses, (image, neuron); images (image, channel, height, width), standardised."""
        return training.in_batches(self.network, images, batch, torch.device("cpu"))

    def masks(self) -> np.ndarray | None:
        """Return masks as they are used, (neuron, height, width), or None for a readout without."""
        return self._of(lambda part: part.readout.masks() if isinstance(part.readout, Masked) else None)

    def weights(self) -> np.ndarray | None:
        """Return feature weights as they are used, (neuron, feature), or None for dense readouts and regressions."""
        return self._of(lambda part: None if isinstance(part.readout, Dense) else part.readout.weights())

    def kernels(self) -> np.ndarray | None:
        """Return the first layer's kernels, (kernel, channel, height, width), or None if there are none."""
        part = self._main()
        return part.core.kernels().detach().numpy() if part and len(part.core.layers) else None

    def offset(self) -> tuple[float, float]:
        """Return the px from a pixel of the last map to its pixel of the image, row and column."""
        part = self._main()
        return part.core.offset if part else (0.0, 0.0)

    def positions(self) -> np.ndarray | None:
        """Return where each neuron reads the image, (neuron, 2) row and column in px.

        Masks: the pixel of the largest |m|; points: their position; regressions: the centre of their window; NaN for a
        neuron that is constant.
        """
        if self.settings.kind != "network":
            return self.stored["position"]
        found = self._of(_place)
        if found is None:
            return None
        return np.where(self.choice[:, None] == CONSTANT, np.nan, found + np.asarray(self.offset()))

    def filters(self) -> np.ndarray | None:
        """Return linear receptive fields of standardised pixels, (neuron, channel, height, width), or None.

        They exist for regressions, for linear cores with masks, and for dense readouts of the image itself.
        """
        if self.settings.kind != "network":
            return self.stored["filters"]
        return self._of(_filters)

    def _main(self) -> Network | None:
        return next(iter(self.parts.values()), None)

    def _of(self, ask: Callable[[Network], Tensor | None]) -> np.ndarray | None:
        """Return what the network of each neuron's candidate says of the neuron; 0 for a constant response."""
        with torch.no_grad():
            said = {index: ask(part) for index, part in self.parts.items()}
        if not said or any(value is None for value in said.values()):
            return None
        found = {index: value.detach().numpy() for index, value in said.items() if value is not None}
        out = np.zeros_like(next(iter(found.values())))
        for index, value in found.items():
            out[self.choice == index] = value[self.choice == index]
        return out


def restore(fit: Fit, features: Features) -> Fitted:
    """Return a fit with its networks on the CPU, in evaluation mode."""
    settings = Settings.model_validate(fit.settings)
    read = fit.weights()
    image = features.first()["images"].shape[1:]
    neurons = np.atleast_1d(read["neurons"])
    if settings.kind != "network":
        linear = _Linear(read["filters"], read["intercept"])
        return Fitted(fit, settings, linear.eval(), neurons, {}, np.zeros(len(neurons), int), read)
    choice = np.atleast_1d(read["choice"])
    parts: dict[int, Network] = {}
    for index in sorted({int(c) for c in choice if c != CONSTANT}):
        own = {name.split(".", 1)[1]: value for name, value in read.items() if name.startswith(f"{index}.")}
        network = Network(settings, image, Start.blank(len(neurons)))
        loop.load(network, _shaped(own, network))
        parts[index] = network
    single = len(parts) == 1 and CONSTANT not in choice
    chosen = next(iter(parts.values())) if single else _Chosen(parts, choice, np.atleast_1d(read["mean"]))
    return Fitted(fit, settings, chosen.eval(), neurons, parts, choice, read)


class _Linear(nn.Module):
    """y_n = F_n . x + b_n."""

    def __init__(self, filters: np.ndarray, intercept: np.ndarray) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.from_numpy(filters), requires_grad=False)
        self.intercept = nn.Parameter(torch.from_numpy(np.atleast_1d(intercept)), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.filters.flatten(1).T + self.intercept


class _Chosen(nn.Module):
    """Each neuron's response by its own candidate, or its mean."""

    def __init__(self, parts: dict[int, Network], choice: np.ndarray, mean: np.ndarray) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({str(index): part for index, part in parts.items()})
        self.register_buffer("choice", torch.from_numpy(choice))
        self.register_buffer("mean", torch.from_numpy(mean))

    def forward(self, images: Tensor) -> Tensor:
        out = self.mean.expand(len(images), -1)  # type: ignore[operator]
        for index, part in self.parts.items():
            out = torch.where(self.choice == int(index), part(images), out)  # type: ignore[arg-type]
        return out


def _shaped(weights: dict[str, np.ndarray], network: Network) -> dict[str, np.ndarray]:
    """Give weights the shapes of the network: files hold scalars as arrays of one number."""
    return {name: weights[name].reshape(value.shape) for name, value in network.state_dict().items()}


def _place(part: Network) -> Tensor | None:
    if isinstance(part.readout, Masked):
        masks = part.readout.masks().abs()
        flat = masks.flatten(1).argmax(1)
        return torch.stack([flat // masks.shape[2], flat % masks.shape[2]], dim=1).double()
    if isinstance(part.readout, Point):
        extent = torch.tensor([part.core.maps[1] - 1, part.core.maps[2] - 1])
        return ((part.readout.position.clamp(-1, 1) + 1) / 2 * extent).double()
    return None


def _filters(part: Network) -> Tensor | None:
    if part.settings.core.linear and isinstance(part.readout, Masked):
        return part.filters()
    if not len(part.core.layers) and isinstance(part.readout, Dense):
        return part.readout.weight * part.unit[:, None, None, None]
    return None
