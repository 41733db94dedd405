"""Full adaptation of the winner, beside references and named networks trained the same way."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from autoadapt.config.load import to_plain
from autoadapt.config.settings import AdaptSettings, ExperimentSettings, PluginSettings
from autoadapt.errors import RunError
from autoadapt.experiment.evaluate import Labelled, evaluate
from autoadapt.experiment.run_folder import RunFolder, differences
from autoadapt.experiment.trial import domains_of, pick_device, train
from autoadapt.files import waiting_lock, write_json
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.seeding import derive
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import labelled
from autoadapt.training.fit import Progress
from autoadapt.training.model import MODEL, find_model, load_model


@dataclass(frozen=True)
class Contender:
    """An architecture and the method it is fully trained with.

    Attributes:
        role: ``winner`` of the search, ``reference`` of the space, or the name of a network.
    """

    role: str
    architecture: Architecture
    method: PluginSettings

    @property
    def name(self) -> str:
        """Folder under ``adapted/``."""
        return f"{self.role}-{self.method.name}"

    @property
    def title(self) -> str:
        """What tables and progress call it."""
        return title_of(self.name)


def title_of(name: str) -> str:
    """Return how tables call the contender of a folder: ``winner, source-only``."""
    role, _, method = name.partition("-")
    known = {"reference": "hand-crafted"}
    return f"{known.get(role, role)}, {method.replace('_', '-')}"


def contender_folders(root: Path) -> list[Path]:
    """Return the folders of contenders below ``adapted/``: adapted winners first.

    Adapted references and named networks follow, then what was trained on source alone.
    """

    def order(folder: Path) -> tuple[bool, int, str, str]:
        role, _, method = folder.name.partition("-")
        return method == "source_only", {"winner": 0, "reference": 1}.get(role, 2), role, method

    return sorted(root.iterdir(), key=order) if root.is_dir() else []


def roles_after_search(
    winner: Architecture, reference: Architecture, adapt: AdaptSettings
) -> dict[str, Architecture]:
    """Return the winner and what it is compared with, by role; equal architectures once."""
    asked = {"winner": winner}
    if adapt.hand_crafted:
        asked["reference"] = reference
    return once(asked | labelled(adapt.networks))


def roles_of_networks(names: Sequence[str], reference: Architecture) -> dict[str, Architecture]:
    """Return named networks by role; one that is the reference of the space has that role.

    Raises:
        SpaceError: There is no such network.
    """
    return {
        "reference" if architecture == reference else name: architecture
        for name, architecture in labelled(names).items()
    }


def once(roles: Mapping[str, Architecture]) -> dict[str, Architecture]:
    """Return each architecture with its first role alone."""
    first: dict[Architecture, str] = {}
    for role, architecture in roles.items():
        first.setdefault(architecture, role)
    return {role: architecture for architecture, role in first.items()}


def contenders(roles: Mapping[str, Architecture], adapt: AdaptSettings) -> list[Contender]:
    """Return each architecture with the method, then each on source alone if that is asked for.

    A warm-up belongs to adaptation methods alone; source-only training has the same number of
    steps, schedule and batches.
    """
    methods = [adapt.method]
    if adapt.source_only and adapt.method.name != "source_only":
        methods.append(PluginSettings(name="source_only"))
    return [Contender(role, roles[role], method) for method in methods for role in roles]


def adapt_fully(
    contender: Contender,
    settings: ExperimentSettings,
    adapt: AdaptSettings,
    folder: Path,
    seed: int,
    on_progress: Callable[[str, Progress], None] | None = None,
) -> Path:
    """Train one contender with one seed, or continue it, and return its model file.

    Raises:
        RunError: The folder holds the same contender trained in another way.
    """
    with waiting_lock(folder / "lock"):
        check_same_training(contender, adapt, folder)
        model = find_model(folder)
        if model is not None:
            return model
        if settings.threads:
            torch.set_num_threads(settings.threads)
        told = None
        if on_progress is not None:
            told = functools.partial(on_progress, f"{contender.title}, seed {seed}")
        train(
            contender.architecture,
            contender.method,
            adapt.training,
            domains_of(settings.data),
            settings.data,
            weights=adapt.weights,
            seed=derive(settings.seed, "adapt", seed),
            device=pick_device(settings),
            folder=folder,
            on_progress=told,
        )
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    return folder / MODEL


def check_same_training(contender: Contender, adapt: AdaptSettings, folder: Path) -> None:
    """Write down how a contender is trained, or compare with what was written.

    Raises:
        RunError: It was trained with other options or another budget.
    """
    path = folder / "training.json"
    plain = to_plain({"method": contender.method, "training": adapt.training})
    if adapt.weights is not None:
        plain["weights"] = to_plain(adapt.weights) | {"download": None}  # changes no weights
    now = json.loads(json.dumps({"id": contender.architecture.id, **plain}))
    if not path.exists():
        write_json(path, now)
    elif (before := json.loads(path.read_text())) != now:
        changed = "\n  ".join(differences(before, now))
        raise RunError(
            f"{folder} holds this contender trained in another way:\n  {changed}\n"
            "move the folder away, or adapt with the settings it has"
        )


def evaluation_of(
    model: Path, images: Callable[[], Labelled], settings: ExperimentSettings, run: RunFolder
) -> Evaluation:
    """Return the evaluation that stands beside a model file; make it if it is not there."""
    path = model.with_name("evaluation.json")
    if path.exists():
        return Evaluation.from_json(json.loads(path.read_text()))
    run.note_labels_opened(str(model.relative_to(run.path)), "evaluation after full adaptation")
    loaded = load_model(model, pick_device(settings))
    result = evaluate(loaded, images(), settings.evaluation)
    write_json(path, result.to_json())
    return result


def overridden(adapt: AdaptSettings, method: str | None, steps: int | None) -> AdaptSettings:
    """Return the adaptation settings with another method or budget."""
    if method is not None and method != adapt.method.name:
        adapt = dataclasses.replace(adapt, method=PluginSettings(name=method))
    if steps is not None:
        training = dataclasses.replace(adapt.training, steps=steps)
        adapt = dataclasses.replace(adapt, training=training)
    return adapt
