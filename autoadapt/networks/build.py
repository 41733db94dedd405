"""From an architecture to a network."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from autoadapt import plugins, seeding
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture


def build(architecture: Architecture, num_classes: int, *, seed: int = 0) -> SegmentationNetwork:
    """Return a fresh network on the CPU; its weights depend on the three arguments alone.

    The random state of the caller is left as it was.

    Raises:
        SpaceError: A value of the architecture is missing, unknown or malformed.
        ConfigError: There is no such family.
    """
    family = find_family(architecture.family)
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that one would also reseed every GPU of the caller.
        torch.default_generator.manual_seed(seeding.derive(seed, "weights"))
        network: SegmentationNetwork = family(architecture.values, check_classes(num_classes))
    return network


def skeleton(architecture: Architecture, num_classes: int) -> SegmentationNetwork:
    """Return the same network without memory for its weights: shapes only, for counting.

    Raises:
        SpaceError: A value of the architecture is missing, unknown or malformed.
        ConfigError: There is no such family.
    """
    family = find_family(architecture.family)
    with torch.device("meta"), _Uninitialised():
        network: SegmentationNetwork = family(architecture.values, check_classes(num_classes))
    return network


def describe(architecture: Architecture) -> str:
    """Return the architecture in a few sentences of plain English.

    Raises:
        SpaceError: A value of the architecture is missing, unknown or malformed.
        ConfigError: There is no such family.
    """
    text: str = find_family(architecture.family).describe(architecture.values)
    return text


def find_family(name: str) -> Any:
    """Return the class of a network family: built with (values, num_classes), can ``describe``.

    Raises:
        ConfigError: There is no such family.
    """
    return plugins.find("networks.families", name)


def check_classes(num_classes: int) -> int:
    """Return ``num_classes``, or raise ValueError if it is below one."""
    if num_classes < 1:
        raise ValueError(f"a network needs at least one class, got {num_classes}")
    return num_classes


class _Uninitialised(TorchFunctionMode):
    """Skips filling in weights that have no memory: most of the time to build a large network."""

    fillers = frozenset({"kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "fill_"})

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self.fillers:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
