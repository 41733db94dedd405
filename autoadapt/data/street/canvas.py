"""Light, label and depth of each pixel, and the ways in which a thing gets onto them.

Things are sprites: small tables of parts, drawn once from exact shapes and then looked up at
whatever size they appear. They are only noted at first, and painted all at once (``strips``):
that is what makes the renderer fast.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street.labels import SKY
from autoadapt.data.street.things import Light, Rgb
from autoadapt.data.street.view import NEAREST, Camera, Floats

Span = tuple[float, float]
Parts = NDArray[np.intp]
Tones = NDArray[np.float32]

SKY_DEPTH = 1e6
"""Depth of pixels that nothing covers, in metres."""


@dataclass(frozen=True)
class Sprite:
    """A picture of parts.

    Attributes:
        parts: Number of the part in each cell, from the top down, (rows, columns); 0 is a hole,
            255 the largest.
        shade: Brightness of each cell, (rows, columns).
    """

    parts: Parts
    shade: Floats

    @cached_property
    def columns(self) -> tuple[NDArray[np.uint8], Tones]:
        """Parts and shade column by column, (columns * (rows + 1),) each.

        The last cell of a column comes twice: a place rounded up to the lower edge is safe.
        """
        rows = np.minimum(np.arange(self.parts.shape[0] + 1), self.parts.shape[0] - 1)
        parts, shade = self.parts[rows].T.reshape(-1), self.shade[rows].T.reshape(-1)
        return parts.astype(np.uint8), shade.astype(np.float32)


class Frame(NamedTuple):
    """An upright rectangle that faces the camera, in metres.

    Attributes:
        depth: Distance from the camera.
        left: Left edge across the street.
        right: Right edge.
        bottom: Lower edge above the ground.
        top: Upper edge.
    """

    depth: float
    left: float
    right: float
    bottom: float
    top: float


class Skin(NamedTuple):
    """How a thing looks.

    Attributes:
        light: Light that falls on it, linear.
        label: Class index.
        colours: Colours of parts 1, 2, ..., linear.
    """

    light: Rgb
    label: int
    colours: tuple[Rgb, ...]


def skin(light: Rgb, label: int, *colours: Rgb) -> Skin:
    """Return the skin of parts 1, 2, ... with these colours under this light, all of one class."""
    return Skin(light, label, colours)


PLAIN = Sprite(np.ones((1, 1), dtype=np.intp), np.ones((1, 1)))
"""The sprite of a plain rectangle."""


class Facing(NamedTuple):
    """A sprite in a frame; a thick one is at least one pixel wide and high."""

    frame: Frame
    sprite: Sprite
    skin: Skin
    mirrored: bool
    thick: bool


class Along(NamedTuple):
    """A sprite on an upright surface along the street, between two columns of the image."""

    aside: float
    columns: tuple[int, int]
    sprite: Sprite
    skin: Skin
    height: float
    period: Span


class Canvas:
    """The scene as seen so far.

    Attributes:
        camera: The view.
        light: Light and air.
        image: Linear light, (3, H, W).
        depth: Metres, (H, W).
        label: Class indices, (H, W).
        slopes: Metres to the right per metre of depth, (W,).
        drops: Metres down per metre of depth, (H,).
        noted: Surfaces to paint, each behind those that come later at the same depth.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        shape = (camera.height, camera.width)
        self.camera = camera
        self.light = light
        self.image: Tones = np.empty((3, *shape), dtype=np.float32)
        self.depth: Floats = np.full(shape, SKY_DEPTH)
        self.label: NDArray[np.uint8] = np.full(shape, SKY, dtype=np.uint8)
        self.slopes = camera.slopes()
        self.drops = camera.drops()
        self.noted: list[Facing | Along] = []

    def facing(self, frame: Frame, sprite: Sprite, look: Skin, *, mirrored: bool = False) -> None:
        """Note a sprite in a frame."""
        if frame.depth >= NEAREST:
            self.noted.append(Facing(frame, sprite, look, mirrored, thick=False))

    def fill(self, frame: Frame, look: Skin) -> None:
        """Note a plain rectangle, at least one pixel wide and high so that it never vanishes."""
        if frame.depth >= NEAREST:
            self.noted.append(Facing(frame, PLAIN, look, mirrored=False, thick=True))

    def along(
        self, x: float, extent: Span, sprite: Sprite, look: Skin, *, height: float, period: Span
    ) -> None:
        """Note a sprite on an upright surface that runs along the street.

        Args:
            x: Place of the surface across the street.
            extent: Depths where it starts and ends.
            sprite: Picture, repeated along the surface; its columns run away from the camera.
            look: Colours and class.
            height: Height of the picture, which stands on the ground.
            period: Depth where one picture starts and depth where the next one does; if the
                second is smaller, the picture runs towards the camera.
        """
        camera, aside = self.camera, x - self.camera.x
        near, far = max(extent[0], NEAREST), extent[1]
        if far <= near or abs(aside) < 0.1:
            return
        ends = [ceil(camera.column(x, depth) - 0.5) for depth in (near, far)]
        first, last = max(min(ends), 0), min(max(ends), camera.width)
        if first < last:
            self.noted.append(Along(aside, (first, last), sprite, look, height, period))
