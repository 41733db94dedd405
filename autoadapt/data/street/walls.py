"""The houses. A column of the image meets one wall, at one depth, so all are painted at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise
from autoadapt.data.street.canvas import SKY_DEPTH, Canvas
from autoadapt.data.street.labels import BUILDING
from autoadapt.data.street.scene import END, STOREY, House, Scene
from autoadapt.data.street.view import NEAREST, Floats

GABLE_WIDTH = 9.0
"""Width of the end wall of a house, over which its gable rises."""

WALL, GLASS, TRIM, ROOF, AWNING = 1, 2, 3, 4, 5
"""Parts of a wall; 0 is no wall."""


@dataclass(frozen=True)
class _Hits:
    """What the ray through each column meets, seen from above; all (W,).

    Attributes:
        house: Which house; meaningless where the depth is ``SKY_DEPTH``.
        depth: Where.
        along: Metres along the wall that is met.
        front: Whether it is the wall that faces the camera, not the one along the street.
        pixel: Metres of wall per pixel.
    """

    house: NDArray[np.intp]
    depth: Floats
    along: Floats
    front: NDArray[np.bool_]
    pixel: Floats


def paint(canvas: Canvas, scene: Scene) -> None:
    """Paint all houses."""
    hits = _hits(canvas, scene.houses)
    bottom = _lowest_row(canvas, hits)
    depth = np.minimum(hits.depth, END)
    up = canvas.camera.eye - canvas.drops[:bottom, None] * depth
    behind = canvas.depth[:bottom]
    parts = _parts(scene.houses, hits, up)
    seen = (parts > 0) & (hits.depth < behind)
    colour = _colours(canvas, scene, hits, (up, parts))
    np.copyto(canvas.image[:, :bottom], colour, where=seen)
    np.copyto(canvas.label[:bottom], np.uint8(BUILDING), where=seen)
    np.copyto(behind, hits.depth, where=seen)


def _hits(canvas: Canvas, houses: tuple[House, ...]) -> _Hits:
    """Follow the ray of each column, on the ground plan, to the first wall."""
    camera = canvas.camera
    slopes = np.where(np.abs(canvas.slopes) < 1e-9, 1e-9, canvas.slopes)
    side, x, start, end = (_each(houses, name) for name in ("side", "x", "start", "end"))
    start_column = start[:, None]
    outside = side[:, None] * (camera.x + slopes * start_column - x[:, None])
    front = (outside >= 0) & (start_column > NEAREST)
    meets = (x[:, None] - camera.x) / slopes
    flank = (meets >= np.maximum(start_column, NEAREST)) & (meets <= end[:, None])
    depths = np.where(front, start_column, np.where(flank, meets, SKY_DEPTH))
    house = depths.argmin(axis=0)
    each = np.arange(camera.width)
    depth, is_front = depths[house, each], front[house, each]
    depth = np.where(depth < END, depth, SKY_DEPTH)
    flatness = np.where(is_front, 1.0, np.maximum(np.abs(slopes), 1e-3))
    return _Hits(
        house=house,
        depth=depth,
        along=np.where(is_front, outside[house, each], depth - start[house]),
        front=is_front,
        pixel=depth / camera.focal / flatness,
    )


def _each(houses: tuple[House, ...], name: str) -> Floats:
    """Return one number of every house, (houses,)."""
    return np.array([getattr(house, name) for house in houses], dtype=np.float64)


def _lowest_row(canvas: Canvas, hits: _Hits) -> int:
    """Return the row below the foot of the nearest wall, at least 1."""
    nearest = max(float(hits.depth.min()), NEAREST)
    row = min(canvas.camera.row(0.0, nearest) + 2, float(canvas.camera.height))
    return max(int(row), 1)


def _parts(houses: tuple[House, ...], hits: _Hits, up: Floats) -> NDArray[np.intp]:
    """Return which part of a wall each pixel shows, (h, W)."""
    tall, roof = _each(houses, "height")[hits.house], _each(houses, "roof")[hits.house]
    shop = np.array([house.shop for house in houses])[hits.house]
    parts = np.full(up.shape, WALL, dtype=np.intp)
    parts[_windows(houses, hits, up) & (up < tall - 0.5)] = GLASS
    ground_floor = up < STOREY
    place = noise.fraction(hits.along / 2.6)
    pane = (place > 0.07) & (up > 0.5) & (up < 2.25)
    np.copyto(parts, np.where(pane, GLASS, WALL), where=ground_floor & shop)
    parts[(up > 2.3) & (up < 2.95) & shop] = AWNING
    parts[(up > tall - 0.35) & (up <= tall)] = TRIM
    gable = roof * np.maximum(1 - np.abs(hits.along * (2 / GABLE_WIDTH) - 1), 0.0)
    parts[up > tall] = ROOF
    np.copyto(parts, WALL, where=(up > tall) & hits.front)
    top = tall + np.where(hits.front, gable, roof)
    parts[(up >= top) | (up < -0.3)] = 0
    return parts


def _windows(houses: tuple[House, ...], hits: _Hits, up: Floats) -> NDArray[np.bool_]:
    """Return where the regular windows are: one in each bay of each storey."""
    bay, glazing = _each(houses, "bay")[hits.house], _each(houses, "glazing")[hits.house]
    aside = np.abs(noise.fraction(hits.along / bay) - 0.5)
    level = noise.fraction(up * (1 / STOREY))
    # Where a bay is narrower than a few pixels its windows would only flicker.
    visible = hits.pixel < bay * 0.45
    return np.asarray((aside < 0.5 * glazing) & visible & (level > 0.3) & (level < 0.82))


def _colours(
    canvas: Canvas, scene: Scene, hits: _Hits, surface: tuple[Floats, NDArray[np.intp]]
) -> Floats:
    """Return the light that each pixel of the walls sends, (3, h, W)."""
    up, parts = surface
    houses, street = scene.houses, scene.street
    grain = _each(houses, "grain")[hits.house]
    wall, trim, tiles = (
        np.array([getattr(house, name) for house in houses]).T[:, hits.house]
        for name in ("wall", "trim", "tiles")
    )
    colour = np.repeat(wall[:, None], up.shape[0], axis=1)
    np.copyto(colour, trim[:, None], where=parts == TRIM)
    np.copyto(colour, tiles[:, None], where=parts == ROOF)
    np.copyto(colour, (1 - 0.7 * tiles[[2, 0, 1]][:, None]) * wall[:, None], where=parts == AWNING)
    fine = noise.sample(noise.white(), up * 9, hits.along * 7 + grain)
    stains = noise.sample(noise.smooth(16), up * 5, hits.along * 4 + grain)
    fading = 8 / (8 + np.minimum(hits.depth, END))
    tone = 1 + (fine - 0.5) * (2 * street.rough * fading) + (stains - 0.5) * (1.4 * street.dirt)
    colour *= tone * np.where(up < 0.35, 0.7, 1.0)
    colour *= _light(canvas, hits)[:, None]
    glass = _glass(canvas, scene, hits, up)
    np.copyto(colour, glass, where=parts == GLASS)
    return colour


def _light(canvas: Canvas, hits: _Hits) -> Floats:
    """Return the light on the wall of each column, (3, W).

    Only walls that face the sun get it: those opposite to it, and the fronts in part.
    """
    light = canvas.light
    opposite = np.where(canvas.slopes * light.side < 0, 0.8, 0.0)
    sun = np.where(hits.front, light.front, opposite)
    darker = np.where(hits.front, 0.92, 0.84)
    return np.asarray(light.ambient[:, None] * darker + light.sun[:, None] * sun)


def _glass(canvas: Canvas, scene: Scene, hits: _Hits, up: Floats) -> Floats:
    """Return the colour of window panes, (3, h, W): dark, a mirrored sky, or a lamp."""
    light = canvas.light
    bay = _each(scene.houses, "bay")[hits.house]
    draw = noise.sample(
        noise.white(), up * (1 / STOREY) + 17 * hits.house, hits.along / bay + 5 * hits.house
    )
    mirror = (0.10 + 0.32 * draw) * (0.6 + 0.4 * np.minimum(up * 0.1, 1.0))
    glass = light.low_sky[:, None, None] * mirror
    lamp = np.array([0.95, 0.72, 0.38])[:, None, None]
    return np.where(draw < light.lamps, lamp, glass)
