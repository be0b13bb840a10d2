"""The recurrent cell of the released ROI decoder: the GRU of Keras 2, and its weights from a file.

torch's GRU is another cell: it resets after the recurrent product, has two biases and a logistic sigmoid.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pellucid import store
from pellucid.errors import DataError, MissingError

GATES = 3
SLOPE = 6 / 5
"""Factor from Keras's hard sigmoid, clip(x / 5 + 1/2, 0, 1), to torch's, clip(x / 6 + 1/2, 0, 1)."""


class KerasGRU(nn.Module):
    """GRU with the reset gate before the recurrent product, one bias and a hard sigmoid (Keras 2, `reset_after=False`).

    z = s(x W_z + h U_z + b_z),  r = s(x W_r + h U_r + b_r),  c = tanh(x W_h + (r h) U_h + b_h),
    h <- z h + (1 - z) c,  s(x) = clip(x / 5 + 1/2, 0, 1); gates in the order z, r, h.
    """

    def __init__(self, inputs: int, units: int) -> None:
        """Draw kernels from Glorot's uniform distribution, recurrent kernels orthogonal; biases 0."""
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(inputs, GATES * units))
        self.recurrent_kernel = nn.Parameter(torch.empty(units, GATES * units))
        self.bias = nn.Parameter(torch.zeros(GATES * units))
        nn.init.xavier_uniform_(self.kernel)
        nn.init.orthogonal_(self.recurrent_kernel)

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows (window, lag, roi) to the last state (window, unit).

        Gates and candidate have products of their own: cutting one product in two costs a copy per step backwards.
        """
        units = self.recurrent_kernel.shape[0]
        steps = windows.transpose(0, 1).contiguous()
        update, reset = self.recurrent_kernel[:, :-units] * SLOPE, self.recurrent_kernel[:, -units:]
        gates = functional.linear(steps, self.kernel[:, :-units].T * SLOPE, self.bias[:-units] * SLOPE)
        candidates = functional.linear(steps, self.kernel[:, -units:].T, self.bias[-units:])
        state = windows.new_zeros(len(windows), units)
        for gate, candidate in zip(gates.unbind(0), candidates.unbind(0)):
            z, r = functional.hardsigmoid(torch.addmm(gate, state, update)).chunk(2, dim=1)
            state = torch.lerp(torch.tanh(torch.addmm(candidate, r * state, reset)), state, z)
        return state


def released(path: Path, sha256: str, inputs: int, units: int) -> dict[str, np.ndarray]:
    """Return the weights of a Keras 2 HDF5 file with one GRU and one dense unit, by the names of our decoder.

    path            file written by Keras's `save` or `save_weights`
    sha256          of the file
    inputs, units   number of ROIs and of units
    Raises MissingError for a file that is not there; DataError for another checksum, or weights of other shapes.
    """
    import h5py

    if not path.is_file():
        raise MissingError(str(path), expected="released weights", found="nothing", remedy="Put the file there.")
    if store.file_digest(path) != sha256:
        raise DataError(
            str(path), expected=f"sha256 {sha256}", found=store.file_digest(path), remedy="Fetch the file again."
        )
    found: dict[str, np.ndarray] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and "optimizer_weights" not in name:
            kind = name.rsplit("/", 1)[-1].split(":")[0]
            layer = "rnn" if any(part.lower().startswith("gru") for part in name.split("/")) else "dense"
            found[f"{layer}.{kind}"] = node[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise DataError(
            str(path), expected="a Keras HDF5 file", found=f"{error}"[:120], remedy="Fetch the file again."
        ) from error
    shapes = {
        "rnn.kernel": (inputs, GATES * units),
        "rnn.recurrent_kernel": (units, GATES * units),
        "rnn.bias": (GATES * units,),
        "dense.kernel": (units, 1),
        "dense.bias": (1,),
    }
    given = {name: array.shape for name, array in found.items()}
    if given != shapes:
        raise DataError(
            str(path), expected=f"weights {shapes}", found=f"{given}", remedy="Set `units`, or use another file."
        )
    return {
        "rnn.kernel": found["rnn.kernel"],
        "rnn.recurrent_kernel": found["rnn.recurrent_kernel"],
        "rnn.bias": found["rnn.bias"],
        "head.weight": found["dense.kernel"].T,
        "head.bias": found["dense.bias"],
    }
