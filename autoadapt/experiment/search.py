"""One experiment in its run folder: the search, its winner, and the winner fully adapted."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import yaml

from autoadapt.config.load import objectives_of
from autoadapt.config.settings import AdaptSettings, ExperimentSettings, WeightsSettings
from autoadapt.cost import CostCache
from autoadapt.data.images import LabelledImages
from autoadapt.data.open import check_evaluation, open_evaluation
from autoadapt.errors import RunError, TrainingDivergedError
from autoadapt.experiment.adapt import (
    Contender,
    adapt_fully,
    adaptation_seed,
    contenders,
    evaluation_of,
    roles_after_search,
)
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.evaluate import Labelled, open_labelled
from autoadapt.experiment.executors import execute
from autoadapt.experiment.finalists import (
    FINALISTS,
    Finalist,
    Finalists,
    choose_winner,
    read_finalists,
)
from autoadapt.experiment.fitting import check_not_fitted_on
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.selection import (
    BEST_BY_LABELS,
    Choice,
    Selector,
    Snapshots,
    best_step,
    selector,
    snapshot_steps,
)
from autoadapt.experiment.trial import domains_of, region_maps
from autoadapt.experiment.watching import Watcher
from autoadapt.experiment.weights import check_start
from autoadapt.files import write_text
from autoadapt.networks.build import describe
from autoadapt.records import Record
from autoadapt.space import Architecture, load
from autoadapt.training.model import SELECTED, find_model


@dataclass
class Experiment:
    """One run: a folder, its settings, and what has been done so far."""

    folder: RunFolder
    settings: ExperimentSettings
    watcher: Watcher

    @cached_property
    def controller(self) -> Controller:
        """The state of the search, rebuilt from the records."""

        def told(record: Record, objective: float | None) -> None:
            self.watcher.trial(record, objective, self.controller.total)

        classes = domains_of(self.settings.data).classes
        size = load(self.settings.search.space).input_size
        cache = CostCache(self.folder.path / "costs.jsonl")

        def costs(architecture: Architecture) -> Mapping[str, float]:
            return cache.count(architecture, len(classes), size)

        return Controller(self.folder, self.settings, costs, on_record=told)

    @cached_property
    def labelled_target(self) -> LabelledImages:
        """The labelled target images; whoever asks for them notes it in the run folder."""
        return open_evaluation(self.settings.data)

    @cached_property
    def evaluation_set(self) -> Labelled:
        """The same images and labels, as the convention of evaluation needs them."""
        convention = self.settings.evaluation.convention
        if convention.from_files:
            return open_labelled(self.settings.data, convention)
        return self.labelled_target

    def check_data(self) -> None:
        """Open both domains, refuse an evaluation on images that are trained on.

        Raises:
            DataError: Something is missing or broken, or evaluation and training overlap.
            ConfigError: The weights of the objective were fitted to labels of this target.
        """
        self.watcher.stage("decoding images (first time only)")
        domains = domains_of(self.settings.data)
        marks = {"target": domains.target.fingerprint}
        for objective in objectives_of(self.settings).values():
            check_not_fitted_on(objective.name, marks, self.settings.name)
        check_evaluation(self.settings.data)

    def check_weights(
        self, part: str, weights: WeightsSettings | None, networks: Sequence[Architecture]
    ) -> None:
        """Find the weights that a part starts from, download them where allowed, try them.

        Raises:
            CheckpointError: They are not there, or do not fit one of the networks.
        """
        if weights is not None:
            classes = len(domains_of(self.settings.data).classes)
            for line in check_start(weights, networks, self.settings.data, classes):
                self.watcher.stage(f"{part}: {line}")

    def search(self) -> Record:
        """Run all trials and return the winner.

        Raises:
            RunError: Every trial failed.
        """
        self.watcher.stage("finding regions in target images (first time only)")
        region_maps(self.settings, domains_of(self.settings.data))
        self.watcher.stage(self.plan())
        execute(self.controller, self.watcher)
        self.controller.finish()
        winner = self.winner()
        write_text(self.folder.path / "winner.yaml", winner_text(winner))
        return winner

    def plan(self) -> str:
        """Say how many trials there are to be."""
        done, names = len(self.controller.records), self.controller.named
        text = f"searching: {self.controller.total} trials"
        text += f", the first of {', '.join(names)}" if names else ""
        return text + (f", {done} done before" if done else "")

    @property
    def best(self) -> Record | None:
        """The winner: that among the finalists where there were several, else the best trial."""
        finalists = read_finalists(self.folder.path)
        if finalists is None:
            return self.controller.winner()
        records = self.controller.records
        return next(one for one in records if one.number == finalists.chosen.trial)

    def winner(self) -> Record:
        """Return the winner.

        Raises:
            RunError: There is none.
        """
        winner = self.best
        if winner is not None:
            return winner
        records = self.controller.records
        if not records:
            raise RunError(
                f"{self.folder.path}: no trial is over yet; run 'autoadapt search' first"
            )
        last = records[-1]
        raise RunError(
            f"{self.folder.path}: none of {len(records)} trials has an objective; the last one "
            f"failed with {last.reason or 'a missing score'}: "
            f"{last.detail or dict(last.score_errors)}; "
            f"see {self.folder.trial(last.number, last.architecture)}"
        )

    def adapt_winner(self, adapt: AdaptSettings) -> None:
        """Train the winner fully beside its references; of several finalists, find it first."""
        finalists, role = self.finalists(adapt), "winner"
        winner = self.winner()
        if finalists is not None:
            role = finalists.winner
            write_text(self.folder.path / "winner.yaml", winner_text(winner))
        reference = self.controller.space.reference
        roles = roles_after_search(winner.architecture, reference, adapt, role=role)
        losers = finalists.losers if finalists and finalists.method == adapt.method.name else []
        trials = {record.number: record.architecture for record in self.controller.records}
        self.adapt(roles, adapt, {one.role: trials[one.trial] for one in losers})

    def finalists(self, adapt: AdaptSettings) -> Finalists | None:
        """Train the best candidates fully and choose the winner, or return what was chosen.

        Nothing is evaluated before the choice is on disk. A choice stands: with another method
        later, the winner alone is trained.

        Raises:
            RunError: Another number of finalists was compared before.
            ConfigError: The objective needs a score that no trial of the search has.
            TrainingDivergedError: All of them diverged.
        """
        found = read_finalists(self.folder.path)
        if found is not None:
            check_same_number(found, adapt, self.folder.path)
            return found
        best = self.controller.best(adapt.finalists)
        if len(best) < 2:
            return None
        self.selector(adapt).check_comparable()
        entries: list[Finalist] = []
        for place, record in enumerate(best, start=1):
            entries.append(self.finalist(place, record, adapt))
        found = choose_winner(adapt.method.name, entries)
        found.write(self.folder.path)
        return found

    def finalist(self, place: int, record: Record, adapt: AdaptSettings) -> Finalist:
        """Train one finalist with all seeds and return it with its objectives."""
        value = self.controller.value(record)
        assert value is not None
        entry = Finalist(
            place=place, trial=record.number, id=record.architecture.id, search_objective=value
        )
        contender = Contender(entry.role, record.architecture, adapt.method)
        try:
            chosen = {seed: self.train_fully(contender, adapt, seed) for seed in adapt.seeds}
        except TrainingDivergedError as error:
            return replace(entry, note=str(error).splitlines()[0])
        objectives = {seed: one.objective if one else None for seed, one in chosen.items()}
        return replace(entry, objectives=objectives)

    def selector(self, adapt: AdaptSettings) -> Selector:
        """Return what chooses among full models without labels."""
        controller = self.controller
        return selector(
            self.settings, adapt, controller.calibration_path, controller.reference_costs
        )

    def adapt(
        self,
        roles: Mapping[str, Architecture],
        adapt: AdaptSettings,
        losers: Mapping[str, Architecture] | None = None,
    ) -> None:
        """Train contenders fully; evaluate them where labels are given.

        Args:
            roles: What is trained, as ``roles_after_search`` or ``roles_of_networks`` say.
            adapt: How it is trained.
            losers: Finalists besides the winner, by role.
        """
        for contender in contenders(roles, adapt, losers):
            for seed in adapt.seeds:
                self.train_fully(contender, adapt, seed)
                self.evaluate_fully(contender, adapt, seed)

    def train_fully(self, contender: Contender, adapt: AdaptSettings, seed: int) -> Choice | None:
        """Train a contender with one seed and choose among its snapshots without labels.

        Returns:
            The choice, if full models are scored at all.
        """
        folder = self.folder.adapted(contender.name, seed)
        if find_model(folder) is None:
            self.watcher.stage(f"training {contender.title}, seed {seed}")
        adapt_fully(contender, self.settings, adapt, folder, seed, self.watcher.progress)
        steps = snapshot_steps(adapt)
        if not steps:
            return None
        chooser, snapshots = self.selector(adapt), Snapshots(folder, steps)

        def scored(step: int) -> Record:
            self.watcher.stage(f"scoring {contender.title}, seed {seed}, step {step}")
            return snapshots.record(
                step,
                chooser.settings,
                architecture=contender.architecture,
                costs=self.controller.costs(contender.architecture),
                seed=adaptation_seed(self.settings, seed),
            )

        choice = snapshots.choose(chooser, scored)
        if adapt.selection is not None:
            snapshots.keep_as(SELECTED, choice.selected)
        return choice

    def evaluate_fully(self, contender: Contender, adapt: AdaptSettings, seed: int) -> None:
        """Compare a trained contender with target labels, where there are any.

        The last step and the selected snapshot first, then, for analysis, the other snapshots.
        """
        snapshots = Snapshots(
            self.folder.adapted(contender.name, seed),
            snapshot_steps(adapt) or (adapt.training.steps,),
        )
        if self.settings.data.evaluation is not None:
            self.watcher.stage(f"evaluating {contender.title}, seed {seed}")
            self.evaluate_snapshots(snapshots, adapt)
        if adapt.selection is not None and adapt.selection.keep == "needed":
            snapshots.remove_weights()

    def evaluate_snapshots(self, snapshots: Snapshots, adapt: AdaptSettings) -> None:
        """Evaluate the snapshots of one training and keep the best under a name that says how."""
        evaluated = functools.partial(
            evaluation_of,
            images=lambda: self.evaluation_set,
            settings=self.settings,
            run=self.folder,
        )
        evaluated(snapshots.model(snapshots.last))
        choice, selection = snapshots.choice, adapt.selection
        if choice is None or selection is None:
            return
        evaluated(snapshots.model(choice.selected))
        if not selection.best_by_labels:
            return
        why = "every snapshot of a training, to find the best by labels; for analysis only"
        found = {
            step: evaluated(snapshots.model(step), why=why).headline for step in snapshots.steps
        }
        snapshots.keep_as(BEST_BY_LABELS, best_step(found))


def check_same_number(found: Finalists, adapt: AdaptSettings, run: Path) -> None:
    """Refuse to compare another number of finalists than before.

    Raises:
        RunError: They were trained with this method, and were more or fewer.
    """
    same = found.method == adapt.method.name
    if same and adapt.finalists not in (1, len(found.entries)):
        raise RunError(
            f"{run / FINALISTS} holds the winner among {len(found.entries)} finalists, "
            f"{adapt.finalists} are asked for; move the file away to choose again"
        )


def winner_text(winner: Record) -> str:
    """Return ``winner.yaml``: the architecture, in words and as values."""
    plain = {
        "trial": winner.number,
        "id": winner.architecture.id,
        "words": describe(winner.architecture),
        "costs": dict(winner.costs),
        "scores": dict(winner.scores),
        **winner.architecture.to_json(),
    }
    return yaml.safe_dump(plain, sort_keys=False)
