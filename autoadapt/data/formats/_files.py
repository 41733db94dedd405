"""Data sets that are files below one folder: finding, matching and naming them."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autoadapt.config.settings import Resampling
from autoadapt.data import decode
from autoadapt.data.decode import Size
from autoadapt.data.formats.base import Format
from autoadapt.errors import ConfigError, DataError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
Root = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Files(Format):
    """A data set of image and label files.

    Attributes:
        root: Its folder; ``${NAME}`` is replaced from the environment.
    """

    root: Root

    @property
    def folder(self) -> Path:
        """Resolved folder of the data set."""
        return find_root(self.root)

    def read_image(self, origin: str, size: Size, resampling: Resampling) -> NDArray[np.uint8]:
        """Decode an image file and resize it."""
        return decode.read_image(Path(origin), size, resampling)

    def read_label(self, label: str, size: Size) -> NDArray[np.uint8]:
        """Decode an 8-bit grey or palette PNG that holds ids."""
        return decode.read_ids(Path(label))

    def image_size(self, origin: str) -> Size | None:
        """Read the header of an image file."""
        return decode.image_size(Path(origin))

    def stamps(self, origins: Sequence[str]) -> Any:
        """Return path, size and time of change of each file; a missing one has neither."""
        return [_stamp(Path(origin)) for origin in origins]


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return str(path), -1, -1
    return str(path), status.st_size, status.st_mtime_ns


def find_root(text: str) -> Path:
    """Return the resolved folder of a data set, ``${NAME}`` replaced from the environment.

    Raises:
        ConfigError: No root is given, or a variable is not set.
        DataError: The folder is missing or empty.
    """
    if not text:
        raise ConfigError("a data set of files needs root: the folder of the data set")
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


def needed_folder(root: Path, name: str, layout: str) -> Path:
    """Return a folder that the layout of a data set asks for.

    Args:
        root: Folder of the data set.
        name: The folder below it, such as ``gtFine/train``.
        layout: How the data set must lie on disk, in one line.

    Raises:
        DataError: It is not there; the message says what is.
    """
    path = root / name
    if path.is_dir():
        return path
    raise DataError(f"{root} has no folder {name!r}{_elsewhere(root, name)}; {layout}")


def _elsewhere(root: Path, name: str) -> str:
    """Say where a folder is that is not where it should be."""
    first = name.split("/")[0]
    inside = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    same = [other for other in inside if other.lower() == first.lower() and other != first]
    if same:
        return f", but {same[0]!r}, which differs in upper and lower case: rename it"
    if root.name.lower() == first.lower():
        return f": root must name the folder above, {root.parent}"
    deeper = next((entry for entry in inside if (root / entry / name).is_dir()), None)
    if deeper:
        return f", but {root / deeper} has: let root name that folder"
    return f"; it contains {inside[:10]}"


def check_unique(ids: Iterable[str], where: str) -> None:
    """Refuse a name that is listed twice.

    Raises:
        DataError: There is one.
    """
    twice = [name for name, times in Counter(ids).items() if times > 1]
    if twice:
        raise DataError(
            f"{where} lists {len(twice)} images more than once, e.g. {twice[:3]}; "
            "remove the repeated lines"
        )


def match(
    folder: Path,
    ids: Sequence[str],
    endings: Sequence[str],
    *,
    root: Path,
    suffix: str = "",
) -> list[Path]:
    """Return the file of each name, ``<folder>/<id><suffix><ending>``.

    Raises:
        DataError: Some have none; the message counts them and says what is there instead.
    """
    paths, missing = look_up(folder, ids, endings, root=root, suffix=suffix)
    if missing:
        report_missing(folder, ids, missing, suffix)
    return list(paths.values())


def report_missing(
    folder: Path, ids: Sequence[str], missing: Sequence[str], suffix: str = ""
) -> NoReturn:
    """Say how many names of a listing have no file in a folder, and what is there instead.

    Raises:
        DataError: Always.
    """
    raise DataError(
        f"{len(missing)} of {len(ids)} listed images have no file in {folder}, e.g. "
        f"{missing[:3]}{_per_folder(ids, missing)}{_hint(folder, missing[0], suffix)}"
    )


def flat(folder: Path, *, root: Path) -> dict[str, Path]:
    """Return the images of a folder by name, sorted.

    Raises:
        DataError: There is none.
    """
    found = files_in(folder, IMAGE_ENDINGS)
    if not found:
        raise DataError(f"{folder} holds no image{_instead(folder)}")
    return inside(root, {name: found[name] for name in sorted(found)})


def tree(folder: Path, *, root: Path, suffix: str) -> dict[str, Path]:
    """Return the images of the folders in a folder as ``<folder>/<name>``, sorted.

    Args:
        folder: Holds one folder per city, or the like.
        root: Folder of the data set, which no link may leave.
        suffix: What follows the name of an image, before the ending.

    Raises:
        DataError: There is no such image.
    """
    found: dict[str, Path] = {}
    for inner in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        for stem, path in sorted(files_in(inner, IMAGE_ENDINGS).items()):
            if stem.endswith(suffix):
                found[f"{inner.name}/{stem.removesuffix(suffix)}"] = path
    if not found:
        raise DataError(f"{folder} holds no <city>/<name>{suffix}.png{_instead(folder)}")
    return inside(root, found)


def _instead(folder: Path) -> str:
    """Say what a folder holds instead of images."""
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return f"; it holds {there[:3]}, ..." if there else ": it is empty; is the archive unpacked?"


def look_up(
    folder: Path,
    ids: Sequence[str],
    endings: Sequence[str],
    *,
    root: Path,
    suffix: str = "",
) -> tuple[dict[str, Path], list[str]]:
    """Return the file of each name that has one, and the names that have none."""
    listings: dict[str, dict[str, Path]] = {}
    found: dict[str, Path] = {}
    for name in ids:
        parent, _, stem = name.rpartition("/")
        if parent not in listings:
            listings[parent] = files_in(folder / parent, endings)
        path = listings[parent].get(stem + suffix)
        if path is not None:
            found[name] = path
    return inside(root, found), [name for name in ids if name not in found]


def files_in(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
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


def inside(root: Path, found: Mapping[str, Path]) -> dict[str, Path]:
    """Return the resolved paths of files of a data set.

    A folder is resolved once, and a file in it only if it is a link: tens of thousands of files
    are listed in a moment.

    Raises:
        DataError: A file is a link, or in one, that leads out of the data set or to nothing.
    """
    folders: dict[Path, Path] = {}
    result = {}
    for name, path in found.items():
        folder = folders.get(path.parent)
        if folder is None:
            folder = folders[path.parent] = path.parent.resolve()
            _check_inside(root, path, folder / path.name)
        result[name] = folder / path.name
        if path.is_symlink():
            result[name] = _linked(root, path)
    return result


def _linked(root: Path, path: Path) -> Path:
    resolved = path.resolve()
    _check_inside(root, path, resolved)
    if not resolved.is_file():
        raise DataError(
            f"{path} is a link to {resolved}, which is not there; fetch the data set's files"
        )
    return resolved


def _check_inside(root: Path, path: Path, resolved: Path) -> None:
    if not resolved.is_relative_to(root):
        raise DataError(
            f"{path} leads out of the data set, to {resolved}; put the file itself there, or "
            f"make {root} a link to the folder where the files are"
        )


def expected_counts(ids: Iterable[str], expected: Mapping[str, int]) -> tuple[str, ...]:
    """Compare a listing with the published data set; one remark if images are missing.

    Args:
        ids: Names of the images there are, ``<folder>/<name>`` or ``<name>``.
        expected: Number of images per folder, ``""`` where names have none.
    """
    there = Counter(name.rpartition("/")[0] for name in ids)
    short = {folder: there[folder] for folder, count in expected.items() if there[folder] < count}
    if not short:
        return ()
    shown = [f"{folder} {n} of {expected[folder]}" for folder, n in short.items() if folder]
    more = f" and {len(shown) - 8} more folders" if len(shown) > 8 else ""
    where = f" ({', '.join(shown[:8])}{more})" if shown else ""
    total = sum(there[folder] for folder in expected)
    return (f"{total} of the {sum(expected.values())} published images are there{where}",)


def _per_folder(ids: Sequence[str], missing: Sequence[str]) -> str:
    """Say in which folders files are missing, where there are several."""
    there = Counter(name.rpartition("/")[0] for name in ids)
    if len(there) == 1:
        return ""
    lacking = Counter(name.rpartition("/")[0] for name in missing)
    shown = [f"{folder} {number} of {there[folder]}" for folder, number in lacking.items()]
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return f" (missing per folder: {', '.join(shown[:8])}{more})"


def _hint(folder: Path, name: str, suffix: str) -> str:
    """Say what is there instead of a missing file, if something similar is."""
    parent = folder / PurePosixPath(name).parent
    if not parent.is_dir():
        inside = sorted(path.name for path in folder.iterdir() if path.is_dir())[:10]
        return f"; there is no folder {parent}, but {folder} contains {inside}"
    there = sorted(path.name for path in parent.iterdir())
    wanted = PurePosixPath(name).name + suffix
    if wanted in there:
        return f"; names in a split have no ending: write {PurePosixPath(name).with_suffix('')}"
    same = [other for other in there if Path(other).stem.lower() == wanted.lower()]
    if same:
        return f"; {parent} has {same[0]!r}, which differs in upper and lower case or in its ending"
    close = difflib.get_close_matches(wanted, there, n=1)
    return f"; the most similar file there is {close[0]!r}" if close else ""
