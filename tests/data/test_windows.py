from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.transforms import CONVENTIONS, Transform, denormalise
from autoadapt.data.windows import WindowDraw, Windows
from autoadapt.errors import ConfigError

ANY = DatasetSettings(kind="procedural")
PLAIN = DataSettings(source=ANY, target=ANY, size=(12, 17), flip=False)


def noise(n: int = 6, height: int = 12, width: int = 17) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (n, height, width, 3), np.uint8)


def test_streams_are_those_of_the_first_version() -> None:
    """Numbers recorded before scales, hue and blur were added: they must not move the others."""
    settings = replace(PLAIN, flip=True, crop=(5, 8), jitter=0.4)
    images = noise()
    x, y = Transform(settings, 11).pairs(images, images[..., 0] % 4, "source", 5)
    assert y[:, 0, :4].tolist() == [
        [3, 0, 0, 3],
        [3, 2, 3, 3],
        [0, 2, 1, 3],
        [3, 0, 2, 3],
        [2, 2, 0, 2],
        [1, 2, 1, 0],
    ]
    expected = torch.tensor([0.335109, -0.448621, 0.976195, 0.927314])
    torch.testing.assert_close(x[0, 0, 0, :4], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("change", [{"hue": 0.3}, {"blur": 1.0}, {"jitter": 0.5}])
def test_colours_do_not_move_windows_or_mirrors(change: dict[str, Any]) -> None:
    images = noise(6, 24, 30)
    settings = replace(PLAIN, size=(24, 30), crop=(17, 19), flip=True, scales=(0.8, 1.0, 1.3))
    plain, labels = Transform(settings, 1).pairs(images, images[..., 0], "source", 2)
    coloured, same = Transform(replace(settings, **change), 1).pairs(
        images, images[..., 0], "source", 2
    )
    assert torch.equal(labels, same)
    assert not torch.equal(plain, coloured)


def test_an_image_is_scaled_and_then_cut() -> None:
    images = noise(1)
    windows = Windows((5, 8), np.array([[18, 25]]), np.array([[3, 4]]))
    scaled = np.asarray(Image.fromarray(images[0]).resize((25, 18), Image.Resampling.BICUBIC))
    seen = windows.images(images, Image.Resampling.BICUBIC, (0, 0, 0))
    assert np.array_equal(seen[0], scaled[3:8, 4:12])
    near = np.asarray(Image.fromarray(images[0, ..., 0]).resize((25, 18), Image.Resampling.NEAREST))
    assert np.array_equal(windows.labels(images[..., 0])[0], near[3:8, 4:12])


def test_a_small_image_is_padded_below_and_to_the_right() -> None:
    windows = Windows((9, 20), np.array([[6, 17]]), np.array([[0, 0]]))
    seen = windows.images(noise(1, 6, 17), Image.Resampling.BICUBIC, (1, 2, 3))[0]
    assert np.array_equal(seen[:6, :17], noise(1, 6, 17)[0])
    assert (seen[6:] == (1, 2, 3)).all()
    assert (seen[:, 17:] == (1, 2, 3)).all()
    labels = windows.labels(np.zeros((1, 6, 17), np.uint8))[0]
    assert (labels[:6, :17] == 0).all()
    assert (labels[6:] == IGNORE).all()
    assert (labels[:, 17:] == IGNORE).all()


@pytest.mark.parametrize("convention", list(CONVENTIONS))
def test_padding_is_nearly_zero_to_the_network(convention: Any) -> None:
    settings = replace(PLAIN, crop=(12, 17), scales=(0.5,), normalisation=convention)
    x = Transform(settings, 0).images(np.full((1, 12, 17, 3), 200, np.uint8), "source", 0)
    padded = x[0, :, 6:]
    assert padded.abs().max() < (0.5 if convention == "caffe_bgr" else 0.01)
    assert x[0, :, :6, :8].abs().min() > 0.5


def test_every_scale_is_drawn_and_no_other() -> None:
    settings = replace(PLAIN, crop=(8, 8), scales=(1.0, 1.5, 2.0))
    sizes = set()
    for step in range(10):
        windows = WindowDraw(settings, 0, "source", step).of_images(6, (12, 17))
        assert windows is not None
        sizes |= {(int(height), int(width)) for height, width in windows.sizes}
        assert (windows.corners + windows.crop <= windows.sizes).all()
    # round(25.5) is the even neighbour
    assert sizes == {(12, 17), (18, 26), (24, 34)}


def test_a_crop_that_one_class_fills_is_drawn_again() -> None:
    labels = np.zeros((40, 12, 30), np.uint8)
    labels[:, :, 15:] = 1
    settings = replace(PLAIN, crop=(12, 10), crop_max_share=0.75)
    plain = WindowDraw(replace(settings, crop_max_share=1.0), 0, "source", 0).of_pairs(labels)
    varied = WindowDraw(settings, 0, "source", 0).of_pairs(labels)
    assert plain is not None
    assert varied is not None
    before, after = (
        windows.labels(labels).reshape(40, -1).mean(axis=1) for windows in (plain, varied)
    )
    dull = (np.maximum(before, 1 - before) >= 0.75).sum()
    still = (np.maximum(after, 1 - after) >= 0.75).sum()
    # 14 of 21 corners are dull: ten more draws leave (2/3)^10 = 1.7 % of them
    assert dull > 20
    assert still < 5
    fine = np.maximum(before, 1 - before) < 0.75
    assert np.array_equal(plain.corners[fine], varied.corners[fine])


def test_void_neither_fills_a_crop_nor_makes_it_varied() -> None:
    labels = np.full((1, 12, 17), IGNORE, np.uint8)
    labels[0, :3] = 1
    draw = WindowDraw(replace(PLAIN, crop=(12, 17), crop_max_share=0.75), 0, "source", 0)
    assert not draw._varied(labels[0])
    labels[0, :2] = 2
    assert draw._varied(labels[0])


def test_the_clear_and_the_augmented_view_show_the_same() -> None:
    settings = replace(PLAIN, size=(24, 30), crop=(17, 19), flip=True, hue=0.4, blur=1.0)
    images = noise(4, 24, 30)
    transform = Transform(settings, 5)
    clear, augmented, labels = transform.clear_and_augmented(images, images[..., 0], "source", 3)
    x, y = transform.pairs(images, images[..., 0], "source", 3)
    assert torch.equal(augmented, x)
    assert torch.equal(labels, y)
    assert np.array_equal(denormalise(clear, "imagenet")[..., 0], labels.numpy())
    assert not torch.equal(clear, augmented)


def test_blur_reaches_the_given_share_of_the_images() -> None:
    images = noise(40, 16, 18)
    settings = replace(PLAIN, size=(16, 18), blur=0.5)
    x = Transform(settings, 0).images(images, "source", 0)
    same = [np.array_equal(a, b) for a, b in zip(denormalise(x, "imagenet"), images, strict=True)]
    # 20 of 40 expected, and of the blurred ones a few with a deviation too small to be seen
    assert 10 < sum(same) < 35


def test_scales_without_a_crop_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.scales needs data.crop"):
        Transform(replace(PLAIN, scales=(0.5, 1.0)), 0)


def test_source_and_target_have_sizes_of_their_own() -> None:
    settings = replace(
        PLAIN,
        source=replace(ANY, size=(40, 60)),
        target=replace(ANY, size=(30, 50)),
        evaluation=ANY,
    )
    sizes = {key: settings.size_of(key) for key in settings.datasets}
    assert sizes == {"source": (40, 60), "target": (30, 50), "evaluation": (30, 50)}
    with pytest.raises(ConfigError, match=r"larger than the target images \[30, 50\]"):
        Transform(replace(settings, crop=(35, 50)), 0)
    own = replace(settings, evaluation=replace(ANY, size=(80, 90)))
    assert own.size_of("evaluation") == (80, 90)
    further = replace(settings, further_sources={"more": ANY})
    assert further.size_of("further_sources.more") == (40, 60)


def test_a_chosen_pixel_is_in_the_middle_as_far_as_the_image_reaches() -> None:
    """Crops of 4 x 6: row 7 - 2 = 5, column 9 - 3 = 6; then the upper left and lower right end."""
    settings = replace(PLAIN, crop=(4, 6), flip=False)
    centres = np.array([[7, 9], [0, 1], [11, 16], [-1, -1]])
    draw = WindowDraw(settings, 3, "pseudo", 5, centres)
    windows = draw.of_images(4, (12, 17))
    assert windows is not None
    assert windows.corners[:3].tolist() == [[5, 6], [0, 0], [8, 11]]
    random = WindowDraw(settings, 3, "pseudo", 5).of_images(4, (12, 17))
    assert random is not None
    assert windows.corners[3].tolist() == random.corners[3].tolist()


def test_a_chosen_pixel_moves_with_the_scale() -> None:
    """At half size pixel (8, 10) of 12 x 17 lies at (4, 4); minus half a crop of 2 x 4: (3, 2)."""
    settings = replace(PLAIN, crop=(2, 4), scales=(0.5,))
    windows = WindowDraw(settings, 3, "pseudo", 5, np.array([[8, 10]])).of_images(1, (12, 17))
    assert windows is not None
    assert windows.sizes.tolist() == [[6, 8]]
    assert windows.corners.tolist() == [[3, 2]]


def test_a_chosen_crop_is_not_drawn_again() -> None:
    labels = np.zeros((2, 12, 17), np.uint8)
    labels[:, 0, 0] = 1
    settings = replace(PLAIN, crop=(4, 6), crop_max_share=0.75)
    windows = WindowDraw(settings, 3, "pseudo", 5, np.array([[6, 8], [7, 9]])).of_pairs(labels)
    assert windows is not None
    assert windows.corners.tolist() == [[4, 5], [5, 6]]


def test_maps_beside_labels_show_the_same_places_at_any_scale() -> None:
    labels = noise()[..., 0]
    maps = np.stack([labels, labels[:, ::-1]], axis=-1)
    settings = replace(PLAIN, crop=(9, 13), scales=(0.6, 1.0, 1.7), flip=True)
    images = noise()
    for step in range(3):
        _, classes, (plain, deep, absent) = Transform(settings, 4).with_maps(
            (labels, maps, None), images, labels, purpose="pseudo", step=step
        )
        assert absent is None
        assert plain is not None
        assert deep is not None
        assert deep.shape == (6, 2, 9, 13)
        assert torch.equal(plain, deep[:, 0])
        padded = (plain == 0) & (classes == IGNORE)
        assert torch.equal(plain[~padded].long(), classes[~padded])
