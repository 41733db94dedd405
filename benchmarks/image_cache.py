"""How much the decoded-image cache saves, and whether its readers grow with the data set.

    python benchmarks/image_cache.py [--images 200]

Compares one epoch of reading images from the cache with one epoch of decoding the files again
and resizing them, on one thread. Uses the images of ``$AUTOADAPT_DATA/camvid`` if the variable
is set, else JPEG files of 480x360 pixels made for the occasion. Then builds caches of one and of
four times the size and reports the resident memory of a process before and after reading each.
Exits with 1 if the cache is less than 5 times as fast, or if memory grows with the data set.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.batching import Augment, chunks
from autoadapt.data.cache import Recipe, open_rows
from autoadapt.data.decode import read_image
from autoadapt.data.images import LabelledImages
from autoadapt.data.open import open_source
from autoadapt.data.originals import find_images
from autoadapt.data.rows import Rows

SIZE = (120, 160)
BATCH = 4
AIM = 5.0
ALLOWED_GROWTH_MIB = 8.0


@dataclass(frozen=True)
class Comparison:
    """Seconds for one epoch."""

    images: int
    build: float
    decoding: float
    cached: float

    @property
    def ratio(self) -> float:
        """How many times faster the cache is."""
        return self.decoding / self.cached


def make_folder(root: Path, count: int) -> DatasetSettings:
    """Write a data set of smooth random images, which compress about as photographs do."""
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (45, 60, 3), np.uint8))
        smooth = np.asarray(coarse.resize((480, 360), Image.Resampling.BICUBIC)).astype(int)
        noisy = np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / "images" / "train" / f"{number:05d}.jpg", quality=90)
        label = rng.integers(0, 3, (360, 480), np.uint8)
        Image.fromarray(label).save(root / "labels" / "train" / f"{number:05d}.png")
    (root / "classes.json").write_text('{"classes": ["road", "car", "sky"]}')
    return DatasetSettings(kind="folder", options={"root": str(root)})


def compare(settings: DataSettings) -> tuple[Comparison, LabelledImages]:
    """Time one epoch of decoding against the second epoch from the cache."""
    files = [Path(origin) for origin in find_images(settings.source).listing.origins]
    start = time.perf_counter()
    source = open_source(settings)
    build = time.perf_counter() - start
    decoding = min(epoch_decoding(files) for _ in range(2))
    cached = min(epoch_cached(source) for _ in range(3))
    return Comparison(len(source), build, decoding, cached), source


def epoch_decoding(files: Sequence[Path]) -> float:
    """Return the seconds it takes to decode and resize every image."""
    start = time.perf_counter()
    for chunk in chunks(len(files), BATCH):
        np.stack([read_image(files[index], SIZE) for index in chunk])
    return time.perf_counter() - start


def epoch_cached(source: LabelledImages) -> float:
    """Return the seconds it takes to read every image from the cache, in random order."""
    order = np.random.default_rng(0).permutation(len(source)).tolist()
    start = time.perf_counter()
    for chunk in chunks(len(source), BATCH):
        source.images([order[index] for index in chunk])
    return time.perf_counter() - start


def milliseconds_per_batch(settings: DataSettings, source: LabelledImages) -> float:
    """Return the time to make one training batch: read, crop, mirror, normalise."""
    augment = Augment(settings, seed=0, batch_size=BATCH)
    times = []
    for step in range(300):
        start = time.perf_counter()
        augment.source_batch(source, step)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def synthetic_rows(folder: Path, count: int) -> Rows:
    """Return a cache file of ``count`` images of noise."""
    shape = (*SIZE, 3)

    def make(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return np.random.default_rng(index).integers(0, 256, shape, np.uint8)

    return open_rows(Recipe("images", {"benchmark": count}, shape, count, make), folder)


def resident_mib() -> float:
    """Return the resident memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmRSS:") + 1]) / 1024


def memory(rows: Rows) -> tuple[float, float]:
    """Return the resident memory before and after reading all rows once."""
    rows.read(range(BATCH))
    gc.collect()
    before = resident_mib()
    for chunk in chunks(len(rows.digests), BATCH):
        rows.read(chunk)
    return before, resident_mib()


def main() -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200, help="number of generated images")
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "AUTOADAPT_DATA" in os.environ:
            dataset = DatasetSettings(kind="folder", options={"root": "${AUTOADAPT_DATA}/camvid"})
        else:
            dataset = make_folder(folder / "data", count)
        settings = DataSettings(
            source=dataset, target=dataset, size=SIZE, cache=str(folder / "cache")
        )
        result, source = compare(settings)
        print(f"{result.images} images to {SIZE[1]}x{SIZE[0]}")
        print(f"  first opening (images and labels)  {result.build:8.3f} s")
        print(f"  epoch, decoding and resizing       {result.decoding:8.3f} s")
        print(f"  epoch, from the cache              {result.cached:8.3f} s")
        print(f"  the cache is {result.ratio:.0f} times as fast (aim: at least {AIM:.0f})")
        plain = milliseconds_per_batch(settings, source)
        rich = milliseconds_per_batch(replace(settings, jitter=0.3, crop=(96, 128)), source)
        print(f"one source batch of {BATCH}: {plain:.2f} ms; with crop and colours {rich:.2f} ms")
        growth = 0.0
        for factor in (1, 4):
            rows = synthetic_rows(folder / "cache", factor * 500)
            before, after = memory(rows)
            size = len(rows.digests) * prod(rows.shape) / 2**20
            print(f"reading {size:4.0f} MiB: resident {before:.1f} MiB before, {after:.1f} after")
            growth = max(growth, after - before)
    return 0 if result.ratio >= AIM and growth < ALLOWED_GROWTH_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
