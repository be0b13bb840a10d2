"""Models that differ in one setting only, such as the length of the window."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pellucid.artifacts import Results
from pellucid.systems.cortex.figures import shown
from pellucid.systems.cortex.figures.settings import Settings

NO_MATTER = ("device", "memory_mb", "preset")
"""Settings that do not change what a model is; a preset has been filled in."""


@dataclass(frozen=True)
class Family:
    """Models that differ in one setting only: their name, and the model at each value of the setting, rising."""

    label: str
    null: bool
    models: Mapping[float, str]


def of(results: Results, settings: Settings, key: str) -> list[Family]:
    """Return the families of models with a defined AUC that differ in the setting `key`, two values each at least."""
    about = shown.about(results)
    together: dict[str, list[str]] = {}
    for model in shown.with_score(results, "auc"):
        together.setdefault(_rest(about[model], key), []).append(model)
    found = []
    for models in together.values():
        label = settings.model if settings.model in models else models[0]
        values = {float(about[model][key]): model for model in reversed(models)}
        values[float(about[label][key])] = label
        found.append(Family(label, label in shown.nulls(results), {value: values[value] for value in sorted(values)}))
    return [family for family in found if len(family.models) > 1]


def _rest(settings: Mapping[str, Any], key: str) -> str:
    """Return all settings but one as text."""
    return json.dumps({k: v for k, v in settings.items() if k not in (key, *NO_MATTER)}, sort_keys=True)
