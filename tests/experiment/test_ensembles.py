"""Models whose logits are averaged, and models whose statistics follow the images at hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autoadapt.config.load import load
from autoadapt.config.settings import PluginSettings
from autoadapt.data.classes import CAMVID11
from autoadapt.data.counting import silent
from autoadapt.errors import CheckpointError
from autoadapt.experiment.commands import predict_checkpoint
from autoadapt.experiment.comparison import evaluate_models, find_models
from autoadapt.experiment.export import export_model
from autoadapt.experiment.predict import adapt_statistics
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted
from autoadapt.training.model import Card, Model, ensembled, load_model, save_model

CPU = torch.device("cpu")
CLASSES = ("road", "sky", "car")
SIZE = (32, 48)


def saved(
    folder: Path,
    architecture: Architecture,
    seed: int,
    size: tuple[int, int] = SIZE,
    classes: tuple[str, ...] = CLASSES,
) -> Path:
    network = build(architecture, len(classes), seed=seed).eval()
    card = Card(architecture, classes, size, "imagenet", PluginSettings(name="source_only"))
    path = folder / f"seed{seed}" / "model.safetensors"
    save_model(path, Fitted(network, {}, network, 0, {}), card)
    return path


@pytest.fixture
def pair(tmp_path: Path, tiny_architecture: Architecture) -> list[Path]:
    return [saved(tmp_path, tiny_architecture, seed) for seed in (1, 2)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "photos", np.random.default_rng(3)
    folder.mkdir()
    for number, brightness in enumerate((20, 60, 90)):
        noise = rng.integers(brightness, brightness + 100, (40, 60, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def loaded(paths: list[Path]) -> list[Model]:
    return [load_model(path, CPU) for path in paths]


def test_logits_are_averaged_at_the_size_of_the_image(pair: list[Path]) -> None:
    models = loaded(pair)
    images = torch.randn(2, 3, *SIZE)
    wanted = [upsample(model.forward(images).logits, SIZE) for model in models]
    found = ensembled(models).forward(images).logits
    torch.testing.assert_close(found, (wanted[0] + wanted[1]) / 2)
    assert ensembled(models[:1]) is models[0]


def test_members_must_agree_about_images(
    pair: list[Path], tmp_path: Path, tiny_architecture: Architecture
) -> None:
    other = saved(tmp_path / "other", tiny_architecture, 3, size=(32, 40))
    with pytest.raises(CheckpointError, match=r"agree in size: \(32, 48\) and \(32, 40\)"):
        ensembled(loaded([pair[0], other]))


def test_an_ensemble_predicts_pictures(pair: list[Path], photos: Path, tmp_path: Path) -> None:
    written = predict_checkpoint(pair[0], [photos], tmp_path / "both", others=pair[1:])
    model = ensembled(loaded(pair))
    for path in written:
        picture = Image.open(photos / path.name).resize((48, 32), Image.Resampling.LANCZOS)
        wanted = model.predict(np.asarray(picture)[None], (40, 60))[0]
        assert np.array_equal(np.asarray(Image.open(path)), wanted)


def test_an_ensemble_is_evaluated_as_one(
    tmp_path: Path, small_config: Path, tiny_architecture: Architecture
) -> None:
    settings = load(small_config)
    paths = [saved(tmp_path, tiny_architecture, seed, classes=CAMVID11.names) for seed in (1, 2)]
    apart = evaluate_models(find_models(paths), settings, silent)
    ((model, evaluation),) = evaluate_models(find_models(paths), settings, silent, ensemble=True)
    assert model.contender == "seed1 + seed2"
    assert evaluation.images == apart[0][1].images == 4
    assert evaluation.confusion.sum() == apart[0][1].confusion.sum()
    assert not np.array_equal(evaluation.confusion, apart[0][1].confusion)


def first_mean(model: Model) -> torch.Tensor:
    network = model.predictor
    assert isinstance(network, SegmentationNetwork)
    return network.get_buffer("bn1.running_mean").clone()


def test_statistics_follow_the_images_at_hand(pair: list[Path], photos: Path) -> None:
    """A fresh network has means of 0; those of the images are mixed in by share."""
    alone, mixed, kept = (loaded(pair[:1])[0] for _ in range(3))
    adapt_statistics(alone, [photos], 0.0)
    adapt_statistics(mixed, [photos], 1.0)
    assert first_mean(alone).abs().max() > 0.05
    torch.testing.assert_close(first_mean(mixed), first_mean(alone) / 2)
    adapt_statistics(kept, [photos], 1e9)
    torch.testing.assert_close(first_mean(kept), torch.zeros(4), rtol=0, atol=1e-6)


def test_batches_do_not_matter_to_the_first_layer(pair: list[Path], photos: Path) -> None:
    one_by_one, together = (loaded(pair[:1])[0] for _ in range(2))
    adapt_statistics(one_by_one, [photos], 0.0, batch_size=1)
    adapt_statistics(together, [photos], 0.0, batch_size=3)
    torch.testing.assert_close(first_mean(one_by_one), first_mean(together))


def test_predicting_with_own_statistics_changes_the_labels(
    pair: list[Path], photos: Path, tmp_path: Path
) -> None:
    plain = predict_checkpoint(pair[0], [photos], tmp_path / "plain")
    adapted = predict_checkpoint(pair[0], [photos], tmp_path / "adapted", alpha=0.0)
    labels = [
        np.stack([np.asarray(Image.open(path)) for path in paths]) for paths in (plain, adapted)
    ]
    assert labels[0].shape == labels[1].shape == (3, 40, 60)
    assert not np.array_equal(labels[0], labels[1])


def test_an_exported_program_has_no_statistics(
    pair: list[Path], photos: Path, tmp_path: Path
) -> None:
    done = export_model(loaded(pair[:1])[0], tmp_path / "out", formats=("torch",))
    with pytest.raises(CheckpointError, match="an exported program cannot measure statistics"):
        predict_checkpoint(done[0].path, [photos], tmp_path / "p", alpha=0.0)
    with pytest.raises(CheckpointError, match="an exported program cannot average logits"):
        predict_checkpoint(done[0].path, [photos], tmp_path / "p", others=pair)
