"""Time of one proposal after many trials: ``python benchmarks/strategy_speed.py [SPACE]``."""

import random
import statistics
import sys
import time

from autoadapt.plugins import available, find
from autoadapt.space import load
from autoadapt.strategies.base import Observation

TRIALS = 10_000
PROPOSALS = 300


def main(name: str) -> None:
    """Print median and worst milliseconds of each strategy, and of the space's operations."""
    space = load(name)
    rng = random.Random(0)
    history: dict[str, Observation] = {}
    while len(history) < min(TRIALS, space.count() // 2):
        architecture = space.sample(rng)
        objective = None if len(history) % 10 == 3 else rng.random()
        history.setdefault(architecture.id, Observation(architecture, objective))
    observations, taken = list(history.values()), set(history)
    print(f"{name}: {len(space.choices)} choices, {space.count():.3g} architectures")
    for kind in available("strategies"):
        strategy = find("strategies", kind)()
        strategy.setup(space, seed=0, admissible=lambda architecture: True)
        seconds = []
        for number in range(len(taken), len(taken) + PROPOSALS):
            start = time.perf_counter()
            strategy.propose(observations, number, taken)
            seconds.append(time.perf_counter() - start)
        middle, worst = statistics.median(seconds) * 1e3, max(seconds) * 1e3
        print(f"{kind:12} {middle:.3f} ms median, {worst:.3f} ms worst, {len(taken)} trials")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "deeplab_resnet101")
