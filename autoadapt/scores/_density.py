"""How much more likely a feature is in the target than in the source."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from autoadapt.scores._domains import domain_samples
from autoadapt.scores.base import Float, Statistics

PENALTY = 1e-3
"""Of the squared weights of the regression, beside the mean loss; features have deviation 1."""


def density_ratio(statistics: Statistics, features: NDArray[np.float32]) -> Float:
    """Return p(target) / p(source) of deep features (k, D), (k,), from a logistic regression.

    It is fitted to the sampled locations of both domains, which must not be ``features``.

    Raises:
        ValueError: Fewer than two samples of a domain, or values that are not finite.
    """
    x, y = domain_samples(statistics, "features")
    pooled = np.concatenate([x, y])
    centre, unit = pooled.mean(0), np.maximum(pooled.std(0), 1e-12)
    weights, offset = regression((pooled - centre) / unit, np.arange(len(pooled)) >= len(x))
    odds = ((features.astype(np.float64) - centre) / unit) @ weights + offset
    ratio: Float = np.exp(np.clip(odds, -30.0, 30.0)) * len(x) / len(y)
    return ratio


def regression(features: Float, positive: NDArray[np.bool_]) -> tuple[Float, float]:
    """Return weights (D,) and offset of a logistic regression with a small ridge penalty.

    Args:
        features: (n, D), of deviation 1.
        positive: (n,) the class.
    """
    signs = np.where(positive, 1.0, -1.0)

    def loss(parameters: Float) -> tuple[float, Float]:
        weights, offset = parameters[:-1], parameters[-1]
        margin = signs * (features @ weights + offset)
        slope = -signs * expit(-margin) / len(signs)
        gradient = np.append(features.T @ slope + 2.0 * PENALTY * weights, slope.sum())
        return float(np.logaddexp(0.0, -margin).mean() + PENALTY * weights @ weights), gradient

    start = np.zeros(features.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x[:-1], float(found.x[-1])
