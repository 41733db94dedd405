"""A search that is killed at any moment and started again ends as the undisturbed one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoadapt.config.load import load
from autoadapt.errors import RunError
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.files import owning

DRIVER = Path(__file__).parent / "interrupted_search.py"
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def interrupted(config: Path, root: Path, how: signal.Signals, kills: int) -> dict[str, Any]:
    arguments = [str(config), str(root), str(int(how)), str(kills), "7"]
    done = subprocess.run(
        [sys.executable, str(DRIVER), *arguments], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def longer_config(
    small_config: Path, tiny_network: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small search with trials of enough steps to be killed within, one a named network."""
    trials = f"trials: 2\n  include: [{tiny_network}]"
    text = small_config.read_text().replace("steps: 3", "steps: 8").replace("trials: 4", trials)
    path = tmp_path_factory.mktemp("longer") / "longer.yaml"
    path.write_text(text)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("how", "kills"), [(signal.SIGKILL, 20), (signal.SIGINT, 6)])
def test_records_do_not_tell_that_the_search_was_killed(
    longer_config: Path, tmp_path: Path, how: signal.Signals, kills: int
) -> None:
    found = interrupted(longer_config, tmp_path, how, kills)
    assert found["expected"] == 3
    assert len(found["left"]) == kills
    assert all(found["equal"])
    if kills >= 20:  # enough for some to lie inside a trial that had taken steps
        assert any(left["half_done"] for left in found["left"])


@pytest.mark.slow
def test_a_second_process_is_refused(small_config: Path, tmp_path: Path) -> None:
    code = "from autoadapt.cli import main; main()"
    command = [sys.executable, "-c", code, "search", str(small_config), "--run", str(tmp_path)]
    with owning(tmp_path):
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "in use by another process" in done.stderr
    assert not (tmp_path / "config.yaml").exists()


def test_another_config_is_refused_with_the_difference(small_config: Path, tmp_path: Path) -> None:
    RunFolder(tmp_path).prepare(load(small_config))
    other = load(small_config, ["search.trials=5"])
    with pytest.raises(RunError, match=r"search\.trials: 4 in the folder, 5 now"):
        RunFolder(tmp_path).prepare(other)
