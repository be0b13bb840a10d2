"""Networks that see one band only: does what a band can tell alone agree with its influence in the whole network?"""

from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import panels, shown
from pellucid.systems.deepinsight.figures.settings import Settings


def one_band(results: Results, settings: Settings, folder: Path) -> None:
    """Draw 1 / loss of every one-band network against its band, and against the band's influence."""
    group, bands = shown.group(results, "one_band"), shown.group(results, "band")
    frequencies, terms = group["frequency"].values, list(group["output"].values)
    influences = bands["influence"].reindex(frequency=frequencies, method="nearest", tolerance=1e-3)
    made, axes = style.figure(2, len(terms), width=max(4.2, 3.0 * len(terms) + 0.6), height=5.0)
    table: shown.Rows = []
    for place, (upper, lower, term) in enumerate(zip(*axes, terms)):
        inverse, influence = 1 / group["loss"].sel(output=term).values, influences.sel(output=term).values
        upper.plot(frequencies, inverse, "o-", color="0.25", markersize=3)
        panels.bands(upper, frequencies)
        style.label(upper, "frequency (Hz)", "1 / test loss, one band" if place == 0 else "", term)
        drawn = lower.scatter(influence, inverse, c=frequencies, cmap="viridis", s=16, norm=LogNorm())
        rho, p = (float(group[key].sel(output=term).values) for key in ("spearman", "p"))
        lower.set_title(f"rho = {rho:.2f}, {shown.p_value(p)}" if np.isfinite(rho) else "rho undefined", fontsize=8)
        style.label(lower, "influence in the network\nof all bands", "1 / test loss, one band" if place == 0 else "",
                    lower.get_title())  # fmt: skip
        table += [
            {"output": term, "frequency_hz": hz, "inverse_loss": a, "influence": b, "spearman": rho, "p": p}
            for hz, a, b in zip(frequencies, inverse, influence)
        ]
    made.colorbar(drawn, ax=list(axes[1]), label="frequency (Hz)", pad=0.01)
    caption = (
        f"Networks trained on one band each, n = {int(group.attrs.get('n', len(frequencies)))} bands: inverse of "
        f"their mean test loss against the band (above) and against the band's influence in model "
        f"{shown.explained(results, settings)} (below). rho: Spearman's rank correlation; its p takes neighbouring "
        f"bands for independent. Points without intervals: one mean over folds, seeds and test rows each."
    )
    style.save(made, folder, "one_band", table, caption, dpi=settings.dpi)
