"""What several scores compute from class probabilities at sampled locations."""

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores.base import Float


def softened(p: Float, temperature: float) -> Float:
    """Return softmax(logits / temperature) of probabilities softmax(logits), (N, C)."""
    with np.errstate(divide="ignore"):
        logits = np.log(p) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    result: Float = powers / powers.sum(1, keepdims=True)
    return result


def expected_iou(p: Float, predicted: NDArray[np.int64] | None = None) -> float:
    """Return the mean IoU of predictions that is expected under class probabilities.

    With n_c predictions of class c: TP_c = sum of p_c over them, IoU_c = TP_c / (n_c + sum of all
    p_c - TP_c); a class that is never predicted counts as 0.

    Args:
        p: (N, C).
        predicted: (N,) classes; absent: the most probable ones.
    """
    hard = np.eye(p.shape[1])[p.argmax(1) if predicted is None else predicted]
    hits = (hard * p).sum(0)
    union = np.maximum(hard.sum(0) + p.sum(0) - hits, np.finfo(np.float64).tiny)
    return float((hits / union).mean())
