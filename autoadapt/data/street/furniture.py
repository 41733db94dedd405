"""Trees, lamp posts, signs and fences."""

from functools import cache

import numpy as np

from autoadapt.data.street import noise
from autoadapt.data.street.canvas import Canvas, Frame, Parts, Sprite, skin
from autoadapt.data.street.labels import FENCE, POLE, SIGN, TREE
from autoadapt.data.street.sprites import Mask, box, ellipse, sprite
from autoadapt.data.street.style import Colour
from autoadapt.data.street.things import Fence, Lamp, Rgb, Sign, Tree, linear
from autoadapt.data.street.view import Floats

DETAILS_UNTIL = 26.0
"""Depth beyond which a lamp post is just a post with a lamp."""

CROWNS = 6
"""Different crowns of each kind."""


def paint_tree(canvas: Canvas, tree: Tree, light: Rgb) -> None:
    """Paint a trunk and a crown."""
    wide = tree.radius * 1.25
    frame = Frame(tree.depth, tree.x - wide, tree.x + wide, 0.0, tree.height * 1.06)
    picture = _tree(tree.pointed, tree.variant % CROWNS, int(tree.bare * 20 + 0.5))
    look = skin(light, TREE, tree.bark, tree.leaf)
    canvas.facing(frame, picture, look, mirrored=canvas.light.side < 0)


@cache
def _tree(pointed: bool, variant: int, twentieths: int) -> Sprite:
    """Return a tree lit from the right, with so many twentieths of its crown open."""

    def draw(x: Floats, y: Floats) -> tuple[Parts, Floats]:
        start = 23.0 * variant
        half_height = 0.42 if pointed else 0.34
        middle = 1 - half_height
        v = (y - middle) / half_height
        u = x / np.maximum(0.62 - 0.38 * v, 0.15) if pointed else x
        clump = noise.sample(noise.smooth(8), y * 48 + start, x * 15 + start)
        leaf = noise.sample(noise.smooth(2), y * 90 + start, x * 30 + start)
        crown = u * u + v * v + (clump - 0.5) * 1.2 + (leaf - 0.5) * 0.3 < 0.9
        crown &= leaf >= 0.2 + 0.5 * twentieths / 20 if twentieths else True
        trunk = (np.abs(x) < 0.13 - 0.06 * y) & (y < middle)
        light = (0.82 + 0.26 * v + 0.2 * x) * (0.62 + 0.4 * clump + 0.5 * (leaf - 0.3))
        shade = np.where(crown, np.minimum(np.maximum(light, 0.2), 1.5), 0.7 + 1.5 * x)
        return np.where(crown, 2, trunk.astype(np.intp)), shade

    return sprite(draw, (112, 72), (-1.25, 1.25), (0.0, 1.06))


def paint_lamp(canvas: Canvas, lamp: Lamp, light: Rgb) -> None:
    """Paint a post, its arm and the lamp at the end of it."""
    x, depth, tall = lamp.x, lamp.depth, lamp.height
    metal = skin(light, POLE, lamp.metal)
    canvas.fill(Frame(depth, x - 0.085, x + 0.085, 0.0, tall), metal)
    tip = x + lamp.reach
    if depth < DETAILS_UNTIL:
        canvas.fill(Frame(depth, x - 0.13, x + 0.13, 0.0, 1.1), metal)
        canvas.fill(Frame(depth, min(x, tip), max(x, tip), tall - 0.05, tall + 0.05), metal)
    canvas.fill(Frame(depth, tip - 0.3, tip + 0.3, tall - 0.1, tall + 0.1), metal)


def paint_sign(canvas: Canvas, sign: Sign, light: Rgb) -> None:
    """Paint a pole and the board or lights on it."""
    half_width, half_height, outer, inner = BOARDS[sign.kind]
    x, depth = sign.x, sign.depth
    pole = Frame(depth, x - 0.06, x + 0.06, 0.0, sign.height)
    canvas.fill(pole, skin(light, POLE, sign.metal))
    bottom, top = sign.height - half_height, sign.height + half_height
    # A board throws light back to the camera: it is brighter than what stands around it.
    bright = (light[0] * 0.85 + 0.12, light[1] * 0.85 + 0.12, light[2] * 0.85 + 0.12)
    frame = Frame(depth, x - half_width, x + half_width, bottom, top)
    canvas.facing(frame, _board(sign.kind), skin(bright, SIGN, linear(outer), linear(inner)))


BOARDS: dict[str, tuple[float, float, Colour, Colour]] = {
    "stop": (0.42, 0.42, (196, 28, 34), (240, 240, 240)),
    "limit": (0.42, 0.42, (200, 34, 36), (240, 240, 240)),
    "warning": (0.5, 0.44, (204, 38, 36), (240, 238, 230)),
    "blue": (0.42, 0.42, (30, 84, 176), (226, 232, 240)),
    "arrow": (0.4, 0.4, (34, 88, 182), (236, 238, 240)),
    "light": (0.2, 0.52, (34, 36, 36), (250, 60, 40)),
    "direction": (1.0, 0.5, (22, 110, 74), (232, 236, 232)),
}
"""Half width, half height (metres), outer and inner colour of each kind of sign."""


@cache
def _board(kind: str) -> Sprite:
    def draw(x: Floats, y: Floats) -> tuple[Parts, float]:
        outer, inner = _figure(kind, x, y)
        return outer.astype(np.intp) + (outer & inner), 1.0

    return sprite(draw, (28, 28), (-1.0, 1.0), (-1.0, 1.0))


def _figure(kind: str, x: Floats, y: Floats) -> tuple[Mask, Mask]:
    """Return outline and inner figure of a sign, on a square from -1 to 1."""
    disc, square = ellipse(x, y, (0, 0), (1, 1)), np.ones((y.size, x.size), dtype=bool)
    triangle = (np.abs(x) * 2 + y < 1, (np.abs(x) * 2 + y < 0.35) & (y > -0.72))
    figures: dict[str, tuple[Mask, Mask]] = {
        "stop": (disc, box(x, y, (-0.7, 0.7), (-0.24, 0.24))),
        "limit": (disc, ellipse(x, y, (0, 0), (0.67, 0.67))),
        "warning": triangle,
        "blue": (disc, box(x, y, (-0.2, 0.2), (-0.6, 0.6))),
        "arrow": (square, box(x, y, (-0.3, 0.3), (-0.65, 0.65))),
        "light": (square, ellipse(x, y, (0, 0.6), (0.66, 0.27))),
        "direction": (square, (np.abs(np.abs(y) - 0.4) < 0.16) & (np.abs(x) < 0.75)),
    }
    return figures[kind]


def paint_fence(canvas: Canvas, fence: Fence, light: Rgb) -> None:
    """Paint a fence or hedge along the street; a hedge is vegetation, and labelled so."""
    label = TREE if fence.kind == "hedge" else FENCE
    length = LENGTHS[fence.kind]
    canvas.along(
        fence.x,
        (fence.start, fence.end),
        _fence(fence.kind),
        skin(light, label, fence.colour),
        height=fence.height * 1.15,
        period=(fence.start, fence.start + length),
    )


LENGTHS = {"boards": 2.8, "railing": 0.42, "guard": 2.0, "hedge": 8.0}
"""Metres after which the picture of a border repeats."""


@cache
def _fence(kind: str) -> Sprite:
    """Return one period of a border; its nominal height is 1 of the 1.15 that are drawn."""
    draw = {"boards": _boards, "railing": _railing, "guard": _guard, "hedge": _hedge}[kind]
    return sprite(draw, (40, 128), (0.0, 1.0), (0.0, 1.15))


def _boards(x: Floats, y: Floats) -> tuple[Parts, Floats]:
    plank = np.floor(x * 10)
    tone = 0.75 + 0.35 * noise.sample(noise.white(), np.zeros_like(x), plank)
    gap = noise.fraction(x * 10) < 0.14
    beam = (np.abs(y - 0.25) < 0.04) | (np.abs(y - 0.8) < 0.04)
    shade = np.where(gap, 0.45, tone) * np.where(beam, 0.85, 1.0)
    return (y < 1 - 0.05 * gap).astype(np.intp), shade


def _railing(x: Floats, y: Floats) -> tuple[Parts, Floats]:
    rail = (np.abs(y - 0.96) < 0.05) | (np.abs(y - 0.16) < 0.05)
    bar = (x < 0.42) & (y < 1)
    return (rail | bar).astype(np.intp), np.where(rail, 1.05, 0.85)


def _guard(x: Floats, y: Floats) -> tuple[Parts, Floats]:
    band = (y > 0.36) & (y < 0.85)
    post = (x < 0.12) & (y < 0.85)
    rib = np.abs(y - 0.6) < 0.07
    return (band | post).astype(np.intp), np.where(rib, 0.8, np.where(band, 1.25, 0.7))


def _hedge(x: Floats, y: Floats) -> tuple[Parts, Floats]:
    clump = noise.sample(noise.smooth(8), y * 32, x * 128)
    leaf = noise.sample(noise.smooth(2), y * 32, x * 128)
    shade = (0.45 + 0.45 * y) * (0.75 + 0.3 * clump + 0.4 * (leaf - 0.5))
    return (y < 0.9 + 0.2 * clump).astype(np.intp), shade
