"""Which places lie in the shade of the houses on the sunny side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street.things import House, Light
from autoadapt.data.street.view import Floats


@dataclass(frozen=True)
class HouseShade:
    """The shade that one row of houses throws across the street.

    Attributes:
        side: Side on which the sun and these houses stand.
        starts: Depth where each house starts, increasing, (houses,).
        ends: Depth where it ends.
        edges: How far from the middle of the road, towards ``side``, its shade starts.
    """

    side: int
    starts: Floats
    ends: Floats
    edges: Floats

    def lit(self, x: Floats, depth: Floats) -> NDArray[np.bool_]:
        """Return whether the sun reaches places on the ground; the arguments broadcast."""
        house = np.maximum(np.searchsorted(self.starts, depth, side="right") - 1, 0)
        inside = (depth >= self.starts[house]) & (depth < self.ends[house])
        edge = np.where(inside, self.edges[house], 1e9)
        return np.asarray(self.side * x < edge)


def house_shade(houses: tuple[House, ...], light: Light) -> HouseShade:
    """Return the shade of the houses on the side of the sun."""
    row = [house for house in houses if house.side == light.side]
    return HouseShade(
        side=light.side,
        starts=np.array([house.start for house in row]),
        ends=np.array([house.end for house in row]),
        edges=np.array([abs(house.x) - house.height * light.slant for house in row]),
    )
