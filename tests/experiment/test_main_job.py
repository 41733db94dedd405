"""The main job through the command line, end to end, on rendered images."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from autoadapt.cli import main
from autoadapt.config.load import load
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import without_evaluation


def run(*arguments: object) -> int:
    """Run a command as a shell would and return its exit code."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code if isinstance(caught.value.code, int) else 0


@pytest.fixture(scope="module")
def finished_run(small_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert run("search", small_config, "--run", folder) == 0
    return folder


@pytest.fixture
def copied_run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "small"))


def test_the_run_folder_holds_what_the_architecture_page_says(finished_run: Path) -> None:
    records = RunFolder(finished_run).records()
    assert [record.number for record in records] == [0, 1, 2, 3]
    assert all(record.status == "finished" for record in records)
    assert all({"mmd", "reent", "entropy"} == set(record.scores) for record in records)
    assert all(1e8 <= record.costs["macs"] <= 1.6e8 for record in records)
    assert len({record.architecture.id for record in records}) == 4
    winner = yaml.safe_load((finished_run / "winner.yaml").read_text())
    assert winner["id"] in {record.architecture.id for record in records}
    for name in ("environment.json", "calibration.json", "report/index.html", "report/trials.csv"):
        assert (finished_run / name).stat().st_size > 0
    contenders = {path.name for path in (finished_run / "adapted").iterdir()}
    assert contenders == {
        "winner-advent",
        "winner-source_only",
        "reference-advent",
        "reference-source_only",
    }


def test_labels_were_opened_for_the_evaluation_alone(finished_run: Path) -> None:
    opened = RunFolder(finished_run).labels_opened()
    assert len(opened) == 4
    assert all("evaluation after full adaptation" in entry["why"] for entry in opened)


def test_the_same_command_again_changes_no_record(
    finished_run: Path, small_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished_run / "records.jsonl").read_bytes()
    assert run("search", small_config, "--run", finished_run) == 0
    assert (finished_run / "records.jsonl").read_bytes() == before
    assert "4 of 4 trials finished" in capsys.readouterr().out


def test_another_config_on_the_folder_is_refused_with_the_difference(
    finished_run: Path, small_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished_run / "config.yaml").read_bytes()
    assert run("search", small_config, "--run", finished_run, "--set", "seed=4") == 2
    assert "seed: 3 in the folder, 4 now" in capsys.readouterr().err
    assert (finished_run / "config.yaml").read_bytes() == before


def test_where_a_run_happens_may_change(finished_run: Path, small_config: Path) -> None:
    changes = ("--set", "executor.cpus=2", "--set", "device=cpu")
    assert run("search", small_config, "--run", finished_run, *changes) == 0


def test_evaluate_agrees_with_the_report(
    copied_run: Path, small_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copied_run / "adapted/winner-advent/seed-0/model.safetensors"
    assert run("evaluate", model, "--data", small_config, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    place = {name: found.pop(name) for name in ("checkpoint", "contender", "seed")}
    assert place == {"checkpoint": str(model), "contender": "winner, advent", "seed": 0}
    assert found == json.loads(model.with_name("evaluation.json").read_text())
    assert sum(map(sum, found["confusion"])) == 4 * 32 * 48  # every pixel has a class here
    last = RunFolder(copied_run).labels_opened()[-1]
    assert last["what"] == "adapted/winner-advent/seed-0/model.safetensors"
    assert last["why"] == "evaluation on demand, convention working"


def test_evaluate_lays_all_models_of_a_run_side_by_side(
    copied_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convention = ("--convention", "crst", "--set", "evaluation.convention.input=[40,56]")
    options = (*convention, "--scales", "0.75,1", "--no-flip", "--subset", "sky,road")
    where = ("--out", tmp_path / "table.tex", "--pictures", tmp_path / "pictures")
    assert (
        run("evaluate", copied_run, "--data", copied_run, *options, "--format", "latex", *where)
        == 0
    )
    assert f"table in {tmp_path / 'table.tex'}" in capsys.readouterr().out
    lines = (tmp_path / "table.tex").read_text().splitlines()
    assert lines[0].startswith("% 4 images. Convention crst (changed): network input at 56 × 40")
    assert "mean of logits over scales 0.75, 1;" in lines[0]
    assert lines[3] == (
        r"  IoU in \% & winner, advent & hand-crafted, advent & winner, source-only & "
        r"hand-crafted, source-only \\"
    )
    assert any(line.startswith("  mIoU (sky, road) & ") for line in lines)
    assert len(list((tmp_path / "pictures").glob("confusion-*.png"))) == 8  # shares and counts
    assert len(RunFolder(copied_run).labels_opened()) == 4 + 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--convention", "crts"), "did you mean 'crst'"),
        (("--scales", "1,x"), "evaluation.convention.scales.1: input should be a valid number"),
        (("--scales", ","), "at least one scale is needed"),
        (("--subset", "sky,tram"), "subset names tram"),
        (("--format", "xls"), "expected one of text, csv, latex, markdown, json"),
    ],
)
def test_evaluate_says_what_is_wrong(
    copied_run: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    complaint: str,
) -> None:
    model = copied_run / "adapted/winner-advent/seed-0"
    assert run("evaluate", model, "--data", copied_run, *options) == 2
    assert complaint in capsys.readouterr().err


def test_predict_writes_label_maps_and_overlays_of_the_pictures_own_size(
    finished_run: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "my photo.jpg"
    Image.new("RGB", (70, 50), (90, 120, 60)).save(picture)
    model = finished_run / "adapted/winner-advent/seed-0/model.safetensors"
    assert run("predict", model, picture, "--out", tmp_path / "out") == 0
    with Image.open(tmp_path / "out/my photo.png") as labels:
        assert labels.size == (70, 50)
        assert labels.mode == "P"
        assert max(labels.tobytes()) < 11
    with Image.open(tmp_path / "out/my photo_overlay.png") as overlay:
        assert overlay.size == (70, 50)


def test_correlate_reports_every_score_and_the_costs(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("correlate", copied_run, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    names = {one["score"] for one in found["agreements"]}
    own = {"mmd", "reent", "entropy", "objective", "macs", "params", "random"}
    others = ("default", "ent", "mmd", "mmd_ent", "mmd_reent", "reent")
    assert names == own | {f"objective {name}" for name in others}
    assert len(found["truth"]) == 4
    assert (copied_run / "correlation/index.html").exists()
    assert any("correlation" in e["why"] for e in RunFolder(copied_run).labels_opened())


def test_adapt_with_another_method_adds_to_the_report(copied_run: Path) -> None:
    assert run("adapt", copied_run, "--method", "min_ent") == 0
    assert (copied_run / "adapted/winner-min_ent/seed-0/model.safetensors").exists()
    assert "min-ent" in (copied_run / "report/index.html").read_text()


def test_runs_lists_states(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("runs", finished_run.parent, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["state"] == "finished"
    assert (found["trials"], found["failed"]) == (4, 0)


def test_a_diverging_trial_is_recorded_and_the_search_goes_on(
    small_config: Path, tmp_path: Path
) -> None:
    changes = ("--set", "search.training.learning_rate=1e30", "--set", "search.trials=2")
    code = run("search", small_config, "--run", tmp_path / "run", *changes)
    records = RunFolder(tmp_path / "run").records()
    assert [record.reason for record in records] == ["nan", "nan"]
    assert "became" in records[0].detail
    assert code == 2  # no trial is left to win


def test_a_trial_never_gets_the_evaluation_settings(small_config: Path) -> None:
    settings = without_evaluation(load(small_config))
    assert settings.data.evaluation is None
    assert settings.adapt is None


class Opened:
    """Paths opened by this process while it is listening."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.listening = False
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.listening and event == "open" and isinstance(arguments[0], str):
            self.paths.append(arguments[0])


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    heard = Opened()
    yield heard
    heard.listening = False


def test_a_search_on_files_opens_no_label_of_the_target(
    small_config: Path, tmp_path: Path, opened: Opened
) -> None:
    """The whole search, adaptation left out; source labels are opened, target labels never."""
    size = ("--height", 32, "--width", 48, "--count", 5)
    assert run("data", "render", tmp_path / "source", "--style", "game", *size) == 0
    assert run("data", "render", tmp_path / "target", "--style", "camera", *size) == 0
    raw = yaml.safe_load(small_config.read_text())
    raw["data"]["source"] = {"kind": "folder", "root": str(tmp_path / "source"), "split": "game"}
    raw["data"]["target"] = {"kind": "folder", "root": str(tmp_path / "target"), "split": "camera"}
    raw["data"]["cache"] = str(tmp_path / "cache")
    del raw["data"]["evaluation"], raw["adapt"]
    raw["search"]["trials"] = 2
    config = tmp_path / "files.yaml"
    config.write_text(yaml.safe_dump(raw))
    opened.listening = True
    assert run("search", config, "--run", tmp_path / "run") == 0
    opened.listening = False
    seen = [path for path in opened.paths if "/labels/" in path]
    assert any(path.startswith(str(tmp_path / "source")) for path in seen)
    assert not any(path.startswith(str(tmp_path / "target")) for path in seen)


@pytest.mark.slow
def test_an_exported_winner_predicts_as_the_model_does(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.effect_noise((70, 50), 80).convert("RGB").save(tmp_path / "photo.png")
    model = finished_run / "adapted/winner-advent/seed-0"
    assert run("export", model, "--out", tmp_path / "exported", "--format", "torch") == 0
    assert "% equal labels" in capsys.readouterr().out
    maps = []
    for predictor in (model, tmp_path / "exported/model.pt2"):
        out = tmp_path / f"by-{predictor.name}"
        assert run("predict", predictor, tmp_path / "photo.png", "--out", out) == 0
        maps.append((out / "photo.png").read_bytes())
    assert maps[0] == maps[1]
    assert run("export", model, "--out", tmp_path / "x", "--format", "tflite") == 2


def test_candidates_start_from_slices_of_a_model(
    finished_run: Path, small_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = finished_run / "adapted/reference-advent/seed-0"
    weights = f"{{file: '{seed}', fit: slice}}"
    changes = ["--set", f"search.weights={weights}", "--set", f"adapt.weights={weights}"]
    changes += ["--set", "search.trials=2", "--set", "adapt.source_only=false"]
    folder = tmp_path / "from seed"
    assert run("search", small_config, "--run", folder, *changes) == 0
    assert "search: starts from" in capsys.readouterr().err
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*/**/weights.json"))]
    assert len(reports) == 2 + 2  # trials; winner and reference
    assert all(report["layout"].startswith("model of autoadapt") for report in reports)
    assert all(report["matched"] + len(report["sliced"]) > 30 for report in reports)
    before = (folder / "records.jsonl").read_bytes()
    assert run("search", small_config, "--run", folder, *changes, "--download") == 0
    assert (folder / "records.jsonl").read_bytes() == before


def test_weights_that_do_not_fit_stop_before_the_first_trial(
    finished_run: Path, small_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = finished_run / "adapted/reference-advent/seed-0"
    change = f"search.weights.file={seed}"
    merge = "data.source.merge={bicyclist: pedestrian}"
    folder = tmp_path / "run"
    said = run("search", small_config, "--run", folder, "--set", change, "--set", merge)
    assert said == 2
    assert "head" in capsys.readouterr().err
    assert not (folder / "trials").exists()
