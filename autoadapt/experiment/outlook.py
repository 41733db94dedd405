"""What a search costs and takes, from its settings, its space and counts: the numbers of a plan."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from autoadapt import cost
from autoadapt.config.settings import (
    DataSettings,
    ExperimentSettings,
    PluginSettings,
    Size,
    TrainingSettings,
)
from autoadapt.data.open import class_names
from autoadapt.experiment import estimates
from autoadapt.experiment.adapt import Contender, contenders, roles_after_search
from autoadapt.experiment.estimates import Counts, Machine
from autoadapt.experiment.selection import snapshot_steps
from autoadapt.networks.build import skeleton
from autoadapt.seeding import python_random
from autoadapt.space import (
    Architecture,
    Limits,
    SearchSpace,
    WithinLimits,
    narrowed,
    sample_feasible,
)
from autoadapt.space import load as load_space
from autoadapt.space.named import labelled

SAMPLED = 8
"""Architectures within the limits whose costs stand for the space."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Multiply-adds, at the size at which the space counts them, and parameters of a network."""

    what: str
    macs: float
    params: float


@dataclass(frozen=True, kw_only=True)
class Need:
    """What the run takes on one device.

    Attributes:
        macs_per_second: Throughput that the times of trials rest on.
        trial_seconds: Training and scoring of the cheapest sampled architecture, of the reference
            and of the dearest network.
        search_seconds: All trials, each like the reference.
        adapt_seconds: Full training after the search, each contender like the reference.
        trial_bytes: Peak memory of a trial of the reference, and of the largest network.
        adapt_bytes: Peak memory of the full training of the largest network.
        memory: Of the device, in bytes; unknown for this machine's processor.
        fits: Whether all of it fits; unknown as the memory is.
    """

    device: str
    macs_per_second: float
    trial_seconds: tuple[float, float, float]
    search_seconds: float
    adapt_seconds: float
    trial_bytes: tuple[float, float]
    adapt_bytes: float
    memory: float | None
    fits: bool | None


@dataclass
class Outlook:
    """The parts of a plan that rest on the space and on costs.

    Attributes:
        images: Number of images per data set.
        parallel: Trials at the same time.
    """

    settings: ExperimentSettings
    images: Mapping[str, int]
    parallel: int

    @cached_property
    def space(self) -> SearchSpace:
        """The search space."""
        return load_space(self.settings.search.space)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes of the task."""
        return class_names(self.settings.data)

    @cached_property
    def limits(self) -> Limits:
        """Limits of the space and of the experiment together."""
        return narrowed(self.space.limits, self.settings.search.limits)

    @cached_property
    def named(self) -> dict[str, Architecture]:
        """Named networks that are tried first."""
        return labelled(self.settings.search.include)

    @property
    def trials(self) -> int:
        """Number of all trials."""
        return len(self.named) + self.settings.search.trials

    @cached_property
    def contenders(self) -> list[Contender]:
        """What is trained after the search.

        The winner is taken to be neither the reference nor a named network, and to be the first
        of several finalists.
        """
        adapt = self.settings.adapt
        if adapt is None:
            return []
        several = adapt.finalists > 1
        names = [f"finalist{place}" for place in range(1, adapt.finalists + 1)]
        winner, *others = (Architecture.of(name, {}) for name in names)
        roles = roles_after_search(
            winner, self.reference, adapt, role=names[0] if several else "winner"
        )
        return contenders(roles, adapt, dict(zip(names[1:], others, strict=True)))

    @property
    def cache_bytes(self) -> int:
        """Disk space of the decoded images."""
        data = self.settings.data
        return sum(
            estimates.decoded_bytes(number, data.size_of(key), labelled=key != "target")
            for key, number in self.images.items()
        )

    def count(self, architecture: Architecture) -> dict[str, float]:
        """Return the costs of an architecture as the search counts them."""
        return cost.count(architecture, len(self.classes), self.space.input_size)

    @cached_property
    def sampled(self) -> list[Architecture]:
        """Architectures within the limits, cheapest first.

        Raises:
            SpaceError: There are none.
        """
        within = WithinLimits(self.count, self.limits)
        found = {
            sample_feasible(
                self.space, python_random(self.settings.seed, "dry run", number), within
            )
            for number in range(SAMPLED)
        }
        return sorted(found, key=lambda one: (self.count(one)["macs"], one.id))

    def costs(self) -> Iterator[Costs]:
        """Yield the costs of the sampled extremes, the reference and named networks."""
        shown = {
            f"cheapest of {len(self.sampled)} sampled": self.sampled[0],
            f"dearest of {len(self.sampled)} sampled": self.sampled[-1],
            "reference": self.reference,
            **self.named,
        }
        for what, architecture in shown.items():
            found = self.count(architecture)
            yield Costs(what=what, macs=found["macs"], params=found["params"])

    def needs(self, here: Machine | None, measured: float | None) -> Iterator[Need]:
        """Yield what the run takes on this machine, where that can be said, and on known GPUs."""
        if measured is not None:
            name = here.name if here else "this device"
            speeds = dict.fromkeys(("fp32", "bf16", "fp16"), measured)
            yield self.need(name, speeds, here.memory if here else None)
        elif here is not None:
            yield self.need_of(here)
        yield from map(self.need_of, estimates.MACHINES)

    def need_of(self, machine: Machine) -> Need:
        """Return what the run takes on a machine, by its data sheet."""
        return self.need(machine.name, machine.macs_per_second, machine.memory)

    def need(self, name: str, speeds: Mapping[str, float], memory: float | None) -> Need:
        """Return what the run takes on one device, by its throughput for each precision."""
        search, adapt = self.settings.search.training, self.settings.adapt
        seconds = self.trial_seconds(speeds[search.precision])
        low, middle, high = (
            self.count(one)["macs"] for one in (self.sampled[0], self.reference, self.dearest)
        )
        largest = max(self.networks, key=lambda one: self.count(one)["activations"])
        trial = self.bytes_of(self.reference, search), self.bytes_of(largest, search)
        full = self.bytes_of(largest, adapt.training) if adapt else 0.0
        return Need(
            device=name,
            macs_per_second=speeds[search.precision],
            trial_seconds=(seconds * low / middle, seconds, seconds * high / middle),
            search_seconds=estimates.search_seconds(seconds, self.trials, self.parallel),
            adapt_seconds=self.adapt_seconds(speeds[adapt.training.precision]) if adapt else 0.0,
            trial_bytes=trial,
            adapt_bytes=full,
            memory=memory,
            fits=None if memory is None else max(*trial, full) <= memory,
        )

    @property
    def reference(self) -> Architecture:
        """The reference of the space."""
        return self.space.reference

    @cached_property
    def networks(self) -> list[Architecture]:
        """All networks whose costs are known: sampled ones, the reference, named ones."""
        return [*self.sampled, self.reference, *self.named.values()]

    @cached_property
    def dearest(self) -> Architecture:
        """The network with the most multiply-adds."""
        return max(self.networks, key=lambda one: self.count(one)["macs"])

    def bytes_of(self, architecture: Architecture, training: TrainingSettings) -> float:
        """Return the peak memory of a training, for the larger images of the two domains."""
        sizes = (training_size(self.settings.data, key) for key in ("source", "target"))
        height, width = max(sizes, key=math.prod)
        classes = len(self.classes)
        found = cost.count(architecture, classes, (height, width))
        counts = Counts(
            params=found["params"],
            activations=found["activations"],
            pixels=height * width,
            classes=classes,
            outputs=2 if skeleton(architecture, classes).has_aux else 1,
        )
        return estimates.training_bytes(counts, training)

    def macs(self, size: Size) -> float:
        """Return the multiply-adds of the reference on an image."""
        return cost.count(self.reference, len(self.classes), size)["macs"]

    def trial_seconds(self, macs_per_second: float) -> float:
        """Return the time of a trial of the reference: training, then scoring both domains."""
        search = self.settings.search
        macs = macs_of_images(self.macs, self.settings.data, search.method)
        trained = estimates.training_seconds(macs, images_seen(search.training), macs_per_second)
        return trained + self.scoring_seconds(macs_per_second)

    def scoring_seconds(self, macs_per_second: float) -> float:
        """Return the time of scoring the reference once, on both domains."""
        wanted = self.settings.scoring.images
        scored = {"source": self.sources, "target": self.images["target"]}
        return sum(
            estimates.inference_seconds(
                self.macs(self.settings.data.size_of(key)), min(wanted, number), macs_per_second
            )
            for key, number in scored.items()
        )

    def adapt_seconds(self, macs_per_second: float) -> float:
        """Return the time of full training and evaluation, each contender like the reference.

        Snapshots are scored and evaluated like full models.
        """
        data, adapt = self.settings.data, self.settings.adapt
        if adapt is None:
            return 0.0
        macs = sum(macs_of_images(self.macs, data, one.method) for one in self.contenders)
        trained = estimates.training_seconds(
            macs * len(adapt.seeds), images_seen(adapt.training), macs_per_second
        )
        models, snapshots = len(self.contenders) * len(adapt.seeds), len(snapshot_steps(adapt))
        looks = snapshots if adapt.selection and adapt.selection.best_by_labels else 1
        images = self.images.get("evaluation", 0) * models * looks
        whole = self.macs(data.size_of("target"))
        evaluated = estimates.inference_seconds(whole, images, macs_per_second)
        return trained + evaluated + models * snapshots * self.scoring_seconds(macs_per_second)

    @property
    def sources(self) -> int:
        """Number of labelled source images."""
        return sum(self.images[key] for key in self.settings.data.sources)


def macs_of_images(
    macs: Callable[[Size], float], data: DataSettings, method: PluginSettings
) -> float:
    """Return the multiply-adds of one forward pass of an image of each domain in a step."""
    return sum(macs(training_size(data, key)) for key in domains_in_a_step(method))


def domains_in_a_step(method: PluginSettings) -> tuple[str, ...]:
    """Return the domains whose images go through the network in a step."""
    return ("source",) if method.name == "source_only" else ("source", "target")


def training_size(data: DataSettings, key: str) -> Size:
    """Return height and width of a training image of a data set."""
    return data.crop or data.size_of(key)


def images_seen(training: TrainingSettings) -> int:
    """Return the number of images of one domain that a training looks at."""
    return training.steps * training.batch_size * training.accumulate
