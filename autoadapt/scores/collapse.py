"""Guards against networks that have given up classes."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from autoadapt.scores._priors import mean_prediction, relative_entropy
from autoadapt.scores.base import Need, Score, Statistics, entropy, needed

LIMITS = {"kl": 0.5, "effective": 0.5, "coverage": 0.6}
"""Where each rule begins, when nothing else is asked for (``scores.md`` 1.7)."""


@dataclass(frozen=True)
class Collapse(Score):
    """How far the predicted classes are beyond what the source's shares allow; 0 within.

    Smaller is better: 0 says nothing, for domains differ in their classes; it is a guard of an
    objective and no score to rank with. With q the mean target prediction and s the shares of the
    source labels:

    - ``kl``: max(0, KL(q || s) - limit), in nats
    - ``effective``: max(0, limit - exp(H(q)) / exp(H(s))), the effective number of classes
    - ``coverage``: max(0, limit - share of the classes of the source that are the most probable
      one at a tenth of their source share of pixels or more)

    Attributes:
        rule: See above.
        limit: Absent: 0.5 nats, 0.5 or 0.6.
    """

    summary: ClassVar[str] = "guard: predicted classes beyond what the source's shares allow"

    rule: Literal["kl", "effective", "coverage"] = "kl"
    limit: Annotated[float, Field(ge=0)] | None = None

    @property
    def needs(self) -> frozenset[Need]:
        """Class shares of the source."""
        return frozenset({"source_prior"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The shares were not measured, there is no target image, or a probability is
                not finite.
        """
        prior = needed(statistics.source_prior, "source_prior")
        limit = LIMITS[self.rule] if self.limit is None else self.limit
        mean = mean_prediction(statistics.regions)
        if self.rule == "kl":
            return max(0.0, relative_entropy(mean, prior) - limit)
        if self.rule == "effective":
            return max(0.0, limit - float(np.exp(entropy(mean) - entropy(prior))))
        hard = np.sum([image.hard.sum(0) for image in statistics.regions], axis=0)
        present = prior > 0
        covered = (hard / hard.sum() >= 0.1 * prior)[present]
        return max(0.0, limit - float(covered.mean()))
