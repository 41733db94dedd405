"""Easy and hard images of the target (IntraDA, TPLD)."""

import numpy as np


def split(scores: list[float], share: float) -> tuple[list[int], list[int]]:
    """Return the images with the smallest scores and the others, both in ascending order.

    The first floor(n * share) are the easy ones; images with equal scores stay in their order.
    Neither side is left empty, since both are trained on: a single image is on both.

    Raises:
        ValueError: There is no image.
    """
    if not scores:
        raise ValueError("no images to rank")
    order = [int(index) for index in np.argsort(scores, kind="stable")]
    count = min(max(1, int(len(order) * share)), len(order) - 1)
    return (order[:count], order[count:]) if count else (order, order)
