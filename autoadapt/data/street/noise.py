"""Tileable noise tables, computed once, that give materials their grain.

A texture is a look-up: cheaper than a hash per pixel, and as exact.
"""

from functools import cache, lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autoadapt.seeding import generator

Floats = NDArray[np.float64]
Tones = NDArray[np.float32]
Table = TypeVar("Table", NDArray[np.float64], NDArray[np.float32])

SIDE = 128
"""Rows and columns of a table; a power of two, so that an index wraps with a mask."""

OFFSET = 4096.0
"""Added before truncation, so that it rounds down for every coordinate of a scene."""


@cache
def white() -> Floats:
    """Return independent uniforms in [0, 1), (128, 128)."""
    return _frozen(generator(0, "street", "white").random((SIDE, SIDE)))


@cache
def smooth(cell: int) -> Floats:
    """Return noise in [0, 1) that varies over ``cell`` entries, (128, 128).

    Args:
        cell: Distance of the lattice points, a divisor of 128.
    """
    lattice = generator(0, "street", "smooth", cell).random((SIDE // cell, SIDE // cell))
    rows = _stretch(lattice, cell)
    return _frozen(_stretch(rows.T.copy(), cell).T.copy())


@cache
def cloudy() -> Floats:
    """Return noise in [0, 1) with detail at four scales, (128, 128)."""
    return _frozen((8 * smooth(32) + 4 * smooth(16) + 2 * smooth(8) + smooth(4)) / 15)


@cache
def grain() -> NDArray[np.float32]:
    """Return nearly normal noise of mean 0 and variance 1, (3, 256, 256) float32.

    A sum of four uniforms has variance 4 / 12, hence the factor of the root of 3.
    """
    four = generator(0, "street", "grain").random((4, 3, 256, 256))
    total = (four[0] + four[1] + four[2] + four[3] - 2) * np.sqrt(3.0)
    return np.asarray(total, dtype=np.float32)


@lru_cache(maxsize=4)
def tiled_grain(repeats: int) -> NDArray[np.float32]:
    """Return the grain repeated along rows and columns, for images that its table cannot hold."""
    return np.tile(grain(), (1, repeats, repeats))


@lru_cache(maxsize=1)
def surface(rough: float, dirt: float) -> Tones:
    """Return the deviation from mean brightness of a rough and stained material, (128, 128).

    The last one is kept: ground and walls of a scene share it.
    """
    fine, coarse = _materials()
    table = fine * (2 * rough) + coarse * (1.3 * dirt)
    table.flags.writeable = False
    return table


@cache
def _materials() -> tuple[Tones, Tones]:
    """Return fine and coarse noise of mean 0 as single precision, (128, 128) each."""
    return (white() - 0.5).astype(np.float32), (smooth(16) - 0.5).astype(np.float32)


@cache
def lots() -> Tones:
    """Return ``white`` in single precision, (128, 128)."""
    return white().astype(np.float32)


def sample(table: Table, row: Floats | Tones, column: Floats | Tones) -> Table:
    """Look up a square table at real coordinates, which wrap and broadcast.

    They round down above -4096, which is all that is near, and towards 0 below.
    """
    rows = ((row + OFFSET).astype(np.int64) & (SIDE - 1)) * SIDE
    columns = (column + OFFSET).astype(np.int64) & (SIDE - 1)
    return table.take(rows + columns)


def fraction(values: Table) -> Table:
    """Return the part after the point, in [0, 1), of negative numbers too."""
    return values - np.floor(values)


def _stretch(lattice: Floats, cell: int) -> Floats:
    """Interpolate along the first axis with a smooth step; the result wraps."""
    step = (np.arange(cell) + 0.5) / cell
    weight = (step * step * (3 - 2 * step))[None, :, None]
    start, end = lattice[:, None], np.roll(lattice, -1, axis=0)[:, None]
    return (start + weight * (end - start)).reshape(-1, lattice.shape[1])


def _frozen(table: Floats) -> Floats:
    table.flags.writeable = False
    return table
