import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.data.decode import BrokenFileError, image_size, raw_ids, read_image, read_label
from autoadapt.data.mapping import LabelMap, OwnClasses
from autoadapt.errors import DataError


def identity(count: int) -> LabelMap:
    """Map ids below ``count`` to themselves, 255 to void."""
    table = np.full(256, 255, np.uint8)
    table[:count] = np.arange(count)
    known = table < 255
    known[255] = True
    return LabelMap(OwnClasses(tuple(map(str, range(count))), 255, "classes.json"), table, known)


def noise(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def png(path: Path, depth: int, kind: int, rows: list[bytes], width: int) -> Path:
    """Write a PNG of any bit depth byte by byte, as the format's specification has it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + checksum

    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"PLTE", bytes(range(48))) if kind == 3 else b"")
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )
    return path


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
        read_label(tmp_path / "a.png", tmp_path / "a.png", size=(4, 5), ids=identity(2))


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
        read_label(tmp_path / "gone.png", tmp_path / "i", size=(4, 5), ids=identity(2))


@pytest.mark.parametrize("mode", ["L", "P"])
def test_labels_are_the_stored_ids_through_the_map(tmp_path: Path, mode: str) -> None:
    ids = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
    label = Image.fromarray(ids)
    if mode == "P":
        label.putpalette([7, 7, 7] * 256)
    label.save(tmp_path / "label.png")
    Image.fromarray(noise(2, 3)).save(tmp_path / "image.png")
    read = read_label(tmp_path / "label.png", tmp_path / "image.png", size=(2, 3), ids=identity(3))
    assert read.tolist() == ids.tolist()
    counts = raw_ids(tmp_path / "label.png", tmp_path / "image.png")
    assert (counts[0], counts[1], counts[2], counts[255], counts.sum()) == (2, 2, 1, 1, 6)


def test_resizing_labels_invents_no_id(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).choice(np.array([0, 9], np.uint8), (31, 47))
    Image.fromarray(ids).save(tmp_path / "label.png")
    Image.fromarray(noise(31, 47)).save(tmp_path / "image.png")
    read = read_label(tmp_path / "label.png", tmp_path / "image.png", size=(8, 9), ids=identity(10))
    assert read.shape == (8, 9)
    assert set(np.unique(read)) <= {0, 9}


def test_a_palette_png_of_4_bits_keeps_its_indices(tmp_path: Path) -> None:
    label = png(tmp_path / "label.png", 4, 3, [bytes([0x01, 0x20]), bytes([0x21, 0x00])], 3)
    Image.fromarray(noise(2, 3)).save(tmp_path / "image.png")
    read = read_label(label, tmp_path / "image.png", size=(2, 3), ids=identity(3))
    assert read.tolist() == [[0, 1, 2], [2, 1, 0]]


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
    Image.fromarray(noise(2, 3)).save(tmp_path / "image.png")
    with pytest.raises(BrokenFileError, match=f"{reason} PNG; a label must be an 8-bit grey"):
        read_label(label, tmp_path / "image.png", size=(2, 3), ids=identity(3))


def test_a_jpeg_named_png_is_refused_as_label(tmp_path: Path) -> None:
    Image.fromarray(noise(20, 30)[..., 0]).save(tmp_path / "label.png", "JPEG")
    with pytest.raises(BrokenFileError, match="JPEG alters the ids"):
        raw_ids(tmp_path / "label.png", tmp_path / "label.png")


def test_a_label_of_another_size_than_its_image_names_both_sizes(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "label.png")
    Image.fromarray(noise(4, 7)).save(tmp_path / "image.png")
    with pytest.raises(BrokenFileError, match=r"label is 6x4 but its image image.png is 7x4"):
        read_label(tmp_path / "label.png", tmp_path / "image.png", size=(2, 3), ids=identity(1))


def test_one_pixel_of_an_undeclared_id_is_found_even_if_resizing_would_drop_it(
    tmp_path: Path,
) -> None:
    ids = np.zeros((40, 60), np.uint8)
    ids[3, 5:8] = 7
    Image.fromarray(ids).save(tmp_path / "label.png")
    Image.fromarray(noise(40, 60)).save(tmp_path / "image.png")
    with pytest.raises(DataError) as caught:
        read_label(tmp_path / "label.png", tmp_path / "image.png", size=(2, 3), ids=identity(3))
    message = str(caught.value)
    for part in ("label.png", "id 7 on 3 pixels", "classes.json declares ids 0..2 and void 255"):
        assert part in message
