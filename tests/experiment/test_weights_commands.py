"""Published checkpoints from the command line: looked at, fetched, turned into models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from autoadapt.cli import main
from autoadapt.config.published_weights import PUBLISHED, PublishedWeights
from autoadapt.data.transforms import normalise
from autoadapt.errors import CheckpointError, ConfigError
from autoadapt.experiment.weights_commands import (
    convert_weights,
    describe_weights,
    fetch_weights,
    list_weights,
    weights_text,
)
from autoadapt.files import sha256_of
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.named import named
from autoadapt.training.model import load_model

CPU = torch.device("cpu")


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    """DeepLabV2 on ResNet-101 with one head, of a width that a test can afford."""
    widths = {"stem.width": 2} | {f"stage{i}.width": 2**i for i in (1, 2, 3, 4)}
    depths = {f"stage{i}.depth": 1 for i in (1, 2, 3)} | {"stage4.depth": 2}
    values = {"aux": False, **widths, **depths}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({"like": "deeplabv2_resnet101", "values": values}))
    return path


@pytest.fixture
def network(architecture: Path) -> SegmentationNetwork:
    return build(named(architecture), 19, seed=8).eval()


@pytest.fixture
def checkpoint(network: SegmentationNetwork, tmp_path: Path) -> Path:
    """What CRST, FDA and others save: the head is named layer5, all names have a prefix."""
    state = {
        f"module.{name.replace('layer6.', 'layer5.')}": tensor
        for name, tensor in network.state_dict().items()
    }
    torch.save({"state_dict": state, "epoch": 2}, tmp_path / "published.pth")
    return tmp_path / "published.pth"


def test_a_converted_checkpoint_predicts_as_the_published_network(
    checkpoint: Path, architecture: Path, network: SegmentationNetwork, tmp_path: Path
) -> None:
    path, report = convert_weights(
        checkpoint, tmp_path / "out", architecture=str(architecture), size=(40, 56), project="crst"
    )
    assert report.initial == {}
    model = load_model(path, CPU)
    assert model.card.normalisation == "imagenet"
    assert model.card.classes[0] == "road"
    assert model.card.resampling == "bicubic"
    images = np.random.default_rng(2).integers(0, 256, (2, 40, 56, 3), np.uint8)
    with torch.inference_mode():
        expected = network(normalise(images, "imagenet")).logits
    assert torch.equal(model.forward(normalise(images, "imagenet")).logits, expected)


def test_an_open_convention_has_to_be_said(
    checkpoint: Path, architecture: Path, tmp_path: Path
) -> None:
    options: Any = {"architecture": str(architecture), "size": (40, 56)}
    with pytest.raises(CheckpointError, match=r"input convention \(adaptsegnet or crst or fda"):
        convert_weights(checkpoint, tmp_path / "out", **options)
    path, _ = convert_weights(checkpoint, tmp_path / "out", normalisation="caffe_bgr", **options)
    assert load_model(path, CPU).card.normalisation == "caffe_bgr"
    wrongs: list[Any] = [{"normalisation": "bgr"}, {"protocol": "cityscapes"}]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match=r"no \w+ named"):
            convert_weights(checkpoint, tmp_path / "out", **options, **wrong)


def test_other_classes_and_missing_heads_are_refused(
    checkpoint: Path, architecture: Path, network: SegmentationNetwork, tmp_path: Path
) -> None:
    options: Any = {"architecture": str(architecture), "project": "fda"}
    with pytest.raises(CheckpointError, match="19 classes, the network has 16"):
        convert_weights(checkpoint, tmp_path / "out", protocol="synthia16", **options)
    trunk = {n: t for n, t in network.state_dict().items() if not n.startswith("layer6")}
    torch.save(trunk, tmp_path / "trunk.pth")
    with pytest.raises(CheckpointError, match="has no head to predict with"):
        convert_weights(
            tmp_path / "trunk.pth",
            tmp_path / "out",
            architecture=str(architecture),
            normalisation="imagenet",
        )
    assert not (tmp_path / "out").exists()


def test_what_is_known_of_a_file(
    checkpoint: Path, architecture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = describe_weights(checkpoint, None)
    assert found["layout"] == "DeepLabV2, one head named layer5"
    assert found["classes"] == 19
    assert found["normalisation"]["crst"] == "imagenet"
    assert found["rates"] == [[6, 12], [6, 12, 18, 24]]
    out = tmp_path / "out"
    arguments = [checkpoint, "--out", out, "--architecture", architecture, "--project", "dacs"]
    with pytest.raises(SystemExit):  # DACS adds two branches only
        main(["weights", "convert", *map(str, arguments)])
    assert "aspp_first_two" in capsys.readouterr().err
    arguments[-1] = "fda"
    with pytest.raises(SystemExit) as ended:
        main(["weights", "convert", *map(str, arguments)])
    assert ended.value.code == 0
    assert "weights copied" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["weights", "show", str(out)])
    shown = json.loads(capsys.readouterr().out)
    assert shown["layout"].startswith("model of autoadapt, architecture ")
    assert shown["normalisation"] == "caffe_bgr"


def test_files_are_listed_and_fetched_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOADAPT_CACHE", str(tmp_path / "cache"))
    origin = tmp_path / "server.pth"
    origin.write_bytes(b"weights")
    published = PublishedWeights(origin.as_uri(), "of the test", sha256_of(origin)[:8])
    monkeypatch.setitem(PUBLISHED, "of_the_test", published)
    assert not any(one["here"] for one in list_weights())
    assert fetch_weights("of_the_test").read_bytes() == b"weights"
    (here,) = (one for one in list_weights() if one["here"])
    assert here["name"] == "of_the_test"
    assert origin.as_uri() in weights_text(list_weights())
    with pytest.raises(ConfigError, match="did you mean 'of_the_test'"):
        fetch_weights("of_the_tests")
