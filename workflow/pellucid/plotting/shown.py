"""What drawing the figures of every system has in common."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from pellucid.artifacts import Results
from pellucid.errors import DataError
from pellucid.settings import Block

Options = TypeVar("Options", bound=Block)


def draw_all(
    figures: Sequence[Callable[[Results, Options, Path], None]], results: Results, settings: Options, folder: Path
) -> None:
    """Draw figures into a folder, one after the other."""
    for one in tqdm(figures, desc="figures", disable=None):
        one(results, settings, folder)


def check_model(results: Results, model: str) -> None:
    """Raise DataError unless the model that figures show was fitted and is the one that was attributed."""
    fitted = list(dict.fromkeys(fit.model for fit in results.fits))
    if model not in fitted:
        raise DataError(
            f"{results.analysis}, figures.model",
            expected=f"one of the fitted models {', '.join(fitted)}",
            found=repr(model),
            remedy="Correct `model` in the block `figures`.",
        )
    explained = results.attribution.attrs.get("model", model)
    if explained != model:
        raise DataError(
            f"{results.analysis}, figures.model",
            expected=f"{explained!r}, the model that was attributed",
            found=repr(model),
            remedy="Give the blocks `attribute` and `figures` the same `model`.",
        )
