"""Searches replayed on the records of a bank: what a strategy finds, without training anything.

The strategy sees a space that holds the architectures of the bank alone; a mutation or a
crossover leads to the one of them that is nearest to where it would have led.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.analysis.tables import percent, text_table
from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import Bank, BankModel, read_bank
from autoadapt.objective import column, named
from autoadapt.space import Architecture, SearchSpace, SpaceExhausted, load
from autoadapt.strategies.base import Observation, Strategy


@dataclass(frozen=True, kw_only=True)
class BankSpace(SearchSpace):
    """A search space that is left with the architectures of a bank.

    Attributes:
        members: Architectures of the space, each once.
    """

    members: tuple[Architecture, ...]

    def sample(self, rng: random.Random) -> Architecture:
        """Draw one of the members."""
        return rng.choice(self.members)

    def mutate(
        self, architecture: Architecture, rng: random.Random, changes: int = 1
    ) -> Architecture:
        """Return the member nearest to a mutation; it differs from the given one.

        Raises:
            SpaceExhausted: There is no other member.
        """
        return self.nearest(super().mutate(architecture, rng, changes), rng, but=architecture)

    def crossover(
        self, first: Architecture, second: Architecture, rng: random.Random
    ) -> Architecture:
        """Return the member nearest to a crossover."""
        return self.nearest(super().crossover(first, second, rng), rng)

    def nearest(
        self, wanted: Architecture, rng: random.Random, *, but: Architecture | None = None
    ) -> Architecture:
        """Return the member with the fewest other choices; one of several by lot.

        Raises:
            SpaceExhausted: There is no other member than ``but``.
        """
        others = [one for one in self.members if but is None or one.id != but.id]
        if not others:
            raise SpaceExhausted(f"{self.name}: the bank has no other architecture")
        distances = [distance(one.values, wanted.values) for one in others]
        least = min(distances)
        return rng.choice([o for o, d in zip(others, distances, strict=True) if d == least])

    def count(self) -> int:
        """Return the number of members."""
        return len(self.members)

    def architectures(self) -> Iterator[Architecture]:
        """Yield the members."""
        yield from self.members


def distance(first: Mapping[str, Any], second: Mapping[str, Any]) -> int:
    """Return the number of choices that two architectures do not share."""
    names = first.keys() | second.keys()
    return sum(first.get(name) != second.get(name) for name in names)


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What simulated searches with one strategy found.

    Attributes:
        strategy: Its name.
        picked: (searches, trials) true metric of the model with the best objective so far.
        best: True metric of the best model that could be found.
    """

    strategy: str
    picked: NDArray[np.float64]
    best: float

    @property
    def regret(self) -> NDArray[np.float64]:
        """(trials,) mean true metric lost after each trial."""
        lost: NDArray[np.float64] = self.best - self.picked.mean(axis=0)
        return lost


def models_of(bank: Bank, method: str | None) -> dict[str, BankModel]:
    """Return one model per architecture by id: the first of a method that can be compared.

    Raises:
        RunError: The bank has no such method, or none of its models has objective and truth.
    """
    methods = list(dict.fromkeys(model.method for model in bank.models))
    chosen = method or next(iter(methods), "")
    if chosen not in methods:
        raise RunError(f"{bank.name}: no models of {chosen!r}; there are {', '.join(methods)}")
    found: dict[str, BankModel] = {}
    for model in bank.models:
        if model.method == chosen and model.objective is not None and model.miou is not None:
            found.setdefault(model.record.architecture.id, model)
    if not found:
        raise RunError(
            f"{bank.name}: no model of {chosen!r} has both an objective and a true mIoU; a search "
            "can only be replayed on models that have"
        )
    return found


def bank_space(space: SearchSpace, models: Mapping[str, BankModel]) -> BankSpace:
    """Return a space that is left with the architectures of these models.

    Raises:
        RunError: One of them is not of the space.
    """
    members = tuple(model.record.architecture for model in models.values())
    if strange := [one.id for one in members if not space.holds(one)]:
        raise RunError(f"{strange[0]} of the bank is not of the space {space.name}")
    return BankSpace(**{f.name: getattr(space, f.name) for f in fields(space)}, members=members)


def simulate(
    models: Mapping[str, BankModel],
    space: BankSpace,
    strategy: PluginSettings,
    *,
    trials: int,
    seeds: Sequence[int],
) -> Simulation:
    """Run searches, one per seed, in which a trial is a look-up.

    Args:
        models: By the id of their architecture, all with an objective and a truth.
        space: What the strategy may propose.
        strategy: By name, with its options.
        trials: Of each search; no more than there are models.
        seeds: Of the searches.

    Raises:
        ConfigError: No such strategy or option.
        RunError: More trials than models.
    """
    if not 1 <= trials <= len(models):
        raise RunError(f"{trials} trials asked for; the bank has {len(models)} models to try")
    picked = [one_search(models, space, strategy, trials, seed) for seed in seeds]
    best = max(truth_of(model) for model in models.values())
    return Simulation(strategy=strategy.name, picked=np.array(picked), best=best)


def one_search(
    models: Mapping[str, BankModel],
    space: BankSpace,
    strategy: PluginSettings,
    trials: int,
    seed: int,
) -> list[float]:
    """Return the truth of the model with the best objective so far, after each trial."""
    searching: Strategy = make("strategies", strategy)
    searching.setup(space, seed=seed, admissible=lambda architecture: True)
    history: list[Observation] = []
    taken: set[str] = set()
    picked = []
    best: BankModel | None = None
    for number in range(trials):
        architecture = searching.propose(history, number, taken).architecture
        model = models[architecture.id]
        taken.add(architecture.id)
        history.append(Observation(architecture, model.objective))
        if best is None or objective_of(model) < objective_of(best):
            best = model
        picked.append(truth_of(best))
    return picked


def objective_of(model: BankModel) -> float:
    """Return the objective of a model that has one."""
    assert model.objective is not None
    return model.objective


def truth_of(model: BankModel) -> float:
    """Return the true metric of a model that has one."""
    assert model.miou is not None
    return model.miou


def judged_by(bank: Bank, objective: str) -> Bank:
    """Return a bank whose models have another objective, standardised by all of them.

    Raises:
        ConfigError: No such objective, or the bank lacks a score that it needs.
    """
    records = [model.record for model in bank.models]
    try:
        values = column(records, named(objective), bank.reference_costs)
    except (RunError, ConfigError) as error:
        raise ConfigError(f"--objective {objective}: {error}") from None
    models = tuple(
        replace(model, objective=value) for model, value in zip(bank.models, values, strict=True)
    )
    return replace(bank, models=models)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What to replay.

    Attributes:
        strategies: Names; random search is always added.
        objectives: Names or files of what is minimised; empty: the objective of the bank.
        method: Whose models; absent: those of the bank's first method.
        trials: Of each search.
        searches: Per strategy and objective, each with another seed.
    """

    strategies: Sequence[str]
    objectives: Sequence[str] = ()
    method: str | None = None
    trials: int
    searches: int


def replay_bank(path: Path, wanted: Replay) -> str:
    """Replay strategies on a bank and return a table of what each loses, random search last.

    Raises:
        RunError: Not a bank, or nothing in it to search.
        ConfigError: No such strategy or objective.
    """
    bank = read_bank(path)
    if not wanted.objectives:
        return table_of({"": bank}, wanted)
    judged = {Path(name).stem: judged_by(bank, name) for name in wanted.objectives}
    return table_of({f" ({name})": one for name, one in judged.items()}, wanted)


def table_of(banks: Mapping[str, Bank], wanted: Replay) -> str:
    """Return what each strategy loses on a bank with one objective or several, by their labels."""
    steps = [k for k in (1, 2, 5, 10, 20, 30, 50, 100, 200, 500) if k < wanted.trials]
    steps.append(wanted.trials)
    counts, rows = [], []
    for label, bank in banks.items():
        models = models_of(bank, wanted.method)
        counts.append(
            f"{bank.name}{label}: {len(models)} models, {wanted.searches} searches each; mIoU in "
            "points that the model with the best objective lies below the best one "
            f"({percent(max(truth_of(model) for model in models.values()))} %)"
        )
        for found in replayed(bank, models, wanted):
            losses = (percent(found.regret[k - 1]) for k in steps)
            rows.append([f"{found.strategy}{label}", *losses])
    return "\n".join([*counts, text_table(["after trials", *map(str, steps)], rows)])


def replayed(bank: Bank, models: Mapping[str, BankModel], wanted: Replay) -> Iterator[Simulation]:
    """Yield what each strategy found on the models of a bank, random search last."""
    space = bank_space(load(bank.space), models)
    for name in dict.fromkeys([*wanted.strategies, "random"]):
        strategy, seeds = PluginSettings(name=name), range(wanted.searches)
        yield simulate(models, space, strategy, trials=wanted.trials, seeds=seeds)
