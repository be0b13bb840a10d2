"""The features of a long recording by several jobs: what each of them must know of the whole."""

import xarray as xr

from pellucid import parts
from pellucid.systems.deepinsight.features.extract import plan
from pellucid.systems.deepinsight.features.settings import Settings


def part(recording: xr.DataTree, settings: Settings) -> tuple[xr.DataTree, parts.Blocks]:
    """Return `/features` complete but for power, and the function that gives rows [start, stop) of power.

    Raises MissingError or DataError naming the variable.
    """
    planned = plan(recording, settings)
    return planned.template, planned.blocks
