"""The raw files of a simulated recording; training images come first, then test images.

arrays   images.npy (image[, feature], height, width); responses.npy (repeat, image, neuron), NaN where an image was not
         shown that often; set.npy (image,) "train" or "test"; row.npy, column.npy (neuron,) centre of each neuron's
         receptive field in pixels of an image, as a mapping experiment would give it
antolik  the layout of the public mouse V1 recordings (Antolik et al. 2016): Data/region1/training_inputs.npy and
         validation_inputs.npy (image, pixel), 256 grey levels from 0 to 2.55e-4; training_set.npy (image, neuron);
         raw_validation_set.npy (repeat, image, neuron) and its mean over repeats, validation_set.npy. "validation" is
         the test set. A grey level is 1/40 of the images' standard deviation and 128 their mean; neurons respond to the
         images as they are in the file.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import store
from pellucid.readers import numpy as npy
from pellucid.systems.whatwhere.simulate.scenarios import Row

REGION = Path("Data") / "region1"
GREY_STEP = 1e-6
MEAN_GREY = 128
GREYS_PER_SD = 40

README = """Simulated responses in the layout of the public mouse V1 recordings of Antolik et al. 2016.

training_inputs     image x pixel (row-major square), 256 grey levels from 0 to 2.55e-4
training_set        image x neuron, single presentations
validation_inputs   test images: image x pixel
validation_set      test images: image x neuron, mean over repeats
raw_validation_set  test images: repeat x image x neuron
"""

Blocks = Iterable[np.ndarray]


def write_images(folder: Path, row: Row, train: Blocks, test: Blocks) -> Iterator[np.ndarray]:
    """Write blocks of images as they come, and yield each as the neurons are to see it.

    train, test  blocks of images (image[, feature], height, width)
    """
    if row.layout == "antolik":
        yield from _grey(folder / REGION / "training_inputs.npy", row.images, row, train)
        yield from _grey(folder / REGION / "validation_inputs.npy", row.test_images, row, test)
        return
    planes = (row.colours,) if row.colours > 1 else ()
    shape = (row.images + row.test_images, *planes, *row.size_px)
    with _array(folder / "images.npy", shape, np.float32) as file:
        for start, block in _placed(chain(train, test)):
            file[start : start + len(block)] = block
            yield block


def write_responses(folder: Path, row: Row, centre: np.ndarray, train: Blocks, test: Blocks) -> None:
    """Write blocks of responses, and what describes them.

    centre       (neuron, 2) row and column of the receptive fields, px
    train, test  blocks of responses (repeat, image, neuron)
    """
    if row.layout == "antolik":
        _antolik_responses(folder, row, train, test)
        return
    total = row.images + row.test_images
    with _array(folder / "responses.npy", (row.repeats, total, row.neurons), np.float32) as file:
        for start, block in _placed(train, axis=1):
            file[0, start : start + block.shape[1]] = block[0]
            file[1:, start : start + block.shape[1]] = np.nan
        for start, block in _placed(test, row.images, axis=1):
            file[:, start : start + block.shape[1]] = block
    sets = np.repeat(["train", "test"], [row.images, row.test_images])
    npy.write(folder, {"set": sets, "row": centre[:, 0].astype(float), "column": centre[:, 1].astype(float)})


def _antolik_responses(folder: Path, row: Row, train: Blocks, test: Blocks) -> None:
    raw = np.concatenate(list(test), axis=1)
    responses = {
        "training_set": np.concatenate(list(train), axis=1)[0],
        "raw_validation_set": raw,
        "validation_set": raw.mean(axis=0),
    }
    npy.write(folder / REGION, responses)
    (folder / "Data" / "README").write_text(README)


def _grey(path: Path, images: int, row: Row, blocks: Blocks) -> Iterator[np.ndarray]:
    """Write flattened images in 256 grey levels, and yield what the levels stand for."""
    with _array(path, (images, row.size_px[0] * row.size_px[1]), np.float64) as file:
        for start, block in _placed(blocks):
            grey = np.clip(np.round(MEAN_GREY + GREYS_PER_SD * block.astype(float)), 0, 255)
            file[start : start + len(block)] = grey.reshape(len(block), -1) * GREY_STEP
            yield (grey - MEAN_GREY) / GREYS_PER_SD


def _placed(blocks: Blocks, start: int = 0, axis: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Yield blocks with the number of images before each."""
    for block in blocks:
        yield start, block
        start += block.shape[axis]


@contextmanager
def _array(path: Path, shape: tuple[int, ...], dtype: Any) -> Iterator[np.ndarray]:  # noqa: ANN401 - a numpy type
    """Give a .npy file to be filled in place of an array in memory."""
    with store.atomic_file(path) as partial:
        file = np.lib.format.open_memmap(partial, "w+", dtype, shape)
        yield file
        file.flush()
