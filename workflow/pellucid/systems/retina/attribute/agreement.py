"""Whether networks of other seeds and experiments find the same circuits, by the labels of their channels."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from pellucid.learning.metrics import pearson

DRAWS = 200
"""Random circuits of the same sizes behind the chance level of an overlap."""


@dataclass(frozen=True)
class Member:
    """What one network says of one phenomenon.

    model, seed  of its fit
    labels       of its channels
    kept         channels of its smallest sufficient circuit, none without a response
    courses      (sample, feature) contributions, mean over cells; conditions and times in the order of all members
    """

    model: str
    seed: int
    labels: Sequence[str]
    kept: Sequence[int]
    courses: np.ndarray

    def by_label(self) -> dict[str, np.ndarray]:
        """Return contributions summed over the channels of each label, label -> (sample,)."""
        names = sorted(set(self.labels))
        return {name: self.courses[:, [own == name for own in self.labels]].sum(1) for name in names}


def group(members: Mapping[str, Sequence[Member]], seed: int) -> xr.Dataset:
    """Return the agreement of all pairs of networks as JSON in attributes.

    members  phenomenon -> networks
    circuits  one row per phenomenon and network: labels of its sufficient circuit, size
    pairs     one row per phenomenon and pair of which one responds: jaccard of the two circuits' labels, chance (mean
              jaccard of random circuits of the same sizes), same (equal sets); experiments: whether the models differ
    courses   one row per phenomenon, pair and label both have: r of the contributions over conditions and time
    """
    rng = np.random.default_rng(seed)
    circuits, pairs, courses = [], [], []
    for name, found in members.items():
        circuits += [
            {"phenomenon": name, "model": one.model, "seed": one.seed, "labels": kept(one), "size": len(one.kept)}
            for one in found
        ]
        for one, other in combinations(found, 2):
            if not one.kept and not other.kept:
                continue
            about = {"phenomenon": name} | _pair(one, other)
            pairs.append(
                about
                | {"jaccard": jaccard(kept(one), kept(other)), "chance": chance(one, other, rng)}
                | {"same": set(kept(one)) == set(kept(other))}
            )
            courses += [about | {"label": label, "r": r} for label, r in correlations(one, other)]
    return xr.Dataset(attrs={name: json.dumps(rows) for name, rows in
                             (("circuits", circuits), ("pairs", pairs), ("courses", courses))})  # fmt: skip


def kept(member: Member) -> list[str]:
    """Return the labels of a circuit, each once, in the order of its channels."""
    return list(dict.fromkeys(member.labels[channel] for channel in member.kept))


def jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    """Return |A and B| / |A or B| of two sets of labels, 1 for two empty ones."""
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def chance(one: Member, other: Member, rng: np.random.Generator) -> float:
    """Return the mean Jaccard index of circuits of the same sizes drawn at random from both networks' channels."""

    def drawn(member: Member) -> list[str]:
        return [member.labels[k] for k in rng.choice(len(member.labels), len(member.kept), replace=False)]

    return float(np.mean([jaccard(drawn(one), drawn(other)) for _ in range(DRAWS)]))


def correlations(one: Member, other: Member) -> Iterator[tuple[str, float | None]]:
    """Yield each label that both networks have, and the correlation of its contributions, None if undefined.

    Nothing is yielded for networks whose stimuli differ in length, as those for other images do.
    """
    mine, theirs = one.by_label(), other.by_label()
    for label in mine:
        if label in theirs and len(mine[label]) == len(theirs[label]):
            both = np.stack([mine[label], theirs[label]], axis=1)
            both = both[np.isfinite(both).all(1)].astype(float)
            r = float(pearson(both[:, :1], both[:, 1:])[0]) if len(both) > 1 else float("nan")
            yield label, r if np.isfinite(r) else None


def _pair(one: Member, other: Member) -> dict[str, Any]:
    return {
        "model_a": one.model, "seed_a": one.seed, "model_b": other.model, "seed_b": other.seed,
        "experiments": one.model != other.model,
    }  # fmt: skip
