"""Priors of a source on disk: counted once per data set, read by whoever needs them."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt import files
from autoadapt.data.cache import explained
from autoadapt.data.counting import Counting, silent
from autoadapt.data.decode import Size
from autoadapt.data.images import LabelledImages
from autoadapt.data.priors import (
    PRIOR_KERNEL,
    RARE_CLASS_TEMPERATURE,
    count_classes,
    rare_class_probabilities,
    ratio_of,
    smoothed,
)

FORMAT = 1
"""Raised whenever the same labels would give other numbers."""


@dataclass(frozen=True, eq=False)
class Priors:
    """What is known about the classes of a source.

    Attributes:
        key: Hash of the labels and of all parameters.
        classes: Name of each class.
        ids: Name of each image.
        pixels: (N, C) int64, pixels of each class in each image.
        places: (C, H, W) float32, spatial prior at the size of the target.
    """

    key: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    pixels: NDArray[np.int64]
    places: NDArray[np.float32]

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Share of each class in the labelled pixels, (C,)."""
        return ratio_of(self.pixels)

    @property
    def rare(self) -> NDArray[np.float64]:
        """How likely rare-class sampling draws each class, (C,), at DAFormer's temperature."""
        return rare_class_probabilities(self.ratio)

    def to_json(self) -> dict[str, Any]:
        """Return what a person wants to read; the arrays are in the other file."""
        images = (self.pixels > 0).sum(axis=0)
        return {
            "key": self.key,
            "images": len(self.ids),
            "temperature": RARE_CLASS_TEMPERATURE,
            "spatial_prior": {"shape": list(self.places.shape), "kernel": PRIOR_KERNEL},
            "classes": {
                name: {
                    "ratio": float(self.ratio[index]),
                    "rare_class_probability": float(self.rare[index]),
                    "images": int(images[index]),
                    "pixels": int(self.pixels[:, index].sum()),
                }
                for index, name in enumerate(self.classes)
            },
        }

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write ``<name>.npz`` and ``<name>.json``, each whole or not at all.

        Raises:
            RunError: The disk is full.
        """
        arrays, text = folder / f"{name}.npz", folder / f"{name}.json"
        content = io.BytesIO()
        np.savez_compressed(
            content,
            key=np.array(self.key),
            classes=np.array(self.classes),
            ids=np.array(self.ids),
            pixels_per_class=self.pixels,
            class_ratio=self.ratio,
            rare_class_probabilities=self.rare,
            spatial_prior=self.places,
        )
        with files.replacing(arrays) as file:
            file.write(content.getbuffer())
        files.write_json(text, self.to_json())
        return arrays, text


def open_priors(
    labelled: LabelledImages, size: Size, folder: Path, counting: Counting = silent
) -> tuple[Priors, Path]:
    """Return the priors of a source and their file, counted now unless they were before.

    Args:
        labelled: The source.
        size: Height and width of the target images.
        folder: Cache folder.
        counting: Told how far it is.

    Raises:
        ConfigError: The cache folder cannot be used.
        RunError: The disk is full.
        ValueError: No pixel is labelled.
    """
    key, where = _key(labelled, size), folder / "priors"
    path = where / f"{key}.npz"
    with explained(folder), files.waiting_lock(path.with_suffix(".lock")):
        if not path.exists():
            counts = count_classes(labelled, len(labelled.classes), counting("counting classes"))
            places = smoothed(counts.places, size=size)
            Priors(key, labelled.classes, labelled.ids, counts.pixels, places).save(where, key)
        return read_priors(path), path


def read_priors(path: Path) -> Priors:
    """Read what ``Priors.save`` wrote."""
    with np.load(path) as stored:
        return Priors(
            str(stored["key"]),
            tuple(stored["classes"].tolist()),
            tuple(stored["ids"].tolist()),
            stored["pixels_per_class"],
            stored["spatial_prior"],
        )


def _key(labelled: LabelledImages, size: Size) -> str:
    digests = labelled.rows.digests
    labels = [digests[position] for position in labelled.positions]
    what = [FORMAT, labels, labelled.ids, labelled.classes, labelled.size, size, PRIOR_KERNEL]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
