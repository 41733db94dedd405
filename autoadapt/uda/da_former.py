"""DAFormer's training: DACS with rare-class sampling and a distance to pretrained features."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoadapt.config.settings import Fraction, NotNegative
from autoadapt.data.batches import IGNORE, SourceBatch, TargetBatch
from autoadapt.data.batching import source_batch
from autoadapt.data.priors import pixels_per_class, rare_class_probabilities, ratio_of
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.networks.contract import Output
from autoadapt.seeding import generator
from autoadapt.uda._mixing import PseudoLabels, mean_over_all_pixels, pseudo_labels
from autoadapt.uda.base import Context, Needs, Phase
from autoadapt.uda.dacs import Dacs

THINGS = (
    *("traffic light", "traffic sign", "sign", "person", "pedestrian", "rider", "bicyclist"),
    *("car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
"""Classes of objects, under the names that Cityscapes and CamVid give them."""

CROPS = 10
"""Attempts to find a crop that shows enough of a rare class."""


@dataclass
class DaFormer(Dacs):
    """DAFormer's training (Hoyer et al., CVPR 2022), on any network.

    Differs from DACS in the order (the teacher moves first), in averaging every cross entropy over
    all pixels, and in two additions: source images that show rare classes are drawn more often, and
    deep features of objects stay near those of the network before training. The last only makes
    sense for a network that starts from pretrained weights: set ``feature_weight`` to 0 otherwise.

    The released code draws the classes to be pasted from the whole batch (``classes_from:
    batch``); the default is DACS's rule, per image, as the authors intended.

    Attributes:
        feature_weight: Weight of the distance between features.
        things: Names of the classes whose features are held; others are ignored.
        thing_share: Share of a feature cell's pixels that must be of one class for it to count.
        rare_temperature: ``T`` of rare-class sampling; the smaller, the rarer. 0 draws uniformly.
        rare_share: Share of an image's pixels that a rare class must have for the image to be drawn
            for it; a crop must show half as many pixels. Published: 3000 of 1280 x 720.
        ramp: Share of the steps in which the learning rate rises (published: 1500 of 40,000).
        ignore_top: Share of the rows whose pseudo-labels do not count, at the upper border
            (published: 15 of 512).
        ignore_bottom: The same at the lower border (published: 120 of 512).
        power: Exponent of the decay of the rate; 1 is linear.
    """

    summary = "DACS with rare-class sampling and a distance to pretrained features"
    paper = "Hoyer et al., DAFormer, CVPR 2022"
    needs: ClassVar[Needs] = Needs(networks=("a mean teacher", "a frozen twin"), one_size=True)
    small: ClassVar[Mapping[str, Any]] = {"warm_up": 0.3, "feature_weight": 0.0}
    smoke_options: ClassVar[Mapping[str, Any]] = {
        "threshold": 0.0,
        "things": ("a", "b", "c", "d"),
        "thing_share": 0.0,
    }

    momentum: Fraction = 0.999
    jitter: Fraction = 0.2
    feature_weight: NotNegative = 0.005
    things: tuple[str, ...] = THINGS
    thing_share: Fraction = 0.75
    rare_temperature: NotNegative = 0.01
    rare_share: Fraction = 3000 / (1280 * 720)
    ramp: Fraction = 1500 / 40000
    ignore_top: Fraction = 15 / 512
    ignore_bottom: Fraction = 120 / 512
    power: NotNegative = 1.0
    pixels: Any = field(default=None, init=False)
    held: tuple[int, ...] = field(default=(), init=False)

    def setup(self, context: Context) -> None:
        """Create the teacher and a frozen twin of the network as it is before training."""
        super().setup(context)
        if self.feature_weight:
            twin = copy.deepcopy(context.network).requires_grad_(False).eval()
            context.add("twin", twin)

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Let the rate rise at the beginning and fall linearly."""
        ramp = round(self.ramp * steps)
        return tuple(
            Phase(
                phase.name,
                phase.steps,
                batch_norm=phase.batch_norm,
                ramp=ramp,
                power=self.power,
            )
            for phase in super().phases(steps)
        )

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Count the classes of the source, and find out which of them are things."""
        super().begin_round(context, data, phase, index)
        self.held = tuple(
            number for number, name in enumerate(data.source.classes) if name in self.things
        )
        if self.rare_temperature:
            self.pixels = pixels_per_class(data.source, data.num_classes)

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        """Draw source images that show rare classes; the target as ever."""
        batch = data.draw(step)
        if self.pixels is None:
            return batch
        rare = RareClasses(self.pixels, data, self.rare_share, self.rare_temperature)
        return StepBatch(rare.batch(step), batch.target, batch.further)

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """The teacher follows, source and feature loss, mixed loss, one move."""
        if context.micro_batch == 0:
            self.move_teacher(context)
        losses = self.learn_source(context, source)
        losses |= self.learn_mixed(context, source, target)
        context.update("network")
        return losses

    def learn_source(self, context: Context, source: SourceBatch) -> dict[str, Tensor]:
        """Make the source pass and return the weighted losses, detached."""
        output = context.forward(source.images, "source")
        weights = context.class_weights
        losses = {
            "source": mean_over_all_pixels(output.logits, source.labels, class_weights=weights)
        }
        if output.aux_logits is not None:
            aux = mean_over_all_pixels(output.aux_logits, source.labels, class_weights=weights)
            losses["source_aux"] = self.aux_source_weight * aux
        if self.feature_weight:
            losses["features"] = self.feature_weight * self.distance(context, source, output)
        context.backward(torch.stack(list(losses.values())).sum())
        return {name: loss.detach() for name, loss in losses.items()}

    def distance(self, context: Context, source: SourceBatch, output: Output) -> Tensor:
        """Return how far the deep features of things are from those before training."""
        mine = output.features.deep.float()
        before = context.observe(context.modules["twin"].eval(), source.images)
        cells = cell_labels(source.labels, mine.shape[2:], context.num_classes, self.thing_share)
        mask = torch.isin(cells, torch.tensor(self.held, device=cells.device))
        return feature_distance(mine, before.features.deep.float(), mask)

    def labelled(self, output: Output) -> PseudoLabels:
        """Leave out the rows at the upper and lower border."""
        rows = output.logits.shape[2]
        return pseudo_labels(
            output.logits,
            self.threshold,
            top=round(self.ignore_top * rows),
            bottom=round(self.ignore_bottom * rows),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return counts of pixels and the classes that are things, too."""
        pixels = None if self.pixels is None else torch.from_numpy(self.pixels)
        return super().state_dict() | {"pixels": pixels, "held": list(self.held)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.pixels = None if state["pixels"] is None else state["pixels"].numpy()
        self.held = tuple(state["held"])


@dataclass(frozen=True)
class RareClasses:
    """Source images drawn for the rare classes they show (DAFormer, section 3.3).

    For each place in a batch a class is drawn, then an image with enough of it; its crop is drawn
    again until it shows half as much, or the attempts are used up.

    Attributes:
        pixels: Number of pixels of each class in each source image, (N, C).
        data: Where the images are.
        share: Share of an image's pixels that counts as enough.
        temperature: Of the distribution over classes.
    """

    pixels: NDArray[np.int64]
    data: TrainingData
    share: float
    temperature: float

    def batch(self, step: int) -> SourceBatch:
        """Return the source batch of a step."""
        drawn = [self.one(step, place) for place in range(self.data.batch_size)]
        return SourceBatch(
            torch.cat([one.images for one in drawn]),
            torch.cat([one.labels for one in drawn]),
            tuple(name for one in drawn for name in one.ids),
        )

    def one(self, step: int, place: int) -> SourceBatch:
        """Return one image as a batch, with a crop that shows the class it was drawn for."""
        rng = generator(self.data.seed, "rare class", step, place)
        enough = self.share * self.data.source.size[0] * self.data.source.size[1]
        label, index = self.drawn(rng, enough)
        number = step * self.data.batch_size + place
        batch = self.crop(index, number, 0)
        for attempt in range(1, CROPS):
            if int((batch.labels == label).sum()) > enough / 2:
                break
            batch = self.crop(index, number, attempt)
        return batch

    def crop(self, index: int, number: int, attempt: int) -> SourceBatch:
        """Return an image with augmentation of its own for each attempt."""
        source, transform = self.data.source, self.data.transform
        purpose = f"rare {attempt}"
        return source_batch(source, [index], transform=transform, step=number, purpose=purpose)

    def drawn(self, rng: np.random.Generator, enough: float) -> tuple[int, int]:
        """Draw a class and an image that shows more than enough of it.

        Classes that no image shows enough of are never drawn; if that leaves none, any image is.
        """
        shown = self.pixels > enough
        frequencies = np.where(shown.any(axis=0), ratio_of(self.pixels), 0.0)
        if not frequencies.any():
            return 0, int(rng.integers(len(self.pixels)))
        chances = rare_class_probabilities(frequencies, self.temperature)
        label = int(rng.choice(len(chances), p=chances))
        return label, int(rng.choice(np.flatnonzero(shown[:, label])))


def cell_labels(labels: Tensor, size: torch.Size, num_classes: int, share: float) -> Tensor:
    """Return the class that rules each cell of a coarser grid, ``IGNORE`` where none does.

    Args:
        labels: (N, H, W) class indices or ``IGNORE``.
        size: Height and width of the grid.
        num_classes: C.
        share: Share of a cell's pixels that a class needs; void counts as a class of its own.

    Returns:
        (N, *size) int64; the lowest of classes with equal shares.
    """
    known = torch.where(labels == IGNORE, num_classes, labels)
    one_hot = functional.one_hot(known, num_classes + 1).permute(0, 3, 1, 2).float()
    shares, ruling = functional.adaptive_avg_pool2d(one_hot, (size[0], size[1])).max(dim=1)
    return torch.where((shares >= share) & (ruling < num_classes), ruling, IGNORE)


def feature_distance(mine: Tensor, before: Tensor, mask: Tensor) -> Tensor:
    """Return the mean Euclidean distance of feature vectors over some positions; 0 over none.

    Args:
        mine: (N, D, h, w).
        before: Of the same shape; no gradient flows there.
        mask: (N, h, w) booleans, which positions count.
    """
    distance: Tensor = torch.linalg.vector_norm(mine - before, dim=1)
    return (distance * mask).sum() / mask.sum().clamp(min=1)
