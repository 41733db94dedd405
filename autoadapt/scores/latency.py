"""Measured time of a network."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Latency(Score):
    """Seconds that one image takes at the search resolution, measured where the trial ran.

    Smaller is better: faster. The median of ten runs; it depends on the device and on what else
    runs there, so compare only candidates of one machine, and expect no two runs to agree. A
    control beside ``macs``, no predictor of accuracy.
    """

    summary: ClassVar[str] = "measured seconds for one image"

    @property
    def needs(self) -> frozenset[Need]:
        """A measurement."""
        return frozenset({"latency"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: It was not measured.
        """
        return needed(statistics.costs.get("latency"), "latency")
