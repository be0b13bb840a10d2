"""Small DUNL datasets, made once."""

import pytest
from dunl_data import rewards, two_kernels


@pytest.fixture(scope="session")
def dunl_structured(tmp_path_factory):
    """120 trials of two neurons, each with two kernels at known times."""
    return two_kernels(tmp_path_factory.mktemp("structured"), 120, neurons=2)


@pytest.fixture(scope="session")
def dunl_rewards(tmp_path_factory):
    """84 trials of three dopamine neurons, half of the rewards announced by a cue."""
    return rewards(tmp_path_factory.mktemp("rewards"), 84, 3)
