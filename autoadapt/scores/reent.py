"""Regional entropy, in all readings of the paper's equation."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autoadapt.scores._sums import divergence, kept, log_classes
from autoadapt.scores.base import Float, RegionStatistics, Score, Statistics


@dataclass(frozen=True)
class Reent(Score):
    """Smoothness of the predictions inside regions of similar appearance.

    Equation 4 as printed rewards uncertain networks, against the text around it, so every reading
    is there. With A_r the pixels of region r, S_rc = sum p and T_rc = sum p log p over them:

    - ``printed``: sum over r and c of T_rc / (C log A_r), never positive; the equation as it
      stands. Its smallest value is the uniform prediction's.
    - ``flip``: the same with its sign repaired, never negative: an entropy of the pixels that
      weighs regions. The default.
    - ``loc``: -1/C times the sum over c of Hloc_rc / log A_r, with Hloc_rc the entropy over
      locations of p / S_rc, in [-1, 0] per region: what the text describes. A class without any
      mass in the region counts as evenly spread.
    - ``mass``: as ``loc``, each class weighted by its share S_rc / A_r instead of 1/C; equal to
      -1 + I_r / log A_r with I_r the Jensen-Shannon divergence inside the region.

    Smaller is better in each (``printed``: as the paper has it). Scores of images are averaged.

    Source: AutoAdapt (arXiv 2106.13227), equations 4 and 5.

    Attributes:
        variant: The reading.
        reduction: How the regions of one image are put together; ``sum`` is the paper's, ``mean``
            does not depend on their number.
        smallest: Regions of fewer pixels are left out; one pixel would divide by log 1.
    """

    summary: ClassVar[str] = "entropy inside regions of similar appearance; smooth is small"

    variant: Literal["flip", "printed", "loc", "mass"] = "flip"
    reduction: Literal["mean", "sum"] = "mean"
    smallest: Annotated[int, Field(ge=2)] = 16

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        log_classes(statistics.regions)
        of_image = np.mean if self.reduction == "mean" else np.sum
        images = [
            of_image(self._values(image, kept(image, self.smallest)))
            for image in statistics.regions
        ]
        return float(np.mean(images))

    def _values(self, image: RegionStatistics, large: NDArray[np.bool_]) -> Float:
        """Return one value per large region."""
        log_areas = np.log(image.areas[large])
        values: Float
        if self.variant == "loc":
            values = -(location_entropy(image, large) / log_areas[:, None]).mean(1)
        elif self.variant == "mass":
            values = divergence(image)[large] / log_areas - 1.0
        else:
            values = image.pixel_entropy[large] / (image.p_sum.shape[1] * log_areas)
        return 0.0 - values if self.variant == "printed" else values


def location_entropy(image: RegionStatistics, large: NDArray[np.bool_]) -> Float:
    """Return the entropy over locations of each class inside the large regions in nats."""
    areas, p_sum = image.areas[large][:, None], image.p_sum[large]
    log_areas = np.broadcast_to(np.log(areas), p_sum.shape)
    # The CPU kernel never returns less than 1e-38 per pixel: that is an absent class, too.
    present = p_sum > 1e-30 * areas
    mass = np.where(present, p_sum, 1.0)
    values = np.log(mass) - image.plogp_sum[large] / mass
    return np.where(present, np.clip(values, 0.0, log_areas), log_areas)
