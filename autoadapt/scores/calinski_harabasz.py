"""Variance ratio of the predicted classes in feature space, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from autoadapt.scores._clusters import predicted_classes
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class CalinskiHarabasz(Score):
    """Minus the log of the ratio of scatter between and inside the predicted classes.

    Of n deep target features in K predicted classes: log((B / (K - 1)) / (W / (n - K))), where B
    sums the squared distances of the class means from the mean of all, once per member, and W
    those of the members from their class means. It does not depend on the scale of the features.
    Separate classes are better and larger, so it is **negated**: smaller is better. Few tight
    classes do well whether they are right or not.

    Source: Calinski and Harabasz, 1974; as a validator: ABAS (WACV 2022). The log is ours.

    Attributes:
        locations: At most that many are used, spread evenly over the sample.
    """

    summary: ClassVar[str] = "minus the variance ratio of predicted classes in feature space"

    locations: Annotated[int, Field(ge=3)] = 2000

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two classes are predicted, or each location has its own, or
                their features do not differ.
        """
        features, labels = predicted_classes(statistics, self.locations)
        classes, own, numbers = np.unique(labels, return_inverse=True, return_counts=True)
        centred = features - features.mean(0)
        means = np.stack([centred[own == c].mean(0) for c in range(len(classes))])
        between = float(numbers @ (means**2).sum(1)) / (len(classes) - 1)
        within = float(((centred - means[own]) ** 2).sum()) / max(len(own) - len(classes), 1)
        if not (between > 0 and within > 0):
            raise ValueError("the sampled features do not differ between or inside classes")
        return -float(np.log(between / within))
