"""Search space files: YAML in, a checked space out, all mistakes reported at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from autoadapt import files
from autoadapt.errors import SpaceError
from autoadapt.space.architecture import Architecture, Value
from autoadapt.space.document import Document, Field, Mistake
from autoadapt.space.rules import Choice, Rule, cycles, hint, spell
from autoadapt.space.search_space import SearchSpace, expected

KEYS = ("name", "summary", "family", "input", "choices", "reference", "forbid", "limits")
OPTIONAL = {"forbid", "limits"}
COSTS = ("macs", "params")


def shipped() -> list[str]:
    """Return the names of the spaces that come with the package, sorted."""
    return sorted(path.stem for path in files.shipped("search_spaces").glob("*.yaml"))


def locate(source: str | Path) -> Path:
    """Return the path of a space, given as path or as the name of a shipped one.

    Raises:
        SpaceError: Neither a file nor a shipped name.
    """
    path = Path(source)
    if path.is_file():
        return path
    named = files.shipped("search_spaces") / f"{source}.yaml"
    if named.is_file():
        return named
    names = shipped()
    raise SpaceError(
        f"no search space file {source}{hint(str(source), names)}; "
        f"shipped search spaces: {', '.join(names) or 'none'}"
    )


def load(source: str | Path) -> SearchSpace:
    """Read a search space.

    Args:
        source: A path, or the name of a shipped space.

    Raises:
        SpaceError: There is no such file, or it has mistakes; every mistake is one line
            ``path:line: key: what``.
    """
    return SpaceReader(Document.open(locate(source))).read()


def parse(text: str, where: str = "<text>") -> SearchSpace:
    """Read a search space from text; ``where`` stands for the path in mistakes (see ``load``)."""
    return SpaceReader(Document.of(text, where)).read()


@dataclass
class SpaceReader:
    """Reads one document section by section, and goes on after a mistake.

    A choice with a mistake is left out of what later sections are checked against, so that one
    mistake is reported once.
    """

    document: Document

    def read(self) -> SearchSpace:
        """Return the space.

        Raises:
            SpaceError: The document has mistakes.
        """
        sections = self.document.known(self.document.root, KEYS, optional=OPTIONAL)
        choices, declared = self.choices(sections.get("choices"))
        family = self.text(sections.get("family"))
        reference = self.reference(sections.get("reference"), choices, declared)
        space = SearchSpace(
            name=self.text(sections.get("name")),
            summary=self.text(sections.get("summary")),
            family=family,
            input_size=self.size(sections.get("input")),
            choices=with_sound_conditions(choices),
            forbid=self.forbid(sections.get("forbid"), choices, declared),
            limits=self.limits(sections.get("limits")),
            reference=Architecture.of(family, reference),
        )
        self.check_reference(sections.get("reference"), space)
        self.document.raise_mistakes()
        return space

    def text(self, field: Field | None) -> str:
        """Read one line of text; empty after a mistake."""
        if field is None:
            return ""
        with self.document.noting(field.key):
            value = self.document.value(field.node)
            if isinstance(value, str) and value.strip():
                return value
            raise Mistake(field.node, f"found {spell(value)}, expected text")
        return ""

    def size(self, field: Field | None) -> tuple[int, int]:
        """Read height and width in pixels."""
        if field is None:
            return (0, 0)
        with self.document.noting(field.key):
            match self.document.value(field.node):
                case (int() as height, int() as width) if min(height, width) > 1:
                    return height, width
                case value:
                    what = f"found {spell(value)}, expected [height, width] in pixels"
                    raise Mistake(field.node, what)
        return (0, 0)

    def choices(self, section: Field | None) -> tuple[list[Choice], list[str]]:
        """Read the choices; those without a mistake, and the names of all."""
        fields = self.document.fields(section)
        if section and isinstance(section.node, yaml.MappingNode) and not section.node.value:
            self.document.note(section.node, section.key, "empty, expected at least one choice")
        parts = {field.name: self.choice_parts(field) for field in fields}
        bare = {
            name: Choice(name, values) for name, (values, _) in parts.items() if values is not None
        }
        choices = []
        for name, (_, condition) in parts.items():
            rule = self.rule(condition, bare, list(parts)) if condition else Rule()
            if name in bare and rule is not None:
                choices.append(Choice(name, bare[name].values, rule))
        lines = {field.name: field for field in fields}
        for ring in cycles(choices):
            first = lines[ring[0]]
            self.document.note(
                first.key_node, first.key, f"conditions form a cycle: {' -> '.join(ring)}"
            )
        return choices, list(parts)

    def choice_parts(self, field: Field) -> tuple[tuple[Value, ...] | None, Field | None]:
        """Read the values of one choice, None after a mistake, and find its condition."""
        if isinstance(field.node, yaml.SequenceNode):
            return self.values(field), None
        if not isinstance(field.node, yaml.MappingNode):
            with self.document.noting(field.key):
                raise Mistake(
                    field.node,
                    f"found {spell(self.document.value(field.node))}, expected a list of values, "
                    "or {values: [...], when: {...}}; a fixed choice is a list of one value",
                )
            return None, None
        before = len(self.document.mistakes)
        parts = self.document.known(field, ("values", "when"), optional={"when"})
        sound = len(self.document.mistakes) == before  # else a misspelt 'when' would be lost
        values = self.values(parts["values"]) if "values" in parts else None
        return values if sound else None, parts.get("when")

    def values(self, field: Field) -> tuple[Value, ...] | None:
        """Read a list of values, all different; None after a mistake in one of them."""
        if not isinstance(field.node, yaml.SequenceNode) or not field.node.value:
            self.document.note(field.node, field.key, "expected a list of at least one value")
            return None
        found = Choice(field.key, ())
        sound = True
        for node in field.node.value:
            value: Value | None = None
            with self.document.noting(field.key):
                value = self.document.value(node)
            if value is None:
                sound = False
            elif (same := equal(found.values, value)) is not None:
                self.document.note(
                    node, field.key, f"{spell(value)} equals {spell(same)}, listed before"
                )
            else:
                found = Choice(field.key, (*found.values, value))
        return found.values if sound else None

    def rule(
        self, field: Field, choices: Mapping[str, Choice], declared: Sequence[str]
    ) -> Rule | None:
        """Read a partial assignment; None if it, or a choice it names, has a mistake."""
        parts = self.document.fields(field)
        if isinstance(field.node, yaml.MappingNode) and not parts:
            self.document.note(field.node, field.key, "empty, expected {choice: value or values}")
        allowed = []
        for part in parts:
            if part.name not in declared:
                what = f"unknown choice{hint(part.name, declared)}"
                self.document.note(part.key_node, part.key, what)
            elif part.name in choices:
                with self.document.noting(part.key):
                    allowed.append((part.name, self.meant(part, choices[part.name])))
        return Rule(tuple(allowed)) if parts and len(allowed) == len(parts) else None

    def meant(self, field: Field, choice: Choice) -> tuple[Value, ...]:
        """Read one value of a choice or a list of them; a value may itself be a list."""
        value = self.document.value(field.node)
        if (whole := choice.own(value)) is not None:
            return (whole,)
        parts = value if isinstance(value, tuple) and value else (value,)
        owned = []
        for part in parts:
            own = choice.own(part)
            if own is None:
                what = f"{spell(part)} is not a value of {choice.name}; expected {expected(choice)}"
                raise Mistake(field.node, what)
            owned.append(own)
        return tuple(owned)

    def forbid(
        self, section: Field | None, choices: Sequence[Choice], declared: Sequence[str]
    ) -> tuple[Rule, ...]:
        """Read the forbidden combinations; those without a mistake."""
        if section is None:
            return ()
        if not isinstance(section.node, yaml.SequenceNode):
            self.document.note(
                section.node, section.key, "expected a list of {choice: value or values}"
            )
            return ()
        by_name = {choice.name: choice for choice in choices}
        fields = [
            Field(f"{section.key}[{position}]", str(position), node, node)
            for position, node in enumerate(section.node.value)
        ]
        rules = [self.rule(field, by_name, declared) for field in fields]
        return tuple(rule for rule in rules if rule is not None)

    def limits(self, section: Field | None) -> dict[str, tuple[float, float]]:
        """Read cost ranges."""
        limits = {}
        for field in self.document.fields(section):
            if field.name not in COSTS:
                what = f"unknown cost{hint(field.name, COSTS)}; expected one of {', '.join(COSTS)}"
                self.document.note(field.key_node, field.key, what)
                continue
            with self.document.noting(field.key):
                value = self.document.value(field.node)
                ends = [number(part) for part in value] if isinstance(value, tuple) else []
                match ends:
                    case [float() as low, float() as high] if 0 <= low <= high:
                        limits[field.name] = (low, high)
                    case [float() as low, float() as high] if low > high:
                        raise Mistake(field.node, f"reversed: {low:.4g} is above {high:.4g}")
                    case _:
                        what = f"found {spell(value)}, expected [smallest, largest], not negative"
                        raise Mistake(field.node, what)
        return limits

    def reference(
        self, section: Field | None, choices: Sequence[Choice], declared: Sequence[str]
    ) -> dict[str, Value]:
        """Read the reference's values, each in the spelling of its choice."""
        by_name = {choice.name: choice for choice in choices}
        values: dict[str, Value] = {}
        for field in self.document.fields(section):
            if field.name not in declared:
                what = f"unknown choice{hint(field.name, declared)}"
                self.document.note(field.key_node, field.key, what)
                continue
            with self.document.noting(field.key):
                value = self.document.value(field.node)
                choice = by_name.get(field.name)
                own = choice.own(value) if choice else None
                values[field.name] = value if own is None else own
        return values

    def check_reference(self, section: Field | None, space: SearchSpace) -> None:
        """Note what keeps the reference from being in the space, as far as that is sound."""
        if section is None or not isinstance(section.node, yaml.MappingNode):
            return
        nodes = {field.name: field.key_node for field in self.document.quiet_fields(section)}
        values = {name: v for name, v in space.reference.items if name in space.by_name}
        for name, problem in space.problems(values):
            if name in values or name not in nodes:  # else its value has been noted already
                node = nodes.get(name, section.key_node)
                self.document.note(node, f"{section.key}.{name}", problem)


def with_sound_conditions(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the choices whose conditions can be decided by others of them."""
    on_ring = {name for ring in cycles(choices) for name in ring}
    kept = [choice for choice in choices if choice.name not in on_ring]
    while True:
        names = {choice.name for choice in kept}
        sound = [choice for choice in kept if names.issuperset(choice.when.names)]
        if len(sound) == len(kept):
            return tuple(kept)
        kept = sound


def equal(values: Sequence[Value], value: Value) -> Value | None:
    """Return the first value that Python takes for the same: also ``true`` for ``1``."""
    return next((known for known in values if known == value), None)


def number(value: Value) -> float | None:
    """Return a number, also one written as text; None for anything else."""
    if isinstance(value, bool | tuple):
        return None
    try:
        return float(value)
    except ValueError:
        return None
