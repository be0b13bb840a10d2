"""All models are shown all stimuli: the attributed one seed by seed, then baselines, then the simulated teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from pellucid.artifacts import Features, Fit
from pellucid.errors import DataError
from pellucid.systems.retina.attribute import channels, distribution, lags, measures
from pellucid.systems.retina.attribute.agreement import Member
from pellucid.systems.retina.attribute.groups import Found
from pellucid.systems.retina.attribute.labels import Labels
from pellucid.systems.retina.attribute.measures import Row, Seen
from pellucid.systems.retina.attribute.phenomenon import Explained, explain
from pellucid.systems.retina.attribute.settings import TEST_MOVIE, Settings
from pellucid.systems.retina.attribute.tasks import Task, recorded, responses, tasks
from pellucid.systems.retina.attribute.teacher import Known
from pellucid.systems.retina.model.restore import Fitted, restore

SILENT = 0.05
"""Change of all rates, as a share of the mean training rate, up to which a network does not respond."""

NOTHING = Seen(np.zeros((0, 1, 1), np.float32), np.zeros(0, int))
"""No test movie."""


def stimuli(features: Features, fitted: Fitted, settings: Settings, known: Known | None) -> dict[str, Found]:
    """Return all stimuli for the attributed model by name, with nothing found yet."""
    own = recorded(features, fitted, known, settings.test_rows)
    return {task.name: Found(task) for task in [*tasks(fitted, settings, known), *([own] if own else [])]}


def attributed(
    features: Features, fitted: Fitted, labels: Labels, found: Mapping[str, Found], settings: Settings
) -> None:
    """Attribute one seed's responses to all stimuli, and measure them in full and reduced."""
    network, seed = fitted.network, fitted.fit.seed
    assert network is not None
    limits = distribution.training_range(features, fitted, settings.distribution)
    seen = channels.seen(features, fitted, settings.fields.rows)
    for name, one in tqdm(found.items(), desc=f"{fitted.fit.model}, seed {seed}", unit="stimulus", disable=None):
        task = one.task
        made = explain(network, task.conditions, labels.names, settings, level=silence(fitted))
        one.explained[seed], one.labels[seed] = made, labels.names
        extra = measures.gradients(network, task, seen, task.conditions.frames)
        one.measures += measures.rows(task, fitted, settings, settings.model, seed, made.rate, extra)
        one.measures += _reduced(task, fitted, settings, seed, made)
        one.distribution.append(_inside(task, fitted, limits, settings, settings.model))
        if name == TEST_MOVIE:
            rows = np.arange(min(task.conditions.rows, settings.lag_rows))
            added = lags.contributions(network, task.conditions.frames[0], rows, settings.tolerance)
            one.lags[seed] = np.abs(added).mean(0).T


def baseline(
    features: Features, fits: Sequence[Fit], attributed: Fitted, found: Mapping[str, Found], settings: Settings
) -> None:
    """Show all stimuli to another model of the same cells, every seed. Raises DataError if its cells are others."""
    for fit in fits:
        fitted = restore(fit, features)
        if list(fitted.neurons) != list(attributed.neurons):
            raise DataError(
                f"attribute.baselines: {fit.model}",
                expected=f"the {len(attributed.neurons)} cells of {attributed.fit.model}",
                found=f"{len(fitted.neurons)} cells, or others",
                remedy="Name models of the same cells.",
            )
        network = fitted.network
        limits = None if network is None else distribution.training_range(features, fitted, settings.distribution)
        seen = channels.seen(features, fitted, settings.fields.rows)
        for one in found.values():
            task = _rescaled(one.task, attributed, fitted)
            rate = responses(fitted, task.conditions, attributed)
            one.others.setdefault(fit.model, {})[fit.seed] = rate
            extra = {} if network is None else measures.gradients(network, task, seen, task.conditions.frames)
            own = measures.rows(one.task, attributed, settings, fit.model, fit.seed, rate, extra)
            one.measures += measures.mean_only(own)
            if limits is not None:
                one.distribution.append(_inside(task, fitted, limits, settings, fit.model))


def teacher(known: Known, attributed: Fitted, found: Mapping[str, Found], settings: Settings) -> None:
    """Measure the teacher's responses and, where its rate is one of the window, attribute them as a fit's."""
    same = (known.history, known.lag) == (attributed.history, attributed.lag)
    for one in found.values():
        task, extra = one.task, {}
        frames = [known.frames(own) for own in task.conditions.frames]
        if known.network is not None and same:
            extra = measures.gradients(known.network, task, NOTHING, frames)
        if task.teacher is not None and task.settings is not None:
            one.measures += measures.rows(task, attributed, settings, "teacher", 0, task.teacher, extra)
        if known.network is not None and same:
            conditions = replace(task.conditions, frames=frames)
            level = silence(attributed)
            one.teacher = explain(known.network, conditions, known.labels, settings, gain=known.gain, level=level)
            one.teacher_labels = known.labels


def silence(fitted: Fitted) -> float:
    """Return the change of a rate from that of grey up to which there is no response, in the unit of the rates."""
    return SILENT * float(np.mean(fitted.fit.notes["response_mean"]))


def members(found: Mapping[str, Found], model: str, settings: Settings) -> dict[str, list[Member]]:
    """Return what every seed says of every phenomenon, for the agreement of networks."""
    return {
        name: [member(one, model, seed, found[name], settings) for seed, one in found[name].explained.items()]
        for name in found
    }


def member(one: Explained, model: str, seed: int, found: Found, settings: Settings) -> Member:
    """Return what one network says of one phenomenon."""
    tested = list(found.task.conditions.tested)
    courses = one.contribution[tested].mean(2).reshape(-1, one.contribution.shape[-1])
    return Member(model, seed, found.labels[seed], one.smallest(settings).channels, courses)


def _reduced(task: Task, fitted: Fitted, settings: Settings, seed: int, made: Explained) -> list[Row]:
    """Return the measures of reduced circuits; a reduced circuit has no gradients to measure."""
    rows = []
    for name, rates in (("reduced", made.truncated), ("lesioned", made.lesioned)):
        for place, size in enumerate(settings.sizes):
            rows += measures.rows(task, fitted, settings, f"{name}_{size}", seed, rates[..., place])
    return measures.mean_only(rows)


def _inside(task: Task, fitted: Fitted, limits: distribution.Range, settings: Settings, model: str) -> Row:
    """Return the share of rows outside the range of training, over tested conditions."""
    assert fitted.network is not None
    driven = [distribution.drive(fitted.network, task.conditions.frames[k]) for k in task.conditions.tested]
    share = limits.outside(np.concatenate(driven), settings.distribution.margin)
    return {"model": model, "seed": fitted.fit.seed, "share": share, "outside": share > settings.distribution.share}


def _rescaled(task: Task, attributed: Fitted, other: Fitted) -> Task:
    """Return a task with the same pixels in contrasts of another model; grey stays grey."""
    factor = np.float32(attributed.scale.sd / other.scale.sd)
    conditions = replace(task.conditions, frames=[factor * frames for frames in task.conditions.frames])
    return replace(task, conditions=conditions)
