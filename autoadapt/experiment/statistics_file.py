"""What is kept of one measured model, so that more can be derived of it later, without images.

Class maps always, as pool scores need them; with ``full`` also the sums over regions and the
sampled features and outputs, from which nearly every score can be computed again.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autoadapt.errors import RunError
from autoadapt.files import replacing
from autoadapt.scores.base import HeldOut, RegionStatistics, Statistics

Detail = Literal["maps", "full"]
Array = NDArray[Any]

FULL = "region_areas"
"""An array that is there in full statistics only."""


@dataclass(frozen=True)
class ClassMaps:
    """What a model predicts for the measured images.

    Attributes:
        target: (N, H, W) predicted classes of target images.
        held_out: (M, h, w) those of source images that training does not see, void where there is
            no label; None where no image is held out.
        held_out_counts: (C, C) labelled pixels of these by label (row) and predicted class.
    """

    target: NDArray[np.uint8]
    held_out: NDArray[np.uint8] | None = None
    held_out_counts: NDArray[np.int64] | None = None


def write_statistics(path: Path, statistics: Statistics, detail: Detail) -> None:
    """Write the statistics of a model, compressed; the same statistics are the same bytes.

    Target images of several sizes have no class maps in common: the file then has none.
    """
    arrays: dict[str, Any] = arrays_of(statistics, detail)
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)


def arrays_of(statistics: Statistics, detail: Detail) -> dict[str, Array]:
    """Return what a file holds, by name.

    Sums are single precision, features and outputs half; counts are whole numbers.
    """
    found: dict[str, Array] = {}
    if statistics.label_maps is not None:
        found["target"] = statistics.label_maps
    held_out = statistics.held_out
    if held_out is not None and held_out.label_maps is not None:
        found["held_out"] = held_out.label_maps
        found["held_out_counts"] = held_out.counts.astype(np.int64)
    if detail == "full":
        found |= region_arrays(statistics.regions)
        found["per_image"] = np.array(statistics.per_image)
        for name in ("source_features", "target_features", "source_outputs", "target_outputs"):
            found[name] = getattr(statistics, name).astype(np.float16)
        if held_out is not None:
            found["held_out_features"] = held_out.features.astype(np.float16)
            found["held_out_outputs"] = held_out.outputs.astype(np.float16)
            found["held_out_labels"] = held_out.labels.astype(np.uint8)
    return found


def region_arrays(regions: tuple[RegionStatistics, ...]) -> dict[str, Array]:
    """Return the sums over all regions of all images, one after the other."""
    return {
        "region_numbers": np.array([len(image.areas) for image in regions], np.uint32),
        FULL: np.concatenate([image.areas for image in regions]).astype(np.uint32),
        "region_p_sum": np.concatenate([image.p_sum for image in regions]).astype(np.float32),
        "region_plogp_sum": np.concatenate([i.plogp_sum for i in regions]).astype(np.float32),
        "region_hard": np.concatenate([image.hard for image in regions]).astype(np.uint32),
    }


def holds(path: Path, detail: Detail) -> bool:
    """Whether a file is there and holds as much as is asked for."""
    if not path.is_file():
        return False
    return detail == "maps" or FULL in read_arrays(path)


def read_arrays(path: Path) -> Mapping[str, Array]:
    """Read all arrays of a file.

    Raises:
        RunError: It is missing or damaged.
    """
    try:
        # Opened here: NumPy leaves a file that is cut in half open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise RunError(f"{path} holds no statistics, or is damaged: {error!r}") from error


def read_class_maps(path: Path) -> ClassMaps:
    """Read the class maps of a model.

    Raises:
        RunError: The file is missing or damaged, or has no class maps.
    """
    arrays = read_arrays(path)
    if "target" not in arrays:
        raise RunError(
            f"{path} has no class maps: target images of several sizes cannot be put together"
        )
    return ClassMaps(arrays["target"], arrays.get("held_out"), arrays.get("held_out_counts"))


def read_statistics(path: Path, costs: Mapping[str, float]) -> Statistics:
    """Read full statistics: what scores look at, as far as it does not take the network.

    Args:
        path: The file.
        costs: Of the architecture, as its record has them.

    Raises:
        RunError: The file is missing or damaged, or has class maps only.
    """
    arrays = read_arrays(path)
    if FULL not in arrays:
        raise RunError(
            f"{path} has class maps only; make the bank with 'bank: {{statistics: full}}'"
        )
    return Statistics(
        regions=regions_from(arrays),
        source_features=arrays["source_features"].astype(np.float32),
        target_features=arrays["target_features"].astype(np.float32),
        source_outputs=arrays["source_outputs"].astype(np.float32),
        target_outputs=arrays["target_outputs"].astype(np.float32),
        costs=dict(costs),
        held_out=held_out_from(arrays),
        label_maps=arrays.get("target"),
        per_image=int(arrays["per_image"]),
    )


def regions_from(arrays: Mapping[str, Array]) -> tuple[RegionStatistics, ...]:
    """Undo ``region_arrays``."""
    ends = np.cumsum(arrays["region_numbers"].astype(np.int64))[:-1]
    names = (FULL, "region_p_sum", "region_plogp_sum", "region_hard")
    parts = (np.split(arrays[name].astype(np.float64), ends) for name in names)
    return tuple(RegionStatistics(*image) for image in zip(*parts, strict=True))


def held_out_from(arrays: Mapping[str, Array]) -> HeldOut | None:
    """Return what is known of labelled source images, if anything."""
    if "held_out_labels" not in arrays:
        return None
    return HeldOut(
        features=arrays["held_out_features"].astype(np.float32),
        outputs=arrays["held_out_outputs"].astype(np.float32),
        labels=arrays["held_out_labels"].astype(np.int64),
        counts=arrays["held_out_counts"].astype(np.float64),
        label_maps=arrays["held_out"],
    )
