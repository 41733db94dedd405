"""How much faster the prepared form is than decoding and resizing the files at every turn.

    python benchmarks/prepared_data.py [--images 48] [--epochs 8]

Writes street scenes as files of 1914x1052 pixels, once as PNG (as GTA5 has them) and once as JPEG,
with labels, and prepares them at 1280x720. Then two workers go through images and labels in random
order, once with PIL from the files and once from the prepared form, in batches of four. Cold epochs
come after the files were dropped from the memory of the system, as far as it lets us. Reports the
resident memory before and after each of several more epochs. Exits with 1 if the prepared form is
less than 8 times as fast, or if memory grows by more than the batches that are under way.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data import street
from autoadapt.data.batching import chunks
from autoadapt.data.images import LabelledImages
from autoadapt.data.open import open_source
from autoadapt.data.prepare import prepare

STORED = (1052, 1914)
SIZE = (720, 1280)
WORKERS = 2
BATCH = 4
AIM = 8.0
IN_FLIGHT_MIB = (WORKERS + 2) * BATCH * SIZE[0] * SIZE[1] * 4 / 2**20
"""What batches that are read or wait to be taken may occupy, whatever the size of the data set."""

Read = Callable[[Sequence[int]], object]


def write_scenes(root: Path, count: int, ending: str) -> None:
    """Write scenes of the street renderer, enlarged and with noise that no codec can predict."""
    rng = np.random.default_rng(0)
    (root / "images" / "train").mkdir(parents=True)
    (root / "labels" / "train").mkdir(parents=True)
    height, width = STORED
    for number in range(count):
        image, labels = street.render("game", 0, number, (height // 4, width // 4))
        large = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        noisy = np.asarray(large, np.int16) + rng.integers(-4, 5, (height, width, 3), np.int16)
        picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        picture.save(root / "images" / "train" / f"{number:05d}.{ending}", quality=92)
        enlarged = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
        enlarged.save(root / "labels" / "train" / f"{number:05d}.png")
    names = ", ".join(f'"{name}"' for name in street.CLASSES)
    (root / "classes.json").write_text(f'{{"classes": [{names}]}}')


def from_files(root: Path, ending: str) -> Read:
    """Return how every training script of the field reads a batch: PIL, item by item."""

    def read(indices: Sequence[int]) -> object:
        size = (SIZE[1], SIZE[0])
        images, labels = [], []
        for index in indices:
            name = f"{index:05d}"
            with Image.open(root / "images" / "train" / f"{name}.{ending}") as image:
                images.append(
                    np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
                )
            with Image.open(root / "labels" / "train" / f"{name}.png") as label:
                labels.append(np.asarray(label.resize(size, Image.Resampling.NEAREST)))
        return np.stack(images), np.stack(labels)

    return read


def from_prepared(source: LabelledImages) -> Read:
    """Return how a batch is read from the prepared form."""
    return lambda indices: (source.images(indices), source.labels(indices))


def epoch(read: Read, count: int, seed: int) -> float:
    """Return images per second of one epoch in random order by two workers."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    batches = [[order[place] for place in chunk] for chunk in chunks(count, BATCH)]
    start = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(read, batches):
            pass
    return count / (time.perf_counter() - start)


def forget(root: Path) -> None:
    """Ask the system to drop files from its memory; what has not been written yet stays."""
    for path in root.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def resident_mib() -> float:
    """Return the resident memory of this process (Linux)."""
    gc.collect()
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmRSS:") + 1]) / 1024


def compare(folder: Path, ending: str, count: int, epochs: int) -> tuple[float, float]:
    """Print the comparison for one format; return the ratio and the growth of memory in MiB."""
    root = folder / ending
    write_scenes(root, count, ending)
    dataset = DatasetSettings(kind="folder", options={"root": str(root)})
    cache = folder / f"cache-{ending}"
    settings = DataSettings(
        source=dataset, target=dataset, size=SIZE, resampling="bicubic", cache=str(cache)
    )
    start = time.perf_counter()
    stored = sum(one.bytes for one in prepare(settings))
    seconds = time.perf_counter() - start
    print(f"{count} {ending} files, prepared in {seconds:.1f} s: {stored / 2**20:.0f} MiB")
    prepared, files = from_prepared(open_source(settings)), from_files(root, ending)
    rates = {}
    for name, read in (("PIL", files), ("prepared", prepared)):
        forget(folder)
        cold = epoch(read, count, 0)
        rates[name] = max(epoch(read, count, seed) for seed in range(2))
        print(f"  {name:9s} {rates[name]:8.1f} images/s, cold {cold:8.1f}")
    before = resident_mib()
    after = []
    for seed in range(epochs):
        epoch(prepared, count, seed)
        after.append(resident_mib())
    growth = after[-1] - min(after[0], before)
    ratio = rates["prepared"] / rates["PIL"]
    print(f"  ratio {ratio:.0f} (aim: at least {AIM:.0f})")
    shown = ", ".join(f"{value:.0f}" for value in after)
    print(f"  resident MiB: {before:.0f}, after each of {epochs} epochs {shown}", end="; ")
    print(f"allowed growth {IN_FLIGHT_MIB:.0f}, read {epochs * stored / 2**20:.0f}")
    return ratio, growth


def main() -> int:
    """Compare both formats."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=48, help="files per format")
    parser.add_argument("--epochs", type=int, default=8, help="epochs to watch memory over")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        results = [
            compare(Path(name), ending, arguments.images, arguments.epochs)
            for ending in ("png", "jpg")
        ]
    sound = all(ratio >= AIM and growth < IN_FLIGHT_MIB for ratio, growth in results)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
