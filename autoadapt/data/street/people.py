"""People on foot and on bicycles, put together from ellipses and thick lines."""

from functools import cache

import numpy as np

from autoadapt.data.street.canvas import Canvas, Frame, Parts, Sprite, skin
from autoadapt.data.street.labels import BICYCLIST, PEDESTRIAN
from autoadapt.data.street.sprites import Point, box, ellipse, line, sprite
from autoadapt.data.street.things import Cyclist, Rgb, Walker, linear
from autoadapt.data.street.view import Floats

RUBBER = linear((38, 38, 40))
RIDER_HEIGHT = 1.75
"""Height of the cyclist that is drawn; others are scaled."""


def paint_walker(canvas: Canvas, walker: Walker, light: Rgb) -> None:
    """Paint a person, between front view and side view, at some point of a stride."""
    wide = 0.24 * walker.height
    frame = Frame(walker.depth, walker.x - wide, walker.x + wide, 0.0, walker.height)
    colours = (walker.trousers, walker.top, walker.skin, walker.hair, RUBBER)
    picture = _walker(int(walker.turn * 4), int(abs(walker.stride) * 13))
    canvas.facing(frame, picture, skin(light, PEDESTRIAN, *colours))


@cache
def _walker(quarter: int, step: int) -> Sprite:
    """Return a person of height 1, turned by 0 to 3 quarters, with a stride of 0 to 3."""
    turn, stride = (quarter + 0.5) / 4, step / 12

    def draw(x: Floats, y: Floats) -> tuple[Parts, Floats]:
        aside = np.abs(x)
        shoulder = 0.13 - 0.045 * turn
        gap = 0.045 * (1 - turn) + stride * (0.3 + turn) * np.maximum(0.48 - y, 0.0)
        parts = ((np.abs(aside - gap) < 0.045) & (y < 0.5)).astype(np.intp)
        torso = (aside < shoulder * (0.42 + 0.72 * y)) & (y > 0.45) & (y < 0.83)
        arm = (np.abs(aside - shoulder + 0.01 - 0.05 * (0.8 - y)) < 0.028) & (y > 0.44) & (y < 0.8)
        head = ellipse(x, y, (0.0, 0.915), (0.06, 0.08))
        parts[torso | arm] = 2
        parts[head | box(x, y, (-0.03, 0.03), (0.81, 0.88)) | (arm & (y < 0.49))] = 3
        parts[head & (y > 0.945)] = 4
        parts[(y < 0.035) & (parts == 1)] = 5
        shade = np.where(y < 0.5, 0.86, 0.95) + 0.3 * y * (0.15 - aside)
        return parts, shade

    return sprite(draw, (72, 40), (-0.24, 0.24), (0.0, 1.0))


def paint_cyclist(canvas: Canvas, cyclist: Cyclist, light: Rgb) -> None:
    """Paint a rider and the bicycle, foreshortened by the angle at which they are seen."""
    frame = Frame(cyclist.depth, cyclist.x - 1.0, cyclist.x + 1.0, 0.0, cyclist.height)
    colours = (
        cyclist.frame,
        RUBBER,
        cyclist.trousers,
        cyclist.top,
        cyclist.skin,
        cyclist.helmet,
    )
    thin = 0 if cyclist.depth < 8 else (1 if cyclist.depth < 16 else 2)
    picture = _cyclist(int(abs(cyclist.turn) * 5), thin)
    look = skin(light, BICYCLIST, *colours)
    canvas.facing(frame, picture, look, mirrored=cyclist.turn < 0)


@cache
def _cyclist(fifth: int, thicker: int) -> Sprite:
    """Return a rider heading right, turned by 0 to 4 fifths, with tubes that suit the distance."""
    turn, extra = (fifth + 0.75) / 5, 0.025 * thicker

    def draw(x: Floats, y: Floats) -> tuple[Parts, Floats]:
        parts = np.zeros((y.size, x.size), dtype=np.intp)
        for start, end in TUBES:
            ends = ((start[0] * turn, start[1]), (end[0] * turn, end[1]))
            parts[line(x, y, ends, 0.03 + extra)] = 1
        wide = max(0.34 * turn, 0.05 + extra)
        # Seen nearly edge on, the spokes fill the ring.
        hole = 0.74 - extra * 3 if turn > 0.4 else 0.0
        for centre in (-0.52 * turn, 0.52 * turn):
            tyre = ellipse(x, y, (centre, 0.34), (wide, 0.34))
            if hole > 0:
                tyre &= ~ellipse(x, y, (centre, 0.34), (wide * hole, 0.34 * hole))
            parts[tyre] = 2
        for number, first, last, half in LIMBS:
            ends = (
                (first[0] * turn + first[2], first[1]),
                (last[0] * turn + last[2], last[1]),
            )
            parts[line(x, y, ends, half + 0.06 * (1 - turn) * (number == 4))] = number
        head = ellipse(x, y, (0.27 * turn, 1.6), (0.125, 0.14))
        parts[head] = 5
        parts[head & (y > 1.62)] = 6
        return parts, 0.9 + 0.1 * y * (0.6 + x)

    return sprite(draw, (80, 80), (-1.0, 1.0), (0.0, RIDER_HEIGHT))


TUBES: tuple[tuple[Point, Point], ...] = (
    ((-0.52, 0.34), (-0.16, 0.88)),
    ((0.0, 0.32), (0.40, 0.82)),
    ((-0.52, 0.34), (0.0, 0.32)),
    ((0.52, 0.34), (0.38, 1.02)),
    ((-0.14, 0.82), (0.40, 0.82)),
)
"""Tubes of a bicycle, in metres from the middle between its wheels."""

Joint = tuple[float, float, float]

LIMBS: tuple[tuple[int, Joint, Joint, float], ...] = (
    (3, (-0.1, 0.95, -0.06), (0.05, 0.4, -0.07), 0.075),
    (3, (-0.1, 0.95, 0.06), (0.2, 0.62, 0.07), 0.085),
    (3, (0.2, 0.62, 0.07), (0.04, 0.2, 0.06), 0.065),
    (4, (-0.14, 0.98, 0.0), (0.16, 1.36, 0.0), 0.15),
    (4, (0.17, 1.34, 0.12), (0.45, 1.02, 0.16), 0.055),
)
"""Part, two ends (along the bicycle, up, to the side) and half thickness of leg, trunk, arm."""
