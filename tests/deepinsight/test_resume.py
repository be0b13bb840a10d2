"""A fit that is killed between epochs goes on from its checkpoint and ends with the same bytes."""

import shutil

import pytest

from killed_fit import check_resumes
from pellucid.stages.preprocess import collect_features

SETTINGS = {"filters": 8, "merge_filters": 8, "units": 16, "schedule": {"epochs": 6, "steps": 20, "batch": 4}}


@pytest.mark.slow
def test_a_killed_fit_ends_with_the_same_bytes(small, tmp_path):
    analysis = tmp_path / "results/analyses/small"
    shutil.copytree(small.folder / "features" / "r.zarr", analysis / "features" / "r.zarr")
    collect_features(
        "deepinsight",
        small.settings.model_dump(),
        [analysis / "features" / "r.zarr"],
        analysis / "features.json",
    )
    check_resumes("deepinsight", SETTINGS, tmp_path)
