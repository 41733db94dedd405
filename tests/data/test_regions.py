"""Partitions into regions, and their file."""

import dataclasses
import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from autoadapt.config.settings import RegionSettings
from autoadapt.data.regions import RegionMaps, border_lengths, compact, merge_small, partition
from autoadapt.errors import DataError

Image = NDArray[np.uint8]
Algorithm = Literal["slic", "grid", "felzenszwalb", "cws"]
ALGORITHMS: tuple[Algorithm, ...] = ("slic", "grid", "felzenszwalb", "cws")


def picture(seed: int, height: int = 72, width: int = 110) -> Image:
    """Smooth random colours with a sharp step in the middle."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = gaussian_filter(noise, (6, 6, 0)) * 900
    smooth[:, width // 2 :] += 80
    image: Image = np.clip(smooth + 90, 0, 255).astype(np.uint8)
    return image


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_partition_law(algorithm: Algorithm) -> None:
    settings = RegionSettings(algorithm=algorithm)
    image = picture(1)

    regions = partition(image, settings)

    assert regions.shape == (72, 110)
    assert regions.dtype == np.uint16
    areas = np.bincount(regions.ravel())
    assert areas.min() >= settings.smallest
    assert len(areas) > 4
    np.testing.assert_array_equal(regions, partition(image.copy(), settings))


@pytest.mark.parametrize("algorithm", ["slic", "grid", "cws"])
def test_regions_are_connected(algorithm: Algorithm) -> None:
    regions = partition(picture(2), RegionSettings(algorithm=algorithm))

    for region in range(regions.max() + 1):
        assert label(regions == region)[1] == 1


@pytest.mark.parametrize("algorithm", ["slic", "grid", "cws"])
def test_default_number_of_regions_is_one_per_655_pixels(algorithm: Algorithm) -> None:
    # 128 * 256 / 655 = 50.03; algorithms miss the number asked for by a third at most.
    regions = partition(picture(3, 128, 256), RegionSettings(algorithm=algorithm))

    assert regions.max() + 1 == pytest.approx(50, abs=17)


def test_number_of_regions_can_be_asked_for() -> None:
    # 3 rows of 5 have the shape of the image: 72 : 110 = 3 : 4.6.
    regions = partition(picture(3), RegionSettings(algorithm="grid", segments=14))

    assert regions.max() + 1 == 15
    assert regions[0, 0] == 0
    assert regions[-1, -1] == 14
    assert len(np.unique(regions[:, 0])) == 3


def test_slic_follows_the_step_in_the_middle() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    image[:, 47:] = 200
    regions = partition(image, RegionSettings(segments=12))

    assert not set(regions[:, :46].ravel()) & set(regions[:, 48:].ravel())


def test_image_smaller_than_the_smallest_region_is_one_region() -> None:
    for algorithm in ALGORITHMS:
        regions = partition(picture(4, 3, 4), RegionSettings(algorithm=algorithm))
        np.testing.assert_array_equal(regions, np.zeros((3, 4)))


@pytest.mark.parametrize(
    "image", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), np.zeros((0, 5, 3), np.uint8)]
)
def test_not_an_image(image: NDArray[Any]) -> None:
    with pytest.raises(DataError, match="expected an image"):
        partition(image, RegionSettings())


def test_too_many_regions() -> None:
    settings = RegionSettings(algorithm="grid", segments=300 * 300, smallest=1)

    with pytest.raises(DataError, match="90000 regions in one image, at most 65536"):
        partition(np.zeros((300, 300, 3), np.uint8), settings)


def test_compact_keeps_the_order() -> None:
    np.testing.assert_array_equal(compact(np.array([[7, 2], [7, 30]])), [[1, 0], [1, 2]])


def test_borders_are_counted_in_pixel_edges() -> None:
    labels = np.array([[0, 0, 1], [0, 2, 1], [0, 2, 2]])

    # 0|1: top row. 0|2: (1,0)-(1,1), (2,0)-(2,1), (0,1)-(1,1). 1|2: (1,1)-(1,2), (1,2)-(2,2).
    assert border_lengths(labels) == {0: {1: 1, 2: 3}, 1: {0: 1, 2: 2}, 2: {0: 3, 1: 2}}


def test_small_regions_join_the_neighbour_with_the_longest_border() -> None:
    labels = np.array([[0, 0, 0, 1, 1], [0, 0, 2, 1, 1], [3, 3, 3, 1, 1]])

    # Region 2 has one pixel, borders 0: 2 (left, above), 1: 1, 3: 1; region 3 has three pixels.
    np.testing.assert_array_equal(
        merge_small(labels, 2), [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [2, 2, 2, 1, 1]]
    )
    # Below 4: then 3 joins 0, which it now touches on 3 edges, 1 on one.
    np.testing.assert_array_equal(
        merge_small(labels, 4), [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    )


def test_merging_goes_on_until_regions_are_large_enough() -> None:
    labels = np.arange(35).reshape(5, 7)

    merged = merge_small(labels, 6)

    areas = np.bincount(merged.ravel())
    assert areas.min() >= 6
    assert len(areas) > 1
    for region in range(len(areas)):
        assert label(merged == region)[1] == 1


class Pictures:
    """A set of images that counts how often one is asked for."""

    def __init__(self, count: int) -> None:
        self.images = [picture(seed, 30 + 2 * seed, 50) for seed in range(count)]
        self.asked = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image:
        self.asked += 1
        return self.images[index]


GRID = RegionSettings(algorithm="grid", segments=6)


def test_maps_are_those_of_partition(tmp_path: Path) -> None:
    pictures = Pictures(4)
    settings = RegionSettings(segments=9)

    maps = RegionMaps.open(pictures, "abc", settings, tmp_path)

    assert len(maps) == 4
    for index in range(4):
        expected = partition(pictures.images[index], settings)
        np.testing.assert_array_equal(maps[index], expected)
        assert maps[index].dtype == np.uint16
        assert maps.count(index) == expected.max() + 1


def test_second_opening_does_not_look_at_images(tmp_path: Path) -> None:
    pictures = Pictures(3)
    first = RegionMaps.open(pictures, "abc", GRID, tmp_path)
    pictures.asked = 0

    second = RegionMaps.open(pictures, "abc", GRID, tmp_path)

    assert pictures.asked == 0
    assert second == first


@pytest.mark.parametrize(
    ("content", "settings"),
    [("other", GRID), ("abc", dataclasses.replace(GRID, segments=7)), ("abc", RegionSettings())],
)
def test_other_images_or_parameters_have_another_file(
    tmp_path: Path, content: str, settings: RegionSettings
) -> None:
    first = RegionMaps.open(Pictures(2), "abc", GRID, tmp_path)

    assert RegionMaps.open(Pictures(2), content, settings, tmp_path).path != first.path


def test_workers_at_the_same_time_cut_once(tmp_path: Path) -> None:
    pictures = Pictures(3)
    results = []

    def work() -> None:
        results.append(RegionMaps.open(pictures, "abc", GRID, tmp_path))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pictures.asked == 3
    assert len(set(results)) == 1
    assert len(results) == 5


def test_a_crash_leaves_nothing_behind(tmp_path: Path) -> None:
    pictures = Pictures(3)
    good = pictures.images[2]
    pictures.images[2] = good[..., 0]
    with pytest.raises(DataError, match="expected an image"):
        RegionMaps.open(pictures, "abc", GRID, tmp_path)
    assert not list(tmp_path.glob("*.regions"))

    pictures.images[2] = good
    assert len(RegionMaps.open(pictures, "abc", GRID, tmp_path)) == 3


def test_file_is_small(tmp_path: Path) -> None:
    class One:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Image:
            return picture(0, 256, 512)

    maps = RegionMaps.open(One(), "abc", RegionSettings(), tmp_path)

    # 262144 bytes as it is.
    assert maps.path.stat().st_size < 20_000


@pytest.mark.parametrize("keep", [5, 40, -30, -1])
def test_damaged_files_are_named(tmp_path: Path, keep: int) -> None:
    path = RegionMaps.open(Pictures(2), "abc", GRID, tmp_path).path
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(DataError, match=r"grid-.*are damaged .*delete the file"):
        RegionMaps.open(Pictures(2), "abc", GRID, tmp_path)


def test_damaged_maps_are_named(tmp_path: Path) -> None:
    maps = RegionMaps.open(Pictures(2), "abc", GRID, tmp_path)
    content = bytearray(maps.path.read_bytes())
    offset = maps.entries[1][0]
    content[offset : offset + 8] = b"\xff" * 8
    maps.path.write_bytes(content)

    assert maps[0].shape == (30, 50)
    with pytest.raises(DataError, match="are damaged"):
        maps[1]
