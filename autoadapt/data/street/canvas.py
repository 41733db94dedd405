"""Light, label and depth of each pixel, and the ways in which a thing gets onto them.

Things are sprites: small tables of parts, drawn once from exact shapes and then looked up at
whatever size they appear. That is what makes the renderer fast.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street.labels import SKY
from autoadapt.data.street.things import Light, Rgb
from autoadapt.data.street.view import NEAREST, Camera, Floats

Span = tuple[float, float]
Parts = NDArray[np.intp]

SKY_DEPTH = 1e6
"""Depth of pixels that nothing covers, in metres."""


@dataclass(frozen=True)
class Sprite:
    """A picture of parts.

    Attributes:
        parts: Number of the part in each cell, from the top down, (rows, columns); 0 is a hole.
        shade: Brightness of each cell, (rows, columns).
    """

    parts: Parts
    shade: Floats


@dataclass(frozen=True)
class Frame:
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


@dataclass(frozen=True)
class Skin:
    """Colour of each part, and the class of all.

    Attributes:
        colours: Linear light, (3, parts); entry 0 is unused.
        label: Class index.
    """

    colours: Floats
    label: int


def skin(light: Rgb, label: int, *colours: Rgb) -> Skin:
    """Return the skin of parts 1, 2, ... with these colours under this light, all of one class."""
    # Channel by channel in plain Python: for so few numbers NumPy would cost more.
    lit = [[0.0, *[colour[channel] * light[channel] for colour in colours]] for channel in range(3)]
    return Skin(np.array(lit), label)


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
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        shape = (camera.height, camera.width)
        self.camera = camera
        self.light = light
        self.image: Floats = np.empty((3, *shape))
        self.depth: Floats = np.full(shape, SKY_DEPTH)
        self.label: NDArray[np.uint8] = np.full(shape, SKY, dtype=np.uint8)
        self.slopes = camera.slopes()
        self.drops = camera.drops()

    def facing(self, frame: Frame, sprite: Sprite, look: Skin, *, mirrored: bool = False) -> None:
        """Paint a sprite into a frame, where the frame is nearer than what is there."""
        columns, rows = self._columns(frame), self._rows(frame)
        if columns.start >= columns.stop or rows.start >= rows.stop:
            return
        scale = frame.depth / (frame.right - frame.left) * sprite.parts.shape[1]
        start = (self.camera.x - frame.left) * (scale / frame.depth)
        across = (self.slopes[columns] * scale + start).astype(np.intp)
        np.minimum(across, sprite.parts.shape[1] - 1, out=across)
        if mirrored:
            across = sprite.parts.shape[1] - 1 - across
        scale = frame.depth / (frame.top - frame.bottom) * sprite.parts.shape[0]
        start = (frame.top - self.camera.eye) * (scale / frame.depth)
        down = (self.drops[rows] * scale + start).astype(np.intp)
        np.minimum(down, sprite.parts.shape[0] - 1, out=down)
        cells = (down * sprite.parts.shape[1])[:, None] + across
        self._stamp((rows, columns), cells, (sprite, look), frame.depth)

    def fill(self, frame: Frame, colour: Rgb, label: int) -> None:
        """Paint a plain rectangle, at least one pixel wide and high so that it never vanishes."""
        columns, rows = self._columns(frame), self._rows(frame)
        columns, rows = _thicken(columns, self.camera.width), _thicken(rows, self.camera.height)
        if columns.start >= columns.stop or rows.start >= rows.stop:
            return
        behind = self.depth[rows, columns]
        seen = behind > frame.depth
        np.copyto(self.image[:, rows, columns], np.array(colour)[:, None, None], where=seen)
        np.copyto(self.label[rows, columns], np.uint8(label), where=seen)
        np.copyto(behind, frame.depth, where=seen)

    def along(
        self, x: float, extent: Span, sprite: Sprite, look: Skin, *, height: float, period: Span
    ) -> None:
        """Paint a sprite onto an upright surface that runs along the street.

        Args:
            x: Place of the surface across the street.
            extent: Depths where it starts and ends.
            sprite: Picture, repeated along the surface; its columns run away from the camera.
            look: Colours and classes.
            height: Height of the picture, which stands on the ground.
            period: Depth where one picture starts and depth where the next one does; if the
                second is smaller, the picture runs towards the camera.
        """
        box = self._along_box(x - self.camera.x, extent, height)
        if box is None:
            return
        rows, columns = box
        table = sprite.parts.shape
        depth = (x - self.camera.x) / self.slopes[columns]
        turns = (depth - period[0]) / (period[1] - period[0])
        across = ((turns - np.floor(turns)) * table[1]).astype(np.intp)
        np.minimum(across, table[1] - 1, out=across)
        scale = table[0] / height
        # One cell above the table is row 0 after truncation, so holes are found by sign.
        down = self.drops[rows, None] * (depth * scale) + (height - self.camera.eye) * scale
        inside = (down >= 0) & (down < table[0])
        down = np.where(inside, down, 0.0).astype(np.intp)
        cells = down * table[1] + across
        self._stamp(box, cells, (sprite, look), np.where(inside, depth, SKY_DEPTH))

    def _stamp(
        self,
        box: tuple[slice, slice],
        cells: Parts,
        surface: tuple[Sprite, Skin],
        depth: Floats | float,
    ) -> None:
        sprite, look = surface
        parts = sprite.parts.take(cells)
        behind = self.depth[box]
        seen = (parts > 0) & (behind > depth)
        light = look.colours.take(parts, axis=1)
        light *= sprite.shade.take(cells)
        np.copyto(self.image[(slice(None), *box)], light, where=seen)
        np.copyto(self.label[box], np.uint8(look.label), where=seen)
        np.copyto(behind, depth, where=seen)

    def _columns(self, frame: Frame) -> slice:
        """Return the columns whose centres lie in a frame; empty before the nearest depth."""
        if frame.depth < NEAREST:
            return slice(0, 0)
        camera, scale = self.camera, self.camera.focal / frame.depth
        first = ceil(camera.middle + scale * (frame.left - camera.x) - 0.5)
        last = ceil(camera.middle + scale * (frame.right - camera.x) - 0.5)
        return slice(max(first, 0), min(last, camera.width))

    def _rows(self, frame: Frame) -> slice:
        camera, scale = self.camera, self.camera.focal / frame.depth
        first = ceil(camera.horizon - scale * (frame.top - camera.eye) - 0.5)
        last = ceil(camera.horizon - scale * (frame.bottom - camera.eye) - 0.5)
        return slice(max(first, 0), min(last, camera.height))

    def _along_box(self, aside: float, extent: Span, top: float) -> tuple[slice, slice] | None:
        camera = self.camera
        near, far = max(extent[0], NEAREST), extent[1]
        if far <= near or abs(aside) < 0.1:
            return None
        start, end = (camera.middle + camera.focal * aside / depth - 0.5 for depth in (near, far))
        first, last = (ceil(start), ceil(end)) if start < end else (ceil(end), ceil(start))
        columns = slice(max(first, 0), min(last, camera.width))
        high = min(camera.row(top, near), camera.row(top, far))
        rows = slice(max(floor(high), 0), min(ceil(camera.row(0.0, near)) + 1, camera.height))
        if columns.start >= columns.stop or rows.start >= rows.stop:
            return None
        return rows, columns


def _thicken(span: slice, size: int) -> slice:
    """Return the span, widened to one pixel if it is empty but inside the image."""
    if span.start == span.stop and span.stop < size and span.start > 0:
        return slice(span.start, span.start + 1)
    return span
