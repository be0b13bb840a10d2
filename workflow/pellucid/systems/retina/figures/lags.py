"""When the frames lie that make the responses to the test movie: contributions of each frame of the window."""

from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.retina.figures import panels, shown
from pellucid.systems.retina.figures.settings import Settings

GROUP, VARIABLE = "phenomena/test_movie", "lag_contribution"


def lags(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the mean |contribution| of frames against their time before the response, each cell a line."""
    found = shown.group(results, GROUP)
    values = found[VARIABLE].transpose("seed", "neuron", "lag").values.astype(float)
    names, lag = shown.names(found, values.shape[1]), found["lag"].values.astype(float)
    units = shown.unit(str(found[VARIABLE].attrs.get("units", "1")))
    own, middle = shown.mean(values), shown.mean(values, (0, 1))
    made, axes = style.figure(1, 1, width=5.4, height=2.8)
    axis = axes[0, 0]
    axis.plot(lag, own.T, color="0.7", linewidth=0.8)
    if len(values) > 1:
        each = shown.mean(values, 1)
        axis.fill_between(lag, each.min(0), each.max(0), color="black", alpha=0.2, linewidth=0)
    axis.plot(lag, middle, color="black", linewidth=1.6)
    axis.set_ylim(0, panels.span(own)[1])
    axis.set_xlim(lag[0], 0)
    style.label(axis, "time of the frame before the response (ms)", f"mean |contribution| ({units})")
    entries: dict[str, panels.Artist] = {"mean over cells": panels.line("black"), "a cell": panels.line("0.7")}
    if len(values) > 1:
        entries["range over seeds"] = panels.patch("black", 0.2)
    panels.legend(made, entries)
    table = [{"neuron": name, "lag_ms": at, "contribution": value}
             for name, line in [("mean", middle), *zip(names, own)] for at, value in zip(lag, line)]  # fmt: skip
    model = str(results.attribution.attrs.get("model", settings.model))
    caption = (
        f"Contributions of single frames to the responses of model {model} to the first rows of the test movie: "
        "integrated gradients from the mean grey, summed over space and channels; mean of |contribution| over rows "
        f"({units}), mean over {shown.plural(len(values), 'seed')}; {shown.plural(len(names), 'cell')}. "
        "No interval. Null: a cell that looks back on all frames alike has a flat line."
    )
    style.save(made, folder, "lags", table, caption, dpi=settings.dpi)


def possible(results: Results) -> bool:
    """Tell whether contributions of frames are known."""
    return shown.has(results, GROUP, VARIABLE)
