"""What a fit makes of test trials: codes from all bins, and expected counts of bins that were hidden from it."""

from dataclasses import dataclass

import numpy as np
import torch

from pellucid.artifacts import Features, Fit, PartName
from pellucid.learning import loop
from pellucid.systems.dunl.model.comparators import predict_comparator
from pellucid.systems.dunl.model.encoder import Encoder
from pellucid.systems.dunl.model.fit import check, encoder, expected_of, part
from pellucid.systems.dunl.model.heldout import halves
from pellucid.systems.dunl.model.kernels import trial_codes
from pellucid.systems.dunl.model.settings import Settings
from pellucid.systems.dunl.model.traces import Traces
from pellucid.systems.dunl.model.working_set import Found


@dataclass(frozen=True)
class Predicted:
    """A fit on the trials of one part of its fold.

    traces   as the fit sees them
    held     (trace, time) expected count or value of every valid bin, from the half of the bins it is not in
    found    codes, and
    encoder  the encoder that found them; None for comparators
    weights  of the fit
    """

    traces: Traces
    held: np.ndarray
    found: Found | None
    encoder: Encoder | None
    weights: dict[str, np.ndarray]

    def trial_codes(self) -> np.ndarray:
        """Return the sum over time of each kernel's codes, (trace, kernel); no columns for comparators."""
        if self.found is None or self.encoder is None:
            return np.empty((len(self.traces), 0))
        return trial_codes(self.found.slots, self.found.codes, list(self.encoder.settings.kernels.values()))


def predict(fit: Fit, features: Features, chunk: int, part_name: PartName = "test") -> Predicted:
    """Return codes and held-out expectations of a fit on one part of its fold.

    chunk  bins that are hidden or shown together
    """
    settings = Settings.model_validate(fit.settings)
    traces = part(features, fit.fold, part_name, settings, fit.seed)
    weights = fit.weights()
    first = halves(traces, settings.comparator.seed, chunk=chunk)
    masks = (first, traces.valid & ~first)
    held = np.zeros(traces.signal.shape)
    if settings.kind != "dunl":
        for observed in masks:
            expected = predict_comparator(settings.kind, weights, fit.notes, traces, observed)
            held = np.where(traces.valid & ~observed, expected, held)
        return Predicted(traces, held, None, None, weights)
    check(traces, settings)
    device = loop.prepare(settings.device, fit.seed)
    whole = encoder(traces, settings, weights["baseline"], device)
    kernels = torch.as_tensor(weights["kernels"], dtype=whole.dtype, device=device)
    for observed in masks:
        looked = encoder(traces, settings, weights["baseline"], device, observed)
        held = np.where(traces.valid & ~observed, expected_of(looked, kernels, settings), held)
    return Predicted(traces, held, whole.encode(kernels), whole, weights)
