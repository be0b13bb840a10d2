"""The toy system in place of the real ones, for tests of what all systems share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pellucid import config, systems

TOY = Path(__file__).parents[1] / "toy"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Know the systems `toy` and `twin` only; gives the folder with their configuration."""
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setattr(systems, "SYSTEMS", {"toy": "system", "twin": "system"})
    config.model.cache_clear()
    yield TOY
    config.model.cache_clear()
