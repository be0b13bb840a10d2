"""The labels a fit learns: states, by threshold where the source is a trace, and the swapped ones of a null."""

from collections.abc import Mapping

import numpy as np

from pellucid.artifacts import Features
from pellucid.errors import DataError
from pellucid.preprocess import behaviour

LEAST_SHIFT = 0.2
"""Least circular shift of `swap: shift`, as a part of the session."""


def states(features: Features, fold: int) -> dict[str, np.ndarray]:
    """Return the state of every frame of every session, (time,) 0, 1 or NaN where it is not scored.

    A trace becomes states by the thresholds that the fold's training frames gave, with hysteresis, least bouts and
    bridged gaps as the features say.
    """
    found = {}
    for name in sorted(features.stores):
        group = features.group(name, "behaviour")
        trace = group["state"].values.astype(np.float32)
        if group.attrs["continuous"]:
            low, high = features.statistics["threshold"].values[fold]
            trace = behaviour.states(
                trace,
                float(low),
                float(high),
                least_s=float(group.attrs["least_s"]),
                bridge_s=float(group.attrs["bridge_s"]),
                rate_hz=float(group.attrs["rate_hz"]),
            )
        found[name] = np.asarray(trace, np.float32)
    return found


def swapped(
    labels: Mapping[str, np.ndarray],
    segments: Mapping[str, np.ndarray],
    subjects: Mapping[str, str],
    kind: str,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return labels that have nothing to do with the signals of their session.

    labels    session -> (time,)
    segments  session -> (time,) number of the trial, or stretch without a gap
    subjects  session -> animal
    kind      "derangement", "shift" or "trials" (see Settings.swap)
    Raises DataError for a derangement where an animal has one session only.
    """
    generator = np.random.default_rng(np.random.SeedSequence([seed, 11]))
    if kind == "trials":
        return {name: _exchanged(label, segments[name], generator) for name, label in sorted(labels.items())}
    if kind == "shift":
        return {name: _shifted(label, generator) for name, label in sorted(labels.items())}
    sources = derangement(subjects, generator)
    return {name: fitted(labels[sources[name]], len(label)) for name, label in sorted(labels.items())}


def derangement(subjects: Mapping[str, str], generator: np.random.Generator) -> dict[str, str]:
    """Return for every session another session of the same animal, every one used once and none its own.

    subjects  session -> animal
    Drawn uniformly among all derangements. Raises DataError where an animal has one session only.
    """
    sources: dict[str, str] = {}
    for subject in sorted(set(subjects.values())):
        own = np.array(sorted(name for name in subjects if subjects[name] == subject), object)
        if len(own) < 2:
            raise DataError(
                f"swap: derangement, subject {subject}",
                expected="two sessions or more of every animal, to exchange their labels",
                found="one",
                remedy="Set `swap: shift`, which shifts labels within their session.",
            )
        order = np.arange(len(own))
        while (order == np.arange(len(own))).any():
            order = generator.permutation(len(own))
        sources |= dict(zip(own, own[order]))
    return sources


def fitted(label: np.ndarray, length: int) -> np.ndarray:
    """Return a label of another session at this session's length: cut, or NaN after its end."""
    out = np.full(length, np.nan, np.float32)
    out[: min(length, len(label))] = label[:length]
    return out


def _shifted(label: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    least = int(LEAST_SHIFT * len(label))
    return np.roll(label, int(generator.integers(least, max(least + 1, len(label) - least))))


def _exchanged(label: np.ndarray, segment: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return labels with states 0 and 1 exchanged in a random half of the segments."""
    numbers = generator.permutation(np.unique(segment))
    return np.where(np.isin(segment, numbers[: len(numbers) // 2]), 1 - label, label)
