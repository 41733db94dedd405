"""Networks with a name: fixed points, for a search, a bank or a table that needs no choices.

One file ``architectures/<name>.yaml`` per network::

    summary: what it is, in one line
    source: where the structure comes from
    like: another_network        # or family: elastic_deeplab
    values: {aux: false}         # all values of the family, or what differs from 'like'
    published: {params: 4.46e+7, macs: 3.805e+11}   # optional: what the paper's table says

A path stands for a name everywhere: a file of the same form, or the ``winner.yaml`` of a run.
Whether the values suit the family is for ``networks.build`` to say.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoadapt.errors import SpaceError
from autoadapt.space.architecture import Architecture, Value
from autoadapt.space.document import Document, Field, Mistake
from autoadapt.space.rules import hint, spell

FOLDER = Path(__file__).parent / "architectures"
KEYS = ("summary", "source", "family", "like", "values", "published")
BESIDES = ("trial", "id", "words", "costs", "scores")
"""What a ``winner.yaml`` says besides; not read."""
COSTS = ("params", "macs")


@dataclass(frozen=True, kw_only=True)
class NamedArchitecture:
    """A network that can be asked for by its name.

    Attributes:
        summary: What it is, in one line.
        source: Where the structure comes from.
        published: Parameters and multiply-adds in the table of a paper (``params``, ``macs``).
    """

    name: str
    architecture: Architecture
    summary: str = ""
    source: str = ""
    published: Mapping[str, float] = field(default_factory=dict)


def names() -> list[str]:
    """Return the names of the networks that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def named(source: str | Path) -> Architecture:
    """Return the architecture of a named network, or of a file.

    Raises:
        SpaceError: See ``find``.
    """
    return find(source).architecture


def find(source: str | Path) -> NamedArchitecture:
    """Return a named network, or what a file describes.

    Args:
        source: A name of ``names``, or the path of a YAML file.

    Raises:
        SpaceError: There is no such network, or its file has mistakes; every mistake is one line
            ``path:line: key: what``.
    """
    return follow(source, ())


def labelled(sources: Sequence[str | Path]) -> dict[str, Architecture]:
    """Return networks by a short label, in the order given; equal ones once.

    The label of a network that comes with the package is its name, that of a file its stem with
    a piece of the id; letters, digits and underscores only.

    Raises:
        SpaceError: See ``find``.
    """
    found: dict[Architecture, str] = {}
    for source in sources:
        one = find(source)
        own = (FOLDER / f"{source}.yaml").is_file()
        stem = one.name if own else f"{one.name}_{one.architecture.id[:6]}"
        found.setdefault(one.architecture, re.sub(r"\W", "_", stem))
    return {label: architecture for architecture, label in found.items()}


def follow(source: str | Path, before: tuple[Path, ...]) -> NamedArchitecture:
    """Return a network that others, already being read, are like."""
    path = locate(source)
    if path in before:
        ring = " -> ".join(one.stem for one in (*before, path))
        raise SpaceError(f"{path}: 'like' goes round in a circle: {ring}")
    return NetworkReader(Document.open(path), path, before).read()


def locate(source: str | Path) -> Path:
    """Return the file of a network.

    Raises:
        SpaceError: Neither a file nor a name.
    """
    shipped, path = FOLDER / f"{source}.yaml", Path(source)
    if shipped.is_file():
        return shipped
    if path.is_file():
        return path.resolve()
    known = names()
    raise SpaceError(
        f"no network named {str(source)!r}, and no such file{hint(str(source), known)}; "
        f"named networks: {', '.join(known)}"
    )


@dataclass
class NetworkReader:
    """Reads the file of one network, and goes on after a mistake.

    Attributes:
        before: Files that led here by ``like``.
    """

    document: Document
    path: Path
    before: tuple[Path, ...]

    def read(self) -> NamedArchitecture:
        """Return the network.

        Raises:
            SpaceError: The file has mistakes.
        """
        root = self.document.root
        parts = self.document.known(root, (*KEYS, *BESIDES), optional=(*KEYS, *BESIDES))
        if ("family" in parts) == ("like" in parts):
            self.document.note(root.key_node, root.key, "expected either 'family' or 'like'")
        if "values" not in parts:
            self.document.note(root.key_node, root.key, "'values' is missing")
        family, values = self.text(parts.get("family")), self.values(parts.get("values"))
        summary, source = self.text(parts.get("summary")), self.text(parts.get("source"))
        published, like = self.costs(parts.get("published")), self.text(parts.get("like"))
        self.document.raise_mistakes()
        if like:
            base = follow(like, (*self.before, self.path)).architecture
            family, values = base.family, base.values | values
        return NamedArchitecture(
            name=self.path.stem,
            architecture=Architecture.of(family, values),
            summary=summary,
            source=source,
            published=published,
        )

    def text(self, part: Field | None) -> str:
        """Read text; empty where there is none, or after a mistake."""
        if part is not None:
            with self.document.noting(part.key):
                value = self.document.value(part.node)
                if isinstance(value, str) and value.strip():
                    return value
                raise Mistake(part.node, f"found {spell(value)}, expected text")
        return ""

    def values(self, section: Field | None) -> dict[str, Value]:
        """Read plain values by flat dotted keys."""
        values = {}
        for part in self.document.fields(section):
            with self.document.noting(part.key):
                values[part.name] = self.document.value(part.node)
        return values

    def costs(self, section: Field | None) -> dict[str, float]:
        """Read published costs."""
        costs = {}
        for part in self.document.fields(section):
            with self.document.noting(part.key):
                value = self.document.value(part.node)
                if part.name not in COSTS:
                    known = ", ".join(COSTS)
                    raise Mistake(part.key_node, f"unknown cost; expected one of {known}")
                if isinstance(value, bool | str | tuple) or value <= 0:
                    raise Mistake(part.node, f"found {spell(value)}, expected a number above 0")
                costs[part.name] = float(value)
        return costs
