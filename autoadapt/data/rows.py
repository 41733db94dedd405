"""Arrays of equal shape by number: one file of them, or several end to end."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Rows(Protocol):
    """Arrays of equal shape by number."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""

    @property
    def digests(self) -> tuple[str, ...]:
        """Hash of each row."""

    @property
    def broken(self) -> dict[int, str]:
        """Number of each row that could not be made, with the reason; such a row is all zero."""

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return rows as a new array, (n, *shape), in the order asked for."""

    def fill(self, result: NDArray[np.uint8], indices: Sequence[int]) -> None:
        """Read rows into an existing array, (n, *shape), in the order asked for."""


@dataclass(frozen=True)
class JoinedRows:
    """Rows of several parts of one shape, end to end; at least one part."""

    parts: tuple[Rows, ...]

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.parts[0].shape

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Hash of each row."""
        return tuple(digest for part in self.parts for digest in part.digests)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Number of the first row of each part."""
        lengths = [len(part.digests) for part in self.parts]
        return tuple(sum(lengths[:number]) for number in range(len(lengths)))

    @cached_property
    def broken(self) -> dict[int, str]:
        """Number of each row that could not be made, with the reason."""
        return {
            start + row: reason
            for start, part in zip(self.starts, self.parts, strict=True)
            for row, reason in part.broken.items()
        }

    def after(self, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
        """Return positions in the first two parts as positions in the whole."""
        return first + tuple(self.starts[1] + position for position in second)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return rows as a new array, (n, *shape), in the order asked for.

        Raises:
            IndexError: There is no such row.
        """
        result = np.empty((len(indices), *self.shape), np.uint8)
        self.fill(result, indices)
        return result

    def fill(self, result: NDArray[np.uint8], indices: Sequence[int]) -> None:
        """Read rows into an existing array, (n, *shape), in the order asked for.

        Raises:
            IndexError: There is no such row.
        """
        for place, index in enumerate(indices):
            if not 0 <= index < len(self):
                raise IndexError(f"row {index} of {len(self)}")
            part = bisect_right(self.starts, index) - 1
            self.parts[part].fill(result[place : place + 1], [index - self.starts[part]])


def checksum(rows: Rows) -> str:
    """Return the SHA-256 of shape and row hashes; neither names nor places of files count."""
    return hashlib.sha256(json.dumps([rows.shape, rows.digests]).encode()).hexdigest()
