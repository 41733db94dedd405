"""People on foot and on bicycles, put together from ellipses and thick lines."""

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street.canvas import Canvas, skin
from autoadapt.data.street.labels import BICYCLIST, PEDESTRIAN
from autoadapt.data.street.scene import Cyclist, Walker, linear
from autoadapt.data.street.view import Floats

Mask = NDArray[np.bool_]
Point = tuple[float, float]

RUBBER = linear((38, 38, 40))


def paint_walker(canvas: Canvas, walker: Walker, light: Floats) -> None:
    """Paint a person, between front view and side view, at some point of a stride."""
    tall = walker.height
    patch = canvas.facing(walker.x, walker.depth, (-0.24 * tall, 0.24 * tall), (0.0, tall))
    if patch is None:
        return
    x, y = patch.across / tall, patch.up / tall
    aside = np.abs(x)
    shoulder = 0.125 - 0.045 * walker.turn
    below_hip = np.maximum(0.48 - y, 0.0)
    gap = 0.042 * (1 - walker.turn) + abs(walker.stride) * walker.turn * below_hip
    parts = ((np.abs(aside - gap) < 0.042) & (y < 0.5)).astype(np.intp)
    torso = (aside < shoulder * (0.4 + 0.72 * y)) & (y > 0.45) & (y < 0.83)
    arm = (np.abs(aside - shoulder + 0.01 - 0.05 * (0.8 - y)) < 0.026) & (y > 0.44) & (y < 0.8)
    hand = arm & (y < 0.49)
    head = x * x / 0.0034 + (y - 0.915) * (y - 0.915) / 0.0062 < 1
    neck = (aside < 0.03) & (y > 0.81) & (y < 0.88)
    parts[torso | arm] = 2
    parts[head | neck | hand] = 3
    parts[head & (y > 0.945)] = 4
    parts[(y < 0.035) & (parts == 1)] = 5
    colours = [walker.trousers, walker.top, walker.skin, walker.hair, RUBBER]
    look = skin(light, *((PEDESTRIAN, colour) for colour in colours))
    shade = 0.92 + canvas.light.side * 0.9 * x
    canvas.stamp(patch, parts, look, shade)


def paint_cyclist(canvas: Canvas, cyclist: Cyclist, light: Floats) -> None:
    """Paint a rider and the bicycle, foreshortened by the angle at which they are seen."""
    patch = canvas.facing(cyclist.x, cyclist.depth, (-1.0, 1.0), (0.0, cyclist.height))
    if patch is None:
        return
    x, y = patch.across, patch.up * (1.75 / cyclist.height)
    turn = cyclist.turn
    thin = 0.45 * patch.pixel
    frame = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=bool)
    for start, end in _FRAME:
        frame |= _line(x, y, ((start[0] * turn, start[1]), (end[0] * turn, end[1])), 0.035 + thin)
    tyres = _tyre(x, y, (-0.52 * turn, turn), thin) | _tyre(x, y, (0.52 * turn, turn), thin)
    wide = 0.2 - 0.06 * abs(turn)
    leg = _line(x, y, ((-0.1 * turn + 0.06, 0.95), (0.2 * turn + 0.07, 0.62)), 0.085)
    leg |= _line(x, y, ((0.2 * turn + 0.07, 0.62), (0.04 * turn + 0.06, 0.2)), 0.065)
    leg |= _line(x, y, ((-0.1 * turn - 0.06, 0.95), (0.05 * turn - 0.07, 0.4)), 0.075)
    torso = _line(x, y, ((-0.14 * turn, 0.98), (0.16 * turn, 1.36)), wide)
    arm = _line(x, y, ((0.17 * turn + 0.12, 1.34), (0.45 * turn + 0.16, 1.02)), 0.055)
    head = _disc(x, y, (0.27 * turn, 1.6), 0.125)
    parts = frame.astype(np.intp)
    for number, mask in ((2, tyres), (3, leg), (4, torso | arm), (5, head)):
        parts[mask] = number
    parts[head & (y > 1.62)] = 6
    colours = [cyclist.frame, RUBBER, cyclist.trousers, cyclist.top, cyclist.skin, cyclist.helmet]
    look = skin(light, *((BICYCLIST, colour) for colour in colours))
    canvas.stamp(patch, parts, look, 0.95 + canvas.light.side * 0.25 * x)


_FRAME: tuple[tuple[Point, Point], ...] = (
    ((-0.52, 0.34), (-0.16, 0.88)),
    ((0.0, 0.32), (0.40, 0.82)),
    ((-0.52, 0.34), (0.0, 0.32)),
    ((0.52, 0.34), (0.38, 1.02)),
    ((-0.14, 0.82), (0.40, 0.82)),
)
"""Tubes of a bicycle, in metres from the middle between its wheels."""


def _line(x: Floats, y: Floats, ends: tuple[Point, Point], half: float) -> Mask:
    """Return the pixels within ``half`` metres of a line between two points."""
    (x0, y0), (x1, y1) = ends
    dx, dy = x1 - x0, y1 - y0
    along = ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)
    along = np.minimum(np.maximum(along, 0.0), 1.0)
    off_x, off_y = x - x0 - along * dx, y - y0 - along * dy
    return np.asarray(off_x * off_x + off_y * off_y < half * half)


def _disc(x: Floats, y: Floats, centre: Point, radius: float) -> Mask:
    dx, dy = x - centre[0], y - centre[1]
    return np.asarray(dx * dx + dy * dy < radius * radius)


def _tyre(x: Floats, y: Floats, place: tuple[float, float], thin: float) -> Mask:
    """Return the ring of a wheel at a place, as narrow as its turn makes it."""
    centre, turn = place
    wide = max(0.34 * abs(turn), 0.04 + thin)
    dx, dy = (x - centre) / wide, (y - 0.34) / 0.34
    radius = dx * dx + dy * dy
    # Seen nearly edge on, or far away, the spokes fill the ring.
    inner = 0.55 if abs(turn) > 0.45 else 0.0
    return np.asarray((radius < 1) & (radius >= inner))
