"""What every test shares: data packs and golden vectors, where the machine has them."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.data.trees import Trees

# Before torch is imported: tests run side by side, and small tensors gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if TYPE_CHECKING:  # imported where they are used: most tests need no torch
    from autoadapt.data.training import TrainingData
    from autoadapt.space.architecture import Architecture


def folder_of(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: {what} are not on this machine")
    return Path(value)


@pytest.fixture(scope="session")
def packs() -> Path:
    """Folder with the data packs ``camvid`` and ``carla``."""
    return folder_of("AUTOADAPT_DATA", "the data packs")


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    """Makers of miniature GTA5, SYNTHIA, Cityscapes, Foggy Cityscapes and CamVid trees."""
    return Trees(tmp_path)


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Folder with golden numbers recorded from official implementations."""
    return folder_of("AUTOADAPT_VECTORS", "the golden vectors")


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> "TrainingData":
    """Five labelled source and three target images of noise, 32 x 48, four classes and void."""
    import numpy as np

    from autoadapt.config.settings import DatasetSettings, DataSettings
    from autoadapt.data.cache import Rows, write_rows
    from autoadapt.data.images import LabelledImages, UnlabelledImages
    from autoadapt.data.training import TrainingData

    folder, rng, size = tmp_path_factory.mktemp("toy"), np.random.default_rng(7), (32, 48)

    def rows(name: str, shape: tuple[int, ...], values: tuple[int, ...]) -> Rows:
        count = 3 if name == "target" else 5
        made = (rng.choice(np.array(values, np.uint8), shape) for _ in range(count))
        return write_rows(folder / f"{name}.rows", made, key=name, shape=shape)

    def pictures(name: str, bright: int) -> UnlabelledImages:
        found = rows(name, (*size, 3), tuple(range(bright, bright + 100)))
        ids = tuple(f"{name}{number}" for number in range(len(found)))
        return UnlabelledImages(ids, ids, found, tuple(range(len(found))))

    labels = rows("labels", size, (0, 1, 2, 3, 255))
    source = LabelledImages(("a", "b", "c", "d"), labels, tuple(range(5)), pictures("source", 20))
    unused = DatasetSettings(kind="procedural")
    settings = DataSettings(source=unused, target=unused, size=size)
    return TrainingData(source, pictures("target", 120), 4, settings, batch_size=2, seed=3)


@pytest.fixture(scope="session")
def tiny_architecture() -> "Architecture":
    """A very small network of the elastic family with an auxiliary output."""
    from autoadapt.networks.families.elastic_deeplab import ElasticDeeplab
    from autoadapt.space.architecture import Architecture

    return Architecture.of("elastic_deeplab", ElasticDeeplab.smoke_values)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that takes ``smoke_architecture`` on a small network of every family.

    Twice where an auxiliary head is a choice: with one and without. Skipped where the family needs
    an optional package that is not there.
    """
    if "smoke_architecture" not in metafunc.fixturenames:
        return
    from autoadapt.networks.build import find_family
    from autoadapt.plugins import available
    from autoadapt.space.architecture import Architecture

    small = []
    for name in available("networks.families"):
        family = find_family(name)
        values, extra = family.smoke_values, family.extra
        absent = extra is not None and importlib.util.find_spec(extra) is None
        skipped = pytest.mark.skipif(absent, reason=f"the optional package {extra} is not there")
        choices = {"-aux": True, "-plain": False} if "aux" in values else {"": None}
        for ending, aux in choices.items():
            changed = {} if aux is None else {"aux": aux}
            architecture = Architecture.of(name, {**values, **changed})
            small.append(pytest.param(architecture, id=name + ending, marks=skipped))
    metafunc.parametrize("smoke_architecture", small)
