"""What scores learn from labelled source locations that training did not see."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar

from autoadapt.scores._density import density_ratio
from autoadapt.scores._outputs import softened
from autoadapt.scores.base import Float, HeldOut, Statistics, needed


def labelled_locations(statistics: Statistics) -> HeldOut:
    """Return the held-out source.

    Raises:
        ValueError: It was not measured, or no sampled location of it has a label.
    """
    held_out = needed(statistics.held_out, "held_out")
    if held_out.labels.size == 0:
        raise ValueError("no sampled location of the held-out source images has a label")
    return held_out


def correct(held_out: HeldOut) -> NDArray[np.bool_]:
    """Return where the most probable class is the label, (k,)."""
    hits: NDArray[np.bool_] = held_out.outputs.argmax(1) == held_out.labels
    return hits


def temperature(held_out: HeldOut) -> float:
    """Return the temperature in [1/20, 20] with the smallest cross entropy on the held-out source.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    p = np.maximum(held_out.outputs.astype(np.float64), 1e-30)
    rows = np.arange(len(p))

    def loss(log_temperature: float) -> float:
        softer = softened(p, float(np.exp(log_temperature)))[rows, held_out.labels]
        return float(-np.log(np.maximum(softer, 1e-300)).mean())

    limit = float(np.log(20.0))
    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def importance(statistics: Statistics) -> tuple[Float, Float]:
    """Return how target-like held-out source locations are, (k,), and whether each is wrong, (k,).

    Raises:
        ValueError: No source image is held out, or none has a labelled location.
    """
    held_out = labelled_locations(statistics)
    weights = density_ratio(statistics, held_out.features)
    return weights, 1.0 - correct(held_out).astype(float)


def weighted_error(statistics: Statistics, *, control: bool) -> float:
    """Return the error on held-out source locations, weighted to stand for the target.

    Args:
        statistics: Of a candidate.
        control: As in ``weighted_risk``.

    Raises:
        ValueError: No source image is held out, or none has a labelled location.
    """
    weights, errors = importance(statistics)
    return weighted_risk(weights, errors, control=control)


def normalised(weights: Float, how: Literal["max", "standardise"]) -> Float:
    """Return weights (k,) of mean 1: divided by the largest and shifted, or of deviation 1.

    Equal weights become 1 each.
    """
    unit = weights.max() if how == "max" else weights.std()
    scaled = weights / unit if unit > 0 else np.zeros_like(weights)
    result: Float = scaled - scaled.mean() + 1.0
    return result


def weighted_risk(weights: Float, losses: Float, *, control: bool) -> float:
    """Return the importance-weighted risk of IWCV, or that of DEV with its control variate.

    Source: IWCV: Sugiyama et al., JMLR 2007; DEV: You et al., ICML 2019, eq. 7.

    Args:
        weights: (k,) density ratio of target and source.
        losses: (k,).
        control: Subtract what the mean of the weights, which should be 1, explains.
    """
    weighted = weights * losses
    if not control:
        return float(weighted.mean())
    variance = float(weights.var(ddof=1)) if len(weights) > 1 else 0.0
    covariance = float(np.cov(weighted, weights, ddof=1)[0, 1]) if variance > 0 else 0.0
    eta = -covariance / variance if variance > 0 else 0.0
    return float(weighted.mean() + eta * (weights.mean() - 1.0))


def class_thresholds(held_out: HeldOut) -> Float:
    """Return the threshold of ATC for each predicted class, (C,), on its largest probability.

    That of all classes together where the held-out source lacks predictions of a class.
    """
    confidence, labels, right = _predictions(held_out)
    overall = threshold(confidence, right)
    return np.array(
        [
            threshold(confidence[labels == c], right[labels == c])
            if (labels == c).any()
            else overall
            for c in range(held_out.outputs.shape[1])
        ]
    )


def class_temperatures(held_out: HeldOut) -> Float:
    """Return for each predicted class the temperature in [1/20, 20] that fits it, (C,).

    With it the mean confidence where the class is predicted equals the accuracy there, as closely
    as the range allows. That of all classes together where the held-out source lacks predictions
    of a class.
    """
    p = np.maximum(held_out.outputs.astype(np.float64), 1e-30)
    _, labels, right = _predictions(held_out)
    overall = _confident(p, float(right.mean()))
    return np.array(
        [
            _confident(p[labels == c], float(right[labels == c].mean()))
            if (labels == c).any()
            else overall
            for c in range(p.shape[1])
        ]
    )


def _predictions(held_out: HeldOut) -> tuple[Float, NDArray[np.int64], NDArray[np.bool_]]:
    p = held_out.outputs.astype(np.float64)
    return p.max(1), p.argmax(1), correct(held_out)


def _confident(p: Float, wanted: float) -> float:
    """Return the temperature at which the mean largest probability is the wanted one."""

    def excess(log_temperature: float) -> float:
        return float(softened(p, float(np.exp(log_temperature))).max(1).mean()) - wanted

    limit = float(np.log(20.0))
    if excess(-limit) <= 0.0:
        return float(np.exp(-limit))
    if excess(limit) >= 0.0:
        return float(np.exp(limit))
    return float(np.exp(brentq(excess, -limit, limit, xtol=1e-9)))


def threshold(confidences: Float, right: NDArray[np.bool_]) -> float:
    """Return the confidence up to which as many locations lie as are wrong.

    Minus infinity where none is wrong.

    Source: Garg et al., ATC (arXiv 2201.04234), as released.
    """
    wrong = int((~right).sum())
    return float(np.sort(confidences)[wrong - 1]) if wrong else -np.inf
