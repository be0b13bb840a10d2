"""Settings of the simulated populations: which one, and what is to differ from its row."""

from dataclasses import fields, replace
from typing import Any

from pydantic import Field, model_validator

from pellucid.settings import Block
from pellucid.systems.whatwhere.simulate.scenarios import SCENARIOS, Layout, Linear, Name, Noise, Nonlinear, Row


class Settings(Block):
    """A population (Klindt et al. 2017) and the values that differ from its row; a key left out has the row's value."""

    scenario: Name = Field(
        "homogeneous",
        description="homogeneous: one linear type; two_types: two linear types; nonlinear: units of a fixed "
        "network on colour images; phase_invariant: energy units, a design of ours",
    )
    layout: Layout | None = Field(
        None,
        description="raw files: arrays (images.npy, responses.npy, set.npy, row.npy, column.npy), antolik "
        "(Data/region1/*.npy as the public mouse V1 recordings; phase_invariant only)",
    )
    neurons: int | None = Field(None, gt=0)
    images: int | None = Field(None, gt=0, description="training images, each shown once")
    test_images: int | None = Field(None, gt=0)
    repeats: int | None = Field(None, gt=0, description="presentations of each test image")
    size_px: tuple[int, int] | None = Field(None, description="height and width of an image")
    mean_response: float | None = Field(None, gt=0, description="mean (absolute) noise-free response of a neuron")
    noise: Noise | None = Field(
        None, description="gaussian of variance |y|; poisson, scaled counts, for responses that are never negative"
    )
    counts_per_unit: float | None = Field(None, gt=0, description="c of the Poisson noise, Poisson(c y) / c")
    type_scales: tuple[float, ...] | None = Field(
        None, min_length=1, description="linear types: t of each, with variances of 2 t and 8 t px^2"
    )
    variation: float | None = Field(None, ge=0, lt=1, description="linear types: spread v of a type's parameters")
    centred: bool | None = Field(None, description="linear types: fields lie exactly on a pixel")
    off_share: float | None = Field(None, ge=0, le=1, description="linear types: share of fields of flipped sign")
    types: int | None = Field(
        None, gt=0, le=32, description="nonlinear: maps of the network; phase_invariant: orientations"
    )
    mixed: bool | None = Field(None, description="nonlinear: a type is a rectified rotated mixture of maps")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        _check_row(self.scenario, self.row())
        return self

    def row(self) -> Row:
        """Return the scenario's row with what the settings change. Raises ValueError for what it does not have."""
        row = SCENARIOS[self.scenario]
        given: dict[str, Any] = {
            name: getattr(self, name) for name in type(self).model_fields if getattr(self, name) is not None
        }
        del given["scenario"]
        own = {field.name for field in fields(Row)}
        options = {name: given.pop(name) for name in list(given) if name not in own}
        unknown = sorted(set(options) - {field.name for field in fields(row.population)})
        if unknown:
            raise ValueError(f"no {', '.join(unknown)} in scenario {self.scenario!r}")
        return replace(row, population=replace(row.population, **options), **given)


def _check_row(scenario: Name, row: Row) -> None:
    """Raise ValueError for values that do not go together."""
    if min(row.size_px) < row.field_px:
        raise ValueError(f"size_px of at least {row.field_px}, which is what a neuron of {scenario!r} sees")
    linear = isinstance(row.population, Linear)
    if isinstance(row.population, Linear) and min(row.population.type_scales) <= 0:
        raise ValueError("type_scales above 0")
    if row.noise == "poisson" and linear:
        raise ValueError(f"noise gaussian or none in scenario {scenario!r}, whose responses can be negative")
    if row.layout == "antolik":
        if linear or isinstance(row.population, Nonlinear):
            raise ValueError(f"layout arrays for {scenario!r}: antolik holds grey images and no negative response")
        if row.noise == "gaussian":
            raise ValueError("noise poisson or none for layout antolik, which holds no negative response")
        if row.size_px[0] != row.size_px[1]:
            raise ValueError("a square size_px for layout antolik, whose images are flattened squares")
