"""The general format: folders of images and labels, with a class list and split files.

The layout::

    classes.json                  {"classes": [...], "palette": [[r, g, b], ...], "void_id": 255}
    images/<folder>/<name>.jpg    or .jpeg or .png
    labels/<folder>/<name>.png    8-bit grey or palette PNG that holds class ids
    splits/<split>.txt            one <folder>/<name> per line

Without ``splits/<split>.txt`` the files of ``images/<split>/`` are the split. ``palette`` and
``void_id`` may be left out.
"""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt.data.batches import IGNORE
from autoadapt.data.classes import palette_for
from autoadapt.data.formats._files import (
    IMAGE_ENDINGS,
    Files,
    check_unique,
    files_in,
    match,
    needed_folder,
)
from autoadapt.data.formats.base import Listing
from autoadapt.data.mapping import OwnClasses
from autoadapt.errors import DataError

LAYOUT = (
    "a folder data set is images/<folder>/<name>.jpg, labels/<folder>/<name>.png, classes.json "
    "and splits/<split>.txt"
)


@dataclass(frozen=True)
class Folder(Files):
    """A data set in the general layout.

    Attributes:
        split: A file ``splits/<split>.txt`` with one ``<folder>/<name>`` per line, or a folder
            ``images/<split>``.
    """

    split: str = "train"

    def list_images(self) -> Listing:
        """List the images of the split and check that each is there."""
        root = self.folder
        needed_folder(root, "images", LAYOUT)
        ids = _listed(root, self.split)
        check_unique(ids, f"the split {self.split!r} of {root}")
        paths = match(root / "images", ids, IMAGE_ENDINGS, root=root)
        return Listing(str(root), tuple(ids), tuple(map(str, paths)))

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find ``labels/<folder>/<name>.png`` of each image."""
        root = self.folder
        folder = needed_folder(root, "labels", f"a source or an evaluation set needs it; {LAYOUT}")
        return tuple(map(str, match(folder, images.ids, (".png",), root=root)))

    def own_classes(self) -> OwnClasses:
        """Read ``classes.json``."""
        return read_classes(self.folder)


def read_classes(root: Path) -> OwnClasses:
    """Read ``classes.json``: the ids of a data set, and its names with colours.

    Raises:
        DataError: The file is missing or wrong.
    """
    path = root / "classes.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; it must hold "
            '{"classes": [names in the order of the ids], "void_id": 255}'
        ) from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    names = _names(path, raw)
    void_id = raw.get("void_id", IGNORE)
    if type(void_id) is not int or not len(names) <= void_id <= 255:
        raise DataError(
            f"{path}: void_id is {void_id!r}; expected a number from {len(names)} (ids below it "
            "are classes) to 255"
        )
    palette = _palette(path, raw.get("palette"), names)
    return OwnClasses.numbered(names, palette, where=str(path), void=void_id)


def _listed(root: Path, split: str) -> list[str]:
    """Return the names of a split, from its file or else from the folder of its name."""
    path, folder = root / "splits" / f"{split}.txt", root / "images" / split
    if path.is_file():
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        where = path
    elif folder.is_dir():
        names = [f"{split}/{name}" for name in sorted(files_in(folder, IMAGE_ENDINGS))]
        where = folder
    else:
        raise _no_split(root, split)
    if not names:
        raise DataError(f"the split {split!r} is empty: {where} lists no image")
    return names


def _no_split(root: Path, split: str) -> DataError:
    files = {path.stem for path in (root / "splits").glob("*.txt")}
    folders = {path.name for path in (root / "images").iterdir() if path.is_dir()}
    available = sorted(files | folders)
    close = difflib.get_close_matches(split, available, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ";"
    return DataError(
        f"{root} has no split {split!r}{hint} available: {available} "
        "(files splits/<split>.txt or folders images/<split>/)"
    )


def _names(path: Path, raw: Any) -> tuple[str, ...]:
    names = raw.get("classes") if isinstance(raw, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError(
            f"{path}: expected an object whose key 'classes' is a list of names, in the order of "
            "the ids"
        )
    check_unique(names, f"{path}, classes,")
    if not 1 <= len(names) <= 254:
        raise DataError(f"{path}: {len(names)} classes; expected 1 to 254")
    return tuple(names)


def _palette(path: Path, raw: Any, names: tuple[str, ...]) -> tuple[tuple[int, int, int], ...]:
    if raw is None:
        return palette_for(names)
    try:
        colours = np.asarray(raw)
        sound = colours.shape == (len(names), 3) and colours.dtype.kind == "i"
    except ValueError:
        sound = False
    if not sound or colours.min() < 0 or colours.max() > 255:
        raise DataError(
            f"{path}: palette must be {len(names)} colours [red, green, blue] of 0 to 255, one "
            "per class; correct it or leave it out"
        )
    return tuple((int(red), int(green), int(blue)) for red, green, blue in colours)
