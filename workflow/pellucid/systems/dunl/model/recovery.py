"""Does a fit find what a simulation put in? Kernels, codes and times of events against the truth (published)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.learning.metrics import pearson
from pellucid.systems.dunl.model import detection
from pellucid.systems.dunl.model.matching import Matching, match, principal_angles
from pellucid.systems.dunl.model.predict import Predicted
from pellucid.systems.dunl.model.settings import Evaluate
from pellucid.systems.dunl.model.truth import Truth

Row = dict[str, Any]


def kernels(said: Mapping[str, Any], truth: Truth, estimated: np.ndarray, names: Sequence[str]) -> list[Row]:
    """Return one row per true kernel: error, error at the best lag, and the angle between the subspaces.

    estimated  (dictionary, kernel, lag): per neuron, errors are medians over neurons
    """
    matched = [match(truth.kernels, own) for own in estimated]
    moved = [match(truth.kernels, own, any_lag=True) for own in estimated]
    angle = float(np.median([principal_angles(truth.kernels, own).max() for own in estimated]))
    rows = []
    for index, name in enumerate(truth.names):
        partner = matched[0].partner[index]
        rows.append(
            {
                **said,
                "kernel": name,
                "matched": "" if partner < 0 else names[partner],
                "error": float(np.median([m.error[index] for m in matched])),
                "error_best_lag": float(np.median([m.error[index] for m in moved])),
                "largest_angle_deg": angle,
                "baseline_hz": truth.baseline_hz,
            }
        )
    return rows


def codes(said: Mapping[str, Any], truth: Truth, predicted: Predicted, matching: Matching) -> list[Row]:
    """Return one row per true kernel: mean code, mean truth, and their correlation over traces (trials and neurons)."""
    if predicted.found is None:
        return []
    true = truth.codes()
    found = predicted.trial_codes()
    rows = []
    for index, name in enumerate(truth.names):
        partner = matching.partner[index]
        if partner < 0:
            continue
        own = found[:, partner] * np.sign(matching.correlation[index])
        both = np.isfinite(own) & np.isfinite(true[:, index])
        if both.sum() > 2:
            correlation = float(pearson(true[both, index][:, None], own[both][:, None])[0])
            values = {"mean_code": float(own[both].mean()), "mean_true": float(true[both, index].mean())}
            rows.append({**said, "kernel": name, **values, "correlation": correlation})
    return rows


def detections(
    said: Mapping[str, Any],
    true: Mapping[str, list[np.ndarray]],
    predicted: Predicted,
    kernel_of: Mapping[str, Sequence[int]],
    settings: Evaluate,
) -> list[Row]:
    """Return hit and false rates of the codes and of the smoothing detector at every tolerance, with chance.

    true       name -> times of events, s, one array per trace
    kernel_of  name -> estimated kernels whose codes count as detections of these events
    """
    if predicted.found is None:
        return []
    traces, rows = predicted.traces, []
    bins, start = _spans(predicted)
    for name, events in true.items():
        found = code_times(predicted, kernel_of[name])
        for tolerance in settings.tolerances_s:
            score = detection.rates(events, found, tolerance)
            luck = detection.chance(
                events,
                found,
                tolerance,
                start=start,
                bins=bins,
                step=traces.bin_s,
                shifts=settings.shifts,
                seed=settings.seed,
            )
            by_luck = {"hit_chance": luck.hit, "false_chance": luck.false}
            rows.append(_row(said, "codes", name, "", tolerance, score) | by_luck)
    return rows


def smoothing(
    said: Mapping[str, Any], true: Mapping[str, list[np.ndarray]], predicted: Predicted, settings: Evaluate
) -> list[Row]:
    """Return the miss-false curve of the smoothing detector, one row per time constant, threshold and tolerance."""
    traces, rows = predicted.traces, []
    signal = _unit_scale(predicted)
    levels = np.linspace(detection.THRESHOLDS[0], detection.THRESHOLDS[-1], settings.smoothing_levels)
    nothing = {"hit_chance": None, "false_chance": None}
    for name, events in true.items():
        for tau in settings.smoothing_taus:
            for tolerance in settings.tolerances_s:
                curve = detection.smoothing_curve(
                    signal,
                    traces.valid,
                    events,
                    constant_bins=tau,
                    bin_s=traces.bin_s,
                    tolerance_s=tolerance,
                    start_s=traces.start_s,
                    thresholds=levels,
                )
                rows += [
                    _row(said, "smoothing", name, f"tau {tau:g} bins, threshold {height:.3g}", tolerance, score)
                    | nothing
                    for height, score in curve
                ]
    return rows


def _unit_scale(predicted: Predicted) -> np.ndarray:
    """Return the signal on the scale of the published thresholds: counts over N; values less median, over range."""
    traces = predicted.traces
    if traces.kind == "counts":
        return np.asarray(traces.signal / max(traces.most_counts, 1))
    low, middle, high = np.quantile(traces.signal[traces.valid], [0.001, 0.5, 0.999])
    return np.where(traces.valid, (traces.signal - middle) / max(high - low, 1e-12), 0)


def code_times(predicted: Predicted, kernels_used: Sequence[int]) -> list[np.ndarray]:
    """Return the times of the codes of some kernels, centres of their bins, s, one sorted array per trace."""
    if predicted.found is None:
        return []
    slots, values = predicted.found.slots, predicted.found.codes
    here = np.isin(slots.kernel, list(kernels_used)) & (values != 0)
    seconds = predicted.traces.start_s + (slots.position + 0.5) * predicted.traces.bin_s
    return [np.unique(row[keep]) for row, keep in zip(seconds, here)]


def _spans(predicted: Predicted) -> tuple[np.ndarray, np.ndarray]:
    valid = predicted.traces.valid
    first = valid.argmax(1)
    last = valid.shape[1] - valid[:, ::-1].argmax(1)
    return np.maximum(1, last - first), predicted.traces.start_s + first * predicted.traces.bin_s


def _row(
    said: Mapping[str, Any], detector: str, name: str, setting: str, tolerance: float, score: detection.Rates
) -> Row:
    return {
        **said,
        "detector": detector,
        "kernel": name,
        "setting": setting,
        "tolerance_s": tolerance,
        "hit": score.hit,
        "false": score.false,
    }
