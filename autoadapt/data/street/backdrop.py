"""Sky, ground and skyline: what fills the image before anything stands in it."""

from dataclasses import dataclass
from itertools import chain
from math import floor

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise, walls
from autoadapt.data.street.canvas import Canvas, Tones
from autoadapt.data.street.labels import BUILDING, PAVEMENT, ROAD, TREE
from autoadapt.data.street.shade import HouseShade
from autoadapt.data.street.things import END, Light, Rgb, Scene, Street
from autoadapt.data.street.view import Floats

FURTHEST_GROUND = 2000.0
SHADOWS_UNTIL = 36.0
"""Depth beyond which the shadow of a prop is too flat to see."""

CONTACT = 0.45
"""Share of the light that still arrives right below a thing."""

ROADWAY, MARKING, PAVING, JOINT, KERB = (np.uint8(part) for part in range(5))
PARTS = 5
"""Parts of the ground."""

Codes = NDArray[np.uint8]

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
    image = canvas.image[:, :rows]
    contrast = (_column(light.cloud) - sky).astype(np.float32)
    np.multiply(contrast, cloud.astype(np.float32), out=image)
    image += sky.astype(np.float32)


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
    parts = _paving(ground, aside, street)
    np.copyto(parts, ROADWAY, where=road)
    np.copyto(parts, MARKING, where=_markings(ground, aside, street) & road)
    parts += np.uint8(PARTS) * _darkness(scene, canvas, ground, shade)
    table = noise.surface(street.rough, street.dirt)
    tone = noise.sample(table, depth * 14, ground.x * 20)
    tone *= (9 / (9 + depth)).astype(np.float32)
    tone += 1.0
    part = parts.astype(np.intp)
    for channel, colours in zip(canvas.image, _colours(street, light), strict=True):
        np.multiply(colours.take(part), tone, out=channel[top:])
    canvas.label[top:] = np.where(road, np.uint8(ROAD), np.uint8(PAVEMENT))
    canvas.depth[top:] = depth


def _colours(street: Street, light: Light) -> Tones:
    """Return the colour of each part under each light of ``_darkness``, (3, 4 * parts)."""
    paint = 0.85 - 0.4 * street.wear
    road, paving = np.array(street.road), np.array(street.paving)
    parts = np.stack([road, np.full(3, paint), paving, paving * 0.75, paving * 1.25])
    ambient, sun = np.array(light.ambient), np.array(light.sun)
    lights = np.stack([ambient + sun, ambient, (ambient + sun) * CONTACT, ambient * CONTACT])
    colours: Tones = (lights[:, None] * parts).reshape(-1, 3).T.astype(np.float32)
    return colours


def _paving(ground: _Ground, aside: Floats, street: Street) -> Codes:
    """Return the part of each pixel of a pavement; joints are too thin to see far away; (h, W)."""
    joint = noise.fraction(aside * 1.1) < 0.08
    joint |= noise.fraction(ground.depth * 1.1) < 0.08
    joint &= ground.pixel < 0.05
    parts = np.full(aside.shape, PAVING, dtype=np.uint8)
    np.copyto(parts, JOINT, where=joint)
    np.copyto(parts, KERB, where=aside < street.kerb + np.maximum(0.2, ground.pixel))
    return parts


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


def _darkness(scene: Scene, canvas: Canvas, ground: _Ground, shade: HouseShade) -> Codes:
    """Return which light reaches each pixel of the ground, (h, W).

    0 is full light, 1 shade, 2 and 3 the same right below a thing that stands on the ground.
    """
    shadows: list[tuple[float, ...]] = []
    contacts: list[tuple[float, ...]] = []
    light = scene.light
    casts = max(light.sun) > 0.15
    for prop in scene.props:
        size = prop.footprint()
        if size is None or size.depth > SHADOWS_UNTIL:
            continue
        if casts:
            # The shadow reaches from that of the foot to that of the top, away from the sun.
            first, last = size.foot * light.slant, min(size.height * light.slant, 8.0)
            reach = size.half_x + max(0.5 * (last - first), 0.0)
            x = size.x - light.side * 0.5 * (first + last)
            shadows.append((x, size.depth, reach, size.half_depth * 1.1))
        if size.covers:
            contacts.append((size.x, size.depth, size.half_x * 1.25, size.half_depth * 1.1))
    shadow, contact = _ellipses(canvas, ground, (shadows, contacts))
    dark = shadow | ~shade.lit(ground.x, ground.depth)
    # The bytes of a truth value are 0 and 1.
    codes: Codes = dark.view(np.uint8) + 2 * contact.view(np.uint8)
    return codes


def _ellipses(
    canvas: Canvas, ground: _Ground, groups: tuple[list[tuple[float, ...]], ...]
) -> NDArray[np.bool_]:
    """Return the ground inside any ellipse of each group, (groups, h, W).

    An ellipse is given by x, depth and half its extent along both.
    """
    camera, (height, width) = canvas.camera, ground.x.shape
    x, depth, half_x, half_depth = (
        np.array(list(chain(*groups))).reshape(-1, 4, 1).transpose(1, 0, 2)
    )
    row_depth = ground.depth[:, 0]
    away = (row_depth - depth) / half_depth
    half = half_x * np.sqrt(np.maximum(1 - away * away, 0.0))
    scale = camera.focal / row_depth
    middle, half = camera.middle - 0.5 + (x - camera.x) * scale, half * scale
    # Along a row, one more ellipse covers the pixels from its first, one less those after it.
    group = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    offset = (group[:, None] * height + np.arange(height)) * (width + 1)
    first, after = (
        (np.ceil(np.minimum(np.maximum(edge, 0.0), width)).astype(np.intp) + offset).reshape(-1)
        for edge in (middle - half, middle + half)
    )
    size = len(groups) * height * (width + 1)
    change = np.bincount(first, minlength=size) - np.bincount(after, minlength=size)
    cover = np.cumsum(change.reshape(-1, height, width + 1), axis=2)
    return np.asarray(cover[:, :, :width] > 0)


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
