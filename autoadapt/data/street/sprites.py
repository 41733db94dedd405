"""Small pictures of parts, drawn from exact shapes on a grid and kept for the whole process."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street.canvas import Parts, Span, Sprite
from autoadapt.data.street.view import Floats

Mask = NDArray[np.bool_]
Point = tuple[float, float]
Draw = Callable[[Floats, Floats], tuple[Parts, Floats | float]]


def sprite(draw: Draw, cells: tuple[int, int], across: Span, up: Span) -> Sprite:
    """Return the sprite of a drawing.

    Args:
        draw: Takes x, (1, columns), and y upwards, (rows, 1); returns parts and brightness.
        cells: Rows and columns.
        across: Range of x.
        up: Range of y.
    """
    rows, columns = cells
    x = across[0] + (np.arange(columns) + 0.5) / columns * (across[1] - across[0])
    y = up[1] - (np.arange(rows) + 0.5) / rows * (up[1] - up[0])
    parts, shade = draw(x[None], y[:, None])
    whole = np.broadcast_to(np.asarray(shade, dtype=np.float64), cells).copy()
    return Sprite(np.broadcast_to(parts, cells).astype(np.intp), whole)


def line(x: Floats, y: Floats, ends: tuple[Point, Point], half: float) -> Mask:
    """Return the cells within ``half`` of a line between two points."""
    (x0, y0), (x1, y1) = ends
    dx, dy = x1 - x0, y1 - y0
    along = ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)
    along = np.minimum(np.maximum(along, 0.0), 1.0)
    off_x, off_y = x - x0 - along * dx, y - y0 - along * dy
    return np.asarray(off_x * off_x + off_y * off_y < half * half)


def ellipse(x: Floats, y: Floats, centre: Point, radii: Point) -> Mask:
    """Return the cells inside an ellipse."""
    dx, dy = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
    return np.asarray(dx * dx + dy * dy < 1)


def box(x: Floats, y: Floats, across: Span, up: Span) -> Mask:
    """Return the cells inside a rectangle."""
    return np.asarray((x > across[0]) & (x < across[1]) & (y > up[0]) & (y < up[1]))
