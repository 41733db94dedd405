from dataclasses import replace

import numpy as np
import pytest
import torch

from autoadapt.config.settings import DataSettings
from autoadapt.data.batching import Augment, chunks, source_batch, target_batch
from autoadapt.data.open import open_source, open_target
from autoadapt.data.sampling import batch_indices
from autoadapt.data.transforms import denormalise, without_augmentation


def test_a_source_batch_pairs_images_labels_and_names(folder_settings: DataSettings) -> None:
    source = open_source(folder_settings)
    plain = without_augmentation(folder_settings)
    batch = source_batch(source, [4, 0, 2], transform=plain, step=0)
    assert batch.ids == ("train/s4", "train/s0", "train/s2")
    assert (batch.images.shape, batch.labels.shape) == ((3, 3, 16, 20), (3, 16, 20))
    assert (batch.images.dtype, batch.labels.dtype) == (torch.float32, torch.int64)
    assert np.array_equal(denormalise(batch.images, "imagenet"), source.images([4, 0, 2]))
    assert np.array_equal(batch.labels.numpy(), source.labels([4, 0, 2]))


def test_a_target_batch_has_images_and_names_only(folder_settings: DataSettings) -> None:
    target = open_target(folder_settings)
    plain = without_augmentation(folder_settings)
    batch = target_batch(target, [3, 1], transform=plain, step=0)
    assert set(vars(batch)) == {"images", "ids"}
    assert batch.ids == ("train/t3", "train/t1")
    assert np.array_equal(denormalise(batch.images, "imagenet"), target.images([3, 1]))


def test_the_batch_of_a_step_is_the_one_of_the_sampler(folder_settings: DataSettings) -> None:
    source, target = open_source(folder_settings), open_target(folder_settings)
    augment = Augment(folder_settings, seed=5, batch_size=2)
    for step in range(6):
        order = batch_indices(5, "source", step, batch_size=2, n=5)
        ids = augment.source_batch(source, step).ids
        assert ids == tuple(source.ids[index] for index in order)
        order = batch_indices(5, "target", step, batch_size=2, n=4)
        ids = augment.target_batch(target, step).ids
        assert ids == tuple(target.ids[index] for index in order)


def test_a_batch_is_a_function_of_seed_and_step(folder_settings: DataSettings) -> None:
    settings = replace(folder_settings, crop=(8, 10), jitter=0.3)
    source = open_source(settings)
    later = Augment(settings, 1, 3).source_batch(source, 9)
    fresh = Augment(settings, 1, 3)
    fresh.source_batch(source, 0)
    again = fresh.source_batch(source, 9)
    assert torch.equal(later.images, again.images)
    assert torch.equal(later.labels, again.labels)
    assert not torch.equal(later.images, fresh.source_batch(source, 10).images)


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (2, 5), (0, 4)])
def test_chunks_cover_everything_once(count: int, size: int) -> None:
    parts = list(chunks(count, size))
    assert [index for part in parts for index in part] == list(range(count))
    assert all(1 <= len(part) <= size for part in parts)
