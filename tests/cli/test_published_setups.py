"""The shipped set-ups of the field on miniature trees: a dry run of each, two searches."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoadapt.cli import main
from autoadapt.config.load import load
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.networks.build import skeleton
from autoadapt.networks.checkpoints.loading import foreign, load_source
from autoadapt.networks.checkpoints.reading import Weights
from autoadapt.space import load as load_space
from autoadapt.space.named import named
from autoadapt.uda.madan import Madan
from tests.data.trees import Trees

Run = Callable[..., str]
SETUPS = {
    "gta5_to_cityscapes": {"source": [720, 1280]},
    "synthia_to_cityscapes": {"source": [760, 1280]},
    "cityscapes_to_foggy": {"source": [512, 1024]},
    "gta5_synthia_to_cityscapes": {
        "source": [720, 1280],
        "further_sources.synthia": [720, 1280],
    },
}
"""Height and width of the source images of each set-up."""
SIXTEEN = {"synthia_to_cityscapes", "gta5_synthia_to_cityscapes"}


@pytest.fixture
def run(
    trees: Trees,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command on miniature data sets, as a shell would; return what it printed."""
    trees.gta5(6)
    trees.synthia(5)
    trees.foggy_cityscapes()
    monkeypatch.setenv("AUTOADAPT_DATA", str(trees.parent))
    monkeypatch.setattr("autoadapt.experiment.outlook.SAMPLED", 1)

    def call(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments), "--run", str(tmp_path / "run")])
        said = capsys.readouterr()
        assert caught.value.code == 0, said.err
        return said.out

    return call


@pytest.mark.parametrize("name", SETUPS)
def test_a_dry_run_of_each_setup(run: Run, name: str) -> None:
    plan = json.loads(run("search", name, "--dry-run", "--download", "--json"))
    sources = {key: (6 if key == "source" else 5) for key in SETUPS[name]}
    if name == "synthia_to_cityscapes":
        sources["source"] = 5
    elif name == "cityscapes_to_foggy":
        sources["source"] = 4
    assert plan["images"] == sources | {"target": 4, "evaluation": 4}
    assert plan["sizes"] == SETUPS[name] | {"target": [512, 1024], "evaluation": [512, 1024]}
    assert plan["classes"] == (16 if name in SIXTEEN else 19)
    assert plan["named"] == ["deeplabv2_resnet101", "deeplabv2_seresnet101"]
    candidate, full = plan["training"], plan["adapt_training"]
    for budget in (candidate, full):
        assert budget["learning_rate"] == 2.5e-4
        assert budget["steps"] / budget["horizon"] == pytest.approx(120 / 250)
        assert (budget["head_multiplier"], budget["power"], budget["batch_size"]) == (10, 0.9, 1)
    assert full["horizon"] == 250_000
    assert all("deeplab_resnet101_imagenet, to be downloaded" in text for text in plan["weights"])
    convention = "advent_synthia" if name in SIXTEEN else "adaptsegnet"
    assert plan["convention"].startswith(f"Convention {convention}: network input at 1024 × 512")
    costs = {one["what"]: one for one in plan["costs"]}
    if name not in SIXTEEN:
        assert costs["reference"]["params"] == 44_601_560


def test_missing_weights_are_no_plan(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["search", "gta5_to_cityscapes", "--dry-run"])
    assert caught.value.code == 2
    assert "nothing is downloaded unasked" in capsys.readouterr().err


@pytest.mark.parametrize("name", SETUPS)
def test_the_initial_weights_fit_whatever_a_setup_may_try(name: str) -> None:
    """By names and shapes of the published file: 520 weights of its encoder, ``Scale.`` before."""
    settings = load(name)
    assert settings.search.weights is not None
    assert settings.adapt is not None
    assert settings.adapt.weights == settings.search.weights
    single = skeleton(named("deeplabv2_resnet101_single"), 21).state_dict()
    published = {
        f"Scale.{key.replace('layer6', 'layer5')}": tensor
        for key, tensor in single.items()
        if not key.endswith("num_batches_tracked")
    }
    source = foreign(Weights(Path("init.pth"), published), "deeplab_init")
    space = load_space(settings.search.space)
    sampled = [space.sample(random.Random(seed)) for seed in range(4)]
    fit = settings.search.weights.fit
    for architecture in (space.reference, *map(named, settings.search.include)):
        report = load_source(skeleton(architecture, 16), source, fit=fit)
        assert report.matched == 520
    for architecture in sampled:
        assert load_source(skeleton(architecture, 16), source, fit=fit).sliced


SMALL = {
    "threads": 1,
    "data.source.size": [64, 96],
    "data.target.size": [64, 96],
    "search.space": "deeplab_tiny",
    "search.trials": 2,
    "search.include": [],
    "search.weights": None,
    "search.training.steps": 6,
    "search.training.precision": "fp32",
    "search.training.channels_last": False,
    "search.limits": {"macs": [1.0e8, 3.0e8]},
    "objective.calibration": 2,
    "scoring.images": 3,
    "adapt.weights": None,
    "adapt.training.steps": 6,
    "adapt.source_only": False,
    "adapt.hand_crafted": False,
    "evaluation.samples": 1,
}


ADVENT = {"name": "advent", "discriminator_width": 4}
MADAN = {"name": "madan", **Madan.smoke_options}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("gta5_to_cityscapes", ADVENT),
        ("gta5_synthia_to_cityscapes", ADVENT),
        ("gta5_synthia_to_cityscapes", MADAN),
    ],
    ids=["one source", "two as one", "two apart"],
)
def test_a_whole_search_on_miniature_trees(
    run: Run, tmp_path: Path, name: str, method: dict[str, Any]
) -> None:
    own = {"data.cache": str(tmp_path / "cache"), "adapt.method": method, "search.method": method}
    changes: dict[str, Any] = SMALL | own
    settings = [f"--set={key}={json.dumps(value)}" for key, value in changes.items()]
    out = run("search", name, *settings)
    assert "2 of 2 trials finished" in out
    folder = RunFolder(tmp_path / "run")
    assert [record.status for record in folder.records()] == ["finished", "finished"]
    (evaluation,) = (tmp_path / "run").glob("adapted/winner-*/seed-0/evaluation.json")
    found = json.loads(evaluation.read_text())
    assert (found["images"], len(found["classes"])) == (4, 16 if name in SIXTEEN else 19)
    page = (tmp_path / "run/report/index.html").read_text()
    assert ("6 source + 5 synthia, 4 target" in page) == (name in SIXTEEN)
