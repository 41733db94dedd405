"""From light to image: air, optics, sensor and encoding, in the order in which they act."""

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise
from autoadapt.data.street.canvas import Canvas
from autoadapt.data.street.dice import Dice
from autoadapt.data.street.style import Lens
from autoadapt.data.street.view import Floats

SKY_HAZE = 60.0
"""Depth of air, in metres, that the sky counts as: it is bright by itself."""

RED, GREEN, BLUE = 0.299, 0.587, 0.114
"""Weights of luma (ITU-R BT.601)."""


def expose(canvas: Canvas, lens: Lens, dice: Dice) -> NDArray[np.uint8]:
    """Return the image of a finished canvas, (H, W, 3) uint8."""
    light = _haze(canvas)
    gain = dice.between(lens.exposure)
    warmth, green = dice.between(lens.warmth), dice.between(lens.green)
    balance = np.array([warmth, green, 2.0 - warmth]) * gain
    light *= balance[:, None, None]
    light *= _vignette(canvas, dice.between(lens.vignette))
    light = _blur(light, dice.between(lens.blur))
    lift = dice.between(lens.lift)
    image = np.sqrt(np.minimum(light * (1 - lift) + lift, 1.0))
    image = _tone(image, dice.between(lens.contrast))
    image = _colour(image, dice.between(lens.saturation), dice.between(lens.chroma_blur))
    image += dice.between(lens.noise) * _grain(image.shape, dice)
    levels = np.floor(np.minimum(np.maximum(image, 0.0), 1.0) * 255 + 0.5)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))


def _haze(canvas: Canvas) -> Floats:
    """Mix the colour of the air in with distance; 1 / (1 + d)^2 stands for an exponential."""
    air = canvas.light.low_sky[:, None, None]
    depth = np.where(canvas.depth > 1e5, SKY_HAZE, np.minimum(canvas.depth, 300.0))
    root = 1 / (1 + canvas.light.haze * depth)
    return np.asarray(air + (canvas.image - air) * (root * root))


def _vignette(canvas: Canvas, strength: float) -> Floats:
    """Return the share of light that arrives, (H, W): 1 in the middle, less in the corners."""
    height, width = canvas.depth.shape
    rows = (np.arange(height) + 0.5) / height * 2 - 1
    columns = (np.arange(width) + 0.5) / width * 2 - 1
    return np.asarray(1 - 0.5 * strength * ((rows * rows)[:, None] + columns * columns))


def _blur(image: Floats, passes: float) -> Floats:
    """Blur with repeated (1, 2, 1) / 4 filters; a fraction of a pass mixes its result in."""
    while passes > 0:
        soft = _binomial(image)
        image = soft if passes >= 1 else image + passes * (soft - image)
        passes -= 1
    return image


def _binomial(image: Floats) -> Floats:
    """One (1, 2, 1) / 4 pass along rows and columns; the border repeats."""
    rows = image * 2
    rows[:, 1:] += image[:, :-1]
    rows[:, :1] += image[:, :1]
    rows[:, :-1] += image[:, 1:]
    rows[:, -1:] += image[:, -1:]
    both = rows * 2
    both[:, :, 1:] += rows[:, :, :-1]
    both[:, :, :1] += rows[:, :, :1]
    both[:, :, :-1] += rows[:, :, 1:]
    both[:, :, -1:] += rows[:, :, -1:]
    both *= 1 / 16
    return both


def _tone(image: Floats, contrast: float) -> Floats:
    """Bend values towards 0 and 1 with the curve 3 v^2 - 2 v^3."""
    curve = image * image * (3 - 2 * image)
    return np.asarray(image + contrast * (curve - image))


def _colour(image: Floats, saturation: float, chroma_blur: float) -> Floats:
    """Scale colour differences, and soften them as chroma subsampling does."""
    luma = RED * image[0] + GREEN * image[1] + BLUE * image[2]
    chroma = (image - luma) * saturation
    if chroma_blur > 0:
        soft = _binomial(_binomial(chroma))
        chroma += chroma_blur * (soft - chroma)
    return np.asarray(luma + chroma)


def _grain(shape: tuple[int, ...], dice: Dice) -> Floats:
    """Return noise of variance 1, (3, H, W), cut from the wrapped table at a random place."""
    table = noise.grain()
    side = table.shape[1]
    rows = (np.arange(shape[1]) + int(dice.unit() * side)) % side
    columns = (np.arange(shape[2]) + int(dice.unit() * side)) % side
    return np.asarray(table[:, rows][:, :, columns])
