"""The pass over the sample: what is read where, and what is left as it was."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoadapt.networks.contract import Features, Output
from autoadapt.scores._collect import Sample, collect, locations

HEIGHT, WIDTH, CLASSES = 8, 12, 3


class Bands:
    """Region maps of as many images as asked for: rows of two regions, one above the other."""

    def __init__(self, images: int) -> None:
        self.images = images

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        return np.repeat([0, 1], [2, 6]).astype(np.uint16)[:, None].repeat(WIDTH, 1)

    def count(self, index: int) -> int:
        return 2


class Net(nn.Module):
    """Logits at stride 1 are the image; deep features at stride 4 are its block means."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.drop.eval()
        self.seen_training: list[bool] = []

    def forward(self, images: Tensor) -> Output:
        self.seen_training.append(self.training or self.norm.training)
        assert not torch.is_grad_enabled()
        deep = nn.functional.avg_pool2d(images, 4)
        return Output(images, Features(deep, deep, deep), None)


def images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, CLASSES, HEIGHT, WIDTH, generator=generator)


def sample(source: Tensor, target: Tensor, batch: int = 2) -> Sample:
    return Sample(
        source=[source[i : i + batch] for i in range(0, len(source), batch)],
        target=[target[i : i + batch] for i in range(0, len(target), batch)],
        regions=Bands(len(target)),
        pixels_per_image=5,
        seed=3,
    )


def test_reads_features_and_outputs_at_the_same_places() -> None:
    source, target = images(2, 0), images(3, 1)

    found = collect(Net(), sample(source, target), costs={"macs": 7.0})

    # Image 2 of the target, its location 4: the third batch of five rows ends there.
    y, x = locations(3, "target", 2, 5)[4]
    row, column = int(y * HEIGHT), int(x * WIDTH)
    np.testing.assert_allclose(
        found.target_outputs[14], target[2, :, row, column].softmax(0).numpy(), rtol=1e-6
    )
    block = target[2, :, row // 4 * 4 :, column // 4 * 4 :][:, :4, :4]
    np.testing.assert_allclose(found.target_features[14], block.mean((1, 2)).numpy(), rtol=1e-5)
    assert found.source_features.shape == (10, 3)
    assert found.target_outputs.shape == (15, CLASSES)
    assert found.costs == {"macs": 7.0}


def test_sums_every_target_image_over_its_regions() -> None:
    target = images(3, 1)

    found = collect(Net(), sample(images(1, 0), target), costs={}).regions

    assert len(found) == 3
    np.testing.assert_array_equal(found[1].areas, [2 * WIDTH, 6 * WIDTH])
    p = target[1].double().softmax(0)
    np.testing.assert_allclose(found[1].p_sum[0], p[:, :2].sum((1, 2)).numpy(), rtol=1e-6)
    np.testing.assert_allclose(
        found[1].plogp_sum[1], (p * p.log())[:, 2:].sum((1, 2)).numpy(), rtol=1e-5
    )


def test_batches_do_not_matter() -> None:
    source, target = images(3, 0), images(5, 1)

    one = collect(Net(), sample(source, target, batch=1), costs={})
    many = collect(Net(), sample(source, target, batch=4), costs={})

    np.testing.assert_array_equal(one.target_features, many.target_features)
    np.testing.assert_array_equal(one.source_outputs, many.source_outputs)
    np.testing.assert_array_equal(one.regions[4].p_sum, many.regions[4].p_sum)


def test_logits_are_upsampled_before_softmax() -> None:
    def coarse(batch: Tensor) -> Output:
        low = batch[:, :, :: HEIGHT - 1, :: WIDTH - 1]  # the four corners
        return Output(low, Features(low, low, low), None)

    target = images(1, 1)
    found = collect(coarse, sample(images(1, 0), target), costs={})

    # Bilinear with aligned corners: row r is (1 - r/7) of the top and r/7 of the bottom.
    corners = target[0, :, :: HEIGHT - 1, :: WIDTH - 1].double()
    rows = torch.linspace(0, 1, HEIGHT, dtype=torch.float64)
    columns = torch.linspace(0, 1, WIDTH, dtype=torch.float64)
    left = corners[:, 0, 0, None] * (1 - rows) + corners[:, 1, 0, None] * rows
    right = corners[:, 0, 1, None] * (1 - rows) + corners[:, 1, 1, None] * rows
    full = left[:, :, None] * (1 - columns) + right[:, :, None] * columns
    np.testing.assert_allclose(
        found.regions[0].p_sum[0], full.softmax(0)[:, :2].sum((1, 2)).numpy(), rtol=1e-5
    )


def test_every_module_is_put_back_into_its_mode() -> None:
    net, helper = Net(), nn.Sequential(nn.Dropout(0.5))
    net.train()
    net.drop.eval()
    seen = []

    def forward(batch: Tensor) -> Output:
        seen.append(helper[0].training)
        output: Output = net(batch)
        return output

    collect(forward, sample(images(1, 0), images(1, 1)), costs={}, modules=(net, helper))

    assert net.seen_training == [False, False]
    assert seen == [False, False]
    assert (net.training, net.norm.training, net.drop.training) == (True, True, False)
    assert helper[0].training


def test_modes_come_back_after_an_error_too() -> None:
    net = Net()
    with pytest.raises(ValueError, match="no source image"):
        collect(net, sample(images(1, 0)[:0], images(1, 1)), costs={})

    assert net.training


def test_locations_depend_on_seed_domain_and_image_alone() -> None:
    places = locations(3, "target", 2, 400)

    np.testing.assert_array_equal(places, locations(3, "target", 2, 400))
    assert places.shape == (400, 2)
    assert places.min() >= 0
    assert places.max() < 1
    # Mean of 400 uniform numbers: sd 0.289 / 20 = 0.0144; five of them.
    np.testing.assert_allclose(places.mean(0), 0.5, atol=0.072)
    for other in (
        locations(4, "target", 2, 400),
        locations(3, "source", 2, 400),
        locations(3, "target", 1, 400),
    ):
        assert (places != other).all()


@pytest.mark.parametrize(
    ("maps", "message"), [(2, "more target images than the 2"), (4, "3 target images, but 4")]
)
def test_as_many_region_maps_as_target_images(maps: int, message: str) -> None:
    target = images(3, 1)
    wrong = Sample(
        source=[images(1, 0)],
        target=[target],
        regions=Bands(maps),
        pixels_per_image=2,
        seed=0,
    )

    with pytest.raises(ValueError, match=message):
        collect(Net(), wrong, costs={})
