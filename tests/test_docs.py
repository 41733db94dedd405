"""What the documentation shows is what runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autoadapt.cli import main
from autoadapt.config.load import make
from autoadapt.config.named_objectives import names
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.plugins import available
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import fit

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs/examples"


@pytest.fixture
def own_method(monkeypatch: pytest.MonkeyPatch) -> PluginSettings:
    """The method of the worked example, found as a user's own module is."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return PluginSettings(name="my_lab.max_squares", options={"weight": 0.5})


def test_the_page_shows_the_example_as_it_is() -> None:
    page = (ROOT / "docs/methods.md").read_text()
    assert (EXAMPLES / "my_lab/max_squares.py").read_text() in page


def test_the_example_trains(
    own_method: PluginSettings, tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    """Probabilities of (1/4, 3/4) have the squares 10/16: the loss is half of 6/16."""
    method = make("uda", own_method)
    fitted = fit(
        method, build(tiny_architecture, 4), toy_data, TrainingSettings(steps=3), seed=0,
        device=torch.device("cpu"),
    )  # fmt: skip
    assert set(fitted.losses) == {"source", "source_aux", "squares"}
    squares = sys.modules[type(method).__module__].max_squares
    logits = torch.tensor([1.0, 3.0]).log().view(1, 2, 1, 1)
    assert squares(logits).item() == pytest.approx(3 / 16)


def test_every_method_is_on_the_page() -> None:
    page = (ROOT / "docs/methods.md").read_text()
    missing = [name for name in available("uda") if f"`{name}`" not in page]
    assert not missing


def test_every_score_is_on_the_page() -> None:
    page = (ROOT / "docs/scores.md").read_text()
    missing = [name for name in available("scores") if f"`{name}`" not in page]
    assert not missing


@pytest.mark.slow
def test_the_command_lists_every_method() -> None:
    code = "from autoadapt.cli import main; main(['methods', '--json'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed = {one["name"]: one for one in json.loads(done.stdout)}
    assert set(listed) == set(available("uda"))
    assert all(one["cost"] is not None for one in listed.values())
    assert listed["dast"]["options"]["warm_up"] == 0.0


def test_every_score_and_objective_is_on_the_page() -> None:
    page = (ROOT / "docs/scores.md").read_text()
    wanted = [*available("scores"), *names()]
    assert [name for name in wanted if f"`{name}`" not in page] == []


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    code = ended.value.code
    assert isinstance(code, int)
    return code


def test_the_command_lists_every_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("scores", "--json") == 0
    found = json.loads(capsys.readouterr().out)

    assert [one["name"] for one in found["scores"]] == available("scores")
    assert [one["name"] for one in found["objectives"]] == names()
    needs = {one["name"]: one["needs"] for one in found["scores"]}
    assert needs["mmd"] == []
    assert "data.source.hold_out" in needs["source_miou"][0]
    assert status("scores") == 0
    table = capsys.readouterr().out
    assert all(name in table for name in available("scores"))


def test_the_command_shows_one_score_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("scores", "snd") == 0
    text = capsys.readouterr().out

    assert "temperature" in text
    assert "0.05" in text
    assert "smaller is better" in text
    assert status("scores", "snf") == 2
    assert "did you mean 'snd'" in capsys.readouterr().err
