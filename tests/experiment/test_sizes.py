"""Source and target of different sizes, through training, scores and evaluation."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.load import from_plain
from autoadapt.config.settings import ExperimentSettings
from autoadapt.data.open import check_evaluation, open_evaluation
from autoadapt.data.training import TrainingData
from autoadapt.errors import ConfigError, DataError
from autoadapt.experiment.evaluate import evaluate
from autoadapt.experiment.predict import label_map
from autoadapt.experiment.trial import Task, device_named, domains_of, run_trial
from autoadapt.networks.build import build
from autoadapt.plugins import available, find
from autoadapt.space.architecture import Architecture
from autoadapt.training.model import MODEL, Model, load_model


def settings(cache: Path, **data: Any) -> ExperimentSettings:
    scenes = {"kind": "procedural", "count": 4}
    return from_plain(
        {
            "name": "sizes",
            "threads": 1,
            "data": {
                "cache": str(cache),
                "source": {**scenes, "style": "game", "size": [40, 56]},
                "target": {**scenes, "style": "camera", "size": [32, 64]},
                "evaluation": {**scenes, "style": "camera", "seed": 9},
                **data,
            },
            "search": {
                "space": "deeplab_tiny",
                "trials": 2,
                "method": {"name": "advent", "discriminator_width": 4},
                "training": {"steps": 2, "batch_size": 2},
            },
            "scoring": {"images": 3},
        }
    )


@pytest.mark.parametrize(
    "data",
    [{}, {"crop": [32, 40]}, {"crop": [32, 40], "scales": [0.8, 1.2], "crop_max_share": 0.75}],
    ids=["whole", "cropped", "scaled"],
)
def test_a_trial_copes_with_two_sizes(
    tmp_path: Path, tiny_architecture: Architecture, data: dict[str, Any]
) -> None:
    chosen = settings(tmp_path / "cache", **data)
    folder = tmp_path / "trial"
    record = run_trial(Task(0, tiny_architecture, "random", (), {"macs": 1.0}, folder), chosen)
    assert (record.status, record.detail) == ("finished", "")
    assert record.scores.keys() == {"mmd", "reent"}
    assert all(math.isfinite(score) for score in record.scores.values())
    model = load_model(folder / MODEL, device_named("cpu"))
    assert model.card.size == (32, 64)
    images = open_evaluation(chosen.data)
    assert images.size == (32, 64)
    result = evaluate(model, images, chosen.evaluation)
    assert result.confusion.sum() == (images.labels(range(4)) != 255).sum()


def test_evaluation_images_are_compared_at_the_size_of_the_target(tmp_path: Path) -> None:
    chosen = settings(tmp_path, evaluation={"kind": "procedural", "style": "camera", "count": 2})
    with pytest.raises(DataError, match="2 of 2 evaluation images are among the 4 target images"):
        check_evaluation(chosen.data)


def test_pictures_are_resized_as_the_model_was_trained(
    tmp_path: Path, tiny_architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(tmp_path / "cache", resampling="bilinear")
    run_trial(Task(0, tiny_architecture, "random", (), {"macs": 1.0}, tmp_path), chosen)
    model = load_model(tmp_path / MODEL, device_named("cpu"))
    assert (model.card.size, model.card.resampling) == ((32, 64), "bilinear")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8))
    seen: list[Any] = []

    def predict(self: Model, images: Any, size: tuple[int, int]) -> Any:
        seen.append((images, size))
        return np.zeros((1, *size), np.uint8)

    monkeypatch.setattr(Model, "predict", predict)
    assert label_map(model, picture).shape == (50, 90)
    ((images, size),) = seen
    assert size == (50, 90)
    expected = np.asarray(picture.resize((64, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(images[0], expected)


def test_methods_that_mix_pixels_ask_for_one_size(
    tmp_path: Path, tiny_architecture: Architecture
) -> None:
    network = build(tiny_architecture, 11, seed=0)

    def refused(**data: Any) -> set[str]:
        chosen = settings(tmp_path, **data).data
        found = domains_of(chosen)
        training = TrainingData(found.source, found.target, 11, chosen, 2, 0)
        names = set()
        for name in available("uda"):
            try:
                find("uda", name)().check(network, training)
            except ConfigError as error:
                if "of one size" in str(error):
                    names.add(name)
        return names

    assert refused() >= {"dacs", "da_former", "fda", "mic"}
    assert refused(crop=[32, 40]) == set()
