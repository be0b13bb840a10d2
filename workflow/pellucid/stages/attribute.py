"""What the trained networks rely on, with the method's own error, a null and a faithfulness check."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid import config, store, systems


def attribute(
    system: str, params: Mapping[str, Any], features: Path, fits: Path, output: Path, truth: Sequence[Path] = ()
) -> None:
    """Attribute the fits of an analysis to their inputs.

    system    whose attribution
    params    the block `attribute` of the analysis
    features  features.json
    fits      fits.json
    output    store, replaced as a whole
    truth     folders data/raw/NAME; attributions of simulated recordings are scored against their truth.zarr
    """
    from pellucid.artifacts import Features, load_fits, open_truth

    settings = config.parse(systems.settings(system, "attribute"), params, "attribute")
    tree = systems.entry(system, "attribute.attribute")(
        Features.load(features), load_fits(fits), settings, open_truth(truth)
    )
    store.write(output, tree)
