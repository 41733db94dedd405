"""Which images of a data set the settings mean: a subset, its order, those held out, a part."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from autoadapt.config.load import expand
from autoadapt.config.settings import DatasetSettings
from autoadapt.data.formats.base import Listing
from autoadapt.errors import ConfigError, DataError
from autoadapt.seeding import derive


def chosen(listing: Listing, settings: DatasetSettings) -> Listing:
    """Return the images that ``subset``, ``hold_out``, ``side`` and ``part`` leave, in ``order``.

    Raises:
        ConfigError: Nothing is left.
        DataError: The file of the subset is missing or names no image.
    """
    if settings.subset:
        listing = _named(listing, Path(expand(settings.subset, "subset")))
    positions = list(range(len(listing)))
    if settings.order == "name":
        positions.sort(key=lambda i: (PurePosixPath(listing.ids[i]).name, listing.ids[i]))
    if settings.hold_out:
        out = _held_out(listing.ids, settings)
        wanted = settings.side == "validation"
        positions = [position for position in positions if (position in out) is wanted]
    kept = _part(len(positions), settings)
    return listing.pick(positions[kept.start : kept.stop])


def _named(listing: Listing, path: Path) -> Listing:
    """Return the images that a file names, in the order of the listing.

    A list may name images of other splits too, so a name that is not here is only remarked on.
    """
    if not path.is_file():
        raise DataError(
            f"the subset {path} is not a file; expected a text file with one image name per line"
        )
    names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    names = [name for name in names if name]
    places: Mapping[str, list[int]] = defaultdict(list)
    for position, image_id in enumerate(listing.ids):
        places[PurePosixPath(image_id).name].append(position)
    found = [_place(listing.ids, places, name) for name in names]
    wanted = sorted({position for position in found if position is not None})
    if not wanted:
        raise DataError(
            f"the subset {path} names none of the {len(listing)} images of {listing.where}; it "
            f"names {names[:3]}, there are {list(listing.ids[:3])}"
        )
    absent = found.count(None)
    remark = f"{absent} of {len(names)} names in the subset {path} are not here"
    kept = listing.pick(wanted)
    return replace(kept, remarks=(*kept.remarks, remark)) if absent else kept


def _place(ids: Sequence[str], places: Mapping[str, list[int]], name: str) -> int | None:
    """Return the position of the image that a line of a list means.

    ``leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png`` means the image
    ``train/ulm/ulm_000000_000019``.
    """
    path = name.replace("\\", "/")
    for ending in (".png", ".jpg", ".jpeg"):
        path = path.removesuffix(ending)
    stem = PurePosixPath(path).name
    while stem not in places and "_" in stem:
        stem = stem.rpartition("_")[0]
    several = places.get(stem, [])
    if len(several) > 1:
        several = [position for position in several if path.endswith(ids[position])]
    return several[0] if len(several) == 1 else None


def _held_out(ids: Sequence[str], settings: DatasetSettings) -> set[int]:
    """Return the positions of the held-out images: those whose hashed names come first.

    The name of an image alone decides, not its place in a list: a copy of the data set in which
    other images are missing holds out the same ones.
    """
    if settings.hold_out >= len(ids):
        raise ConfigError(
            f"hold_out is {settings.hold_out}, but there are only {len(ids)} images; expected "
            "fewer, so that something is left to train with"
        )
    seed = settings.hold_out_seed
    ranks = sorted(range(len(ids)), key=lambda i: (derive(seed, "hold_out", ids[i]), ids[i]))
    return set(ranks[: settings.hold_out])


def _part(count: int, settings: DatasetSettings) -> range:
    start, stop = (round(share * count) for share in settings.part)
    if start >= stop:
        raise ConfigError(
            f"part {list(settings.part)} of {count} images keeps none of them; expected "
            "[from, to] with 0 <= from < to <= 1"
        )
    return range(start, stop)
