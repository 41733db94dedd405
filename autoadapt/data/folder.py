"""Data sets that are folders of files.

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
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.cache import Recipe
from autoadapt.data.classes import ClassTable, palette_for
from autoadapt.data.decode import Size, read_image, read_label
from autoadapt.data.mapping import LabelMap, OwnClasses
from autoadapt.errors import ConfigError, DataError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class FolderImages:
    """The images of one split: names and files, nothing about labels.

    Attributes:
        root: Resolved folder of the data set.
        ids: ``<folder>/<name>`` of each image.
        files: Resolved path of each image.
    """

    root: Path
    ids: tuple[str, ...]
    files: tuple[Path, ...]

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """Where each image comes from."""
        return tuple(map(str, self.files))

    def recipe(self, size: Size) -> Recipe:
        """Return how to decode the images to ``size``."""

        def make(index: int) -> NDArray[np.uint8]:
            return read_image(self.files[index], size)

        spec = {"files": _stamps(self.files), "resampling": "lanczos"}
        return Recipe("images", spec, (*size, 3), len(self.files), make)


def find_images(settings: DatasetSettings) -> FolderImages:
    """List the images of a split and check that each is there; no label is looked at.

    Raises:
        ConfigError: An environment variable of the root is not set.
        DataError: The root, the split or images are missing, or names contradict each other.
    """
    root = find_root(settings.root)
    if not (root / "images").is_dir():
        raise DataError(
            f"{root} has no folder 'images'; a folder data set is images/<folder>/<name>.jpg, "
            "labels/<folder>/<name>.png, classes.json and splits/<split>.txt"
        )
    ids = _listed(root, settings.split)
    _check_unique(ids, f"the split {settings.split!r} of {root}")
    ids = _share(ids, settings)
    paths = _match(root, "images", ids, IMAGE_ENDINGS)
    return FolderImages(root, tuple(ids), tuple(paths))


def find_labels(images: FolderImages) -> tuple[Path, ...]:
    """Return the label file of each image.

    Raises:
        DataError: Labels are missing.
    """
    if not (images.root / "labels").is_dir():
        raise DataError(
            f"{images.root} has no folder 'labels', but its labels are needed: a source or an "
            "evaluation set needs labels/<folder>/<name>.png for each image"
        )
    return tuple(_match(images.root, "labels", images.ids, (".png",)))


def label_recipe(
    images: FolderImages, labels: Sequence[Path], *, size: Size, ids: LabelMap
) -> Recipe:
    """Return how to decode label maps to class indices at ``size``."""

    def make(index: int) -> NDArray[np.uint8]:
        return read_label(labels[index], images.files[index], size=size, ids=ids)

    spec = {
        "files": _stamps(labels),
        # Images belong to it because a label of another size than its image is broken.
        "images": _stamps(images.files),
        "table": ids.table.tolist(),
        "known": ids.known.tolist(),
        "resampling": "nearest",
    }
    return Recipe("labels", spec, size, len(labels), make)


def read_classes(root: Path) -> tuple[OwnClasses, ClassTable]:
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
    return OwnClasses(names, void_id, str(path)), ClassTable(names, palette)


def find_root(text: str) -> Path:
    """Return the resolved folder of a data set, ``${NAME}`` replaced from the environment.

    Raises:
        ConfigError: No root is given, or a variable is not set.
        DataError: The folder is missing or empty.
    """
    if not text:
        raise ConfigError("a data set of kind folder needs root: the folder of the data set")
    root = Path(re.sub(r"\$\{(\w+)\}", partial(_from_environment, text), text)).expanduser()
    if not root.is_dir():
        found = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"the data set folder {root} {found}{_nearest_folder(root)}")
    if not any(root.iterdir()):
        raise DataError(f"the data set folder {root} is empty; is the disk mounted?")
    return root.resolve()


def _from_environment(text: str, match: re.Match[str]) -> str:
    name = match[1]
    value = os.environ.get(name)
    if not value:
        raise ConfigError(
            f"the data set root {text!r} needs the environment variable {name}, which is not "
            f"set; set it, e.g. export {name}=/path/to/data, or write the folder into the config"
        )
    return value


def _nearest_folder(root: Path) -> str:
    existing = next(parent for parent in root.absolute().parents if parent.is_dir())
    inside = sorted(path.name for path in existing.iterdir() if path.is_dir())[:10]
    return f"; {existing} exists and contains {inside}"


def _listed(root: Path, split: str) -> list[str]:
    """Return the names of a split, from its file or else from the folder of its name."""
    path, folder = root / "splits" / f"{split}.txt", root / "images" / split
    if path.is_file():
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        where = path
    elif folder.is_dir():
        names = [f"{split}/{name}" for name in sorted(_images_in(folder))]
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


def _share(ids: list[str], settings: DatasetSettings) -> list[str]:
    if settings.order == "name":
        ids = sorted(ids, key=lambda name: (PurePosixPath(name).name, name))
    return [ids[position] for position in part_of(len(ids), settings)]


def part_of(count: int, settings: DatasetSettings) -> range:
    """Return the positions that ``part`` keeps of ``count`` images.

    Raises:
        ConfigError: The part is empty.
    """
    start, stop = (round(share * count) for share in settings.part)
    if start >= stop:
        raise ConfigError(
            f"part {list(settings.part)} of {count} images keeps none of them; expected "
            "[from, to] with 0 <= from < to <= 1"
        )
    return range(start, stop)


def _check_unique(ids: Iterable[str], where: str) -> None:
    twice = [name for name, times in Counter(ids).items() if times > 1]
    if twice:
        raise DataError(
            f"{where} lists {len(twice)} images more than once, e.g. {twice[:3]}; "
            "remove the repeated lines"
        )


def _match(root: Path, kind: str, ids: Sequence[str], endings: tuple[str, ...]) -> list[Path]:
    """Return the file of each name below ``root/kind``; complain about all that lack one."""
    listings: dict[str, dict[str, Path]] = {}
    found: list[Path] = []
    missing: list[str] = []
    for name in ids:
        folder, _, stem = name.rpartition("/")
        if folder not in listings:
            listings[folder] = _files_in(root / kind / folder, endings)
        path = listings[folder].get(stem)
        if path is None:
            missing.append(name)
        else:
            found.append(_inside(root, path))
    if missing:
        raise _missing(root, kind, ids, missing)
    return found


def _images_in(folder: Path) -> Iterable[str]:
    return _files_in(folder, IMAGE_ENDINGS)


def _files_in(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of a folder by name without ending.

    Raises:
        DataError: Two files differ in the ending alone.
    """
    result: dict[str, Path] = {}
    if not folder.is_dir():
        return result
    with os.scandir(folder) as entries:
        paths = [folder / entry.name for entry in entries if not entry.name.startswith(".")]
    for path in paths:
        if path.suffix.lower() in endings:
            other = result.setdefault(path.stem, path)
            if other != path:
                raise DataError(
                    f"{folder} has both {other.name} and {path.name}: which one is the image "
                    f"{path.stem!r}? Remove one of them"
                )
    return result


def _inside(root: Path, path: Path) -> Path:
    resolved = path.resolve()
    if not resolved.is_relative_to(root):
        raise DataError(
            f"{path} leads out of the data set, to {resolved}; put the file itself there, or "
            f"make {root} a link to the folder where the files are"
        )
    if not resolved.is_file():
        raise DataError(
            f"{path} is a link to {resolved}, which is not there; fetch the data set's files"
        )
    return resolved


def _missing(root: Path, kind: str, ids: Sequence[str], missing: list[str]) -> DataError:
    text = (
        f"{len(missing)} of {len(ids)} listed images have no file in {root / kind}, "
        f"e.g. {missing[:3]}"
    )
    return DataError(f"{text}{_hint(root / kind, missing[0])}")


def _hint(folder: Path, name: str) -> str:
    """Say what is there instead of a missing file, if something similar is."""
    parent = folder / PurePosixPath(name).parent
    if not parent.is_dir():
        inside = sorted(path.name for path in folder.iterdir() if path.is_dir())[:10]
        return f"; there is no folder {parent}, but {folder} contains {inside}"
    there = sorted(path.name for path in parent.iterdir())
    wanted = PurePosixPath(name).name
    if wanted in there:
        return f"; names in a split have no ending: write {PurePosixPath(name).with_suffix('')}"
    same = [other for other in there if Path(other).stem.lower() == wanted.lower()]
    if same:
        return f"; {parent} has {same[0]!r}, which differs in upper and lower case or in its ending"
    close = difflib.get_close_matches(wanted, there, n=1)
    return f"; the most similar file there is {close[0]!r}" if close else ""


def _stamps(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return path, size and time of change of each file: what tells that one was replaced."""
    stamps = []
    for path in paths:
        status = path.stat()
        stamps.append((str(path), status.st_size, status.st_mtime_ns))
    return stamps


def _names(path: Path, raw: Any) -> tuple[str, ...]:
    names = raw.get("classes") if isinstance(raw, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError(
            f"{path}: expected an object whose key 'classes' is a list of names, in the order of "
            "the ids"
        )
    _check_unique(names, f"{path}, classes,")
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
