"""Class names and colours, and label maps turned into pictures."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.batches import IGNORE

Colour = tuple[int, int, int]

VOID_COLOUR: Colour = (0, 0, 0)
"""Black is kept for void; no class gets it."""


@dataclass(frozen=True)
class ClassTable:
    """Names and RGB colours of classes, in the order of their ids.

    Raises:
        ValueError: Names and colours differ in number, or a name occurs twice.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(f"{len(self.names)} class names but {len(self.palette)} colours")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"a class name occurs twice in {self.names}")

    def __len__(self) -> int:
        return len(self.names)


CAMVID11 = ClassTable(
    names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
)
"""The 11 classes into which CamVid's 32 are usually grouped."""

CITYSCAPES19 = ClassTable(
    names=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    palette=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)
"""The 19 training classes of Cityscapes, in the order of their train ids."""

SYNTHIA16 = tuple(name for name in CITYSCAPES19.names if name not in {"terrain", "truck", "train"})
"""The classes of Cityscapes that SYNTHIA has too: those of "mIoU16"."""

SYNTHIA13 = tuple(name for name in SYNTHIA16 if name not in {"wall", "fence", "pole"})
"""The classes of "mIoU13"."""


def palette_for(names: Iterable[str]) -> tuple[Colour, ...]:
    """Return one colour per name: the customary one where there is one, else a distinct one.

    The table that knows more of the names goes first, so that a data set in the classes of
    Cityscapes gets the colours of Cityscapes throughout. No colour is given twice, none is black.
    """
    wanted = tuple(names)
    tables = sorted(
        (CITYSCAPES19, CAMVID11), key=lambda table: -len(set(wanted) & set(table.names))
    )
    colours: dict[str, Colour] = {}
    for table in tables:
        for name, colour in zip(table.names, table.palette, strict=True):
            if name in wanted and name not in colours:
                colours[name] = colour
    missing = [name for name in dict.fromkeys(wanted) if name not in colours]
    fresh = _distinct(len(missing), [VOID_COLOUR, *colours.values()])
    colours.update(zip(missing, fresh, strict=True))
    return tuple(colours[name] for name in wanted)


def _distinct(count: int, used: list[Colour]) -> list[Colour]:
    """Return colours of an 8x8x8 grid, each as far as possible from all before it."""
    levels = np.linspace(0, 255, 8).round()
    grid = np.array(list(itertools.product(levels, repeat=3)))
    distance = np.linalg.norm(grid[:, None] - np.array(used, float)[None], axis=2).min(axis=1)
    chosen: list[Colour] = []
    for _ in range(count):
        best = grid[int(distance.argmax())]
        distance = np.minimum(distance, np.linalg.norm(grid - best, axis=1))
        chosen.append((int(best[0]), int(best[1]), int(best[2])))
    return chosen


def colorize(labels: NDArray[np.integer], table: ClassTable) -> NDArray[np.uint8]:
    """Paint a label map.

    Args:
        labels: (H, W) class ids, ``IGNORE`` for void.
        table: Its classes.

    Returns:
        (H, W, 3) RGB; void is black.

    Raises:
        ValueError: An id is neither in the table nor void.
    """
    known = (labels >= 0) & ((labels < len(table)) | (labels == IGNORE))
    if not known.all():
        raise ValueError(f"id {labels[~known].flat[0]} is not one of {len(table)} classes")
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(table)] = table.palette
    colours[IGNORE] = VOID_COLOUR
    painted: NDArray[np.uint8] = colours[labels]
    return painted


def blend(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    table: ClassTable,
    *,
    alpha: float = 0.5,
) -> NDArray[np.uint8]:
    """Lay the colours of a label map over its image; void pixels show the image as it is.

    Args:
        image: (H, W, 3) RGB.
        labels: (H, W) class ids, ``IGNORE`` for void.
        table: Its classes.
        alpha: Weight of the colours, in [0, 1].

    Returns:
        (H, W, 3) RGB.

    Raises:
        ValueError: Sizes differ, or an id is not in the table.
    """
    if image.shape[:2] != labels.shape:
        raise ValueError(f"image is {image.shape[:2]} but its labels are {labels.shape}")
    weight = np.where(labels == IGNORE, 0.0, alpha)[..., None]
    mixed = (1 - weight) * image + weight * colorize(labels, table)
    return mixed.round().astype(np.uint8)
