"""Codes, standard errors and components of every test trial, by the best restart of the fold that tests it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.dunl.attribute import uncertainty
from pellucid.systems.dunl.model import likelihood, working_set
from pellucid.systems.dunl.model.encoder import Encoder, drive
from pellucid.systems.dunl.model.kernels import learnt
from pellucid.systems.dunl.model.predict import Predicted, predict
from pellucid.systems.dunl.model.selection import best_restarts
from pellucid.systems.dunl.model.settings import Settings
from pellucid.systems.dunl.model.slots import Slots
from pellucid.systems.dunl.model.support import Support
from pellucid.systems.dunl.model.traces import Traces
from pellucid.systems.dunl.model.working_set import Found


@dataclass(frozen=True)
class Decomposition:
    """One fold's test traces, taken apart.

    code       (trace, kernel) sum over time of each kernel's codes, NaN where it has no slot
    sd         (trace, kernel) their Laplace standard errors
    baseline   (trace,) a; kkt (trace,) largest violation of the optimality conditions
    drive      (trace, time) z
    kernels    (dictionary, kernel, lag) of the fit
    """

    fit: Fit
    settings: Settings
    traces: Traces
    found: Found
    encoder: Encoder
    kernels: np.ndarray
    code: np.ndarray
    sd: np.ndarray
    baseline: np.ndarray
    drive: np.ndarray

    @property
    def typical(self) -> np.ndarray:
        """The kernels, (kernel, lag); their median over the neurons that training has seen, where each has its own."""
        return np.asarray(np.median(learnt(self.fit.weights()), axis=0))

    def components(self, rows: np.ndarray) -> np.ndarray:
        """Return the share h_k * x_k of the drive, (trace, time, kernel), of some traces, index (trace,)."""
        part, slots = self.traces.take(rows), self.found.slots
        weights = torch.as_tensor(self.kernels, dtype=self.encoder.dtype)
        shares = []
        for kernel in range(self.kernels.shape[1]):
            own = np.where(slots.kernel[rows] == kernel, self.found.codes[rows], 0)
            some = Slots(slots.kernel[rows], slots.position[rows])
            nothing = np.zeros(len(part))
            share = working_set.drive_of(part, some, own, weights, nothing, self.encoder.dictionary[rows])
            shares.append(share.numpy())
        return np.stack(shares, axis=-1)


def decompose(features: Features, fits: Sequence[Fit], model: str) -> list[Decomposition]:
    """Return the test traces of every fold, decomposed by the best restart of one model."""
    best = best_restarts([fit for fit in fits if fit.model == model])
    return [_decomposed(fit, features) for _, fit in sorted(best.items())]


def _decomposed(fit: Fit, features: Features) -> Decomposition:
    settings = Settings.model_validate(fit.settings)
    settings = settings.model_copy(update={"device": settings.device.model_copy(update={"name": "cpu"})})
    on_cpu = replace(fit, settings=settings.model_dump())
    predicted = predict(on_cpu, features, 2)
    found, encoder = predicted.found, predicted.encoder
    if found is None or encoder is None:
        raise DataError(
            "attribute.model",
            expected="a model of kind dunl",
            found=f"{fit.model}, of kind {settings.kind}",
            remedy="Name a model that has kernels.",
        )
    kernels = predicted.weights["kernels"]
    weights = torch.as_tensor(kernels, dtype=encoder.dtype)
    count = kernels.shape[1]
    return Decomposition(
        fit,
        settings,
        predicted.traces,
        found,
        encoder,
        kernels,
        predicted.trial_codes(),
        _standard_errors(predicted, encoder, found, weights, count),
        encoder.offset + found.baseline,
        drive(encoder, weights, found),
    )


def _standard_errors(
    predicted: Predicted, encoder: Encoder, found: Found, weights: torch.Tensor, count: int
) -> np.ndarray:
    """Return the standard error of each kernel's summed code, (trace, kernel); slots count as independent."""
    traces, model = predicted.traces, encoder.model
    out = np.zeros((len(traces), count))
    if not found.slots.present.any():
        return np.full(out.shape, np.nan)
    support = Support(traces, found.slots, model, encoder.offset, encoder.dictionary, dtype=encoder.dtype)
    problems = support.problems(weights)
    codes = support.placed(found.codes)
    if model.inferred:
        rows = np.maximum(support.layout.trace, 0)
        codes[..., -1] = torch.as_tensor(found.baseline[rows], dtype=codes.dtype)
    hessian = problems.hessian(codes).flatten(0, 1).numpy()
    active = ((codes != 0) & problems.present).flatten(0, 1).numpy()
    noise = _dispersion(predicted, encoder, found, weights)
    member = np.maximum(support.layout.trace, 0).ravel()
    sd = uncertainty.laplace_sd(hessian, active, noise[member])
    sd = sd[:, : support.layout.slot.shape[2]].reshape(support.layout.slot.shape)
    group, place, slot = np.nonzero(support.layout.slot >= 0)
    trace = support.layout.trace[group, place]
    kernel = support.layout.kernel[group, slot]
    np.add.at(out, (trace, kernel), sd[group, place, slot] ** 2)
    has = np.zeros(out.shape, bool)
    has[trace, kernel] = True
    return np.where(has, np.sqrt(out), np.nan)


def _dispersion(predicted: Predicted, encoder: Encoder, found: Found, weights: torch.Tensor) -> np.ndarray:
    """Return the noise variance (trace,): of Gaussian traces from their residuals, 1 / N where a fit left N out."""
    traces, name = predicted.traces, encoder.model.likelihood
    if name != "gaussian":
        share = encoder.model.weight / likelihood.weight(name, traces.most_counts, counted=True)
        return np.full(len(traces), share)
    parameters = (found.codes != 0).sum(1) + int(encoder.model.inferred)
    residual = traces.signal - drive(encoder, weights, found)
    return uncertainty.noise_variance(residual, traces.valid, parameters)


def kkt(parts: Sequence[Decomposition]) -> float:
    """Return the largest violation of the optimality conditions over all test traces."""
    return max(float(one.found.kkt.max(initial=0)) for one in parts)
