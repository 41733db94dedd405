"""Procedural street scenes with exact labels, in two styles between which a network must adapt.

``game`` scenes look like a sunny video game: wide roads, low coloured houses, many trees, clean
materials, a high camera that drives on the right. ``camera`` scenes look like a photograph from
a small sensor: narrow streets between taller, drab buildings, many parked cars and pedestrians,
driving on the left, grey or low light, haze, rough materials, blur, noise, a colour cast. Shapes
are the same in both; how often they occur, where they stand and how they look is not.

Equal bytes on every machine
----------------------------
``render`` is a pure function of its arguments, and its bytes are pinned by a test. They cannot
depend on the processor, the C library or the BLAS, because:

* Arithmetic is ``+ - * /``, square root, comparison, floor, minimum and maximum, in float64 for all
  that has a place and in float32 for light. IEEE 754 defines each of them to the last
  bit, and every NumPy call does just one, so nothing can be contracted into a fused multiply-add.
  ``exp``, ``sin`` and ``power`` differ between maths libraries and do not occur: light is kept
  linear and encoded with a square root (a gamma of 2), haze falls off as a rational function,
  outlines are polygons and ellipses.
* No floating-point value is summed by a reduction, whose order may change with the vector width;
  blurs are sums of a few shifted copies in written order.
* Random numbers are the raw 53-bit uniforms of PCG64 (``Generator.random``) and nothing derived
  from them by NumPy; noise that must look normal is a sum of uniforms.
* A float becomes an integer only inside the range of the integer type.

How a scene is made
-------------------
``scene`` draws what stands where (``things``) from the statistics of a style (``game``,
``camera``). ``backdrop`` and ``walls`` paint sky, ground and houses. ``props`` says which
pictures show the rest, and ``strips`` paints them all at once, by depth, so that a label always
belongs to the surface seen. ``lens`` turns light into an image; labels never pass through it.
"""

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import backdrop, lens, props
from autoadapt.data.street.canvas import Canvas
from autoadapt.data.street.dice import Dice
from autoadapt.data.street.labels import CLASSES
from autoadapt.data.street.scene import draw_scene
from autoadapt.data.street.shade import house_shade
from autoadapt.data.street.styles import STYLES
from autoadapt.data.street.things import Scene
from autoadapt.seeding import generator

__all__ = ["CLASSES", "describe", "render"]

SMALLEST_SIDE = 16


def describe(style: str, seed: int, index: int) -> Scene:
    """Return what stands where in the scene that ``render`` shows for the same arguments.

    Raises:
        ValueError: The style is unknown.
    """
    if style not in STYLES:
        raise ValueError(f"style is {style!r}, expected one of {', '.join(STYLES)}")
    return draw_scene(STYLES[style], Dice(generator(seed, "street", style, index)))


def render(
    style: str, seed: int, index: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one street scene and its label map; equal arguments give equal bytes anywhere.

    The scene does not depend on the size, only its sampling does: a larger size shows the same
    street, sharper. No pixel is void.

    Args:
        style: ``game`` or ``camera``; the same seed and index give unrelated scenes in the two.
        seed: Seed of the data set.
        index: Number of the image in it.
        size: Height and width in pixels, each at least 16; 120 x 160 is what it is made for.

    Returns:
        The image, (H, W, 3) uint8 RGB, and the class of each pixel as an index into ``CLASSES``,
        (H, W) uint8.

    Raises:
        ValueError: The style is unknown or the size too small.
    """
    if min(size) < SMALLEST_SIDE:
        raise ValueError(f"size is {size}, expected height and width >= {SMALLEST_SIDE}")
    scene = describe(style, seed, index)
    canvas = Canvas(scene.view.fit(size), scene.light)
    shade = house_shade(scene.houses, scene.light)
    backdrop.paint(canvas, scene, shade)
    props.paint(canvas, scene, shade)
    dice = Dice(generator(seed, "street", style, index, "lens"))
    image = lens.expose(canvas, STYLES[style].lens, dice)
    return image, canvas.label
