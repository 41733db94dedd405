"""One miniature data set per format."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.prepare import prepare, write_manifests
from tests.data.trees import Trees

CAMVID_COLOURS = (
    *((64, 128, 64), (192, 0, 128), (0, 128, 192), (0, 128, 64), (128, 0, 0), (64, 0, 128)),
    *((64, 0, 192), (192, 128, 64), (192, 192, 128), (64, 64, 128), (128, 0, 192), (192, 0, 64)),
    *((128, 128, 64), (192, 0, 192), (128, 64, 64), (64, 192, 128), (64, 64, 0), (128, 64, 128)),
    *((128, 128, 192), (0, 0, 192), (192, 128, 128), (128, 128, 128), (64, 128, 192), (0, 0, 64)),
    *((0, 64, 64), (192, 64, 128), (128, 128, 0), (192, 128, 192), (64, 0, 64), (192, 192, 0)),
    *((0, 0, 0), (64, 192, 0)),
)
"""The published colours of CamVid's 32 classes, in alphabetical order of their names."""

Make = Callable[[str], DatasetSettings]


@pytest.fixture
def miniature(trees: Trees, make_folder: Callable[..., Path]) -> Make:
    """Return a function that makes a data set of a format and gives its settings."""

    def prepared() -> Path:
        root = make_folder("originals", ["train/b", "train/a"])
        dataset = DatasetSettings(kind="folder", options={"root": str(root)})
        folder = root.parent / "prepared"
        settings = DataSettings(source=dataset, target=dataset, size=(24, 40), cache=str(folder))
        prepare(settings)
        write_manifests(settings)
        return folder

    roots: dict[str, Callable[[], Path]] = {
        "camvid": trees.camvid,
        "camvid_original": lambda: trees.camvid_original(CAMVID_COLOURS),
        "cityscapes": trees.cityscapes,
        "folder": lambda: make_folder("pictures", ["train/b", "train/a"]),
        "foggy_cityscapes": trees.foggy_cityscapes,
        "gta5": trees.gta5,
        "prepared": prepared,
        "synthia": trees.synthia,
    }

    def make(kind: str) -> DatasetSettings:
        if kind == "procedural":
            return DatasetSettings(kind=kind, options={"count": 2})
        return DatasetSettings(kind=kind, options={"root": str(roots[kind]())})

    return make
