"""How well a classifier tells the domains apart."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from autoadapt.scores._density import regression
from autoadapt.scores._domains import Space, domain_samples
from autoadapt.scores.base import Float, Score, Statistics


@dataclass(frozen=True)
class DomainAuc(Score):
    """Area under the ROC curve of a logistic regression between source and target locations.

    Smaller is better: the domains look alike; 0.5 is chance, 1 perfect separation, values below
    0.5 are chance, too. Every second image of both domains is held out from the fit, then the
    others; the value is the mean of both. A collapsed network has domains that look alike.

    Source: Ben-David et al., "A theory of learning from different domains", 2010, for the
    proxy A-distance.

    Attributes:
        space: ``features`` compares deep features, ``outputs`` class probabilities.
        measure: ``auc``, or the proxy A-``distance`` 2 (1 - 2 error) with the mean error rate of
            both domains, in [-2, 2].
    """

    summary: ClassVar[str] = "how well a linear classifier tells the domains apart"

    space: Space = "features"
    measure: Literal["auc", "distance"] = "auc"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two images of a domain, or values that are not finite.
        """
        pair = domain_samples(statistics, self.space)
        images = [np.arange(len(values)) // statistics.per_image for values in pair]
        if min(int(numbers[-1]) for numbers in images) < 1:
            raise ValueError("expected at least 2 images per domain")
        folds = []
        for fold in (0, 1):
            fitted = [values[n % 2 != fold] for values, n in zip(pair, images, strict=True)]
            unseen = [values[n % 2 == fold] for values, n in zip(pair, images, strict=True)]
            folds.append(self._apart(*separated(fitted, unseen)))
        return float(np.mean(folds))

    def _apart(self, source: Float, target: Float) -> float:
        if self.measure == "auc":
            return area(source, target)
        error = ((source > 0).mean() + (target <= 0).mean()) / 2.0
        return float(2.0 * (1.0 - 2.0 * error))


def separated(fitted: list[Float], unseen: list[Float]) -> tuple[Float, Float]:
    """Return log odds of "target" for unseen source (m,) and target (n,) samples.

    Args:
        fitted: Source and target samples, each (k, D), for the fit.
        unseen: Other ones.
    """
    pooled = np.concatenate(fitted)
    centre, unit = pooled.mean(0), np.maximum(pooled.std(0), 1e-12)
    target: NDArray[np.bool_] = np.arange(len(pooled)) >= len(fitted[0])
    weights, offset = regression((pooled - centre) / unit, target)
    # Equal numbers of both domains: the offset should not know which is larger.
    balance = float(np.log(len(fitted[1]) / len(fitted[0])))
    source, other = ((values - centre) / unit @ weights + offset - balance for values in unseen)
    return source, other


def area(low: Float, high: Float) -> float:
    """Return the chance that one of ``high`` (n,) exceeds one of ``low`` (m,); ties count half."""
    ranks = rankdata(np.concatenate([low, high]))[len(low) :]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2.0) / (len(low) * len(high)))
