"""Agreement with a frozen committee over the classes of the source, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from autoadapt.scores._agreement import class_iou
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class ClassCommitteeAgreement(Score):
    """Minus the agreement with a frozen committee, class by class, over classes of the source.

    As ``committee_agreement`` with the IoU: for each class the mean over the members, then the
    mean over the classes with a noticeable share of the source labels. Other classes are left
    out; one of these that nobody predicts counts as 0. Agreement is better when larger, so
    it is **negated**: smaller is better. A collapsed network reaches at best -1 over the number of
    these classes.

    Attributes:
        rarest: Smallest share of the source labels that a class may have.
    """

    summary: ClassVar[str] = "minus the agreement with a committee over classes of the source"

    rarest: Annotated[float, Field(ge=0, lt=1)] = 0.001

    @property
    def needs(self) -> frozenset[Need]:
        """The committee, and class shares of the source."""
        return frozenset({"committee", "source_prior"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: There is no committee, the shares were not measured, or no class is
                frequent enough.
        """
        counts = needed(statistics.agreements.get("committee"), "committee")
        present = needed(statistics.source_prior, "source_prior") > self.rarest
        if not present.any():
            raise ValueError(f"no class has a share above {self.rarest} of the source labels")
        ious = np.mean([class_iou(each) for each in counts], axis=0)
        return 0.0 - float(ious[present].mean())
