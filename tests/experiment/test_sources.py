"""Several labelled sources: one set for most methods, kept apart for those that say so."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
from torch import Tensor

from autoadapt.config.load import from_plain, load, make, to_plain
from autoadapt.config.settings import DatasetSettings, DataSettings, PluginSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.open import check_evaluation, open_source
from autoadapt.data.statistics import check
from autoadapt.errors import ConfigError, DataError
from autoadapt.experiment.trial import domains_of, training_data
from autoadapt.uda.base import Context, Method, Needs
from autoadapt.uda.source_only import SourceOnly


class Apart(Method):
    """Wants its sources apart; is never trained here."""

    summary = "a test"
    paper = "none"
    needs: ClassVar[Needs] = Needs(sources=2)

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        raise NotImplementedError


def rendered(style: Literal["game", "camera"], count: int, seed: int) -> DatasetSettings:
    options = {"style": style, "count": count, "seed": seed}
    return DatasetSettings(kind="procedural", options=options)


@pytest.fixture
def two_sources(tmp_path: Path) -> DataSettings:
    """Five and three source images, four of the target and two to evaluate on."""
    return DataSettings(
        source=rendered("game", 5, 1),
        further_sources={"second": rendered("game", 3, 9)},
        target=rendered("camera", 4, 2),
        evaluation=rendered("camera", 2, 3),
        size=(32, 48),
        cache=str(tmp_path / "cache"),
    )


def test_two_sources_are_one_set_for_most_methods(two_sources: DataSettings) -> None:
    domains = domains_of(two_sources)
    data = training_data(SourceOnly(), domains, two_sources, batch_size=8, seed=0)
    assert not data.further
    assert (len(data.source), len(domains.first), len(domains.further["second"])) == (8, 5, 3)
    second = open_source(dataclasses.replace(two_sources, source=rendered("game", 3, 9)))
    assert np.array_equal(data.source.images([6]), second.images([1]))
    assert np.array_equal(data.source.labels([6]), second.labels([1]))
    assert set(data.draw(0).source.ids) == set(data.source.ids)


def test_a_method_may_keep_them_apart(two_sources: DataSettings) -> None:
    data = training_data(Apart(), domains_of(two_sources), two_sources, batch_size=2, seed=0)
    assert len(data.source) == 5
    batch = data.draw(0)
    assert set(batch.further) == {"second"}
    assert batch.further["second"].images.shape == batch.source.images.shape


def test_one_source_stays_what_it_was(two_sources: DataSettings) -> None:
    alone = dataclasses.replace(two_sources, further_sources={})
    domains = domains_of(alone)
    assert domains.source is domains.first
    assert not training_data(Apart(), domains, alone, batch_size=2, seed=0).further


def test_the_check_of_data_reports_each_source(two_sources: DataSettings) -> None:
    report = check(two_sources)
    assert report.sound
    assert [(one.role, one.images) for one in report.sets] == [
        ("source", 5),
        ("further_sources.second", 3),
        ("target", 4),
        ("evaluation", 2),
    ]


@pytest.mark.parametrize(
    ("key", "role"), [("second", "further_sources.second"), ("", "source"), ("target", "target")]
)
def test_no_image_of_any_source_may_be_evaluated_on(
    two_sources: DataSettings, key: str, role: str
) -> None:
    used = {
        "second": rendered("game", 1, 9),
        "": rendered("game", 1, 1),
        "target": rendered("camera", 1, 2),
    }
    overlapping = dataclasses.replace(two_sources, evaluation=used[key])
    with pytest.raises(DataError, match=rf"1 of 1 evaluation images .* {role} images"):
        check_evaluation(overlapping)
    assert role in str(check(overlapping).overlap)


def test_a_class_that_only_another_source_has_is_taught(
    two_sources: DataSettings, make_classes: Callable[..., DatasetSettings]
) -> None:
    small = make_classes("small", ["road", "car"])
    other = make_classes("other", ["sky", "road"])
    data = dataclasses.replace(
        two_sources,
        source=small,
        further_sources={"other": other},
        target=small,
        evaluation=None,
        classes=("road", "car", "sky"),
    )
    assert domains_of(data).source.classes == ("road", "car", "sky")
    alone = dataclasses.replace(data, further_sources={})
    with pytest.raises(DataError, match=r"classes \['sky'\]"):
        domains_of(alone)
    assert "['sky']" in str(check(alone).sets[0].problem)


@pytest.fixture
def make_classes(tmp_path: Path) -> Callable[..., DatasetSettings]:
    """Make a folder data set of one image that has all of the classes given."""
    from PIL import Image

    def make(name: str, classes: list[str]) -> DatasetSettings:
        root = tmp_path / name
        for kind in ("images", "labels", "splits"):
            (root / kind).mkdir(parents=True)
        labels = np.arange(32 * 48, dtype=np.uint8).reshape(32, 48) % len(classes)
        Image.fromarray(labels).save(root / "labels/one.png")
        Image.fromarray(np.stack([40 * labels] * 3, axis=2)).save(root / "images/one.png")
        (root / "splits/train.txt").write_text("one\n")
        (root / "classes.json").write_text(json.dumps({"classes": classes}))
        return DatasetSettings(kind="folder", options={"root": str(root)})

    return make


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("data.further_sources={target: {kind: procedural}}", "needs a name of its own"),
        (
            "data.further_sources={gta: {kind: folder}}",
            "data.further_sources.gta.root: this key is needed",
        ),
        ("data.further_sources={gta: {kind: procedural, stile: game}}", "did you mean 'style'"),
        ("data.further_sources={GTA-5: {kind: procedural}}", "should match pattern"),
    ],
)
def test_mistakes_about_further_sources(small_config: Path, change: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(small_config, [change])


def test_further_sources_survive_a_round_trip(small_config: Path) -> None:
    settings = load(small_config, ["data.further_sources={more: {kind: procedural, seed: 5}}"])
    assert settings.data.further_sources["more"].options["seed"] == 5
    assert from_plain(to_plain(settings)) == settings


@pytest.mark.parametrize(("host", "names"), [("madan", {"second"}), ("advent", set())])
def test_a_host_gets_its_sources_as_it_would_alone(
    two_sources: DataSettings, host: str, names: set[str]
) -> None:
    method = make("uda", PluginSettings(name="mic", options={"host": host}))
    data = training_data(method, domains_of(two_sources), two_sources, batch_size=2, seed=0)
    assert set(data.further) == names
