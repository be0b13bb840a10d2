"""The stimuli a model is shown: phenomena of the settings, probes of a simulation, and its own test movie."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pellucid.artifacts import Features
from pellucid.systems.retina.attribute import phenomena
from pellucid.systems.retina.attribute.phenomena.probe import Conditions
from pellucid.systems.retina.attribute.phenomena.settings import Omitted, Phenomenon
from pellucid.systems.retina.attribute.settings import TEST_MOVIE, Settings
from pellucid.systems.retina.attribute.teacher import Known, Probe
from pellucid.systems.retina.model.restore import Fitted

RESPONSE = 0.1
"""Share of the largest change of the teacher's rate from which on a row belongs to the response to a probe."""

OMITTED = re.compile(r"omitted_(\d+)")


@dataclass(frozen=True)
class Task:
    """A stimulus for one model.

    name, kind  of the phenomenon; "probe" for one of a simulation that has no measure of its own
    settings    of the phenomenon, None for a probe
    conditions  in contrasts of the model
    teacher     (trial, row, neuron) noiseless response in the model's unit, NaN where unknown; None without
    """

    name: str
    kind: str
    settings: Phenomenon | None
    conditions: Conditions
    teacher: np.ndarray | None


class Responder(Protocol):
    """Anything that gives rates to frames and says how long it looks back."""

    @property
    def history(self) -> int:
        """Frames of a window."""
        ...

    @property
    def lag(self) -> int:
        """Bins from the newest frame of a window to its response."""
        ...

    def respond(self, frames: np.ndarray) -> np.ndarray:
        """Return rates, (row, neuron); row i sees frames i to i + history - 1."""
        ...


def tasks(fitted: Fitted, settings: Settings, known: Known | None) -> list[Task]:
    """Return the stimuli for a model. Raises ConfigError where a phenomenon does not fit its image or its history."""
    made = []
    for name, own in settings.shown.items():
        conditions = phenomena.conditions(
            own,
            history=fitted.history,
            lag=fitted.lag,
            rate_hz=fitted.rate_hz,
            shape=fitted.shape,
            seed=settings.seed,
        )
        teacher = None if known is None or known.network is None else responses(known, conditions, fitted)
        made.append(Task(name, own.kind, own, conditions, teacher))
    return made + (probes(fitted, known) if known is not None and settings.probes else [])


def recorded(features: Features, fitted: Fitted, known: Known | None, most: int) -> Task | None:
    """Return the first rows of the test movie of the first recording a model was fitted to; None without test rows."""
    name = fitted.recordings[0]
    ranges = features.folds[fitted.fit.fold].test.get(name, [])
    if not ranges or not most:
        return None
    start, stop = ranges[0][0], min(ranges[0][1], ranges[0][0] + most)
    movie = features.group(name, "stimulus")["movie"]
    frames = fitted.standardise(movie[start - fitted.lag - fitted.history + 1 : stop - fitted.lag].values)
    height, width = fitted.shape
    stimulus = str(features.stores[name].attrs.get("stimulus", ""))
    teacher = None
    if known is not None and stimulus in known.rates and len(known.rates[stimulus]) >= stop:
        teacher = known.unit * known.rates[stimulus][None, start:stop]
    conditions = Conditions(
        values=np.zeros(1),
        unit="1",
        labels=("test movie",),
        frames=[frames[:, 0, 0] if (height, width) == (1, 1) else frames],
        time_s=np.arange(stop - start) / fitted.rate_hz,
        shown=frames[None, fitted.history - 1 :, height // 2, width // 2],
        window=slice(0, stop - start),
    )
    return Task(TEST_MOVIE, "recorded", None, conditions, teacher)


def responses(model: Responder, conditions: Conditions, fitted: Fitted) -> np.ndarray:
    """Return a model's responses to stimuli made for another one, (trial, row, neuron), at the same times.

    fitted  the model that the rows are of. One that looks further back sees grey before the first frame; one that is
            less late sees the last frame for longer.
    """
    early = (model.history + model.lag) - (fitted.history + fitted.lag)
    late = fitted.lag - model.lag
    out = []
    for frames in conditions.frames:
        first, last = (np.zeros((max(0, early), *frames.shape[1:]), frames.dtype), frames[-1:].repeat(max(0, late), 0))
        seen = np.concatenate([first, frames[max(0, -early) : len(frames) + min(0, late)], last])
        out.append(model.respond(seen))
    return np.stack(out)


def probes(fitted: Fitted, known: Known) -> list[Task]:
    """Return the probes of a simulation, omitted flashes of all periods as one; responses are the stored ones."""
    omitted = {int(found[1]): name for name in known.probes if (found := OMITTED.fullmatch(name))}
    joined = _omitted(fitted, known, [omitted[period] for period in sorted(omitted)], sorted(omitted))
    left = [name for name in known.probes if joined is None or name not in omitted.values()]
    return [_probe(fitted, known, name) for name in left] + ([] if joined is None else [joined])


def _probe(fitted: Fitted, known: Known, name: str) -> Task:
    """Return one probe; its window reaches from its onset to where the teacher's mean rate is near that at rest."""
    probe = known.probes[name]
    frames, teacher = _rows(fitted, known, probe)
    rows = len(frames) - fitted.history + 1
    newest = frames[fitted.history - 1 :]
    shown = newest.reshape(rows, -1).mean(1)
    active = np.flatnonzero(shown)
    event = int(active[0]) if len(active) else 0
    last = int(np.flatnonzero(response(teacher, RESPONSE))[-1])
    conditions = Conditions(
        values=np.array([float(shown[np.abs(shown).argmax()])]),
        unit="1",
        labels=(name.replace("_", " "),),
        frames=[frames],
        time_s=(np.arange(rows) - event + fitted.lag) / fitted.rate_hz,
        shown=shown[None],
        window=slice(event, max(last, event + 1) + 1),
    )
    return Task(f"probe_{name}", "probe", None, conditions, teacher[None])


def response(teacher: np.ndarray, share: float) -> np.ndarray:
    """Return which rows belong to a response, (row,) bool: the mean change from rest is a share of its largest or more.

    teacher  (row, neuron); the rate at rest is that of the first row that is known
    """
    rest = teacher[np.isfinite(teacher).all(1)][0]
    change = np.nan_to_num(np.abs(teacher - rest).mean(1))
    return np.asarray(change >= share * change.max())


def _omitted(fitted: Fitted, known: Known, names: Sequence[str], periods: Sequence[int]) -> Task | None:
    """Return trains of flashes as the phenomenon they are, None if they are not the published ones."""
    if len(names) < 2:
        return None
    length = len(known.probes[names[0]].movie)
    flash = np.flatnonzero(known.probes[names[-1]].movie)
    if any(len(known.probes[name].movie) != length or known.probes[name].movie.ndim > 1 for name in names):
        return None
    ends = np.flatnonzero(np.diff(flash) > 1)
    if not len(ends):
        return None
    last = int(flash[ends[-1] + 1])
    held = int(flash[-1]) - last + 1
    contrast = float(known.probes[names[-1]].movie[last])
    before = last - fitted.history + 1
    after = length - fitted.lag - last - 1
    if before < 1 or after <= 2 * periods[-1] or periods[0] <= held:
        return None
    own = Omitted(
        periods_frames=tuple(periods), flash_frames=held, contrast=contrast, before_rows=before, after_rows=after
    )
    made = phenomena.conditions(
        own, history=fitted.history, lag=fitted.lag, rate_hz=fitted.rate_hz, shape=fitted.shape, seed=0
    )
    found = [_rows(fitted, known, known.probes[name]) for name in names]
    if any(not np.allclose(mine, theirs * known.contrast, atol=1e-5) for mine, (theirs, _) in zip(made.frames, found)):
        return None
    made = replace(made, frames=[frames for frames, _ in found], shown=made.shown / known.contrast)
    return Task("probe_omitted", "omitted", own, made, np.stack([teacher for _, teacher in found]))


def _rows(fitted: Fitted, known: Known, probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Return a probe's frames in contrasts of the model, and the teacher's responses (row, neuron) in its unit."""
    late = fitted.history - 1 + fitted.lag
    frames = (probe.movie[: len(probe.movie) - fitted.lag] / known.contrast).astype(np.float32)
    return frames, known.unit * probe.rate[late:]
