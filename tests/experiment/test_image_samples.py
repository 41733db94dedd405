"""Scores of a bank on choices of its target images, added to a bank that is trained already."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoadapt.config.settings import ExperimentSettings, ImageSampleSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank import run_bank
from autoadapt.experiment.bank_file import Bank, read_bank, write_bank
from autoadapt.experiment.commands import correlate_models
from autoadapt.experiment.image_samples import choices_of
from autoadapt.experiment.image_samples_file import IMAGE_SAMPLES
from autoadapt.experiment.statistics_file import read_statistics, write_statistics
from autoadapt.experiment.watching import Watcher
from autoadapt.scores._compute import make
from autoadapt.scores._images import of_images

MakeSettings = Callable[..., ExperimentSettings]
SCORES = ["entropy", "softmax_corr", "collapse", "jsd_gap", "source_miou", "ts_miou"]
SAMPLED = "autoadapt.experiment.image_samples"
DIFFERENT = 10
"""Choices of the four images that differ: one subset is drawn twice."""
ASKED = {"sizes": [2, 3, 9], "subsets": 3, "resamples": 4, "scores": ["jsd_gap", *SCORES[:3]]}


@pytest.fixture(scope="module")
def settings_of(bank_settings: MakeSettings) -> Callable[..., ExperimentSettings]:
    """Make the settings of the small bank with choices of its four images."""

    def make_settings(**changes: Any) -> ExperimentSettings:
        section = json.dumps({**ASKED, **changes})
        return bank_settings("bank.statistics=full", f"bank.image_samples={section}", scores=SCORES)

    return make_settings


@pytest.fixture(scope="module")
def sampled(
    settings_of: MakeSettings, small_bank: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of a bank that was trained with one score and class maps alone."""
    folder = Path(shutil.copytree(small_bank, tmp_path_factory.mktemp("banks") / "sampled"))
    run_bank(settings_of(), folder, Watcher())
    return folder


@pytest.fixture
def copy(sampled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sampled, tmp_path / "copy"))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The choices that anything is computed on."""
    calls: list[tuple[int, ...]] = []

    def told(statistics: Any, images: Sequence[int]) -> Any:
        calls.append(tuple(images))
        return of_images(statistics, images)

    monkeypatch.setattr(f"{SAMPLED}.of_images", told)
    return calls


def values_of(bank: Bank) -> dict[str, list[list[float]]]:
    assert bank.image_samples is not None
    return {name: found.tolist() for name, found in bank.image_samples.values.items()}


def test_choices_are_all_images_then_subsets_then_resamples() -> None:
    asked = ImageSampleSettings(sizes=(20, 5, 62, 80), subsets=3, resamples=4)
    choices = choices_of(asked, 62, seed=1)
    assert choices[0] == tuple(range(62))
    assert [len(choice) for choice in choices] == [62, 5, 5, 5, 20, 20, 20, 62, 62, 62, 62]
    for subset in choices[1:7]:
        assert list(subset) == sorted(set(subset))
    for resample in choices[7:]:
        assert list(resample) == sorted(resample)
        assert 25 < len(set(resample)) < 55  # 1 - 1/e of them, 39
    assert len(set(choices)) == len(choices)
    assert choices_of(asked, 62, seed=1) == choices
    assert choices_of(asked, 62, seed=2)[1:] != choices[1:]


def test_more_choices_begin_with_those_of_fewer() -> None:
    few = choices_of(ImageSampleSettings(sizes=(5,), subsets=3, resamples=2), 20, seed=0)
    more = choices_of(ImageSampleSettings(sizes=(5, 8), subsets=5, resamples=6), 20, seed=0)
    assert set(few) < set(more)


def test_values_are_those_of_the_stored_statistics(sampled: Path) -> None:
    bank = read_bank(sampled)
    samples = bank.image_samples
    assert samples is not None
    assert list(samples.values) == ["jsd_gap", "entropy", "softmax_corr", "collapse"]
    assert [len(choice) for choice in samples.choices] == [4, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4]
    assert len(set(samples.choices)) == DIFFERENT
    assert samples.reasons == {}
    paths = sorted((sampled / "bank/statistics").glob("*/*.npz"))
    for row, (path, model) in enumerate(zip(paths, bank.models, strict=True)):
        statistics = read_statistics(path, model.record.costs)
        for column, choice in enumerate(samples.choices):
            for name in ("entropy", "softmax_corr"):
                expected = make(name, {})(of_images(statistics, choice))
                found = samples.values[name][row, column]
                assert found == pytest.approx(expected, rel=1e-6)
        for name, values in samples.values.items():
            recorded = model.record.scores[name]
            assert values[row, 0] == pytest.approx(recorded, rel=1e-2, abs=1e-3)


def test_nothing_is_computed_twice(
    settings_of: MakeSettings, copy: Path, computed: list[tuple[int, ...]]
) -> None:
    before = {path: path.read_bytes() for path in (copy / "bank").rglob("*.*")}
    run_bank(settings_of(), copy, Watcher())
    assert computed == []
    assert {path: path.read_bytes() for path in (copy / "bank").rglob("*.*")} == before


def test_what_is_added_costs_only_itself(
    settings_of: MakeSettings, copy: Path, computed: list[tuple[int, ...]]
) -> None:
    before = values_of(read_bank(copy))
    run_bank(settings_of(sizes=[1, 2, 3]), copy, Watcher())
    assert len(computed) == 3 * 3
    assert {len(choice) for choice in computed} == {1}
    computed.clear()
    run_bank(settings_of(scores=["ts_miou", "entropy", "source_miou"]), copy, Watcher())
    assert len(computed) == 3 * DIFFERENT, "the new scores on every choice"
    after = values_of(read_bank(copy))
    assert list(after) == ["ts_miou", "entropy", "source_miou"]
    assert after["entropy"] == before["entropy"]
    assert np.ptp(after["source_miou"], axis=1) == pytest.approx(0)


def test_other_statistics_are_computed_anew(
    settings_of: MakeSettings, copy: Path, computed: list[tuple[int, ...]]
) -> None:
    path = min(copy.glob("cells/*/trials/*/scores/*.npz"))
    found = read_statistics(path, {})
    write_statistics(path, replace(found, target_outputs=found.target_outputs[::-1]), "full")
    run_bank(settings_of(), copy, Watcher())
    assert len(computed) == DIFFERENT, "one model on all choices"


def test_an_interrupted_computation_goes_on_with_the_next_model(
    settings_of: MakeSettings,
    sampled: Path,
    copy: Path,
    computed: list[tuple[int, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for path in copy.glob("cells/*/trials/*/image_samples"):
        shutil.rmtree(path)
    (copy / "bank" / IMAGE_SAMPLES).unlink()

    def stop() -> None:
        if len(computed) == DIFFERENT + 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(f"{SAMPLED}.check", stop)
    with pytest.raises(KeyboardInterrupt):
        run_bank(settings_of(), copy, Watcher())
    assert len(list(copy.glob("cells/*/trials/*/image_samples/*.json"))) == 1
    computed.clear()
    monkeypatch.setattr(f"{SAMPLED}.check", lambda: None)
    run_bank(settings_of(), copy, Watcher())
    assert len(computed) == 2 * DIFFERENT
    assert values_of(read_bank(copy)) == values_of(read_bank(sampled))
    same = (copy / "bank" / IMAGE_SAMPLES, sampled / "bank" / IMAGE_SAMPLES)
    assert same[0].read_bytes() == same[1].read_bytes()


def test_progress_is_told(settings_of: MakeSettings, copy: Path) -> None:
    for path in copy.glob("cells/*/trials/*/image_samples"):
        shutil.rmtree(path)
    stages: list[str] = []

    class Listening(Watcher):
        def stage(self, text: str) -> None:
            stages.append(text)

    run_bank(settings_of(), copy, Listening())
    assert "dacs-seed-4: 11 choices of images for 3 models" in stages
    assert any("choices of images for 2 of 3 models, about 0 s left" in one for one in stages)


def test_a_bank_that_no_longer_asks_has_no_file(
    bank_settings: MakeSettings, copy: Path, settings_of: MakeSettings
) -> None:
    run_bank(bank_settings(), copy, Watcher())
    assert not (copy / "bank" / IMAGE_SAMPLES).exists()
    assert read_bank(copy).image_samples is None
    run_bank(settings_of(), copy, Watcher())
    assert read_bank(copy).image_samples is not None


def test_a_score_that_is_undefined_has_a_reason(
    settings_of: MakeSettings, bank_settings: MakeSettings, copy: Path
) -> None:
    section = json.dumps({**ASKED, "scores": ["ent_of_large", "pairs"]})
    scores = ["ent_of_large", "pairs"]
    options = {
        "ent_of_large": {"score": "reent", "smallest": 100_000},
        "pairs": {"score": "mmd", "estimator": "linear"},
    }
    settings = bank_settings(
        "bank.statistics=full", f"bank.image_samples={section}", scores=scores, options=options
    )
    run_bank(settings, copy, Watcher())
    samples = read_bank(copy).image_samples
    assert samples is not None
    assert np.isnan(samples.values["ent_of_large"]).all()
    assert "no region of 100000 pixels" in samples.reasons["ent_of_large"]
    # four source images against two or three of the target
    whole = np.array([len(choice) == 4 for choice in samples.choices])
    np.testing.assert_array_equal(np.isnan(samples.values["pairs"]), np.tile(~whole, (3, 1)))
    assert "equally many source and target samples" in samples.reasons["pairs"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scores": ["entropi"]}, r"has no score 'entropi', did you mean 'entropy'\?; list it"),
        ({"scores": ["flip_agreement"]}, "'flip_agreement' cannot be computed .* mirrored target"),
        ({"scores": ["ensv"]}, "'ensv' cannot be computed from what is kept .* all candidates"),
    ],
)
def test_scores_that_cannot_be_had_are_refused_before_anything_is_done(
    bank_settings: MakeSettings, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    section = json.dumps({**ASKED, **change})
    scores = ["entropy", "flip_agreement", "ensv"]
    settings = bank_settings("bank.statistics=full", f"bank.image_samples={section}", scores=scores)
    with pytest.raises(ConfigError, match=words):
        run_bank(settings, tmp_path / "new", Watcher())
    assert not (tmp_path / "new").exists()


def test_without_a_usual_score_some_must_be_listed(
    bank_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = bank_settings(
        "bank.statistics=full", "bank.image_samples=true", "objective=mmd", scores=["jsd"]
    )
    objective = replace(
        settings.objective, terms=(replace(settings.objective.terms[0], score="jsd"),)
    )
    with pytest.raises(ConfigError, match=r"none is listed, .* list some of its scores: jsd"):
        run_bank(replace(settings, objective=objective), tmp_path / "new", Watcher())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["bank.image_samples=true"], "needs 'statistics: full' beside it"),
        (
            ["bank.statistics=full", "bank.image_samples={sizes: [5, 5]}"],
            r"bank\.image_samples\.sizes: \[5, 5\] holds something twice",
        ),
        (["bank.statistics=full", "bank.image_samples={subsets: 1}"], "subsets"),
        (["bank.statistics=full", "bank.image_samples={size: [5]}"], "did you mean 'sizes'"),
    ],
)
def test_mistakes_in_the_section(
    bank_settings: MakeSettings, changes: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        bank_settings(*changes)


def test_a_published_bank_needs_no_statistics(copy: Path, tmp_path: Path) -> None:
    portable = Path(shutil.copytree(copy / "bank", tmp_path / "published"))
    shutil.rmtree(portable / "statistics")
    _, values, page = correlate_models([portable], Watcher())
    found = {one["score"]: one for one in values["target_images"]["scores"]}
    assert values["target_images"]["scored"] == 4
    assert {"entropy", "softmax_corr", "objective ent", "objective softmax_corr"} <= set(found)
    assert "objective mmd" not in found
    assert [one["images"] for one in found["entropy"]["by_images"]] == [2, 3, 4]
    assert found["objective ent"]["by_images"] == found["entropy"]["by_images"]
    assert "Other target images" in page.read_text()


def test_damaged_files_are_refused(copy: Path) -> None:
    path = copy / "bank" / IMAGE_SAMPLES
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"PK nothing"):
        path.write_bytes(content)
        with pytest.raises(RunError, match="holds no image samples, or is damaged"):
            read_bank(copy)


def rewritten(path: Path, **changes: Any) -> None:
    with np.load(path) as archive:
        about, values = json.loads(str(archive["about"])), archive["values"]
    values = changes.pop("values", values)
    np.savez(path, about=np.array(json.dumps({**about, **changes})), values=values)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 9}, "expected image samples of version 1, found 9"),
        ({"choices": [[0, 2]]}, "the first choice does not have all images"),
        ({"choices": [[0, 1, 2, 3], [4]]}, "an image that was not scored"),
        ({"choices": "all"}, "is damaged"),
        ({"reasons": None}, "is damaged"),
        ({"values": np.zeros((3, 11, 2))}, r"expected values of the shape \(models, 11, 4\)"),
        ({"marks": "0"}, "belongs to other models, images or scores"),
        ({"values": np.zeros((2, 11, 4))}, "3 models but values of 2"),
    ],
)
def test_what_does_not_fit_is_refused(copy: Path, changes: dict[str, Any], words: str) -> None:
    rewritten(copy / "bank" / IMAGE_SAMPLES, **changes)
    with pytest.raises(RunError, match=words):
        read_bank(copy)


def test_samples_of_other_models_are_refused(copy: Path, sampled: Path, tmp_path: Path) -> None:
    bank = read_bank(copy)
    fewer = replace(bank, models=bank.models[:2], image_samples=None)
    write_bank(fewer, tmp_path)
    assert read_bank(tmp_path).image_samples is None
    shutil.copy(sampled / "bank" / IMAGE_SAMPLES, tmp_path)
    with pytest.raises(RunError, match=r"belongs to other models.*make it again with"):
        read_bank(tmp_path)


def test_damaged_values_of_a_model_are_named(settings_of: MakeSettings, copy: Path) -> None:
    path = min(copy.glob("cells/*/trials/*/image_samples/*.json"))
    path.write_text("{")
    with pytest.raises(RunError, match=r"is damaged: .*; delete it to compute it again"):
        run_bank(settings_of(), copy, Watcher())


@pytest.mark.slow
def test_values_on_ray_are_the_same(settings_of: MakeSettings, copy: Path, sampled: Path) -> None:
    for path in copy.glob("cells/*/trials/*/image_samples"):
        shutil.rmtree(path)
    settings = settings_of()
    on_ray = replace(settings, executor=replace(settings.executor, kind="ray", parallel=2))
    run_bank(on_ray, copy, Watcher())
    assert values_of(read_bank(copy)) == values_of(read_bank(sampled))
