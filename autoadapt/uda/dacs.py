"""DACS: self-training on images mixed from both domains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from autoadapt.config.settings import Fraction, NotNegative
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import TrainingData
from autoadapt.networks.contract import Output, SegmentationNetwork
from autoadapt.seeding import generator
from autoadapt.uda._mixing import (
    PseudoLabels,
    class_mask,
    half_of,
    mean_over_all_pixels,
    mixed,
    present_classes,
    pseudo_labels,
)
from autoadapt.uda._strong import strongly_augmented
from autoadapt.uda._teacher import copy_weights, follow, ready, teacher_of
from autoadapt.uda.base import Context, Method, Needs, Phase


@dataclass
class Dacs(Method):
    """DACS (Tranheden et al., WACV 2021): half of the classes of a source image, pasted on target.

    A mean teacher labels the target; the student learns from source images and from the mixed
    ones. The paper's Nesterov momentum is not in the released code, nor here.

    Attributes:
        momentum: Largest share of its own weights that the teacher keeps per step.
        threshold: Probability from which a pixel of the target counts as sure.
        mixed_weight: Weight of the loss on mixed images.
        classes_from: Where the classes to be pasted are drawn from: those of each source ``image``
            as in DACS, or of the whole ``batch`` as DAFormer's code does.
        jitter: Strength of the change of colours of mixed images; 0 for none.
        blur: Whether mixed images may be blurred.
        predict_with: ``student`` as published, or the ``teacher``.
    """

    summary = "self-training on class-mixed images with a mean teacher"
    paper = "Tranheden et al., DACS, WACV 2021"
    needs: ClassVar[Needs] = Needs(networks=("a mean teacher",), one_size=True)
    small: ClassVar[Mapping[str, Any]] = {"warm_up": 0.3}
    smoke_options: ClassVar[Mapping[str, Any]] = {"threshold": 0.0}

    momentum: Fraction = 0.99
    threshold: Fraction = 0.968
    mixed_weight: NotNegative = 1.0
    classes_from: Literal["image", "batch"] = "image"
    jitter: Fraction = 0.25
    blur: bool = True
    predict_with: Literal["student", "teacher"] = "student"
    started: int = field(default=0, init=False)
    said: Any = field(default=None, init=False)
    """``PseudoLabels`` of the running step, for methods that build on this one."""

    def setup(self, context: Context) -> None:
        """Create the teacher."""
        context.add("teacher", teacher_of(context.network))

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Let the teacher start from the student as it is when adaptation begins."""
        if phase.name != "warm_up":
            self.started = context.step
            copy_weights(context.modules["teacher"], context.network)

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source loss, mixed loss, one move, then the teacher follows."""
        _, losses = context.supervised(source, self.aux_source_weight)
        losses |= self.learn_mixed(context, source, target)
        context.update("network")
        if context.last_micro_batch:
            self.move_teacher(context)
        return losses

    def move_teacher(self, context: Context) -> None:
        """Let the teacher follow the student."""
        age = context.step - self.started
        follow(context.modules["teacher"], context.network, age, self.momentum)

    def learn_mixed(
        self, context: Context, source: SourceBatch, target: TargetBatch
    ) -> dict[str, Tensor]:
        """Make the passes over mixed images and return the weighted losses, detached."""
        said = self.said = self.said_by_teacher(context, target.images)
        mask = self.mask(context, source.labels)
        labels = mixed(mask, source.labels, said.labels)
        weights = mixed(mask, torch.ones_like(said.weights), said.weights)
        images = self.augmented(context, mixed(mask, source.images, target.images))
        output = context.forward(images, "target")
        losses = {
            "mixed": self.mixed_weight * self.pixel_loss(context, output.logits, labels, weights)
        }
        if output.aux_logits is not None:
            aux = self.pixel_loss(context, output.aux_logits, labels, weights)
            losses["mixed_aux"] = self.mixed_weight * self.aux_source_weight * aux
        context.backward(torch.stack(list(losses.values())).sum())
        return {name: loss.detach() for name, loss in losses.items()}

    def said_by_teacher(self, context: Context, images: Tensor) -> PseudoLabels:
        """Return pseudo-labels and weights of target images."""
        teacher = context.modules["teacher"]
        assert isinstance(teacher, SegmentationNetwork)
        return self.labelled(context.observe(ready(teacher), images))

    def labelled(self, output: Output) -> PseudoLabels:
        """Return pseudo-labels and weights from the output of the teacher."""
        return pseudo_labels(output.logits, self.threshold)

    def mask(self, context: Context, labels: Tensor) -> Tensor:
        """Return which pixels are taken from the source, (N, H, W) booleans."""
        pool = labels if self.classes_from == "batch" else None
        masks = [
            class_mask(one, self.chosen(context, one if pool is None else pool, number))
            for number, one in enumerate(labels)
        ]
        return torch.stack(masks)

    def chosen(self, context: Context, labels: Tensor, number: int) -> list[int]:
        """Draw the classes that are pasted from one source image."""
        rng = generator(context.seed, "class mix", context.step, context.micro_batch, number)
        return half_of(present_classes(labels), rng)

    def augmented(self, context: Context, images: Tensor) -> Tensor:
        """Return mixed images with other colours."""
        rng = generator(context.seed, "strong", context.step, context.micro_batch)
        return strongly_augmented(
            images,
            context.normalisation,
            rng,
            strength=self.jitter,
            blur_above=0.5 if self.blur else 1.0,
        )

    def pixel_loss(
        self, context: Context, logits: Tensor, labels: Tensor, weights: Tensor
    ) -> Tensor:
        """Return the loss of mixed images."""
        return mean_over_all_pixels(logits, labels, weights, context.class_weights)

    def predictor(
        self, network: SegmentationNetwork, modules: Mapping[str, nn.Module]
    ) -> nn.Module:
        """Return the student, or the teacher where the option says so."""
        return network if self.predict_with == "student" else modules["teacher"]

    def state_dict(self) -> dict[str, Any]:
        """Return when adaptation began."""
        return {"started": self.started}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.started = state["started"]
