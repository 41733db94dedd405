"""CCM: train on source images and pixels that look like the target, in rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from autoadapt.config.settings import Above0, Fraction, NotNegative, Positive
from autoadapt.data.batches import IGNORE, SourceBatch, TargetBatch
from autoadapt.data.images import LabelledImages
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import joined, relabelled, subset
from autoadapt.networks.batch_norm import Policy
from autoadapt.networks.contract import Output
from autoadapt.seeding import generator
from autoadapt.uda._losses import self_information
from autoadapt.uda._matching import (
    BYTES,
    Layouts,
    Prototypes,
    Spread,
    as_bytes,
    centres_of,
    layout_distances,
    layouts,
    nearest,
    one_hot,
    over_threshold,
    similar_pixels,
    surest,
)
from autoadapt.uda._sweep import Sweep, Tally
from autoadapt.uda._thresholds import Confidences
from autoadapt.uda.base import Context, Method, Needs, Phase

HORIZON = 5000 / 4164
"""Length of the published schedule of a round against the steps it takes."""


@dataclass
class Ccm(Method):
    """Content-consistent matching (Li et al., ECCV 2020).

    Each round labels the surest target pixels, keeps the source images whose layout is like that of
    the target and of them the pixels that look like it, and trains on both, unsure predictions
    punished. The portions stay the same over the rounds, as in the released code.

    Entropy is ``-sum p ln p`` as the paper writes; the released code applies the softmax twice
    inside the logarithm, which flattens it.

    Attributes:
        rounds: Rounds of matching and training; fewer where there are fewer steps.
        portion: Share of the pixels of a class, and of an image, that is sure enough. The published
            0.1 labels the surest of a network that is trained; ``small`` takes more.
        any_class: A pixel counts as sure where any class exceeds its threshold, as in the released
            code, instead of the most probable one.
        source_pool: Share of the source images that are looked at, the same in every round.
        source_kept: Share of these that is kept (published: 1190 of 4993). Of a few hundred images
            that leaves too few to hold on to rare classes; ``small`` keeps more.
        pixels_kept: Share of the pixels of each class that is kept in a source image.
        centres: Centres of the layouts of each class, per axis.
        temperature: Of the predictions that prototypes are means of.
        entropy_weight: Of the entropy of all pixels.
        rate_per_round: Factor on the learning rate for each round after the first.
        labelling: Batch-norm policy of the passes that label. ``train`` as published: labels
            then depend on the batches, and running statistics follow.
    """

    summary = "source images and pixels chosen by layout and look, target labels in rounds"
    paper = "Li et al., Content-Consistent Matching for Domain Adaptive Segmentation, ECCV 2020"
    needs: ClassVar[Needs] = Needs(rounds=6, stage_one=True)
    quick: ClassVar[Mapping[str, Any]] = {"rounds": 2}
    small: ClassVar[Mapping[str, Any]] = {"source_pool": 1.0, "source_kept": 0.6, "portion": 0.3}
    smoke_options: ClassVar[Mapping[str, Any]] = {"rounds": 2, "portion": 0.5, "source_pool": 1.0}

    rounds: Positive = 6
    portion: Fraction = 0.1
    any_class: bool = False
    source_pool: Fraction = 0.2
    source_kept: Fraction = 1190 / 4993
    pixels_kept: Fraction = 0.9
    centres: Positive = 10
    temperature: Above0 = 2.0
    entropy_weight: NotNegative = 0.5
    rate_per_round: Above0 = 0.5**0.5
    labelling: Policy = "train"
    warm_up: Fraction = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chosen: list[int] = []
        self.rows: dict[str, str] = {}

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Train on the source first, then in rounds with a new optimiser each."""
        first = round(self.warm_up * steps)
        warm = (Phase("warm_up", first, batch_norm=self.batch_norm),) if first else ()
        if first == steps:
            return warm
        rounds = Phase.of_rounds(
            "match",
            steps - first,
            self.rounds,
            batch_norm=self.batch_norm,
            restart="optimizers",
            rate_per_round=self.rate_per_round,
        )
        return (*warm, replace(rounds, horizon=max(1, round(rounds.steps * HORIZON))))

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Label the target, choose source images, choose pixels of theirs."""
        if phase.name == "warm_up":
            return
        confidences = Confidences(data.num_classes)
        sweep = self.sweep(context, data, "measuring confidence", {"confidences": confidences})
        for _, output in sweep:
            confidences.add(output.logits.softmax(dim=1))
        thresholds = confidences.thresholds(self.portion)
        prototypes = Prototypes(data.num_classes, self.temperature)
        stored = self.label(context, data, thresholds, prototypes)
        spread = Spread(context.stored(stored["layouts"]), data.target.size)
        self.chosen = self.matching(context, data, spread)
        kept = self.keep(context, data, prototypes.means)
        self.rows = {"labels": stored["labels"], "kept": kept}
        context.notes |= {
            "labelled_pixels": int(prototypes.counts.sum()),
            "labelled_per_class": prototypes.counts.tolist(),
            "thresholds": thresholds.tolist(),
            "source_images": len(self.chosen),
        }

    def sweep(
        self,
        context: Context,
        data: TrainingData,
        doing: str,
        tallies: Mapping[str, Tally],
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        given: Sequence[Any] = (),
    ) -> Sweep[Output]:
        """Return a pass over the target."""
        return context.sweep(
            data,
            data.target,
            doing,
            policy=self.labelling,
            tallies=tallies,
            shapes=shapes,
            given=given,
        )

    def label(
        self, context: Context, data: TrainingData, thresholds: Tensor, prototypes: Prototypes
    ) -> dict[str, str]:
        """Store pseudo-labels and layouts of the target, fill the prototypes on the way."""
        size = data.target.size
        shapes = {"labels": size, "layouts": (data.num_classes, sum(size), BYTES)}
        sweep = self.sweep(
            context, data, "labelling", {"prototypes": prototypes}, shapes, [thresholds]
        )
        for _, output in sweep:
            probabilities = output.logits.softmax(dim=1)
            confidence, label = probabilities.max(dim=1)
            mask = over_threshold(probabilities, thresholds, any_class=self.any_class)
            mask |= surest(confidence, self.portion)
            prototypes.add(output.logits, mask)
            labels = torch.where(mask, label, IGNORE).to(torch.uint8)
            sweep.put(labels=labels, layouts=as_bytes(layouts(probabilities)))
        return sweep.references

    def matching(self, context: Context, data: TrainingData, spread: Spread) -> list[int]:
        """Return the source images whose layout is nearest to that of the target."""
        rng = generator(context.seed, "layouts")
        centres = [
            centres_of(spread.of_classes(axis), self.centres, rng)
            for axis in range(len(data.target.size))
        ]
        pool = self.pool(context, data.source)
        distances = [
            sum(
                layout_distances(wanted, spread)
                for wanted, spread in zip(centres, self.source_layouts(data, [index]), strict=True)
            )
            for index in pool
        ]
        count = max(1, round(self.source_kept * len(pool)))
        places = nearest(np.concatenate(distances), count)
        return [pool[place] for place in places]

    def pool(self, context: Context, source: LabelledImages) -> list[int]:
        """Return the source images that are looked at, the same in every round."""
        count = max(1, round(self.source_pool * len(source)))
        order = generator(context.seed, "pool of the source").permutation(len(source))
        return sorted(order[:count].tolist())

    def source_layouts(self, data: TrainingData, indices: list[int]) -> Layouts:
        """Return the layouts of the labels of source images, at the size of the target."""
        maps = torch.from_numpy(data.source.labels(indices))
        if data.source.size != data.target.size:
            resized = torch.nn.functional.interpolate(
                maps[:, None].float(), size=data.target.size, mode="nearest-exact"
            )
            maps = resized[:, 0].to(torch.uint8)
        return layouts(one_hot(maps, data.num_classes))

    def keep(self, context: Context, data: TrainingData, prototypes: Tensor) -> str:
        """Store the labels of the chosen source images that are kept, and return where."""
        images = subset(data.source, self.chosen)
        sweep = context.sweep(
            data,
            images.unlabelled(),
            "choosing pixels",
            policy=self.labelling,
            shapes={"kept": data.source.size},
            given=[prototypes],
        )
        for indices, output in sweep:
            probabilities = output.logits.softmax(dim=1)
            labels = torch.from_numpy(images.labels(indices)).to(probabilities.device)
            means = prototypes.to(probabilities)
            pairs = zip(probabilities, labels, strict=True)
            kept = [similar_pixels(one, label, means, self.pixels_kept) for one, label in pairs]
            sweep.put(kept=torch.stack(kept))
        return sweep.references["kept"]

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Return chosen source and labelled target images as one labelled set."""
        if phase.name == "warm_up":
            return data
        classes = data.source.classes
        stored = {name: context.stored(reference) for name, reference in self.rows.items()}
        source = relabelled(subset(data.source.unlabelled(), self.chosen), stored["kept"], classes)
        target = relabelled(data.target, stored["labels"], classes)
        if source.size == target.size:
            return replace(data, source=joined(source, target))
        return replace(data, source=source, further={**data.further, "pseudo": target})

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Learn target images in a pass of their own where they differ in size."""
        losses: dict[str, Tensor] = {}
        if phase.name != "warm_up" and "pseudo" in batch.further:
            found = self.learn(context, batch.further["pseudo"])
            losses = {f"target_{name}": loss for name, loss in found.items()}
        return losses | super().train_step(context, phase, batch)

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Learn the labels of both domains."""
        losses = self.learn(context, source)
        context.update("network")
        return losses

    def learn(self, context: Context, batch: SourceBatch) -> dict[str, Tensor]:
        """Learn labels, and to be sure of all pixels."""
        _, losses = context.supervised(
            batch,
            self.aux_source_weight,
            also=lambda output: {"entropy": self.entropy_weight * entropy(output.logits)},
        )
        return losses

    def state_dict(self) -> dict[str, Any]:
        """Return the source images of the round and where its labels are."""
        return {"chosen": list(self.chosen), "rows": dict(self.rows)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.chosen, self.rows = list(state["chosen"]), dict(state["rows"])


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the pixels in nats, ``-sum p ln p``."""
    return self_information(logits).sum(dim=1).mean() * float(np.log(logits.shape[1]))
