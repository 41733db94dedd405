"""From the label ids of a data set to the class ids of the task."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Self

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.classes import ClassTable, Colour, palette_for
from autoadapt.data.protocols import Protocol
from autoadapt.errors import DataError


@dataclass(frozen=True)
class OwnClasses:
    """The classes as a data set itself numbers them.

    Attributes:
        names: Name of each raw id that has one.
        void: Raw ids that belong to no class. One with a name becomes a class where the settings
            ask for it by that name.
        where: Where the names were found, for messages.
        colours: Colour of names, as far as the data set has them.
    """

    names: Mapping[int, str]
    void: frozenset[int]
    where: str
    colours: Mapping[str, Colour] = field(default_factory=dict)

    @classmethod
    def numbered(
        cls, names: Sequence[str], palette: Sequence[Colour], *, where: str, void: int = IGNORE
    ) -> Self:
        """Return classes with the ids 0, 1, ... and one void id."""
        colours = dict(zip(names, palette, strict=True))
        return cls(dict(enumerate(names)), frozenset({void}), where, colours)

    def describe(self) -> str:
        """Say which ids are declared, and where."""
        classes = _ranges(set(self.names) - self.void)
        return f"{self.where} declares ids {classes} and void {_ranges(self.void)}"


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Raw label id to class index.

    Attributes:
        own: The classes on the side of the data set.
        table: (256,) uint8, class index or ``IGNORE``. A table, never assignments in place: an
            id that was just written would be taken for a raw one.
        known: (256,) bool, False for ids that the data set does not declare.
    """

    own: OwnClasses
    table: NDArray[np.uint8]
    known: NDArray[np.bool_]

    def describe(self) -> str:
        """Say which ids are declared, and where."""
        return self.own.describe()


def task_names(own: OwnClasses, settings: DatasetSettings) -> tuple[str, ...]:
    """Return the classes that are left of a data set's own after ``merge`` and ``ignore``.

    Raises:
        DataError: ``merge`` or ``ignore`` name a class that the data set does not have.
    """
    _check_options(own, settings)
    kept = [
        settings.merge.get(name, name)
        for raw, name in own.names.items()
        if name not in settings.ignore and (raw not in own.void or name in settings.merge)
    ]
    return tuple(dict.fromkeys(kept))


def task_table(own: OwnClasses, classes: Sequence[str]) -> ClassTable:
    """Return classes with colours: the data set's own where it has them all."""
    names = tuple(classes)
    if set(names) <= set(own.colours):
        return ClassTable(names, tuple(own.colours[name] for name in names))
    return ClassTable(names, palette_for(names))


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
    return _tabulated(own, classes, settings, rename={}, rest=IGNORE)


def protocol_map(own: OwnClasses, protocol: Protocol, settings: DatasetSettings) -> LabelMap:
    """Map a data set's ids to the classes of a protocol; ``merge`` goes before its own names.

    Raises:
        DataError: ``merge`` and ``ignore`` contradict the data set or the protocol.
    """
    _check_options(own, settings)
    classes = protocol.table.names
    for new in settings.merge.values():
        if new not in classes:
            raise DataError(
                f"merge renames to {new!r}, which is not a class of the protocol"
                f"{_close(new, classes)}; it has {list(classes)}"
            )
    return _tabulated(own, classes, settings, rename=protocol.rename, rest=protocol.rest)


def _tabulated(
    own: OwnClasses,
    classes: Sequence[str],
    settings: DatasetSettings,
    *,
    rename: Mapping[str, str],
    rest: int,
) -> LabelMap:
    table = np.full(256, IGNORE, np.uint8)
    known = np.zeros(256, bool)
    known[[*own.names, *own.void]] = True
    table[known] = rest
    places = {name: index for index, name in enumerate(classes)}
    for raw, name in own.names.items():
        new = settings.merge.get(name, rename.get(name, name))
        table[raw] = IGNORE if name in settings.ignore else places.get(new, rest)
    return LabelMap(own, table, known)


def check_all_present(classes: Sequence[str], maps: Iterable[LabelMap]) -> None:
    """Refuse a class of the task that no source can teach.

    Args:
        classes: Classes of the task.
        maps: One of each source.

    Raises:
        DataError: A class of the task is missing from all sources.
    """
    given = [(one.own.where, {int(index) for index in one.table}) for one in maps]
    taught = {index for _, indices in given for index in indices}
    missing = [name for index, name in enumerate(classes) if index not in taught]
    if missing:
        found = "; ".join(
            f"{where} gives {[name for index, name in enumerate(classes) if index in indices]}"
            for where, indices in given
        )
        raise DataError(
            f"the task has classes {missing} but the source does not: {found}; nothing can be "
            "learned about them: remove them from data.classes, choose another data.protocol, or "
            "rename a class of the source to them with merge"
        )


def _check_options(own: OwnClasses, settings: DatasetSettings) -> None:
    known = list(own.names.values())
    for option, names in (("merge", settings.merge), ("ignore", settings.ignore)):
        for name in names:
            if name not in known:
                raise DataError(
                    f"{option} names a class {name!r} that {own.where} does not have"
                    f"{_close(name, known)}; it has {known}"
                )
    both = sorted(set(settings.merge) & set(settings.ignore))
    if both:
        raise DataError(f"{own.where}: {both} are in merge and in ignore; take them out of one")


def _close(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _example(name: str, classes: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, classes, n=1, cutoff=0.0)
    return f"merge: {{{name}: {close[0] if close else '...'}}}"


def _ranges(ids: Iterable[int]) -> str:
    """Return ids as text: {0, 1, 2, 7} is ``0..2, 7``."""
    runs = [
        [raw for _, raw in run]
        for _, run in groupby(enumerate(sorted(ids)), key=lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
