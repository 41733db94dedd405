"""Trees, lamp posts, signs and fences."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise
from autoadapt.data.street.canvas import Canvas, Patch, skin
from autoadapt.data.street.labels import FENCE, POLE, SIGN, TREE
from autoadapt.data.street.scene import Fence, Lamp, Sign, Tree, linear
from autoadapt.data.street.style import Colour
from autoadapt.data.street.view import Floats

Parts = NDArray[np.intp]
Mask = NDArray[np.bool_]


def paint_tree(canvas: Canvas, tree: Tree, light: Floats) -> None:
    """Paint a trunk, and a crown of leaves with a ragged outline and a bright side."""
    wide = tree.radius * 1.25
    patch = canvas.facing(tree.x, tree.depth, (-wide, wide), (0.0, tree.height * 1.06))
    if patch is None:
        return
    across, up = patch.across, patch.up
    half_height = tree.height * (0.42 if tree.pointed else 0.33)
    middle = tree.height - half_height
    x, y = across / tree.radius, (up - middle) / half_height
    if tree.pointed:
        x = x / np.maximum(0.62 - 0.38 * y, 0.15)
    clump = noise.sample(noise.smooth(8), up * 6, across * 6 + tree.grain)
    leaf = noise.sample(noise.white(), up * 5, across * 5 + tree.grain)
    crown = x * x + y * y + (clump - 0.5) * 1.1 < 0.92
    if tree.bare > 0:
        crown &= leaf >= tree.bare
    # Crown over trunk; a fork of two boughs shows where the crown has holes.
    taper = np.maximum(0.028 * tree.height * (1.2 - up / tree.height), 0.5 * patch.pixel)
    parts = ((np.abs(across) < taper) & (up < middle)).astype(np.intp)
    parts[crown] = 2
    side = 0.26 * y - canvas.light.side * -0.2 * x
    bright = (0.84 + side) * (0.7 + 0.45 * clump + 0.3 * (leaf - 0.5))
    shade = np.where(crown, np.minimum(np.maximum(bright, 0.22), 1.5), 0.8)
    canvas.stamp(patch, parts, skin(light, (TREE, tree.bark), (TREE, tree.leaf)), shade)


def paint_lamp(canvas: Canvas, lamp: Lamp, light: Floats) -> None:
    """Paint a post, its arm and the lamp at the end of it."""
    reach = lamp.reach
    across_span = (min(reach, 0.0) - 0.3, max(reach, 0.0) + 0.3)
    patch = canvas.facing(lamp.x, lamp.depth, across_span, (0.0, lamp.height + 0.2))
    if patch is None:
        return
    across, up = patch.across, patch.up
    thick = np.where(up < 1.1, 0.13, 0.085)
    post = (np.abs(across) < np.maximum(thick, 0.5 * patch.pixel)) & (up < lamp.height)
    over = (across > min(reach, 0.0)) & (across < max(reach, 0.0))
    arm = over & (np.abs(up - lamp.height) < np.maximum(0.05, 0.5 * patch.pixel))
    head = (np.abs(across - reach) < 0.3) & (np.abs(up - lamp.height) < 0.1)
    parts = (post | arm | head).astype(np.intp)
    round_side = 0.9 + canvas.light.side * 0.25 * np.sign(across)
    canvas.stamp(patch, parts, skin(light, (POLE, lamp.metal)), round_side)


def paint_sign(canvas: Canvas, sign: Sign, light: Floats) -> None:
    """Paint a pole and the board or lights on it."""
    board, half_width, half_height = _BOARDS[sign.kind]
    span = max(half_width, 0.2)
    top = sign.height + half_height
    patch = canvas.facing(sign.x, sign.depth, (-span, span), (0.0, top))
    if patch is None:
        return
    half = np.maximum(0.055, 0.5 * patch.pixel)
    parts = ((np.abs(patch.across) < half) & (patch.up < sign.height)).astype(np.intp)
    x, y = patch.across / half_width, (patch.up - sign.height) / half_height
    inside, inner = board(x, y)
    parts[inside] = 2
    parts[inside & inner] = 3
    outer_colour, inner_colour = _board_colours(sign.kind)
    # Boards reflect towards the camera: they stay brighter than what stands around them.
    lift = light * 0.85 + 0.12
    colours = ((POLE, sign.metal * light / lift), (SIGN, outer_colour), (SIGN, inner_colour))
    canvas.stamp(patch, parts, skin(lift, *colours))


def _disc(x: Floats, y: Floats) -> tuple[Mask, Mask]:
    radius = x * x + y * y
    return radius < 1, radius < 0.45


def _barred(x: Floats, y: Floats) -> tuple[Mask, Mask]:
    return x * x + y * y < 1, (np.abs(y) < 0.24) & (np.abs(x) < 0.7)


def _triangle(x: Floats, y: Floats) -> tuple[Mask, Mask]:
    outer = np.abs(x) * 2 + y < 1
    return outer & (y > -1), (np.abs(x) * 2 + y < 0.35) & (y > -0.72)


def _panel(x: Floats, y: Floats) -> tuple[Mask, Mask]:
    inside = (np.abs(x) < 1) & (np.abs(y) < 1)
    return inside, (np.abs(x) < 0.3) & (np.abs(y) < 0.65)


def _direction(x: Floats, y: Floats) -> tuple[Mask, Mask]:
    inside = (np.abs(x) < 1) & (np.abs(y) < 1)
    return inside, (np.abs(np.abs(y) - 0.4) < 0.16) & (np.abs(x) < 0.75)


def _lights(x: Floats, y: Floats) -> tuple[Mask, Mask]:
    inside = (np.abs(x) < 1) & (np.abs(y) < 1)
    return inside, x * x + (y - 0.6) * (y - 0.6) * 6 < 0.4


Board = Callable[[Floats, Floats], tuple[Mask, Mask]]

_BOARDS: dict[str, tuple[Board, float, float]] = {
    "stop": (_barred, 0.42, 0.42),
    "limit": (_disc, 0.42, 0.42),
    "warning": (_triangle, 0.5, 0.44),
    "blue": (_disc, 0.42, 0.42),
    "arrow": (_panel, 0.4, 0.4),
    "light": (_lights, 0.2, 0.52),
    "direction": (_direction, 1.0, 0.5),
}
"""Outline and inner figure of each kind, its half width and half height in metres."""

_COLOURS: dict[str, tuple[Colour, Colour]] = {
    "stop": ((196, 28, 34), (240, 240, 240)),
    "limit": ((200, 34, 36), (240, 240, 240)),
    "warning": ((204, 38, 36), (240, 238, 230)),
    "blue": ((30, 84, 176), (226, 232, 240)),
    "arrow": ((34, 88, 182), (236, 238, 240)),
    "light": ((34, 36, 36), (250, 60, 40)),
    "direction": ((22, 110, 74), (232, 236, 232)),
}


@cache
def _board_colours(kind: str) -> tuple[Floats, Floats]:
    outer, inner = _COLOURS[kind]
    return linear(outer), linear(inner)


def paint_fence(canvas: Canvas, fence: Fence, light: Floats) -> None:
    """Paint a fence or hedge along the street."""
    top = fence.height * 1.15
    patch = canvas.along(fence.x, (fence.start, fence.end), (0.0, top))
    if patch is None:
        return
    if fence.kind == "hedge":
        _hedge(canvas, fence, patch, light)
        return
    parts, shade = _FENCES[fence.kind](patch, fence)
    canvas.stamp(patch, parts, skin(light, (FENCE, fence.colour)), shade)


def _hedge(canvas: Canvas, fence: Fence, patch: Patch, light: Floats) -> None:
    """A hedge is vegetation, and labelled so."""
    clump = noise.sample(noise.smooth(4), patch.up * 8, patch.across * 8 + fence.grain)
    leaf = noise.sample(noise.white(), patch.up * 9, patch.across * 9 + fence.grain)
    parts = (patch.up < fence.height * (0.9 + 0.2 * clump)) & (patch.up > -0.1)
    bright = (0.45 + 0.45 * patch.up / fence.height) * (0.75 + 0.3 * clump + 0.4 * (leaf - 0.5))
    canvas.stamp(patch, parts.astype(np.intp), skin(light, (TREE, fence.colour)), bright)


def _planks(patch: Patch, fence: Fence) -> tuple[Parts, Floats]:
    """Boards side by side, some darker, with gaps that vanish far away."""
    place = patch.across / 0.28
    gap = (noise.fraction(place) < 0.16) & (patch.depth < 14)
    plank = noise.sample(noise.white(), np.full_like(place, fence.grain), place)
    edge = np.abs(patch.up - 0.25 * fence.height) < 0.05
    shade = np.where(gap, 0.45, 0.78 + 0.3 * plank) * np.where(edge, 0.85, 1.0)
    inside = (patch.up < fence.height) & (patch.up > -0.05)
    return inside.astype(np.intp), shade


def _railing(patch: Patch, fence: Fence) -> tuple[Parts, Floats]:
    """Two rails and upright bars that one can look through."""
    up = patch.up
    thin = np.maximum(0.05, 0.5 * np.asarray(patch.depth) * patch.pixel / patch.across[0, 0])
    thin = np.maximum(0.05, np.minimum(thin, 0.12))
    rail = (np.abs(up - fence.height + 0.06) < thin) | (np.abs(up - 0.2) < thin)
    bar = (noise.fraction(patch.across / 0.42) < 0.42) & (up > 0.05) & (up < fence.height)
    return (rail | bar).astype(np.intp), np.where(rail, 1.05, 0.85)


def _guard(patch: Patch, fence: Fence) -> tuple[Parts, Floats]:
    """A crash barrier: a ribbed steel band on posts."""
    up = patch.up
    band = (up > 0.38) & (up < 0.85)
    post = (noise.fraction(patch.across / 2.0) < 0.12) & (up > 0) & (up < 0.85)
    rib = np.abs(up - 0.61) < 0.06
    return (band | post).astype(np.intp), np.where(rib, 0.8, np.where(band, 1.25, 0.7))


_FENCES: dict[str, Callable[[Patch, Fence], tuple[Parts, Floats]]] = {
    "boards": _planks,
    "railing": _railing,
    "guard": _guard,
}
