"""Which images of a data set the settings mean: their order, those held out, a part of the rest."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.formats.base import Listing
from autoadapt.errors import ConfigError
from autoadapt.seeding import derive


def chosen(listing: Listing, settings: DatasetSettings) -> Listing:
    """Return the images that ``order``, ``hold_out``, ``side`` and ``part`` leave.

    Raises:
        ConfigError: Nothing is left.
    """
    positions = list(range(len(listing)))
    if settings.order == "name":
        positions.sort(key=lambda i: (PurePosixPath(listing.ids[i]).name, listing.ids[i]))
    if settings.hold_out:
        out = _held_out(listing.ids, settings)
        wanted = settings.side == "validation"
        positions = [position for position in positions if (position in out) is wanted]
    kept = _part(len(positions), settings)
    return listing.pick(positions[kept.start : kept.stop])


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
