"""Reads the values of an architecture strictly: every mistake names its key."""

from collections.abc import Mapping
from typing import Any, TypeGuard, TypeVar, get_args

from autoadapt.errors import SpaceError
from autoadapt.plugins import suggestion
from autoadapt.space.architecture import Value, thaw

Option = TypeVar("Option", bound=int | str)


class ValueReader:
    """Takes typed values out of an architecture, then refuses what nobody asked for.

    There are no defaults: a network has one description and so one id.

    Args:
        family: Name of the network family, for the messages.
        values: Flat dotted keys to values.
    """

    def __init__(self, family: str, values: Mapping[str, Value]) -> None:
        self.family = family
        self.values = values
        self.asked: list[str] = []
        self.without_effect: list[str] = []

    def one_of(self, key: str, options: tuple[Option, ...]) -> Option:
        """Return the option that the value equals, in type too: True is not 1."""
        value = self._value(key)
        for option in options:
            if type(value) is type(option) and value == option:
                return option
        raise self._wrong(key, value, "one of " + ", ".join(map(str, options)))

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self._value(key)
        if isinstance(value, bool):
            return value
        raise self._wrong(key, value, "true or false")

    def text(self, key: str) -> str:
        """Return text that is not empty."""
        value = self._value(key)
        if isinstance(value, str) and value:
            return value
        raise self._wrong(key, value, "text")

    def share(self, key: str) -> float:
        """Return a number from 0 up to, but not, 1."""
        value = self._value(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
            return float(value)
        raise self._wrong(key, value, "a number from 0 up to, but not, 1")

    def positive(self, key: str) -> int:
        """Return a whole number above zero."""
        value = self._value(key)
        if is_positive(value):
            return value
        raise self._wrong(key, value, "a whole number above 0")

    def positives(self, key: str) -> tuple[int, ...]:
        """Return one or more whole numbers above zero."""
        value = self._value(key)
        if isinstance(value, tuple) and value:
            numbers = tuple(item for item in value if is_positive(item))
            if len(numbers) == len(value):
                return numbers
        raise self._wrong(key, value, "a list of whole numbers above 0, such as [1, 2]")

    def several(self, key: str, count: int) -> tuple[int, ...]:
        """Return as many whole numbers above zero as the family has stages or levels."""
        numbers = self.positives(key)
        if len(numbers) != count:
            raise self._wrong(key, numbers, f"{count} whole numbers above 0")
        return numbers

    def inactive(self, *keys: str) -> None:
        """Note keys that exist but have no effect next to the values read so far."""
        self.without_effect.extend(keys)

    def finish(self) -> None:
        """Refuse keys that were not asked for.

        Raises:
            SpaceError: There are some: unknown ones, or ones without effect here.
        """
        extra = sorted(set(self.values) - set(self.asked))
        if extra:
            raise SpaceError(
                f"{self.family}: {', '.join(map(self._excuse, extra))}; "
                f"expected exactly: {', '.join(sorted(set(self.asked)))}"
            )

    def _excuse(self, key: str) -> str:
        if key in self.without_effect:
            return f"{key!r} has no effect next to the other values and must be absent (use 'when')"
        return f"there is no choice {key!r}{suggestion(key, self.asked)}"

    def _value(self, key: str) -> Value:
        self.asked.append(key)
        if key not in self.values:
            present = ", ".join(sorted(self.values)) or "nothing"
            raise SpaceError(
                f"{self.family}: the architecture lacks {key!r}; it has {present}; "
                "add it to the choices (with a single value to fix it)"
            )
        return self.values[key]

    def _wrong(self, key: str, value: Value, expected: str) -> SpaceError:
        return SpaceError(f"{self.family}: {key!r} is {thaw(value)!r}, expected {expected}")


def is_positive(value: Value) -> TypeGuard[int]:
    """Return whether a value is a whole number above zero; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def options(literal: Any) -> tuple[Any, ...]:
    """Return the values of a ``Literal`` type."""
    return get_args(literal)
