"""Which sources each stage depends on: one table for the rules, the checkpoints and, by a test, dvc.yaml.

The modules every stage uses (errors, settings, schema, store, parts, artifacts, config, the registries) are left out on
purpose: they say how things are written, not what; a change of format goes with a new version of the package.
"""

import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent.parent

SOURCES: dict[str, tuple[str, ...]] = {
    "simulate": ("stages/simulate.py", "readers", "preprocess/behaviour.py", "systems/{system}/simulate"),
    "fetch": ("stages/fetch.py",),
    "convert": (
        "stages/convert.py",
        "readers/layout.py",
        "readers/assemble.py",
        "readers/matlab73.py",
        "readers/matfile.py",
        "readers/csv.py",
        "readers/tiff_movie.py",
        "readers/hdf5.py",
        "readers/recorded_cells.py",
        "readers/clocks.py",
        "readers/sorted_units.py",
        "readers/axona_files.py",
        "readers/axona_write.py",
        "readers/nwb_series.py",
        "readers/nwb_session.py",
        "readers/nwb_write.py",
        "readers/hdf5_write.py",
        "readers/{reader}.py",
    ),
    "preprocess": ("stages/preprocess.py", "preprocess", "systems/{system}/features"),
    "fit": ("stages/fit.py", "learning", "preprocess/behaviour.py", "systems/{system}/model"),
    "evaluate": ("stages/evaluate.py", "learning", "preprocess/behaviour.py", "systems/{system}/model"),
    "attribute": (
        "stages/attribute.py",
        "attribution",
        "learning",
        "preprocess/behaviour.py",
        "systems/{system}/model",
        "systems/{system}/attribute",
    ),
    "figures": (
        "stages/figures.py",
        "stages/html.py",
        "plotting",
        "preprocess/behaviour.py",
        "systems/{system}/figures",
    ),
    "report": ("stages/report.py", "stages/html.py"),
}
"""Stage -> files and folders below the package, with {system} or {reader} to fill in."""


def paths(stage: str, **names: str) -> list[str]:
    """Return the sources of a stage below the package, for a system or a reader."""
    return [source.format(**names) for source in SOURCES[stage]]


def digest(stage: str, *, package: Path = PACKAGE, **names: str) -> str:
    """Return a sha256 over the names and bytes of a stage's sources; a source that does not exist counts as empty."""
    return _digest(package, tuple(paths(stage, **names)))


@functools.cache
def _digest(package: Path, sources: tuple[str, ...]) -> str:
    total = hashlib.sha256()
    for source in sources:
        for path in _files(package / source):
            total.update(f"{path.relative_to(package).as_posix()} ".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _files(path: Path) -> list[Path]:
    found = [path] if path.is_file() else path.rglob("*")
    return sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts)
