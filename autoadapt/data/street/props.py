"""Everything that stands on the ground, each prop painted by the function of its type."""

from collections.abc import Callable
from typing import Any

import numpy as np

from autoadapt.data.street import furniture, people, vehicles
from autoadapt.data.street.canvas import Canvas
from autoadapt.data.street.scene import Car, Cyclist, Fence, Lamp, Scene, Sign, Tree, Walker
from autoadapt.data.street.shade import house_shade
from autoadapt.data.street.view import NEAREST, Floats

PAINTERS: dict[type, Callable[[Canvas, Any, Floats], None]] = {
    Tree: furniture.paint_tree,
    Lamp: furniture.paint_lamp,
    Sign: furniture.paint_sign,
    Fence: furniture.paint_fence,
    Car: vehicles.paint_car,
    Walker: people.paint_walker,
    Cyclist: people.paint_cyclist,
}


def paint(canvas: Canvas, scene: Scene) -> None:
    """Paint the props from far to near; the depth buffer settles those that interlock."""
    props = [prop for prop in scene.props if prop.furthest > NEAREST]
    props.sort(key=lambda prop: -prop.furthest)
    places = np.array([(prop.x, prop.furthest) for prop in props]).reshape(-1, 2)
    lit = house_shade(scene.houses, scene.light).lit(places[:, 0], places[:, 1])
    in_sun = scene.light.ambient + 0.75 * scene.light.sun
    for prop, sunny in zip(props, lit.tolist(), strict=True):
        PAINTERS[type(prop)](canvas, prop, in_sun if sunny else scene.light.ambient)
