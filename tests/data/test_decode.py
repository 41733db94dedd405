from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.data.decode import (
    BrokenFileError,
    image_size,
    nearest,
    read_colours,
    read_ids,
    read_image,
    read_red16,
)
from autoadapt.errors import DataError
from tests.data.trees import write_png as png


def noise(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_an_image_of_the_working_size_is_returned_untouched(tmp_path: Path) -> None:
    pixels = noise(5, 7)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", (5, 7)), pixels)


def test_height_comes_first(tmp_path: Path) -> None:
    Image.fromarray(noise(30, 70)).save(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (30, 70)
    assert read_image(tmp_path / "a.png", (11, 13)).shape == (11, 13, 3)


def test_reduction_averages_instead_of_dropping_pixels(tmp_path: Path) -> None:
    # Alternating black and white columns: nearest neighbour would give one of them.
    stripes = np.zeros((32, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    small = read_image(tmp_path / "a.png", (8, 16))
    assert np.abs(small[:, 2:-2].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_images_of_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    name = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(noise(6, 9)).convert(mode).save(name)
    assert read_image(name, (6, 9)).shape == (6, 9, 3)


def test_a_palette_image_with_transparency_raises_no_warning(tmp_path: Path) -> None:
    Image.fromarray(noise(6, 9)).convert("P").save(tmp_path / "a.png", transparency=b"\0\x80")
    assert read_image(tmp_path / "a.png", (6, 9)).shape == (6, 9, 3)


def test_a_16_bit_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 5), 40000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(BrokenFileError, match="more than 8 bits"):
        read_image(tmp_path / "a.png", (4, 5))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"BM" + bytes(100), "not a JPEG or PNG"),
    ],
)
def test_what_is_not_an_image_says_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BrokenFileError, match=reason):
        read_image(tmp_path / "a.png", (4, 5))
    with pytest.raises(BrokenFileError, match=reason):
        read_ids(tmp_path / "a.png")
    with pytest.raises(BrokenFileError, match=reason):
        read_red16(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_truncated_image_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise(60, 80)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenFileError):
        read_image(path, (6, 8))


def test_a_png_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(60, 80)).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BrokenFileError):
        read_image(path, (6, 8))


def test_a_file_that_vanished_is_not_called_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png cannot be opened: No such file"):
        read_image(tmp_path / "gone.png", (4, 5))
    with pytest.raises(DataError, match=r"gone\.png cannot be opened: No such file"):
        read_ids(tmp_path / "gone.png")


@pytest.mark.parametrize("mode", ["L", "P"])
def test_labels_are_the_stored_ids(tmp_path: Path, mode: str) -> None:
    ids = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
    label = Image.fromarray(ids)
    if mode == "P":
        label.putpalette([7, 7, 7] * 256)
    label.save(tmp_path / "label.png")
    assert read_ids(tmp_path / "label.png").tolist() == ids.tolist()


def test_resizing_labels_invents_no_id() -> None:
    ids = np.random.default_rng(0).choice(np.array([0, 9], np.uint8), (31, 47))
    small = nearest(ids, (8, 9))
    assert small.shape == (8, 9)
    assert set(np.unique(small)) <= {0, 9}


def test_a_palette_png_of_4_bits_keeps_its_indices(tmp_path: Path) -> None:
    label = png(tmp_path / "label.png", 4, 3, [bytes([0x01, 0x20]), bytes([0x21, 0x00])], 3)
    assert read_ids(label).tolist() == [[0, 1, 2], [2, 1, 0]]


@pytest.mark.parametrize(
    ("depth", "kind", "row", "reason"),
    [
        (4, 0, bytes([0x01, 0x20]), "4-bit grey"),
        (1, 0, bytes([0xA0]), "1-bit grey"),
        (16, 0, bytes([0, 1, 0, 2, 0, 0]), "16-bit grey"),
        (8, 2, bytes(9), "8-bit RGB"),
        (8, 6, bytes(12), "8-bit RGB with alpha"),
        (16, 2, bytes(18), "16-bit RGB"),
    ],
)
def test_labels_that_pillow_would_read_as_other_ids_are_refused(
    tmp_path: Path, depth: int, kind: int, row: bytes, reason: str
) -> None:
    label = png(tmp_path / "label.png", depth, kind, [row, row], 3)
    with pytest.raises(BrokenFileError, match=f"{reason} PNG; a label must be an 8-bit grey"):
        read_ids(label)


def test_a_jpeg_named_png_is_refused_as_label(tmp_path: Path) -> None:
    Image.fromarray(noise(20, 30)[..., 0]).save(tmp_path / "label.png", "JPEG")
    for read in (read_ids, read_colours, read_red16):
        with pytest.raises(BrokenFileError, match="JPEG alters the ids"):
            read(tmp_path / "label.png")


def test_all_65536_values_of_a_16_bit_channel_come_back(tmp_path: Path) -> None:
    red = np.arange(65536).reshape(128, 512)
    pixels = np.stack([red, red[::-1], 65535 - red], axis=-1).astype(">u2")
    label = png(tmp_path / "label.png", 16, 2, [row.tobytes() for row in pixels], 512)
    assert np.array_equal(read_red16(label), red)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_16_bit_rows_may_use_any_filter(tmp_path: Path, kind: int) -> None:
    """Each row stores differences to its neighbours, as PNG writers do."""
    rng = np.random.default_rng(kind)
    red = rng.integers(0, 300, (9, 14))
    pixels = np.stack([red, *rng.integers(0, 65536, (2, 9, 14))], axis=-1).astype(">u2")
    label = png(tmp_path / "label.png", 16, 2, filtered(pixels.reshape(9, -1), kind), 14, kind)
    assert np.array_equal(read_red16(label), red)


def filtered(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], kind: int) -> list[bytes]:
    """Filter rows of 16-bit RGB as the PNG specification (section 9.2) defines it."""
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(len(pixels), -1).astype(int)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    left, corner = (np.pad(side, ((0, 0), (6, 0)))[:, :-6] for side in (rows, above))
    guess = left + above - corner
    near = [abs(guess - side) for side in (left, above, corner)]
    paeth = np.where(
        (near[0] <= near[1]) & (near[0] <= near[2]),
        left,
        np.where(near[1] <= near[2], above, corner),
    )
    predicted = {1: left, 2: above, 3: (left + above) // 2, 4: paeth}[kind]
    return [row.astype(np.uint8).tobytes() for row in (rows - predicted) % 256]


@pytest.mark.parametrize(
    ("depth", "kind", "row", "reason"),
    [(8, 2, bytes(9), "8-bit RGB"), (8, 0, bytes(3), "8-bit grey"), (16, 0, bytes(6), "16-bit")],
)
def test_other_pngs_are_not_taken_for_16_bit_colours(
    tmp_path: Path, depth: int, kind: int, row: bytes, reason: str
) -> None:
    label = png(tmp_path / "label.png", depth, kind, [row, row], 3)
    with pytest.raises(BrokenFileError, match=f"{reason}.* PNG instead of one with 16-bit"):
        read_red16(label)


def test_a_truncated_16_bit_label_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 256, 240, np.uint8).tobytes() for _ in range(30)]
    label = png(tmp_path / "label.png", 16, 2, rows, 40)
    label.write_bytes(label.read_bytes()[:3000])
    with pytest.raises(BrokenFileError):
        read_red16(label)


def test_colours_of_a_label_are_returned_as_they_are(tmp_path: Path) -> None:
    colours = noise(5, 7)
    Image.fromarray(colours).save(tmp_path / "label.png")
    assert np.array_equal(read_colours(tmp_path / "label.png"), colours)


def test_grey_is_not_taken_for_colours(tmp_path: Path) -> None:
    Image.fromarray(noise(5, 7)[..., 0]).save(tmp_path / "label.png")
    with pytest.raises(BrokenFileError, match="8-bit grey PNG instead of one with 8-bit colours"):
        read_colours(tmp_path / "label.png")
