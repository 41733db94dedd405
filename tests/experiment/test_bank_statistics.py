"""What a bank keeps of its models, and the scores that compare all of them."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoadapt.config.settings import ExperimentSettings
from autoadapt.data.transforms import normalise
from autoadapt.errors import RunError
from autoadapt.experiment.bank import run_bank
from autoadapt.experiment.bank_file import Bank, read_bank
from autoadapt.experiment.commands import correlate_models
from autoadapt.experiment.pool import with_pool_scores
from autoadapt.experiment.reporting import bank_report
from autoadapt.experiment.statistics_file import read_class_maps, read_statistics
from autoadapt.experiment.trial import domains_of, scored_images
from autoadapt.experiment.watching import Watcher
from autoadapt.networks.contract import upsample
from autoadapt.scores._agreement import accuracy, miou, pair_counts
from autoadapt.scores._compute import compute, make
from autoadapt.training.model import load_model

POOLED = ["pool_agreement", "spectral_agreement", "ensv", "aline_d"]
DERIVED = ["entropy", "reent", "regent", "softmax_corr", "mmd", "rank_me", "ts_miou", "dev", "macs"]

MakeSettings = Callable[..., ExperimentSettings]


@pytest.fixture(scope="module")
def asked(bank_settings: MakeSettings) -> ExperimentSettings:
    return bank_settings("bank.statistics=full", scores=[*DERIVED, *POOLED])


@pytest.fixture(scope="module")
def scored(
    asked: ExperimentSettings, small_bank: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = Path(shutil.copytree(small_bank, tmp_path_factory.mktemp("banks") / "scored"))
    run_bank(asked, folder, Watcher())
    return folder


@pytest.fixture(scope="module")
def bank(scored: Path) -> Bank:
    return read_bank(scored)


def statistics(folder: Path) -> list[Path]:
    return sorted((folder / "bank/statistics/dacs-seed-4").glob("*.npz"))


def test_pool_scores_are_those_of_the_class_maps(scored: Path, bank: Bank) -> None:
    maps = [read_class_maps(path).target for path in statistics(scored)]
    classes = len(bank.fingerprint["classes"])
    for me, model in enumerate(bank.models):
        others = [miou(pair_counts(maps[me], maps[k], classes)) for k in range(3) if k != me]
        assert model.record.scores["pool_agreement"] == pytest.approx(-np.mean(others))
        assert set(POOLED) <= set(model.record.scores)
        assert -1 <= model.record.scores["aline_d"] <= 0


def test_the_ensemble_is_the_mean_of_all_class_probabilities(
    scored: Path, bank: Bank, asked: ExperimentSettings
) -> None:
    target = domains_of(asked.data).target
    pixels = target.images(scored_images(len(target), 4))
    total = torch.zeros(())
    for path in sorted(scored.glob("cells/*/trials/*")):
        logits = load_model(path, torch.device("cpu")).forward(normalise(pixels, "imagenet")).logits
        total = total + upsample(logits, (32, 48)).softmax(1)
    together = total.argmax(1).numpy().astype(np.uint8)
    for path, model in zip(statistics(scored), bank.models, strict=True):
        counts = pair_counts(read_class_maps(path).target, together, total.shape[1])
        assert model.record.scores["ensv"] == pytest.approx(-accuracy(counts), abs=1e-3)


def test_the_ensemble_is_kept(
    scored: Path, asked: ExperimentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in (scored / "bank").rglob("*.*")}
    monkeypatch.delattr("autoadapt.experiment.pool.voted")
    run_bank(asked, scored, Watcher())
    assert {path: path.read_bytes() for path in (scored / "bank").rglob("*.*")} == before
    assert len(before) == 2 + 3


def test_an_ensemble_of_more_images_than_fit_is_the_same(
    scored: Path,
    asked: ExperimentSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autoadapt.experiment.pool.LARGEST_SUM", 4 * 32 * 48 * 11 * 3)
    copy = Path(shutil.copytree(scored, tmp_path / "copy"))
    (first,) = (copy / "pool").iterdir()
    before = np.load(first)["target"]
    first.unlink()
    run_bank(asked, copy, Watcher())
    np.testing.assert_array_equal(np.load(first)["target"], before)


def test_scores_can_be_computed_from_what_was_published(scored: Path, bank: Bank) -> None:
    for path, model in zip(statistics(scored), bank.models, strict=True):
        found = read_statistics(path, model.record.costs)
        values, errors = compute({name: make(name, {}) for name in DERIVED}, found)
        assert errors == {}
        recorded = {name: model.record.scores[name] for name in DERIVED}
        assert values == pytest.approx(recorded, rel=2e-2, abs=1e-3)


def test_size_is_reported_and_what_is_gone_is_removed(
    asked: ExperimentSettings, scored: Path, tmp_path: Path
) -> None:
    size = sum(path.stat().st_size for path in statistics(scored))
    words = read_bank(scored).facts["Statistics"]
    assert words.startswith("class maps, sums over regions and samples; ")
    assert f"{size / 3e3:.0f} kB per model, {size / 1e6:.1f} MB in all" in words

    copy = Path(shutil.copytree(scored, tmp_path / "copy"))
    stray = copy / "bank/statistics/dacs-seed-4/0099-gone.npz"
    stray.write_bytes(b"")
    run_bank(asked, copy, Watcher())
    assert not stray.exists()
    assert statistics(copy)[0].read_bytes() == statistics(scored)[0].read_bytes()


def test_class_maps_alone_are_small_and_say_so(small_bank: Path) -> None:
    path, *_ = statistics(small_bank)
    assert path.stat().st_size < 20_000
    with pytest.raises(RunError, match="has class maps only; make the bank with"):
        read_statistics(path, {})


def test_a_file_that_is_no_statistics_is_refused(tmp_path: Path, small_bank: Path) -> None:
    path, whole = tmp_path / "x.npz", statistics(small_bank)[0].read_bytes()
    for content in (b"", b"PK nothing", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(RunError, match="holds no statistics, or is damaged"):
            read_class_maps(path)


def test_the_report_says_what_no_search_can_use(bank: Bank, scored: Path, tmp_path: Path) -> None:
    assert sorted(bank.pooled) == sorted(POOLED)
    report = bank_report([bank])
    assert report.kind("ensv") == "needs all models"
    assert report.kind("entropy") == "score"
    portable = Path(shutil.copytree(scored / "bank", tmp_path / "published"))
    shutil.rmtree(portable / "statistics")
    _, values, page = correlate_models([portable], Watcher())
    kinds = {one["score"]: one["kind"] for one in values["agreements"]}
    assert {name for name, kind in kinds.items() if kind == "needs all models"} == set(POOLED)
    assert "aline_d (needs all models)" in page.read_text()


def test_a_pool_of_one_has_a_reason(bank: Bank, asked: ExperimentSettings, scored: Path) -> None:
    alone = replace(bank.models[0], record=replace(bank.models[0].record, scores={}))
    (found,) = with_pool_scores([alone], asked, scored, Watcher())
    assert set(found.record.score_errors) == set(POOLED)
    assert "at least 2 models, found 1" in found.record.score_errors["ensv"]
