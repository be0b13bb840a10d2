"""Learn the kernels of one fold from one seed, or fit a comparator on the same trials."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid.artifacts import Features, PartName, Trained
from pellucid.errors import DataError
from pellucid.learning import loop
from pellucid.systems.dunl.model import baseline, kernels, likelihood
from pellucid.systems.dunl.model.comparators import fit_comparator, predict_comparator
from pellucid.systems.dunl.model.encoder import Encoder, drive
from pellucid.systems.dunl.model.heldout import halves, nll
from pellucid.systems.dunl.model.kernels import Dictionary, dictionary_of
from pellucid.systems.dunl.model.settings import Settings
from pellucid.systems.dunl.model.traces import Traces, coarse, load
from pellucid.systems.dunl.model.working_set import Found


def fit(features: Features, fold: int, seed: int, settings: Settings, checkpoint: Path) -> Trained:
    """Learn kernels, or fit a comparator, and return weights, history and notes.

    features    of the whole dataset
    fold        entry of the split table
    seed        of initial kernels, batches and of the choice of `train_trials`
    checkpoint  folder of this fit's own state; an unfinished run is resumed from it
    Raises DataError if a kernel follows a kind of event that the features do not have, or there is nothing to learn.
    """
    train, held = (part(features, fold, name, settings, seed) for name in ("train", "validation"))
    if settings.kind != "dunl":
        return _comparator(train, held, settings)
    check(train, settings)
    _check_neurons(features, fold, settings)
    device = loop.prepare(settings.device, seed)
    learner = _Learner(train, held, settings, seed, device)
    if settings.fixed:
        history = [{"epoch": 0.0, "training": learner.training(), "validation": learner.validate()}]
    else:
        schedule = settings.training.schedule(learner.trials)
        name = f"fold {fold}, seed {seed}"
        history = loop.train(
            learner.dictionary,
            learner.loss,
            learner.validate,
            schedule,
            seed=seed,
            checkpoint=checkpoint,
            name=name,
            project=learner.dictionary.project,
        )
    return learner.result(history)


def part(features: Features, fold: int, name: PartName, settings: Settings, seed: int) -> Traces:
    """Return the traces of one part of a fold as one fit sees them: its recordings, bins and number of trials."""
    traces = load(features, fold, name)
    if settings.recordings is not None:
        known = sorted(set(settings.recordings) & set(traces.recordings))
        if len(known) < len(settings.recordings):
            raise DataError(
                "fit, recordings",
                expected=f"recordings among {', '.join(traces.recordings)}",
                found=", ".join(settings.recordings),
                remedy="Correct `recordings` of the model.",
            )
        traces = traces.take(np.isin(traces.recording, [traces.recordings.index(name) for name in known]))
    if name == "train" and settings.train_trials is not None:
        trials = np.unique(traces.trial)
        if settings.train_trials < len(trials):
            chosen = np.random.default_rng([seed, 1]).choice(trials, settings.train_trials, replace=False)
            traces = traces.take(np.isin(traces.trial, chosen))
    return coarse(traces, settings.coarsen)


def check(traces: Traces, settings: Settings) -> None:
    """Raise DataError if there are no kernels, they follow unknown events, or likelihood and signal do not fit."""
    if not settings.kernels:
        raise DataError(
            "fit, kernels",
            expected="at least one kernel for a model of kind dunl",
            found="none",
            remedy="Name kernels in `kernels`, or a preset that does.",
        )
    events = {k.event for k in settings.kernels.values()} - {None}
    missing = sorted(str(e) for e in events if e not in traces.events)
    if missing:
        raise DataError(
            "fit, kernels",
            expected=f"kinds of events among {', '.join(traces.events) or 'none'}",
            found=", ".join(missing),
            remedy="Correct `event` of the kernel, or add the event to `preprocess.events`.",
        )
    if (settings.likelihood == "gaussian") != (traces.kind == "values"):
        raise DataError(
            "fit, likelihood",
            expected="gaussian for values, poisson or binomial for counts",
            found=f"{settings.likelihood} for {traces.kind}",
            remedy="Correct `likelihood`.",
        )
    _check_sparse(settings)
    if traces.bins < settings.lag_bins:
        raise DataError(
            "fit, lag_bins",
            expected=f"at most the {traces.bins} bins of a trial",
            found=str(settings.lag_bins),
            remedy="Shorten the kernels, or cut longer trials.",
        )


def _check_sparse(settings: Settings) -> None:
    """Raise DataError if codes at unknown times cost nothing: the converged ones would fill every position."""
    free = [
        name
        for name, kernel in settings.kernels.items()
        if kernel.event is None and not (settings.penalty if kernel.penalty is None else kernel.penalty)
    ]
    if free and settings.encoder.solver == "converged" and not settings.encoder.group:
        raise DataError(
            "fit, penalty",
            expected="a penalty on the codes of kernels at unknown times",
            found=f"none for {', '.join(free)}",
            remedy="Set `penalty`, or `encoder: {solver: pursuit}`, which finds events one by one.",
        )


def _check_neurons(features: Features, fold: int, settings: Settings) -> None:
    """Raise DataError if each neuron has kernels of its own, and some that validate or test do not train."""
    rows = features.folds[fold]
    kept = set(features.stores if settings.recordings is None else settings.recordings)
    unseen = sorted(((set(rows.validation) | set(rows.test)) & kept) - set(rows.train))
    if settings.dictionary == "neuron" and unseen:
        raise DataError(
            "fit, dictionary",
            expected="training trials of every neuron that has kernels of its own",
            found=f"none of the neurons of {', '.join(unseen)} in fold {fold}",
            remedy="Set `dictionary: shared`, or another split than `by: subject` in `preprocess.split`.",
        )


def encoder(
    traces: Traces,
    settings: Settings,
    pooled: np.ndarray,
    device: torch.device | str,
    observed: np.ndarray | None = None,
) -> Encoder:
    """Return the encoder of some traces, with the baselines that they are given.

    observed  (trace, time) bins that it may look at; none: all valid ones
    """
    looked = traces if observed is None else traces.observed(observed)
    given = baseline.offsets(settings.baseline, settings.likelihood, looked, settings.floor, pooled)
    dictionary = dictionary_of(traces, shared=settings.dictionary == "shared")
    return Encoder(looked, settings, given, dictionary, device, traces.valid)


def held_out_loss(traces: Traces, expected: Callable[[np.ndarray], np.ndarray], settings: Settings) -> float:
    """Return the mean negative log-likelihood of bins, nats per valid bin, each half predicted from the other.

    expected  maps observed bins (trace, time) to expected counts or values of all bins
    """
    first = halves(traces, settings.comparator.seed, chunk=settings.comparator.chunk_bins)
    total = 0.0
    for observed in (first, traces.valid & ~first):
        loss = nll(traces.signal, expected(observed), settings.likelihood, traces.most_counts)
        total += float(loss[traces.valid & ~observed].sum())
    return total / max(1, int(traces.valid.sum()))


def expected_of(looked: Encoder, weights: Tensor, settings: Settings) -> np.ndarray:
    """Return what kernels expect of every bin, (trace, time), from codes of the bins the encoder looks at."""
    mean = likelihood.expected(
        settings.likelihood, drive(looked, weights, looked.encode(weights)), looked.traces.most_counts
    )
    if settings.likelihood == "gaussian":
        return mean
    least = settings.comparator.floor_hz * looked.traces.bin_s
    most = looked.traces.most_counts - least if settings.likelihood == "binomial" else np.inf
    return np.asarray(np.clip(mean, least, most))


class _Learner:
    """The kernels, their batches and their validation."""

    def __init__(self, train: Traces, held: Traces, settings: Settings, seed: int, device: torch.device) -> None:
        self.train, self.held, self.settings, self.device = train, held, settings, device
        self.pooled = baseline.pool(settings.likelihood, train, settings.floor)
        self.whole = encoder(train, settings, self.pooled, device)
        count = 1 if settings.dictionary == "shared" else len(train.neurons)
        specs = list(settings.kernels.values())
        begun = kernels.initial(
            settings.initial,
            (count, len(specs), settings.lag_bins),
            np.random.default_rng([seed, 0]),
            traces=train,
            slots=self.whole.slots,
            signs=self.whole.model.sign,
            smoothing=settings.initial_smoothing,
        )
        begun = kernels.given(begun, settings.given, list(settings.kernels))
        self.dictionary = Dictionary(begun, [k.nonnegative for k in specs], dtype=self.whole.dtype).to(device)
        self._numbers = np.unique(train.trial)
        self.trials = len(self._numbers)
        self._size = min(settings.training.batch or self.trials, self.trials)
        self._drawn: np.random.Generator | None = None
        self._order, self._cursor = np.empty(0, int), 0
        self._start: Found | None = None
        self._looked = [encoder(held, settings, self.pooled, device, mask) for mask in self._masks()]

    def loss(self, generator: np.random.Generator) -> Tensor:
        """Return the loss of the next batch; codes of the last step start the next, but never across epochs."""
        if generator is not self._drawn:
            self._drawn, self._start, self._cursor, self._order = generator, None, 0, np.empty(0, int)
        if self._size == self.trials:
            value, self._start = self.whole.loss(self.dictionary(), self._start)
        else:
            batch = self.train.take(np.isin(self.train.trial, self._next(generator)))
            value, _ = encoder(batch, self.settings, self.pooled, self.device).loss(self.dictionary())
        return value + self.settings.smoothness * self.dictionary.roughness()

    def validate(self) -> float:
        """Return the validation loss of the kernels as they are."""
        weights = self.dictionary().detach()
        if self.settings.validation == "objective":
            return float(self._looked[0].loss(weights)[0])
        made = iter(self._looked)
        return held_out_loss(self.held, lambda _: expected_of(next(made), weights, self.settings), self.settings)

    def training(self) -> float:
        """Return the training loss over all trials."""
        with torch.no_grad():
            return float(self.whole.loss(self.dictionary())[0] + self.settings.smoothness * self.dictionary.roughness())

    def result(self, history: loop.History) -> Trained:
        """Return the best kernels, in conventional sign and order unless some were given, with the convergence."""
        specs = list(self.settings.kernels.values())
        turned = self.dictionary().detach()
        if not (self.settings.fixed or self.settings.given or self.settings.encoder.competition):
            turned = kernels.in_order(kernels.upwards(turned, specs), specs)
        found = self.whole.encode(turned)
        notes = {
            "kernels": list(self.settings.kernels),
            "parameters": int(turned.numel()),
            "best_epoch": min(history, key=lambda row: row["validation"])["epoch"],
            "kkt": {"largest": float(found.kkt.max()), "median": float(np.median(found.kkt))},
            "solver": self.settings.encoder.solver,
            "training_trials": self.trials,
            "bin_s": self.train.bin_s,
            "slots": int(found.slots.present.sum()),
            "events_without_slot": self._dropped(),
            "device": self.device.type,
        }
        arrays = {"kernels": turned.cpu().double().numpy(), "baseline": self.pooled}
        return Trained(arrays, history, notes)

    def _dropped(self) -> int:
        """Return how often a kernel has no slot of its own at an event: too few bins there, or two events in one."""
        lost = 0
        for index, spec in enumerate(self.settings.kernels.values()):
            if spec.event is not None:
                wanted = self.train.event_kind == self.train.events.index(spec.event)
                lost += int(wanted.sum()) - int((self.whole.slots.kernel == index).sum())
        return lost

    def _next(self, generator: np.random.Generator) -> np.ndarray:
        if self._cursor + self._size > len(self._order) and self._cursor >= len(self._order):
            self._order, self._cursor = generator.permutation(self._numbers), 0
        batch = self._order[self._cursor : self._cursor + self._size]
        self._cursor += self._size
        return batch

    def _masks(self) -> list[np.ndarray]:
        if self.settings.validation == "objective":
            return [self.held.valid]
        first = halves(self.held, self.settings.comparator.seed, chunk=self.settings.comparator.chunk_bins)
        return [first, self.held.valid & ~first]


def _comparator(train: Traces, held: Traces, settings: Settings) -> Trained:
    weights, notes = fit_comparator(settings.kind, train, held, settings.comparator, likelihood=settings.likelihood)  # type: ignore[arg-type]

    def expected(observed: np.ndarray) -> np.ndarray:
        return predict_comparator(settings.kind, weights, notes, held, observed)  # type: ignore[arg-type]

    loss = held_out_loss(held, expected, settings)
    notes = {**notes, "training_trials": len(np.unique(train.trial)), "bin_s": train.bin_s}
    return Trained(weights, [{"epoch": 0.0, "validation": loss}], notes)
