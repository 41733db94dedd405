"""The file of a bank that says how its scores depend on the target images.

``image_samples.npz`` holds, for every model and a few scores, the values on choices of the target
images, in single precision, and which images were chosen. It takes no statistics to read.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.errors import RunError
from autoadapt.files import replacing

VERSION = 1
IMAGE_SAMPLES = "image_samples.npz"

Choice = tuple[int, ...]
"""Numbers of images in ascending order; one that is there twice counts twice."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSamples:
    """Scores of the models of a bank on choices of its target images, the same for all models.

    Attributes:
        choices: The first has all images that are scored, once; those after it with as many
            images are resamples, those with fewer are subsets.
        values: By score, (models, choices) in the order of the bank; NaN where undefined. All
            come from the stored statistics, whose samples are rounded: also those of all images,
            which may differ from the record by up to 1 %.
        reasons: Why a score is undefined somewhere, by score: one example.
        marks: Hash of what the values belong to (``bank_file.marks_of``).
    """

    choices: tuple[Choice, ...]
    values: Mapping[str, NDArray[np.float64]]
    reasons: Mapping[str, str] = field(default_factory=dict)
    marks: str = ""

    @property
    def images(self) -> int:
        """Number of images that are scored."""
        return len(self.choices[0])

    @property
    def models(self) -> int:
        """Number of models that have values."""
        return max((len(found) for found in self.values.values()), default=0)


def write_image_samples(path: Path, samples: ImageSamples, *, marks: str) -> None:
    """Write the file; the same samples are the same bytes.

    Raises:
        RunError: The disk is full.
    """
    about = {
        "version": VERSION,
        "marks": marks,
        "choices": samples.choices,
        "scores": list(samples.values),
        "reasons": dict(samples.reasons),
    }
    stacked = np.stack([values.astype(np.float32) for values in samples.values.values()], axis=2)
    with replacing(path) as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), values=stacked)


def read_image_samples(path: Path) -> ImageSamples | None:
    """Read the file; none where there is none.

    Raises:
        RunError: It is damaged, or of another version.
    """
    if not path.is_file():
        return None
    try:
        # Opened here: NumPy leaves a file that is cut in half open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            about, values = json.loads(str(archive["about"])), archive["values"]
        if about["version"] != VERSION:
            raise RunError(
                f"{path}: expected image samples of version {VERSION}, found {about['version']!r}"
            )
        return samples_from(about, values)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        EOFError,
    ) as error:
        raise RunError(
            f"{path} holds no image samples, or is damaged: {error!r}; make it again with "
            "'autoadapt bank', or delete it"
        ) from error


def samples_from(about: Mapping[str, Any], values: NDArray[Any]) -> ImageSamples:
    """Return what a file holds.

    Raises:
        ValueError: Its parts do not fit each other.
        KeyError: A part is missing.
    """
    choices = tuple(tuple(int(image) for image in choice) for choice in about["choices"])
    names = list(about["scores"])
    if not choices or choices[0] != tuple(range(len(choices[0]))):
        raise ValueError("the first choice does not have all images")
    if any(not set(choice) <= set(choices[0]) or not choice for choice in choices):
        raise ValueError("a choice has an image that was not scored, or none")
    if values.ndim != 3 or values.shape[1:] != (len(choices), len(names)):
        expected = f"(models, {len(choices)}, {len(names)})"
        raise ValueError(f"expected values of the shape {expected}, found {values.shape}")
    return ImageSamples(
        choices=choices,
        values={name: values[:, :, k].astype(np.float64) for k, name in enumerate(names)},
        reasons={str(name): str(reason) for name, reason in about["reasons"].items()},
        marks=str(about["marks"]),
    )
