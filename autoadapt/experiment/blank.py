"""Data sets of the right sizes without a single image: enough for a method to say what it lacks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.load import make
from autoadapt.config.settings import (
    AdaptSettings,
    DataSettings,
    ExperimentSettings,
    SearchSettings,
    Size,
)
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.views import joined
from autoadapt.errors import ConfigError
from autoadapt.experiment.trial import Domains, training_data
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.uda.base import Method


@dataclass(frozen=True)
class NoRows:
    """No arrays, of a shape."""

    shape: tuple[int, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def broken(self) -> dict[int, str]:
        """Nothing."""
        return {}

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return nothing; there is nothing to ask for."""
        return np.zeros((len(indices), *self.shape), np.uint8)

    def fill(self, result: NDArray[np.uint8], indices: Sequence[int]) -> None:
        """Do nothing."""


def blank_domains(data: DataSettings, classes: tuple[str, ...]) -> Domains:
    """Return both domains without images, with their sizes and the names of sources."""
    first = labelled(data.size_of("source"), classes)
    further = {
        name: labelled(data.size_of(f"further_sources.{name}"), classes)
        for name in data.further_sources
    }
    target = unlabelled(data.size_of("target"))
    return Domains(classes, joined(first, *further.values()), target, first, further)


def labelled(size: Size, classes: tuple[str, ...]) -> LabelledImages:
    """Return no labelled images of a size."""
    return LabelledImages(classes, NoRows(size), (), unlabelled(size))


def unlabelled(size: Size) -> UnlabelledImages:
    """Return no images of a size."""
    return UnlabelledImages((), (), NoRows((*size, 3)), ())


def check_methods(
    settings: ExperimentSettings, network: SegmentationNetwork, classes: tuple[str, ...]
) -> None:
    """Let the methods of an experiment say what they lack, as they would before training.

    Args:
        settings: Of the experiment.
        network: The reference of the space; needs no memory.
        classes: Of the task.

    Raises:
        ConfigError: A method cannot train this network on these data sets; says which.
    """
    parts: dict[str, SearchSettings | AdaptSettings] = {"search": settings.search}
    if settings.adapt is not None:
        parts["adapt"] = settings.adapt
    for key, part in parts.items():
        check_method(settings, part, network, classes, key=key)


def check_method(
    settings: ExperimentSettings,
    part: SearchSettings | AdaptSettings,
    network: SegmentationNetwork,
    classes: tuple[str, ...],
    *,
    key: str,
) -> None:
    """Let the method of one part of an experiment say what it lacks; see ``check_methods``."""
    domains = blank_domains(settings.data, classes)
    try:
        method: Method = make("uda", part.method)
        data = training_data(method, domains, settings.data, batch_size=1, seed=settings.seed)
        method.check(network, data)
        method.check_start(part.weights is not None)
    except ConfigError as error:
        raise ConfigError(f"{key}.method: {error}") from None
