"""The main job and its parts, as the command line starts them; the same call resumes."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from autoadapt.config.load import load as load_config
from autoadapt.config.settings import ExperimentSettings
from autoadapt.data.open import class_names
from autoadapt.errors import RunError
from autoadapt.experiment.adapt import overridden, roles_after_search, roles_of_networks
from autoadapt.experiment.blank import check_method, check_methods
from autoadapt.experiment.reporting import write_search_report
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.selection import check_selection
from autoadapt.experiment.watching import Watcher
from autoadapt.experiment.weights import find_starts, planned
from autoadapt.files import owning
from autoadapt.networks.build import skeleton
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space import load


@contextlib.contextmanager
def owned_experiment(
    path: Path, settings: ExperimentSettings, watcher: Watcher
) -> Iterator[Experiment]:
    """Own a run folder, check that it fits the settings, and open the data of the experiment."""
    with owning(path):
        folder = RunFolder(path)
        folder.prepare(settings)
        experiment = Experiment(folder, settings, watcher)
        experiment.check_data()
        yield experiment


def run_search(settings: ExperimentSettings, path: Path, watcher: Watcher) -> Path:
    """Do the whole job in a run folder, or continue it, and return the report page.

    Raises:
        AutoAdaptError: Something the user can mend; what was finished before is kept.
    """
    check_methods(settings, *reference_of(settings))
    check_selection(settings, settings.adapt)
    find_starts(settings)
    with owned_experiment(path, settings, watcher) as experiment:
        for plan in planned(settings):
            experiment.check_weights(*plan)
        experiment.search()
        if settings.adapt is not None:
            experiment.adapt_winner(settings.adapt)
        watcher.stage("writing the report")
        return write_search_report(experiment)


def run_adapt(
    path: Path,
    settings: ExperimentSettings,
    watcher: Watcher,
    *,
    networks: Sequence[str] = (),
    method: str | None = None,
    steps: int | None = None,
    finalists: int | None = None,
    select: bool = False,
) -> Path:
    """Train fully in a run folder, and return the report page.

    Args:
        path: A run folder; without ``networks`` it has a winner.
        settings: Those of the folder, or of a folder to be made.
        watcher: Told how it goes.
        networks: Named networks to train instead of the winner and its references.
        method: Adaptation method; absent: that of the settings.
        steps: Training steps; absent: those of the settings.
        finalists: How many of the best candidates are compared as full models; absent: as the
            settings say.
        select: Choose among snapshots without labels, whatever the settings say.

    Raises:
        ConfigError: Full models cannot be scored with these settings.
        RunError: The run has no winner yet, or its config no ``adapt`` section.
        SpaceError: There is no such network.
    """
    if settings.adapt is None:
        raise RunError(
            f"{path}: its config has no 'adapt' section, which says how long and how to train; "
            "add one and search into a new folder"
        )
    if not networks:
        RunFolder(path).settings()  # only a run has a winner
    adapt = overridden(settings.adapt, method, steps, finalists=finalists, select=select)
    check_method(settings, adapt, *reference_of(settings), key="adapt")
    check_selection(settings, adapt)
    reference = load(settings.search.space).reference
    roles = roles_of_networks(networks, reference)
    with owned_experiment(path, settings, watcher) as experiment:
        asked = roles or roles_after_search(experiment.winner().architecture, reference, adapt)
        best = [] if roles else experiment.controller.best(adapt.finalists)
        trained = [*asked.values(), *(record.architecture for record in best)]
        experiment.check_weights("adapt", adapt.weights, trained)
        if roles:
            experiment.adapt(roles, adapt)
        else:
            experiment.adapt_winner(adapt)
        watcher.stage("writing the report")
        return write_search_report(experiment)


def reference_of(settings: ExperimentSettings) -> tuple[SegmentationNetwork, tuple[str, ...]]:
    """Return the reference of the space without memory for weights, and the classes of the task."""
    classes = class_names(settings.data)
    return skeleton(load(settings.search.space).reference, len(classes)), classes


def place_of(
    source: str, run: Path | None = None, changes: Sequence[str] = ()
) -> tuple[Path, ExperimentSettings]:
    """Return run folder and settings of a run, or those that a config would get.

    Args:
        source: A run folder, or a config.
        run: Folder for a config; absent: ``runs/<name>``.
        changes: ``key=value`` overrides of a config.

    Raises:
        RunError: A run folder cannot be changed or moved.
        ConfigError: There is no such config, or it has mistakes.
    """
    if not Path(source).is_dir():
        settings = load_config(source, changes)
        return run or Path("runs") / settings.name, settings
    if changes or run is not None:
        raise RunError(
            f"{source} is a run folder, whose settings and place are fixed; use --set and --run "
            "with a config"
        )
    return Path(source), RunFolder(Path(source)).settings()
