"""Sky, ground and skyline: what fills the image before anything stands in it."""

from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise, walls
from autoadapt.data.street.canvas import Canvas, Patch, Skin
from autoadapt.data.street.labels import BUILDING, PAVEMENT, ROAD, TREE
from autoadapt.data.street.scene import END, Scene, Street
from autoadapt.data.street.shade import HouseShade, house_shade
from autoadapt.data.street.view import NEAREST, Floats

FURTHEST_GROUND = 2000.0


def paint(canvas: Canvas, scene: Scene) -> None:
    """Paint all but the props onto an empty canvas."""
    shade = house_shade(scene.houses, scene.light)
    _sky(canvas)
    _ground(canvas, scene, shade)
    _skyline(canvas, scene)
    walls.paint(canvas, scene)


def mix(start: Floats, end: Floats, weight: Floats) -> Floats:
    """Return colours (3, h, w) between two colours (3,), weights of (h, w)."""
    return start[:, None, None] + (end - start)[:, None, None] * weight


def _sky(canvas: Canvas) -> None:
    """A gradient, and a layer of clouds seen from below."""
    light = canvas.light
    rows = min(max(floor(canvas.camera.horizon) + 1, 0), canvas.camera.height)
    up = np.maximum(-canvas.drops[:rows, None], 0.0)
    weight = np.minimum(up * 2.2, 1.0)
    sky = mix(light.low_sky, light.zenith, weight * (2 - weight))
    away = 14.0 / (up + 0.16)
    cover = noise.sample(
        noise.cloudy(), light.drift + away, 2 * light.drift + canvas.slopes * away
    )
    cloud = np.minimum(np.maximum((cover - 0.74 + 0.5 * light.clouds) * 4, 0.0), 1.0)
    canvas.image[:, :rows] = sky + (light.cloud[:, None, None] - sky) * (cloud * 0.9)


@dataclass(frozen=True)
class _Ground:
    """The ground pixels: first row, place across the street (h, w), depth and pixel (h, 1)."""

    top: int
    x: Floats
    depth: Floats
    pixel: Floats


def _ground(canvas: Canvas, scene: Scene, shade: HouseShade) -> None:
    camera, street, light = canvas.camera, scene.street, scene.light
    top = min(max(floor(camera.horizon), 0), camera.height - 1)
    drop = np.maximum(canvas.drops[top:, None], camera.eye / FURTHEST_GROUND)
    depth = camera.eye / drop
    ground = _Ground(top, camera.x + canvas.slopes * depth, depth, depth / camera.focal)

    crossing = (depth > street.junction[0]) & (depth < street.junction[1])
    road = (np.abs(ground.x) < street.kerb) | crossing
    tone = _surface(ground, street)
    tone *= np.where(road, 1.0, _tiles(ground, street))
    colour = np.where(road, street.road[:, None, None], street.paving[:, None, None])
    paint = _markings(ground, street) & road
    colour = np.where(paint, (0.85 - 0.35 * street.wear), colour) * tone

    sun = shade.lit(ground.x, depth).astype(np.float64)
    openness = np.ones_like(sun)
    for spot in _spots(scene):
        _darken(canvas, ground, spot, (sun, openness))
    canvas.image[:, top:] = colour * (
        light.ambient[:, None, None] * openness + light.sun[:, None, None] * sun
    )
    canvas.label[top:] = np.where(road, ROAD, PAVEMENT)
    canvas.depth[top:] = depth


def _surface(ground: _Ground, street: Street) -> Floats:
    """Return the brightness of rough and stained ground around 1, (h, w)."""
    fine = noise.sample(noise.white(), ground.depth * 14, ground.x * 20)
    stains = noise.sample(noise.smooth(16), ground.depth * 5, ground.x * 9)
    fading = 6 / (6 + ground.depth)
    return np.asarray(
        1 + (fine - 0.5) * (2 * street.rough * fading) + (stains - 0.5) * (1.3 * street.dirt)
    )


def _tiles(ground: _Ground, street: Street) -> Floats:
    """Return the brightness of paving: a bright kerb, dark joints that vanish far away."""
    beyond = np.abs(ground.x) - street.kerb
    joint = (noise.fraction(beyond / 0.9) < 0.07) | (noise.fraction(ground.depth / 0.9) < 0.07)
    fading = np.minimum(np.maximum(1.6 - ground.pixel * 25, 0.0), 1.0)
    tiles = np.where(joint, 1 - 0.25 * fading, 1.0)
    return np.where(beyond < np.maximum(0.2, ground.pixel), 1.25, tiles)


def _markings(ground: _Ground, street: Street) -> NDArray[np.bool_]:
    """Return where the road is painted: dashes, lines along the kerbs, a zebra crossing."""
    aside = np.abs(ground.x)
    half = np.maximum(0.08, 0.45 * ground.pixel)
    painted = (aside < half) & (noise.fraction((ground.depth + street.phase) / 5.5) < 0.5)
    if street.edge_line:
        painted |= np.abs(aside - (street.kerb - 0.3)) < half
    start, end = street.junction
    if end > start:
        inside = (ground.depth > start) & (ground.depth < end)
        painted &= ~inside
        zebra = (ground.depth > start - 3.6) & (ground.depth < start - 0.8)
        stripe = noise.fraction(ground.x / 1.1) < 0.5
        painted = np.where(zebra, stripe & (aside < street.kerb - 0.3), painted)
    return painted


@dataclass(frozen=True)
class _Spot:
    """An ellipse on the ground that loses sun and openness."""

    x: float
    depth: float
    half_x: float
    half_depth: float
    sun: float
    openness: float


def _spots(scene: Scene) -> list[_Spot]:
    """Return the cast shadow and the dark contact of each prop."""
    spots: list[_Spot] = []
    light = scene.light
    for prop in scene.props:
        size = prop.footprint()
        if size is None:
            continue
        # The top throws its shadow furthest; the ellipse spans from the shadow of the foot to it.
        first, last = size.foot * light.slant, min(size.height * light.slant, 8.0)
        shift = light.side * 0.5 * (first + last)
        reach = size.half_x + max(0.5 * (last - first), 0.0)
        half_depth = size.half_depth * 1.1
        spots.append(_Spot(size.x - shift, size.depth, reach, half_depth, 0.0, 1.0))
        if size.contact < 1:
            wide = size.half_x * 1.25
            spots.append(
                _Spot(size.x, size.depth, wide, half_depth, size.contact, size.contact)
            )
    return spots


def _darken(
    canvas: Canvas, ground: _Ground, spot: _Spot, maps: tuple[Floats, Floats]
) -> None:
    """Take sun and openness away inside an ellipse on the ground."""
    camera = canvas.camera
    near, far = max(spot.depth - spot.half_depth, NEAREST), spot.depth + spot.half_depth
    if far <= near:
        return
    top = max(floor(camera.row(0.0, far)) - ground.top, 0)
    bottom = floor(camera.row(0.0, near)) + 1 - ground.top
    edges = (spot.x - spot.half_x, spot.x + spot.half_x)
    columns = [camera.column(edge, depth) for edge in edges for depth in (near, far)]
    left, right = max(floor(min(columns)), 0), min(floor(max(columns)) + 1, camera.width)
    if bottom <= top or right <= left:
        return
    box = (slice(top, bottom), slice(left, right))
    dx = (ground.x[box] - spot.x) / spot.half_x
    dz = (ground.depth[top:bottom] - spot.depth) / spot.half_depth
    inside = dx * dx + dz * dz < 1
    for values, factor in zip(maps, (spot.sun, spot.openness), strict=True):
        if factor < 1:
            np.copyto(values[box], values[box] * factor, where=inside)


def _skyline(canvas: Canvas, scene: Scene) -> None:
    """Close the street with far houses and trees, so that no ground meets the sky."""
    camera = canvas.camera
    x = camera.x + canvas.slopes * END
    drift = scene.light.drift
    lot = np.floor(x / 13 + drift)
    kind = noise.sample(noise.white(), lot * 7, lot)
    houses = 5 + 13 * noise.sample(noise.white(), lot * 3, lot + 5)
    trees = 4 + 5 * noise.sample(noise.smooth(4), x, x + drift)
    is_tree = kind < 0.4
    height = np.where(is_tree, trees, houses)
    tallest = camera.row(18.5, END)
    top = min(max(floor(tallest), 0), camera.height)
    bottom = min(max(floor(camera.row(0.0, END)) + 2, 0), camera.height)
    if bottom <= top:
        return
    up = (camera.eye - canvas.drops[top:bottom] * END)[:, None]
    wall, leaf = scene.houses[0], scene.houses[-1]
    colours = np.stack(
        [np.zeros(3), wall.wall, leaf.wall, np.array([0.08, 0.14, 0.05])], axis=1
    )
    light = scene.light.ambient + 0.4 * scene.light.sun
    parts = np.where(is_tree, 3, np.where(kind < 0.7, 1, 2)) * (up < height)
    labels = np.array([0, BUILDING, BUILDING, TREE], dtype=np.uint8)
    patch = Patch(
        (slice(top, bottom), slice(0, camera.width)), x[None], up, END, END / camera.focal
    )
    # The ground just before the skyline is as far away: let the skyline win.
    behind = canvas.depth[top:bottom]
    behind[behind > END - 25] = FURTHEST_GROUND
    canvas.stamp(patch, parts.astype(np.intp), Skin(colours * light[:, None], labels), 0.8)
