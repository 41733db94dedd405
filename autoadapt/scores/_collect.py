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
from autoadapt.networks.contract import Output, upsample
from autoadapt.scores._kernel import region_statistics
from autoadapt.scores.base import RegionStatistics, Statistics

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
    """

    source: Iterable[Tensor]
    target: Iterable[Tensor]
    regions: RegionSource
    pixels_per_image: int
    seed: int


def collect(
    forward: Callable[[Tensor], Output],
    sample: Sample,
    *,
    costs: Mapping[str, float],
    modules: Sequence[nn.Module] = (),
    device: torch.device | str = "cpu",
) -> Statistics:
    """Run a candidate over the sample and keep what its scores need.

    Logits are upsampled to the size of the image before softmax. Outputs are read at the pixel
    that contains a location; features at the cell of the deep feature map that contains it, not
    interpolated, which would smooth coarse maps more than fine ones. Memory does not grow with
    the number of images but for the statistics themselves.

    Args:
        forward: A network, or the predictor of a UDA method.
        sample: What is looked at.
        costs: ``macs`` and ``params`` of the candidate.
        modules: All that must be in evaluation mode while ``forward`` runs; ``forward`` itself
            need not be listed. Their modes are restored.
        device: Where images go.

    Raises:
        ValueError: A domain has no image, or the regions do not fit the target images.
    """
    own = (forward,) if isinstance(forward, nn.Module) else ()
    with evaluating([*own, *modules]), torch.no_grad():
        source = _Domain("source", sample)
        for logits, deep in _images(forward, sample.source, device):
            source.add(logits, deep)
        target = _Domain("target", sample)
        regions: list[RegionStatistics] = []
        for logits, deep in _images(forward, sample.target, device):
            target.add(logits, deep)
            regions.append(_regions_of(logits, sample.regions, len(regions)))
    if len(regions) != len(sample.regions):
        raise ValueError(f"{len(regions)} target images, but {len(sample.regions)} region maps")
    return Statistics(
        regions=tuple(regions),
        source_features=source.stacked(source.features),
        target_features=target.stacked(target.features),
        source_outputs=source.stacked(source.outputs),
        target_outputs=target.stacked(target.outputs),
        costs=dict(costs),
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


def _images(
    forward: Callable[[Tensor], Output], batches: Iterable[Tensor], device: torch.device | str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (C, H, W) at the size of the image and deep features (D, h, w), per image."""
    for images in batches:
        output = forward(images.to(device))
        height, width = images.shape[-2:]
        for logits, deep in zip(output.logits, output.features.deep, strict=True):
            yield upsample(logits[None].float(), (height, width))[0], deep


def _regions_of(logits: Tensor, regions: RegionSource, index: int) -> RegionStatistics:
    if index >= len(regions):
        raise ValueError(f"more target images than the {len(regions)} region maps")
    labels = np.asarray(regions[index], np.int32)
    return region_statistics(logits, torch.from_numpy(labels), regions.count(index))


class _Domain:
    """Features and outputs at the locations of one domain, image after image."""

    def __init__(self, name: str, sample: Sample) -> None:
        self.name = name
        self.sample = sample
        self.features: list[Single] = []
        self.outputs: list[Single] = []

    def add(self, logits: Tensor, deep: Tensor) -> None:
        """Keep the locations of the next image."""
        places = locations(
            self.sample.seed, self.name, len(self.outputs), self.sample.pixels_per_image
        )
        self.features.append(_at(deep, places).float().cpu().numpy())
        self.outputs.append(_at(logits, places).float().softmax(1).cpu().numpy())

    def stacked(self, values: list[Single]) -> Single:
        """Return all images in one array.

        Raises:
            ValueError: There was no image.
        """
        if not values:
            raise ValueError(f"no {self.name} image to measure")
        return np.concatenate(values)


def _at(maps: Tensor, places: NDArray[np.float64]) -> Tensor:
    """Return the values (n, C) of maps (C, h, w) in the cells that contain places (n, 2)."""
    height, width = maps.shape[-2:]
    cells = (places * (height, width)).astype(np.int64)
    y, x = torch.from_numpy(cells).to(maps.device).unbind(1)
    return maps[:, y, x].T
