"""The weights that training starts from: found, checked before anything is trained, loaded."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoadapt.config.load import expand
from autoadapt.config.published_weights import PUBLISHED
from autoadapt.config.settings import DataSettings, ExperimentSettings, WeightsSettings
from autoadapt.data.cache import cache_folder
from autoadapt.errors import CheckpointError
from autoadapt.files import sha256_of
from autoadapt.networks.blocks.heads import AsppSum
from autoadapt.networks.build import skeleton
from autoadapt.networks.checkpoints.download import OnBytes, fetch, stored
from autoadapt.networks.checkpoints.loading import (
    Source,
    convention_note,
    foreign,
    load_source,
    own_stride_in,
)
from autoadapt.networks.checkpoints.reading import read_weights
from autoadapt.networks.checkpoints.report import Report
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space import Architecture, load
from autoadapt.space.named import named
from autoadapt.training.model import is_model, locate, read_model


@dataclass(frozen=True)
class Start:
    """Weights to start from, read once.

    Attributes:
        identity: What has to be the same for a training to be continued.
    """

    source: Source
    settings: WeightsSettings
    identity: dict[str, Any]

    def load_into(self, network: SegmentationNetwork) -> Report:
        """Fill a network.

        Raises:
            CheckpointError: The weights do not fit.
        """
        return load_source(network, self.source, head=self.settings.head, fit=self.settings.fit)

    def check(self, architecture: Architecture, num_classes: int) -> Report:
        """Do the same with a network without memory, to see early whether it works.

        Raises:
            CheckpointError: The weights do not fit.
        """
        shapes = {name: t.to("meta") for name, t in self.source.tensors.items()}
        source = dataclasses.replace(self.source, tensors=shapes)
        return load_source(
            skeleton(architecture, num_classes),
            source,
            head=self.settings.head,
            fit=self.settings.fit,
        )


def start_of(settings: WeightsSettings, data: DataSettings) -> Start:
    """Return the weights of some settings, read once per process.

    Raises:
        CheckpointError: The file is missing, unreadable or of an unknown kind.
        ConfigError: A variable in the path is not set.
    """
    path = locate(resolve(settings, weights_folder(data)))
    project = settings.project
    if project is None and settings.name is not None:
        project = PUBLISHED[settings.name].project
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    source, digest = read_source(path, project, changed)
    identity = {
        "sha256": digest,
        "project": project,
        "head": settings.head,
        "fit": settings.fit,
    }
    return Start(source, settings, identity)


def weights_folder(data: DataSettings) -> Path:
    """Return the folder of downloaded weights."""
    return cache_folder(data.cache) / "weights"


def resolve(settings: WeightsSettings, folder: Path, on_bytes: OnBytes | None = None) -> Path:
    """Return the file that settings name; downloads only where they allow it.

    Raises:
        CheckpointError: It is not there and may not, or cannot, be downloaded.
    """
    if settings.file is not None:
        return Path(expand(settings.file, "weights.file"))
    published = PUBLISHED[settings.name or ""]
    if settings.download:
        return fetch(published, folder, on_bytes)
    path = stored(published, folder)
    if path is None:
        raise CheckpointError(
            f"{settings.name} is not in {folder}, and nothing is downloaded unasked: use "
            f"--download (or download: true) to fetch {published.address}, or fetch it by hand "
            "and give its path as 'file'"
        )
    return path


@functools.lru_cache(maxsize=2)
def read_source(path: Path, project: str | None, changed: int) -> tuple[Source, str]:
    """Return weights, of this package or of another project, and the checksum of their file.

    Args:
        path: The file.
        project: Who wrote it, if known.
        changed: Time of its last change; a changed file is read anew.
    """
    source = own_source(path) if is_model(path) else foreign(read_weights(path), project)
    return source, sha256_of(path)


def own_source(path: Path) -> Source:
    """Return the weights of a model of this package; its architecture says what they mean."""
    model = read_model(path)
    card = model.card
    network = skeleton(card.architecture, len(card.classes))
    heads = [head for head in network.head_modules() if isinstance(head, AsppSum)]
    return Source(
        path,
        model.network,
        f"model of autoadapt, architecture {card.architecture.id}",
        num_classes=len(card.classes),
        normalisation=card.normalisation,
        rates=heads[-1].rates if heads else (),
        computed=frozenset({head.rates[: head.used] for head in heads}),
        stride_in=own_stride_in(network),
    )


def warnings(report: Report, data: DataSettings) -> Iterator[str]:
    """Yield the notes of a report that the settings do not heed."""
    for note in report.notes:
        if note != convention_note(data.normalisation):
            yield note


def planned(
    settings: ExperimentSettings,
) -> Iterator[tuple[str, WeightsSettings | None, list[Architecture]]]:
    """Yield each part of an experiment, what it starts from, and the networks known by now."""
    search, adapt = settings.search, settings.adapt
    reference = load(search.space).reference
    yield "search", search.weights, [reference, *map(named, search.include)]
    if adapt is not None:
        yield "adapt", adapt.weights, [reference, *map(named, adapt.networks)]


def find_starts(settings: ExperimentSettings) -> None:
    """Find and read all weights that an experiment starts from; downloads those it may.

    Before images are decoded, which can take hours: a file may be missing.

    Raises:
        CheckpointError: Weights are not there, or of an unknown kind.
    """
    for _, weights, _ in planned(settings):
        if weights is not None:
            start_of(weights, settings.data)


def check_start(
    weights: WeightsSettings,
    networks: Sequence[Architecture],
    data: DataSettings,
    num_classes: int,
) -> Iterator[str]:
    """Try weights on networks without memory.

    Yields:
        What was loaded into the first one, then notes that the settings do not heed.

    Raises:
        CheckpointError: The weights are not there, or do not fit one of the networks.
    """
    start = start_of(weights, data)
    reports = [start.check(network, num_classes) for network in networks]
    yield f"starts from {reports[0].summary}"
    notes = (note for report in reports for note in warnings(report, data))
    yield from (f"note: {note}" for note in dict.fromkeys(notes))


def planned_starts(settings: ExperimentSettings, num_classes: int) -> Iterator[str]:
    """Try the weights of all parts of an experiment, but download nothing: say what would be.

    Yields:
        As ``check_start``, with the part in front.

    Raises:
        CheckpointError: Weights are not there and may not be downloaded, or do not fit.
    """
    for part, weights, networks in planned(settings):
        if weights is None:
            continue
        address = to_download(weights, settings.data)
        if address is None:
            found = check_start(weights, networks, settings.data, num_classes)
            yield from (f"{part}: {line}" for line in found)
        else:
            yield f"{part}: starts from {weights.name}, to be downloaded from {address}"


def to_download(weights: WeightsSettings, data: DataSettings) -> str | None:
    """Return the address of weights that would be downloaded; nothing for others."""
    if weights.name is None or not weights.download:
        return None
    published = PUBLISHED[weights.name]
    return None if stored(published, weights_folder(data)) else published.address


def allowing_download(settings: ExperimentSettings) -> ExperimentSettings:
    """Return the settings with leave to download the weights that they name."""
    adapt = settings.adapt
    if adapt is not None and adapt.weights is not None:
        weights = dataclasses.replace(adapt.weights, download=True)
        settings = dataclasses.replace(settings, adapt=dataclasses.replace(adapt, weights=weights))
    search = settings.search
    if search.weights is not None:
        weights = dataclasses.replace(search.weights, download=True)
        settings = dataclasses.replace(
            settings, search=dataclasses.replace(search, weights=weights)
        )
    return settings
