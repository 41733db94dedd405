"""FDA: source images in the low frequencies of target images."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from autoadapt.config.settings import Above0, Fraction, NotNegative
from autoadapt.data.batches import IGNORE, SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.transforms import from_pixels, to_pixels
from autoadapt.data.views import relabelled
from autoadapt.errors import ConfigError
from autoadapt.networks.batch_norm import set_policy
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.uda._ensemble import Ensemble
from autoadapt.uda._fourier import Window, with_low_frequencies
from autoadapt.uda._labelling import Labelling
from autoadapt.uda._losses import cross_entropy, robust_entropy
from autoadapt.uda.base import Context, Method, Needs, Phase, divided, network_optimizer

Band = Annotated[float, Field(ge=0, le=0.5)]


@dataclass
class Fda(Method):
    """FDA (Yang and Soatto, CVPR 2020): Fourier transfer, and entropy of the target.

    With several ``bands`` it is the multi-band transfer: a network per band, trained on the same
    images side by side, which predict together. ``rounds`` of self-supervised training may
    follow: all networks start anew, with pseudo-labels of the ensemble on the target.

    The released code trains on an asymmetric window (``corners``); the default is the symmetric
    one of the paper. Released entropy is of logits before they are enlarged, here after it.

    Attributes:
        bands: ``beta`` of each network: share of the shorter side, as a reach in frequencies.
        window: Which frequencies these are.
        entropy_weight: Of the robust entropy of target predictions.
        eta: Its exponent; above 0.5 sure pixels count less than unsure ones.
        entropy_from: Share of the steps after which it counts (released: a third, or 0).
        rounds: Rounds of self-supervised training; 2 as published, 0 for none.
        portion: Share of the pixels of each class that become pseudo-labels.
        cap: Probability above which a pixel always becomes one.
    """

    summary = "source images in the low frequencies of the target"
    paper = "Yang and Soatto, FDA, CVPR 2020"
    needs: ClassVar[Needs] = Needs(
        networks=("a network per further band",), predictor=True, one_size=True
    )
    small: ClassVar[Mapping[str, Any]] = {"bands": (0.05,)}
    smoke_options: ClassVar[Mapping[str, Any]] = {
        "bands": (0.01, 0.09),
        "rounds": 1,
        "portion": 1.0,
    }

    bands: tuple[Band, ...] = (0.01,)
    window: Window = "symmetric"
    entropy_weight: NotNegative = 0.005
    eta: Above0 = 2.0
    entropy_from: Fraction = 0.0
    rounds: Annotated[int, Field(ge=0)] = 0
    portion: Fraction = 0.34
    cap: Fraction = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        self.labels = ""
        self.entropy_starts = 0

    def check(self, network: SegmentationNetwork, data: TrainingData) -> None:
        """Refuse images of two sizes, and no band at all."""
        super().check(network, data)
        if not self.bands:
            raise ConfigError("fda.bands is empty; expected one number per network, such as [0.01]")

    def setup(self, context: Context) -> None:
        """Create a network with an optimiser of its own for each further band."""
        for number in range(1, len(self.bands)):
            twin = copy.deepcopy(context.network).train()
            set_policy(twin, self.batch_norm)
            twin.to(context.device)
            context.add(f"band{number}", twin, network_optimizer(twin, context.settings))

    def members(self, context: Context) -> Iterator[tuple[str, float, Context]]:
        """Yield the name of the optimiser, the band and the context of each network."""
        yield "network", self.bands[0], context
        for number, band in enumerate(self.bands[1:], start=1):
            twin = context.modules[f"band{number}"]
            assert isinstance(twin, SegmentationNetwork)
            yield f"band{number}", band, replace(context, network=twin)

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Divide the steps evenly between the first training and the rounds after it."""
        first, *others = divided(steps, [1] * (1 + self.rounds))
        again = (
            Phase("self_train", length, batch_norm=self.batch_norm, restart="everything")
            for length in others
        )
        return tuple(phase for phase in (*super().phases(first), *again) if phase.steps)

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Decide when entropy counts; before a round of self-training, label the target."""
        if phase.name == "adapt":
            self.entropy_starts = context.step + round(self.entropy_from * phase.steps)
        if phase.name == "self_train":
            self.entropy_starts = context.step
            self.labels = self.label(context, data)

    def label(self, context: Context, data: TrainingData) -> str:
        """Store pseudo-labels of the ensemble and return where."""
        predictor = self.predictor(context.network, context.modules)
        labelling = Labelling(context, data, predictor)
        thresholds = labelling.confidences().thresholds(self.portion, cap=self.cap)
        stored = labelling.store(
            lambda probabilities: {"labels": sure_labels(probabilities, thresholds)},
            thresholds,
            {"labels": data.target.size},
        )
        labelling.note(self.portion, thresholds)
        return stored["labels"]

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Add the target images with their pseudo-labels in rounds of self-training."""
        if phase.name != "self_train":
            return data
        labelled = relabelled(data.target, context.stored(self.labels), data.source.classes)
        return replace(data, further={**data.further, "pseudo": labelled})

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Warm up all networks alike; otherwise adapt, with pseudo-labels where there are some."""
        losses: dict[str, Tensor] = {}
        for name, band, member in self.members(context):
            if phase.name == "warm_up":
                _, found = member.supervised(batch.source, self.aux_source_weight)
            else:
                found = self.learn(member, band, batch)
            suffix = "" if name == "network" else f"_{name}"
            losses |= {tagged(loss, suffix): value for loss, value in found.items()}
            context.update(name)
        return losses

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Take the step of the first network alone."""
        losses = self.learn(context, self.bands[0], StepBatch(source, target))
        context.update("network")
        return losses

    def learn(self, context: Context, band: float, batch: StepBatch) -> dict[str, Tensor]:
        """Make the passes of one network and return its weighted losses, detached."""
        images = self.translated(context, batch.source.images, batch.target.images, band)
        source = replace(batch.source, images=images)
        _, losses = context.supervised(source, self.aux_source_weight)
        if "pseudo" in batch.further:
            losses |= self.learn_pseudo(context, batch.further["pseudo"])
        if self.entropy_weight and context.step >= self.entropy_starts:
            logits = context.forward(batch.target.images, "target").logits
            uncertain = self.entropy_weight * robust_entropy(logits, self.eta)
            context.backward(uncertain)
            losses["entropy"] = uncertain.detach()
        return losses

    def learn_pseudo(self, context: Context, batch: SourceBatch) -> dict[str, Tensor]:
        """Learn the pseudo-labels of target images."""
        logits = context.forward(batch.images, "target").logits
        loss = cross_entropy(logits, batch.labels, context.class_weights)
        context.backward(loss)
        return {"pseudo": loss.detach()}

    def translated(self, context: Context, source: Tensor, target: Tensor, band: float) -> Tensor:
        """Return source images in the low frequencies of target images, as network input.

        Raises:
            ConfigError: Images of the two domains differ in size.
        """
        if source.shape != target.shape:
            raise ConfigError(
                f"fda needs source and target images of one size, got {tuple(source.shape[2:])} "
                f"and {tuple(target.shape[2:])}; set data.crop, or one data.size for both"
            )
        pixels = [to_pixels(images, context.normalisation) for images in (source, target)]
        swapped = with_low_frequencies(pixels[0], pixels[1], band, self.window)
        return from_pixels(swapped, context.normalisation)

    def predictor(
        self, network: SegmentationNetwork, modules: Mapping[str, nn.Module]
    ) -> nn.Module:
        """Return the network, or the ensemble of all."""
        others = [modules[f"band{number}"] for number in range(1, len(self.bands))]
        return Ensemble([network, *others]) if others else network

    def state_dict(self) -> dict[str, Any]:
        """Return where pseudo-labels are and from when on entropy counts."""
        return {"labels": self.labels, "entropy_starts": self.entropy_starts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.labels, self.entropy_starts = state["labels"], state["entropy_starts"]


def tagged(loss: str, suffix: str) -> str:
    """Return the name of a loss with that of its network, ``aux`` still at the end."""
    return f"{loss.removesuffix('_aux')}{suffix}_aux" if loss.endswith("_aux") else loss + suffix


def sure_labels(probabilities: Tensor, thresholds: Tensor) -> Tensor:
    """Return the most probable class of each pixel that reaches its threshold, else ``IGNORE``.

    Args:
        probabilities: (N, C, H, W).
        thresholds: (C,).

    Returns:
        (N, H, W) uint8.
    """
    best, label = probabilities.max(dim=1)
    return torch.where(best < thresholds.to(best)[label], IGNORE, label).to(torch.uint8)
