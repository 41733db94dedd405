"""One look at every original file of a data set, written down as it goes.

Looking at a data set takes as long as decoding it. Each result is a line in the cache folder under
the names, sizes and times of its files, so that a look that was interrupted goes on where it
stopped, and a second one reads nothing but what has changed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from autoadapt import files
from autoadapt.data.cache import explained
from autoadapt.data.counting import Count
from autoadapt.data.decode import BrokenFileError, Size
from autoadapt.data.originals import OriginalLabels, Originals, pixels_per_id
from autoadapt.errors import RunError

FORMAT = 1
"""Raised whenever a look at the same files would find something else."""


@dataclass(frozen=True)
class Look:
    """What one image and its label showed.

    Attributes:
        size: Height and width of the image; None where it is broken.
        broken: What cannot be used, and why.
        pixels: Number of pixels per raw label id; empty where no label was looked at.
        differs: Whether the label has another size than the image, where a format allows it.
    """

    size: Size | None
    broken: str | None = None
    pixels: dict[int, int] = field(default_factory=dict)
    differs: bool = False

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Undo ``dataclasses.asdict`` and a trip through JSON."""
        size = None if raw["size"] is None else (raw["size"][0], raw["size"][1])
        pixels = {int(raw_id): int(count) for raw_id, count in raw["pixels"].items()}
        return cls(size, raw["broken"], pixels, raw["differs"])


def look_at_all(
    found: Originals,
    labels: OriginalLabels | None,
    *,
    size: Size,
    folder: Path,
    on_image: Count,
) -> list[Look]:
    """Look at every image, and at its label where labels are given, in parallel.

    Args:
        found: The images.
        labels: Their labels; None leaves them closed.
        size: Height and width of what is rendered instead of stored.
        folder: Cache folder.
        on_image: Told after each image that is looked at or known already.

    Raises:
        DataError: A file cannot be opened.
        ConfigError: The cache folder cannot be used.
        RunError: The disk is full.
    """
    keys = [_key(found, labels, size, index) for index in range(len(found))]
    path = folder / "looks" / f"{_hash([found.kind, repr(found.format), labels is None])}.jsonl"
    with explained(folder), files.waiting_lock(path.with_suffix(".lock")):
        known = _read(path)
        looks = {index: known[key] for index, key in enumerate(keys) if key in known}
        _look_at_rest(found, labels, size, keys, looks, files.JsonLines(path), on_image)
        _rewrite(path, {key: looks[index] for index, key in enumerate(keys)})
    return [looks[index] for index in range(len(found))]


def _look_at_rest(
    found: Originals,
    labels: OriginalLabels | None,
    size: Size,
    keys: Sequence[str],
    looks: dict[int, Look],
    book: files.JsonLines,
    on_image: Count,
) -> None:
    """Add the looks that are missing, and write each down."""
    rest = [index for index in range(len(found)) if index not in looks]
    on_image(len(looks), len(found))
    with ThreadPoolExecutor() as pool:
        seen = pool.map(partial(_look, found, labels, size), rest)
        for index, look in zip(rest, seen, strict=True):
            book.append({"key": keys[index], **asdict(look)}, durable=False)
            looks[index] = look
            on_image(len(looks), len(found))


def _look(found: Originals, labels: OriginalLabels | None, size: Size, index: int) -> Look:
    try:
        stored = found.size(index)
        if stored is not None:  # What is rendered cannot be broken.
            found.image(index, stored)
    except BrokenFileError as error:
        return Look(None, f"image: {error}")
    shown = stored or size
    if labels is None:
        return Look(shown)
    try:
        raw = labels.raw(index, shown)
    except BrokenFileError as error:
        return Look(shown, f"label: {error}")
    counts = pixels_per_id(raw)
    pixels = {int(raw_id): int(counts[raw_id]) for raw_id in np.flatnonzero(counts)}
    return Look(shown, None, pixels, differs=raw.shape != shown)


def _key(found: Originals, labels: OriginalLabels | None, size: Size, index: int) -> str:
    """Return what changes whenever another look would show something else."""
    stamps = found.format.stamps
    label = None if labels is None else stamps([labels.files[index]])
    rendered = None if found.format.stored else size
    return _hash([FORMAT, stamps([found.listing.origins[index]]), label, rendered])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, Look]:
    """Return what is known already; a damaged book is thrown away, for it can be made again."""
    book = files.JsonLines(path)
    try:
        book.mend()
        return {line["key"]: Look.from_json(line) for line in book.read()}
    except (RunError, KeyError, TypeError):
        path.unlink()
        return {}


def _rewrite(path: Path, looks: Mapping[str, Look]) -> None:
    """Keep only what is true of the files that are there now."""
    lines = [json.dumps({"key": key, **asdict(look)}) + "\n" for key, look in looks.items()]
    files.write_text(path, "".join(lines))
