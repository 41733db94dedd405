"""Everything that stands on the ground, each prop painted by the function of its type."""

from collections.abc import Callable
from typing import Any

import numpy as np

from autoadapt.data.street import furniture, people, strips, vehicles
from autoadapt.data.street.canvas import Canvas
from autoadapt.data.street.shade import HouseShade
from autoadapt.data.street.things import (
    Car,
    Cyclist,
    Fence,
    Lamp,
    Prop,
    Rgb,
    Scene,
    Sign,
    Tree,
    Walker,
)
from autoadapt.data.street.view import NEAREST

WIDEST = 3.5
"""Metres to each side that the widest prop, a tree, may reach."""

PAINTERS: dict[type, Callable[[Canvas, Any, Rgb], None]] = {
    Tree: furniture.paint_tree,
    Lamp: furniture.paint_lamp,
    Sign: furniture.paint_sign,
    Fence: furniture.paint_fence,
    Car: vehicles.paint_car,
    Walker: people.paint_walker,
    Cyclist: people.paint_cyclist,
}


def paint(canvas: Canvas, scene: Scene, shade: HouseShade) -> None:
    """Paint all props; depth settles which is seen where."""
    props = _may_be_seen(canvas, scene.props)
    places = np.array([(prop.x, prop.furthest) for prop in props]).reshape(-1, 2)
    sunny = shade.lit(places[:, 0], places[:, 1]).tolist()
    ambient, sun = scene.light.ambient, scene.light.sun
    in_sun = (
        ambient[0] + 0.75 * sun[0],
        ambient[1] + 0.75 * sun[1],
        ambient[2] + 0.75 * sun[2],
    )
    for prop, is_sunny in zip(props, sunny, strict=True):
        PAINTERS[type(prop)](canvas, prop, in_sun if is_sunny else ambient)
    strips.paint(canvas)


def _may_be_seen(canvas: Canvas, props: tuple[Prop, ...]) -> list[Prop]:
    """Return all but those behind the camera, or beside the image even at their far end."""
    camera, left, right = canvas.camera.x, float(canvas.slopes[0]), float(canvas.slopes[-1])
    return [
        prop
        for prop in props
        if (depth := prop.furthest) > NEAREST
        and left * depth - WIDEST < prop.x - camera < right * depth + WIDEST
    ]
