"""Evaluation on labelled target images: with ``correlate``, the only code that opens them.

One confusion matrix is filled over the whole data set, image by image in constant memory; how
images, logits and labels meet is the convention's (``config/conventions.py``).
"""

from collections.abc import Iterator

from autoadapt.config.conventions import Convention, Resolution
from autoadapt.config.settings import DataSettings, EvaluationSettings
from autoadapt.data.batching import chunks
from autoadapt.data.counting import Count
from autoadapt.data.images import LabelledImages
from autoadapt.data.open import open_evaluation, open_evaluation_files
from autoadapt.data.streaming import LabelledFiles, Pixels
from autoadapt.errors import CheckpointError
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.metrics.segmentation import ConfusionMatrix
from autoadapt.networks.inference import Views
from autoadapt.training.model import Model

Labelled = LabelledImages | LabelledFiles
Size = tuple[int, int]


def open_labelled(data: DataSettings, convention: Convention) -> Labelled:
    """Return the labelled target images as a convention needs them: cached, or from files.

    Raises:
        ConfigError: The settings name no evaluation set.
        DataError: Files are missing or broken, or classes do not match.
    """
    return open_evaluation_files(data) if convention.from_files else open_evaluation(data)


def evaluate(
    model: Model,
    labelled: Labelled,
    settings: EvaluationSettings,
    count: Count | None = None,
) -> Evaluation:
    """Compare predictions with labels.

    Args:
        model: What predicts.
        labelled: Images and labels, opened for the same convention.
        settings: The convention, and the batch size where images are of one size.
        count: Is told how many images of how many are done.

    Raises:
        CheckpointError: The model was made for other classes.
        ConfigError: The convention names a class that the labels do not have.
    """
    if model.card.classes != labelled.classes:
        raise CheckpointError(
            f"the model knows the classes {', '.join(model.card.classes)}; the labels have "
            f"{', '.join(labelled.classes)}: evaluate with the data settings it was trained with"
        )
    convention = settings.convention
    views, matrix, images = views_of(convention), ConfusionMatrix(len(labelled.classes)), 0
    nothing = Evaluation(labelled.classes, matrix.counts, 0, convention)  # checks class names
    for inputs, labels in pairs(labelled, convention, model.card.size, settings.batch_size):
        size = (labels.shape[1], labels.shape[2])
        predicted = model.predict(inputs, size, views, resize=convention.resize)
        matrix.update(predicted, labels)
        images += len(labels)
        if count is not None:
            count(images, len(labelled))
    return Evaluation(nothing.classes, matrix.counts, images, convention)


def views_of(convention: Convention) -> Views:
    """Return what a convention averages over."""
    return Views(
        scales=convention.scales,
        flip=convention.flip,
        average=convention.average,
        corners=convention.corners,
        window=convention.window,
        stride=convention.stride,
    )


def pairs(
    labelled: Labelled, convention: Convention, working: Size, batch_size: int
) -> Iterator[tuple[Pixels, Pixels]]:
    """Yield images (N, H, W, 3) at the input size and labels (N, h, w) at theirs.

    Args:
        labelled: Where they come from; cached ones are at the working size.
        convention: Decides both sizes.
        working: The size the model was trained at.
        batch_size: N of cached images; those from files come one by one.
    """
    if isinstance(labelled, LabelledFiles):
        yield from labelled.pairs(
            pixels(convention.input, working), pixels(convention.labels, working)
        )
        return
    for indices in chunks(len(labelled), batch_size):
        yield labelled.images(indices), labelled.labels(indices)


def pixels(resolution: Resolution, working: Size) -> Size | None:
    """Return height and width, None for those of the file."""
    if resolution == "working":
        return working
    return None if resolution == "original" else resolution
