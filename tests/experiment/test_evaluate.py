"""Predictions against labels under the conventions, with a network whose answers are known."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from autoadapt.config.conventions import WORKING, Convention, convention_of
from autoadapt.config.settings import (
    DatasetSettings,
    DataSettings,
    EvaluationSettings,
    PluginSettings,
)
from autoadapt.errors import CheckpointError, ConfigError
from autoadapt.experiment.evaluate import evaluate, open_labelled
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.networks.contract import Features, Output
from autoadapt.space import Architecture
from autoadapt.training.model import Card, Model

CLASSES = ("blue", "green", "red")
WORKING_SIZE = (16, 32)


class Colours(nn.Module):
    """Its logits are blue, green and red of every second pixel: the class is the colour.

    Args:
        grain: Deviation of a fixed pattern that lies over the logits.
    """

    def __init__(self, grain: float = 0.0) -> None:
        super().__init__()
        self.grain = grain

    def forward(self, images: Tensor) -> Output:
        logits = images[..., ::2, ::2]
        pattern = torch.randn(logits.shape, generator=torch.Generator().manual_seed(5))
        logits = logits + self.grain * pattern
        return Output(logits, Features(logits, logits, logits), None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    """A wide and a high image in three stripes; the middle stripe of the second is lied about."""
    root = tmp_path_factory.mktemp("stripes")
    for kind in ("images", "labels"):
        (root / kind / "val").mkdir(parents=True)
    colours = np.array([[0, 0, 200], [0, 200, 0], [200, 0, 0]], np.uint8)
    for name, (height, width) in {"a": (32, 96), "b": (64, 48)}.items():
        classes = np.repeat(np.arange(3, dtype=np.uint8), width // 3)[None].repeat(height, 0)
        Image.fromarray(colours[classes]).save(root / "images" / "val" / f"{name}.png")
        if name == "b":
            classes[:, width // 3 : 2 * width // 3] = 2
        classes[0] = 255
        Image.fromarray(classes).save(root / "labels" / "val" / f"{name}.png")
    (root / "classes.json").write_text('{"classes": ["blue", "green", "red"]}')
    one = DatasetSettings(kind="folder", options={"root": str(root), "split": "val"})
    return DataSettings(
        source=one,
        target=one,
        evaluation=one,
        size=WORKING_SIZE,
        normalisation="unit_bgr",
        cache=str(root / "cache"),
    )


def model_for(classes: tuple[str, ...] = CLASSES, grain: float = 0.0) -> Model:
    card = Card(
        Architecture.of("elastic_deeplab", {}),
        classes,
        WORKING_SIZE,
        "unit_bgr",
        PluginSettings(name="source_only"),
    )
    network: Any = Colours()
    return Model(card, network, Colours(grain), torch.device("cpu"))


def found(
    data: DataSettings, convention: Convention, batch_size: int = 8, grain: float = 0.0
) -> Evaluation:
    settings = EvaluationSettings(convention=convention, batch_size=batch_size)
    return evaluate(model_for(grain=grain), open_labelled(data, convention), settings)


def test_labels_at_their_own_size_count_every_pixel_of_the_file(data: DataSettings) -> None:
    result = found(data, Convention(input="original", labels="original"))
    # a: 31 rows of 32 per class, all right but for the blur between stripes; b: 63 rows of 16 and
    # the middle stripe labelled red though it is green
    labelled = [31 * 32 + 63 * 16, 31 * 32, 31 * 32 + 63 * 32]
    assert result.confusion.sum(axis=1).tolist() == labelled
    assert result.images == 2
    predicted_green = result.confusion[:, 1]
    assert predicted_green[2] >= 63 * 14, "the lie is found at full resolution"
    assert result.confusion[0, 0] >= labelled[0] - 2 * 63
    assert result.confusion[0, 2] == 0


def test_labels_at_the_working_size_count_its_pixels(data: DataSettings) -> None:
    for batch_size in (1, 8):
        result = found(data, WORKING, batch_size)
        # void is the first row: 1 of 32 rows and 1 of 64, of which 16 rows keep none or one
        assert 2 * 15 * 32 <= result.confusion.sum() <= 2 * 16 * 32
        assert result.images == 2
    assert np.array_equal(found(data, WORKING, 1).confusion, found(data, WORKING, 2).confusion)


def test_labels_at_a_size_that_is_given(data: DataSettings) -> None:
    result = found(data, Convention(input=(32, 48), labels=(64, 96)))
    assert 2 * 62 * 96 <= result.confusion.sum() <= 2 * 64 * 96


def test_files_at_the_working_size_give_what_the_cache_gives(data: DataSettings) -> None:
    streamed = found(data, Convention(input=WORKING_SIZE, labels=WORKING_SIZE))
    assert np.array_equal(streamed.confusion, found(data, WORKING).confusion)


@pytest.mark.parametrize(
    "parts",
    [
        {"scales": [0.5, 1.0], "flip": True},
        {"average": "probabilities", "flip": True},
        {"window": [16, 24]},
        {"corners": False},
        {"resize": "classes"},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_every_part_of_a_convention_reaches_the_network(
    data: DataSettings, parts: dict[str, Any]
) -> None:
    base = {"name": "adaptsegnet", "input": "working"}
    result = found(data, convention_of({**base, **parts}), grain=0.5)
    plain = found(data, convention_of(base), grain=0.5)
    assert not np.array_equal(result.confusion, plain.confusion)
    assert result.confusion.sum() == plain.confusion.sum()


@pytest.mark.parametrize(
    ("convention", "told"),
    [(WORKING, [(2, 2)]), (Convention(labels="original"), [(1, 2), (2, 2)])],
    ids=["batches", "files"],
)
def test_whoever_waits_is_told_how_far_it_is(
    data: DataSettings, convention: Convention, told: list[tuple[int, int]]
) -> None:
    heard: list[tuple[int, int]] = []
    settings = EvaluationSettings(convention=convention)
    images = open_labelled(data, convention)
    evaluate(model_for(), images, settings, lambda done, of: heard.append((done, of)))
    assert heard == told


def test_a_symmetric_pair_of_views_keeps_mirrored_images_mirrored(data: DataSettings) -> None:
    flipped = found(data, Convention(flip=True))
    assert flipped.accuracy == pytest.approx(found(data, WORKING).accuracy, abs=0.05)


def test_a_model_of_other_classes_is_refused(data: DataSettings) -> None:
    with pytest.raises(CheckpointError, match=r"the model knows the classes a, b; the labels have"):
        evaluate(model_for(("a", "b")), open_labelled(data, WORKING), EvaluationSettings())


def test_unknown_classes_are_refused_before_anything_is_predicted(data: DataSettings) -> None:
    settings = EvaluationSettings(convention=convention_of({"subset": ["blue", "pink"]}))
    broken = dataclasses.replace(model_for(), predictor=nn.Identity())
    with pytest.raises(ConfigError, match="subset names pink"):
        evaluate(broken, open_labelled(data, WORKING), settings)
