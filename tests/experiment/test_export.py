"""Exported programs compute what the model does, and prediction runs them."""

import contextlib
import dataclasses
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from autoadapt import plugins
from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.transforms import normalise
from autoadapt.errors import CheckpointError, ExportError
from autoadapt.experiment import export
from autoadapt.experiment.commands import export_formats
from autoadapt.experiment.export import Program, compare, export_model, noise, scene
from autoadapt.experiment.exported import load_exported
from autoadapt.experiment.predict import load_any, predict_pictures
from autoadapt.files import sha256_of
from autoadapt.networks.build import build, find_family
from autoadapt.networks.contract import Output, SegmentationNetwork
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted, fit
from autoadapt.training.model import MODEL, Card, Model, card_of, load_model, save_model

CPU = torch.device("cpu")
SIZE = (40, 56)
CLASSES = ("a", "b", "c", "d")


class Sharpened(nn.Module):
    """A predictor that is more than its network: a module of its own reweighs the features."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network
        self.gate = nn.Conv2d(network.taps["deep"].channels, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Output:
        """Gate the deep features."""
        features = self.network.encode(images)
        weighed = features.deep * (1 + self.gate(features.deep).tanh().abs())
        return self.network.decode(features._replace(deep=weighed))


def model_of(architecture: Architecture, *, normalisation: Any = "imagenet") -> Model:
    network = build(architecture, len(CLASSES), seed=3)
    with torch.no_grad():
        network(
            normalise(
                np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3), np.uint8), normalisation
            )
        )
        for parameter in network.layer6.parameters():  # type: ignore[union-attr]
            parameter.mul_(40)  # new heads give nearly equal logits
    card = Card(architecture, CLASSES, SIZE, normalisation, PluginSettings(name="source_only"))
    return Model(card, network.eval(), network, CPU)


@pytest.fixture(scope="module")
def model(tiny_architecture: Architecture) -> Model:
    return model_of(tiny_architecture)


@pytest.fixture(scope="module")
def exported(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    (done,) = export_model(model, folder, formats=("torch",))
    assert done.dynamic == ("batch", "height", "width")
    return done.path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of different sizes, neither of them the model's."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, size in enumerate(((70, 50), (33, 61))):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def label_maps(predictor: Any, pictures: Path, out: Path) -> list[bytes]:
    written = predict_pictures(predictor, [pictures], out)
    maps = []
    for path in written:
        with Image.open(path) as image:
            maps.append(image.tobytes())
    return maps


def test_a_program_labels_pictures_as_the_model_does(
    model: Model, exported: Path, pictures: Path, tmp_path: Path
) -> None:
    program = load_any(exported, CPU)
    expected = label_maps(model, pictures, tmp_path / "model")
    assert label_maps(program, pictures, tmp_path / "program") == expected
    assert len(set(b"".join(expected))) > 1


def test_normalisation_is_in_the_program(model: Model, exported: Path) -> None:
    images = np.random.default_rng(5).integers(0, 256, (3, *SIZE, 3), np.uint8)
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous()
    expected = model.forward(normalise(images, "imagenet")).logits
    torch.testing.assert_close(load_exported(exported).run(planes), expected)


def test_the_card_says_how_to_run_it_and_how_close_it_is(exported: Path) -> None:
    card = json.loads(exported.with_name("model.pt2.json").read_text())
    assert card["input"]["dynamic"] == ["batch", "height", "width"]
    assert card["classes"] == list(CLASSES)
    assert card["size"] == list(SIZE)
    assert [one["images"] for one in card["parity"]] == ["noise", "a street scene"] * 2
    assert {tuple(one["shape"]) for one in card["parity"]} == {
        (3, 3, 40, 56), (1, 3, 40, 56), (3, 3, 31, 41), (1, 3, 31, 41),
    }  # fmt: skip
    assert all(one["largest_difference"] <= one["tolerance"] for one in card["parity"])


def test_a_predictor_that_is_more_than_a_network_is_exported_whole(
    model: Model, tmp_path: Path
) -> None:
    predictor = Sharpened(model.network).eval()
    with torch.no_grad():
        predictor.gate.weight.mul_(50)
    more = dataclasses.replace(model, predictor=predictor)
    export_model(more, tmp_path, formats=("torch",))
    images = np.random.default_rng(6).integers(0, 256, (2, *SIZE, 3), np.uint8)
    labels = load_exported(tmp_path / "model.pt2").predict(images, SIZE)
    assert (labels == more.predict(images, SIZE)).all()
    assert (labels != model.predict(images, SIZE)).any()


def test_a_program_that_differs_is_not_kept(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(model.predictor, "imagenet").eval()
    monkeypatch.setattr(export, "runner", lambda path: lambda images: program(images) + 0.01)
    with pytest.raises(ExportError, match=r"differs from the model \(torch\): noise, 3 of 56x40"):
        export_model(model, tmp_path, formats=("torch",))
    assert not list(tmp_path.iterdir())


def test_nan_is_a_difference(model: Model) -> None:
    program = Program(model.predictor, "imagenet").eval()
    broken = compare(lambda images: program(images) * float("nan"), program, SIZE, ())
    assert not any(one.passed for one in broken)


class Branching(Sharpened):
    """Something that no exporter follows: the program depends on the values of the images."""

    def forward(self, images: Tensor) -> Output:
        """Look at the values."""
        return super().forward(images if images.mean().item() > 0 else -images)


def test_what_cannot_be_exported_says_why(model: Model, tmp_path: Path) -> None:
    more = dataclasses.replace(model, predictor=Branching(model.network).eval())
    with pytest.raises(ExportError, match=r"cannot be exported as torch: free batch and height"):
        export_model(more, tmp_path, formats=("torch",))
    assert not list(tmp_path.iterdir())


def test_without_the_extra_onnx_it_says_what_to_install(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(CheckpointError, match=r"onnxscript, which is not .*autoadapt\[onnx\]"):
        export_model(model, tmp_path, formats=("torch", "onnx"))
    assert not list(tmp_path.iterdir())


def test_programs_without_their_card_or_with_another_are_refused(
    exported: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "model.pt2"
    with pytest.raises(CheckpointError, match="no exported program at"):
        load_exported(copy)
    copy.write_bytes(exported.read_bytes())
    with pytest.raises(CheckpointError, match=r"no card model\.pt2\.json beside it"):
        load_exported(copy)
    card = tmp_path / "model.pt2.json"
    card.write_text("{}")
    with pytest.raises(CheckpointError, match=r"is damaged: KeyError"):
        load_exported(copy)
    card.write_bytes(exported.with_name(card.name).read_bytes())
    copy.write_bytes(exported.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is not the program that"):
        load_exported(copy)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_code_in_a_program_file_does_not_run(exported: Path, tmp_path: Path) -> None:
    """PyTorch's reader unpickles the example inputs, with all the objects in them."""
    evil = io.BytesIO()
    torch.save({"inputs": Trap(tmp_path / "ran")}, evil)
    copy = tmp_path / "model.pt2"
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            infected = name.endswith("sample_inputs/model.pt")
            new.writestr(name, evil.getvalue() if infected else old.read(name))
    card = json.loads(exported.with_name("model.pt2.json").read_text())
    text = json.dumps(card | {"sha256": sha256_of(copy)})
    copy.with_name("model.pt2.json").write_text(text)
    with pytest.raises(CheckpointError, match="cannot be read by PyTorch"):
        load_exported(copy)
    assert not (tmp_path / "ran").exists()
    with contextlib.suppress(Exception):
        torch.export.load(copy)
    assert (tmp_path / "ran").exists()  # the trap works where nobody minds


def test_test_images_fill_the_range() -> None:
    assert noise(2, (3, 5)).shape == (2, 3, 3, 5)
    assert 200 < float(noise(2, (30, 50)).max()) < 255
    assert scene((32, 48)).shape == (1, 3, 32, 48)
    assert 100 < float(scene((32, 48)).max()) <= 255


def test_formats_by_name() -> None:
    assert export_formats("both") == ("torch", "onnx")
    with pytest.raises(ExportError, match="no format 'tflite'; there are torch, onnx, both"):
        export_formats("tflite")


@pytest.mark.slow
@pytest.mark.parametrize("normalisation", ["imagenet", "caffe_bgr"])
def test_onnx_labels_pictures_as_the_model_does(
    normalisation: str, tiny_architecture: Architecture, pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    resnet = {**tiny_architecture.values, "stem.kind": "resnet"}
    model = model_of(Architecture.of("elastic_deeplab", resnet), normalisation=normalisation)
    (done,) = export_model(model, tmp_path, formats=("onnx",))
    assert done.dynamic == ("batch", "height", "width")
    assert json.loads((tmp_path / "model.onnx.json").read_text())["opset"] == 20
    expected = label_maps(model, pictures, tmp_path / "model")
    assert label_maps(load_any(done.path, CPU), pictures, tmp_path / "program") == expected


@pytest.mark.slow
def test_a_pyramid_has_one_size_in_onnx(
    tiny_architecture: Architecture, pictures: Path, tmp_path: Path
) -> None:
    """Its bins depend on the size of the map, which ONNX's operators do not follow."""
    pytest.importorskip("onnxruntime")
    values = dict(tiny_architecture.values)
    del values["head.rates"]
    pyramid = values | {"head.kind": "pyramid", "head.width": 8, "head.skip": False}
    model = model_of(Architecture.of("elastic_deeplab", pyramid))
    (done,) = export_model(model, tmp_path, formats=("onnx",))
    assert done.dynamic == ("batch",)
    card = json.loads((tmp_path / "model.onnx.json").read_text())
    assert card["not_free_because"][0].startswith("free batch and height and width: ")
    expected = label_maps(model, pictures, tmp_path / "model")
    assert label_maps(load_any(done.path, CPU), pictures, tmp_path / "program") == expected


@pytest.mark.slow
@pytest.mark.parametrize("family", plugins.available("networks.families"))
def test_every_family_is_exported(family: str, tmp_path: Path) -> None:
    """Where a network's code fixes a size, at least the number of images is free."""
    if family == "timm_encoder":
        pytest.importorskip("timm")
    values = find_family(family).smoke_values
    network = build(Architecture.of(family, values), len(CLASSES), seed=3).eval()
    method = PluginSettings(name="source_only")
    card = Card(Architecture.of(family, values), CLASSES, (64, 96), "imagenet", method)
    (done,) = export_model(Model(card, network, network, CPU), tmp_path, formats=("torch",))
    assert "batch" in done.dynamic
    assert all(one.difference == 0 for one in done.parity)


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.available("uda"))
def test_what_every_method_predicts_with_is_exported_and_read_again(
    name: str, tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Discoverers and ensembles included; a predictor that is its network is so after loading."""
    options = plugins.find("uda", name).smoke_options
    chosen = PluginSettings(name=name, options=dict(options))
    method = make("uda", chosen)
    further = {"other": toy_data.source} if method.needs.sources > 1 else {}
    data = dataclasses.replace(toy_data, further=further)
    network = build(tiny_architecture, data.num_classes, seed=5)
    fitted = fit(method, network, data, TrainingSettings(steps=1), seed=1, device=CPU)
    card = card_of(tiny_architecture, data.settings, data.source.classes, chosen)
    save_model(tmp_path / MODEL, fitted, card)
    model = load_model(tmp_path / MODEL, CPU)
    if fitted.predictor is network and name != "advent":
        assert model.predictor is model.network  # its export is that of AdvEnt
        return
    (done,) = export_model(model, tmp_path, formats=["torch"])
    pictures = np.random.default_rng(3).integers(0, 256, (2, 32, 48, 3), np.uint8)
    program = load_exported(done.path)
    assert np.array_equal(program.predict(pictures, (32, 48)), model.predict(pictures, (32, 48)))


def test_a_model_file_is_not_taken_for_a_program(model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / MODEL, Fitted(model.network, {}, model.network, 0, {}), model.card)
    images = np.random.default_rng(6).integers(0, 256, (2, *SIZE, 3), np.uint8)
    loaded = load_any(tmp_path / MODEL, CPU)
    assert isinstance(loaded, Model)
    assert (loaded.predict(images, SIZE) == model.predict(images, SIZE)).all()
