"""Functional types: clusters of bar codes, their number by stability, and how stable each neuron's type is.

k-means of unit vectors: least squared distance of unit vectors is largest cosine, types need not be aligned with
features, and single odd neurons found no clusters of their own. Types of a single fit say little (Turishcheva et al.
2024): clusterings of all seeds are compared, and those of resampled neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pellucid.systems.whatwhere.attribute.settings import Settings
from pellucid.systems.whatwhere.attribute.what import unit

_STARTS = 10
"""k-means runs from different starts; the best is kept."""
_MOST_COMPARED = 2000
"""Neurons of a silhouette, whose cost is quadratic."""
EXCLUDED = -1
"""Label of neurons without a type."""


@dataclass(frozen=True)
class Types:
    """Types of the neurons of one fold.

    label      (neuron,) type by size, the largest 0; EXCLUDED for neurons without a code
    stability  (neuron,) mean over the other seeds' clusterings (of resampled neurons, with one seed) of the overlap
               |A and B| / |A or B| of the neuron's cluster A with its cluster B there
    rows       one per number of clusters: silhouette, adjusted Rand index between seeds and with clusterings of
               resampled neurons, and the null of both, see `_null`
    """

    label: np.ndarray
    stability: np.ndarray
    clusters: int
    rows: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class _Clustered:
    label: np.ndarray
    others: list[np.ndarray]
    row: dict[str, float]


def types(codes: np.ndarray, best: int, settings: Settings) -> Types:
    """Return the types of the best seed; of numbers of clusters of nearly equal stability that of largest silhouette.

    codes  (seed, neuron, feature) unit vectors with features in one order, NaN for neurons that are excluded
    Stability: adjusted Rand index between seeds, or with clusterings of resampled neurons where there is one seed.
    """
    usable = np.isfinite(codes[best]).all(-1)
    own = codes[best][usable]
    seeds = [own] + [one[usable] for place, one in enumerate(codes) if place != best and np.isfinite(one).any()]
    most = min(settings.clusters[1], _distinct(own), len(own) - 1)
    label, stability = np.full(len(usable), EXCLUDED, np.int16), np.full(len(usable), np.nan)
    if most < settings.clusters[0] or len(own) < settings.least_neurons:
        label[usable] = 0
        return Types(label, stability, int(usable.any()))
    with threadpool_limits(1):
        tried = [_try(seeds, k, settings) for k in range(settings.clusters[0], most + 1)]
    chosen = _choose([one.row for one in tried], settings.tolerance)
    label[usable] = by_size(tried[chosen].label)
    stability[usable] = _overlap(tried[chosen].label, tried[chosen].others)
    return Types(label, stability, int(tried[chosen].row["clusters"]), [one.row for one in tried])


def silhouette(codes: np.ndarray, clusters: int, settings: Settings) -> float:
    """Return the mean silhouette (cosine distance) of k-means of unit vectors, NaN where there are too few.

    codes  (neuron, feature); neurons with NaN do not count
    """
    own = codes[np.isfinite(codes).all(1)]
    if len(own) <= clusters or clusters < 2 or _distinct(own) < 2:
        return float("nan")
    with threadpool_limits(1):
        return _silhouette(own, cluster(own, clusters, settings.seed)[0], settings.seed)


def cluster(codes: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (neuron,) and centres (cluster, feature) of k-means; fewer clusters where fewer codes differ."""
    found = KMeans(min(clusters, _distinct(codes)), n_init=_STARTS, random_state=seed).fit(codes)
    return np.asarray(found.labels_), np.asarray(found.cluster_centers_)


def by_size(label: np.ndarray) -> np.ndarray:
    """Return labels (neuron,) numbered by the size of their cluster, largest first, EXCLUDED left as it is."""
    names, count = np.unique(label[label != EXCLUDED], return_counts=True)
    rank = {int(name): place for place, name in enumerate(names[np.argsort(-count, kind="stable")])}
    return np.array([rank.get(int(one), EXCLUDED) for one in label], np.int16)


def renamed(reference: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return labels (neuron,) with the numbers of the reference's clusters they share most neurons with (Hungarian)."""
    both = (reference != EXCLUDED) & (label != EXCLUDED)
    size = int(max(reference.max(), label.max(), 0)) + 1
    table = np.zeros((size, size), int)
    np.add.at(table, (label[both], reference[both]), 1)
    name = linear_sum_assignment(table, maximize=True)[1]
    return np.where(label == EXCLUDED, EXCLUDED, name[label]).astype(np.int16)


def display_order(codes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return neuron numbers by type, within a type those nearest its mean code first, excluded ones last, (neuron,)."""
    closeness = np.zeros(len(label))
    for name in np.unique(label[label != EXCLUDED]):
        mine = label == name
        closeness[mine] = codes[mine] @ codes[mine].mean(0)
    return np.lexsort((-closeness, np.where(label == EXCLUDED, np.iinfo(np.int16).max, label)))


def purity(label: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of neurons whose true type is the most frequent of their cluster; both (neuron,)."""
    kept = label != EXCLUDED
    most = [np.bincount(truth[kept & (label == name)]).max() for name in np.unique(label[kept])]
    return float(sum(most) / kept.sum()) if kept.any() else float("nan")


def rand(first: np.ndarray, second: np.ndarray) -> float:
    """Return the adjusted Rand index over neurons that both label, (neuron,) each; NaN for fewer than two."""
    both = (first != EXCLUDED) & (second != EXCLUDED)
    return float(adjusted_rand_score(first[both], second[both])) if both.sum() > 1 else float("nan")


def _try(seeds: Sequence[np.ndarray], clusters: int, settings: Settings) -> _Clustered:
    """Cluster all seeds, and resampled neurons; seeds (neuron, feature), the best first."""
    generator = np.random.default_rng([settings.seed, clusters])
    labels = [_labels(one, clusters, settings.seed + place) for place, one in enumerate(seeds)]
    drawn = [_resampled(seeds[0], clusters, generator) for _ in range(settings.bootstrap)]
    row = {
        "clusters": clusters,
        "silhouette": _silhouette(seeds[0], labels[0], settings.seed),
        "ari_seeds": _between(labels),
        "ari_bootstrap": float(np.mean([rand(labels[0], one) for one in drawn])),
    }
    return _Clustered(labels[0], labels[1:] or drawn, row | _null(seeds, clusters, settings, generator))


def _null(
    seeds: Sequence[np.ndarray], clusters: int, settings: Settings, generator: np.random.Generator
) -> dict[str, float]:
    """Return agreement and silhouettes of codes whose features are permuted over neurons, each by itself.

    ari_null      between permutations: neurons share nothing, features have their distributions
    ari_marginal  between two seeds permuted alike (with one seed, resampled neurons): what single features alone make
                  stable, without their combinations; features of few distinct values make much
    """
    firsts, alike, silhouettes = [], [], []
    for _ in range(settings.permutations):
        parts = _permuted(seeds[:2], generator)
        labels = [_labels(one, clusters, settings.seed + place) for place, one in enumerate(parts)]
        if len(parts) == 1:
            labels.append(_full(parts[0], _resampled(_usable(parts[0]), clusters, generator)))
        kept = labels[0] != EXCLUDED
        silhouettes.append(_silhouette(parts[0][kept], labels[0][kept], settings.seed))
        alike.append(rand(*labels))
        firsts.append(labels[0])
    means = (_between(firsts), float(np.mean(alike)), float(np.mean(silhouettes)))
    return dict(zip(("ari_null", "ari_marginal", "silhouette_null"), means))


def _choose(rows: Sequence[dict[str, float]], tolerance: float) -> int:
    stable = np.array([r["ari_seeds"] if np.isfinite(r["ari_seeds"]) else r["ari_bootstrap"] for r in rows])
    silhouettes = np.array([r["silhouette"] for r in rows])
    return int(np.where(stable >= stable.max() - tolerance, silhouettes, -np.inf).argmax())


def _labels(codes: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Return labels (neuron,) of codes of which some may be NaN."""
    own = _usable(codes)
    return _full(codes, cluster(own, clusters, seed)[0]) if len(own) else np.full(len(codes), EXCLUDED)


def _usable(codes: np.ndarray) -> np.ndarray:
    return np.asarray(codes[np.isfinite(codes).all(1)])


def _full(codes: np.ndarray, label: np.ndarray) -> np.ndarray:
    out = np.full(len(codes), EXCLUDED)
    out[np.isfinite(codes).all(1)] = label
    return out


def _resampled(codes: np.ndarray, clusters: int, generator: np.random.Generator) -> np.ndarray:
    """Return labels of all neurons by the nearest centre of clusters of neurons drawn with replacement, (neuron,)."""
    rows = generator.integers(0, len(codes), len(codes))
    centres = cluster(codes[rows], clusters, int(generator.integers(2**31)))[1]
    return np.asarray(((codes[:, None] - centres) ** 2).sum(-1).argmin(1))


def _permuted(seeds: Sequence[np.ndarray], generator: np.random.Generator) -> list[np.ndarray]:
    common = np.flatnonzero(np.all([np.isfinite(one).all(1) for one in seeds], axis=0))
    order = np.stack([generator.permutation(common) for _ in range(seeds[0].shape[1])], axis=1)
    return [unit(np.take_along_axis(one, order, axis=0)) for one in seeds]


def _between(labels: Sequence[np.ndarray]) -> float:
    """Return the mean adjusted Rand index of all pairs, NaN without a pair that shares neurons."""
    found = [rand(one, other) for one, other in combinations(labels, 2)]
    known = [value for value in found if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _silhouette(codes: np.ndarray, label: np.ndarray, seed: int) -> float:
    if not 2 <= len(np.unique(label)) < len(label):
        return float("nan")
    size = min(len(codes), _MOST_COMPARED)
    return float(silhouette_score(codes, label, metric="cosine", sample_size=size, random_state=seed))


def _overlap(label: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean overlap |A and B| / |A or B| of each neuron's clusters, (neuron,), over labelings with it."""
    found = np.full((len(others), len(label)), np.nan)
    for row, other in zip(found, others):
        both = np.flatnonzero(other != EXCLUDED)
        table = np.zeros((label.max() + 1, other.max() + 1))
        np.add.at(table, (label[both], other[both]), 1)
        union = table.sum(1, keepdims=True) + table.sum(0) - table
        row[both] = (table / np.maximum(union, 1))[label[both], other[both]]
    count = np.isfinite(found).sum(0)
    return np.asarray(np.divide(np.nansum(found, axis=0), count, out=np.full(len(label), np.nan), where=count > 0))


def _distinct(codes: np.ndarray) -> int:
    return len(np.unique(np.round(codes, 6), axis=0))
