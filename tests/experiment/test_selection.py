"""Snapshots and finalists: chosen without labels, kept, found again, whatever interrupts it."""

import contextlib
import hashlib
import itertools
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoadapt.cli import main
from autoadapt.config.load import from_plain, load
from autoadapt.config.settings import (
    AdaptSettings,
    ExperimentSettings,
    ObjectiveSettings,
    SelectionSettings,
    TermSettings,
    TrainingSettings,
)
from autoadapt.errors import CheckpointError, ConfigError, RunError, TrainingDivergedError
from autoadapt.experiment.adapt import (
    adapt_fully,
    check_same_training,
    contenders,
    title_of,
)
from autoadapt.experiment.comparison import find_models
from autoadapt.experiment.finalists import Finalist, choose_winner, read_finalists
from autoadapt.experiment.jobs import run_search
from autoadapt.experiment.run_folder import RunFolder, snapshot_folder
from autoadapt.experiment.search import Experiment, check_same_number
from autoadapt.experiment.selection import (
    Selector,
    Snapshots,
    as_seen,
    best_step,
    check_selection,
    model_at,
)
from autoadapt.experiment.trial import scores_of, without_evaluation
from autoadapt.experiment.watching import Watcher
from autoadapt.objective import Calibration, Standard
from autoadapt.records import Record
from autoadapt.space.architecture import Architecture
from autoadapt.training.model import MODEL, locate

ANY = Architecture.of("elastic_deeplab", {"depth": 3})
QUICK = {
    "search": {"trials": 2, "training": {"steps": 1, "batch_size": 2}},
    "adapt": {
        "training": {"steps": 2, "batch_size": 2, "checkpoint_every": 1},
        "finalists": 2,
        "selection": {"snapshots": 2},
        "hand_crafted": False,
        "source_only": False,
    },
    "scoring": {"images": 2},
}


def deep(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = deep(base[key], value) if isinstance(value, dict) and key in base else value
    return merged


@pytest.fixture(scope="module")
def quick(small_config: Path) -> ExperimentSettings:
    """Two trials of one step, both finalists, trained for two steps with a snapshot after each."""
    return from_plain(deep(yaml.safe_load(small_config.read_text()), QUICK))


@pytest.fixture(scope="module")
def whole(quick: ExperimentSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of that experiment, done in one go."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run_search(quick, path, Watcher())
    return path


def training_of(run: Path, place: int = 1) -> Path:
    return run / f"adapted/finalist{place}-advent/seed-0"


def record(step: int, **scores: float) -> Record:
    return Record(
        number=step, architecture=ANY, status="finished", seed=0, steps=step, scores=scores
    )


def selector_with(settings: ExperimentSettings, frozen: Calibration | None) -> Selector:
    terms = (TermSettings(score="mmd"), TermSettings(score="reent", weight=2.0))
    objective = ObjectiveSettings(terms=terms, clip=1.0)
    return Selector(replace(settings, objective=objective), frozen, {})


FROZEN = Calibration({"mmd": Standard(1.0, 0.5, 8), "reent": Standard(10.0, 4.0, 8)}, 8)


def test_snapshots_are_spread_from_the_start_to_the_last_step() -> None:
    assert SelectionSettings().steps(240) == (120, 150, 180, 210, 240)
    assert SelectionSettings(snapshots=3, start=0).steps(7) == (1, 4, 7)
    assert SelectionSettings(snapshots=9).steps(4) == (2, 3, 4)
    assert SelectionSettings(every=50).steps(240) == (150, 200, 240)
    assert SelectionSettings(every=80, start=0.2).steps(240) == (80, 160, 240)
    assert SelectionSettings().steps(1) == (1,)


def test_the_search_standardises_snapshots_and_clips_nothing(quick: ExperimentSettings) -> None:
    records = [record(2, mmd=0.0, reent=4.0), record(3, mmd=-9.0, reent=10.0)]
    choice = selector_with(quick, FROZEN).choose(records)
    # (0 - 1) / 0.5 + 2 (4 - 10) / 4 = -5 and (-9 - 1) / 0.5 + 2 * 0 = -20; clipped at 1, the first
    # would be -1 - 2 = -3 and the second -1.
    assert choice.objectives == {2: pytest.approx(-5.0), 3: pytest.approx(-20.0)}
    assert (choice.selected, choice.last, choice.standard) == (3, 3, "search")


def test_without_a_calibration_the_snapshots_stand_in_for_trials(
    quick: ExperimentSettings,
) -> None:
    records = [record(step, mmd=step, reent=-step) for step in (1, 2, 3)]
    choice = selector_with(quick, None).choose(records)
    assert (choice.selected, choice.standard) == (3, "snapshots")
    # median 2, spread 1.4826: (3 - 2) / 1.4826 - 2 (3 - 2) / 1.4826
    assert choice.objective == pytest.approx(-1 / 1.4826)
    partly = Calibration({"mmd": Standard(1.0, 0.5, 8)}, 8)
    assert selector_with(quick, partly).choose(records) == choice


def test_on_a_tie_the_later_snapshot_is_selected(quick: ExperimentSettings) -> None:
    same = [record(step, mmd=1.0, reent=1.0) for step in (1, 2, 3)]
    assert selector_with(quick, FROZEN).choose(same).selected == 3


def test_a_snapshot_without_a_score_is_passed_over(quick: ExperimentSettings) -> None:
    records = [record(1, mmd=1.0, reent=5.0), record(2, mmd=-1.0)]
    choice = selector_with(quick, FROZEN).choose(records)
    assert (choice.selected, choice.objectives[2]) == (1, None)


@pytest.mark.parametrize("frozen", [FROZEN, None])
def test_without_any_objective_the_last_step_is_used_and_the_reason_kept(
    quick: ExperimentSettings, frozen: Calibration | None
) -> None:
    lacking = [
        replace(record(step, mmd=1.0), score_errors={"reent": "no regions"}) for step in (1, 2)
    ]
    choice = selector_with(quick, frozen).choose(lacking)
    assert (choice.selected, choice.objective) == (2, None)
    assert "reent" in choice.note
    assert "no regions" in choice.note


def test_the_best_step_by_labels_is_the_later_one_on_a_tie() -> None:
    assert best_step({1: 0.2, 2: 0.4, 3: 0.4, 4: math.nan}) == 3
    assert best_step({1: math.nan, 2: math.nan}) == 2


def finalist(place: int, *values: float | None, note: str = "") -> Finalist:
    return Finalist(
        place=place,
        trial=10 + place,
        id=f"id{place}",
        search_objective=0.1 * place,
        objectives=dict(enumerate(values)),
        note=note,
    )


def test_the_winner_has_the_smallest_mean_objective_over_seeds() -> None:
    entries = [finalist(1, 1.0, 2.0), finalist(2, 2.0, 0.5), finalist(3, -9.0, None)]
    found = choose_winner("advent", entries)
    assert (found.winner, found.chosen.objective) == ("finalist2", 1.25)
    assert [one.place for one in found.losers] == [1, 3]
    assert choose_winner("advent", [finalist(1, 1.0), finalist(2, 1.0)]).winner == "finalist1"


def test_a_finalist_that_diverged_cannot_win_by_default() -> None:
    found = choose_winner("advent", [finalist(1, note="loss became nan"), finalist(2, None)])
    assert found.winner == "finalist2"
    assert found.losers == []


def test_finalists_are_titled_by_their_place() -> None:
    assert title_of("finalist2-min_ent") == "finalist 2, min-ent"
    roles, losers = {"finalist2": ANY}, {"finalist1": ANY}
    adapt = AdaptSettings(training=TrainingSettings(steps=2))
    names = [one.name for one in contenders(roles, adapt, losers)]
    assert names == ["finalist2-advent", "finalist1-advent", "finalist2-source_only"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["adapt.selection={objective: mmd_rent}"], "did you mean 'mmd_reent'"),
        (
            ["adapt.selection={objective: {terms: [{score: snt}]}}"],
            "adapt.selection.objective.terms.0.score: no scores named 'snt'",
        ),
        (["adapt.selection={snapshot: 3}"], "did you mean 'snapshots'"),
        (["adapt.selection={every: 2}"], "no snapshot before the last of 2 steps"),
        (["adapt.finalists=5"], "adapt.finalists: 5 of 4 trials"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    small_config: Path, changes: list[str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(small_config, changes)


def test_true_stands_for_the_defaults(small_config: Path) -> None:
    adapt = load(small_config, ["adapt.selection=true"]).adapt
    assert adapt is not None
    assert adapt.selection == SelectionSettings()
    off = load(small_config, ["adapt.selection=false"]).adapt
    assert off is not None
    assert off.selection is None


@pytest.mark.parametrize(
    ("score", "complaint"),
    [
        ("source_miou", "'source_miou' needs .* set data.source.hold_out"),
        ("committee_agreement", "under scoring.committee"),
        ("pool_agreement", "'pool_agreement' needs the predictions of all candidates"),
    ],
)
def test_a_score_that_can_never_be_had_stops_before_the_search(
    small_config: Path, tmp_path: Path, score: str, complaint: str
) -> None:
    own = f"adapt.selection={{objective: {{terms: [{{score: {score}}}]}}}}"
    settings = load(small_config, [own])
    with pytest.raises(ConfigError, match=complaint):
        run_search(settings, tmp_path / "run", Watcher())
    assert not (tmp_path / "run").exists()
    held = load(small_config, [own.replace(score, "source_miou"), "data.source.hold_out=2"])
    check_selection(held, held.adapt)
    check_selection(held, None)


def test_the_objective_of_the_selection_is_measured_of_candidates_too(small_config: Path) -> None:
    settings = load(small_config, ["adapt.selection={objective: {terms: [{score: snd}]}}"])
    assert list(scores_of(without_evaluation(settings))) == ["mmd", "reent", "snd", "entropy"]
    assert settings.adapt is not None
    assert list(scores_of(as_seen(settings, settings.adapt))) == ["snd"]


def test_what_was_trained_without_snapshots_has_none_to_choose_from(tmp_path: Path) -> None:
    plain = AdaptSettings(training=TrainingSettings(steps=4))
    chosen = replace(plain, selection=SelectionSettings(snapshots=2))
    contender = contenders({"winner": ANY}, plain)[0]
    check_same_training(contender, plain, tmp_path / "plain")
    with pytest.raises(RunError, match=r"snapshots: \[\] in the folder, \[2\] now"):
        check_same_training(contender, chosen, tmp_path / "plain")
    check_same_training(contender, chosen, tmp_path / "chosen")
    check_same_training(contender, plain, tmp_path / "chosen")


def test_finalists_and_snapshots_are_chosen_and_shown(whole: Path) -> None:
    found = read_finalists(whole)
    assert found is not None
    assert [one.place for one in found.entries] == [1, 2]
    objectives = [one.objective for one in found.entries]
    assert None not in objectives
    assert found.chosen.objective == min(
        objective for objective in objectives if objective is not None
    )
    assert yaml.safe_load((whole / "winner.yaml").read_text())["id"] == found.chosen.id
    for place in (1, 2):
        folder = training_of(whole, place)
        choice = Snapshots(folder, (1, 2)).choice
        assert choice is not None
        assert choice.standard == "search"
        assert set(choice.objectives) == {1, 2}
        assert locate(folder) == folder / "selected" / MODEL
        assert (folder / MODEL).is_file()
        assert (folder / "best_by_labels" / MODEL).is_file()
        early = snapshot_folder(folder, 1)
        assert {path.name for path in early.iterdir()} == {"scores.json", "evaluation.json"}
    page = (whole / "report/index.html").read_text()
    for text in ("Chosen among full models", "best by labels*", "for analysis only", "finalist 2"):
        assert text in page
    values = json.loads((whole / "report/selection.json").read_text())
    assert [one["won"] for one in values["finalists"]].count(True) == 1
    assert min(one["regret_of_selected"] for one in values["trainings"]) >= 0
    lines = (whole / "report/selection.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2
    assert "analysis only" in (whole / "report/selection.md").read_text()


def test_a_selected_snapshot_is_the_training_cut_short(whole: Path) -> None:
    """The kept weights are those of the step: equal to the last if selected, else not."""
    folder = training_of(whole)
    choice = Snapshots(folder, (1, 2)).choice
    assert choice is not None
    same = (folder / "selected" / MODEL).samefile(folder / MODEL)
    assert same == (choice.selected == 2)


def test_commands_take_the_selected_model_unless_told_otherwise(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = training_of(whole)
    assert model_at(folder, "last") == folder / MODEL
    assert model_at(folder, "selected") == folder / "selected" / MODEL
    (used,) = find_models([folder])
    assert (used.path, used.snapshot) == (folder / "selected" / MODEL, "selected")
    assert used.contender == "finalist 1, advent (selected)"
    (last,) = find_models([folder / MODEL])
    assert (last.contender, last.place) == ("finalist 1, advent (last)", folder.parent)
    kinds = [one.snapshot for one in find_models([whole], "all")]
    assert kinds == ["last", "selected", "best_by_labels"] * 2
    assert {one.snapshot for one in find_models([whole])} == {"selected"}
    for path, kind, complaint in (
        (folder, "best_by_labels", "expected last or selected"),
        (folder / MODEL, "last", "is no folder"),
        (next(whole.glob("trials/*")), "selected", "has no selected snapshot"),
    ):
        with pytest.raises((CheckpointError, ConfigError), match=complaint):
            model_at(path, kind)
    with pytest.raises(ConfigError, match="expected one of all, last, selected"):
        find_models([folder], "best")


def test_evaluate_shows_the_regret_of_the_choice(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(whole), "--snapshot", "all", "--format"]
    tables = {}
    for form in ("markdown", "json", "latex"):
        with pytest.raises(SystemExit) as caught:
            main(["evaluate", str(training_of(whole)), *options, form])
        assert not caught.value.code
        tables[form] = capsys.readouterr().out
    assert "| finalist 1, advent (best by labels) |" in tables["markdown"]
    line = tables["markdown"].splitlines()[-1]
    assert "points of mIoU below the best by labels: selected" in line
    assert "uses target labels: for analysis only" in line
    kinds = [one["snapshot"] for one in json.loads(tables["json"])]
    assert kinds == ["last", "selected", "best_by_labels"]
    comments = [text for text in tables["latex"].splitlines() if text.startswith("% ")]
    assert len(comments) == 2


def test_no_label_is_opened_before_everything_is_chosen(
    quick: ExperimentSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate_fully(*_: object) -> None:
        raise KeyboardInterrupt

    def opened(*_: object) -> None:
        raise AssertionError("labels were opened")

    monkeypatch.setattr(Experiment, "evaluate_fully", evaluate_fully)
    monkeypatch.setattr("autoadapt.experiment.search.open_evaluation", opened)
    with pytest.raises(KeyboardInterrupt):
        run_search(quick, tmp_path / "run", Watcher())
    assert read_finalists(tmp_path / "run") is not None
    assert RunFolder(tmp_path / "run").labels_opened() == []
    assert (training_of(tmp_path / "run", 2) / "selected" / MODEL).is_file()
    assert not list(tmp_path.glob("**/best_by_labels"))
    assert quick.adapt is not None
    assert as_seen(quick, quick.adapt).data.evaluation is None


def left(run: Path) -> dict[str, str]:
    """Return what a run leaves that must not depend on interruptions, by path."""
    kept = ("selection.json", "scores.json", "evaluation.json", "finalists.json", MODEL)
    files = sorted(path for path in run.rglob("*") if path.name in kept)
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_whatever_interrupts_it_the_same_command_ends_alike(
    quick: ExperimentSettings, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the end of the search on, every fifth file that is put in place ends an attempt."""
    original, placed, attempts = os.replace, itertools.count(1), 0

    def replace_or_die(source: Any, target: Any) -> None:
        original(source, target)
        if next(placed) % 5 == 0:
            raise KeyboardInterrupt

    run = shutil.copytree(whole, tmp_path / "run", ignore=shutil.ignore_patterns("adapted", "f*"))
    monkeypatch.setattr("autoadapt.experiment.jobs.write_search_report", lambda _: run)
    monkeypatch.setattr("autoadapt.files.os.replace", replace_or_die)
    done = False
    while not done:
        attempts += 1
        with contextlib.suppress(KeyboardInterrupt):
            run_search(quick, run, Watcher())
            done = True
    assert attempts > 4
    assert left(run) == left(whole)


def test_a_finished_run_with_choices_is_not_touched_again(
    quick: ExperimentSettings, whole: Path
) -> None:
    before, opened = left(whole), RunFolder(whole).labels_opened()
    run_search(quick, whole, Watcher())
    assert left(whole) == before
    assert RunFolder(whole).labels_opened() == opened
    found = read_finalists(whole)
    assert found is not None
    assert quick.adapt is not None
    more = replace(quick.adapt, finalists=3)
    with pytest.raises(RunError, match="2 finalists, 3 are asked for"):
        check_same_number(found, more, whole)


def test_a_diverging_finalist_loses_and_the_others_go_on(
    quick: ExperimentSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(contender: Any, *rest: Any) -> Path:
        if contender.role == "finalist1":
            raise TrainingDivergedError("loss source became nan")
        return adapt_fully(contender, *rest)

    monkeypatch.setattr("autoadapt.experiment.search.adapt_fully", diverging)
    without_labels = replace(quick, data=replace(quick.data, evaluation=None))
    run_search(without_labels, tmp_path / "run", Watcher())
    found = read_finalists(tmp_path / "run")
    assert found is not None
    assert (found.winner, found.entries[0].note) == ("finalist2", "loss source became nan")
    folder = training_of(tmp_path / "run", 2)
    assert not (snapshot_folder(folder, 1) / MODEL).exists()
    assert not list(folder.glob("**/evaluation.json"))
    page = (tmp_path / "run/report/index.html").read_text()
    assert "loss source became nan" in page
