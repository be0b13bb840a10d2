"""What the data can tell apart: similarity of kernels, overlap of their events, and what the fit loses without each."""

import json
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from pellucid import schema
from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.dunl.figures import panels, shown
from pellucid.systems.dunl.figures.settings import Settings

MATRICES = {
    "coherence": "similarity |<h, h'>|",
    "best_lag_coherence": "similarity, best lag",
    "overlap": "overlap of events",
}


def matrices(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the similarity of kernels and the overlap of their events as matrices with their numbers."""
    group, names = schema.group(results.attribution, "identifiability"), shown.kernels(results)
    drawn = {key: title for key, title in MATRICES.items() if key in group}
    made, axes = panels.grid(len(drawn), width=1.5 + 0.42 * len(names), height=1.3 + 0.42 * len(names))
    table = []
    for axis, (key, title) in zip(axes, drawn.items()):
        values = group[key].values
        panels.cells(axis, values, names, title)
        table += [
            {"matrix": key, "kernel": names[i], "other": names[j], "value": values[i, j]}
            for i, j in np.ndindex(values.shape)
        ]
    angles = json.loads(group.attrs["angles_deg"])
    caption = (
        f"What tells the kernels of model {settings.model} apart (no units). Similarity: absolute inner product of "
        "unit-norm kernels, at the same start and at the best lag. Overlap: share of the events of the kernel of the "
        "row within one kernel length of another event, of the kernel of the column. No interval, no null. "
    )
    if "condition" in group:
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in zip(names, group["condition"].values))
        caption += f"Condition numbers of the Gram matrix of kernels that are active together: {numbers}. "
    caption += "".join(f"{text} " for text in json.loads(group.attrs["ambiguity"]))
    if angles:
        caption += f"Principal angles to the true span: {', '.join(f'{angle:.1f}' for angle in angles)} degrees."
    style.save(made, folder, "identifiability", table, caption, dpi=settings.dpi)


_REMOVED = ("removed", "removed_low", "removed_high")
_REPLACED = ("replaced", "replaced_low", "replaced_high")


def faithfulness(results: Results, settings: Settings, folder: Path) -> None:
    """Draw how much worse the trials are explained without each kernel, and with its share from another trial."""
    group, names = schema.group(results.attribution, "faithfulness"), shown.kernels(results)
    found = {name: group[name].values for name in (*_REMOVED, *_REPLACED)}
    made, axes = style.figure(1, 1, width=5.0, height=0.9 + 0.34 * len(names))
    axis, place = axes[0, 0], np.arange(len(names))
    axis.barh(
        place, found["removed"], height=0.55, color=[shown.colour(index) for index in range(len(names))], alpha=0.8
    )
    axis.hlines(place - 0.12, found["removed_low"], found["removed_high"], color="black", linewidth=1.2)
    axis.hlines(place + 0.12, found["replaced_low"], found["replaced_high"], color=style.GREY, linewidth=1.2)
    axis.plot(found["replaced"], place + 0.12, "D", color="white", markeredgecolor="black", markersize=5, zorder=5)
    axis.axvline(0, color=style.GREY, linewidth=0.8)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_yticks(place, names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    style.label(axis, "increase of negative log-likelihood per bin", "")
    panels.legend(
        made,
        {
            "kernel removed": panels.patch("0.6"),
            "95 % interval": panels.line("black"),
            "from another\ntrial": panels.line("black", marker="D", markerfacecolor="white", linestyle="none"),
        },
    )
    table = [
        {"kernel": name, **{key: values[index] for key, values in found.items()}} for index, name in enumerate(names)
    ]
    caption = (
        "Is each share of the drive needed? Mean increase of the negative log-likelihood per valid bin of test trials "
        f"when the share of one kernel of model {settings.model} is taken out (bars, 95 % interval), and when it is "
        "replaced by the share it has in another trial drawn at random (diamonds); lines: 95 % intervals over trials. "
        "0: no loss."
    )
    style.save(made, folder, "faithfulness", table, caption, dpi=settings.dpi)
