from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data import street
from autoadapt.data.formats import procedural
from autoadapt.data.images import check_disjoint
from autoadapt.data.open import class_names, open_evaluation, open_source, open_target
from autoadapt.errors import ConfigError, DataError

SIZE = (24, 32)


@pytest.fixture
def rendered(tmp_path: Path) -> DataSettings:
    game = DatasetSettings(kind="procedural", options={"style": "game", "count": 3})
    camera = DatasetSettings(kind="procedural", options={"style": "camera", "count": 5})
    return DataSettings(
        source=game,
        target=replace(camera, part=(0.0, 0.4)),
        evaluation=replace(camera, part=(0.4, 1.0)),
        size=SIZE,
        cache=str(tmp_path),
    )


def test_images_and_labels_are_those_of_the_renderer(rendered: DataSettings) -> None:
    source = open_source(rendered)
    assert len(source) == 3
    assert source.classes == class_names(rendered) == tuple(street.CLASSES)
    for index in range(3):
        image, label = street.render("game", 0, index, SIZE)
        assert np.array_equal(source.images([index])[0], image)
        assert np.array_equal(source.labels([index])[0], label)


def test_parts_continue_the_numbering(rendered: DataSettings) -> None:
    target, evaluation = open_target(rendered), open_evaluation(rendered)
    assert target.ids == ("camera/0/000000", "camera/0/000001")
    assert evaluation.ids == ("camera/0/000002", "camera/0/000003", "camera/0/000004")
    image, label = street.render("camera", 0, 2, SIZE)
    assert np.array_equal(evaluation.images([0])[0], image)
    assert np.array_equal(evaluation.labels([0])[0], label)
    check_disjoint(target, evaluation)


def test_overlapping_ranges_of_one_seed_are_refused_and_other_seeds_pass(
    rendered: DataSettings,
) -> None:
    target = open_target(rendered)
    assert rendered.evaluation is not None
    same = replace(rendered.evaluation, part=(0.0, 1.0))
    with pytest.raises(DataError, match="2 of 5 evaluation images"):
        check_disjoint(target, open_evaluation(replace(rendered, evaluation=same)))
    other = same.with_options(seed=1)
    check_disjoint(target, open_evaluation(replace(rendered, evaluation=other)))


def test_an_empty_part_is_refused(rendered: DataSettings) -> None:
    with pytest.raises(ConfigError, match="keeps none"):
        open_target(replace(rendered, target=replace(rendered.target, part=(0.0, 0.05))))


def test_classes_can_be_merged(rendered: DataSettings) -> None:
    first, second = street.CLASSES[:2]
    plain = open_source(rendered).labels([0])
    settings = replace(rendered, source=replace(rendered.source, merge={first: second}))
    merged = open_source(settings)
    assert merged.classes == tuple(street.CLASSES[1:])
    expected = np.where(plain == 255, 255, np.maximum(plain.astype(int) - 1, 0))
    assert np.array_equal(merged.labels([0]), expected)


def test_another_renderer_is_another_cache(
    rendered: DataSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_target(rendered)

    def black(
        _style: str, _seed: int, _index: int, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)

    monkeypatch.setattr(street, "render", black)
    assert open_target(rendered).fingerprint == before.fingerprint
    monkeypatch.setattr(procedural, "renderer_version", lambda: "edited")
    assert open_target(rendered).images([0]).max() == 0
