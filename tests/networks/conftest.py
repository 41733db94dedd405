"""Small architectures that the network tests share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from autoadapt.space.architecture import Architecture

Maker = Callable[..., Architecture]

# Widths all differ, so that a swapped stage cannot go unseen.
BASE: dict[str, Any] = {
    "stem.kind": "conv",
    "stem.width": 6,
    "block": "basic",
    "norm": "bn",
    "output_stride": 8,
    "head.kind": "aspp_sum",
    "head.rates": [1, 2],
    "aux": True,
} | {
    f"stage{stage}.{key}": value
    for stage, width in enumerate((8, 10, 12, 14), start=1)
    for key, value in {
        "depth": 1,
        "width": width,
        "kernel": 3,
        "dilation": [1],
        "se": False,
    }.items()
}


@pytest.fixture(scope="session")
def tiny() -> Maker:
    """Returns a maker of small architectures: changes by key, None removes a key."""

    def make(changes: dict[str, Any] | None = None) -> Architecture:
        values = {k: v for k, v in (BASE | (changes or {})).items() if v is not None}
        return Architecture.of("elastic_deeplab", values)

    return make


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Gives every test the same random tensors, whatever ran before it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield
