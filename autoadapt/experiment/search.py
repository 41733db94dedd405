"""One experiment in its run folder: the search, its winner, and the winner fully adapted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import yaml

from autoadapt.config.settings import AdaptSettings, ExperimentSettings, WeightsSettings
from autoadapt.cost import CostCache
from autoadapt.data.images import LabelledImages
from autoadapt.data.open import check_evaluation, open_evaluation
from autoadapt.errors import RunError
from autoadapt.experiment.adapt import (
    Contender,
    adapt_fully,
    contenders,
    evaluation_of,
)
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.evaluate import Labelled, open_labelled
from autoadapt.experiment.executors import execute
from autoadapt.experiment.fitting import check_not_fitted_on
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import domains_of, region_maps
from autoadapt.experiment.watching import Watcher
from autoadapt.experiment.weights import check_start
from autoadapt.files import write_text
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.networks.build import describe
from autoadapt.records import Record
from autoadapt.space import Architecture, load

Results = dict[str, tuple[Contender, list[Evaluation]]]
"""Evaluations per contender, one per seed."""


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
        check_not_fitted_on(self.settings.objective.name, marks, self.settings.name)
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

    def winner(self) -> Record:
        """Return the best trial.

        Raises:
            RunError: There is none.
        """
        winner = self.controller.winner()
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

    def adapt(self, roles: Mapping[str, Architecture], adapt: AdaptSettings) -> Results:
        """Train contenders fully; evaluate them where labels are given.

        Args:
            roles: What is trained, as ``roles_after_search`` or ``roles_of_networks`` say.
            adapt: How it is trained.
        """
        results: Results = {}
        for contender in contenders(roles, adapt):
            results[contender.name] = (contender, [])
            for seed in adapt.seeds:
                self.watcher.stage(f"training {contender.title}, seed {seed}")
                folder = self.folder.adapted(contender.name, seed)
                model = adapt_fully(
                    contender, self.settings, adapt, folder, seed, self.watcher.progress
                )
                if self.settings.data.evaluation is not None:
                    found = evaluation_of(
                        model, lambda: self.evaluation_set, self.settings, self.folder
                    )
                    results[contender.name][1].append(found)
        return results


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
