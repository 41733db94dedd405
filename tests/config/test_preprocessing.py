import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.load import from_plain, load, to_plain, validate
from autoadapt.config.preprocessing import PRESETS, with_preset
from autoadapt.config.settings import DataSettings
from autoadapt.data.decode import read_image
from autoadapt.data.transforms import normalise
from autoadapt.errors import ConfigError


def experiment(**data: Any) -> dict[str, Any]:
    both = {"source": {"kind": "procedural"}, "target": {"kind": "procedural"}}
    search = {"space": "deeplab_tiny", "trials": 4, "training": {"steps": 2}}
    return {"name": "some", "search": search, "data": {**both, **data}}


def data_of(name: str, **more: Any) -> DataSettings:
    return from_plain(experiment(preprocessing=name, **more)).data


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_is_a_whole_set_up(name: str) -> None:
    settings = data_of(name)
    assert settings.preprocessing == name
    assert settings.source.size is not None
    assert settings.target.size is not None
    assert list(settings.misfits()) == []
    fields = {field.name for field in dataclasses.fields(DataSettings)}
    assert PRESETS[name].keys() <= fields


# From the papers and their code, as heights and widths.
PUBLISHED = {
    "adaptsegnet_gta5": ((720, 1280), (512, 1024), None, "caffe_bgr", "bicubic"),
    "adaptsegnet_synthia": ((760, 1280), (512, 1024), None, "caffe_bgr", "bicubic"),
    "fda_gta5": ((720, 1280), (512, 1024), (512, 1024), "caffe_bgr", "bicubic"),
    "ccm_gta5": ((720, 1310), (720, 1440), (600, 600), "caffe_bgr", "bicubic"),
    "crst_gta5": ((1052, 1914), (1024, 2048), (512, 1024), "imagenet", "bilinear"),
    "dacs_gta5": ((720, 1280), (512, 1024), (512, 512), "caffe_bgr", "bicubic"),
    "daformer_synthia": ((760, 1280), (512, 1024), (512, 512), "imagenet", "bilinear"),
    "adabn_cityscapes": ((512, 1024), (512, 1024), None, "unit_bgr", "bilinear"),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_presets_are_the_published_ones(name: str) -> None:
    settings = data_of(name)
    found = (
        settings.size_of("source"),
        settings.size_of("target"),
        settings.crop,
        settings.normalisation,
        settings.resampling,
    )
    assert found == PUBLISHED[name]


def test_the_augmentation_of_each_paper() -> None:
    def augmentation(name: str) -> tuple[Any, ...]:
        settings = data_of(name)
        return settings.flip, len(settings.scales), settings.crop_max_share, settings.jitter

    assert augmentation("adaptsegnet_gta5") == (False, 0, 1.0, 0.0)
    assert augmentation("ccm_gta5") == (True, 5, 1.0, 0.0)
    assert augmentation("crst_gta5") == (True, 11, 1.0, 0.0)
    assert augmentation("dacs_gta5") == (False, 0, 1.0, 0.0)
    assert augmentation("daformer_gta5") == (True, 0, 0.75, 0.0)
    assert augmentation("adabn_cityscapes") == (False, 0, 1.0, 0.0)
    assert augmentation("adabn_cityscapes_augmented")[0]


def test_what_a_config_says_itself_goes_first() -> None:
    target = {"kind": "procedural", "size": [256, 512]}
    settings = data_of("daformer_gta5", target=target, crop=None, flip=False)
    assert settings.size_of("source") == (720, 1280)
    assert settings.size_of("target") == (256, 512)
    assert settings.crop is None
    assert not settings.flip
    assert settings.crop_max_share == 0.75


def test_a_resolved_config_stays_what_it_was() -> None:
    settings = from_plain(experiment(preprocessing="ccm_gta5", flip=False))
    assert from_plain(to_plain(settings)) == settings


def test_an_unknown_name_is_a_mistake_with_its_place(tmp_path: Path) -> None:
    _, mistakes = validate(experiment(preprocessing="adaptsegnet_gta"))
    assert [keys for keys, _ in mistakes] == [("data", "preprocessing")]
    assert "did you mean 'adaptsegnet_gta5'?" in mistakes[0][1]
    with pytest.raises(ConfigError, match=r"--set data.preprocessing=none_such: .*known: adapt"):
        load("quickstart", ["data.preprocessing=none_such"])


@pytest.mark.parametrize("raw", [None, 3, {}, {"preprocessing": 3}, {"preprocessing": "x"}])
def test_nonsense_is_left_to_others(raw: Any) -> None:
    assert with_preset(raw) == raw


def test_the_adaptsegnet_family_by_hand(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 70, 3), np.uint8))
    picture.save(tmp_path / "a.png")
    settings = data_of("adaptsegnet_gta5")
    got = normalise(
        read_image(tmp_path / "a.png", (16, 20), settings.resampling)[None], settings.normalisation
    )
    resized = np.asarray(picture.resize((20, 16), Image.Resampling.BICUBIC), np.float32)
    expected = (resized[:, :, ::-1] - (104.00698793, 116.66876762, 122.67891434)).transpose(2, 0, 1)
    np.testing.assert_allclose(got[0], expected, atol=1e-4)


def test_the_table_in_the_documentation_is_true() -> None:
    page = Path(__file__).parents[2] / "docs" / "preparing_data.md"
    rows = [line.split("|")[1:-1] for line in page.read_text().splitlines() if line[:3] == "| `"]
    said = {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}
    assert said.keys() == PRESETS.keys()
    inputs = {"caffe_bgr": "BGR minus mean", "imagenet": "ImageNet", "unit_bgr": "BGR of 0 to 1"}
    for name, (source, target, crop, images, augmentation) in said.items():
        settings = data_of(name)
        assert source == "{}x{}".format(*settings.size_of("source"))
        assert target == "{}x{}".format(*settings.size_of("target"))
        assert crop == ("–" if settings.crop is None else "{}x{}".format(*settings.crop))
        assert images == f"{inputs[settings.normalisation]}, {settings.resampling}"
        assert ("mirrored" in augmentation) == settings.flip
        assert ("scale" in augmentation) == bool(settings.scales)
        assert ("75 %" in augmentation) == (settings.crop_max_share == 0.75)
