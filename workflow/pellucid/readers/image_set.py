"""Static images as numbered PNG files or packed in one .npz, and one .npy file of responses for each neuron.

Row i of every response file belongs to image i, counted in order of the files' numbers.
"""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from pellucid.errors import DataError, MissingError
from pellucid.readers import layout
from pellucid.readers.assemble import assemble
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

_DAMAGE = (
    *(ValueError, TypeError, KeyError, EOFError, OSError, NotImplementedError, SyntaxError, MemoryError, RuntimeError),
    *(OverflowError, IndexError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, struct.error),
)
"""What NumPy, zipfile and Pillow raise over damaged files."""


class Settings(Block):
    """Which files hold the images and the responses, and what the grey levels mean."""

    images: str = Field(
        "images",
        description="name of the folder that holds the PNG files (1.png, 2.png, ...), or, without its ending, of the "
        ".npz file; * stands for any text",
    )
    variable: str = Field("images", description="array of the .npz file: (image, height, width) uint8")
    first: int = Field(1, ge=0, description="number of the first PNG file")
    binary: bool = Field(False, description="images have two grey levels, 0 and 255 or 0 and 1: stored as 0 and 1")
    responses: str = Field("*", description="names of the .npy files of responses, without their ending; * as above")
    neurons: dict[str, str] = Field(
        default={}, description="name of a response file without its ending -> id; those left out keep their name"
    )
    units: str = Field("1", description="units of the responses")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the images, in order, then the responses in order of name. Raises MissingError or DataError."""
    packed = [path for path in files if path.suffix == ".npz" and fnmatch(path.stem, settings.images)]
    loose = [path for path in files if path.suffix.lower() == ".png" and fnmatch(path.parent.name, settings.images)]
    where = f"images {settings.images!r}"
    if bool(packed) == bool(loose) or len(packed) > 1:
        kind = MissingError if not packed else DataError
        raise kind(
            where,
            expected="one .npz file, or one folder of PNG files, of this name",
            found=f"{len(packed)} and {len(loose)} files" if packed or loose else "neither",
            remedy="Correct `raw` or `options.images`.",
        )
    responses = [path for path in files if path.suffix == ".npy" and fnmatch(path.stem, settings.responses)]
    found = layout.select(responses, (".npy",))
    _check_ids(found, settings)
    return [*(packed or _in_order(loose, settings.first)), *found]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return images and responses as a recording without its identity; nothing is unpickled.

    files     see `select`
    settings  see Settings
    Gives /stimulus: images (image, height, width) uint8, attribute `white` the largest grey level; /responses:
    responses (repeat, image, neuron) with one repeat. Both forms of images give equal arrays.
    Raises DataError: damage, colour, images of different sizes, other grey levels, or lengths that differ.
    """
    import numpy as np

    paths = select(files, settings)
    answers = [path for path in paths if path.suffix == ".npy"]
    pictures = paths[: len(paths) - len(answers)]
    images = _packed(pictures[0], settings.variable) if pictures[0].suffix == ".npz" else _decoded(pictures)
    if settings.binary:
        images = _two_levels(images, layout.where(pictures))
    responses = np.stack([_response(path, len(images)) for path in answers], axis=-1)[None]
    names = [settings.neurons.get(path.stem, path.stem) for path in answers]
    tree = assemble({"images": images, "responses": responses}, _groups(names, settings), layout.where(paths))
    tree["stimulus"]["images"].attrs["white"] = 1 if settings.binary else 255
    return tree


def write(
    folder: Path, images: "np.ndarray", responses: "Mapping[str, np.ndarray]", *, name: str = "images", packed: bool
) -> None:
    """Write images and responses; equal values give equal bytes.

    images     (image, height, width) uint8
    responses  name of a file without its ending -> (image,)
    name       of the folder of PNG files, numbered from 1, or of the .npz file
    packed     whether the images are one file
    """
    import numpy as np
    from PIL import Image

    from pellucid import store

    if packed:
        with store.atomic_file(folder / f"{name}.npz") as partial, partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, images=images)
    else:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images, start=1):
            Image.fromarray(image).save(folder / name / f"{number}.png")
    for stem, values in responses.items():
        with store.atomic_file(folder / f"{stem}.npy") as partial, partial.open("wb") as file:
            np.save(file, values, allow_pickle=False)


def _in_order(files: Sequence[Path], first: int) -> list[Path]:
    """Return PNG files in order of their numbers. Raises DataError for other names, twice a number, or a gap."""
    parent = sorted({path.parent for path in files})
    named = [path for path in files if not (path.stem.isascii() and path.stem.isdigit())]
    if named or len(parent) > 1:
        said = f"{named[0].name}" if named else f"the folders {parent[0]} and {parent[1]}"
        raise _wrong(str(parent[0]), "one folder of PNG files named by number", said)
    found = sorted(files, key=lambda path: int(path.stem))
    for wanted, path in enumerate(found, start=first):
        if int(path.stem) != wanted:
            raise _wrong(str(parent[0]), f"image {wanted}, since there are {len(found)} from {first} on", path.name)
    return found


def _decoded(paths: Sequence[Path]) -> "np.ndarray":
    """Return grey PNG files as one array, (image, height, width) uint8."""
    import numpy as np
    from tqdm import tqdm

    first = _png(paths[0])
    images = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(tqdm(paths, desc="images", unit="image", disable=None)):
        image = _png(path)
        if image.shape != first.shape:
            raise _wrong(str(path), f"height and width {first.shape}, as {paths[0].name} has", f"{image.shape}")
        images[index] = image
    return images


def _png(path: Path) -> "np.ndarray":
    """Return one grey PNG file, (height, width) uint8; 0 and 255 for one of 1 bit."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode in ("1", "L"):
                return np.array(image.convert("L"))
            wide = image.mode.startswith(("I", "F"))
            planes = np.zeros((1, 1, 4)) if wide else np.array(image.convert("RGBA"))
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from error
    if wide or (planes[..., :3] != planes[..., :1]).any() or (planes[..., 3] != 255).any():
        raise _wrong(str(path), "grey pixels of at most 8 bits, none transparent", f"mode {image.mode}")
    return np.ascontiguousarray(planes[..., 0])


def _packed(path: Path, variable: str) -> "np.ndarray":
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            images = archive[variable] if variable in names else None
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if images is None:
        raise _wrong(str(path), f"an array {variable!r}", ", ".join(names) or "none")
    if images.ndim != 3 or images.dtype != np.uint8 or not images.size:
        raise _wrong(f"{path}, {variable}", "uint8 along 3 axes", f"{images.dtype} of shape {images.shape}")
    return np.asarray(images)


def _two_levels(images: "np.ndarray", where: str) -> "np.ndarray":
    """Return images of the grey levels 0 and 255, or 0 and 1, as 0 and 1. Raises DataError for any other."""
    import numpy as np

    seen = np.zeros(256, bool)
    for image in images:
        seen[image] = True
    levels = np.flatnonzero(seen).tolist()
    if not (set(levels) <= {0, 255} or set(levels) <= {0, 1}):
        raise _wrong(where, "the grey levels 0 and 255, or 0 and 1", ", ".join(map(str, levels[:8])))
    return (images > 0).astype(np.uint8)


def _response(path: Path, count: int) -> "np.ndarray":
    """Return the responses of one neuron, shape (image,)."""
    import numpy as np

    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    if values.dtype.kind not in "iuf" or values.shape not in ((count,), (count, 1)):
        raise _wrong(str(path), f"one number for each of {count} images", f"{values.dtype} of shape {values.shape}")
    return np.asarray(values, np.float64).reshape(count)


def _groups(names: list[str], settings: Settings) -> dict[str, layout.Group]:
    groups = {
        "stimulus": {"variables": {"images": {"dims": ["image", "height", "width"]}}},
        "responses": {
            "variables": {"responses": {"dims": ["repeat", "image", "neuron"], "units": settings.units}},
            "coordinates": {"neuron": {"values": names}},
        },
    }
    return {name: layout.Group.model_validate(group) for name, group in groups.items()}


def _check_ids(responses: Sequence[Path], settings: Settings) -> None:
    """Raise DataError for names of files that are not there, or ids given twice."""
    stems = [path.stem for path in responses]
    unknown = sorted(set(settings.neurons) - set(stems))
    if unknown:
        raise _wrong("options.neurons", f"names among {', '.join(stems[:12])}", ", ".join(unknown))
    ids = [settings.neurons.get(stem, stem) for stem in stems]
    if len(set(ids)) != len(ids):
        raise _wrong("options.neurons", "an id of its own for every neuron", ", ".join(sorted(ids)))


def _wrong(where: str, expected: str, found: str) -> DataError:
    return DataError(where, expected=expected, found=found, remedy="Correct the files or the options of the reader.")


def _damaged(path: Path, error: Exception) -> DataError:
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return _wrong(str(path), "arrays of numbers", "pickled Python objects, which could run any code when read")
    return DataError(
        str(path),
        expected="a whole file",
        found=f"a damaged or truncated one ({error})",
        remedy="Copy or fetch the file again.",
    )
