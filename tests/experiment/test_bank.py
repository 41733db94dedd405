import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoadapt.cli import main
from autoadapt.config.load import load as load_config
from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank import planned, run_bank
from autoadapt.experiment.bank_file import Bank, check_same, read_bank, write_bank
from autoadapt.experiment.commands import correlate_models
from autoadapt.experiment.reporting import bank_report
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.watching import Watcher
from autoadapt.space import Architecture

Costs = Callable[[Architecture], dict[str, float]]
BANK = {"architectures": 3, "repeated": 1, "seeds": [0, 4], "methods": ["source_only", "min_ent"]}


def run(*arguments: object) -> int:
    """Run a command as a shell would and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code if isinstance(caught.value.code, int) else 0


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def settings(small_config: Path) -> ExperimentSettings:
    return load_config(small_config, [f"bank={json.dumps(BANK)}"])


@pytest.fixture(scope="module")
def made(settings: ExperimentSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("banks") / "made"
    assert run_bank(settings, folder, Watcher()) == folder / "bank"
    return folder


@pytest.fixture(scope="module")
def bank(made: Path) -> Bank:
    return read_bank(made)


def test_every_method_trains_all_and_every_seed_the_repeated(bank: Bank) -> None:
    found = [(one.method, one.training_seed, one.record.number) for one in bank.models]
    assert found == [
        (method, seed, number)
        for method in ("source_only", "min_ent")
        for seed, numbers in ((0, (0, 1, 2)), (4, (0,)))
        for number in numbers
    ]
    ids = [one.record.architecture.id for one in bank.models]
    assert ids[:3] == ids[4:7], "the same architectures for each method"
    assert ids[3] == ids[7] == ids[0]
    assert all(one.objective is not None for one in bank.models)
    assert all(one.miou is not None and 0 <= one.miou <= 1 for one in bank.models)


def test_another_training_seed_changes_the_model_and_not_what_is_measured(bank: Bank) -> None:
    first, again = bank.models[0].record, bank.models[3].record
    assert first.architecture == again.architecture
    assert first.scores != again.scores
    assert first.seed == again.seed


def test_a_finished_bank_is_made_again_without_work(
    made: Path, settings: ExperimentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files_in(made / "bank")
    notes = RunFolder(made).labels_opened()
    monkeypatch.delattr("autoadapt.experiment.trial.train")
    monkeypatch.delattr("autoadapt.experiment.reporting.evaluate")
    run_bank(settings, made, Watcher())
    assert files_in(made / "bank") == before
    assert RunFolder(made).labels_opened() == notes
    assert len(notes) == 4, "once per method and seed"


def test_an_interrupted_bank_goes_on_to_the_same(
    made: Path, settings: ExperimentSettings, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    shutil.rmtree(copy / "bank")
    shutil.rmtree(copy / "cells/min_ent-seed-4")
    run_bank(settings, copy, Watcher())
    for one, other in zip(read_bank(copy).models, read_bank(made).models, strict=True):
        assert one.record.comparable() == other.record.comparable()
        assert (one.miou, one.objective) == (other.miou, other.objective)


def test_correlate_needs_nothing_but_the_two_files(made: Path, tmp_path: Path) -> None:
    portable = Path(shutil.copytree(made / "bank", tmp_path / "published"))
    text, values, page = correlate_models([portable], Watcher())
    assert page == portable / "correlation/index.html"
    assert "compared with the true target mIoU of 8 models" in text
    assert sorted(set(values["groups"])) == ["min_ent", "source_only"]
    assert len(set(values["clusters"])) == 3
    assert values["noise_ceiling"] is not None
    assert values["opened_labels"]
    controls = {one["score"] for one in values["agreements"] if one["kind"] == "control"}
    assert controls == {"macs", "params", "random"}


def test_banks_of_other_samples_are_refused_with_the_difference(bank: Bank) -> None:
    sample = {**bank.fingerprint["sample"], "images": 9}
    other = replace(bank, name="other", fingerprint={**bank.fingerprint, "sample": sample})
    with pytest.raises(RunError, match=r"different data or samples:\n  sample.images: 4 and 9\n"):
        check_same([bank, other])
    check_same([bank, replace(other, fingerprint=bank.fingerprint)])


def test_several_banks_are_groups_apart(bank: Bank) -> None:
    report = bank_report([bank, replace(bank, name="other")])
    assert len(report.models) == 16
    assert set(report.groups) == {
        "small source_only",
        "small min_ent",
        "other source_only",
        "other min_ent",
    }


def test_a_bank_without_labels_has_scores_only(bank: Bank, tmp_path: Path) -> None:
    blind = replace(bank, models=tuple(replace(one, evaluation=None) for one in bank.models))
    write_bank(blind, tmp_path)
    assert read_bank(tmp_path) == blind
    text, values, _ = correlate_models([tmp_path], Watcher())
    assert "The 8 models have scores only" in text
    assert values["agreements"] == []


def test_damaged_and_foreign_folders_are_refused(bank: Bank, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a bank: it has no bank\.json"):
        read_bank(tmp_path)
    write_bank(bank, tmp_path)
    common = json.loads((tmp_path / "bank.json").read_text())
    (tmp_path / "bank.json").write_text(json.dumps({**common, "version": 7}))
    with pytest.raises(RunError, match="expected a bank of version 1, found 7"):
        read_bank(tmp_path)
    (tmp_path / "bank.json").write_text("{")
    with pytest.raises(RunError, match="is not a bank, or damaged"):
        read_bank(tmp_path)
    with pytest.raises(RunError, match="is not a bank"):
        correlate_models([tmp_path / "absent", tmp_path], Watcher())


def plan(settings_with: Callable[..., ExperimentSettings], costs: Costs, **bank: Any) -> list[str]:
    settings = settings_with({"bank": bank})
    return [one.id for one in planned(settings, costs)]


def test_a_plan_has_one_architecture_of_each_stratum_of_costs(
    settings_with: Callable[..., ExperimentSettings],
) -> None:
    def costs(architecture: Architecture) -> dict[str, float]:
        return {"macs": 1e8 + 5e2 * int(architecture.id[:5], 16), "params": 1e6}

    ids = plan(settings_with, costs, architectures=20, repeated=5)
    assert len(set(ids)) == 20
    assert ids == plan(settings_with, costs, architectures=20, repeated=5)
    # ids are hashes: strata of 60 draws are near the quantiles of an even distribution
    places = sorted(int(one[:5], 16) / 16**5 for one in ids)
    assert max(abs(place - (i + 0.5) / 20) for i, place in enumerate(places)) < 0.25
    repeated = sorted(int(one[:5], 16) / 16**5 for one in ids[:5])
    assert repeated[0] == places[0]
    assert repeated[-1] == places[-1]


def test_too_small_a_space_says_so(
    settings_with: Callable[..., ExperimentSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Architecture.of("elastic", {"depth": 1})
    monkeypatch.setattr("autoadapt.experiment.bank.sample_feasible", lambda *_: one)
    with pytest.raises(ConfigError, match="only 1 different ones were found"):
        plan(settings_with, lambda _: {"macs": 1e8}, architectures=3, repeated=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("bank={architectures: 5, repeated: 6}", "bank.repeated: 6 of 5 architectures"),
        ("bank={seeds: [1, 1]}", "bank.seeds: \\[1, 1\\] holds something twice"),
        ("bank={methods: [advant]}", "did you mean 'advent'"),
        ("bank={architecture: 5}", "did you mean 'architectures'"),
        ("bank={architectures: 2}", "bank.architectures"),
    ],
)
def test_mistakes_in_the_section(small_config: Path, change: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(small_config, [change])


def test_a_config_without_the_section_is_refused(small_config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no 'bank' section"):
        run_bank(load_config(small_config), tmp_path / "none", Watcher())
    assert not (tmp_path / "none").exists()


def test_the_cells_are_runs_of_their_own(made: Path) -> None:
    config = yaml.safe_load((made / "cells/min_ent-seed-4/config.yaml").read_text())
    assert config["search"]["training_seed"] == 4
    assert config["search"]["method"]["name"] == "min_ent"
    assert config["bank"] is None


def test_the_commands(
    small_config: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(made, tmp_path / "copy")
    assert run("bank", small_config, "--run", copy, "--set", f"bank={json.dumps(BANK)}") == 0
    assert f"bank: {copy / 'bank'}" in capsys.readouterr().out
    assert run("replay", copy, "--trials", 2, "--searches", 2, "--method", "min_ent") == 0
    assert "3 models, 2 searches each" in capsys.readouterr().out
    assert run("correlate", copy, tmp_path) == 2
    assert "is not a bank" in capsys.readouterr().err
