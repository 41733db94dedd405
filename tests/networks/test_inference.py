"""Averages over scales, mirrored images and windows, and the way logits become labels."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from autoadapt.networks.inference import Views, class_maps, class_scores, window_starts


def halved(images: Tensor) -> Tensor:
    """A stand-in for a network of stride 2: the upper left pixel of each square."""
    return images[..., ::2, ::2]


def noise(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(3).normal(size=shape)).float()


def test_one_plain_view_is_the_network_and_a_resize() -> None:
    images = noise(2, 3, 8, 12)
    found = class_scores(halved, images, (16, 20))
    wanted = interpolate(halved(images), size=(16, 20), mode="bilinear", align_corners=True)
    assert torch.equal(found, wanted)
    assert torch.equal(class_maps(halved, images, (16, 20)), wanted.argmax(1).to(torch.uint8))


def test_aligned_corners_by_hand() -> None:
    # one row of 2 to 5 pixels: the ends stay, between them steps of (6 - 2) / 4 = 1
    found = class_scores(lambda x: x, torch.tensor([[[[2.0, 6.0]]]]), (1, 5))
    np.testing.assert_allclose(found[0, 0, 0], [2, 3, 4, 5, 6])


def test_pixel_centres_by_hand() -> None:
    # 2 to 4 pixels: centres at (i + .5) / 2 - .5 = -.25, .25, .75, 1.25, cut to [0, 1]
    views = Views(corners=False)
    found = class_scores(lambda x: x, torch.tensor([[[[2.0, 6.0]]]]), (1, 4), views)
    np.testing.assert_allclose(found[0, 0, 0], [2, 3, 5, 6])


def test_both_ways_equal_the_recorded_ones(vectors: Path) -> None:
    recorded = np.load(vectors / "bilinear_upsampling.npz")
    logits = torch.from_numpy(recorded["in_logits"])
    height, width = (int(side) for side in recorded["in_size"])
    for corners, name in ((True, "out_up"), (False, "out_up_not_aligned")):
        found = class_scores(lambda x: x, logits, (height, width), Views(corners=corners))
        np.testing.assert_allclose(found, recorded[name], rtol=1e-5, atol=1e-5)


def test_the_mirrored_view_is_mirrored_back() -> None:
    # the network keeps every second column from the left; the mirrored image gives it the others
    images = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]).expand(1, 1, 2, 4)
    found = class_scores(halved, images, (1, 2), Views(flip=True))
    # plain: 1, 3; mirrored 4, 2, turned back: 2, 4; mean 1.5, 3.5
    np.testing.assert_allclose(found[0, 0], [[1.5, 3.5]])


def test_a_symmetric_image_gains_nothing_from_its_mirror_image() -> None:
    def smooth(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images, 3, stride=2, padding=1)

    half = noise(1, 3, 7, 6)
    images = torch.cat([half, half.flip(-1)[..., 1:]], dim=-1)  # 11 columns, mirrored at the 6th
    plain = class_scores(smooth, images, (14, 22))
    torch.testing.assert_close(class_scores(smooth, images, (14, 22), Views(flip=True)), plain)
    torch.testing.assert_close(plain.flip(-1), plain)


def test_logits_or_probabilities_are_averaged() -> None:
    # two classes, two pixels; the mirrored view sees them exchanged
    images = torch.tensor([[[[4.0, 0.0]], [[0.0, 0.0]]]])

    def first_pixel_twice(view: Tensor) -> Tensor:
        return view[..., :1].expand_as(view)

    logits = class_scores(first_pixel_twice, images, (1, 2), Views(flip=True))
    np.testing.assert_allclose(logits[0, :, 0, 0], [2, 0])  # (4 + 0) / 2 and 0
    both = class_scores(
        first_pixel_twice, images, (1, 2), Views(flip=True, average="probabilities")
    )
    # softmax(4, 0) = .98201379, .01798621 and softmax(0, 0) = .5, .5
    np.testing.assert_allclose(both[0, :, 0, 0], [0.741006895, 0.258993105], rtol=1e-6)


def test_scales_are_bilinear_between_pixel_centres_and_rounded_as_opencv_rounds() -> None:
    sizes: list[tuple[int, int]] = []

    def noting(view: Tensor) -> Tensor:
        sizes.append((view.shape[2], view.shape[3]))
        return view

    images = torch.tensor([[[[2.0, 6.0]]]]).expand(1, 1, 3, 2)
    found = class_scores(noting, images, (3, 2), Views(scales=(1.0, 2.0)))
    # at scale 2 a row is 2, 3, 5, 6 (see above); back to 2 with corners aligned: 2, 6
    assert sizes == [(3, 2), (6, 4)]
    np.testing.assert_allclose(found[0, 0], [[2, 6]] * 3)
    sizes.clear()
    class_scores(noting, noise(1, 1, 1024, 2048), (4, 4), Views(scales=(0.9,)))
    assert sizes == [(922, 1843)]  # 921.6 and 1843.2


def test_several_scales_and_mirrors_are_one_mean() -> None:
    images = noise(2, 3, 9, 14)
    views = Views(scales=(0.5, 1.0), flip=True)
    wanted = torch.zeros(2, 3, 11, 13)
    for scale in ((4, 7), (9, 14)):
        scaled = interpolate(images, size=scale, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            view = scaled.flip(-1) if mirrored else scaled
            up = interpolate(halved(view), size=(11, 13), mode="bilinear", align_corners=True)
            wanted += (up.flip(-1) if mirrored else up) / 4
    torch.testing.assert_close(class_scores(halved, images, (11, 13), views), wanted)


def test_the_network_s_output_and_the_images_stay_as_they_are() -> None:
    images = noise(1, 2, 4, 6)
    before = images.clone()
    class_scores(lambda x: x, images, (4, 6), Views(scales=(1.0, 1.0), flip=True))
    assert torch.equal(images, before)


def test_classes_instead_of_logits_are_resized_between_pixel_centres() -> None:
    logits = torch.tensor([[[[0.0, 1.0, 0.0]], [[0.5, 0.5, 2.0]]]])  # classes 1, 0, 1
    found = class_maps(lambda x: x, logits, (1, 5), resize="classes")
    # centres of 5 pixels in 3: .3, .9, 1.5, 2.1, 2.7: pixels 0, 0, 1, 2, 2
    assert found.tolist() == [[[1, 1, 0, 1, 1]]]
    assert found.dtype == torch.uint8
    blended = class_maps(lambda x: x, logits, (1, 5))
    # bilinear: class 0: 0, .5, 1, .5, 0; class 1: .5, .5, .5, 1.25, 2; the first of equals wins
    assert blended.tolist() == [[[1, 0, 0, 1, 1]]]


@pytest.mark.parametrize(
    ("length", "window", "stride", "starts"),
    [
        (2048, 1024, 512, [0, 512, 1024]),
        (10, 4, 4, [0, 4, 6]),
        (10, 4, 3, [0, 3, 6]),
        (7, 7, 2, [0]),
        (8, 7, 7, [0, 1]),
    ],
)
def test_windows_cover_a_side_and_end_with_it(
    length: int, window: int, stride: int, starts: list[int]
) -> None:
    found = window_starts(length, window, stride)
    assert found == starts
    assert found[-1] + window == length
    assert all(after - before <= window for before, after in pairwise(found))


def test_windows_are_averaged_where_they_overlap() -> None:
    def own_mean(view: Tensor) -> Tensor:
        return view.mean(dim=(2, 3), keepdim=True).expand_as(view)

    images = torch.tensor([0.0, 3.0, 6.0, 9.0, 12.0])[None, None, None].expand(1, 1, 2, 5)
    views = Views(window=(2, 3), stride=(2, 2))
    # windows at columns 0-2 (mean 3) and 2-4 (mean 9); they share the third column
    found = class_scores(own_mean, images, (2, 5), views)
    np.testing.assert_allclose(found[0, 0], [[3, 3, 6, 9, 9]] * 2)


def test_a_window_larger_than_the_image_is_the_image() -> None:
    images = noise(1, 3, 6, 10)
    found = class_scores(halved, images, (12, 20), Views(window=(64, 64)))
    # the logits pass through the size of the window, here that of the image
    first = interpolate(halved(images), size=(6, 10), mode="bilinear", align_corners=True)
    wanted = interpolate(first, size=(12, 20), mode="bilinear", align_corners=True)
    torch.testing.assert_close(found, wanted)


def test_a_pixelwise_network_does_not_notice_windows() -> None:
    images = noise(2, 3, 9, 13)
    found = class_scores(lambda x: 2 * x, images, (9, 13), Views(window=(4, 5), stride=(3, 2)))
    torch.testing.assert_close(found, 2 * images)
