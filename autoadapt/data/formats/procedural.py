"""Data sets rendered by the street scene generator; they need no file at all."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import Positive, Resampling
from autoadapt.data import street
from autoadapt.data.classes import palette_for
from autoadapt.data.decode import Size
from autoadapt.data.formats.base import Format, Listing
from autoadapt.data.mapping import OwnClasses


@dataclass(frozen=True)
class Procedural(Format):
    """Rendered street scenes.

    Attributes:
        style: Look and layout statistics.
        count: Number of images.
        seed: Seed of the set.
    """

    stored: ClassVar[bool] = False

    style: Literal["game", "camera"] = "game"
    count: Positive = 100
    seed: int = 0

    def list_images(self) -> Listing:
        """Name the images ``<style>/<seed>/<number>``; nothing is rendered yet."""
        ids = tuple(f"{self.style}/{self.seed}/{number:06d}" for number in range(self.count))
        # Style, seed and number are all there is to a rendered image.
        return Listing(f"the {self.style} scenes", ids, tuple(f"procedural:{i}" for i in ids))

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Return the origins: a label is rendered with its image."""
        return images.origins

    def own_classes(self) -> OwnClasses:
        """Return the classes of the renderer."""
        names = tuple(street.CLASSES)
        return OwnClasses.numbered(names, palette_for(names), where="the procedural renderer")

    def read_image(self, origin: str, size: Size, resampling: Resampling) -> NDArray[np.uint8]:
        """Render an image at ``size``; nothing is resized."""
        return street.render(self.style, self.seed, _number(origin), size)[0]

    def read_label(self, label: str, size: Size) -> NDArray[np.uint8]:
        """Render the labels of an image."""
        return street.render(self.style, self.seed, _number(label), size)[1]

    def image_size(self, origin: str) -> None:
        """Nothing is stored."""

    def stamps(self, origins: Sequence[str]) -> Any:
        """Return the names, with the version of the renderer."""
        return {"renderer": renderer_version(), "names": list(origins)}


def _number(origin: str) -> int:
    return int(origin.rpartition("/")[2])


@cache
def renderer_version() -> str:
    """Hash of the renderer's source: an edited renderer must not be served old pictures."""
    folder = Path(street.__file__).parent
    sources = (path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(b"\0".join(sources)).hexdigest()
