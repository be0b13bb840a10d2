"""The losses of the four kinds of behaviour, per row and term, so that influence can be scored per output.

A term is one number per row whose mean is a loss: each dimension of a squared or absolute loss, or the whole target of
a Euclidean or cyclic one. Frey et al. 2021, Methods, and the released code (equation 8 is printed with pi for 2 pi).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.systems.deepinsight.model.settings import Output


@dataclass(frozen=True)
class Target:
    """One decoded variable: the columns of the behaviour it holds, and how its error is measured.

    kind  as the features describe it: circular (sin, cos), angle (radians), choice (-1 or +1), value ...
    """

    name: str
    labels: Sequence[str]
    columns: slice
    output: Output
    kind: str = "value"

    @property
    def size(self) -> int:
        """Number of dimensions."""
        return len(self.labels)

    @property
    def terms(self) -> Sequence[str]:
        """Names of the terms: one per dimension, or one for the whole target."""
        return [self.name] if self.output.loss in ("euclidean", "cyclic") else self.labels


def targets(names: Sequence[str], labels: Sequence[str], outputs: Mapping[str, Output]) -> list[Target]:
    """Group the columns of the behaviour by target.

    names, labels  target and label of each column, shape (output,)
    outputs        target -> loss and weight; one left out is squared with weight 1
    """
    found = []
    for name in dict.fromkeys(names):
        columns = [index for index, other in enumerate(names) if other == name]
        where = slice(columns[0], columns[-1] + 1)
        found.append(Target(name, [labels[i] for i in columns], where, outputs.get(name, Output())))
    return found


def terms(error: Tensor, loss: str) -> Tensor:
    """Return the terms of one target, shape (..., term).

    error  (..., dimension), prediction minus behaviour
    loss   squared e^2; absolute |e|; euclidean sqrt(sum e^2); cyclic min(|e|, |e + 2 pi|, |e - 2 pi|)
    """
    if loss == "squared":
        return error**2
    if loss == "absolute":
        return error.abs()
    if loss == "euclidean":
        norm: Tensor = torch.linalg.vector_norm(error, dim=-1, keepdim=True)
        return norm
    distances: Tensor = torch.stack([error, error + 2 * torch.pi, error - 2 * torch.pi]).abs()
    return distances.amin(0)


def row_terms(prediction: Tensor, behaviour: Tensor, found: Sequence[Target]) -> Tensor:
    """Return every term of every target, shape (row, term); prediction and behaviour are (row, output)."""
    error = prediction - behaviour
    return torch.cat([terms(error[..., target.columns], target.output.loss) for target in found], dim=-1)


def total(predictions: Mapping[str, Tensor], behaviour: Tensor, scored: Tensor, found: Sequence[Target]) -> Tensor:
    """Return sum_k w_k mean L_k over the scored output times of a batch.

    predictions  target -> (B, T', dimension)
    behaviour    (B, T', output)
    scored       (B, T'), 1 where the row counts
    """
    weight = scored / scored.sum().clamp(min=1)
    loss = behaviour.new_zeros(())
    for target in found:
        error = predictions[target.name] - behaviour[..., target.columns]
        loss = loss + target.output.weight * (terms(error, target.output.loss).mean(-1) * weight).sum()
    return loss
