"""AdaBN: batch-norm statistics of the target, after any other method and without gradients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from autoadapt.config.settings import Fraction, NotNegative, Positive
from autoadapt.data.batching import chunks
from autoadapt.data.images import UnlabelledImages
from autoadapt.data.training import TrainingData
from autoadapt.data.transforms import without_augmentation
from autoadapt.data.views import subset
from autoadapt.networks.batch_norm import (
    layers,
    mix_statistics,
    reestimate,
    statistics_of,
)
from autoadapt.seeding import generator
from autoadapt.uda._hosted import Hosted
from autoadapt.uda.base import Context, Phase

MEASURE = "statistics"
"""Name of the phase that measures; it takes no step."""


@dataclass
class AdaBn(Hosted):
    """AdaBN (Li et al., 2016) with a share of source images mixed in, after a host method.

    The weights stay; running statistics are measured anew. The published recipe with mixing goes
    through shuffled images twice with a momentum of 0.1, which makes the last twenty batches count
    most; the default is the plain average over all. Without batch normalisation nothing changes.

    Attributes:
        alpha: Source images per target image; 0 for the target alone.
        mixing: ``images`` measures source and target images together, as published;
            ``statistics`` measures both apart and mixes the numbers in closed form.
        momentum: Of the running statistics; absent: the plain average over all batches.
        passes: Passes over the images, where there is a momentum.
        measured: Images per batch that is measured; absent: the batch size of the training.
    """

    summary = "batch-norm statistics of the target, after another method (option host)"
    paper = "Li et al., Revisiting Batch Normalization for Practical Domain Adaptation, 2016"
    smoke_options: ClassVar[Mapping[str, Any]] = {"alpha": 0.5}

    alpha: NotNegative = 0.0
    mixing: Literal["images", "statistics"] = "images"
    momentum: Fraction | None = None
    passes: Positive = 2
    measured: Positive | None = None

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Return the phases of the host, and one to measure."""
        return (*super().phases(steps), Phase(MEASURE, 0, batch_norm="eval"))

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Let the host prepare; after its last phase, measure."""
        if phase.name != MEASURE:
            super().begin_round(context, data, phase, index)
            return
        predictor = self.guest.predictor(context.network, context.modules)
        if not layers(predictor):
            return
        target, source = data.target, data.source.unlabelled()
        if self.mixing == "statistics" and self.alpha:
            self.measure(context, data, predictor, [source])
            kept = statistics_of(predictor)
            self.measure(context, data, predictor, [target])
            mix_statistics(predictor, kept, self.alpha)
            return
        count = min(len(source), round(self.alpha * len(target)))
        rng = generator(context.seed, "mixed in")
        chosen = sorted(rng.choice(len(source), count, replace=False).tolist())
        self.measure(context, data, predictor, [target, subset(source, chosen)])

    def measure(
        self,
        context: Context,
        data: TrainingData,
        predictor: nn.Module,
        sets: Sequence[UnlabelledImages],
    ) -> None:
        """Replace the running statistics of a predictor by those of images."""
        passes = 1 if self.momentum is None else self.passes
        batches = (
            images.to(context.device)
            for number in range(passes)
            for images in self.shuffled(context.seed, number, data, sets)
        )
        with context.autocast():
            reestimate(predictor, batches, momentum=self.momentum)

    def shuffled(
        self, seed: int, number: int, data: TrainingData, sets: Sequence[UnlabelledImages]
    ) -> Iterator[Tensor]:
        """Yield the images of one pass in batches; sets of one size are shuffled together."""
        transform = without_augmentation(data.settings)
        size = self.measured or data.batch_size
        for height_width in dict.fromkeys(images.size for images in sets):
            alike = [images for images in sets if images.size == height_width]
            places = [(images, index) for images in alike for index in range(len(images))]
            order = generator(seed, "measure", number).permutation(len(places))
            for chunk in chunks(len(order), size):
                picked = [places[order[place]] for place in chunk]
                pixels = np.concatenate([images.images([index]) for images, index in picked])
                yield transform.images(pixels, "measure", 0)
