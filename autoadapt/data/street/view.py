"""The pinhole camera of a scene: metres to pixels and back.

World axes: x to the right from the middle of the road, height upwards from the road, depth
forwards from the camera. The camera looks along the road; turning it is approximated by moving
the vanishing point sideways, which keeps uprights upright and depth constant along a row.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAREST = 0.9
"""Depth in metres before which nothing is drawn."""


@dataclass(frozen=True)
class Camera:
    """A view for one image size.

    Attributes:
        height: Rows of the image.
        width: Columns of the image.
        focal: Focal length in pixels.
        middle: Column of the vanishing point.
        horizon: Row of the horizon.
        eye: Height of the camera above the road.
        x: Place of the camera across the road.
    """

    height: int
    width: int
    focal: float
    middle: float
    horizon: float
    eye: float
    x: float

    def column(self, x: float, depth: float) -> float:
        """Return the column where a point appears."""
        return self.middle + self.focal * (x - self.x) / depth

    def row(self, height: float, depth: float) -> float:
        """Return the row where a point appears."""
        return self.horizon - self.focal * (height - self.eye) / depth

    def slopes(self) -> Floats:
        """Return, for each column, the metres to the right per metre of depth, (W,)."""
        return (np.arange(self.width, dtype=np.float64) + (0.5 - self.middle)) / self.focal

    def drops(self) -> Floats:
        """Return, for each row, the metres down per metre of depth, (H,)."""
        return (np.arange(self.height, dtype=np.float64) + (0.5 - self.horizon)) / self.focal


@dataclass(frozen=True)
class View:
    """A camera before the image size is known: fractions of the image instead of pixels."""

    focal: float
    sway: float
    horizon: float
    eye: float
    x: float

    def fit(self, size: tuple[int, int]) -> Camera:
        """Return the camera for an image of this height and width."""
        height, width = size
        return Camera(
            height=height,
            width=width,
            focal=self.focal * max(width, height * 4 / 3),
            middle=self.sway * width,
            horizon=self.horizon * height,
            eye=self.eye,
            x=self.x,
        )
