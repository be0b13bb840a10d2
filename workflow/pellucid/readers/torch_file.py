"""Files of torch.save that hold dicts of tensors: loaded as weights only, so that no code in them can run.

A tensor of an inner dict is named `a.b`.
"""

import io
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import DataError
from pellucid.readers import layout
from pellucid.readers.assemble import assemble

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_DAMAGE = (
    *(RuntimeError, EOFError, OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError),
    *(OverflowError, MemoryError, NotImplementedError, ImportError),
)
"""What torch raises over damaged files."""


class Settings(layout.Layout):
    """Which tensors of the files become which arrays."""


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the files that `read` will use. Raises MissingError if there is none."""
    return layout.select(files, (".pt", ".pth"))


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a recording without its identity.

    files     .pt and .pth files; of several, tensors are named `stem/name`
    settings  their layout
    Raises DataError for a damaged file, for anything but a dict of tensors, or for objects that could run code.
    """
    files = select(files, settings)
    parts = {path.stem: _tensors(path) for path in files}
    return assemble(layout.Sources(parts), settings.groups, layout.where(files))


def write(path: Path, arrays: "Mapping[str, np.ndarray]") -> None:
    """Write arrays as a dict of tensors; equal arrays give equal bytes.

    path    the file, ending in .pt
    arrays  name -> numbers
    """
    import numpy as np
    import torch

    from pellucid import store

    content = io.BytesIO()  # a file would be named inside itself
    torch.save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, content)
    with store.atomic_file(path) as partial:
        partial.write_bytes(content.getvalue())


def _tensors(path: Path) -> "dict[str, np.ndarray]":
    import torch

    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        raise DataError(
            str(path),
            expected="a dict of tensors",
            found=f"objects that could run any code when read, or a damaged file ({str(error).splitlines()[0]})",
            remedy="Save it again with torch.save as a dict that holds tensors only.",
        ) from error
    except _DAMAGE as error:
        raise DataError(
            str(path),
            expected="a whole file of torch.save",
            found=f"a damaged or truncated one ({error})",
            remedy="Copy or make the file again.",
        ) from error
    found = dict(_named(content, ""))
    if not found:
        raise DataError(
            str(path),
            expected="a dict of tensors",
            found=f"{type(content).__name__} without any",
            remedy="Save it again with torch.save as a dict that holds tensors only.",
        )
    return found


def _named(content: Any, prefix: str) -> "Iterator[tuple[str, np.ndarray]]":  # noqa: ANN401 - what torch finds
    """Yield name and array of every tensor in a dict or in the dicts inside it."""
    import torch

    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{key}", _array(value, f"{prefix}{key}")
        else:
            yield from _named(value, f"{prefix}{key}.")


def _array(tensor: Any, name: str) -> "np.ndarray":  # noqa: ANN401 - a torch.Tensor
    try:
        array: np.ndarray = tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise DataError(
            f"tensor {name}",
            expected="a dense tensor of a type that NumPy has",
            found=f"{tensor.dtype}, {tensor.layout}",
            remedy="Convert it, with .to_dense() or .float(), and save it again.",
        ) from error
    return array
