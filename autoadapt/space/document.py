"""A YAML document that remembers lines, refuses YAML's traps and collects mistakes."""

import contextlib
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

from autoadapt.errors import SpaceError
from autoadapt.space.architecture import Value
from autoadapt.space.rules import hint


class Loader(yaml.SafeLoader):
    """Safe YAML, except that ``1e8`` is a number and that aliases are refused."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse ``*alias``: a mistake there has two lines, and a node may contain itself."""
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            problem = "aliases are not supported, write the value out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


class Mistake(Exception):  # noqa: N818 - it never leaves this package
    """What is wrong with one node."""

    def __init__(self, node: yaml.Node, what: str) -> None:
        super().__init__(what)
        self.node = node
        self.what = what


class Field(NamedTuple):
    """One key of a mapping: its full path for messages, its name, and where both parts stand."""

    key: str
    name: str
    key_node: yaml.Node
    node: yaml.Node


@dataclass
class Document:
    """The root of a file, and the mistakes found in it so far.

    Attributes:
        where: Path named in messages.
        mistakes: Line from 1, and ``key: what``.
    """

    root: Field
    where: str
    mistakes: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "Document":
        """Parse a YAML file.

        Raises:
            SpaceError: It cannot be read, is no YAML, empty, or holds several documents.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpaceError(f"{path}: cannot be read as UTF-8 text: {error}") from error
        return cls.of(text, str(path))

    @classmethod
    def of(cls, text: str, where: str) -> "Document":
        """Parse YAML.

        Raises:
            SpaceError: It is no YAML, empty, or holds several documents.
        """
        try:
            node = yaml.compose(text, Loader=Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            what = getattr(error, "problem", None) or getattr(error, "reason", str(error))
            raise SpaceError(f"{where}:{line}: not valid YAML: {what}") from error
        if node is None:
            raise SpaceError(f"{where}:1: the file is empty; expected 'key: value' lines")
        return cls(Field("whole file", "", node, node), where)

    def note(self, node: yaml.Node, key: str, what: str) -> None:
        """Remember a mistake."""
        self.mistakes.append((line_of(node), f"{key}: {what}"))

    @contextlib.contextmanager
    def noting(self, key: str) -> Iterator[None]:
        """Remember a ``Mistake`` raised in the block, and go on after it."""
        try:
            yield
        except Mistake as mistake:
            self.note(mistake.node, key, mistake.what)

    def raise_mistakes(self) -> None:
        """Do nothing if there are none.

        Raises:
            SpaceError: One line per mistake, in the order of the file.
        """
        if self.mistakes:
            lines = (f"{self.where}:{line}: {what}" for line, what in sorted(self.mistakes))
            raise SpaceError("\n".join(dict.fromkeys(lines)))

    def fields(self, section: Field | None) -> list[Field]:
        """Return the keys of a mapping; other things, odd and repeated keys are mistakes."""
        if section is None:
            return []
        if not isinstance(section.node, yaml.MappingNode):
            self.note(section.node, section.key, "expected 'key: value' pairs")
            return []
        found: dict[str, Field] = {}
        for part in self.quiet_fields(section):
            if part.name in found:
                line = line_of(found[part.name].key_node)
                self.note(part.key_node, part.key, f"repeated key, first on line {line}")
            else:
                found[part.name] = part
                with self.noting(part.key):
                    if not isinstance(self.value(part.key_node), str):
                        raise Mistake(part.key_node, "expected text as key")
        return list(found.values())

    def quiet_fields(self, section: Field) -> list[Field]:
        """Return the keys of a mapping as they stand."""
        prefix = "" if section is self.root else f"{section.key}."
        return [
            Field(f"{prefix}{key.value}", str(key.value), key, node)
            for key, node in section.node.value
        ]

    def known(
        self, section: Field, keys: Sequence[str], *, optional: Collection[str] = ()
    ) -> dict[str, Field]:
        """Return the keys of a mapping by name; unknown and missing ones are mistakes."""
        found = {}
        for part in self.fields(section):
            if part.name in keys:
                found[part.name] = part
            else:
                what = f"unknown key{hint(part.name, keys)}; expected {', '.join(keys)}"
                self.note(part.key_node, part.key, what)
        if isinstance(section.node, yaml.MappingNode):
            for key in keys:
                if key not in found and key not in optional:
                    self.note(section.key_node, section.key, f"{key!r} is missing")
        return found

    def value(self, node: yaml.Node) -> Value:
        """Read a plain value; a list becomes a tuple.

        Raises:
            Mistake: It is something else, or a spelling that YAML reads in a surprising way.
        """
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.value(item) for item in node.value)
        if not isinstance(node, yaml.ScalarNode):
            raise Mistake(node, "found a mapping, expected a plain value or a list")
        refuse_trap(node)
        loader = Loader("")
        try:
            value = loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise Mistake(node, f"found {node.value!r}, which YAML cannot read: {error}") from error
        finally:
            loader.dispose()
        if isinstance(value, bool | int | str):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        raise Mistake(
            node, f"found {node.value!r}, expected a finite number, true, false or text (in quotes)"
        )


def refuse_trap(node: yaml.ScalarNode) -> None:
    """Refuse words and digits that YAML silently turns into something else.

    Raises:
        Mistake: ``no`` would be false, ``1:30`` would be 90, ``010`` would be 8.
    """
    kind = node.tag.rpartition(":")[2]
    text = node.value.lower()
    if kind == "bool" and text not in ("true", "false"):
        meaning = "true" if text in ("yes", "on") else "false"
        raise Mistake(
            node, f"found {node.value}, which YAML reads as {meaning}; write {meaning}, or quote it"
        )
    if kind in ("int", "float") and (":" in text or re.match(r"[-+]?0[0-9_]", text)):
        raise Mistake(
            node, f"found {node.value}, which YAML does not read as decimal; write it plainly"
        )


def line_of(node: yaml.Node) -> int:
    """Return the line a node starts on, from 1."""
    line: int = node.start_mark.line
    return line + 1
