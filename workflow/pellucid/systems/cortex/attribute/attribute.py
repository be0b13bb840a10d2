"""Which ROIs, lags and pixels a decoder of behavioural state relies on, with nulls, checks and controls.

Ajioka et al. 2024: additive attributions of a recurrent decoder of ROI traces (Fig. 6), and occlusion of a decoder of
the movie. Attribution says what the joint model uses, not how a ROI is tuned: single traces stand beside it.
"""

import json
from collections.abc import Mapping, Sequence

import xarray as xr

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.cortex.attribute import headline, movies, recovery, traces
from pellucid.systems.cortex.attribute.grid import Grid, grid
from pellucid.systems.cortex.attribute.settings import Settings


def attribute(
    features: Features, fits: Sequence[Fit], settings: Settings, truth: Mapping[str, xr.DataTree]
) -> xr.DataTree:
    """Return the groups of pellucid.systems.cortex.attribute.traces and movies, for a model of either kind or of both.

    truth  simulated truth by the name of its raw folder, against which importance and maps are scored
    Raises DataError if a model of the settings is not among the fits, or sees another kind of input.
    """
    known = recovery.known(truth)
    shown = grid(fits, settings.model)
    film = shown if shown.of_movie else None
    if settings.movie_model is not None:
        film = grid(fits, settings.movie_model, where="attribute.movie_model", of_movie=True)
    groups: dict[str, xr.Dataset] = {}
    if not shown.of_movie:
        _check_traces(features, shown)
        null = settings.null_model
        named = None if null is None else grid(fits, null, where="attribute.null_model", of_movie=False)
        groups |= traces.groups(features, shown, named, settings, known)
    if film is not None:
        groups |= movies.groups(features, film, settings, known)
    attrs = {
        "headline": json.dumps(headline.rows(groups, settings)),
        "model": settings.model,
        "warning": headline.warning(groups, settings),
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **groups})


def _check_traces(features: Features, shown: Grid) -> None:
    """Raise DataError for a linear model of the pixels of a movie, which have no names or places as ROIs do."""
    if features.first(shown.input).attrs["kind"] == "movie":
        raise DataError(
            f"attribute.model: {shown.model}",
            expected="a model of traces, or a CNN of a movie",
            found=f"a linear one of the pixels of {shown.input}",
            remedy="Name another model, or read parcels of the movie as traces.",
        )
