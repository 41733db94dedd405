"""Two real data sets, where they are at hand."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.classes import CAMVID11
from autoadapt.data.images import check_disjoint
from autoadapt.data.open import class_names, class_table, open_evaluation, open_source, open_target
from autoadapt.data.originals import find_images
from autoadapt.data.priors import class_ratio

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "AUTOADAPT_DATA" not in os.environ,
        reason="AUTOADAPT_DATA names no folder with camvid/ and carla/",
    ),
]

CAMVID = DatasetSettings(
    kind="folder", options={"root": "${AUTOADAPT_DATA}/camvid", "split": "day"}
)
CARLA = DatasetSettings(kind="folder", options={"root": "${AUTOADAPT_DATA}/carla"})
DUSK = replace(CAMVID.with_options(split="dusk"), order="name")


@pytest.fixture
def settings(tmp_path: Path) -> DataSettings:
    return DataSettings(
        source=CAMVID,
        target=replace(DUSK, part=(0.0, 0.5)),
        evaluation=replace(DUSK, part=(0.5, 1.0)),
        size=(60, 80),
        cache=str(tmp_path),
    )


@pytest.mark.parametrize(
    ("dataset", "count"),
    [
        (CAMVID, 577),
        (DUSK, 124),
        (CAMVID.with_options(split="train"), 367),
        (CARLA, 700),
    ],
)
def test_the_splits_have_their_published_sizes(dataset: DatasetSettings, count: int) -> None:
    assert len(find_images(dataset)) == count


def test_the_class_table_is_the_one_we_ship(settings: DataSettings) -> None:
    assert class_table(settings) == CAMVID11


def test_dusk_is_cut_in_two_halves_in_time(settings: DataSettings) -> None:
    target, evaluation = open_target(settings), open_evaluation(settings)
    assert (len(target), len(evaluation)) == (62, 62)
    names = [name.rpartition("/")[2] for name in (*target.ids, *evaluation.ids)]
    assert names == sorted(names)
    check_disjoint(target, evaluation)


def test_day_and_dusk_differ_in_light(settings: DataSettings) -> None:
    source, target = open_source(settings), open_target(settings)
    assert source.images(range(0, 577, 10)).mean() > 1.5 * target.images(range(62)).mean()


def test_camvid_frequencies_are_the_published_ones(settings: DataSettings) -> None:
    train = replace(settings, source=CAMVID.with_options(split="train"), size=(240, 320))
    shares = 100 * class_ratio(open_source(train), 11)
    published = [17.538, 24.216, 1.019, 32.960, 4.671, 10.126, 1.221, 1.173, 6.107, 0.665, 0.303]
    np.testing.assert_allclose(shares, published, atol=6e-4)


def test_carla_has_the_same_classes_but_no_bicyclist(settings: DataSettings) -> None:
    carla = replace(settings, source=CARLA)
    assert class_names(carla) == CAMVID11.names
    shares = class_ratio(open_source(carla), 11)
    assert shares[10] == 0
    assert (shares[:10] > 0).all()
