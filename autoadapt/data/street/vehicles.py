"""Cars: an end that faces the camera and a flank in perspective."""

from functools import cache

import numpy as np

from autoadapt.data.street.canvas import Canvas, Frame, Parts, Skin, Sprite, skin
from autoadapt.data.street.labels import CAR
from autoadapt.data.street.sprites import box, ellipse, sprite
from autoadapt.data.street.things import Car, Rgb, linear
from autoadapt.data.street.view import Floats

BODY, GLASS, TYRE, LAMP, PLATE, BUMPER = range(1, 7)

WAIST = 0.58
"""Height of the bonnet; shapes are drawn in car heights, half widths and lengths."""

RUBBER, NUMBER_PLATE = linear((36, 36, 38)), linear((226, 222, 196))

ONE_PIECE_FROM = 22.0
"""Depth from which window and body of an end are drawn in one plane."""

CABIN_FOOT = -0.48
"""Where the drawing of a cabin starts, from 0 at the waist to 1 at the roof."""

AXLES = (0.19, 0.82)
"""Place of the wheels between tail and nose."""


def paint_car(canvas: Canvas, car: Car, light: Rgb) -> None:
    """Paint a car that heads away (1), comes (-1) or crosses (0)."""
    if car.heading == 0:
        half = car.length / 2
        frame = Frame(car.depth, car.x - half, car.x + half, 0.0, car.height)
        canvas.facing(frame, _flank(car.boxy), _skin(canvas, car, light), mirrored=car.x > 0)
        return
    look = _skin(canvas, car, light)
    _paint_flank(canvas, car, look)
    half, waist = car.width / 2, WAIST * car.height
    if car.depth > ONE_PIECE_FROM:
        end = Frame(car.depth, car.x - half, car.x + half, 0.0, car.height)
        canvas.facing(end, _end(car.boxy), look)
        return
    depth = car.depth + _setback(car)
    cabin = Frame(depth, car.x - half, car.x + half, waist - 0.3, car.height)
    canvas.facing(cabin, _cabin(car.boxy), look)
    body = Frame(car.depth, car.x - half, car.x + half, 0.0, waist)
    canvas.facing(body, _body(), look)


@cache
def _end(boxy: bool) -> Sprite:
    """Return a whole end in one plane: the window above the body."""
    upper, lower = _cabin(boxy), _body()
    above = round((1 - WAIST) / (1 - CABIN_FOOT * (1 - WAIST) - WAIST) * len(upper.parts))
    below = np.arange(round(above * WAIST / (1 - WAIST))) * len(lower.parts)
    rows = below // len(below)
    return Sprite(
        np.concatenate([upper.parts[:above], lower.parts[rows]]),
        np.concatenate([upper.shade[:above], lower.shade[rows]]),
    )


def _setback(car: Car) -> float:
    """Return how far the window stands behind the boot or bonnet."""
    if car.boxy:
        return 0.05
    return 0.25 if car.heading == 1 else 0.27 * car.length


def _paint_flank(canvas: Canvas, car: Car, look: Skin) -> None:
    aside = car.x - canvas.camera.x
    if abs(aside) <= car.width / 2:
        return
    inner = -1 if aside > 0 else 1
    gain = 1.0 if inner == canvas.light.side else 0.72
    red, green, blue = look.light
    start, end = car.depth, car.depth + car.length
    canvas.along(
        car.x + inner * car.width / 2,
        (start, end),
        _flank(car.boxy),
        Skin((red * gain, green * gain, blue * gain), look.label, look.colours),
        height=car.height,
        period=(start, end) if car.heading == 1 else (end, start),
    )


def _skin(canvas: Canvas, car: Car, light: Rgb) -> Skin:
    sky, paint = canvas.light.low_sky, car.paint
    if car.heading == 1:
        lamp = linear((255, 60, 40) if car.lit else (150, 24, 26))
    else:
        lamp = linear((255, 250, 220) if car.lit else (206, 208, 206))
    glass = (0.05 + 0.14 * sky[0], 0.05 + 0.14 * sky[1], 0.05 + 0.14 * sky[2])
    bumper = (paint[0] * 0.45 + 0.01, paint[1] * 0.45 + 0.01, paint[2] * 0.45 + 0.01)
    return skin(light, CAR, paint, glass, RUBBER, lamp, NUMBER_PLATE, bumper)


@cache
def _flank(boxy: bool) -> Sprite:
    """Return the side of a car from tail, on the left, to nose."""
    tail_slope, nose_slope, tail, nose = (14.0, 3.0, -0.06, 0.93) if boxy else (4.5, 3.2, 0.0, 0.74)
    length = 2.3 if boxy else 2.95

    def draw(x: Floats, y: Floats) -> tuple[Parts, Floats]:
        rise = np.minimum((x - tail) * tail_slope, (nose - x) * nose_slope)
        top = np.minimum(WAIST + np.maximum(rise, 0.0) * (1 - WAIST), 1.0)
        parts = np.where((y < top) & (y > 0.15), BODY, 0)
        window = (y > WAIST + 0.03) & (y < top - 0.07) & (rise > 0.1) & (np.abs(x - 0.42) > 0.018)
        parts[window & (x > 0.55) if boxy else window] = GLASS
        parts[box(x, y, (0.0, 1.0), (0.15, 0.23))] = BUMPER
        for axle in AXLES:
            parts[ellipse(x, y, (axle, 0.22), (0.235 / length, 0.235))] = TYRE
            parts[ellipse(x, y, (axle, 0.22), (0.12 / length, 0.12))] = PLATE
        return parts, 0.8 + 0.25 * y

    return sprite(draw, (64, 128), (0.0, 1.0), (0.0, 1.0))


@cache
def _cabin(boxy: bool) -> Sprite:
    """Return the upper half of an end: a window in a frame that narrows towards the roof."""

    def draw(x: Floats, y: Floats) -> tuple[Parts, Floats]:
        side = 1 - (0.04 if boxy else 0.14) * np.maximum(y, 0.0)
        parts = np.where(np.abs(x) < side, BODY, 0)
        parts[(np.abs(x) < side - 0.14) & (y > 0.1) & (y < 0.84)] = GLASS
        # What lies below the window is flat and mirrors the sky.
        return parts, np.where(y < 0.05, 1.25, 0.8 + 0.3 * y)

    return sprite(draw, (40, 48), (-1.0, 1.0), (CABIN_FOOT, 1.0))


@cache
def _body() -> Sprite:
    """Return the lower half of an end: lamps, number plate, bumper and tyres."""

    def draw(x: Floats, y: Floats) -> tuple[Parts, Floats]:
        aside = np.abs(x)
        parts = np.where(y > 0.27, BODY, 0) + 0 * x.astype(np.intp)
        parts[box(x, y, (-1.0, 1.0), (0.24, 0.52))] = BUMPER
        parts[box(aside, y, (0.66, 0.95), (0.0, 0.33))] = TYRE
        parts[box(aside, y, (0.58, 0.96), (0.64, 0.9))] = LAMP
        parts[box(x, y, (-0.3, 0.3), (0.48, 0.64))] = PLATE
        return parts, 0.72 + 0.28 * y

    return sprite(draw, (40, 48), (-1.0, 1.0), (0.0, 1.0))
