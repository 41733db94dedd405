"""How sure a network must be of a class for its prediction to become a pseudo-label.

Class-balanced self-training asks, per class, for the confidence that a given portion of the
pixels predicted so exceeds. The published code sorts lists of every fourth confidence; here all
confidences go into histograms, so memory does not depend on the number of images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 4096

EDGES: NDArray[np.float32] = (1 - (1 - np.arange(BINS) / BINS) ** 2).astype(np.float32)
"""Lower edges of the bins of a confidence in [0, 1], exact in float32.

A bin is ``2 sqrt(1 - p) / BINS`` wide: 1.5e-4 at 0.9, 6e-8 just below 1, where trained networks
crowd and equal bins could not tell the surest tenth of the pixels from the rest.
"""


@dataclass
class Confidences:
    """Histograms of the confidence of each pixel in the class it is predicted as.

    Attributes:
        num_classes: ``C``.
        ceilings: (C,) the largest confidence a class can have; 1 unless a prior was multiplied in.
    """

    num_classes: int
    ceilings: Tensor | None = None
    counts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.num_classes, BINS), np.int64)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"counts": torch.from_numpy(self.counts)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take back what ``state_dict`` returned."""
        self.counts = state["counts"].numpy()

    def add(self, probabilities: Tensor) -> None:
        """Count the pixels of a batch, (N, C, H, W)."""
        confidence, label = probabilities.max(dim=1)
        if self.ceilings is not None:
            confidence = confidence / self.ceilings.to(confidence)[label]
        place = bins_of(confidence.float()).add_(label * BINS)
        found = torch.bincount(place.flatten(), minlength=self.num_classes * BINS)
        self.counts += found.reshape(self.num_classes, BINS).cpu().numpy()

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of the pixels that are predicted as each class, (C,)."""
        pixels = self.counts.sum(axis=1)
        shares: NDArray[np.float64] = pixels / max(1, int(pixels.sum()))
        return shares

    def thresholds(
        self, portion: float, *, cap: float | None = None, balanced: bool = True
    ) -> Tensor:
        """Return the confidence that ``portion`` of the pixels of each class reach, (C,) float32.

        Right up to the width of a bin, and never too high, so that no less than the portion
        passes. Arguments and special cases as in ``class_thresholds``.

        Args:
            portion: In [0, 1].
            cap: Upper limit.
            balanced: Whether each class has its own; else one for all, from all pixels.
        """
        counts = self.counts if balanced else self.counts.sum(axis=0, keepdims=True)
        values, _ = class_thresholds(positive(EDGES), counts, portion, cap=cap)
        found = torch.from_numpy(values).expand(self.num_classes)
        return found.clone() if self.ceilings is None else found * self.ceilings.float().cpu()


def bins_of(confidence: Tensor) -> Tensor:
    """Return the bin of each confidence in [0, 1], int64: the last whose edge is not above it."""
    edges = torch.from_numpy(np.append(EDGES, np.float32(np.inf))).to(confidence.device)
    place = ((1 - (1 - confidence).clamp(min=0).sqrt()) * BINS).long().clamp_(0, BINS - 1)
    # Rounding may miss by one.
    place -= (edges[place] > confidence).long()
    place += (edges[place + 1] <= confidence).long()
    return place


def positive(edges: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the edges with half a bin in place of the first, 0: thresholds are divided by."""
    found: NDArray[np.float32] = np.maximum(edges, edges[1] / 2)
    return found


def class_thresholds(
    values: NDArray[np.floating], counts: NDArray[np.int64], portion: float, *, cap: float | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return per class the n-th largest confidence, where n = floor(pixels * portion) (CBST).

    Args:
        values: (K,) confidences in ascending order.
        counts: (C, K) how many pixels of each class have them.
        portion: Share of the pixels of a class that should pass, in [0, 1].
        cap: Upper limit of the thresholds (0.9 in DAST).

    Returns:
        Thresholds (C,) and n (C,). A class without pixels, or with too few for n = 1, has the
        threshold 1.0 whatever the cap: nothing of it passes.
    """
    wanted = np.floor(counts.sum(axis=1) * portion).astype(np.int64)
    from_above = counts[:, ::-1].cumsum(axis=1)
    places = values.size - 1 - (from_above < wanted[:, None]).sum(axis=1)
    found = values[places.clip(min=0)].astype(np.float32)
    if cap is not None:
        found = np.minimum(found, np.float32(cap))
    return np.where(wanted > 0, found, np.float32(1.0)), wanted


def grown(start: float, growth: float, limit: float, index: int) -> float:
    """Return what starts at ``start`` and grows with each round up to ``limit``."""
    return min(start + growth * index, max(start, limit))
