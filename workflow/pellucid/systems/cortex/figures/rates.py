"""Scores beside AUC: how well speed is decoded, and how late onsets and offsets of state 1 are seen."""

from pathlib import Path

from pellucid.artifacts import Results
from pellucid.plotting import style
from pellucid.systems.cortex.figures import listing, panels, shown, tested
from pellucid.systems.cortex.figures.settings import Settings

LATENCIES = {"onset_s": "latency of onsets (s)", "offset_s": "latency of offsets (s)"}
SPEED = {"r": "correlation with speed", "r2": "R² of speed"}


def latency(results: Results, settings: Settings, folder: Path) -> None:
    """Draw the median latency of the decoded onsets and offsets of state 1."""
    models = _models(results, settings, LATENCIES, of_speed=False)
    caption = (
        "Median latency (s) of the decoded transitions into state 1 (onsets) and out of it (offsets), "
        f"{len(models)} decoders; positive: decoded later than the label. "
        f"{_found(results, settings)}"
    )
    nulls = [model for model in models if model in shown.nulls(results)]
    caption += f"Null: {', '.join(nulls)}, scored on its own labels. " if nulls else "Null: none was fitted. "
    _rows(results, settings, folder, "latency", LATENCIES, models, caption)


def _found(results: Results, settings: Settings) -> str:
    """Return the sentence of a caption that says how many transitions have a latency."""
    rows = [row for row in shown.table(results) if row["model"] == settings.model and "onsets" in row]
    total = sum(row["onsets"] + row["offsets"] for row in rows)
    if not total:
        return ""
    found = sum(row["onsets_found"] + row["offsets_found"] for row in rows)
    return f"Transitions without a decoded one near them are left out: {settings.model} has {found} of {total}. "


def has_latency(results: Results) -> bool:
    """Tell whether any decoder has a latency."""
    return bool(_known(results, LATENCIES, of_speed=False))


def speed(results: Results, settings: Settings, folder: Path) -> None:
    """Draw how well the decoders of speed do."""
    models = _models(results, settings, SPEED, of_speed=True)
    caption = (
        f"Decoded against true speed on test frames, {len(models)} decoders: correlation r and R² = 1 - squared error "
        "/ variance (no unit). Null: 0, which the mean speed of the test frames reaches. "
    )
    _rows(results, settings, folder, "speed", SPEED, models, caption)


def has_speed(results: Results) -> bool:
    """Tell whether any model decodes speed."""
    return bool(_known(results, SPEED, of_speed=True))


def _known(results: Results, scores: dict[str, str], *, of_speed: bool) -> list[str]:
    found = [model for score in scores for model in shown.with_score(results, score, of_speed=of_speed)]
    return [model for model in shown.about(results) if model in found]


def _models(results: Results, settings: Settings, scores: dict[str, str], *, of_speed: bool) -> list[str]:
    return shown.kept(results, settings, _known(results, scores, of_speed=of_speed), next(iter(scores)))


def _rows(
    results: Results, settings: Settings, folder: Path, name: str, scores: dict[str, str], models: list[str],
    caption: str,
) -> None:  # fmt: skip
    made, axes = style.figure(1, len(scores), width=6.9, height=listing.height(len(models)), sharey=True)
    table: shown.Rows = []
    remarks = ""
    for axis, (score, text) in zip(axes[0], scores.items()):
        own = listing.draw(axis, results, models, score)
        axis.axvline(0, color="0.55", linewidth=0.8, zorder=0)
        axis.set_xlim(*panels.span(*listing.values(own)))
        style.label(axis, text, "")
        table += own
        remarks += f"{text.capitalize()}: {said}" if (said := listing.remarks(own, axis.get_xlim())) else ""
    panels.legend(made, {"mean": panels.line("black", marker="D")} | panels.of_tests(results))
    caption += (
        f"Dots: fits (folds x seeds), {panels.coloured(results)}; diamond and bar: mean and {tested.said(results)}. "
        + remarks
        + shown.transductive(results, models)
    )
    style.save(made, folder, name, table, caption, dpi=settings.dpi)
