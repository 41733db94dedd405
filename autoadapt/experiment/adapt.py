"""Full adaptation of the winner, beside references trained the same way."""

import dataclasses
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from autoadapt.config.load import to_plain
from autoadapt.config.settings import AdaptSettings, ExperimentSettings, PluginSettings
from autoadapt.data.images import LabelledImages
from autoadapt.errors import RunError
from autoadapt.experiment.evaluate import Evaluation, evaluate
from autoadapt.experiment.run_folder import RunFolder, differences
from autoadapt.experiment.trial import domains_of, pick_device, train
from autoadapt.files import waiting_lock, write_json
from autoadapt.seeding import derive
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Progress
from autoadapt.training.model import load_model


@dataclass(frozen=True)
class Contender:
    """An architecture and the method it is fully trained with.

    Attributes:
        name: Folder under ``adapted/``.
        title: What tables call it.
    """

    name: str
    title: str
    architecture: Architecture
    method: PluginSettings


def contenders(
    winner: Architecture, reference: Architecture, adapt: AdaptSettings
) -> list[Contender]:
    """Return the winner and the references it is compared with.

    A warm-up belongs to adaptation methods alone; source-only training has the same number of
    steps, schedule and batches.
    """
    method = adapt.method
    chosen = [Contender(f"winner-{method.name}", f"winner, {method.name}", winner, method)]
    plain = PluginSettings(name="source_only")
    if adapt.hand_crafted and reference != winner:
        name, title = f"reference-{method.name}", f"hand-crafted, {method.name}"
        chosen.append(Contender(name, title, reference, method))
    if adapt.source_only and method.name != "source_only":
        chosen.append(Contender("winner-source_only", "winner, source-only", winner, plain))
        if adapt.hand_crafted and reference != winner:
            title = "hand-crafted, source-only"
            chosen.append(Contender("reference-source_only", title, reference, plain))
    return chosen


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
    model = folder / "model.pt"
    with waiting_lock(folder / "lock"):
        check_same_training(contender, adapt, folder)
        if model.exists():
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
            seed=derive(settings.seed, "adapt", seed),
            device=pick_device(settings),
            folder=folder,
            on_progress=told,
        )
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    return model


def check_same_training(contender: Contender, adapt: AdaptSettings, folder: Path) -> None:
    """Write down how a contender is trained, or compare with what was written.

    Raises:
        RunError: It was trained with other options or another budget.
    """
    path = folder / "training.json"
    plain = to_plain({"method": contender.method, "training": adapt.training})
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
    model: Path, images: Callable[[], LabelledImages], settings: ExperimentSettings, run: RunFolder
) -> Evaluation:
    """Return the evaluation that stands beside a model file; make it if it is not there."""
    path = model.with_name("evaluation.json")
    if path.exists():
        return Evaluation.from_json(json.loads(path.read_text()))
    run.note_labels_opened(str(model.relative_to(run.path)), "evaluation after full adaptation")
    loaded = load_model(model, pick_device(settings))
    result = evaluate(loaded, images(), settings.evaluation.batch_size)
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
