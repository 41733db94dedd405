"""Agreement with all other candidates, negated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from autoadapt.scores._agreement import Agreement, pair_counts
from autoadapt.scores.base import Need, Statistics, needed


@dataclass(frozen=True)
class PoolAgreement(Agreement):
    """Minus the mean agreement of predictions with those of each other candidate.

    Agreement is better when larger, so it is **negated**: smaller is better. Needs the predictions
    of the whole pool (``with_pool``), so it serves closed banks and no search: it is missing there.

    Source: pairwise consensus; EnsV (NeurIPS 2024 D&B) compares with the mean instead.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the agreement with all other candidates"
    opinion: ClassVar[Need] = "pool"


def with_pool(statistics: Sequence[Statistics]) -> list[Statistics]:
    """Return the statistics of candidates with their agreement with each other.

    Raises:
        ValueError: There is a single candidate, or one lacks ``label_maps``.
    """
    if len(statistics) < 2:
        raise ValueError(f"a pool has at least 2 candidates, found {len(statistics)}")
    maps = [needed(each.label_maps, "label_maps") for each in statistics]
    classes = statistics[0].target_outputs.shape[1]
    return [
        replace(
            each,
            agreements={
                **each.agreements,
                "pool": tuple(
                    pair_counts(maps[me], maps[other], classes)
                    for other in range(len(maps))
                    if other != me
                ),
            },
        )
        for me, each in enumerate(statistics)
    ]
