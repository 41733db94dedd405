"""Target accuracy estimated from agreement, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._pool import accuracy_on_the_line
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class AlineD(Score):
    """Minus the pixel accuracy on the target that agreement on the line predicts.

    After a probit, agreement of pairs on the target is a line over their agreement on held-out
    source images, and accuracy lies on the same line. Every pair then says what the mean of its
    two target accuracies is; all of them are solved by least squares. Accuracy is better when
    larger, so it is **negated**: smaller is better. Where accuracy is not on the line, such as
    after adaptation, the estimate has no ground. It needs the whole pool, and is missing in a
    search.

    Source: ALine-D (arXiv 2206.13089, "Agreement-on-the-Line").
    """

    summary: ClassVar[str] = "minus the accuracy estimated from the agreement of all pairs"

    @property
    def needs(self) -> frozenset[Need]:
        """The whole pool, and labelled source images that training does not see."""
        return frozenset({"pool", "held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The pool or held-out images are not known, or there are fewer than three
                candidates.
        """
        pool = needed(statistics.pool, "pool")
        needed(pool.held_out_agreement, "held_out")
        return 0.0 - float(accuracy_on_the_line(pool)[statistics.place])
