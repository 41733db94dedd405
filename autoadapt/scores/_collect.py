"""The pass over a fixed sample of both domains that all scores of a candidate are computed from."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoadapt import seeding
from autoadapt.data.batches import IGNORE
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.scores._agreement import pair_counts, vote_counts
from autoadapt.scores._kernel import region_statistics
from autoadapt.scores._views import Forward, View, class_map, views_of
from autoadapt.scores._zero_cost import IMAGES, classifier_of, proxies
from autoadapt.scores.base import Float, HeldOut, Need, RegionStatistics, Statistics

UNTRAINED = frozenset[Need]({"untrained", "curvature"})
"""Needs of the network as it was before training."""

ClassMap = NDArray[np.uint8]
Single = NDArray[np.float32]


class RegionSource(Protocol):
    """Region maps of the target images, in their order."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        """Return the regions of one image, (H, W), from 0."""

    def count(self, index: int) -> int:
        """Return the number of regions of one image."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What every candidate of a search is measured on.

    Attributes:
        source: Normalised source images in batches, (N, 3, H, W) float32; read once per
            candidate, so a list or a data loader in fixed order, not a generator.
        target: The same of the target, in the order of ``regions``.
        regions: Regions of each target image, at its height and width.
        pixels_per_image: Locations per image at which features and outputs are kept.
        seed: Of the locations.
        held_out: Labelled source images that no training saw, in batches of images and labels
            (N, H, W), read once per candidate if a score asks for them.
        source_prior: (C,) shares of the classes in the source labels.
        source_regions: Sums of the true labels over regions of source images.
        committee: Class maps of the target images, (N, H, W), by each model of a frozen committee.
    """

    source: Iterable[Tensor]
    target: Iterable[Tensor]
    regions: RegionSource
    pixels_per_image: int
    seed: int
    held_out: Iterable[tuple[Tensor, Tensor]] = ()
    source_prior: Float | None = None
    source_regions: Sequence[RegionStatistics] = ()
    committee: Sequence[ClassMap] = ()


def collect(
    forward: Forward,
    sample: Sample,
    *,
    costs: Mapping[str, float],
    modules: Sequence[nn.Module] = (),
    device: torch.device | str = "cpu",
    needs: frozenset[Need] = frozenset(),
    teacher: Forward | None = None,
    untrained: Callable[[], SegmentationNetwork] | None = None,
) -> Statistics:
    """Run a candidate over the sample and keep what its scores need.

    Logits are upsampled to the size of the image before softmax. Outputs are read at the pixel
    that contains a location; features at the cell of the deep feature map that contains it, not
    interpolated, which would smooth coarse maps more than fine ones. Memory does not grow with
    the number of images but for the statistics themselves.

    Every target image is read once; what some scores need besides, such as the predictions of
    the mirrored image, is computed while it is there, and only if ``needs`` names it. What cannot
    be had is left out: the scores that need it then say so.

    Args:
        forward: A network, or the predictor of a UDA method.
        sample: What is looked at.
        costs: ``macs`` and ``params`` of the candidate.
        modules: All that must be in evaluation mode while ``forward`` runs; ``forward`` itself
            need not be listed. Their modes are restored.
        device: Where images go.
        needs: Of all scores together (``Score.needs``).
        teacher: The averaged network beside the candidate, if its method has one.
        untrained: Builds the candidate as it was before training, the same each time.

    Raises:
        ValueError: A domain has no image, or the regions do not fit the target images.
    """
    own = [one for one in (forward, teacher) if isinstance(one, nn.Module)]
    with evaluating([*own, *modules]), torch.no_grad():
        parts = [part for module in [forward, *modules] for part in _parts(module)]
        source = _Domain("source", sample)
        for images in sample.source:
            source.add_all(_outputs(forward, images, device))
        views = views_of(needs, forward, parts, teacher, seed=sample.seed)
        target = _Target(sample, needs, views)
        for images in sample.target:
            target.add_images(forward, images, device)
        held_out = _held_out(forward, sample, device, needs) if "held_out" in needs else None
        first = target.first_images(device)
        network = next((part for part in parts if isinstance(part, SegmentationNetwork)), None)
        classifier = None
        if "classifier" in needs and network is not None:
            classifier = classifier_of(network, first[:1])
    if len(target.regions) != len(sample.regions):
        raise ValueError(
            f"{len(target.regions)} target images, but {len(sample.regions)} region maps"
        )
    return Statistics(
        regions=tuple(target.regions),
        source_features=source.stacked(source.features),
        target_features=target.stacked(target.features),
        source_outputs=source.stacked(source.outputs),
        target_outputs=target.stacked(target.outputs),
        costs=dict(costs),
        per_image=sample.pixels_per_image,
        held_out=held_out,
        source_prior=sample.source_prior if "source_prior" in needs else None,
        source_regions=tuple(sample.source_regions),
        agreements=target.agreements(),
        label_maps=target.label_maps(),
        classifier=None if classifier is None else classifier.double().cpu().numpy(),
        untrained=proxies(untrained, first, needs) if untrained and needs & UNTRAINED else {},
    )


@contextlib.contextmanager
def evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Switch modules to evaluation mode and afterwards each sub-module back to what it was."""
    parts = [part for module in modules for part in module.modules()]
    modes = [part.training for part in parts]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode


def locations(seed: int, domain: str, image: int, count: int) -> NDArray[np.float64]:
    """Return the fixed places looked at in one image, (count, 2): y and x in [0, 1)."""
    return seeding.generator(seed, "locations", domain, image).random((count, 2))


def _parts(forward: object) -> Iterator[nn.Module]:
    if isinstance(forward, nn.Module):
        yield from forward.modules()


def _outputs(
    forward: Forward, images: Tensor, device: torch.device | str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (C, H, W) at the size of the image and deep features (D, h, w), per image."""
    output = forward(images.to(device))
    height, width = images.shape[-2:]
    for logits, deep in zip(output.logits, output.features.deep, strict=True):
        yield upsample(logits[None].float(), (height, width))[0], deep


def _held_out(
    forward: Forward, sample: Sample, device: torch.device | str, needs: frozenset[Need]
) -> HeldOut | None:
    """Return what labelled source images give, or None where there is none."""
    domain = _Domain("held_out", sample)
    labels: list[NDArray[np.int64]] = []
    maps: list[ClassMap] = []
    counts: Float | None = None
    for images, truth in sample.held_out:
        for (logits, deep), label in zip(_outputs(forward, images, device), truth, strict=True):
            domain.add(logits, deep)
            labels.append(_at(label[None], domain.places(len(labels)))[:, 0].numpy())
            known = label.numpy() != IGNORE
            found = class_map(logits)
            more = pair_counts(label.numpy()[known], found[known], len(logits))
            counts = more if counts is None else counts + more
            if "label_maps" in needs:
                maps.append(np.where(known, found, np.uint8(IGNORE)))
    if counts is None:
        return None
    chosen = np.concatenate(labels) != IGNORE
    return HeldOut(
        domain.stacked(domain.features)[chosen],
        domain.stacked(domain.outputs)[chosen],
        np.concatenate(labels)[chosen],
        counts,
        np.stack(maps) if maps else None,
    )


class _Domain:
    """Features and outputs at the locations of one domain, image after image."""

    def __init__(self, name: str, sample: Sample) -> None:
        self.name = name
        self.sample = sample
        self.features: list[Single] = []
        self.outputs: list[Single] = []

    def places(self, image: int) -> NDArray[np.float64]:
        """Return the locations of an image."""
        return locations(self.sample.seed, self.name, image, self.sample.pixels_per_image)

    def add(self, logits: Tensor, deep: Tensor) -> None:
        """Keep the locations of the next image."""
        places = self.places(len(self.outputs))
        self.features.append(_at(deep, places).float().cpu().numpy())
        self.outputs.append(_at(logits, places).float().softmax(1).cpu().numpy())

    def add_all(self, images: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Keep the locations of several images."""
        for logits, deep in images:
            self.add(logits, deep)

    def stacked(self, values: list[Single]) -> Single:
        """Return all images in one array.

        Raises:
            ValueError: There was no image.
        """
        if not values:
            raise ValueError(f"no {self.name} image to measure")
        return np.concatenate(values)


class _Target(_Domain):
    """The target: also sums over regions, and what other opinions say of the same pixels."""

    def __init__(
        self, sample: Sample, needs: frozenset[Need], views: Mapping[Need, Sequence[View]]
    ) -> None:
        super().__init__("target", sample)
        self.needs = needs
        self.views = views
        self.regions: list[RegionStatistics] = []
        self.maps: list[ClassMap] = []
        self.first: list[Tensor] = []
        self.counts: dict[tuple[str, int], Float] = {}
        self.previous: ClassMap | None = None
        self.has_opinions = bool(views) or bool(needs & {"committee", "label_maps"})

    def add_images(self, forward: Forward, images: Tensor, device: torch.device | str) -> None:
        """Measure the next images."""
        if self.needs & {"classifier", *UNTRAINED}:
            self.first += list(images[: IMAGES - len(self.first)])
        first, moved = len(self.regions), images.to(device)
        others = {
            need: [list(view(moved, first)) for view in views] for need, views in self.views.items()
        }
        for position, (logits, deep) in enumerate(_outputs(forward, images, device)):
            self.add(logits, deep)
            self.regions.append(_regions_of(logits, self.sample.regions, first + position))
            if self.has_opinions:
                own = class_map(logits)
                for need, views in others.items():
                    for number, maps in enumerate(views):
                        self._compare(need, number, own, maps[position])
                self._ask_committee(own, first + position)
                self.previous = own

    def _compare(self, need: Need, number: int, own: ClassMap, logits: Tensor) -> None:
        size = (own.shape[0], own.shape[1])
        other = class_map(upsample(logits[None].float(), size)[0])
        if need != "mixed":
            self._count(need, number, pair_counts(own, other, self.classes))
        elif self.previous is not None and self.previous.shape == own.shape:
            same = own == self.previous
            for name, where in (("mixed_intra", same), ("mixed_inter", ~same)):
                self._count(name, 0, pair_counts(own[where], other[where], self.classes))

    def _ask_committee(self, own: ClassMap, index: int) -> None:
        if "label_maps" in self.needs:
            self.maps.append(own)
        if "committee" not in self.needs or not self.sample.committee:
            return
        members = [member[index] for member in self.sample.committee]
        for number, member in enumerate(members):
            self._count("committee", number, pair_counts(own, member, self.classes))
        self._count("ensemble", 0, vote_counts(own, members, self.classes))

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.outputs[0].shape[1])

    def _count(self, name: str, number: int, more: Float) -> None:
        before = self.counts.get((name, number))
        self.counts[name, number] = more if before is None else before + more

    def agreements(self) -> dict[str, tuple[Float, ...]]:
        """Return the counts of pairs of classes, by opinion."""
        found: dict[str, tuple[Float, ...]] = {}
        for (name, _), counts in self.counts.items():
            found[name] = (*found.get(name, ()), counts)
        return found

    def label_maps(self) -> ClassMap | None:
        """Return the predicted classes of all images, if they are needed and of one size."""
        sizes = {own.shape for own in self.maps}
        return np.stack(self.maps) if len(sizes) == 1 else None

    def first_images(self, device: torch.device | str) -> Tensor:
        """Return the first images that were kept, (n, 3, H, W)."""
        return torch.stack(self.first).to(device) if self.first else torch.empty(0)


def _regions_of(logits: Tensor, regions: RegionSource, index: int) -> RegionStatistics:
    if index >= len(regions):
        raise ValueError(f"more target images than the {len(regions)} region maps")
    labels = np.asarray(regions[index], np.int32)
    return region_statistics(logits, torch.from_numpy(labels), regions.count(index))


def _at(maps: Tensor, places: NDArray[np.float64]) -> Tensor:
    """Return the values (n, C) of maps (C, h, w) in the cells that contain places (n, 2)."""
    height, width = maps.shape[-2:]
    cells = (places * (height, width)).astype(np.int64)
    y, x = torch.from_numpy(cells).to(maps.device).unbind(1)
    return maps[:, y, x].T
