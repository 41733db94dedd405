"""Nothing in these tests changes, or depends on, PyTorch's global random state."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def own_randomness() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
