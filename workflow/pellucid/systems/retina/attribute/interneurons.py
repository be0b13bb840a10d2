"""Recorded interneurons held against the hidden units of networks that never saw them.

Maheswaranathan et al. 2023: the interneuron's stimulus is shown to the network, and its potential correlated with every
unit. Nulls: potentials shifted in time, and networks with random weights, both with the same choice of the unit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from pellucid.artifacts import Features
from pellucid.errors import DataError
from pellucid.systems.retina.attribute.activity import activity, rows
from pellucid.systems.retina.attribute.matching import Match, Units
from pellucid.systems.retina.attribute.settings import Interneurons
from pellucid.systems.retina.model.network import Network
from pellucid.systems.retina.model.restore import Fitted

LAYERS = ("first", "second")
BRIGHTEST = 20.0
"""Contrast beyond which a movie cannot be in contrast units."""


@dataclass(frozen=True)
class Shown:
    """A recording of interneurons.

    movie      (time, height, width) standardised
    block      (time,) number of the continuous block of each frame
    potential  (time, neuron) in the unit of the file
    """

    name: str
    movie: np.ndarray
    block: np.ndarray
    potential: np.ndarray


@dataclass(frozen=True)
class Matched:
    """What one layer of one network says of all interneurons of a recording.

    map        (neuron, unit) correlation over all rows
    match      the chosen units with their scores
    shifted    (neuron, draw) scores of shifted potentials
    untrained  (neuron, draw) scores with random weights
    maps       features, height and width of the layer
    """

    map: np.ndarray
    match: Match
    shifted: np.ndarray
    untrained: np.ndarray
    maps: tuple[int, int, int]


def names(features: Features) -> list[str]:
    """Return the recordings of interneurons."""
    return [name for name, tree in features.stores.items() if "potential" in tree.children]


def group(
    features: Features,
    recording: str,
    fitted: Mapping[int, Fitted],
    labels: Mapping[int, Sequence[str]],
    settings: Interneurons,
    seed: int,
) -> xr.Dataset:
    """Return the match of one recording with the networks of all seeds.

    fitted  seed -> network; labels: seed -> label of each channel of the first layer
    seed    of shifts and random weights
    correlation (seed, neuron, feature, height, width) first layer, all rows; best_feature, best_row, best_column
    (seed, neuron) the unit chosen on the first half, r (seed, neuron) its score on the second, first_half that on the
    first, largest the largest correlation over all rows (published); null_shift, untrained (seed, neuron, output) the
    same score under either null. second_* are the same of the second layer. matches (JSON): one row each.
    Raises DataError if the recording's movie is not one the network can see.
    """
    found = {}
    for number, network in fitted.items():
        shown = show(features, recording, network, settings)
        generator = np.random.default_rng([seed, number])
        found[number] = _layers(network, shown, settings, generator)
    cells = [str(cell) for cell in features.group(recording, "potential")["neuron"].values]
    variables: dict[str, Any] = {}
    for depth, layer in enumerate(LAYERS[: min(map(len, found.values()))]):
        variables |= _variables([found[number][depth] for number in fitted], "" if depth == 0 else f"{layer}_")
    count = max(settings.draws, settings.untrained)
    coords = {"seed": list(fitted), "neuron": np.array(cells, object), "output": np.arange(count)}
    attrs = {
        "matches": json.dumps(matches(found, labels, cells)),
        "drop_first": settings.drop_first,
        "draws": settings.draws,
        "untrained": settings.untrained,
    }
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def show(features: Features, recording: str, fitted: Fitted, settings: Interneurons) -> Shown:
    """Return a recording of interneurons as the network sees it. Raises DataError for a movie it cannot see."""
    stimulus, potential = (features.group(recording, name) for name in ("stimulus", "potential"))
    movie = stimulus["movie"].values.astype(np.float32)
    if movie.shape[1:] != fitted.shape:
        raise DataError(
            f"interneurons {recording}, movie",
            expected=f"{fitted.shape[0]} x {fitted.shape[1]} px, as {fitted.fit.model} sees",
            found=f"{movie.shape[1]} x {movie.shape[2]} px",
            remedy="Set `size_px` of the reader.",
        )
    rate = float(stimulus.attrs["rate_hz"])
    if not np.isclose(rate, fitted.rate_hz, rtol=1e-3):
        raise DataError(
            f"interneurons {recording}, rate",
            expected=f"{fitted.rate_hz:g} Hz, as {fitted.fit.model} sees",
            found=f"{rate:g} Hz",
            remedy="Resample the recording before it is read.",
        )
    if settings.contrast == "own":
        movie = (movie - movie.mean(dtype=np.float64)) / max(float(movie.std(dtype=np.float64)), 1e-12)
    elif np.abs(movie).max() > BRIGHTEST:
        raise DataError(
            f"interneurons {recording}, movie",
            expected="contrast, with grey at 0 and an s.d. near 1",
            found=f"values up to {np.abs(movie).max():g}",
            remedy="Set `attribute.interneurons.contrast` to own.",
        )
    return Shown(recording, movie.astype(np.float32), stimulus["block"].values, potential["potential"].values)


def _layers(fitted: Fitted, shown: Shown, settings: Interneurons, generator: np.random.Generator) -> list[Matched]:
    assert fitted.network is not None
    response = rows(shown.block, fitted.history, fitted.lag, settings.drop_first)
    kept = response >= 0
    potential = shown.potential[response[kept]].astype(np.float64)
    least = max(fitted.history, int(settings.least_shift * kept.sum()))
    random = [_untrained(fitted, int(seed)) for seed in generator.integers(2**31, size=settings.untrained)]
    luck = [[units.match(potential).second for units, _ in _units(net, shown, kept, fitted.history)] for net in random]
    made = []
    for depth, (units, maps) in enumerate(_units(fitted.network, shown, kept, fitted.history)):
        others = np.array([one[depth] for one in luck]).reshape(settings.untrained, potential.shape[1]).T
        shifted = units.shifted(potential, settings.draws, least, generator)
        made.append(Matched(units.correlation(potential), units.match(potential), shifted, others, maps))
    return made


def _units(network: Network, shown: Shown, kept: np.ndarray, gap: int) -> list[tuple[Units, tuple[int, int, int]]]:
    """Return the units of the first two layers, with their numbers of features, rows and columns."""
    found = activity(network, shown.movie, shown.block)[: len(LAYERS)]
    return [(Units(layer[kept].reshape(kept.sum(), -1), gap), layer.shape[1:]) for layer in found]


def _untrained(fitted: Fitted, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        return fitted.untrained(seed)


def _variables(found: Sequence[Matched], prefix: str) -> dict[str, Any]:
    maps = found[0].maps
    each, draws = ("seed", "neuron"), ("seed", "neuron", "output")
    place = np.array([np.unravel_index(one.match.unit, maps) for one in found])  # seed, (feature, row, column), neuron
    numbers = {
        "r": np.stack([one.match.second for one in found]),
        "first_half": np.stack([one.match.first for one in found]),
        "largest": np.stack([one.map.max(1) for one in found]),
    } | {f"best_{name}": place[:, axis] for axis, name in enumerate(("feature", "row", "column"))}
    made: dict[str, Any] = {f"{prefix}{name}": (each, values, {"units": "1"}) for name, values in numbers.items()}
    count = max(found[0].shifted.shape[1], found[0].untrained.shape[1])
    for name, values in (
        ("null_shift", [one.shifted for one in found]),
        ("untrained", [one.untrained for one in found]),
    ):
        padded = np.full((*np.shape(values)[:2], count), np.nan, np.float32)
        padded[..., : np.shape(values)[2]] = values
        made[f"{prefix}{name}"] = (draws, padded, {"units": "1"})
    if not prefix:
        stacked = np.stack([one.map.reshape(-1, *maps) for one in found]).astype(np.float32)
        made["correlation"] = (("seed", "neuron", "feature", "height", "width"), stacked, {"units": "1"})
    return made


def matches(
    found: Mapping[int, Sequence[Matched]], labels: Mapping[int, Sequence[str]], cells: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row per seed, layer and interneuron: its unit, scores, and where they stand in the nulls.

    p is the share of shifted potentials that score as high, itself counted.
    """
    made = []
    for number, layers in found.items():
        for depth, one in enumerate(layers):
            place = np.stack(np.unravel_index(one.match.unit, one.maps), axis=1)
            for cell, name in enumerate(cells):
                feature, row, column = map(int, place[cell])
                score, null = float(one.match.second[cell]), one.shifted[cell]
                random = one.untrained[cell]
                made.append(
                    {
                        "seed": number, "layer": LAYERS[depth], "neuron": name,
                        "feature": feature, "row": row, "column": column,
                        "label": labels[number][feature] if depth == 0 else "",
                        "r": _number(score), "r_first": _number(float(one.match.first[cell])),
                        "r_largest": _number(float(one.map[cell].max())),
                        "null_99": _number(float(np.quantile(null, 0.99))),
                        "untrained": _number(float(random.mean())) if len(random) else None,
                        "p": float((1 + (null >= score).sum()) / (1 + len(null))),
                    }
                )  # fmt: skip
    return made


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
