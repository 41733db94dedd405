"""Foggy Cityscapes (Sakaridis et al., IJCV 2018): Cityscapes with simulated fog.

The layout::

    leftImg8bit_foggyDBF/<split>/<city>/<name>_leftImg8bit_foggy_beta_0.02.png
    gtFine/...                        the labels of the clear images, as in ``cityscapes``

``leftImg8bit_foggy`` is accepted as name of the first folder too.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from autoadapt.data.formats._files import Files, needed_folder
from autoadapt.data.formats.base import Listing
from autoadapt.data.formats.cityscapes import Ids, Split, find_fine, fine_classes, list_cities
from autoadapt.data.mapping import OwnClasses

DENSITIES = (0.005, 0.01, 0.02)
"""Attenuation of the fog per metre; visibility is about 600, 300 and 150 metres."""

LAYOUT = (
    "Foggy Cityscapes lies on disk as "
    "leftImg8bit_foggyDBF/<split>/<city>/<name>_leftImg8bit_foggy_beta_0.02.png, with the gtFine "
    "of Cityscapes beside it"
)

FOLDERS = ("leftImg8bit_foggyDBF", "leftImg8bit_foggy")


def _published(beta: float) -> float:
    if beta not in DENSITIES:
        raise ValueError("expected one of the published densities 0.005, 0.01 and 0.02")
    return beta


@dataclass(frozen=True)
class FoggyCityscapes(Files):
    """A split of Foggy Cityscapes at one density of fog.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        beta: Density of the fog.
        labels: As in ``cityscapes``.
    """

    split: Split = "train"
    beta: Annotated[float, AfterValidator(_published)] = 0.02
    labels: Ids = "labelIds"

    def list_images(self) -> Listing:
        """List the foggy images; they are called as their clear ones."""
        root = self.folder
        there = [name for name in FOLDERS if (root / name).is_dir()]
        name = there[0] if there else FOLDERS[0]
        folder = needed_folder(root, f"{name}/{self.split}", LAYOUT)
        return list_cities(root, folder, self.split, f"_leftImg8bit_foggy_beta_{self.beta:g}")

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find the label of each clear image."""
        return find_fine(self, images, self.labels)

    def own_classes(self) -> OwnClasses:
        """Return label ids or train ids."""
        return fine_classes(self.labels)
