"""One workspace in which everything was made by Snakemake, and one made by DVC; tests work on copies."""

from collections.abc import Callable
from pathlib import Path

import pytest
from workspace import SMALL, Workspace


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace whose default configuration Snakemake has run and recorded."""
    here = Workspace.create(tmp_path_factory.mktemp("built") / "project")
    here.run("snakemake")
    here.commit()
    return here


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace whose small configuration DVC has run."""
    here = Workspace.create(tmp_path_factory.mktemp("reproduced") / "project")
    here.run("dvc", "repro", f"{SMALL}/dvc.yaml")
    here.commit()
    return here


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Workspace], Workspace]:
    """Return a function that gives a copy to work on."""
    return lambda workspace: workspace.copy(tmp_path / "project")
