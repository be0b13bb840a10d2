"""Codes of a dataset arranged by recording, and what they follow: the groups of the attribution store."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr

from pellucid.artifacts import Features
from pellucid.systems.dunl.attribute import chance, covariates, neutral, plane
from pellucid.systems.dunl.attribute.decomposition import Decomposition
from pellucid.systems.dunl.attribute.settings import Settings

ONE = {"units": "1"}


@dataclass(frozen=True)
class Coded:
    """Codes and raw responses of one recording; trials that no fold tests are NaN.

    code, sd, truth  (trial, neuron, kernel); truth is NaN where it is not known
    count            (trial, neuron) counts, or the mean value, in the response window; sliding (start, trial, neuron)
    baseline, kkt    (trial, neuron)
    trial_type       (trial,); covariates name -> (trial,)
    """

    name: str
    neurons: Sequence[str]
    code: np.ndarray
    sd: np.ndarray
    truth: np.ndarray
    count: np.ndarray
    sliding: np.ndarray
    baseline: np.ndarray
    kkt: np.ndarray
    trial_type: np.ndarray
    covariates: Mapping[str, np.ndarray]

    def kept(self, within: Sequence[str]) -> np.ndarray:
        """Return which trials enter correlations, (trial,)."""
        return np.isin(self.trial_type, within) if within else np.ones(len(self.trial_type), bool)


def coded(
    features: Features, parts: Sequence[Decomposition], truths: Sequence[np.ndarray | None], settings: Settings
) -> list[Coded]:
    """Return codes, raw responses and covariates of every recording.

    truths  per fold, true codes (trace, kernel) in the order of the estimated kernels, or None
    """
    return [_recording(features, name, index, parts, truths, settings) for index, name in enumerate(features.stores)]


def _recording(
    features: Features,
    name: str,
    index: int,
    parts: Sequence[Decomposition],
    truths: Sequence[np.ndarray | None],
    settings: Settings,
) -> Coded:
    group, factor = features.group(name), parts[0].settings.coarsen
    trials, neurons, kernels = group.sizes["trial"], group.sizes["neuron"], parts[0].kernels.shape[1]
    table = {key: np.full((trials, neurons, kernels), np.nan) for key in ("code", "sd", "truth")}
    table |= {key: np.full((trials, neurons), np.nan) for key in ("baseline", "kkt")}
    for part, truth in zip(parts, truths):
        own = part.traces.recording == index
        if not own.any():
            continue
        first = next(i for i, unit in enumerate(part.traces.neurons) if unit.startswith(f"{name}/"))
        place = part.traces.row[own], part.traces.neuron[own] - first
        table["code"][place], table["sd"][place] = part.code[own], part.sd[own]
        table["baseline"][place], table["kkt"][place] = part.baseline[own], part.found.kkt[own]
        if truth is not None:
            table["truth"][place] = truth[own]
    count, sliding = _responses(group, parts[0], settings, factor)
    tested = np.isfinite(table["baseline"])
    known = features.group(name, "trials") if "trials" in features.stores[name].children else xr.Dataset()
    wanted = settings.covariates if settings.covariates is not None else sorted(map(str, known.data_vars))
    return Coded(
        name,
        [str(unit) for unit in group["neuron"].values],
        count=np.where(tested, count, np.nan),
        sliding=np.where(tested, sliding, np.nan),
        trial_type=group["trial_type"].values.astype(object),
        covariates={key: known[key].values.astype(float) for key in wanted if key in known},
        **table,
    )


def _responses(
    group: xr.Dataset, part: Decomposition, settings: Settings, factor: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (or mean values) in the response window, (trial, neuron), and in windows whose start slides."""
    events = json.loads(group.attrs["events"])
    named = [k.event for k in part.settings.kernels.values() if k.event is not None]
    event = settings.window_event or (named[0] if named else None)
    signal = group["signal"].values
    shape = (signal.shape[0], signal.shape[2])
    if event is None or event not in events:
        nothing = np.full(shape, np.nan)
        return nothing, np.broadcast_to(nothing, (settings.slide_bins, *shape))
    seconds = np.where(group["event_kind"].values == events.index(event), group["onset"].values, np.nan)
    known = np.asarray(np.isfinite(seconds).any(1))
    first = np.where(known, np.nanmin(np.where(known[:, None], seconds, 0.0), axis=1), 0.0)
    width = float(group.attrs["bin_s"])
    bins = np.where(known, np.floor((first - group["time"].values[0]) / width + 1e-6), -1).astype(int)
    window = settings.window_bins * factor
    starts = [start * factor for start in range(min(settings.slide_bins, settings.window_bins))]
    counts = covariates.sliding_counts(signal, bins, window, starts)
    if group.attrs["kind"] == "values":
        counts = counts / (window - np.array(starts))[:, None, None]
    return counts[0], counts


def covariate_group(every: Sequence[Coded], name: str, kernels: Sequence[str], settings: Settings) -> xr.Dataset:
    """Return rank correlations of codes and counts with one covariate, the neurons of all recordings joined."""
    having = [one for one in every if name in one.covariates]
    parts = [_correlated(one, name, settings, index) for index, one in enumerate(having)]
    joined = {key: np.concatenate([part[key] for part in parts], axis=_NEURON[key]) for key in parts[0]}
    null = chance.chance(joined["code_rho"], joined.pop("draws"))
    against = {kernel: chance.paired(joined["code_rho"][:, k], joined["count_rho"]) for k, kernel in enumerate(kernels)}
    dims = {"count_rho": ("neuron",), "sliding_rho": ("lag", "neuron"), "trials": ("neuron",)}
    variables = {key: (dims.get(key, ("neuron", "kernel")), values, ONE) for key, values in joined.items()}
    return xr.Dataset(
        variables,
        coords={
            "neuron": np.array([f"{one.name}/{unit}" for one in having for unit in one.neurons], object),
            "kernel": np.array(list(kernels), object),
        },
        attrs={
            "paired": json.dumps({kernel: _plain(asdict(test)) for kernel, test in against.items()}),
            "chance": json.dumps(
                {kernel: _plain({key: v[k] for key, v in asdict(null).items()}) for k, kernel in enumerate(kernels)}
            ),
            "null_high": json.dumps(_plain({kernel: null.high[k] for k, kernel in enumerate(kernels)})),
            "within": ", ".join(settings.within) or "all",
        },
    )


_NEURON = {"draws": 1, "sliding_rho": 1} | dict.fromkeys(
    ("code_rho", "code_low", "code_high", "count_rho", "trials"), 0
)


def _correlated(one: Coded, name: str, settings: Settings, index: int) -> dict[str, np.ndarray]:
    kept = one.kept(settings.within)
    covariate, code = one.covariates[name][kept], one.code[kept]
    generator = np.random.default_rng([settings.seed, index])
    low, high = covariates.bootstrap(code, covariate, resamples=settings.bootstrap, generator=generator)
    draws = chance.permuted_rho(
        code, covariate, one.trial_type[kept], permutations=settings.permutations, generator=generator
    )
    rho = covariates.rank_correlation(code, covariate)
    return {
        "code_rho": rho.value,
        "code_low": low,
        "code_high": high,
        "count_rho": covariates.rank_correlation(one.count[kept], covariate).value,
        "sliding_rho": covariates.rank_correlation(one.sliding[:, kept], covariate, axis=1).value,
        "trials": rho.trials.max(axis=1, initial=0),
        "draws": draws,
    }


def neutral_group(every: Sequence[Coded], name: str, kernels: Sequence[str], settings: Settings) -> xr.Dataset:
    """Return the neutral point of every neuron and kernel; codes that fall with the covariate are turned round."""
    points, shares, units = [], [], []
    for one in every:
        if name in one.covariates:
            kept = one.kept(settings.within)
            code, covariate = one.code[kept], one.covariates[name][kept]
            rising = np.where(covariates.rank_correlation(code, covariate).value < 0, -1.0, 1.0)
            found = neutral.neutral_points(code * rising, covariate)
            points.append(found.point)
            shares.append(found.share)
            units += [f"{one.name}/{unit}" for unit in one.neurons]
    flat = ("neuron", "kernel")
    return xr.Dataset(
        {
            "neutral": (flat, np.concatenate(points), {"units": "as the covariate"}),
            "share_correct": (flat, np.concatenate(shares), ONE),
        },
        coords={"neuron": np.array(units, object), "kernel": np.array(list(kernels), object)},
    )


def plane_group(
    every: Sequence[Coded], features: Features, kernels: Sequence[str], name: str, settings: Settings
) -> xr.Dataset | None:
    """Return the code plane of two kernels, trial by trial, with principal and nonnegative components."""
    chosen = [list(kernels).index(kernel) for kernel in settings.plane]
    kept = [one.kept(settings.within) for one in every]
    points = np.concatenate([one.code[k][..., chosen].reshape(-1, 2) for one, k in zip(every, kept)])
    values = np.concatenate([np.repeat(one.covariates[name][k], len(one.neurons)) for one, k in zip(every, kept)])
    known = np.isfinite(points).all(1) & np.isfinite(values)
    if known.sum() < 3:
        return None
    points, values = points[known], values[known]
    parts = {"pca": plane.pca(points, values, 2), "nmf": plane.nmf(points, values, 2, seed=settings.seed)}
    variables = {"points": (("event", "feature"), points, ONE), "covariate": ("event", values, ONE)}
    for key, found in parts.items():
        variables |= {
            f"{key}_axes": (("feature", "output"), found.axes, ONE),
            f"{key}_score": (("event", "output"), found.score, ONE),
            f"{key}_rho": ("output", found.rho, ONE),
        }
    return xr.Dataset(variables, coords={"feature": np.array(settings.plane, object)}, attrs={"covariate": name})


def _plain(table: Mapping[str, object]) -> dict[str, object]:
    """Return numbers as JSON knows them: NaN as null."""
    found: dict[str, object] = {}
    for key, value in table.items():
        number = float(value) if isinstance(value, int | float | np.number) else None
        found[key] = None if number is None or np.isnan(number) else number
    return found
