"""What scores learn from labelled source locations that training did not see."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

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


def weighted_error(statistics: Statistics, *, control: bool) -> float:
    """Return the error on held-out source locations, weighted to stand for the target.

    Args:
        statistics: Of a candidate.
        control: As in ``weighted_risk``.

    Raises:
        ValueError: No source image is held out, or none has a labelled location.
    """
    held_out = labelled_locations(statistics)
    weights = density_ratio(statistics, held_out.features)
    return weighted_risk(weights, 1.0 - correct(held_out).astype(float), control=control)


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
