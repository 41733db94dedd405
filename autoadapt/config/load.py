"""YAML in, typed settings out; every mistake of a file is reported at once, as ``file:line``."""

import dataclasses
import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from autoadapt.config.published_weights import PUBLISHED
from autoadapt.config.settings import (
    COMMON_KEYS,
    SCORE,
    BankSettings,
    DatasetSettings,
    DataSettings,
    ExperimentSettings,
    ObjectiveSettings,
    PluginSettings,
    nest_format,
)
from autoadapt.errors import ConfigError, SpaceError
from autoadapt.files import shipped
from autoadapt.plugins import available, find, suggestion
from autoadapt.space import named

COSTS = ("macs", "params", "activations")
"""Terms of an objective that are known before training; they are no scores."""

OWN_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a config may call a reading of a score: it becomes a column, and part of file names."""

FORMATS = "data.formats"
"""Kind of the plug-ins that read data sets."""

Keys = tuple[int | str, ...]
Mistake = tuple[Keys, str]


def load(source: str | Path, changes: Sequence[str] = ()) -> ExperimentSettings:
    """Read an experiment file.

    Args:
        source: A path, or the name of a shipped config.
        changes: Overrides such as ``search.trials=3``, applied before the file is checked; the
            value is read as YAML.

    Raises:
        ConfigError: One error that lists every mistake, each with its line.
    """
    path = locate(source)
    tree, raw = read(path)
    for change in changes:
        apply_change(raw, change)
    settings, mistakes = validate(raw)
    if mistakes or settings is None:
        places = [f"{place(path, tree, keys, changes)}: {text}" for keys, text in mistakes]
        raise ConfigError("\n".join(dict.fromkeys(places)))
    return settings


def locate(source: str | Path) -> Path:
    """Return the path of a config, given as path or as the name of a shipped one."""
    path = Path(source)
    if path.is_file():
        return path
    named = shipped("configs") / f"{source}.yaml"
    if named.is_file():
        return named
    if path.is_dir():
        raise ConfigError(
            f"{path} is a folder; expected an experiment file such as quickstart.yaml"
        )
    names = sorted(file.stem for file in shipped("configs").glob("*.yaml"))
    close = difflib.get_close_matches(str(source), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(f"no config file {source}; {hint}shipped configs: {', '.join(names)}")


def read(path: Path) -> tuple[yaml.Node, dict[str, Any]]:
    """Return the syntax tree (for line numbers) and the plain values of a YAML mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        repeated = list(repeated_keys(tree)) if tree else []
        raw = None if repeated else yaml.safe_load(text)
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file; expected an experiment in YAML") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if repeated:
        lines = [
            f"{path}:{line}: {key}: this key stands here a second time" for key, line in repeated
        ]
        raise ConfigError("\n".join(lines))
    if not isinstance(raw, dict) or tree is None:
        raise ConfigError(f"{path}: expected 'key: value' lines, found {type(raw).__name__}")
    return tree, raw


def repeated_keys(node: yaml.Node) -> Iterator[tuple[str, int]]:
    """Yield each key that a mapping holds twice, with its line; YAML would silently keep one."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.value, key.start_mark.line + 1
            seen.add(key.value)
            yield from repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from repeated_keys(item)


def apply_change(raw: dict[str, Any], change: str) -> None:
    """Set one ``key.path=value`` in nested mappings.

    A plug-in given by its bare name becomes a mapping when one of its options is set.
    """
    dotted, equals, value = change.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"--set {change}: expected key=value, such as search.trials=20")
    *parents, last = dotted.split(".")
    here: Any = raw
    for key in parents:
        below = here.setdefault(key, {})
        if isinstance(below, str):
            below = here[key] = {"name": below}
        if below is None:
            below = here[key] = {}
        if not isinstance(below, dict):
            raise ConfigError(f"--set {change}: {key} holds {below!r}, it has no key {last!r}")
        here = below
    try:
        here[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {change}: the value is not valid YAML: {error}") from None


def validate(raw: Mapping[str, Any]) -> tuple[ExperimentSettings | None, list[Mistake]]:
    """Check types and ranges, then plug-in options, then what several keys say together."""
    raw = with_trials_of_bank(raw)
    try:
        settings = TypeAdapter(ExperimentSettings).validate_python(raw)
    except ValidationError as error:
        mistakes = [explain(mistake, ExperimentSettings) for mistake in error.errors()]
        return None, mistakes + list(plugin_mistakes_in(raw))
    wrong = [*plugin_mistakes(settings), *contradictions(settings)]
    return (settings if wrong else with_format_defaults(settings)), wrong


def with_trials_of_bank(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a search beside a bank, where it names no trials, as many as the bank trains."""
    bank, search = raw.get("bank"), raw.get("search")
    if not isinstance(bank, dict) or not isinstance(search, dict) or "trials" in search:
        return raw
    trials = bank.get("architectures")
    trials = trials if isinstance(trials, int) and trials > 0 else BankSettings().architectures
    return {**raw, "search": {**search, "trials": trials}}


def explain(mistake: Any, kind: type) -> Mistake:
    """Turn one pydantic error into words; an unknown key gets the nearest known one."""
    keys: Keys = tuple(key for key in mistake["loc"] if not str(key).startswith("function-"))
    name = ".".join(map(str, keys)) or "whole file"
    if mistake["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = known_keys(kind, keys[:-1])
        close = difflib.get_close_matches(str(keys[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return keys, f"{name}: unknown key; {hint}"
    if mistake["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return keys, f"{name}: this key is needed and is not there"
    found = mistake["input"]
    text = mistake["msg"].removeprefix("Value error, ")
    return keys, f"{name}: {text[:1].lower()}{text[1:]}, found {found!r}"


def known_keys(kind: Any, keys: Keys) -> list[str]:
    """Return the field names of the settings class at a key path."""
    for key in keys:
        fields = getattr(kind, "__dataclass_fields__", None)
        if fields is None or key not in fields:
            continue
        kind = nested_class(fields[str(key)].type) or kind
    return list(getattr(kind, "__dataclass_fields__", {}))


def nested_class(annotation: Any) -> Any:
    """Find the settings class inside ``X | None``, ``tuple[X, ...]`` or ``Annotated[X, …]``."""
    if dataclasses.is_dataclass(annotation):
        return annotation
    inner = (nested_class(part) for part in getattr(annotation, "__args__", ()))
    return next((found for found in inner if found is not None), None)


def plugins_of(settings: ExperimentSettings) -> list[tuple[Keys, str, PluginSettings]]:
    """Return key path, kind and settings of every plug-in of an experiment but the scores."""
    search = settings.search
    named: list[tuple[Keys, str, PluginSettings]] = [
        (("search", "strategy"), "strategies", search.strategy),
        (("search", "method"), "uda", search.method),
    ]
    if settings.adapt:
        named.append((("adapt", "method"), "uda", settings.adapt.method))
    if settings.bank:
        methods = enumerate(settings.bank.methods)
        named += [(("bank", "methods", index), "uda", method) for index, method in methods]
    return named


def score_names(settings: ExperimentSettings) -> tuple[str, ...]:
    """Return the scores to compute: those asked for and those that objectives need."""
    terms = (term for one in objectives_of(settings).values() for term in one.terms)
    wanted = [term.score for term in terms if term.score not in COSTS]
    return tuple(dict.fromkeys([*wanted, *settings.scoring.scores]))


def objectives_of(settings: ExperimentSettings) -> dict[Keys, ObjectiveSettings]:
    """Return the objective of the search and, where it is another, that of the selection.

    The search measures the scores of both: its trials say how they are standardised.
    """
    found: dict[Keys, ObjectiveSettings] = {("objective",): settings.objective}
    selection = settings.adapt.selection if settings.adapt else None
    if selection is not None and selection.objective is not None:
        found["adapt", "selection", "objective"] = selection.objective
    return found


def score_plugins(settings: ExperimentSettings) -> Iterator[tuple[Keys, PluginSettings]]:
    """Yield every score with its options and the key that asks for it."""
    asked: dict[str, Keys] = {}
    for place_of, objective in objectives_of(settings).items():
        for index, term in enumerate(objective.terms):
            asked.setdefault(term.score, (*place_of, "terms", index, "score"))
    for index, name in enumerate(settings.scoring.scores):
        asked.setdefault(name, ("scoring", "scores", index))
    for name in score_names(settings):
        options = settings.scoring.options.get(name)
        keys: Keys = ("scoring", "options", name) if options else asked[name]
        yield keys, settings.scoring.plugin(name)


def plugin_mistakes(settings: ExperimentSettings) -> Iterator[Mistake]:
    """Yield what is wrong with the names and options of plug-ins."""
    for name, dataset in settings.data.datasets.items():
        yield from mistakes_of_dataset(("data", *name.split(".")), dataset)
    for keys, kind, plugin in plugins_of(settings):
        yield from mistakes_of_plugin(keys, kind, plugin)
    yield from score_mistakes(settings)


def score_mistakes(settings: ExperimentSettings) -> Iterator[Mistake]:
    """Yield what is wrong with scores, their options, and the names a config gives them."""
    scoring = settings.scoring
    own = [name for name, options in scoring.options.items() if SCORE in options]
    for name in own:
        yield from mistakes_of_own_name(name, scoring.options[name][SCORE])
    for keys, plugin in score_plugins(settings):
        if isinstance(plugin.name, str):
            yield from mistakes_of_score(keys, plugin, own)
    for name in scoring.options.keys() - set(score_names(settings)):
        keys = ("scoring", "options", name)
        yield keys, f"{'.'.join(keys)}: options for a score that is neither listed nor a term"


def mistakes_of_score(keys: Keys, plugin: PluginSettings, own: list[str]) -> Iterator[Mistake]:
    """Yield what is wrong with one score; ``own`` are the names that the config gives itself."""
    try:
        find("scores", plugin.name)
    except ConfigError as error:
        keys = (*keys, SCORE) if keys[-1] in own else keys
        near = suggestion(plugin.name, own) if keys[-1] != SCORE else ""
        text = f"no scores named {plugin.name!r}{near}" if near else str(error)
        if keys[:2] == ("scoring", "options") and keys[-1] != SCORE:
            text += f"; a name of your own says with the key {SCORE!r} which one it means"
        yield keys, f"{'.'.join(map(str, keys))}: {text}"
        return
    yield from mistakes_of_plugin(keys, "scores", plugin, also_known=(SCORE,))


def mistakes_of_own_name(name: str, score: Any) -> Iterator[Mistake]:
    """Yield what is wrong with a name that a config gives to a reading of a score."""
    keys: Keys = ("scoring", "options", name)
    where = ".".join(map(str, keys))
    if not isinstance(score, str):
        yield (*keys, SCORE), f"{where}.{SCORE}: expected the name of a score, found {score!r}"
    elif name != score and name in (*available("scores"), *COSTS):
        what = "a cost" if name in COSTS else "a score"
        yield keys, f"{where}: {name!r} is {what} already; give this reading of {score!r} another"
    elif not OWN_NAME.fullmatch(name) and name != score:
        yield keys, f"{where}: expected a name of small letters, digits and _, found {name!r}"


def plugin_mistakes_in(raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Do the same for a file whose types are wrong elsewhere, as far as it can be read."""
    yield from dataset_mistakes_in(raw.get("data"))
    for section, key, kind in (
        ("search", "strategy", "strategies"),
        ("search", "method", "uda"),
        ("adapt", "method", "uda"),
    ):
        part = raw.get(section)
        value = part.get(key) if isinstance(part, dict) else None
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            options = {name: option for name, option in value.items() if name != "name"}
            plugin = PluginSettings(name=value["name"], options=options)
            yield from mistakes_of_plugin((section, key), kind, plugin)


def dataset_mistakes_in(raw: Any) -> Iterator[Mistake]:
    """Yield what is wrong with data sets whose other settings may be wrong too."""
    roles = raw if isinstance(raw, dict) else {}
    further = roles.get("further_sources")
    named: list[tuple[Keys, Any]] = [(("data", role), value) for role, value in roles.items()]
    if isinstance(further, dict):
        named += [(("data", "further_sources", name), value) for name, value in further.items()]
    for keys, value in named:
        nested = nest_format(value)
        if isinstance(nested, dict) and isinstance(nested.get("kind"), str):
            dataset = DatasetSettings(kind=nested["kind"], options=dict(nested["options"]))
            yield from mistakes_of_dataset(keys, dataset)


def mistakes_of_dataset(keys: Keys, dataset: DatasetSettings) -> Iterator[Mistake]:
    """Yield what is wrong with the format of a data set and its options."""
    try:
        find(FORMATS, dataset.kind)
    except ConfigError as error:
        yield (*keys, "kind"), f"{'.'.join(map(str, keys))}.kind: {error}"
        return
    plugin = PluginSettings(name=dataset.kind, options=dataset.options)
    yield from mistakes_of_plugin(keys, FORMATS, plugin, also_known=COMMON_KEYS)


def mistakes_of_plugin(
    keys: Keys, kind: str, plugin: PluginSettings, also_known: Sequence[str] = ()
) -> Iterator[Mistake]:
    """Yield what is wrong with one plug-in; ``also_known`` are keys beside its options."""
    try:
        found = find(kind, plugin.name)
    except ConfigError as error:
        yield keys, f"{'.'.join(map(str, keys))}: {error}"
        return
    name = ".".join(map(str, keys))
    own = [field.name for field in dataclasses.fields(found)]
    known = [*own, *also_known]
    for option in plugin.options.keys() - set(own):  # pydantic would ignore it without a word
        close = difflib.get_close_matches(option, known, n=1)
        listed = f"known keys: {', '.join(known) or 'none'}"
        hint = f"did you mean {close[0]!r}?" if close else listed
        yield (*keys, option), f"{name}.{option}: unknown key; {hint}"
    options = {key: value for key, value in plugin.options.items() if key in own}
    try:
        TypeAdapter(found).validate_python(options)
    except ValidationError as error:
        for mistake in error.errors():
            where, text = explain(mistake, found)
            yield (*keys, *where), f"{name}.{text}"


def make(kind: str, plugin: PluginSettings) -> Any:
    """Return the plug-in object with its options.

    Raises:
        ConfigError: Unknown name, or options it does not have.
    """
    mistakes = list(mistakes_of_plugin((kind,), kind, plugin))
    if mistakes:
        raise ConfigError("\n".join(text for _, text in mistakes))
    return TypeAdapter(find(kind, plugin.name)).validate_python(plugin.options)


def make_format(dataset: DatasetSettings) -> Any:
    """Return the format object of a data set.

    Raises:
        ConfigError: No such format, or options it does not have.
    """
    return make(FORMATS, PluginSettings(name=dataset.kind, options=dataset.options))


def dataset_from(kind: str, folder: Path, changes: Sequence[str] = ()) -> DatasetSettings:
    """Return the settings of one data set that is in no experiment file.

    Args:
        kind: Name of the format.
        folder: Its root.
        changes: Further keys of the data set, such as ``split=val``.

    Raises:
        ConfigError: No such format, or keys it does not have.
    """
    raw: dict[str, Any] = {"kind": kind, "root": str(folder)}
    for change in changes:
        apply_change(raw, change)
    try:
        dataset = TypeAdapter(DatasetSettings).validate_python(nest_format(raw))
    except ValidationError as error:
        mistakes = [explain(mistake, DatasetSettings) for mistake in error.errors()]
    else:
        mistakes = list(mistakes_of_dataset((), dataset))
    if mistakes:
        raise ConfigError("\n".join(text.removeprefix(".") for _, text in mistakes))
    return dataset


def with_format_defaults(settings: ExperimentSettings) -> ExperimentSettings:
    """Return sound settings with every option of every data set written out.

    Two files that mean the same are then the same, whether or not they spell out a default.
    """

    def written_out(dataset: DatasetSettings) -> DatasetSettings:
        return dataclasses.replace(dataset, options=dataclasses.asdict(make_format(dataset)))

    data = settings.data
    data = dataclasses.replace(
        data,
        source=written_out(data.source),
        target=written_out(data.target),
        further_sources={name: written_out(one) for name, one in data.further_sources.items()},
        evaluation=data.evaluation and written_out(data.evaluation),
    )
    return dataclasses.replace(settings, data=data)


def contradictions(settings: ExperimentSettings) -> Iterator[Mistake]:
    """Yield what is wrong only when several keys are read together."""
    yield from data_contradictions(settings.data)
    yield from network_mistakes(settings)
    yield from weights_contradictions(settings)
    for cost, (low, high) in settings.search.limits.items():
        if cost not in COSTS:
            known = ", ".join(COSTS)
            yield ("search", "limits", cost), f"search.limits.{cost}: unknown cost; known: {known}"
        if low > high:
            yield ("search", "limits", cost), f"search.limits.{cost}: {low} is above {high}"
    if settings.calibration_trials > settings.search.trials:
        yield (
            ("objective", "calibration"),
            f"objective.calibration: {settings.calibration_trials} trials can never finish, "
            f"search.trials is {settings.search.trials}",
        )
    yield from bank_contradictions(settings.bank)
    if settings.bank and settings.bank.scored_truth and settings.data.evaluation is None:
        yield (
            ("bank", "scored_truth"),
            "bank.scored_truth: stands beside the mIoU on held-out images; add data.evaluation",
        )
    yield from adapt_contradictions(settings)
    if settings.device == "cpu" and settings.executor.gpus:
        yield ("executor", "gpus"), "executor.gpus: asks for a GPU while device is cpu"


def bank_contradictions(bank: BankSettings | None) -> Iterator[Mistake]:
    """Yield what a bank cannot be."""
    if bank is None:
        return
    if bank.repeated > bank.architectures:
        yield (
            ("bank", "repeated"),
            f"bank.repeated: {bank.repeated} of {bank.architectures} architectures",
        )
    names = [method.name for method in bank.methods]
    for key, values in (("seeds", bank.seeds), ("methods", names)):
        if len(set(values)) < len(values):
            yield ("bank", key), f"bank.{key}: {list(values)} holds something twice"
    yield from image_sample_contradictions(bank)


def image_sample_contradictions(bank: BankSettings) -> Iterator[Mistake]:
    """Yield what choices of target images cannot be."""
    asked = bank.image_samples
    if asked is None:
        return
    if bank.statistics != "full":
        yield (
            ("bank", "image_samples"),
            "bank.image_samples: needs 'statistics: full' beside it; what scores are computed "
            "from is not kept otherwise",
        )
    for key, values in (("sizes", asked.sizes), ("scores", asked.scores)):
        if len(set(values)) < len(values):
            where = ("bank", "image_samples", key)
            yield where, f"bank.image_samples.{key}: {list(values)} holds something twice"


def adapt_contradictions(settings: ExperimentSettings) -> Iterator[Mistake]:
    """Yield what full training cannot do."""
    adapt, candidates = settings.adapt, settings.search.trials + len(settings.search.include)
    if adapt is None:
        return
    if adapt.finalists > candidates:
        text = f"adapt.finalists: {adapt.finalists} of {candidates} trials"
        yield ("adapt", "finalists"), text
    selection, last = adapt.selection, adapt.training.steps
    if selection is not None and len(selection.steps(last)) < 2:
        yield (
            ("adapt", "selection"),
            f"adapt.selection: there is no snapshot before the last of {last} steps to choose "
            "from; take them more often, or from an earlier step on",
        )


def network_mistakes(settings: ExperimentSettings) -> Iterator[Mistake]:
    """Yield what is wrong with the names of networks."""
    asked: dict[Keys, tuple[str, ...]] = {("search", "include"): settings.search.include}
    if settings.adapt:
        asked["adapt", "networks"] = settings.adapt.networks
    for keys, names in asked.items():
        for index, name in enumerate(names):
            try:
                named.find(name)
            except SpaceError as error:
                yield (*keys, index), f"{'.'.join(map(str, keys))}.{index}: {error}"


def data_contradictions(data: DataSettings) -> Iterator[Mistake]:
    """Yield what is wrong only when several keys below ``data`` are read together."""
    for text in data.misfits():
        yield ("data", "crop"), text
    for name in data.sources:
        found, expected = data.size_of(name), data.size_of("source")
        if found != expected:
            keys = ("data", *name.split("."), "size")
            yield keys, f"data.{name}.size: {found}, but sources share one size, here {expected}"
    if data.protocol and data.classes:
        text = f"data.classes: data.protocol {data.protocol} names the classes; remove one of them"
        yield ("data", "classes"), text
    for name, dataset in data.datasets.items():
        keys = ("data", *name.split("."))
        if dataset.part[0] >= dataset.part[1]:
            yield (*keys, "part"), f"data.{name}.part: {dataset.part} is empty; from < to"
        if dataset.side == "validation" and not dataset.hold_out:
            text = f"data.{name}.side: validation needs data.{name}.hold_out, a number of images"
            yield (*keys, "side"), text
    for name in {"source", "target"} & data.further_sources.keys():
        keys = ("data", "further_sources", name)
        yield keys, f"{'.'.join(keys)}: a further source needs a name of its own"


def weights_contradictions(settings: ExperimentSettings) -> Iterator[Mistake]:
    """Yield what is wrong with the weights that networks start from."""
    parts = {"search": settings.search.weights}
    if settings.adapt is not None:
        parts["adapt"] = settings.adapt.weights
    for part, weights in parts.items():
        keys = (part, "weights")
        if weights is None:
            continue
        if (weights.file is None) == (weights.name is None):
            yield keys, f"{part}.weights: expected either 'file' or 'name'"
        if weights.name is not None and weights.name not in PUBLISHED:
            hint = suggestion(weights.name, list(PUBLISHED))
            known = ", ".join(PUBLISHED)
            text = f"no published weights named {weights.name!r}{hint}; known: {known}"
            yield (*keys, "name"), f"{part}.weights.name: {text}"


def place(path: Path, tree: yaml.Node, keys: Keys, changes: Sequence[str]) -> str:
    """Return ``file:line`` of the deepest key that is in the file, or the override at fault."""
    dotted = ".".join(map(str, keys))
    for change in changes:
        name = change.partition("=")[0]
        if name and (dotted == name or dotted.startswith(f"{name}.")):
            return f"--set {change}"
    return f"{path}:{line_of(tree, keys)}"


def line_of(node: yaml.Node | None, keys: Keys) -> int:
    """Return the line, from 1, of the deepest key on the way that is in the file."""
    line: int = node.start_mark.line if node else 0
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line if node else line
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        for key_node, value_node in pairs:
            if key_node.value == str(key):
                line, node = key_node.start_mark.line, value_node
    return line + 1


def to_plain(value: Any) -> Any:
    """Return settings as plain YAML values; ``from_plain`` undoes it."""
    if isinstance(value, PluginSettings):
        return {"name": value.name} | to_plain(value.options)
    if isinstance(value, DatasetSettings):
        common = {name: to_plain(getattr(value, name)) for name in COMMON_KEYS}
        return common | to_plain(value.options)
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(raw: Mapping[str, Any]) -> ExperimentSettings:
    """Undo ``to_plain``.

    Raises:
        ConfigError: The values are not those of an experiment.
    """
    settings, mistakes = validate(raw)
    if mistakes or settings is None:
        raise ConfigError("\n".join(text for _, text in mistakes))
    return settings


def expand(text: str, key: str) -> str:
    """Replace ``${NAME}`` from the environment.

    Raises:
        ConfigError: The variable is not set.
    """
    expanded = os.path.expandvars(os.path.expanduser(text))
    if "${" in expanded:
        name = expanded.partition("${")[2].partition("}")[0]
        raise ConfigError(
            f"{key}: {text} needs the environment variable {name}, which is not set; "
            f"set it to the folder that holds the data sets (export {name}=…), "
            f"or give the path itself with --set {key}=…"
        )
    return expanded
