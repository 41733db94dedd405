"""Distance of the predicted classes from those of the source."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._priors import mean_prediction, relative_entropy
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class PriorKl(Score):
    """KL(q || s) in nats of the mean target prediction q and the class shares s of the source.

    Smaller is better: the predicted classes are as frequent as in the source labels; 0 where they
    are exactly so. A constant prediction of the shares reaches it, and so does noise in them;
    domains differ in their classes, so the truth is not at 0. Above a limit it is the guard
    ``collapse``.

    Source: the hinge of ``scores.md`` 1.7, as a score.
    """

    summary: ClassVar[str] = "distance of the mean prediction from the class shares of the source"

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
        return relative_entropy(mean_prediction(statistics.regions), prior)
