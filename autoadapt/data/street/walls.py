"""The houses. A column of the image meets one wall, at one depth, so all are painted at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise
from autoadapt.data.street.canvas import SKY_DEPTH, Canvas
from autoadapt.data.street.labels import BUILDING
from autoadapt.data.street.things import END, STOREY, House, Scene
from autoadapt.data.street.view import NEAREST, Floats

GABLE_WIDTH = 9.0
"""Width of the end wall of a house, over which its gable rises."""

WALL, GLASS, LAMP, TRIM, ROOF, AWNING = range(1, 7)
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
    up = canvas.camera.eye - canvas.drops[:bottom, None] * depth
    parts = _parts(houses, hits, up)
    behind = canvas.depth[:bottom]
    seen = (parts > 0) & (hits.depth < behind)

    # Light and material meet in one table per house and kind of wall, looked up per pixel.
    grain = 7.0 * hits.house
    table = noise.surface(street.rough, street.dirt)
    tone = noise.sample(table, up * 9, hits.along * 7 + grain) * (9 / (9 + depth)) + 1
    draw = _window_draws(houses, hits, up)
    glass = parts == GLASS
    np.copyto(tone, draw * 0.32 + 0.08, where=glass)
    np.copyto(parts, np.intp(LAMP), where=glass & (draw < canvas.light.lamps))
    kind = (hits.house * 2 + hits.front) * PARTS
    colour = _palette(canvas, houses).take(parts + kind, axis=1)
    colour *= tone
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
    tall, roof, bay, glazing, shop = (
        _each(houses, name)[hits.house] for name in ("height", "roof", "bay", "glazing", "shop")
    )
    # Where a bay is only a few pixels wide its windows would flicker.
    aside = np.abs(noise.fraction(hits.along / bay) - 0.5)
    pane = (aside < 0.5 * glazing) & (hits.pixel < bay * 0.45)
    shop_pane = noise.fraction(hits.along / 2.6) > 0.07
    level = noise.fraction(up * (1 / STOREY))
    upstairs = (up > STOREY * shop) & (up < tall - 0.5)
    window = pane & upstairs & (np.abs(level - 0.56) < 0.26)
    shop_window = ((shop > 0) & shop_pane) & (np.abs(up - 1.4) < 0.9)
    parts = np.where(window | shop_window, GLASS, WALL)
    np.copyto(parts, np.intp(AWNING), where=(shop > 0) & (np.abs(up - 2.65) < 0.33))
    np.copyto(parts, np.intp(TRIM), where=np.abs(up - tall + 0.18) < 0.18)
    np.copyto(parts, np.where(hits.front, np.intp(WALL), np.intp(ROOF)), where=up > tall)
    gable = roof * np.maximum(1 - np.abs(hits.along * (2 / GABLE_WIDTH) - 1), 0.0)
    top = tall + np.where(hits.front, gable, roof)
    parts *= (up < top) & (up > -0.3)
    return parts


def _window_draws(houses: tuple[House, ...], hits: _Hits, up: Floats) -> Floats:
    """Return one number in [0, 1) per window, (h, W)."""
    bay = _each(houses, "bay")[hits.house]
    column = hits.along / bay + 5.0 * hits.house
    return noise.sample(noise.white(), up * (1 / STOREY) + 17.0 * hits.house, column)


def _palette(canvas: Canvas, houses: tuple[House, ...]) -> Floats:
    """Return the colour of each part under its light, (3, houses * 2 * PARTS).

    Walls along the street get the sun if they face it; those that face the camera, in part.
    """
    light = canvas.light
    ambient, sun, sky = np.array(light.ambient), np.array(light.sun), np.array(light.low_sky)
    palette = np.zeros((len(houses), 2, PARTS, 3))
    materials = np.array([(house.wall, house.trim, house.tiles) for house in houses])
    wall, trim, tiles = materials[:, 0], materials[:, 1], materials[:, 2]
    side = _each(houses, "side")
    along = ambient * 0.84 + (np.where(side * light.side < 0, 0.8, 0.0))[:, None] * sun
    facing = np.broadcast_to(ambient * 0.92 + light.front * sun, along.shape)
    for part, colour in (
        (WALL, wall),
        (TRIM, trim),
        (ROOF, tiles),
        (AWNING, (1 - 0.7 * tiles[:, (2, 0, 1)]) * wall),
    ):
        palette[:, 0, part] = colour * along
        palette[:, 1, part] = colour * facing
    palette[:, :, GLASS] = sky
    palette[:, :, LAMP] = np.array(LAMPLIGHT) * 4
    return palette.reshape(-1, 3).T.copy()
