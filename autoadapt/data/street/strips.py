"""Paints all noted surfaces at once, as upright strips one pixel wide.

Every surface of a street stands upright, so that whatever one column of the image shows of it
lies at a single depth. Sorted by depth, strips need no comparison with each other: of all that
reach a pixel, the last is seen. A few calls on long arrays do the work of a dozen per surface.
"""

from dataclasses import dataclass, fields
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street.canvas import Along, Canvas, Facing, Parts, Skin, Sprite, Tones
from autoadapt.data.street.view import Floats


@dataclass(frozen=True)
class _Strips:
    """What is noted, cut into strips; all (strips,).

    Attributes:
        surface: Index of the noted surface.
        column: Column of the image.
        top: First row of the image.
        bottom: Row after the last; no strip if it is not below ``top``.
        depth: Metres.
        across: Column of the sprite.
        scale: Rows of the sprite per metre of drop at a depth of one metre.
        start: Row of the sprite at the horizon.
    """

    surface: Parts
    column: Parts
    top: Parts
    bottom: Parts
    depth: Floats
    across: Parts
    scale: Floats
    start: Floats


@dataclass(frozen=True)
class _Atlas:
    """The sprites of all surfaces, one after the other.

    Attributes:
        parts: Part of each cell, column by column, (cells,).
        shade: Brightness of each cell, (cells,).
        first: Where the sprite of each surface starts, (surfaces,).
        stride: Cells from one column of it to the next, (surfaces,).
    """

    parts: NDArray[np.uint8]
    shade: Tones
    first: Parts
    stride: Parts


@dataclass(frozen=True)
class _Cells:
    """Pixels that strips reach, from far to near; all (cells,): strip, pixel, cell of the atlas."""

    strip: Parts
    pixel: Parts
    cell: Parts


def paint(canvas: Canvas) -> None:
    """Paint what is noted where it is nearer than what is there, and forget the notes."""
    notes = [note for note in canvas.noted if isinstance(note, Facing)]
    walls = [note for note in canvas.noted if isinstance(note, Along)]
    canvas.noted.clear()
    surfaces: list[Facing | Along] = [*notes, *walls]
    if not surfaces:
        return
    strips = _sorted(_facing(canvas, notes), _along(canvas, walls, len(notes)))
    atlas = _atlas([surface.sprite for surface in surfaces])
    seen = _seen(canvas, strips, _cells(canvas, strips, atlas), atlas)
    _stamp(canvas, strips.surface.take(seen.strip), seen, atlas, [s.skin for s in surfaces])
    canvas.depth.reshape(-1)[seen.pixel] = strips.depth.take(seen.strip)


def _table(rows: list[tuple[float, ...]], width: int) -> Floats:
    """Return a table transposed, (width, rows), also if there are no rows."""
    return np.array(rows, dtype=np.float64).reshape(-1, width).T


def _spread(first: Parts, last: Parts) -> tuple[Parts, Parts]:
    """Return, for the members of all ranges one after the other, the range and the member."""
    sizes = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(sizes)), sizes)
    shift = first - (np.cumsum(sizes) - sizes)
    return which, np.arange(len(which)) + shift.take(which)


def _pixels(places: Floats, size: int) -> Parts:
    """Return the first pixel whose centre lies at or after each place, within the image."""
    return np.minimum(np.maximum(np.ceil(places - 0.5), 0.0), size).astype(np.intp)


def _facing(canvas: Canvas, notes: list[Facing]) -> _Strips:
    camera = canvas.camera
    rows = [(*note.frame, *note.sprite.parts.shape, *_signs(note)) for note in notes]
    depth, left, right, bottom, top, cells_down, cells_across, sign, thick = _table(rows, 9)
    scale = camera.focal / depth
    first = _pixels(camera.middle + scale * (left - camera.x), camera.width)
    last = _pixels(camera.middle + scale * (right - camera.x), camera.width)
    high = _pixels(camera.horizon - scale * (top - camera.eye), camera.height)
    low = _pixels(camera.horizon - scale * (bottom - camera.eye), camera.height)
    last += (thick > 0) & (first == last) & (first > 0) & (first < camera.width)
    low += (thick > 0) & (high == low) & (high > 0) & (high < camera.height)
    surface, column = _spread(first, np.where(low > high, last, first))
    # A plain rectangle has a single cell, which also holds pixels that it is widened to.
    wide = np.where(thick > 0, 0.0, cells_across / np.where(thick > 0, 1.0, right - left))
    tall = np.where(thick > 0, 0.0, cells_down / np.where(thick > 0, 1.0, top - bottom))
    place = canvas.slopes.take(column) * (depth * wide).take(surface)
    place += ((camera.x - left) * wide).take(surface)
    across = np.minimum(place.astype(np.intp), cells_across.astype(np.intp).take(surface) - 1)
    mirrored = cells_across.astype(np.intp).take(surface) - 1 - across
    return _Strips(
        surface=surface,
        column=column,
        top=high.take(surface),
        bottom=low.take(surface),
        depth=depth.take(surface),
        across=np.where(sign.take(surface) < 0, mirrored, across),
        scale=(depth * tall).take(surface),
        start=((top - camera.eye) * tall).take(surface),
    )


def _signs(note: Facing) -> tuple[float, float]:
    return (-1.0 if note.mirrored else 1.0, 1.0 if note.thick else 0.0)


def _along(canvas: Canvas, notes: list[Along], number: int) -> _Strips:
    """Return the strips of surfaces along the street, which are numbered from ``number``."""
    camera = canvas.camera
    rows = [
        (note.aside, *note.columns, *note.sprite.parts.shape, note.height, *note.period)
        for note in notes
    ]
    aside, first, last, cells_down, cells_across, height, start, end = _table(rows, 8)
    surface, column = _spread(first.astype(np.intp), last.astype(np.intp))
    depth = aside.take(surface) / canvas.slopes.take(column)
    turns = (depth - start.take(surface)) / (end - start).take(surface)
    turns -= np.floor(turns)
    count = cells_across.take(surface)
    scale = camera.focal / depth
    tall = cells_down / height
    return _Strips(
        surface=surface + number,
        column=column,
        top=_pixels(camera.horizon - scale * (height - camera.eye).take(surface), camera.height),
        bottom=_pixels(camera.horizon + scale * camera.eye, camera.height),
        depth=depth,
        across=np.minimum(turns * count, count - 1).astype(np.intp),
        scale=depth * tall.take(surface),
        start=((height - camera.eye) * tall).take(surface),
    )


def _sorted(one: _Strips, other: _Strips) -> _Strips:
    """Return the strips of both from far to near."""
    order = np.argsort(-np.concatenate([one.depth, other.depth]), kind="stable")
    both = {
        field.name: np.concatenate([getattr(one, field.name), getattr(other, field.name)])
        for field in fields(_Strips)
    }
    return _Strips(**{name: values.take(order) for name, values in both.items()})


def _atlas(sprites: list[Sprite]) -> _Atlas:
    places: dict[int, int] = {}
    columns: list[tuple[NDArray[np.uint8], Tones]] = []
    size = 0
    for sprite in sprites:
        if id(sprite) not in places:
            places[id(sprite)] = size
            columns.append(sprite.columns)
            size += len(sprite.columns[0])
    return _Atlas(
        parts=np.concatenate([parts for parts, _ in columns]),
        shade=np.concatenate([shade for _, shade in columns]),
        first=np.array([places[id(sprite)] for sprite in sprites], dtype=np.intp),
        stride=np.array([len(sprite.parts) + 1 for sprite in sprites], dtype=np.intp),
    )


def _cells(canvas: Canvas, strips: _Strips, atlas: _Atlas) -> _Cells:
    """Return all that the strips reach, their holes included."""
    strip, row = _spread(strips.top, strips.bottom)
    base = atlas.first.take(strips.surface) + strips.across * atlas.stride.take(strips.surface)
    down = canvas.drops.take(row)
    down *= strips.scale.take(strip)
    down += strips.start.take(strip)
    cell = down.astype(np.intp)
    cell += base.take(strip)
    row *= canvas.camera.width
    row += strips.column.take(strip)
    return _Cells(strip, row, cell)


def _seen(canvas: Canvas, strips: _Strips, cells: _Cells, atlas: _Atlas) -> _Cells:
    """Return the cells that are seen, one for each pixel."""
    free = atlas.parts.take(cells.cell) > 0
    free &= strips.depth.take(cells.strip) < canvas.depth.reshape(-1).take(cells.pixel)
    number = np.flatnonzero(free)
    # A maximum, unlike an assignment, has one result in whatever order it is computed.
    nearest = np.full(canvas.depth.size, -1, dtype=np.intp)
    np.maximum.at(nearest, cells.pixel.take(number), number)
    pixel = np.flatnonzero(nearest >= 0)
    number = nearest.take(pixel)
    return _Cells(cells.strip.take(number), pixel, cells.cell.take(number))


def _stamp(canvas: Canvas, surface: Parts, seen: _Cells, atlas: _Atlas, skins: list[Skin]) -> None:
    """Put light and label of the cells seen into the canvas."""
    counts = np.array([len(skin.colours) for skin in skins])
    colours = np.array(list(chain.from_iterable(skin.colours for skin in skins)))
    colours *= np.repeat(np.array([skin.light for skin in skins]), counts, axis=0)
    # Part 1 is the first colour of a skin.
    entry = (np.cumsum(counts) - counts - 1).take(surface) + atlas.parts.take(seen.cell)
    shade = atlas.shade.take(seen.cell)
    for channel, lit in zip(canvas.image, colours.T.astype(np.float32), strict=True):
        channel.reshape(-1)[seen.pixel] = lit.take(entry) * shade
    labels = np.array([skin.label for skin in skins], dtype=np.uint8)
    canvas.label.reshape(-1)[seen.pixel] = labels.take(surface)
