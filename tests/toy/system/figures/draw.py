from pathlib import Path

from pellucid.artifacts import Results, write_table

from .settings import Settings


def draw(results: Results, settings: Settings, folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    influence = results.attribution["attribution/influence"].values
    with pyplot.rc_context({"svg.hashsalt": "toy"}):
        figure, axes = pyplot.subplots(figsize=(3, 2))
        axes.bar(range(len(influence)), influence)
        figure.savefig(folder / "influence.svg", metadata={"Date": None})
        figure.savefig(folder / "influence.png", dpi=settings.dpi)
        pyplot.close(figure)
    write_table(folder / "influence.csv", [{"feature": i, "influence": v} for i, v in enumerate(influence)])
    (folder / "influence.txt").write_text(f"Influence of each feature in {results.analysis}.\n")
