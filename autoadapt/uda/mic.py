"""MIC: consistency of masked target images, added to any other method."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autoadapt.config.settings import Fraction, NotNegative, Positive
from autoadapt.data.batches import TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.seeding import generator
from autoadapt.uda._hosted import Hosted
from autoadapt.uda._mixing import PseudoLabels, mean_over_all_pixels, pseudo_labels
from autoadapt.uda._strong import strongly_augmented
from autoadapt.uda._teacher import copy_weights, follow, ready, teacher_of
from autoadapt.uda.base import Context, Needs, Phase
from autoadapt.uda.dacs import Dacs

BLOCKS = 16
"""Blocks along the shorter side of an image: 64 pixels of 1024, and 32 of 512, as published."""


@dataclass
class Mic(Hosted):
    """Masked image consistency (Hoyer et al., CVPR 2023) on top of a host method.

    The student must predict a target image, of which it sees a third in blocks, as the teacher
    predicts the whole one. A host with a mean teacher shares it; others get one of their own.

    Attributes:
        masked_weight: Weight of the consistency loss.
        mask_ratio: Share of the blocks that are hidden.
        mask_block: Side of a block in pixels; absent: a sixteenth of the shorter side.
        mask_threshold: Probability from which a pixel of the teacher counts as sure.
        teacher_momentum: Of a teacher of its own.
        mask_jitter: Strength of the change of colours before masking; 0 for none.
    """

    summary = "masked image consistency on top of another method (option host)"
    paper = "Hoyer et al., MIC, CVPR 2023"
    needs: ClassVar[Needs] = Needs(networks=("a mean teacher",))
    small: ClassVar[Mapping[str, Any]] = {"warm_up": 0.3}
    smoke_options: ClassVar[Mapping[str, Any]] = {
        "host": "dacs",
        "host_options": {"threshold": 0.0},
    }

    masked_weight: NotNegative = 1.0
    mask_ratio: Fraction = 0.7
    mask_block: Positive | None = None
    mask_threshold: Fraction = 0.968
    teacher_momentum: Fraction = 0.999
    mask_jitter: Fraction = 0.2
    host: str = "da_former"
    started: int = field(default=0, init=False)

    def setup(self, context: Context) -> None:
        """Set up the host, and a teacher if it has none."""
        super().setup(context)
        self.own_teacher = "teacher" not in context.modules
        if self.own_teacher:
            context.add("teacher", teacher_of(context.network))

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Let the host prepare, and a teacher of its own start from the student."""
        super().begin_round(context, data, phase, index)
        if self.own_teacher and not phase.name.endswith("warm_up"):
            self.started = context.step
            copy_weights(context.modules["teacher"], context.network)

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Take the step of the host, with the gradients of masked images added to its own."""
        if phase.name.endswith("warm_up"):
            return super().train_step(context, phase, batch)
        if self.own_teacher and context.micro_batch == 0:
            age = context.step - self.started
            follow(context.modules["teacher"], context.network, age, self.teacher_momentum)
        losses: dict[str, Tensor] = {}
        context.before_move = lambda: losses.update(self.learn_masked(context, batch.target))
        try:
            return super().train_step(context, phase, batch) | losses
        finally:
            context.before_move = None

    def learn_masked(self, context: Context, target: TargetBatch) -> dict[str, Tensor]:
        """Make the passes over masked images and return the weighted loss, detached."""
        said = self.said_by_teacher(context, target.images)
        rng = generator(context.seed, "mask", context.step, context.micro_batch)
        strength = self.mask_jitter
        images = strongly_augmented(target.images, context.normalisation, rng, strength=strength)
        size = (images.shape[2], images.shape[3])
        uniform = rng.random((len(images), *grid(size, self.mask_block)))
        seen = block_mask(uniform, size, self.mask_ratio).to(images)
        output = context.forward(images * seen, "target")
        loss = self.masked_weight * mean_over_all_pixels(output.logits, said.labels, said.weights)
        context.backward(loss)
        return {"masked": loss.detach()}

    def said_by_teacher(self, context: Context, images: Tensor) -> PseudoLabels:
        """Return what the teacher says about whole images: the host's, if it has asked already."""
        if isinstance(self.guest, Dacs) and self.guest.said is not None:
            said: PseudoLabels = self.guest.said
            return said
        teacher = context.modules["teacher"]
        assert isinstance(teacher, SegmentationNetwork)
        output = context.observe(ready(teacher), images)
        return pseudo_labels(output.logits, self.mask_threshold)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the host, and when adaptation began."""
        return super().state_dict() | {"started": self.started}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.started = state["started"]


def grid(size: tuple[int, int], block: int | None) -> tuple[int, int]:
    """Return how many blocks an image of a size (H, W) has along each side."""
    side = block or max(1, round(min(size) / BLOCKS))
    height, width = (max(1, round(length / side)) for length in size)
    return height, width


def block_mask(uniform: NDArray[np.float64], size: tuple[int, int], ratio: float) -> Tensor:
    """Return what is kept of images: 1 where the number of a block lies above the ratio, else 0.

    Args:
        uniform: (N, h, w) uniform numbers in [0, 1), one per block.
        size: Height and width of the images.
        ratio: Share of blocks to be hidden.

    Returns:
        (N, 1, H, W); the mask is the same for all channels.
    """
    kept = (torch.from_numpy(uniform) > ratio).float()[:, None]
    return functional.interpolate(kept, size=size, mode="nearest")
