"""Miniature data sets in the layouts of the field, written byte by byte where that matters.

Every maker writes all ids of its format into every label, beside images of noise, and returns
the root. Tests get them from the fixture ``trees``.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 24, 48
CITIES = {"train": ("aachen", "bochum"), "val": ("frankfurt", "lindau"), "test": ("berlin",)}

SEGNET_PREFIX = "/SegNet/CamVid/"
"""What stands before each path in the list files of the SegNet tutorial."""


@dataclass(frozen=True)
class Trees:
    """Makers of data sets below one folder."""

    parent: Path

    def gta5(self, count: int = 4) -> Path:
        """GTA5: palette PNGs of label ids 0 to 34, numbered from 1."""
        root = self.parent / "gta5"
        for number in range(1, count + 1):
            save_image(root / "images" / f"{number:05d}.png", number)
            save_palette(root / "labels" / f"{number:05d}.png", every_id(range(35), number))
        return root

    def synthia(self, count: int = 4) -> Path:
        """SYNTHIA-RAND-CITYSCAPES: 16-bit PNGs with the class, 0 to 22, in the red channel."""
        root = self.parent / "synthia"
        for number in range(count):
            save_image(root / "RGB" / f"{number:07d}.png", number)
            save_16bit(root / "GT" / "LABELS" / f"{number:07d}.png", every_id(range(23), number))
        return root

    def cityscapes(self, per_city: int = 2, cities: Mapping[str, Sequence[str]] = CITIES) -> Path:
        """Cityscapes: images by split and city, with label ids and train ids."""
        root = self.parent / "cityscapes"
        for split, city, name in _frames(per_city, cities):
            number = zlib.crc32(name.encode()) % 1000
            save_image(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", number)
            ids = every_id((*range(34), 255), number)
            fine = root / "gtFine" / split / city
            save_grey(fine / f"{name}_gtFine_labelIds.png", ids)
            train_ids = every_id((*range(19), 255), number)
            save_grey(fine / f"{name}_gtFine_labelTrainIds.png", train_ids)
        return root

    def foggy_cityscapes(
        self, per_city: int = 2, folder: str = "leftImg8bit_foggyDBF", refined: bool = False
    ) -> Path:
        """Foggy Cityscapes: three densities of each image of ``cityscapes``, in the same root."""
        root = self.cityscapes(per_city)
        for split, city, name in _frames(per_city, CITIES):
            for number, beta in enumerate(("0.005", "0.01", "0.02")):
                foggy = f"{name}_leftImg8bit_foggy_beta_{beta}.png"
                save_image(root / folder / split / city / foggy, 50 + number)
        if refined:
            names = "train/aachen/aachen_000000_000019\nval/lindau/lindau_000001_000019\n"
            (root / "foggy_trainval_refined_filenames.txt").write_text(names)
        return root

    def camvid(self, count: int = 3, lists: bool = True) -> Path:
        """CamVid in the layout of SegNet, with its list files."""
        root = self.parent / "camvid"
        for split in ("train", "val", "test"):
            lines = []
            for number in range(count):
                name = f"0001TP_{split}_{number:05d}.png"
                save_image(root / split / name, number)
                save_grey(root / f"{split}annot" / name, every_id(range(12), number))
                pair = (f"{split}/{name}", f"{split}annot/{name}")
                lines.append(" ".join(SEGNET_PREFIX + path for path in pair))
            if lists:  # in another order than that of the names
                (root / f"{split}.txt").write_text("".join(f"{x}\n" for x in reversed(lines)))
        return root

    def camvid_original(self, colours: Sequence[tuple[int, int, int]], count: int = 3) -> Path:
        """CamVid as published: labels in the colours given, in their order."""
        root = self.parent / "camvid_original"
        palette = np.array(colours, np.uint8)
        for number in range(count):
            name = f"0016E5_{number:05d}"
            save_image(root / "701_StillsRaw_full" / f"{name}.png", number)
            label = palette[every_id(range(len(colours)), number)]
            save(root / "LabeledApproved_full" / f"{name}_L.png", Image.fromarray(label))
        return root


def _frames(per_city: int, cities: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, str, str]]:
    for split, names in cities.items():
        for city in names:
            for number in range(per_city):
                yield split, city, f"{city}_{number:06d}_000019"


def every_id(ids: Iterable[int], seed: int) -> NDArray[np.uint8]:
    """Return a label map, (HEIGHT, WIDTH), that holds each id about equally often."""
    values = np.array(list(ids), np.uint8)
    order = np.random.default_rng(seed).permutation(HEIGHT * WIDTH)
    return values[order % len(values)].reshape(HEIGHT, WIDTH)


def save(path: Path, image: Image.Image) -> None:
    """Write an image file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def save_image(path: Path, seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    """Write an image of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    save(path, Image.fromarray(noise))


def save_grey(path: Path, ids: NDArray[np.uint8]) -> None:
    """Write ids as an 8-bit grey PNG."""
    save(path, Image.fromarray(ids))


def save_palette(path: Path, ids: NDArray[np.uint8]) -> None:
    """Write ids as a palette PNG whose colours are not the ids."""
    label = Image.fromarray(ids)
    label.putpalette([channel for index in range(256) for channel in (255 - index, 7, index)])
    save(path, label)


def save_16bit(path: Path, ids: NDArray[np.uint8]) -> None:
    """Write ids as SYNTHIA does: 16-bit RGB; green numbers the instances, blue is empty."""
    pixels = np.zeros((*ids.shape, 3), ">u2")
    pixels[..., 0] = ids
    pixels[..., 1] = np.arange(ids.size).reshape(ids.shape) * 50 % 65536
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, 16, 2, [row.tobytes() for row in pixels], ids.shape[1])


def write_png(
    path: Path, depth: int, kind: int, rows: Sequence[bytes], width: int, row_filter: int = 0
) -> Path:
    """Write a PNG of any bit depth byte by byte, as the format's specification has it.

    Args:
        path: Where.
        depth: Bits per channel.
        kind: Colour type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
        rows: Bytes of each row, already filtered.
        width: Pixels per row.
        row_filter: Number of the filter of every row.
    """
    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(bytes([row_filter]) + row for row in rows))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + (_chunk(b"PLTE", bytes(range(48))) if kind == 3 else b"")
        + _chunk(b"IDAT", data)
        + _chunk(b"IEND", b"")
    )
    return path


def _chunk(name: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum
