"""What CCM compares between the domains: layouts of images and looks of classes."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.nn import functional

from autoadapt.data.batches import IGNORE
from autoadapt.data.rows import Rows

Layouts = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Where classes lie from top to bottom (N, C, H) and from left to right (N, C, W)."""

TINY = 1e-30
"""Inside logarithms, as in the released code: an absent class is very far away."""


def layouts(shares: Tensor) -> Layouts:
    """Return how each class is spread over rows and columns, each summing to 1 or all 0.

    Args:
        shares: (N, C, H, W): probabilities, or ones and zeros of labels.
    """
    found = []
    for axis in (3, 2):
        sums = shares.sum(dim=axis)
        total = sums.sum(dim=2, keepdim=True)
        found.append((sums / total.clamp(min=TINY)).cpu().numpy().astype(np.float32))
    return found[0], found[1]


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return label maps (N, H, W) as (N, C, H, W) ones and zeros; void is 0 everywhere."""
    known = torch.where(labels == IGNORE, num_classes, labels.long())
    return functional.one_hot(known, num_classes + 1)[..., :num_classes].permute(0, 3, 1, 2).float()


BYTES = 4
"""Of a number of a layout."""


def as_bytes(spread: Layouts) -> NDArray[np.uint8]:
    """Return layouts as rows of a file, (N, C, H + W, ``BYTES``)."""
    return np.concatenate(spread, axis=2)[..., None].view(np.uint8)


@dataclass(frozen=True)
class Spread:
    """The layouts of many images, in a file of ``as_bytes``: memory holds one class of them.

    Attributes:
        rows: The file.
        size: Height and width of the images.
    """

    rows: Rows
    size: tuple[int, int]

    def of_classes(self, axis: int) -> Iterator[NDArray[np.float32]]:
        """Yield the layouts of each class along an axis, (N, L)."""
        start = sum(self.size[:axis])
        for number in range(self.rows.shape[0]):
            yield np.stack(
                [
                    self.rows.read([index])[0].view(np.float32)[number, start:, 0][
                        : self.size[axis]
                    ]
                    for index in range(len(self.rows.digests))
                ]
            )


def centres_of(
    classes: Iterable[NDArray[np.float32]], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the k-means centres of the layouts of each class, (K, C, L).

    Args:
        classes: For each class its layouts in the target images, (N, L).
        count: Number of centres, at most N.
        rng: Chooses the images whose layouts are the first centres.
    """
    found = []
    for spread in classes:
        with warnings.catch_warnings():
            # A class that few images show has fewer different layouts than centres.
            warnings.simplefilter("ignore", UserWarning)
            points = spread.astype(np.float64)
            centres, _ = kmeans2(points, min(count, len(points)), minit="points", rng=rng)
        found.append(np.nan_to_num(centres))
    return np.stack(found, axis=1).astype(np.float32)


def layout_distances(
    centres: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return how far source layouts are from the target (CCM, eq. 3), (N,); small is near.

    The mean over centres and classes of the KL divergence of a source layout from a centre. A
    class that the source image lacks counts as about 69 on top.

    Args:
        centres: (K, C, L).
        spread: (N, C, L).
    """
    wanted = centres.astype(np.float64)
    own = (wanted * np.log(wanted + TINY)).sum()
    cross = np.einsum("kcl,ncl->n", wanted, np.log(spread.astype(np.float64) + TINY))
    distances: NDArray[np.float64] = (own - cross) / (wanted.shape[0] * wanted.shape[1])
    return distances


@dataclass
class Prototypes:
    """The mean softened prediction of the pixels of each class, weighted by their number.

    The released code weighs the mean so far with the new count, which was hardly meant; this is
    the mean over all pixels.

    Attributes:
        temperature: Logits are divided by it.
        sums: (C, C), row k of the predictions of pixels of class k.
        counts: (C,) pixels.
    """

    num_classes: int
    temperature: float = 2.0
    sums: Tensor = field(init=False)
    counts: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.sums = torch.zeros(self.num_classes, self.num_classes, dtype=torch.float64)
        self.counts = torch.zeros(self.num_classes, dtype=torch.int64)

    def state_dict(self) -> dict[str, Any]:
        """Return sums and counts."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take back what ``state_dict`` returned."""
        self.sums, self.counts = state["sums"], state["counts"]

    def add(self, logits: Tensor, mask: Tensor) -> None:
        """Count the pixels of a batch (N, C, H, W) that a mask (N, H, W) selects."""
        soft = (logits / self.temperature).softmax(dim=1)
        label = soft.argmax(dim=1)[mask]
        chosen = soft.permute(0, 2, 3, 1)[mask].double()
        sums = torch.zeros_like(self.sums, device=chosen.device).index_add_(0, label, chosen)
        self.sums += sums.cpu()
        self.counts += torch.bincount(label, minlength=self.num_classes).cpu()

    @property
    def means(self) -> Tensor:
        """(C, C) float32; a class without pixels has the certain prediction of itself."""
        empty = self.counts == 0
        means = self.sums / self.counts.clamp(min=1)[:, None]
        means[empty] = torch.eye(self.num_classes, dtype=means.dtype)[empty]
        return means.float()


def similar_pixels(
    probabilities: Tensor, labels: Tensor, prototypes: Tensor, portion: float
) -> Tensor:
    """Return the labels of source pixels that look like their class does in the target.

    Per class of the image: the KL divergence of the prediction from the prototype, and of the
    pixels of that class the share with the smallest ones (CCM, eqs. 5 and 6). Pixels at the
    limit are left out.

    Args:
        probabilities: (C, H, W) prediction of one image.
        labels: (H, W) class indices or ``IGNORE``.
        prototypes: (C, C).
        portion: Share of the pixels of each class that is kept.

    Returns:
        (H, W) uint8, ``IGNORE`` where nothing is kept.
    """
    kept = torch.full_like(labels, IGNORE, dtype=torch.uint8)
    similarity = similarities(probabilities, prototypes)
    for number in torch.unique(labels[labels != IGNORE]).tolist():
        own = labels == number
        ranked = (similarity[number] * own).flatten().sort(descending=True).values
        # In float32, as officially: 0.9 of 10 pixels is 9, and of 30 is 26.
        limit = int(np.float32(portion) * np.float32(int(own.sum())))
        keeping = own & (similarity[number] > ranked[min(limit, len(ranked) - 1)])
        kept[keeping] = number
    return kept


def similarities(probabilities: Tensor, prototypes: Tensor) -> Tensor:
    """Return how near each pixel's prediction is to each prototype, (C, H, W), 0 the farthest."""
    entropy = (prototypes * (prototypes + TINY).log()).sum(dim=1)
    cross = torch.einsum("kc,chw->khw", prototypes, (probabilities + TINY).log())
    distance = entropy[:, None, None] - cross
    return distance.amax(dim=(1, 2), keepdim=True) - distance


def surest(confidence: Tensor, portion: float) -> Tensor:
    """Return which pixels of each image are among its surest, (N, H, W) booleans.

    Strictly above the value at the place ``portion * H * W`` from the top, counted from 1.

    Args:
        confidence: (N, H, W).
        portion: Share of the pixels of an image.
    """
    flat = confidence.flatten(1)
    place = max(0, int(portion * flat.shape[1]) - 1)
    limit = flat.sort(dim=1, descending=True).values[:, place]
    return confidence > limit[:, None, None]


def over_threshold(probabilities: Tensor, thresholds: Tensor, *, any_class: bool) -> Tensor:
    """Return which pixels exceed a class threshold, (N, H, W) booleans.

    Args:
        probabilities: (N, C, H, W).
        thresholds: (C,).
        any_class: Of any class, as the released code asks; else of the most probable one.
    """
    over = probabilities > thresholds.to(probabilities)[:, None, None]
    if any_class:
        return over.any(dim=1)
    return over.gather(1, probabilities.argmax(dim=1, keepdim=True))[:, 0]


def nearest(distances: NDArray[np.float64], count: int) -> Sequence[int]:
    """Return the positions of the smallest distances, in ascending order of position."""
    order = np.argsort(distances, kind="stable")[:count]
    return sorted(int(place) for place in order)
