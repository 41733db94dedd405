"""What scores are computed from, and the contract of a score."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Value = TypeVar("Value")
Sampled = TypeVar("Sampled", Float, NDArray[np.float32])

Need = Literal[
    "held_out",
    "source_prior",
    "source_regions",
    "mirrored",
    "jittered",
    "scaled",
    "dropped",
    "mixed",
    "batch_norm",
    "teacher",
    "committee",
    "pool",
    "label_maps",
    "classifier",
    "untrained",
    "curvature",
    "latency",
]
"""What only some scores need; it is measured when one of them is asked for."""

HOW: Mapping[Need, str] = {
    "held_out": "labelled source images that training does not see; set data.source.hold_out",
    "source_prior": "the shares of the classes in the labels of the source",
    "source_regions": "regions of labelled source images",
    "mirrored": "predictions of mirrored target images",
    "jittered": "predictions of target images with other brightness and contrast",
    "scaled": "predictions of smaller and larger target images",
    "dropped": "predictions without some of the channels of the deep features",
    "mixed": "predictions of mixed pairs of target images",
    "batch_norm": "predictions with the batch-norm statistics of each target image",
    "teacher": "a teacher: a method that trains one, such as dacs, or training.ema",
    "committee": "models that do not change; list their files under scoring.committee",
    "pool": "the predictions of all candidates, which a search does not know yet",
    "label_maps": "the predicted classes of the target images",
    "classifier": "a network whose heads end in convolutions with one channel per class",
    "untrained": "the architecture itself, to be built without training",
    "curvature": "the architecture itself, for second derivatives before training",
    "latency": "the time that one image takes, measured after training",
}
"""What has to be there for each."""

BEYOND: Mapping[Need, str] = {
    "held_out": "labelled source images",
    "source_prior": "source class shares",
    "source_regions": "source regions",
    "mirrored": "mirrored images",
    "jittered": "jittered images",
    "scaled": "rescaled images",
    "dropped": "dropped channels",
    "mixed": "mixed images",
    "batch_norm": "images one by one",
    "teacher": "a teacher",
    "committee": "a committee",
    "pool": "all models",
    "untrained": "the untrained network",
    "curvature": "the untrained network",
    "latency": "timing",
}
"""What takes more than the one pass over both samples, in few words; the other needs do not."""


def entropy(p: Float) -> Float:
    """Return the entropy of the last axis in nats; 0 log 0 = 0, and NaN stays NaN."""
    positive = np.where(p <= 0, 1.0, p)
    # Adding zero turns the -0.0 of a certain prediction into 0.0.
    result: Float = -(positive * np.log(positive)).sum(-1) + 0.0
    return result


@dataclass(frozen=True)
class RegionStatistics:
    """Sums over the regions of one target image (R regions, C classes).

    What several scores need of them is derived once, when first asked for.

    Attributes:
        areas: (R,) pixels per region.
        p_sum: (R, C) sum of class probabilities, S in ``scores.md``.
        plogp_sum: (R, C) sum of p log p in nats, T in ``scores.md``; 0 log 0 = 0.
        hard: (R, C) pixels whose most probable class this is.
    """

    areas: Float
    p_sum: Float
    plogp_sum: Float
    hard: Float

    @cached_property
    def mean_prediction(self) -> Float:
        """(R, C) mean of the class probabilities; 0 in an empty region."""
        mean: Float = self.p_sum / np.maximum(self.areas, 1.0)[:, None]
        return mean

    @cached_property
    def mean_entropy(self) -> Float:
        """(R,) entropy of the mean prediction in nats; 0 in an empty region."""
        return entropy(self.mean_prediction)

    @cached_property
    def pixel_entropy(self) -> Float:
        """(R,) sum of the entropies of the pixels in nats."""
        total: Float = 0.0 - self.plogp_sum.sum(1)
        return total

    @cached_property
    def class_mass(self) -> Float:
        """(C,) sum of the class probabilities of all pixels."""
        mass: Float = self.p_sum.sum(0)
        return mass


@dataclass(frozen=True)
class HeldOut:
    """Labelled source images that no training saw (k locations with a label, C classes).

    Attributes:
        features: (k, D) deep features.
        outputs: (k, C) class probabilities.
        labels: (k,) their labels, never void.
        counts: (C, C) labelled pixels by label (row) and predicted class.
        label_maps: (N, H, W) predicted classes, void where there is no label; if asked for.
    """

    features: NDArray[np.float32]
    outputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    counts: Float
    label_maps: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class Pool:
    """How far the K candidates of a closed pool agree (``_pool.pool_of``).

    Attributes:
        agreement: By measure, (K, K) agreement of each pair on the target; 1 with oneself.
        ensemble: By measure, (K,) agreement with the ensemble of all; None if it is not known.
        held_out_agreement: (K, K) share of labelled held-out source pixels where a pair agrees.
        held_out_accuracy: (K,) share of them that is right.
    """

    agreement: Mapping[str, Float]
    ensemble: Mapping[str, Float] | None = None
    held_out_agreement: Float | None = None
    held_out_accuracy: Float | None = None


@dataclass(frozen=True)
class Statistics:
    """Everything a label-free score may look at, for one candidate.

    What follows ``costs`` is there only if a score asked for it and it could be had.

    Attributes:
        regions: One entry per target image.
        source_features: (n, D) deep features at fixed source locations.
        target_features: (m, D) deep features at fixed target locations.
        source_outputs: (n, C) class probabilities at the same source locations.
        target_outputs: (m, C) class probabilities at the same target locations.
        costs: ``macs`` and ``params`` of the architecture, and ``latency`` in seconds if asked for.
        per_image: Locations of one image; they follow each other in all samples but ``held_out``.
        held_out: Labelled source images that no training saw.
        source_prior: (C,) shares of the classes in the source labels.
        source_regions: One entry per source image: what a network would give that predicts its
            labels with certainty; void pixels are left out.
        agreements: By name, one (C, C) count of target pixels per other opinion: row the class
            predicted by the candidate, column that of the other view or model. Mostly the name is
            the need; of mixed pairs there are ``mixed_intra`` and ``mixed_inter``, of the committee
            also ``ensemble``, where a pixel counts for each class with most votes in equal parts.
        label_maps: (N, H, W) predicted classes of the target images, which need one size.
        classifier: (C, K) weights of the last layer, one row per class.
        untrained: Zero-cost proxies of the architecture by name, before training.
        pool: All candidates of a closed pool; never there in a search.
        place: Which of them this candidate is.
    """

    regions: tuple[RegionStatistics, ...]
    source_features: NDArray[np.float32]
    target_features: NDArray[np.float32]
    source_outputs: NDArray[np.float32]
    target_outputs: NDArray[np.float32]
    costs: dict[str, float]
    per_image: int = 1
    held_out: HeldOut | None = None
    source_prior: Float | None = None
    source_regions: tuple[RegionStatistics, ...] = ()
    agreements: Mapping[str, tuple[Float, ...]] = field(default_factory=dict)
    label_maps: NDArray[np.uint8] | None = None
    classifier: Float | None = None
    untrained: Mapping[str, float] = field(default_factory=dict)
    pool: Pool | None = None
    place: int = 0


def needed(value: Value | None, need: Need) -> Value:
    """Return what a score needs.

    Raises:
        ValueError: It was not measured; says what has to be there.
    """
    if value is None:
        raise ValueError(f"it needs {HOW[need]}")
    return value


def sampled(outputs: NDArray[np.float32]) -> Float:
    """Return sampled class probabilities, (N, C), in double precision.

    Raises:
        ValueError: There is none, or one is not finite.
    """
    if outputs.size == 0:
        raise ValueError("no target location was sampled")
    if not np.isfinite(outputs).all():
        raise ValueError("a sampled class probability is not finite")
    return outputs.astype(np.float64)


def by_image(values: Sampled, per_image: int) -> Sampled:
    """Return what was sampled, (n, D), image by image: (n / per_image, per_image, D).

    Raises:
        ValueError: The samples do not fill whole images.
    """
    if len(values) % per_image:
        raise ValueError(f"{len(values)} locations are no multiple of {per_image} per image")
    return values.reshape(-1, per_image, values.shape[1])


class Score(ABC):
    """A label-free number about a candidate; smaller is better, always.

    A score is a dataclass: its fields are its options. Calling it raises ``ValueError`` when the
    statistics do not define it; the record then says why, and the score is absent.
    """

    summary: ClassVar[str]

    @property
    def needs(self) -> frozenset[Need]:
        """What must be measured besides the sums and samples that are always there."""
        return frozenset()

    @abstractmethod
    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
