"""What it takes to have a score of one model: its computation, and passes of its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from autoadapt.analysis.tables import ABSENT, decimal
from autoadapt.scores.base import BEYOND, Need

WORDS: Mapping[str, str] = {need: BEYOND.get(need, "") for need in get_args(Need)}
"""What a need is called in a cell; nothing for one that takes no further measurement."""


@dataclass(frozen=True)
class ScoreCost:
    """What one score takes besides the one pass over both samples.

    Attributes:
        seconds: Processor time of the computation for one model; NaN where it is not known.
        needs: What has to be measured for it, as ``scores.base.Need`` names it; names of a newer
            version are shown as they are.
    """

    seconds: float = math.nan
    needs: tuple[str, ...] = ()


def total(parts: Sequence[ScoreCost]) -> ScoreCost:
    """Return what several scores take together; what two of them need is needed once."""
    needs = dict.fromkeys(need for part in parts for need in part.needs)
    return ScoreCost(math.fsum(part.seconds for part in parts), tuple(needs))


def cost_words(cost: ScoreCost) -> str:
    """Return a cost for a table: ``3 ms + mirrored images``; a dash for unknown seconds."""
    further = filter(None, (WORDS.get(need, need) for need in cost.needs))
    return " + ".join(dict.fromkeys([seconds_words(cost.seconds), *further]))


def seconds_words(seconds: float) -> str:
    """Return ``<1 ms``, ``3 ms``, ``0.2 s`` or ``12 s``; a dash when it is not known."""
    if math.isnan(seconds):
        return ABSENT
    if seconds < 0.0995:
        return f"{1e3 * seconds:.0f} ms" if seconds >= 0.0005 else "<1 ms"
    return f"{decimal(seconds, 1 if seconds < 9.95 else 0)} s"
