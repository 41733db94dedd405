"""Checkpoint files: whole or not at all, and never code."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from autoadapt.errors import CheckpointError
from autoadapt.training.checkpoints import read_checkpoint, write_checkpoint

STATE = {"step": 3, "weights": {"a": torch.arange(6.0).reshape(2, 3)}, "names": ["x", "y"]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", STATE)
    state = read_checkpoint(tmp_path / "c.pt")
    assert torch.equal(state["weights"]["a"], torch.arange(6.0).reshape(2, 3))
    assert (state["step"], state["names"]) == (3, ["x", "y"])


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_objects_are_refused_and_no_code_runs(tmp_path: Path) -> None:
    torch.save({"step": Evil(tmp_path / "attacked")}, tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"step": Evil(tmp_path / "attacked")}))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(CheckpointError, match=r"only running its code|cannot be read as"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "attacked").exists()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", STATE)
    whole = (tmp_path / "c.pt").read_bytes()
    damaged = tmp_path / "damaged.pt"
    cuts = {0, 1, 2, 7, 40, len(whole) // 2, len(whole) - 30, len(whole) - 1}
    for content in [*(whole[:cut] for cut in sorted(cuts)), b"not a checkpoint", bytes(500)]:
        damaged.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"damaged\.pt"):
            read_checkpoint(damaged)


def test_a_missing_file_and_one_without_names(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "c.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="holds a list"):
        read_checkpoint(tmp_path / "list.pt")


def test_a_failure_while_writing_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path / "c.pt", STATE)

    def half(state: Any, file: Any) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / "c.pt", {"step": 4})
    assert read_checkpoint(tmp_path / "c.pt")["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from autoadapt.training.checkpoints import write_checkpoint

def half(state, file):
    file.write(b"half of it")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

torch.save = half
write_checkpoint(Path(sys.argv[1]), {"step": 4})
"""


@pytest.mark.slow
def test_a_process_killed_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", STATE)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "c.pt")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert read_checkpoint(tmp_path / "c.pt")["step"] == 3
