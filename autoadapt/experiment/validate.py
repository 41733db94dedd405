"""Choosing between models without target labels: on source images that look like the target.

The protocol of DAST: some source images are kept out of training, their low frequencies are
exchanged for those of target images (FDA), and models are compared on their labels, which are
labels of the source. The paper names windows of 0.5 and 0.9, which would exchange nearly the whole
image; 0.05 and 0.09, two of FDA's three, are almost certainly meant.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoadapt.config.settings import ExperimentSettings
from autoadapt.data.cache import write_rows
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.open import open_held_out, open_target
from autoadapt.data.views import repainted
from autoadapt.errors import ConfigError
from autoadapt.experiment.comparison import ModelFile
from autoadapt.experiment.evaluate import evaluate
from autoadapt.experiment.trial import pick_device
from autoadapt.experiment.watching import Watcher
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.seeding import generator
from autoadapt.training.model import load_model
from autoadapt.uda._fourier import with_low_frequencies


def validate_models(
    models: Sequence[ModelFile], settings: ExperimentSettings, watcher: Watcher, *, beta: float
) -> list[tuple[ModelFile, Evaluation]]:
    """Compare each model with the labels of translated source images; no target label is opened.

    Args:
        models: What to compare.
        settings: Name the source, with ``hold_out``, and the target.
        watcher: Is told which model it is the turn of.
        beta: Share of the frequencies that come from the target, in [0, 0.5].

    Raises:
        ConfigError: No source images are held out, or source and target differ in size.
        CheckpointError: A model is unreadable, or made for other classes.
    """
    found = []
    for number, model in enumerate(models, start=1):
        watcher.stage(f"validating {model.contender}, model {number} of {len(models)}")
        loaded = load_model(model.path, pick_device(settings))
        card = loaded.card
        data = settings.data.for_model(card.size, card.normalisation, card.resampling)
        with tempfile.TemporaryDirectory(prefix="autoadapt-") as folder:
            images = translated(
                open_held_out(data),
                open_target(data),
                beta=beta,
                seed=settings.seed,
                path=Path(folder) / "translated.rows",
            )
            found.append((model, evaluate(loaded, images, settings.evaluation)))
    return found


def translated(
    labelled: LabelledImages, target: UnlabelledImages, *, beta: float, seed: int, path: Path
) -> LabelledImages:
    """Return labelled images with the low frequencies of random target images.

    Args:
        labelled: What to translate; the labels stay.
        target: Of the same size.
        beta: Share of the frequencies that come from the target, in [0, 0.5].
        seed: Decides which target image each image gets.
        path: File for the pictures.

    Raises:
        ConfigError: The sizes differ.
    """
    if labelled.size != target.size:
        raise ConfigError(
            f"source images of {labelled.size} cannot take frequencies of target images of "
            f"{target.size}; validate with one data.size for both"
        )
    partners = generator(seed, "translated source").integers(len(target), size=len(labelled))
    made = _translated(labelled, target, partners=partners.tolist(), beta=beta)
    shape = (*labelled.size, 3)
    return repainted(labelled, write_rows(path, made, key="translated", shape=shape))


def _translated(
    labelled: LabelledImages, target: UnlabelledImages, *, partners: Sequence[int], beta: float
) -> Iterator[NDArray[np.uint8]]:
    for index, partner in enumerate(partners):
        source, other = (
            torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
            for pictures in (labelled.images([index]), target.images([partner]))
        )
        mixed = with_low_frequencies(source, other, beta).round().clamp(0, 255)
        yield mixed[0].permute(1, 2, 0).byte().numpy()
