"""Mouse V1 of Antolik et al. 2016: static images and responses of one imaged region, five .npy files or their zip.

Below `region1`, `region2` or `region3`: training_inputs (image, pixel), training_set (image, neuron), each shown once;
validation_inputs, raw_validation_set (repeat, image, neuron) and its mean validation_set. "Validation" is the test set.
"""

import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pellucid.errors import DataError, MissingError
from pellucid.readers import layout
from pellucid.readers.assemble import assemble
from pellucid.settings import Block

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

FILES = ("training_inputs", "training_set", "validation_inputs", "raw_validation_set", "validation_set")
"""The arrays of a region; each is a file NAME.npy."""

_DAMAGE = (
    *(ValueError, TypeError, KeyError, EOFError, OSError, NotImplementedError, SyntaxError, MemoryError, RuntimeError),
    *(OverflowError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What NumPy and zipfile raise over damaged files; a RuntimeError is an encrypted archive."""

_MEAN_OFF = 1e-9
"""Largest difference between the published mean over repeats and the mean of the repeats."""


class Settings(Block):
    """Which region is read."""

    region: Literal[1, 2, 3] = Field(description="1 and 2 are of one animal, 3 is of another")


def select(files: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the five files of the region, in the order of FILES, or the one archive. Raises MissingError for any."""
    wanted = [(f"region{settings.region}", f"{name}.npy") for name in FILES]
    matching = {tail: [path for path in files if path.parts[-2:] == tail and path.is_file()] for tail in wanted}
    if not any(matching.values()):
        archives = [path for path in files if path.suffix.lower() == ".zip"]
        if not archives:
            raise MissingError(
                layout.where(files) if files else "raw files",
                expected=f"{'/'.join(wanted[0])} and the other files of the region, or one .zip that holds them",
                found="neither",
                remedy="Correct `raw` or `options.region`.",
            )
        return [layout.single(archives, ".zip", remedy="Name one of them in `raw`, or the folder with its files.")]
    for tail, found in matching.items():
        if len(found) != 1:
            raise MissingError(
                "/".join(tail),
                expected="one such file",
                found=f"{len(found)} among {len(files)} files",
                remedy="Unpack the archive again, or name it in `raw` instead of its files.",
            )
    return [found[0] for found in matching.values()]


def read(files: Sequence[Path], settings: Settings) -> "xr.DataTree":
    """Return a region as a recording without its identity; nothing is unpacked to disk or unpickled.

    files     see `select`
    settings  see Settings
    Gives /stimulus: images (image, height, width) float32 and set (image), first "train", then "test"; /responses:
    responses (repeat, image, neuron), a training image in the first repeat only, NaN in the others.
    Raises DataError: damage, shapes that do not fit, or a published mean that is not the mean of the repeats.
    """
    import numpy as np

    paths = select(files, settings)
    where = f"{layout.where(paths)}, region{settings.region}"
    arrays = _archive(paths[0], settings.region) if paths[0].suffix.lower() == ".zip" else _folder(paths)
    _check(arrays, where)
    images = np.concatenate([arrays["training_inputs"], arrays["validation_inputs"]])
    side = round(images.shape[1] ** 0.5)
    trained, repeats = arrays["training_set"], arrays["raw_validation_set"]
    single = np.full((len(repeats), *trained.shape), np.nan, np.result_type(trained, repeats))
    single[0] = trained
    sources = {
        "images": images.reshape(-1, side, side).astype("float32"),
        "set": np.repeat(np.array(["train", "test"], object), [len(trained), repeats.shape[1]]),
        "responses": np.concatenate([single, repeats], axis=1),
    }
    return assemble(sources, _groups(settings.region, trained.shape[1]), where)


def write(
    path: Path, region: int, training: "tuple[np.ndarray, np.ndarray]", test: "tuple[np.ndarray, np.ndarray]"
) -> None:
    """Write a region as the five files below path/Data, or into one archive; equal values give equal bytes.

    path      a folder, or a name ending in .zip
    training  images (image, height, width) and responses (image, neuron)
    test      images (image, height, width) and responses (repeat, image, neuron)
    """
    import io

    import numpy as np

    from pellucid import store

    inputs = [images.reshape(len(images), -1) for images, _ in (training, test)]
    arrays = dict(zip(FILES, (inputs[0], training[1], inputs[1], test[1], test[1].mean(axis=0)), strict=True))
    contents = {}
    for name, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        contents[f"Data/region{region}/{name}.npy"] = content.getvalue()
    if path.suffix != ".zip":
        for name, data in contents.items():
            with store.atomic_file(path / name) as partial:
                partial.write_bytes(data)
        return
    with store.atomic_file(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def _groups(region: int, neurons: int) -> dict[str, layout.Group]:
    names = [f"region{region}_{index}" for index in range(neurons)]
    groups = {
        "stimulus": {"variables": {"images": {"dims": ["image", "height", "width"]}, "set": {"dims": ["image"]}}},
        "responses": {
            "variables": {"responses": {"dims": ["repeat", "image", "neuron"]}},
            "coordinates": {"neuron": {"values": names}},
        },
    }
    return {name: layout.Group.model_validate(group) for name, group in groups.items()}


def _folder(paths: Sequence[Path]) -> "dict[str, np.ndarray]":
    import numpy as np

    arrays = {}
    for path in paths:
        try:
            arrays[path.stem] = np.load(path, mmap_mode="r", allow_pickle=False)
        except _DAMAGE as error:
            raise _damaged(str(path), error) from error
    return arrays


def _archive(path: Path, region: int) -> "dict[str, np.ndarray]":
    """Return the arrays of one region of an archive. Raises MissingError for a member that is not there once."""
    import numpy as np

    arrays = {}
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            for name in FILES:
                tail = (f"region{region}", f"{name}.npy")
                found = [info for info in archive.infolist() if PurePosixPath(info.filename).parts[-2:] == tail]
                if len(found) != 1:
                    raise MissingError(
                        f"{path}, {'/'.join(tail)}",
                        expected="one such file in the archive",
                        found=f"{len(found)} among {len(archive.infolist())}",
                        remedy="Correct `options.region`, or download the archive again.",
                    )
                with archive.open(found[0]) as member:
                    arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
                    if member.read():  # to the end, where the checksum is compared
                        raise ValueError(f"more bytes in {found[0].filename} than its array has")
    except MissingError:
        raise
    except _DAMAGE as error:
        raise _damaged(str(path), error) from error
    return arrays


def _check(arrays: "Mapping[str, np.ndarray]", where: str) -> None:
    """Raise DataError if the arrays of a region do not fit each other."""
    import numpy as np

    for name, array in arrays.items():
        axes = 3 if name.startswith("raw") else 2
        if array.ndim != axes or array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
            said = f"{array.dtype} of shape {array.shape}"
            raise _wrong(f"{where}, {name}", f"finite floating-point numbers along {axes} axes", said)
    trained, mean = arrays["training_set"], arrays["validation_set"]
    pixels, repeats = arrays["training_inputs"].shape[1], arrays["raw_validation_set"]
    if round(pixels**0.5) ** 2 != pixels:
        raise _wrong(f"{where}, training_inputs", "images of a square number of pixels", f"{pixels} pixels")
    wanted = {
        "training_inputs": (len(trained), pixels),
        "raw_validation_set": (*repeats.shape[:2], trained.shape[1]),
        "validation_inputs": (repeats.shape[1], pixels),
        "validation_set": (repeats.shape[1], trained.shape[1]),
    }
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise _wrong(f"{where}, {name}", f"shape {shape}, as the other files have", f"{arrays[name].shape}")
    off = float(np.abs(repeats.mean(axis=0, dtype=np.float64) - mean).max())
    rounding = 4 * len(repeats) * float(np.finfo(mean.dtype).eps) * float(np.abs(repeats).max())
    if off > max(_MEAN_OFF, rounding):
        raise _wrong(f"{where}, validation_set", "the mean of raw_validation_set over repeats", f"{off:g} off")


def _wrong(where: str, expected: str, found: str) -> DataError:
    return DataError(where, expected=expected, found=found, remedy="Take all five files from one copy of the data.")


def _damaged(where: str, error: Exception) -> DataError:
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return _wrong(where, "arrays of numbers", "pickled Python objects, which could run any code when read")
    return DataError(
        where,
        expected="a whole file",
        found=f"a damaged or truncated one ({error})",
        remedy="Download or unpack the data again.",
    )
