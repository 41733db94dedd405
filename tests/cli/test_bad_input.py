"""What a user gets wrong: one clear message on stderr, exit code 2, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autoadapt.cli import main
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.files import owning
from autoadapt.space.reading import locate
from autoadapt.strategies import base as strategies

CONFIG = """\
name: bad
threads: 1
data:
  size: [32, 48]
  cache: {cache}
  source: {{kind: procedural, style: game, count: 3}}
  target: {{kind: procedural, style: camera, count: 3, seed: 1}}
  evaluation: {{kind: procedural, style: camera, count: 3, seed: 2}}
search:
  space: deeplab_tiny
  trials: 2
  training: {{steps: 2, batch_size: 2}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    path.write_text(CONFIG.format(cache=tmp_path / "cache"))
    return path


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail as a user error and return what it says on stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["search.trails=3"], "did you mean 'trials'"),
        (["data.source={kind: folder, root: '${NO_SUCH_VARIABLE}/x'}"], "NO_SUCH_VARIABLE"),
        (["data.source={kind: folder, root: /no/such/folder}"], "/no/such/folder"),
        (["data.evaluation.seed=1"], "are among the 3 target images that are adapted to"),
        (["data.classes=[sky, road]"], "building"),
        (["search.limits={macs: [1.0e+12, 2.0e+12]}"], "lies outside"),
        (["search.limits={macs: [1.0e+8, 1.0000001e+8]}"], "no architecture of deeplab_tiny"),
        (["search.space=deeplab_tinny"], "deeplab_tiny"),
        (["data.source.ignore=[unicorn]"], "unicorn"),
    ],
    ids=lambda value: value[0][:40] if isinstance(value, list) else "",
)
def test_a_search_that_cannot_start(
    config: Path,
    tmp_path: Path,
    changes: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(strategies, "REJECTED", 3)  # counting the costs of 200 takes a minute
    overrides = [part for change in changes for part in ("--set", change)]
    run = tmp_path / "run"
    assert words in complaint(capsys, "search", config, "--run", run, *overrides)
    records = run / "records.jsonl"
    assert not records.exists() or not records.read_text()


METHODS = {
    "search.method=advant": "did you mean 'advent'",
    "search.method=madan": "search.method: Madan needs at least 2 labelled sources, the data has",
    "search.method={name: crst, warm_up: 0}": "search.method: Crst labels images with the network",
    "search.method={name: mic, host: ccm, host_options: {warm_up: 0}}": "search.method: Ccm labels",
    "search.method={name: mic, host: dast, host_options: {round: 1}}": "did you mean 'rounds'",
    "data.source.size=[32, 64]": "search.method: Fda needs source and target images of one size",
    "search.space=": "search.method: adapt_seg_net.local_weight compares the main output",
}


@pytest.mark.parametrize("change", METHODS)
def test_a_method_says_what_it_lacks_before_anything_is_opened(
    change: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither images are decoded nor a record is begun."""
    changes = [change]
    if change.startswith("data"):
        changes.append("search.method=fda")
    if change.startswith("search.space"):
        space = tmp_path / "plain.yaml"
        text = locate("deeplab_tiny").read_text()
        space.write_text(
            text.replace("aux: [false, true]", "aux: [false]").replace("aux: true", "aux: false")
        )
        local = "search.method={name: adapt_seg_net, local_weight: 40}"
        changes = [f"search.space={space}", local]
    overrides = [part for one in changes for part in ("--set", one)]
    said = complaint(capsys, "search", config, "--run", tmp_path / "run", *overrides)
    assert METHODS[change] in said
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run").exists()


def test_the_method_of_the_winner_is_checked_before_the_search(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapt = "adapt={method: madan, training: {steps: 2}}"
    said = complaint(capsys, "search", config, "--run", tmp_path / "run", "--set", adapt)
    assert "adapt.method: Madan needs at least 2 labelled sources" in said
    assert not (tmp_path / "run").exists()


def test_an_unknown_method_of_an_adaptation_is_answered_with_the_nearest(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--architecture", "deeplabv2_vgg16", "--method", "min_net", "--run", tmp_path / "run")
    adapt = ("--set", "adapt={training: {steps: 2}}")
    said = complaint(capsys, "adapt", config, *words, *adapt)
    assert "no adaptation method named 'min_net', did you mean 'min_ent'" in said
    assert not (tmp_path / "cache").exists()


def test_portions_that_select_no_pixel_are_no_failure(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method = "{name: crst, rounds: 1, portion: 0, portion_growth: 0, warm_up: 0.5, mirror: false}"
    overrides = ("--set", f"search.method={method}", "--set", "search.trials=1")
    with pytest.raises(SystemExit) as caught:
        main([str(part) for part in ("search", config, "--run", tmp_path / "run", *overrides)])
    assert caught.value.code == 0
    (record,) = RunFolder(tmp_path / "run").records()
    assert record.status == "finished"
    assert [(one["phase"], one["labelled_pixels"]) for one in record.rounds] == [
        ("self_training", 0)
    ]


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for command in ("adapt", "report", "correlate"):
        assert "is not a run folder" in complaint(capsys, command, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_search_into_somebody_elses_folder(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    said = complaint(capsys, "search", config, "--run", folder)
    assert "neither empty nor a run folder" in said
    assert (folder / "chapter.tex").read_text() == "years of work"


def test_a_run_that_another_process_owns(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with owning(tmp_path / "run"):
        said = complaint(capsys, "search", config, "--run", tmp_path / "run")
    assert "is in use by another process" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no checkpoint at"),
        (b"", "is empty"),
        (b"<html>not found</html>", "is a web page, not weights"),
        (b"PK\x03\x04 cut off", "cannot be read as a checkpoint"),
    ],
)
def test_checkpoints_that_are_none(
    content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    if content is not None:
        path.write_bytes(content)
    assert words in complaint(capsys, "predict", path, tmp_path, "--out", tmp_path / "out")


def test_a_checkpoint_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "resnet.pt"
    torch.save({"conv1.weight": torch.zeros(2, 3)}, path)
    said = complaint(capsys, "predict", path, tmp_path, "--out", tmp_path / "out")
    assert "is not a model of autoadapt" in said
    said = complaint(capsys, "predict", tmp_path, tmp_path, "--out", tmp_path / "out")
    assert "no checkpoint at" in said


def test_a_checkpoint_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"format": Evil(str(tmp_path / "was_here"))}, path)
    complaint(capsys, "predict", path, tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "was_here").exists()


class Evil:
    """Unpickling this would write a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def test_a_space_file_with_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("name: x\nfamly: elastic_deeplab\nchoices: {a: []}\n")
    said = complaint(capsys, "space", "check", path)
    assert f"{path}:2: famly" in said
    assert f"{path}:3:" in said


def test_rendering_into_a_folder_with_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_text("precious")
    assert "not empty" in complaint(capsys, "data", "render", tmp_path, "--count", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_usage_errors_are_user_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert "serach" in complaint(capsys, "serach")
    assert "{config}" in complaint(capsys, "search")


HEAVY = ("torch", "ray", "optuna", "fvcore", "matplotlib", "numba", "skimage", "scipy", "pandas")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from autoadapt.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"import json; print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))\n"
    )
    done = subprocess.run(  # a fresh interpreter: this one has long imported everything
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("command", ["search", "adapt", "evaluate", "predict", "space", "data"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "Usage" in capsys.readouterr().out


def test_missing_weights_are_named_before_images_are_decoded(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    for change, words in (
        ("search.weights.name=resnet18_torchvision", "nothing is downloaded unasked"),
        (f"adapt.weights.file={tmp_path}/absent.pth", "no checkpoint at"),
        ("search.weights={name: advent_resnet101, download: true}", "no checksum was published"),
    ):
        changes = ["--set", change, "--set", "adapt.training.steps=2"]
        said = complaint(capsys, "search", config, "--run", folder, *changes)
        assert words in said
        assert "decoding" not in said
        assert not folder.exists()
