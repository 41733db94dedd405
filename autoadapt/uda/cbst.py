"""CBST: class-balanced self-training, with spatial priors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from autoadapt.config.settings import Above0, Fraction, NotNegative, Positive
from autoadapt.data.priors import spatial_prior
from autoadapt.data.training import TrainingData
from autoadapt.uda._labelling import Labelling
from autoadapt.uda._mining import rarer_than, rarest
from autoadapt.uda._self_training import SelfTraining
from autoadapt.uda._thresholds import Confidences
from autoadapt.uda.base import Context, Needs, Phase


@dataclass
class Cbst(SelfTraining):
    """CBST (Zou et al., ECCV 2018): the surest pixels of each class become labels, in rounds.

    Differences to the released code: labels are made at the working size instead of a larger
    one; thresholds come from all confidences instead of every fourth; and a class list does not
    start with one artificial 0.

    Attributes:
        class_balanced: One threshold per class; else one for all, the paper's baseline "ST".
        spatial_priors: Multiply predictions by where source labels lie before thresholds and
            labels are made (CBST-SP); for domains that share a camera position.
        prior_kernel: Side of the Gaussian that smooths the prior, as a share of the height; 70 of
            1052 pixels as published.
        mined_rarest: Crops look for the rarest predicted classes, so many, where no class falls
            below ``mining_share``.
        rate_per_round: Factor on the learning rate for each round after the first.
    """

    summary = "self-training on the surest pixels of each class"
    paper = "Zou et al., Domain Adaptation via Class-Balanced Self-Training, ECCV 2018"
    needs: ClassVar[Needs] = Needs(rounds=6, stage_one=True)
    quick: ClassVar[Mapping[str, Any]] = {"rounds": 2, "portion": 0.3}
    smoke_options: ClassVar[Mapping[str, Any]] = {"spatial_priors": True}

    rounds: Positive = 6
    portion: Fraction = 0.15
    source_per_target: Above0 = 0.25
    source_growth: NotNegative = 0.021
    source_limit: Above0 = 0.5
    rate: Above0 = 0.0625
    rate_per_round: Above0 = 0.5**0.5
    class_balanced: bool = True
    spatial_priors: bool = False
    prior_kernel: Fraction = 0.067
    mined_rarest: Positive = 3

    def self_training(self, steps: int) -> tuple[Phase, ...]:
        """Return rounds, each at a lower rate than the one before."""
        decay = {"rate_per_round": self.rate_per_round}
        return (self.labelling_phase("self_training", steps, self.rounds, **decay),)

    def thresholds(self, confidences: Confidences, portion: float) -> Tensor:
        """Return the thresholds of the classes, (C,)."""
        return confidences.thresholds(portion, balanced=self.class_balanced)

    def draw_of(self, number: int) -> int:
        """Return one shuffling for all rounds: each has the source images of those before."""
        return 0

    def mined_classes(self) -> list[list[int]]:
        """Return the rare classes; without one in the image, the rarest."""
        shares = np.array(self.shares)
        return [rarer_than(shares, self.mining_share), rarest(shares, self.mined_rarest)]

    def labelling(self, context: Context, data: TrainingData) -> Labelling:
        """Return the passes of a round, which know where the classes lie in the source."""
        prior = self.source_prior(data) if self.spatial_priors else None
        return replace(super().labelling(context, data), prior=prior)

    def source_prior(self, data: TrainingData) -> Tensor:
        """Return the spatial prior (C, H, W) with a mean of 1 over the pixels of each class.

        The published one sums to 1; a factor for all pixels of all classes changes no label.
        """
        height, width = data.target.size
        kernel = max(1, round(self.prior_kernel * height))
        prior = spatial_prior(data.source, data.num_classes, size=data.target.size, kernel=kernel)
        return torch.from_numpy(prior * np.float32(height * width))
