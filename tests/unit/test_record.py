"""Which outputs of Snakemake are signed as which stages of DVC."""

import pytest

from pellucid import engines

KNOWN = {"simulate": {"rat": {}}, "fetch": {"linear": {}}}
HEADER = "output_file\tdate\trule\tlog-file(s)\tstatus\tplan"


def line(output: str, status: str = "ok", plan: str = "no update") -> str:
    return f"{output}\tSat\trule\tlog\t{status}\t{plan}"


@pytest.mark.parametrize(
    ("output", "stage"),
    [
        ("data/raw/rat", "simulate@rat"),
        ("data/raw/linear", "fetch@linear"),
        ("results/recordings/mice/m1.zarr", "convert@m1"),
        ("results/analyses/a/features/m1.zarr", "preprocess@a"),
        ("results/analyses/a/features.json", "preprocess@a"),
        ("results/analyses/a/fits/main/0-1", "fit@a"),
        ("results/analyses/a/fits.json", "fit@a"),
        ("results/analyses/a/metrics.json", "evaluate@a"),
        ("results/analyses/a/predictions.zarr", "evaluate@a"),
        ("results/analyses/a/attribution.zarr", "attribute@a"),
        ("results/analyses/a/figures", "figures@a"),
        ("results/reports/demo/pages/a", "figures@a"),
        ("results/reports/demo/index.html", "report"),
        ("elsewhere", None),
    ],
)
def test_every_output_has_its_stage(output, stage):
    assert engines.stage_of(output, KNOWN) == stage


def test_a_stage_is_signed_only_if_all_its_outputs_are_fresh():
    fresh = [line("results/analyses/a/fits/main/0-0"), line("results/analyses/a/metrics.json")]
    stale = line("results/analyses/a/fits/main/1-0", plan="update pending")
    assert engines.fresh(["noise", HEADER, *fresh], KNOWN) == {"fit@a", "evaluate@a"}
    assert engines.fresh([HEADER, *fresh, stale], KNOWN) == {"evaluate@a"}
    assert engines.fresh([HEADER, stale, *fresh], KNOWN) == {"evaluate@a"}
    assert engines.fresh([HEADER, line("data/raw/rat", status="missing")], KNOWN) == set()
    assert engines.fresh([], KNOWN) == set()
