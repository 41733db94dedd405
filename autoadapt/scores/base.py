"""What scores are computed from, and the contract of a score."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def entropy(p: Float) -> Float:
    """Return the entropy of the last axis in nats; 0 log 0 = 0."""
    positive = np.where(p > 0, p, 1.0)
    # Adding zero turns the -0.0 of a certain prediction into 0.0.
    result: Float = -(positive * np.log(positive)).sum(-1) + 0.0
    return result


@dataclass(frozen=True)
class RegionStatistics:
    """Sums over the regions of one target image (R regions, C classes).

    What several scores need of them is derived once, when first asked for.

    Attributes:
        areas: (R,) pixels per region.
        p_sum: (R, C) sum of class probabilities, S in ``scores.md``.
        plogp_sum: (R, C) sum of p log p in nats, T in ``scores.md``; 0 log 0 = 0.
        hard: (R, C) pixels whose most probable class this is.
    """

    areas: Float
    p_sum: Float
    plogp_sum: Float
    hard: Float

    @cached_property
    def mean_prediction(self) -> Float:
        """(R, C) mean of the class probabilities; 0 in an empty region."""
        mean: Float = self.p_sum / np.maximum(self.areas, 1.0)[:, None]
        return mean

    @cached_property
    def mean_entropy(self) -> Float:
        """(R,) entropy of the mean prediction in nats; 0 in an empty region."""
        return entropy(self.mean_prediction)

    @cached_property
    def pixel_entropy(self) -> Float:
        """(R,) sum of the entropies of the pixels in nats."""
        total: Float = 0.0 - self.plogp_sum.sum(1)
        return total

    @cached_property
    def class_mass(self) -> Float:
        """(C,) sum of the class probabilities of all pixels."""
        mass: Float = self.p_sum.sum(0)
        return mass


@dataclass(frozen=True)
class Statistics:
    """Everything a label-free score may look at, for one candidate.

    Attributes:
        regions: One entry per target image.
        source_features: (n, D) deep features at fixed source locations.
        target_features: (m, D) deep features at fixed target locations.
        source_outputs: (n, C) class probabilities at the same source locations.
        target_outputs: (m, C) class probabilities at the same target locations.
        costs: ``macs`` and ``params`` of the architecture.
    """

    regions: tuple[RegionStatistics, ...]
    source_features: NDArray[np.float32]
    target_features: NDArray[np.float32]
    source_outputs: NDArray[np.float32]
    target_outputs: NDArray[np.float32]
    costs: dict[str, float]


class Score(ABC):
    """A label-free number about a candidate; smaller is better, always.

    A score is a dataclass: its fields are its options. Calling it raises ``ValueError`` when the
    statistics do not define it; the record then says why, and the score is absent.
    """

    summary: ClassVar[str]

    @abstractmethod
    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
