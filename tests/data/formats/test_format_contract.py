"""What every format must do; a new one is tested the moment it has a miniature."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoadapt.config.load import make_format
from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.formats.base import Format
from autoadapt.data.open import open_source, open_target
from autoadapt.data.originals import find_images
from autoadapt.data.statistics import check
from autoadapt.errors import ConfigError
from autoadapt.plugins import available

Make = Callable[[str], DatasetSettings]
FORMATS = available("data.formats")
LABEL_WORDS = ("label", "annot", "gtfine", "gt/")
SIZE = (24, 40)


def data_of(dataset: DatasetSettings, tmp_path: Path) -> DataSettings:
    return DataSettings(source=dataset, target=dataset, size=SIZE, cache=str(tmp_path / "cache"))


def test_the_formats_are_those_of_the_field() -> None:
    assert FORMATS == [
        "camvid",
        "camvid_original",
        "cityscapes",
        "foggy_cityscapes",
        "folder",
        "gta5",
        "prepared",
        "procedural",
        "synthia",
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_listing_is_repeatable_and_names_are_unique(kind: str, miniature: Make) -> None:
    reader: Format = make_format(miniature(kind))
    listing = reader.list_images()
    assert len(listing) >= 2
    assert len(set(listing.ids)) == len(set(listing.origins)) == len(listing)
    assert reader.list_images() == listing


@pytest.mark.parametrize("kind", FORMATS)
def test_a_target_is_read_without_a_look_at_labels(
    kind: str, miniature: Make, tmp_path: Path, seen: list[str]
) -> None:
    dataset = miniature(kind)
    seen.clear()
    target = open_target(data_of(dataset, tmp_path))
    target.images(range(len(target)))
    root = str(dataset.options.get("root", "nowhere"))
    inside = [path.removeprefix(root).lower() for path in seen if path.startswith(root)]
    assert inside or kind == "procedural"
    assert not [path for path in inside if any(word in path for word in LABEL_WORDS)]


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "procedural"])
def test_the_watcher_sees_the_labels_of_a_source(
    kind: str, miniature: Make, tmp_path: Path, seen: list[str]
) -> None:
    dataset = miniature(kind)
    seen.clear()
    open_source(data_of(dataset, tmp_path))
    root = str(dataset.options["root"])
    inside = [path.removeprefix(root).lower() for path in seen if path.startswith(root)]
    assert [path for path in inside if any(word in path for word in LABEL_WORDS)]


@pytest.mark.parametrize("kind", FORMATS)
def test_labels_are_whole_and_of_declared_ids(kind: str, miniature: Make, tmp_path: Path) -> None:
    dataset = miniature(kind)
    found = find_images(dataset)
    own = found.format.own_classes()
    labels = found.format.find_labels(found.listing)
    assert len(labels) == len(found)
    for index, label in enumerate(labels):
        raw = found.format.read_label(label, SIZE)
        assert raw.dtype == np.uint8
        assert raw.shape == (found.size(index) or SIZE)
        assert set(np.unique(raw).tolist()) <= set(own.names) | own.void
    source = open_source(data_of(dataset, tmp_path))
    assert source.labels([0]).shape == (1, *SIZE)
    assert source.images([0]).shape == (1, *SIZE, 3)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "procedural"])
def test_nothing_is_written_into_the_data_set(kind: str, miniature: Make, tmp_path: Path) -> None:
    dataset = miniature(kind)
    root = Path(dataset.options["root"])

    def state() -> dict[Path, tuple[int, bytes]]:
        files = (path for path in root.rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = state()
    settings = data_of(dataset, tmp_path)
    open_source(settings)
    open_target(settings)
    check(settings)
    assert state() == before


@pytest.mark.parametrize("kind", sorted({*FORMATS} - {"prepared", "procedural"}))
def test_a_replaced_label_is_noticed(kind: str, miniature: Make, tmp_path: Path) -> None:
    dataset = miniature(kind)
    settings = data_of(dataset, tmp_path)
    before = open_source(settings).labels([0, 1])
    found = find_images(dataset)
    first, second = map(Path, found.format.find_labels(found.listing)[:2])
    first_bytes, second_bytes = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_bytes)
    second.write_bytes(first_bytes)
    after = open_source(settings).labels([0, 1])
    assert np.array_equal(after, before[::-1])
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "procedural"])
def test_a_root_with_spaces_is_fine(kind: str, miniature: Make, tmp_path: Path) -> None:
    dataset = miniature(kind)
    spaced = tmp_path / "my data sets" / "one of them"
    spaced.parent.mkdir()
    Path(dataset.options["root"]).rename(spaced)
    moved = dataset.with_options(root=str(spaced))
    assert len(open_source(data_of(moved, tmp_path))) == len(find_images(moved))


OWN_FORMAT = """
from dataclasses import dataclass

from autoadapt.data.formats.folder import Folder


@dataclass(frozen=True)
class Ours(Folder):
    night: bool = False
"""


def test_a_format_may_be_somebodys_own_module(
    miniature: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_formats").mkdir()
    (tmp_path / "lab_formats" / "ours.py").write_text(OWN_FORMAT)
    monkeypatch.syspath_prepend(tmp_path)
    options = miniature("folder").options
    dataset = DatasetSettings(kind="lab_formats.ours", options={**options, "night": True})
    assert len(open_source(data_of(dataset, tmp_path))) == 2
    with pytest.raises(ConfigError, match=r"unknown key; did you mean 'night'\?"):
        make_format(dataset.with_options(nigth=True))
