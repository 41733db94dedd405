"""The loop of class-balanced self-training, shared by CBST, CRST and TPLD.

Each round sweeps the target twice: once for the class thresholds, once for the labels. Then it
trains on a mixed set of some source images and all target images, as the released code does: a
batch holds what comes next in the shuffled mixture, and losses are sums divided by the labelled
pixels of the whole batch, whatever their domain.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from autoadapt.config.settings import Above0, Fraction, NotNegative, Positive
from autoadapt.data.batches import IGNORE, SourceBatch, TargetBatch
from autoadapt.data.batching import source_batch, target_batch
from autoadapt.data.images import LabelledImages
from autoadapt.data.sampling import batch_indices
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import relabelled, subset
from autoadapt.networks.batch_norm import Policy
from autoadapt.networks.contract import Output
from autoadapt.seeding import generator
from autoadapt.uda._labelling import Labelling
from autoadapt.uda._losses import counted, divisor, summed_cross_entropy
from autoadapt.uda._mining import mined_centres
from autoadapt.uda._pseudo_labels import MirrorAverage, balanced_labels
from autoadapt.uda._sweep import Tally
from autoadapt.uda._thresholds import Confidences, grown
from autoadapt.uda.base import Context, Method, Phase, levels


@dataclass
class SelfTraining(Method):
    """Rounds of labelling the target and training on the labels.

    The published methods start from a network trained on the source. ``warm_up`` is that training
    here; batch statistics are learnt in it and kept from then on.

    Attributes:
        rounds: Rounds of labelling and training; fewer where there are fewer steps.
        portion: Share of the pixels of each class that get a label in the first round.
        portion_growth: What each round adds to it.
        portion_limit: Where that ends.
        source_per_target: Source images in the mixed set, per target image. The released code
            takes 0.03 of 19,984 for 2,975: 0.2, and lets it double over the rounds. A small
            target leaves few source images then, 12 for the 62 of ``day_to_dusk``, and classes
            without a label in the target are forgotten: the preset ``small`` takes as many of both.
        source_growth: What each round adds to it.
        source_limit: Where that ends.
        rate: Learning rate of the self-training, in units of that of the settings. The published
            one suits a network that has learnt all it can from the source.
        mirror: Label the mean prediction of an image and its mirror image.
        mining: Share of the target crops that are centred on a pixel of a rare class; without
            effect where images are not cropped.
        mining_share: Classes predicted for fewer target pixels than this are rare.
        batch_norm: Policy of the warm-up.
        self_training_batch_norm: Policy of the self-training. Published is ``eval``: running
            statistics stay those of the warm-up. That suits large pretrained networks, whose
            weights move little, and hurts small ones from scratch (see ``docs/methods.md``).
            Absent: ``eval`` where the network begins with given weights, ``train`` where not.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "source_per_target": 1.0,
        "source_growth": 0.0,
        "source_limit": 1.0,
        "rate": 0.5,
    }

    rounds: Positive = 3
    portion: Fraction = 0.2
    portion_growth: NotNegative = 0.05
    portion_limit: Fraction = 0.5
    source_per_target: Above0 = 0.2
    source_growth: NotNegative = 0.0168
    source_limit: Above0 = 0.4
    rate: Above0 = 0.2
    mirror: bool = True
    mining: Fraction = 0.8
    mining_share: Fraction = 0.001
    warm_up: Fraction = 0.5
    self_training_batch_norm: Policy | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.round = 0
        self.shares: list[float] = []
        self.rows: dict[str, str] = {}

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Train on source with statistics of the batch, then in rounds at a constant rate."""
        first = round(self.warm_up * steps)
        warm = (Phase("warm_up", first, batch_norm=self.batch_norm),) if first else ()
        return (*warm, *self.self_training(steps - first)) if first < steps else warm

    def self_training(self, steps: int) -> tuple[Phase, ...]:
        """Return the phases after the warm-up."""
        return (self.labelling_phase("self_training", steps, self.rounds),)

    def labelling_phase(self, name: str, steps: int, rounds: int, **others: Any) -> Phase:
        """Return a phase whose rounds begin with labels: a new optimiser, a constant rate."""
        return Phase.of_rounds(
            name,
            steps,
            rounds,
            batch_norm=self.kept_statistics(self.self_training_batch_norm),
            restart="optimizers",
            power=0.0,
            rate=self.rate,
            **others,
        )

    # Labels

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Label the target: thresholds from one pass, labels from another."""
        if phase.name == "warm_up":
            return
        self.round = self.number(phase, index)
        portion = grown(self.portion, self.portion_growth, self.portion_limit, self.round)
        labelling = self.labelling(context, data)
        confidences = labelling.confidences()
        thresholds = self.thresholds(confidences, portion)
        self.shares = confidences.shares.tolist()
        self.rows = labelling.store(
            lambda probabilities: self.label(probabilities, thresholds),
            thresholds,
            self.shapes(data),
            self.tallies(),
        )
        labelling.note(portion, thresholds)

    def number(self, phase: Phase, index: int) -> int:
        """Return the number of a round over all phases of self-training."""
        return index

    def thresholds(self, confidences: Confidences, portion: float) -> Tensor:
        """Return the thresholds of the classes, (C,)."""
        return confidences.thresholds(portion)

    def labelling(self, context: Context, data: TrainingData) -> Labelling:
        """Return the passes of a round."""
        predictor = MirrorAverage(context.network) if self.mirror else None
        return Labelling(context, data, predictor, context.batch_norm)

    def tallies(self) -> Mapping[str, Tally]:
        """Return what ``label`` adds up besides what it returns, by name."""
        return {}

    def shapes(self, data: TrainingData) -> dict[str, tuple[int, ...]]:
        """Return what is stored of each target image, by name."""
        return {"labels": data.target.size}

    def label(self, probabilities: Tensor, thresholds: Tensor) -> dict[str, Tensor]:
        """Return what is stored of a batch of predictions (N, C, H, W), uint8, by name."""
        return {"labels": balanced_labels(probabilities, thresholds)}

    # Data

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Return some source images, and the target with the labels of the round."""
        if phase.name == "warm_up":
            return data
        rows = {name: context.stored(reference) for name, reference in self.rows.items()}
        labels = rows.pop("labels")
        pseudo = relabelled(data.target, labels, data.source.classes, **rows)
        return replace(
            data, source=self.source_part(context, data), further={**data.further, "pseudo": pseudo}
        )

    def source_part(self, context: Context, data: TrainingData) -> LabelledImages:
        """Return the source images of the round, at least one."""
        share = grown(self.source_per_target, self.source_growth, self.source_limit, self.round)
        count = min(len(data.source), max(1, round(share * len(data.target))))
        rng = generator(context.seed, "source images", self.draw_of(self.round))
        return subset(data.source, rng.permutation(len(data.source))[:count].tolist())

    def draw_of(self, number: int) -> int:
        """Return which shuffling of the source a round takes the first images of."""
        return number

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        """Return what comes next in the shuffled mixture, by domain; one may have no image.

        A step sees as many images as that of other methods, and the target images again without
        labels in place of a batch of their own.
        """
        pseudo = data.further.get("pseudo")
        if pseudo is None:
            return data.draw(step)
        count, size = len(data.source), 2 * data.batch_size
        places = batch_indices(data.seed, "mixed", step, batch_size=size, n=count + len(pseudo))
        source = [place for place in places if place < count]
        target = [place - count for place in places if place >= count]
        taught = source_batch(data.source, source, transform=data.transform, step=step)
        made = self.pseudo_batch(data, pseudo, target, step=step)
        return StepBatch(taught, self.unlabelled(data, step, made), {"pseudo": made})

    def pseudo_batch(
        self, data: TrainingData, pseudo: LabelledImages, indices: list[int], *, step: int
    ) -> SourceBatch:
        """Return target images with their labels, crops centred on rare classes now and then."""
        transform = data.transform
        if data.settings.crop is not None and self.mining > 0:
            labels, rng = pseudo.labels(indices), generator(data.seed, "mining", step)
            centres = mined_centres(labels, self.mined_classes(), rng=rng, share=self.mining)
            transform = replace(transform, centres=centres)
        return source_batch(pseudo, indices, transform=transform, step=step, purpose="pseudo")

    def mined_classes(self) -> list[list[int]]:
        """Return the classes that crops look for, groups in order of preference."""
        return [[label for label, share in enumerate(self.shares) if share < self.mining_share]]

    def unlabelled(self, data: TrainingData, step: int, pseudo: SourceBatch) -> TargetBatch:
        """Return the unlabelled batch of a step, for whoever adds something to this method."""
        if pseudo.ids:
            return TargetBatch(pseudo.images, pseudo.ids)
        size, count = data.batch_size, len(data.target)
        indices = batch_indices(data.seed, "target", step, batch_size=size, n=count)
        return target_batch(data.target, indices, transform=data.transform, step=step)

    # Steps

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Learn from the source alone, as before the first labels."""
        _, losses = context.supervised(source, self.aux_source_weight)
        context.update("network")
        return losses

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Learn from a mixed batch where there are labels for the target."""
        if "pseudo" not in batch.further:
            return super().train_step(context, phase, batch)
        losses = self.learn(context, batch.source, batch.further["pseudo"])
        context.update("network")
        return losses

    def learn(
        self, context: Context, source: SourceBatch, pseudo: SourceBatch
    ) -> dict[str, Tensor]:
        """Go forward and back through both parts of a mixed batch."""
        pixels = counted(source.labels, context.class_weights) + counted(pseudo.labels)
        losses: dict[str, Tensor] = {}
        if source.ids:
            losses |= self.learn_source(context, source, divisor(pixels))
        if pseudo.ids:
            output = context.forward(pseudo.images, "target")
            losses |= self.learn_pseudo(context, pseudo, output, pixels=divisor(pixels))
        return losses

    def learn_source(
        self, context: Context, batch: SourceBatch, pixels: Tensor
    ) -> dict[str, Tensor]:
        """Return the cross entropy of each level, summed over the pixels, divided by ``pixels``."""
        output = context.forward(batch.images, "source")
        sums = {
            name: summed_cross_entropy(logits, batch.labels, context.class_weights)
            for name, logits in levels(output).items()
        }
        return self.backward(context, self.named("source", sums, pixels))

    def learn_pseudo(
        self, context: Context, batch: SourceBatch, output: Output, *, pixels: Tensor
    ) -> dict[str, Tensor]:
        """Return the loss of each level on labels of a round, divided by ``pixels``, and more."""
        sums = {name: self.label_loss(z, batch) for name, z in levels(output).items()}
        further = self.regularised(output.logits, batch.labels != IGNORE)
        return self.backward(context, self.named("pseudo", sums, pixels) | further)

    def label_loss(self, logits: Tensor, batch: SourceBatch) -> Tensor:
        """Return the loss of predictions on labels of a round, summed over the pixels."""
        return summed_cross_entropy(logits, batch.labels)

    def regularised(self, logits: Tensor, labelled: Tensor) -> dict[str, Tensor]:
        """Return weighted losses on target predictions besides that of the labels.

        Args:
            logits: (N, C, H, W) of the main output.
            labelled: (N, H, W) bool.
        """
        return {}

    def named(self, part: str, sums: Mapping[str, Tensor], pixels: Tensor) -> dict[str, Tensor]:
        """Return the weighted mean losses of both levels under the name of a part."""
        weights = {"main": 1.0, "aux": self.aux_source_weight}
        names = {"main": part, "aux": f"{part}_aux"}
        return {names[level]: weights[level] * total / pixels for level, total in sums.items()}

    def backward(self, context: Context, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Go back through the sum of losses and return them detached."""
        context.backward(torch.stack(list(losses.values())).sum())
        return {name: loss.detach() for name, loss in losses.items()}

    # State

    def state_dict(self) -> dict[str, Any]:
        """Return the labels of the round and what the view derives from."""
        return {"round": self.round, "shares": self.shares, "rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.round, self.shares, self.rows = state["round"], state["shares"], state["rows"]
