"""Cars: an end that faces the camera and a flank in perspective."""

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street.canvas import Canvas, Skin, skin
from autoadapt.data.street.labels import CAR
from autoadapt.data.street.scene import Car, linear
from autoadapt.data.street.view import NEAREST, Floats

BODY, GLASS, TYRE, LAMP, PLATE, BUMPER = 1, 2, 3, 4, 5, 6

WAIST = 0.58
"""Height of the bonnet, in car heights."""


def paint_car(canvas: Canvas, car: Car, light: Floats) -> None:
    """Paint a car that heads away (1), comes (-1) or crosses (0)."""
    look = _skin(canvas, car, light)
    if car.heading == 0:
        _crossing(canvas, car, look)
        return
    aside = car.x - canvas.camera.x
    if abs(aside) > car.width / 2:
        _flank(canvas, car, look, car.x - car.width / 2 * (1 if aside > 0 else -1))
    _cabin_end(canvas, car, look)
    _body_end(canvas, car, look)


def _skin(canvas: Canvas, car: Car, light: Floats) -> Skin:
    sky = canvas.light.low_sky
    glass = (0.05 + 0.13 * sky) / np.maximum(light, 0.2)
    if car.heading == 1:
        lamp = linear((255, 60, 40) if car.lit else (150, 24, 26))
    else:
        lamp = linear((255, 250, 220) if car.lit else (206, 208, 206))
    colours = (
        car.paint,
        glass,
        linear((36, 36, 38)),
        lamp,
        linear((226, 222, 196)),
        car.paint * 0.45 + 0.01,
    )
    return skin(light, *((CAR, colour) for colour in colours))


def _profile(along: Floats, up: Floats, car: Car) -> NDArray[np.intp]:
    """Return the parts of a flank.

    Args:
        along: Place from the tail, 0, to the nose, 1.
        up: Height in metres, broadcasts with it.
    """
    tall, waist = car.height, WAIST * car.height
    if car.boxy:
        tail_slope, nose_slope, tail, nose = 14.0, 3.0, -0.02, 0.93
    else:
        tail_slope, nose_slope, tail, nose = 4.5, 3.2, 0.0, 0.74
    rise = np.minimum((along - tail) * tail_slope, (nose - along) * nose_slope)
    top = np.minimum(waist + np.maximum(rise, 0.0) * (tall - waist), tall)
    parts = np.where((up < top) & (up > 0.22), BODY, 0)
    pillar = np.abs(along - 0.42) < 0.018
    window = (up > waist + 0.04) & (up < top - 0.1) & (rise > 0.1) & ~pillar
    if car.boxy:
        window &= along > 0.55
    parts[window] = GLASS
    parts[(up > 0.22) & (up < 0.34) & (parts == BODY)] = BUMPER
    metres = along * car.length
    for axle in (0.19 * car.length, 0.82 * car.length):
        dx, dy = metres - axle, up - 0.33
        parts[dx * dx + dy * dy < 0.12] = TYRE
        parts[dx * dx + dy * dy < 0.03] = PLATE
    return parts


def _crossing(canvas: Canvas, car: Car, look: Skin) -> None:
    half = car.length / 2
    patch = canvas.facing(car.x, car.depth, (-half, half), (0.0, car.height))
    if patch is None:
        return
    along = patch.across / car.length + 0.5
    nose_left = car.x > 0
    parts = _profile(1 - along if nose_left else along, patch.up, car)
    parts *= (along > 0) & (along < 1)
    canvas.stamp(patch, parts, look, 0.85 + 0.12 * patch.up)


def _flank(canvas: Canvas, car: Car, look: Skin, x: float) -> None:
    patch = canvas.along(x, (car.depth, car.depth + car.length), (0.0, car.height))
    if patch is None:
        return
    away = (patch.across - car.depth) / car.length
    parts = _profile(away if car.heading == 1 else 1 - away, patch.up, car)
    sunny = (x > canvas.camera.x) != (canvas.light.side > 0)
    canvas.stamp(patch, parts, look, (0.95 if sunny else 0.68) + 0.12 * patch.up)


def _cabin_end(canvas: Canvas, car: Car, look: Skin) -> None:
    """The rear window or windscreen, set back behind the boot or bonnet."""
    back = 0.05 if car.boxy else (0.25 if car.heading == 1 else 0.27 * car.length)
    depth, half, waist = car.depth + back, car.width / 2, WAIST * car.height
    patch = canvas.facing(car.x, depth, (-half, half), (waist - 0.3, car.height))
    if patch is None:
        return
    lean = (patch.up - waist) / (car.height - waist)
    side = half * (1 - (0.04 if car.boxy else 0.14) * np.maximum(lean, 0.0))
    aside = np.abs(patch.across)
    parts = np.where((aside < side) & (patch.up < car.height), BODY, 0)
    window = (aside < side - 0.12) & (lean > 0.1) & (lean < 0.84)
    parts[window] = GLASS
    # The surface below the window lies flat and mirrors the sky.
    shade = np.where(lean < 0.05, 1.25, 0.8 + 0.3 * lean)
    canvas.stamp(patch, parts, look, shade)


def _body_end(canvas: Canvas, car: Car, look: Skin) -> None:
    """Boot or bonnet with lamps, number plate, bumper and the tyres below."""
    if car.depth < NEAREST:
        return
    half, waist = car.width / 2, WAIST * car.height
    patch = canvas.facing(car.x, car.depth, (-half, half), (0.0, waist))
    if patch is None:
        return
    up, aside = patch.up, np.abs(patch.across)
    parts = np.where((aside < half) & (up > 0.22) & (up < waist), BODY, 0)
    parts[(aside < half) & (up > 0.22) & (up < 0.46)] = BUMPER
    parts[(aside > half - 0.3) & (aside < half - 0.05) & (up <= 0.3) & (up > 0)] = TYRE
    lamp = (aside > half - 0.36) & (aside < half - 0.04) & (up > waist - 0.3) & (up < waist - 0.08)
    parts[lamp] = LAMP
    plate = (aside < 0.27) & (up > 0.42) & (up < 0.56)
    parts[plate] = PLATE
    canvas.stamp(patch, parts, look, 0.72 + 0.3 * up)
