from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from pellucid.artifacts import Results, write_table

from .settings import Settings


def draw(results: Results, settings: Settings, folder: Path) -> None:
    influence = results.attribution["attribution/influence"].values
    with matplotlib.rc_context({"svg.hashsalt": "toy"}):
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.bar(range(len(influence)), influence)
        figure.savefig(folder / "influence.svg", metadata={"Date": None})
        figure.savefig(folder / "influence.png", dpi=settings.dpi)
    write_table(folder / "influence.csv", [{"feature": i, "influence": v} for i, v in enumerate(influence)])
    (folder / "influence.txt").write_text(f"Influence of each feature in {results.analysis}.\n")
