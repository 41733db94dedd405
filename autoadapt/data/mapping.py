"""From the class ids of a data set to the class ids of the task."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.batches import IGNORE
from autoadapt.errors import DataError


@dataclass(frozen=True)
class OwnClasses:
    """The classes as a data set itself numbers them.

    Attributes:
        names: Name of id 0, 1, ...
        void_id: Id of pixels without a class.
        where: Where the names were found, for messages.
    """

    names: tuple[str, ...]
    void_id: int
    where: str


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Raw label id to class index.

    Attributes:
        own: The classes on the side of the data set.
        table: (256,) uint8, class index or ``IGNORE``.
        known: (256,) bool, False for ids that the data set does not declare.
    """

    own: OwnClasses
    table: NDArray[np.uint8]
    known: NDArray[np.bool_]

    def describe(self) -> str:
        """Say which ids are declared, and where."""
        own = self.own
        return f"{own.where} declares ids 0..{len(own.names) - 1} and void {own.void_id}"


def task_names(own: OwnClasses, settings: DatasetSettings) -> tuple[str, ...]:
    """Return the classes that are left of a data set's own after ``merge`` and ``ignore``.

    Raises:
        DataError: ``merge`` or ``ignore`` name a class that the data set does not have.
    """
    _check_options(own, settings)
    kept = [name for name in own.names if name not in settings.ignore]
    return tuple(dict.fromkeys(settings.merge.get(name, name) for name in kept))


def label_map(own: OwnClasses, classes: Sequence[str], settings: DatasetSettings) -> LabelMap:
    """Map a data set's ids to positions in ``classes``.

    Raises:
        DataError: A class of the data set has no place among ``classes``, or ``merge`` and
            ``ignore`` contradict the data set.
    """
    names = task_names(own, settings)
    homeless = [name for name in names if name not in classes]
    if homeless:
        raise DataError(
            f"{own.where}: classes {homeless} are not among the classes of the task "
            f"{list(classes)}; rename them with merge, e.g. {_example(homeless[0], classes)}, "
            f"or count them as void with ignore: [{homeless[0]}]"
        )
    table = np.full(256, IGNORE, np.uint8)
    known = np.zeros(256, bool)
    known[: len(own.names)] = True
    known[own.void_id] = True
    for raw, name in enumerate(own.names):
        if name not in settings.ignore:
            table[raw] = classes.index(settings.merge.get(name, name))
    return LabelMap(own, table, known)


def check_all_present(
    classes: Sequence[str], sources: Sequence[tuple[OwnClasses, DatasetSettings]]
) -> None:
    """Refuse a class of the task that no source can teach.

    Raises:
        DataError: A class of the task is missing from all sources.
    """
    given = [(own.where, task_names(own, settings)) for own, settings in sources]
    missing = [name for name in classes if not any(name in names for _, names in given)]
    if missing:
        found = "; ".join(f"{where} gives {list(names)}" for where, names in given)
        raise DataError(
            f"the task has classes {missing} but the source does not: {found}; nothing can be "
            "learned about them: remove them from data.classes, or rename a class of the source "
            "to them with merge"
        )


def _check_options(own: OwnClasses, settings: DatasetSettings) -> None:
    for option, names in (("merge", settings.merge), ("ignore", settings.ignore)):
        for name in names:
            if name not in own.names:
                close = difflib.get_close_matches(name, own.names, n=1)
                hint = f", did you mean {close[0]!r}?" if close else ""
                raise DataError(
                    f"{option} names a class {name!r} that {own.where} does not have{hint}; "
                    f"it has {list(own.names)}"
                )
    both = sorted(set(settings.merge) & set(settings.ignore))
    if both:
        raise DataError(f"{own.where}: {both} are in merge and in ignore; take them out of one")


def _example(name: str, classes: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, classes, n=1, cutoff=0.0)
    return f"merge: {{{name}: {close[0] if close else '...'}}}"
