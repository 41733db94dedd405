"""Data sets rendered by the street scene generator; they need no file at all."""

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings
from autoadapt.data import street
from autoadapt.data.batches import IGNORE
from autoadapt.data.cache import Recipe
from autoadapt.data.classes import ClassTable, palette_for
from autoadapt.data.decode import Size
from autoadapt.data.folder import part_of
from autoadapt.data.mapping import LabelMap, OwnClasses
from autoadapt.errors import DataError


@dataclass(frozen=True)
class ProceduralImages:
    """The images of one rendered set.

    Attributes:
        style: Look and layout statistics.
        seed: Seed of the set.
        numbers: Number of each image within style and seed.
    """

    style: str
    seed: int
    numbers: range

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Name of each image."""
        return tuple(f"{self.style}/{self.seed}/{number:06d}" for number in self.numbers)

    @property
    def origins(self) -> tuple[str, ...]:
        """Where each image comes from: style, seed and number are all there is to it."""
        return tuple(f"procedural:{name}" for name in self.ids)

    def recipe(self, size: Size) -> Recipe:
        """Return how to render the images."""

        def make(index: int) -> NDArray[np.uint8]:
            return street.render(self.style, self.seed, self.numbers[index], size)[0]

        return Recipe("images", self._spec(), (*size, 3), len(self.numbers), make)

    def label_recipe(self, size: Size, ids: LabelMap) -> Recipe:
        """Return how to render the label maps, as class indices of the task."""

        def make(index: int) -> NDArray[np.uint8]:
            raw = street.render(self.style, self.seed, self.numbers[index], size)[1]
            if not ids.known[raw].all():
                raise DataError(f"{self.ids[index]}: a label outside the map; {ids.describe()}")
            return ids.table[raw]

        spec = {**self._spec(), "table": ids.table.tolist(), "known": ids.known.tolist()}
        return Recipe("labels", spec, size, len(self.numbers), make)

    def _spec(self) -> dict[str, str | int | list[int]]:
        return {
            "renderer": renderer_version(),
            "style": self.style,
            "seed": self.seed,
            "numbers": [self.numbers.start, self.numbers.stop],
        }


def find_images(settings: DatasetSettings) -> ProceduralImages:
    """Return the images of a rendered set; nothing is rendered yet.

    Raises:
        ConfigError: ``part`` keeps no image.
    """
    return ProceduralImages(settings.style, settings.seed, part_of(settings.count, settings))


def own_classes() -> tuple[OwnClasses, ClassTable]:
    """Return the classes of the renderer."""
    names = tuple(street.CLASSES)
    own = OwnClasses(names, IGNORE, "the procedural renderer")
    return own, ClassTable(names, palette_for(names))


@cache
def renderer_version() -> str:
    """Hash of the renderer's source: an edited renderer must not be served old pictures."""
    folder = Path(street.__file__).parent
    sources = (path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(b"\0".join(sources)).hexdigest()
