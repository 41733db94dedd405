"""What a training costs, in units of source-only training with the same number of steps.

Measured by ``benchmarks/method_cost.py``, which says with what network and data and prints this
table. Methods with rounds pass over all images between their steps: their factor falls with the
number of steps per image.
"""

COST_FACTORS: dict[str, float] = {}
