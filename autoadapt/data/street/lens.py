"""From light to image: air, optics, sensor and encoding, in the order in which they act.

This works in float32 to halve the memory traffic. Its scalars are Python floats, which never
widen a float32 array in any version of NumPy.
"""

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.street import noise
from autoadapt.data.street.canvas import Canvas
from autoadapt.data.street.dice import Dice
from autoadapt.data.street.style import Lens

Pixels = NDArray[np.float32]

SKY_HAZE = 60.0
"""Depth of air, in metres, that the sky counts as: it is bright by itself."""

RED, GREEN, BLUE = 0.299, 0.587, 0.114
"""Weights of luma (ITU-R BT.601)."""


def expose(canvas: Canvas, lens: Lens, dice: Dice) -> NDArray[np.uint8]:
    """Return the image of a finished canvas, (H, W, 3) uint8."""
    light = _haze(canvas)
    gain, warmth = dice.between(lens.exposure), dice.between(lens.warmth)
    balance = (warmth * gain, dice.between(lens.green) * gain, (2.0 - warmth) * gain)
    light *= np.array(balance, dtype=np.float32)[:, None, None]
    light *= _vignette(canvas, dice.between(lens.vignette))
    image = _blur(light, dice.between(lens.blur))
    lift = dice.between(lens.lift)
    image *= 1 - lift
    image += lift
    np.minimum(image, 1.0, out=image)
    np.sqrt(image, out=image)
    image = _tone(image, dice.between(lens.contrast))
    image = _colour(image, dice.between(lens.saturation), dice.between(lens.chroma_blur))
    image += _grain(image.shape, dice) * dice.between(lens.noise)
    return _quantise(image)


def _haze(canvas: Canvas) -> Pixels:
    """Mix the colour of the air in with distance; 1 / (1 + d)^2 stands for an exponential."""
    air = np.array(canvas.light.low_sky, dtype=np.float32)[:, None, None]
    depth = canvas.depth.astype(np.float32)
    np.copyto(depth, np.float32(SKY_HAZE), where=depth > 1e5)
    np.minimum(depth, 300.0, out=depth)
    depth *= canvas.light.haze
    depth += 1.0
    depth *= depth
    light: Pixels = canvas.image - air
    light /= depth
    light += air
    return light


def _vignette(canvas: Canvas, strength: float) -> Pixels:
    """Return the share of light that arrives, (H, W): 1 in the middle, less in the corners."""
    height, width = canvas.depth.shape
    rows = (np.arange(height) + 0.5) / height * 2 - 1
    columns = (np.arange(width) + 0.5) / width * 2 - 1
    loss = 0.5 * strength
    share = (1 - loss * rows * rows).astype(np.float32)[:, None]
    return np.asarray(share - (loss * columns * columns).astype(np.float32))


def _blur(image: Pixels, passes: float) -> Pixels:
    """Blur with repeated (1, 2, 1) / 4 filters; a fraction of a pass mixes its result in."""
    while passes > 0:
        soft = _binomial(image, 1)
        if passes < 1:
            soft -= image
            soft *= passes
            soft += image
        image = soft
        passes -= 1
    return image


def _binomial(image: Pixels, step: int) -> Pixels:
    """One (1, 2, 1) / 4 pass along rows and columns, taps ``step`` apart; the border repeats."""
    channels, height, width = image.shape
    padded = np.empty((channels, height + 2 * step, width + 2 * step), dtype=np.float32)
    padded[:, step:-step, step:-step] = image
    padded[:, :step, step:-step] = image[:, :1]
    padded[:, -step:, step:-step] = image[:, -1:]
    padded[:, :, :step] = padded[:, :, step : step + 1]
    padded[:, :, -step:] = padded[:, :, -step - 1 : -step]
    rows = padded[:, step:] + padded[:, :-step]
    rows = rows[:, step:] + rows[:, :-step]
    both = rows[:, :, step:] + rows[:, :, :-step]
    soft: Pixels = both[:, :, step:] + both[:, :, :-step]
    soft *= 0.0625
    return soft


def _tone(image: Pixels, contrast: float) -> Pixels:
    """Bend values towards 0 and 1 with the curve 3 v^2 - 2 v^3, by the given weight."""
    # v + c (3 v^2 - 2 v^3 - v) = v (1 - c + c v (3 - 2 v))
    factor = 3.0 - 2.0 * image
    factor *= image
    factor *= contrast
    factor += 1 - contrast
    factor *= image
    return factor


def _colour(image: Pixels, saturation: float, chroma_blur: float) -> Pixels:
    """Scale colour differences, and soften them as chroma subsampling does."""
    luma = image[0] * RED + image[1] * GREEN + image[2] * BLUE
    chroma: Pixels = image - luma
    chroma *= saturation
    if chroma_blur > 0:
        colours = chroma[::2]
        soft = _binomial(colours, 2)
        soft -= colours
        soft *= chroma_blur
        colours += soft
        # The weighted sum of the three is 0, which leaves one choice for green.
        np.multiply(chroma[0], -RED / GREEN, out=chroma[1])
        chroma[1] -= chroma[2] * (BLUE / GREEN)
    chroma += luma
    return chroma


def _grain(shape: tuple[int, ...], dice: Dice) -> Pixels:
    """Return noise of variance 1, (3, H, W), cut from the table at a random place."""
    table = noise.grain()
    side = table.shape[1]
    if max(shape) > side // 2:
        repeats = max(shape) // side + 2
        table = noise.tiled_grain(repeats)
    row = int(dice.unit() * (side if table.shape[1] > side else side - shape[1]))
    column = int(dice.unit() * (side if table.shape[1] > side else side - shape[2]))
    return table[:, row : row + shape[1], column : column + shape[2]]


def _quantise(image: Pixels) -> NDArray[np.uint8]:
    """Round to 8 bits, channels last."""
    image *= 255.0
    image += 0.5
    np.maximum(image, 0.0, out=image)
    np.minimum(image, 255.0, out=image)
    channels, height, width = image.shape
    bytes_last = np.empty((height, width, channels), dtype=np.uint8)
    for channel, values in enumerate(image):
        bytes_last[:, :, channel] = values
    return bytes_last
