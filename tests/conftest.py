"""Makes the helpers beside this file importable from every test, and runs the slow tests last."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small arrays: more threads are far slower

import hypothesis
import pytest

hypothesis.settings.register_profile("pellucid", deadline=None, derandomize=True)  # a busy machine is no failure
hypothesis.settings.load_profile("pellucid")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests behind the others, so that a simple mistake is seen within seconds."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
