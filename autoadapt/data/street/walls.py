"""The houses. A column of the image meets one wall, at one depth, so all are painted at once."""

from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise
from autoadapt.data.street.canvas import SKY_DEPTH, Canvas, Tones
from autoadapt.data.street.labels import BUILDING
from autoadapt.data.street.things import END, STOREY, House, Scene
from autoadapt.data.street.view import NEAREST, Floats

GABLE_WIDTH = 9.0
"""Width of the end wall of a house, over which its gable rises."""

WALL, GLASS, LAMP, TRIM, ROOF, AWNING = (np.uint8(part) for part in range(1, 7))
"""Parts of a wall; 0 is no wall."""

PARTS = 7
LAMPLIGHT = (0.95, 0.72, 0.38)


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
    houses, street = scene.houses, scene.street
    hits = _hits(canvas, houses)
    bottom = _lowest_row(canvas, hits)
    depth = np.minimum(hits.depth, END)
    # Single precision is finer than any pixel here, and half the work.
    up = (canvas.camera.eye - canvas.drops[:bottom, None] * depth).astype(np.float32)
    parts = _parts(houses, hits, up)
    behind = canvas.depth[:bottom]
    seen = (parts > 0) & (hits.depth < behind)

    # Light and material meet in one table per house and kind of wall, looked up per pixel.
    grain = 7.0 * hits.house
    table = noise.surface(street.rough, street.dirt)
    tone = noise.sample(table, up * 9, hits.along * 7 + grain)
    tone *= (9 / (9 + depth)).astype(np.float32)
    tone += 1.0
    draw = _window_draws(houses, hits, up)
    glass = parts == GLASS
    np.copyto(tone, draw * 0.32 + 0.08, where=glass)
    np.copyto(parts, LAMP, where=glass & (draw < canvas.light.lamps))
    kind = parts + (hits.house * 2 + hits.front) * PARTS
    for channel, colours in zip(canvas.image, _palette(canvas, houses), strict=True):
        np.copyto(channel[:bottom], colours.take(kind) * tone, where=seen)
    np.copyto(canvas.label[:bottom], np.uint8(BUILDING), where=seen)
    np.copyto(behind, hits.depth, where=seen)


def _hits(canvas: Canvas, houses: tuple[House, ...]) -> _Hits:
    """Follow the ray of each column, on the ground plan, to the first wall."""
    camera = canvas.camera
    slopes = np.where(np.abs(canvas.slopes) < 1e-9, 1e-9, canvas.slopes)
    side, x, start, end = _each(houses, "side", "x", "start", "end")
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


def _each(houses: tuple[House, ...], *names: str) -> Floats:
    """Return some numbers of every house, (numbers, houses)."""
    return np.array(list(map(attrgetter(*names), houses)), dtype=np.float64).T


def _lowest_row(canvas: Canvas, hits: _Hits) -> int:
    """Return the row below the foot of the nearest wall, at least 1."""
    nearest = max(float(hits.depth.min()), NEAREST)
    row = min(canvas.camera.row(0.0, nearest) + 2, float(canvas.camera.height))
    return max(int(row), 1)


def _parts(houses: tuple[House, ...], hits: _Hits, up: Tones) -> NDArray[np.uint8]:
    """Return which part of a wall each pixel shows, (h, W)."""
    numbers = _each(houses, "height", "roof", "bay", "glazing", "shop").astype(np.float32)
    tall, roof, bay, glazing, shop = numbers[:, hits.house]
    # Where a bay is only a few pixels wide its windows would flicker.
    aside = np.abs(noise.fraction(hits.along / bay) - 0.5)
    pane = (aside < 0.5 * glazing) & (hits.pixel < bay * 0.45)
    shop_pane = (shop > 0) & (noise.fraction(hits.along / 2.6) > 0.07)
    level = noise.fraction(up * (1 / STOREY))
    upstairs = (up > STOREY * shop) & (up < tall - 0.5)
    window = pane & upstairs & (np.abs(level - 0.56) < 0.26)
    window |= shop_pane & (np.abs(up - 1.4) < 0.9)
    parts = np.where(window, GLASS, WALL)
    np.copyto(parts, AWNING, where=(shop > 0) & (np.abs(up - 2.65) < 0.33))
    np.copyto(parts, TRIM, where=np.abs(up - (tall - 0.18)) < 0.18)
    np.copyto(parts, np.where(hits.front, WALL, ROOF), where=up > tall)
    gable = roof * np.maximum(1 - np.abs(hits.along * (2 / GABLE_WIDTH) - 1), 0.0)
    top = tall + np.where(hits.front, gable, roof).astype(np.float32)
    parts *= (up < top) & (up > -0.3)
    return parts


def _window_draws(houses: tuple[House, ...], hits: _Hits, up: Tones) -> Tones:
    """Return one number in [0, 1) per window, (h, W)."""
    bay = np.array([house.bay for house in houses])[hits.house]
    column = hits.along / bay + 5.0 * hits.house
    storey = (17.0 * hits.house).astype(np.float32)
    return noise.sample(noise.lots(), up * (1 / STOREY) + storey, column)


def _palette(canvas: Canvas, houses: tuple[House, ...]) -> Tones:
    """Return the colour of each part under its light, (3, houses * 2 * PARTS).

    Walls along the street get the sun if they face it; those that face the camera, in part.
    """
    light = canvas.light
    ambient, sun, sky = np.array(light.ambient), np.array(light.sun), np.array(light.low_sky)
    materials = np.array([(house.wall, house.trim, house.tiles) for house in houses])
    wall, trim, tiles = materials[:, 0], materials[:, 1], materials[:, 2]
    colours = np.zeros((len(houses), PARTS, 3))
    colours[:, WALL], colours[:, TRIM], colours[:, ROOF] = wall, trim, tiles
    colours[:, AWNING] = (1 - 0.7 * tiles[:, (2, 0, 1)]) * wall
    lights = np.empty((len(houses), 2, 3))
    sunny = np.array([house.side * light.side < 0 for house in houses])
    lights[:, 0] = ambient * 0.84 + np.where(sunny, 0.8, 0.0)[:, None] * sun
    lights[:, 1] = ambient * 0.92 + light.front * sun
    palette = lights[:, :, None] * colours[:, None]
    palette[:, :, GLASS] = sky
    palette[:, :, LAMP] = np.array(LAMPLIGHT) * 4
    return palette.reshape(-1, 3).T.astype(np.float32)
