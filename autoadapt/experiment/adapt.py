"""Full adaptation of the winner, beside references and named networks trained the same way."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from autoadapt.config.load import to_plain
from autoadapt.config.settings import (
    AdaptSettings,
    ExperimentSettings,
    PluginSettings,
    SelectionSettings,
)
from autoadapt.errors import RunError
from autoadapt.experiment.evaluate import Labelled, evaluate
from autoadapt.experiment.finalists import FINALIST, read_finalists
from autoadapt.experiment.run_folder import RunFolder, differences
from autoadapt.experiment.selection import snapshot_steps
from autoadapt.experiment.trial import domains_of, pick_device, train
from autoadapt.files import sweep, waiting_lock, write_json
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
        role: ``winner`` of the search, ``finalist<n>`` where several are compared as full models,
            ``reference`` of the space, or the name of a network.
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
    words = known.get(role) or FINALIST.sub(r"finalist \1", role)
    return f"{words}, {method.replace('_', '-')}"


def contender_folders(root: Path) -> list[Path]:
    """Return the folders of contenders below ``adapted/``: adapted winners first.

    Other finalists, adapted references and named networks follow, then what was trained on source
    alone.
    """
    chosen = read_finalists(root.parent)
    first = {"winner": 1 if chosen else 0, "reference": 2}
    first |= {chosen.winner: 0} if chosen else {}

    def order(folder: Path) -> tuple[bool, int, str, str]:
        role, _, method = folder.name.partition("-")
        place = first.get(role, 1 if FINALIST.fullmatch(role) else 3)
        return method == "source_only", place, role, method

    return sorted(root.iterdir(), key=order) if root.is_dir() else []


def roles_after_search(
    winner: Architecture, reference: Architecture, adapt: AdaptSettings, *, role: str = "winner"
) -> dict[str, Architecture]:
    """Return the winner and what it is compared with, by role; equal architectures once.

    A winner that was one of several finalists keeps the role it had as such.
    """
    asked = {role: winner}
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


def contenders(
    roles: Mapping[str, Architecture],
    adapt: AdaptSettings,
    losers: Mapping[str, Architecture] | None = None,
) -> list[Contender]:
    """Return each architecture with the method, then each on source alone if that is asked for.

    A warm-up belongs to adaptation methods alone; source-only training has the same number of
    steps, schedule and batches. Finalists that lost are trained with the method alone.
    """
    found = [
        Contender(role, one, adapt.method) for role, one in {**roles, **(losers or {})}.items()
    ]
    if adapt.source_only and adapt.method.name != "source_only":
        alone = PluginSettings(name="source_only")
        found += [Contender(role, one, alone) for role, one in roles.items()]
    return found


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
        for place in (folder, *folder.glob("snapshots/*")):
            sweep(place)
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
            seed=adaptation_seed(settings, seed),
            device=pick_device(settings),
            folder=folder,
            on_progress=told,
            snapshots=snapshot_steps(adapt)[:-1],
        )
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    return folder / MODEL


def adaptation_seed(settings: ExperimentSettings, seed: int) -> int:
    """Return what the network and the batches of a full training follow from."""
    return derive(settings.seed, "adapt", seed)


def check_same_training(contender: Contender, adapt: AdaptSettings, folder: Path) -> None:
    """Write down how a contender is trained, or compare with what was written.

    Raises:
        RunError: It was trained with other options or another budget.
    """
    path = folder / "training.json"
    plain = to_plain({"method": contender.method, "training": adapt.training})
    if adapt.weights is not None:
        plain["weights"] = to_plain(adapt.weights) | {"download": None}  # changes no weights
    plain["snapshots"] = snapshot_steps(adapt)[:-1]
    now = json.loads(json.dumps({"id": contender.architecture.id, **plain}))
    if not path.exists():
        write_json(path, now)
        return
    before = {"snapshots": [], **json.loads(path.read_text())}
    if not now["snapshots"]:  # those that were taken for another command disturb nothing
        now["snapshots"] = before["snapshots"]
    if before != now:
        changed = "\n  ".join(differences(before, now))
        raise RunError(
            f"{folder} holds this contender trained in another way:\n  {changed}\n"
            "move the folder away, or adapt with the settings it has"
        )


def evaluation_of(
    model: Path,
    images: Callable[[], Labelled],
    settings: ExperimentSettings,
    run: RunFolder,
    *,
    why: str = "evaluation after full adaptation",
) -> Evaluation:
    """Return the evaluation that stands beside a model file; make it if it is not there."""
    found = evaluation_beside(model)
    if found is not None:
        return found
    path = evaluation_file(model)
    run.note_labels_opened(str(model.relative_to(run.path)), why)
    loaded = load_model(model, pick_device(settings))
    result = evaluate(loaded, images(), settings.evaluation)
    write_json(path, result.to_json())
    return result


def evaluation_file(model: Path) -> Path:
    """Return where the evaluation of a model file is."""
    return model.with_name("evaluation.json")


def evaluation_beside(model: Path) -> Evaluation | None:
    """Return the evaluation that stands beside a model file, if there is one."""
    path = evaluation_file(model)
    return Evaluation.from_json(json.loads(path.read_text())) if path.exists() else None


def overridden(
    adapt: AdaptSettings,
    method: str | None = None,
    steps: int | None = None,
    *,
    finalists: int | None = None,
    select: bool = False,
) -> AdaptSettings:
    """Return the adaptation settings with another method or budget, or with choices added."""
    if finalists is not None:
        adapt = dataclasses.replace(adapt, finalists=finalists)
    if select and adapt.selection is None:
        adapt = dataclasses.replace(adapt, selection=SelectionSettings())
    if method is not None and method != adapt.method.name:
        adapt = dataclasses.replace(adapt, method=PluginSettings(name=method))
    if steps is not None:
        training = dataclasses.replace(adapt.training, steps=steps)
        adapt = dataclasses.replace(adapt, training=training)
    return adapt
