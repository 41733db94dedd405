"""Phases and rounds on one axis of steps, and the learning rate at each of them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from autoadapt.config.settings import TrainingSettings
from autoadapt.uda.base import Phase


@dataclass(frozen=True)
class Stretch:
    """One round of one phase, as a range of global steps.

    Attributes:
        number: Counts the stretches from 0.
        round: Counts the rounds of the phase from 0.
        start: First step.
        stop: Step after the last.
        origin: Step at which the learning-rate schedule began.
        horizon: Length of that schedule.
        power: Exponent of its decay.
    """

    phase: Phase
    number: int
    round: int
    start: int
    stop: int
    origin: int
    horizon: int
    power: float

    def rate(self, step: int) -> float:
        """Return the factor on all learning rates at a global step."""
        done = step - self.origin
        ramp = min(1.0, (done + 1) / self.phase.ramp) if self.phase.ramp else 1.0
        own = self.phase.rate * self.phase.rate_per_round**self.round
        return own * ramp * polynomial(done, self.horizon, self.power)


def polynomial(step: int, horizon: int, power: float) -> float:
    """Return the factor ``(1 - step / horizon) ** power`` of the learning rate, 0 past the end.

    A power of 0 keeps the rate for ever.
    """
    if power == 0:
        return 1.0
    return float(max(0.0, 1 - step / horizon) ** power)


def stretches(phases: Sequence[Phase], settings: TrainingSettings) -> list[Stretch]:
    """Lay phases and rounds out on one axis of steps, with the schedule that rules each.

    A schedule lasts from where it starts, or starts again, to the next restart or the end; a
    horizon of the phase or of the settings replaces that length, not the place of its start.
    """
    rounds = [(phase, index) for phase in phases for index in range(phase.rounds)]
    lengths = (phase.length(index) for phase, index in rounds)
    starts = list(itertools.accumulate(lengths, initial=0))
    restarts = [0, *(s for (p, _), s in zip(rounds, starts[:-1], strict=True) if restarted(p))]
    laid = []
    for number, (phase, index) in enumerate(rounds):
        start, stop = starts[number], starts[number + 1]
        origin = max(step for step in restarts if step <= start)
        end = min((step for step in restarts if step > start), default=starts[-1])
        horizon = phase.horizon or settings.horizon or max(1, end - origin)
        power = settings.power if phase.power is None else phase.power
        laid.append(Stretch(phase, number, index, start, stop, origin, horizon, power))
    return laid


def restarted(phase: Phase) -> bool:
    """Return whether the rounds of a phase start their own schedules."""
    return phase.restart != "nothing"
