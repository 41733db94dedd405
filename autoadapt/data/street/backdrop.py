"""Sky, ground and skyline: what fills the image before anything stands in it."""

from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise, walls
from autoadapt.data.street.canvas import Canvas, Span
from autoadapt.data.street.labels import BUILDING, PAVEMENT, ROAD, TREE
from autoadapt.data.street.shade import HouseShade
from autoadapt.data.street.things import END, Rgb, Scene, Street
from autoadapt.data.street.view import NEAREST, Floats

FURTHEST_GROUND = 2000.0
SHADOWS_UNTIL = 36.0
"""Depth beyond which the shadow of a prop is too flat to see."""

FAR_TREES: Rgb = (0.08, 0.14, 0.05)


def paint(canvas: Canvas, scene: Scene, shade: HouseShade) -> None:
    """Paint all but the props onto an empty canvas."""
    _sky(canvas)
    _ground(canvas, scene, shade)
    _skyline(canvas, scene)
    walls.paint(canvas, scene)


def _column(colour: Rgb) -> Floats:
    """Return a colour as (3, 1, 1), to broadcast over pixels."""
    return np.array(colour)[:, None, None]


def _sky(canvas: Canvas) -> None:
    """A gradient, and a layer of clouds seen from below."""
    light = canvas.light
    rows = min(max(floor(canvas.camera.horizon) + 1, 0), canvas.camera.height)
    up = np.maximum(-canvas.drops[:rows, None], 0.0)
    weight = np.minimum(up * 2.2, 1.0)
    low = _column(light.low_sky)
    sky = low + (_column(light.zenith) - low) * (weight * (2 - weight))
    away = 14.0 / (up + 0.16)
    cover = noise.sample(noise.cloudy(), away + light.drift, canvas.slopes * away + 2 * light.drift)
    # Noise of the table lies mostly within 0.25 and 0.75.
    cloud = np.minimum(np.maximum((cover - 0.74 + 0.5 * light.clouds) * 3.6, 0.0), 0.9)
    canvas.image[:, :rows] = sky + (_column(light.cloud) - sky) * cloud


@dataclass(frozen=True)
class _Ground:
    """The ground pixels: first row, place across the street (h, W), depth and pixel (h, 1)."""

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

    aside = np.abs(ground.x)
    crossing = (depth > street.junction[0]) & (depth < street.junction[1])
    road = (aside < street.kerb) | crossing
    parts = np.where(road, 0, _paving(ground, aside, street))
    parts[_markings(ground, aside, street) & road] = 1
    colours = _colours(street).take(parts, axis=1)
    table = noise.surface(street.rough, street.dirt)
    colours *= 1 + noise.sample(table, depth * 14, ground.x * 20) * (9 / (9 + depth))

    brightness = _brightness(canvas, scene, ground, shade)
    ambient, sun = _column(light.ambient), _column(light.sun)
    colours *= ambient * brightness[1] + sun * brightness[0]
    canvas.image[:, top:] = colours
    canvas.label[top:] = np.where(road, np.uint8(ROAD), np.uint8(PAVEMENT))
    canvas.depth[top:] = depth


def _colours(street: Street) -> Floats:
    """Return the colours of road, marking, paving, joint and kerb, (3, 5)."""
    paint = 0.85 - 0.4 * street.wear
    road, paving = np.array(street.road), np.array(street.paving)
    return np.stack([road, np.full(3, paint), paving, paving * 0.75, paving * 1.25], axis=1)


def _paving(ground: _Ground, aside: Floats, street: Street) -> NDArray[np.intp]:
    """Return part 2 for paving, 3 for a joint (none far away), 4 for the kerb; (h, W)."""
    near = ground.pixel < 0.05
    joint = noise.fraction(aside * 1.1) < 0.08
    joint |= noise.fraction(ground.depth * 1.1) < 0.08
    joint &= near
    kerb = aside < street.kerb + np.maximum(0.2, ground.pixel)
    return np.where(kerb, 4, np.where(joint, 3, 2))


def _markings(ground: _Ground, aside: Floats, street: Street) -> NDArray[np.bool_]:
    """Return where the road is painted: dashes, lines along the kerbs, a zebra crossing."""
    half = np.maximum(0.08, 0.45 * ground.pixel)
    dash = noise.fraction((ground.depth + street.phase) * (1 / 5.5)) < 0.5
    painted = (aside < half) & dash
    if street.edge_line:
        painted |= np.abs(aside - (street.kerb - 0.3)) < half
    start, end = street.junction
    if end > start:
        painted &= (ground.depth <= start) | (ground.depth >= end)
        zebra = ((ground.depth > start - 3.6) & (ground.depth < start - 0.8))[:, 0]
        stripe = noise.fraction(ground.x[zebra] / 1.1) < 0.5
        painted[zebra] = stripe & (aside[zebra] < street.kerb - 0.3)
    return painted


def _brightness(
    canvas: Canvas, scene: Scene, ground: _Ground, shade: HouseShade
) -> tuple[Floats, Floats]:
    """Return the shares of sun and of surrounding light that reach the ground, (h, W) each."""
    sun = shade.lit(ground.x, ground.depth).astype(np.float64)
    openness = np.ones_like(sun)
    light = scene.light
    casts = max(light.sun) > 0.15
    for prop in scene.props:
        size = prop.footprint()
        if size is None or size.depth > SHADOWS_UNTIL:
            continue
        half_depth = size.half_depth * 1.1
        extent = (size.depth - half_depth, size.depth + half_depth)
        if casts:
            # The shadow reaches from that of the foot to that of the top, away from the sun.
            first, last = size.foot * light.slant, min(size.height * light.slant, 8.0)
            reach = size.half_x + max(0.5 * (last - first), 0.0)
            x = size.x - light.side * 0.5 * (first + last)
            _darken(canvas, ground, ((x - reach, x + reach), extent), ((sun, 0.0),))
        if size.contact < 1:
            sides = (size.x - size.half_x * 1.25, size.x + size.half_x * 1.25)
            both = ((sun, size.contact), (openness, size.contact))
            _darken(canvas, ground, (sides, extent), both)
    return sun, openness


def _darken(
    canvas: Canvas,
    ground: _Ground,
    area: tuple[Span, Span],
    maps: tuple[tuple[Floats, float], ...],
) -> None:
    """Lower each map to a value inside the ellipse that fills an area (across, depth)."""
    (x0, x1), (near, far) = area
    camera, near_row = canvas.camera, max(near, NEAREST)
    if far <= near_row:
        return
    top = max(floor(camera.row(0.0, far)), ground.top) - ground.top
    bottom = floor(camera.row(0.0, near_row)) + 1 - ground.top
    left = min(camera.column(x0, near_row), camera.column(x0, far))
    right = max(camera.column(x1, near_row), camera.column(x1, far))
    box = (slice(top, bottom), slice(max(floor(left), 0), min(floor(right) + 1, camera.width)))
    if bottom <= top or box[1].stop <= box[1].start:
        return
    dx = (ground.x[box] - 0.5 * (x0 + x1)) * (2 / (x1 - x0))
    dz = (ground.depth[top:bottom] - 0.5 * (near + far)) * (2 / (far - near))
    dx *= dx
    inside = dx < 1 - dz * dz
    for values, value in maps:
        lowered = values[box]
        np.copyto(lowered, np.minimum(lowered, value), where=inside)


def _skyline(canvas: Canvas, scene: Scene) -> None:
    """Close the street with far houses and trees, so that no ground meets the sky."""
    camera, drift = canvas.camera, scene.light.drift
    top = min(max(floor(camera.row(18.5, END)), 0), camera.height)
    bottom = min(max(floor(camera.row(0.0, END)) + 2, 0), camera.height)
    if bottom <= top:
        return
    x = camera.x + canvas.slopes * END
    lot = np.floor(x / 13 + drift)
    kind = noise.sample(noise.white(), lot * 7, lot)
    houses = 5 + 13 * noise.sample(noise.white(), lot * 3, lot + 5)
    trees = 4 + 5 * noise.sample(noise.smooth(4), x, x + drift)
    is_tree = kind < 0.4
    part = np.where(is_tree, 2, np.where(kind < 0.7, 0, 1))
    light = np.array(scene.light.ambient) * 0.8 + np.array(scene.light.sun) * 0.32
    walls_and_trees = np.array((scene.houses[0].wall, scene.houses[-1].wall, FAR_TREES)) * light
    up = (camera.eye - canvas.drops[top:bottom] * END)[:, None]
    seen = up < np.where(is_tree, trees, houses)
    colour = walls_and_trees.T[:, part][:, None]
    np.copyto(canvas.image[:, top:bottom], colour, where=seen)
    label = np.where(is_tree, np.uint8(TREE), np.uint8(BUILDING))
    np.copyto(canvas.label[top:bottom], label, where=seen)
    np.copyto(canvas.depth[top:bottom], END, where=seen)
