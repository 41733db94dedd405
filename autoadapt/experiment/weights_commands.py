"""What ``autoadapt weights`` does: list, fetch and look at files, and turn them into models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from autoadapt.analysis.tables import text_table
from autoadapt.config.published_weights import PUBLISHED
from autoadapt.config.settings import PluginSettings, Resampling
from autoadapt.data.cache import cache_folder
from autoadapt.data.protocols import PROTOCOLS
from autoadapt.data.transforms import CONVENTIONS
from autoadapt.errors import CheckpointError, ConfigError
from autoadapt.experiment.weights import read_source
from autoadapt.networks.build import build
from autoadapt.networks.checkpoints.download import OnBytes, fetch
from autoadapt.networks.checkpoints.layouts import PROJECTS
from autoadapt.networks.checkpoints.loading import Source, load_source
from autoadapt.networks.checkpoints.report import Report
from autoadapt.plugins import suggestion
from autoadapt.space.named import named
from autoadapt.training.fit import Fitted
from autoadapt.training.model import MODEL, Card, locate, save_model

Name = TypeVar("Name", bound=str)


def list_weights() -> list[dict[str, Any]]:
    """Return the published files that settings may name, and whether they are here."""
    folder = cache_folder(None) / "weights"
    return [
        {
            "name": name,
            "here": (folder / published.file).is_file(),
            "sha256": published.sha256,
            "address": published.address,
            "summary": published.summary,
        }
        for name, published in PUBLISHED.items()
    ]


def weights_text(found: list[dict[str, Any]]) -> str:
    """Return the list as a table, and the addresses below it."""
    rows = [
        [one["name"], "yes" if one["here"] else "no", one["sha256"] or "none", one["summary"]]
        for one in found
    ]
    addresses = "\n".join(f"{one['name']}: {one['address']}" for one in found)
    return f"{text_table(['name', 'here', 'SHA-256', 'what'], rows, words=4)}\n\n{addresses}"


def fetch_weights(name: str, on_bytes: OnBytes | None = None) -> Path:
    """Download a published file to the cache, which asking for it allows.

    Raises:
        ConfigError: There is no such name.
        CheckpointError: It cannot be reached or verified.
    """
    if name not in PUBLISHED:
        hint = suggestion(name, list(PUBLISHED))
        raise ConfigError(
            f"no published weights named {name!r}{hint}; see 'autoadapt weights list'"
        )
    return fetch(PUBLISHED[name], cache_folder(None) / "weights", on_bytes)


def source_at(path: Path, project: str | None) -> Source:
    """Return the weights in a file.

    Raises:
        CheckpointError: Missing, unreadable, or of an unknown kind.
    """
    path = locate(path)
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return read_source(path, project, changed)[0]


def describe_weights(path: Path, project: str | None) -> dict[str, Any]:
    """Return what is known of a file by its keys.

    Raises:
        CheckpointError: Missing, unreadable, or of an unknown kind.
    """
    source = source_at(path, project)
    return {
        "file": str(path),
        "layout": source.layout,
        "projects": list(source.projects),
        "tensors": len(source.tensors),
        "numbers": sum(tensor.numel() for tensor in source.tensors.values()),
        "skipped": len(source.skipped),
        "classes": source.num_classes,
        "normalisation": source.normalisation
        or {name: PROJECTS[name].normalisation for name in source.projects},
        "rates": [list(rates) for rates in sorted(source.computed)] if source.num_classes else [],
    }


def choice(what: str, name: str, known: Mapping[Name, object]) -> Name:
    """Return the known name that text stands for.

    Raises:
        ConfigError: There is none.
    """
    for one in known:
        if one == name:
            return one
    raise ConfigError(f"no {what} named {name!r}; there are {', '.join(known)}")


def convert_weights(
    path: Path,
    out: Path,
    *,
    architecture: str,
    protocol: str = "cityscapes19",
    size: tuple[int, int] = (512, 1024),
    project: str | None = None,
    normalisation: str | None = None,
    resampling: Resampling = "bicubic",
) -> tuple[Path, Report]:
    """Turn a published checkpoint into a model that evaluation, prediction and export take.

    Args:
        path: The checkpoint.
        out: Folder for ``model.safetensors`` and its card.
        architecture: A named network, or a file of one.
        protocol: Its classes.
        size: Height and width that images are resized to; the published one of the project.
        project: Who wrote it, where its keys leave that open.
        normalisation: Input convention, where its keys leave that open.
        resampling: Filter that images are resized with.

    Raises:
        CheckpointError: The weights do not fit, have no head, or leave the convention open.
        ConfigError: There is no such protocol or convention.
    """
    classes = PROTOCOLS[choice("protocol", protocol, PROTOCOLS)].table.names
    source = source_at(path, project)
    convention = source.normalisation
    if normalisation is not None:
        convention = choice("normalisation", normalisation, CONVENTIONS)
    if convention is None:
        raise CheckpointError(
            f"{path}: the keys do not tell the input convention "
            f"({' or '.join(source.projects) or 'unknown project'}); give --project or "
            "--normalisation"
        )
    if source.num_classes is None:
        raise CheckpointError(
            f"{path} has no head to predict with; it can only be a start (search.weights)"
        )
    found = named(architecture)
    network = build(found, len(classes)).eval()
    report = load_source(network, source)
    card = Card(
        found, classes, size, convention, PluginSettings(name="source_only"), resampling=resampling
    )
    save_model(out / MODEL, Fitted(network, {}, network, 0, {}), card)
    return out / MODEL, report
