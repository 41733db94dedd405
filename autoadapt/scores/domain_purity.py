"""How often the nearest neighbours are of the own domain."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from autoadapt.scores._clusters import squared_distances
from autoadapt.scores._domains import Space, domain_samples
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class DomainPurity(Score):
    """Mean share of the nearest neighbours in the pooled sample that are of the own domain.

    In [0, 1]. Smaller is better: the domains are mixed, 0.5; 1 is full separation. Neighbours from
    the same image do not count, and those of the larger domain count less, so that both have the
    same weight. A collapsed network has mixed domains.

    Attributes:
        space: ``features`` compares deep features, ``outputs`` class probabilities.
        neighbours: How many of each location are looked at.
    """

    summary: ClassVar[str] = "share of nearest neighbours that are of the own domain"

    space: Space = "features"
    neighbours: Annotated[int, Field(ge=1)] = 10

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: There are too few locations outside one image, or a value is not finite.
        """
        pair = domain_samples(statistics, self.space)
        images = [np.arange(len(values)) // statistics.per_image for values in pair]
        domain = np.repeat([0, 1], [len(values) for values in pair])
        image = np.concatenate([images[0], images[1] + images[0][-1] + 1])
        distances = squared_distances(np.concatenate(pair))
        distances[image[:, None] == image] = np.inf
        outside = len(image) - statistics.per_image
        if outside < self.neighbours:
            raise ValueError(
                f"expected at least {self.neighbours} locations of other images, found {outside}"
            )
        nearest = np.argpartition(distances, self.neighbours - 1, axis=1)[:, : self.neighbours]
        own = (domain[nearest] == domain[:, None]).mean(1)
        sizes = np.bincount(domain)
        weighted = own / sizes[domain]
        purity = weighted / (weighted + (1.0 - own) / sizes[1 - domain])
        return float(np.mean([purity[domain == one].mean() for one in (0, 1)]))
