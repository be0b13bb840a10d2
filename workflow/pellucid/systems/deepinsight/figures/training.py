"""How each network learned: training and validation loss per epoch, and the learning rate."""

from pathlib import Path

from matplotlib.ticker import MaxNLocator

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.deepinsight.figures import families, panels, shown
from pellucid.systems.deepinsight.figures.settings import Settings


def curves(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the loss of every network against epochs; the kept epoch is marked."""
    kept = families.compared(results, settings)
    networks = [fit for fit in results.fits if fit.settings["kind"] == "cnn" and fit.model in kept]
    models = list(dict.fromkeys(fit.model for fit in networks))
    made, axes = panels.grid(max(1, len(models)), columns=4, width=3.2, height=2.6, sharey=True)
    table = []
    for fit in networks:
        axis, history = axes[models.index(fit.model)], fit.history()
        epochs = [row["epoch"] + 1 for row in history]
        colour = style.COLOURS[fit.fold % len(style.COLOURS)]
        axis.plot(epochs, [row["training"] for row in history], ":", color=colour)
        axis.plot(
            epochs, [row["validation"] for row in history], color=colour, label=f"fold {fit.fold}, seed {fit.seed}"
        )
        best = min(history, key=lambda row: row["validation"])
        axis.plot(best["epoch"] + 1, best["validation"], "o", color=colour, markersize=4)
        table += [{"model": fit.model, "fold": fit.fold, "seed": fit.seed, **row} for row in history]
    for axis, model in zip(axes, models):
        style.label(axis, "epoch", "weighted loss" if panels.first(axis) else "", model)
        axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
        if len(networks) <= 8 * len(models):
            axis.legend(fontsize=6)
    others = [fit.model for fit in results.fits if fit.settings["kind"] != "cnn"]
    caption = (
        "Training. Loss per epoch on training batches (dotted, with input noise) and on validation rows (solid, "
        "without); the dot marks the epoch whose weights are kept. Validation rows are neither training nor test rows."
        + shown.left_out(results, [*models, *others])
    )
    style.save(made, folder, "training", table, caption, dpi=settings.dpi)
