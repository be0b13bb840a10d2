"""Long signals written into HDF5 files block by block."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pellucid.readers.hdf5 import Node, wrong

if TYPE_CHECKING:
    import numpy as np

CHUNK_BYTES = 1 << 20


def chunks(samples: int, channels: int) -> tuple[int, int]:
    """Return the shape of the chunks of an int16 signal of (samples, channels), about 1 MiB."""
    return max(1, min(samples, CHUNK_BYTES // (2 * channels))), channels


def fill(dataset: Node, blocks: "Iterable[np.ndarray]", label: str) -> None:
    """Write blocks of rows into a dataset of h5py. Raises DataError unless they are as many as it has."""
    done = 0
    for block in blocks:
        if block.shape[1:] != dataset.shape[1:] or done + len(block) > dataset.shape[0]:
            found = f"a block of shape {block.shape} after {done} rows"
            raise wrong(label, f"blocks that make shape {dataset.shape}", found, "Correct the blocks.")
        dataset[done : done + len(block)] = block
        done += len(block)
    if done < dataset.shape[0]:
        raise wrong(label, f"{dataset.shape[0]} rows", f"{done}", "Correct the blocks.")
