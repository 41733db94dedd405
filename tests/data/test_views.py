"""Parts, relabelled and joined sets against the sets they were made of."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from autoadapt.data.cache import write_rows
from autoadapt.data.training import TrainingData
from autoadapt.data.views import joined, relabelled, repainted, subset


def test_a_part_has_the_chosen_images_and_labels(toy_data: TrainingData) -> None:
    part = subset(toy_data.source, [4, 1])
    assert part.ids == ("source4", "source1")
    assert (part.images([1]) == toy_data.source.images([1])).all()
    assert (part.labels([0]) == toy_data.source.labels([4])).all()
    again = subset(part, [1])
    assert (again.labels([0]) == toy_data.source.labels([1])).all()
    bare = subset(toy_data.target, [2, 0])
    assert (bare.ids, bare.origins) == (("target2", "target0"), ("target2", "target0"))
    assert bare.digests == (toy_data.target.digests[2], toy_data.target.digests[0])


@pytest.mark.parametrize("index", [-1, 5])
def test_a_part_cannot_reach_beyond_the_set(toy_data: TrainingData, index: int) -> None:
    with pytest.raises(IndexError, match="5 images"):
        subset(toy_data.source, [0, index])


def test_labels_written_are_the_labels_read_in_a_training_batch(
    toy_data: TrainingData, tmp_path: Path
) -> None:
    """Writing class k and reading it back gives k, for all of 0..18 and void."""
    values = [0, 9, 18]
    maps = [np.full(toy_data.target.size, value, np.uint8) for value in values]
    maps[0][0] = np.arange(48) % 19
    maps[0][1] = 255
    rows = write_rows(tmp_path / "labels.rows", maps, key="test", shape=toy_data.target.size)
    pseudo = relabelled(toy_data.target, rows, toy_data.source.classes)
    assert (pseudo.labels([0, 1, 2]) == np.stack(maps)).all()
    data = dataclasses.replace(toy_data, further={"pseudo": pseudo}, batch_size=1)
    seen = {}
    for step in range(3):
        batch = data.draw(step).further["pseudo"]
        seen[batch.ids[0]] = set(batch.labels.flatten().tolist())
    assert seen == {"target0": {*range(19), 255}, "target1": {9}, "target2": {18}}


def test_labels_of_another_number_or_size_are_refused(
    toy_data: TrainingData, tmp_path: Path
) -> None:
    maps = [np.zeros((32, 48), np.uint8)] * 2
    rows = write_rows(tmp_path / "labels.rows", maps, key="test", shape=(32, 48))
    with pytest.raises(ValueError, match=r"2 label maps of .* for 3 images"):
        relabelled(toy_data.target, rows, toy_data.source.classes)


def test_weights_and_soft_labels_go_with_their_images(
    toy_data: TrainingData, tmp_path: Path
) -> None:
    """Each pixel of the maps names its place: crops and mirrored images show whether they fit."""
    columns = np.broadcast_to(np.arange(48, dtype=np.uint8), (32, 48))
    places = np.stack([columns, np.arange(32, dtype=np.uint8)[:, None] + 0 * columns], axis=-1)
    soft = np.stack([np.broadcast_to(np.array([0, 1], np.uint8), places.shape), places], axis=-2)
    one, two, three = (
        write_rows(tmp_path / f"{name}.rows", [value] * 3, key=name, shape=value.shape)
        for name, value in (("labels", columns), ("weights", places[..., 1]), ("soft", soft))
    )
    classes = toy_data.source.classes
    pseudo = relabelled(toy_data.target, one, classes, weights=two, soft=three)
    settings = dataclasses.replace(toy_data.settings, crop=(9, 14))
    part = subset(pseudo, [2, 0])
    data = dataclasses.replace(toy_data, settings=settings, further={"pseudo": part})
    for step in range(4):
        batch = data.draw(step).to(torch.device("cpu")).further["pseudo"]
        assert batch.weights is not None
        assert batch.soft is not None
        assert batch.soft.shape == (2, 4, 9, 14)
        assert torch.equal((batch.soft[:, 0] * 255).round().long(), batch.labels)
        assert torch.equal(batch.soft[:, 1], batch.weights)
    assert data.draw(0).source.weights is None
    with pytest.raises(ValueError, match=r"label maps of \(32, 48\) .* expected \(32, 48, 2, 48\)"):
        relabelled(toy_data.target, one, classes, soft=one)
    with pytest.raises(ValueError, match="cannot be joined"):
        joined(toy_data.source, pseudo)


def test_repainted_images_keep_their_labels(toy_data: TrainingData, tmp_path: Path) -> None:
    paint = [np.full((32, 48, 3), value, np.uint8) for value in (7, 8)]
    rows = write_rows(tmp_path / "images.rows", paint, key="test", shape=(32, 48, 3))
    part = subset(toy_data.source, [3, 1])
    other = repainted(part, rows)
    assert other.images([1, 0])[:, 0, 0, 0].tolist() == [8, 7]
    assert (other.labels([0, 1]) == part.labels([0, 1])).all()
    with pytest.raises(ValueError, match=r"2 pictures of .* for 5 images"):
        repainted(toy_data.source, rows)


def test_joined_sets_stand_one_after_the_other(toy_data: TrainingData, tmp_path: Path) -> None:
    maps = [np.full((32, 48), value, np.uint8) for value in (1, 2, 3)]
    rows = write_rows(tmp_path / "labels.rows", maps, key="test", shape=(32, 48))
    pseudo = relabelled(toy_data.target, rows, toy_data.source.classes)
    part = subset(toy_data.source, [3, 1])
    both = joined(part, subset(pseudo, [2, 0]))
    assert both.ids == ("source3", "source1", "target2", "target0")
    assert (both.images([3, 0])[0] == toy_data.target.images([0])[0]).all()
    assert (both.images([3, 0])[1] == toy_data.source.images([3])[0]).all()
    assert (both.labels([1]) == toy_data.source.labels([1])).all()
    assert both.labels([2, 3])[:, 0, 0].tolist() == [3, 1]
    thrice = joined(both, part)
    assert (thrice.labels([5]) == toy_data.source.labels([1])).all()


def test_a_sweep_is_in_order_and_plain(toy_data: TrainingData) -> None:
    found = list(toy_data.sweep(toy_data.target, 2))
    assert [(list(indices), batch.ids) for indices, batch in found] == [
        ([0, 1], ("target0", "target1")),
        ([2], ("target2",)),
    ]
