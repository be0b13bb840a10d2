"""The simulated populations, one row each: everything that can be chosen, with the values that were published.

Klindt et al. 2017, Figs. 3 to 5; where a range was published (neurons, images), one value of it is here.
"""

from dataclasses import dataclass
from typing import Literal

Name = Literal["homogeneous", "two_types", "nonlinear", "phase_invariant"]
Noise = Literal["gaussian", "poisson", "none"]
Layout = Literal["arrays", "antolik"]

PATCH_PX = 17
"""Side of the patch that a linear receptive field or a Gabor filter fills (reference code, generate_neurons.py)."""

TEACHER_PX = 13
"""Side of what a unit of the nonlinear network sees: two layers of 7 px."""


@dataclass(frozen=True)
class Linear:
    """Centre-surround receptive fields.

    type_scales  t of each type: centre and surround variances are 2 t and 8 t px^2
    variation    v: neurons of a type differ by factors U(1 - v, 1 + v), and in tilt if v > 0
    centred      whether a field lies exactly on a pixel, or up to half a pixel off it
    off_share    share of each type's neurons whose field has its sign flipped
    """

    type_scales: tuple[float, ...] = (1.0,)
    variation: float = 0.0
    centred: bool = True
    off_share: float = 0.0


@dataclass(frozen=True)
class Nonlinear:
    """Units of a fixed two-layer network.

    types  maps of its last layer
    mixed  whether a type is a rotated, rectified mixture of the maps instead of one map
    """

    types: int = 4
    mixed: bool = False


@dataclass(frozen=True)
class Energy:
    """Energy units, sums of squares of two Gabor filters in quadrature.

    types  orientations, spread evenly over 180 degrees
    """

    types: int = 4


@dataclass(frozen=True)
class Row:
    """One simulation.

    size_px          height and width of an image
    mean_response    mean response of a neuron, or mean absolute response where responses can be negative
    counts_per_unit  of Poisson noise: c in Poisson(c y) / c
    """

    population: Linear | Nonlinear | Energy
    neurons: int
    images: int
    test_images: int
    repeats: int
    size_px: tuple[int, int]
    mean_response: float = 0.1
    noise: Noise = "gaussian"
    counts_per_unit: float = 1.0
    layout: Layout = "arrays"

    @property
    def colours(self) -> int:
        """The number of colour planes of an image."""
        return 3 if isinstance(self.population, Nonlinear) else 1

    @property
    def field_px(self) -> int:
        """The side of the square that a neuron sees; valid convolution leaves size - field + 1 positions."""
        return TEACHER_PX if isinstance(self.population, Nonlinear) else PATCH_PX

    @property
    def types(self) -> int:
        """The number of types; neuron n is of type n modulo it."""
        return len(self.population.type_scales) if isinstance(self.population, Linear) else self.population.types


SCENARIOS: dict[Name, Row] = {
    "homogeneous": Row(Linear(), 100, 4096, 1000, 4, (48, 48)),
    "two_types": Row(Linear((0.6, 1.0), 0.05, False), 1000, 8192, 1000, 4, (48, 48)),
    "nonlinear": Row(Nonlinear(), 1000, 4096, 1000, 4, (44, 44)),
    "phase_invariant": Row(Energy(), 40, 1800, 200, 10, (31, 31), 1.0, "poisson", 2.0),
}
"""Published: 1, 10, 100 or 1000 neurons and 2^6 to 2^20 images of the homogeneous population, 2 x 500 neurons and 2^13
images of two types, 12 to 1000 neurons and 2^9 to 2^16 images of the nonlinear one, whose network was another, trained
one (so absolute scores differ, orders may be compared). Published test responses are noise-free: /truth/response has
them; repeats are ours. The phase-invariant population is a design of ours, in the format of mouse V1 recordings.
"""
