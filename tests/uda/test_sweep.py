"""Passes over images that are interrupted: nothing is lost, nothing is believed that changed."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.views import subset
from autoadapt.networks.batch_norm import Policy
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture
from autoadapt.uda import _sweep
from autoadapt.uda._sweep import Numbers, Sums, digest
from autoadapt.uda.base import Context

CPU = torch.device("cpu")


class CrashError(Exception):
    """Stands for a crash."""


@pytest.fixture(autouse=True)
def always_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sweep, "SAVE_EVERY", 0.0)


@pytest.fixture
def data(toy_data: TrainingData) -> TrainingData:
    """Five target images, two at a time."""
    return dataclasses.replace(toy_data, target=toy_data.source.unlabelled())


@pytest.fixture
def network(tiny_architecture: Architecture) -> SegmentationNetwork:
    return build(tiny_architecture, 4, seed=5)


def context_of(network: SegmentationNetwork, folder: Path, **changes: Any) -> Context:
    settings = TrainingSettings(steps=1)
    return Context(network, 4, settings, CPU, folder=folder, **{"identity": "mine", **changes})


def look(
    context: Context,
    data: TrainingData,
    *,
    crash: int = -1,
    policy: Policy = "eval",
    given: object = 0.5,
    doing: str = "looking",
) -> tuple[list[int], list[float], Tensor]:
    """Return which images were seen, the mean of each logit map, and what was stored."""
    means, seen = Numbers(), []
    sweep = context.sweep(
        data,
        data.target,
        doing,
        policy=policy,
        tallies={"means": means},
        shapes={"labels": data.target.size},
        given=[given],
    )
    for indices, output in sweep:
        if indices[0] == crash:
            raise CrashError
        seen += list(indices)
        means.values += output.logits.mean(dim=(1, 2, 3)).tolist()
        sweep.put(labels=output.logits.argmax(dim=1).byte())
    stored = context.stored(sweep.references["labels"])
    return seen, means.values, torch.from_numpy(stored.read(range(len(data.target))))


@pytest.mark.parametrize("policy", ["eval", "train"])
@pytest.mark.parametrize("crash", [0, 2, 4])
def test_what_was_seen_is_not_seen_again(
    crash: int,
    policy: Policy,
    tiny_architecture: Architecture,
    data: TrainingData,
    tmp_path: Path,
) -> None:
    """Under ``train`` the pass moves running statistics, which are part of its state."""
    whole = build(tiny_architecture, 4, seed=5)
    _, means, stored = look(context_of(whole, tmp_path / "whole"), data, policy=policy)
    halves = [build(tiny_architecture, 4, seed=5) for _ in range(2)]
    with pytest.raises(CrashError):
        look(context_of(halves[0], tmp_path / "halves"), data, policy=policy, crash=crash)
    seen, again, labels = look(context_of(halves[1], tmp_path / "halves"), data, policy=policy)
    assert seen == list(range(crash, 5))
    assert again == means
    assert torch.equal(labels, stored)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, halves[1].state_dict()[name]), name


def test_a_pass_that_is_over_is_not_made_again_in_its_round(
    network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    first = look(context_of(network, tmp_path), data)
    again = look(context_of(network, tmp_path), data)
    assert again[0] == []
    assert again[1] == first[1]
    assert torch.equal(again[2], first[2])
    _sweep.remove_left(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["labels-0.rows"]
    assert look(context_of(network, tmp_path), data)[0] == [0, 1, 2, 3, 4]


CHANGES = ("run", "round", "weights", "given", "batches", "images")


def looked_after(
    change: str, network: SegmentationNetwork, data: TrainingData, folder: Path
) -> list[int]:
    """Return the images that a pass sees after something it depends on has changed."""
    changes: dict[str, dict[str, Any]] = {"run": {"identity": "other"}, "round": {"stretch": 1}}
    given = torch.tensor([0.5]) if change == "given" else 0.5
    if change == "weights":
        with torch.no_grad():
            next(network.parameters()).view(-1)[0] += 1e-6
    if change == "batches":
        data = dataclasses.replace(data, batch_size=1)
    if change == "images":
        data = dataclasses.replace(data, target=subset(data.target, [1, 0, 2, 3, 4]))
    context = context_of(network, folder, **changes.get(change, {}))
    return look(context, data, given=given)[0]


@pytest.mark.parametrize("change", [*CHANGES, ""])
def test_a_pass_that_depends_on_something_else_starts_anew(
    change: str, network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(CrashError):
        look(context_of(network, tmp_path), data, crash=2)
    seen = looked_after(change, network, data, tmp_path)
    assert seen == ([0, 1, 2, 3, 4] if change else [2, 3, 4])


@pytest.mark.parametrize("damage", ["rows", "short", "gone", "state"])
def test_what_was_damaged_is_made_again(
    damage: str, network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    wanted = look(context_of(network, tmp_path / "whole"), data)
    folder = tmp_path / "damaged"
    with pytest.raises(CrashError):
        look(context_of(network, folder), data, crash=4)
    growing, state = folder / "labels-0.growing", folder / "looking-0.sweep"
    content = bytearray(growing.read_bytes())
    if damage == "gone":
        growing.unlink()
    elif damage == "state":
        state.write_bytes(state.read_bytes()[:100])
    else:
        content[100] ^= 1
        growing.write_bytes(content if damage == "rows" else content[:200])
    seen, means, labels = look(context_of(network, folder), data)
    assert seen == [0, 1, 2, 3, 4]
    assert means == wanted[1]
    assert torch.equal(labels, wanted[2])


def test_rows_behind_the_state_do_not_count(
    network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    """A crash after rows were written and before the state was."""
    wanted = look(context_of(network, tmp_path / "whole"), data)
    with pytest.raises(CrashError):
        look(context_of(network, tmp_path / "crashed"), data, crash=2)
    with (tmp_path / "crashed/labels-0.growing").open("ab") as file:
        file.write(bytes(3000))
    seen, _, labels = look(context_of(network, tmp_path / "crashed"), data)
    assert seen == [2, 3, 4]
    assert torch.equal(labels, wanted[2])


def test_without_an_identity_nothing_is_kept(
    network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    for _ in range(2):
        assert look(context_of(network, tmp_path, identity=""), data)[0] == [0, 1, 2, 3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["labels-0.rows"]


def test_two_passes_of_a_round_have_different_names(
    network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    context = context_of(network, tmp_path)
    look(context, data)
    with pytest.raises(ValueError, match="two passes of a round are called 'looking'"):
        look(context, data)
    look(context, data, doing="looking again")


def test_a_body_that_forgets_to_store_is_refused(
    network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    context = context_of(network, tmp_path)
    with pytest.raises(ValueError, match="0 rows of 'labels' for 2 images"):
        list(context.sweep(data, data.target, "nothing", shapes={"labels": data.target.size}))
    sweep = context.sweep(data, data.target, "other shapes", shapes={"labels": (3, 4)})
    next(iter(sweep))
    with pytest.raises(ValueError, match=r"row 0 is uint8 \(4, 3\), not uint8 \(3, 4\)"):
        sweep.put(labels=np.zeros((2, 4, 3), np.uint8))


def test_a_hash_tells_values_apart(network: SegmentationNetwork) -> None:
    values = [0.5, "0.5", None, [0.5], torch.tensor(0.5), torch.tensor([0.5]), network]
    values += [torch.tensor([0.5], dtype=torch.float64), {"a": 1}, (1, 2), 12, "12"]
    found = [digest(value) for value in values]
    assert len(set(found)) == len(values)
    assert digest("ab", "c") != digest("a", "bc")
    assert found == [digest(value) for value in values]


def test_sums_are_taken_back_in_place() -> None:
    mine = torch.zeros(2, 3)
    Sums({"mine": mine}).load_state_dict({"mine": torch.ones(2, 3)})
    assert mine.eq(1).all()


def test_progress_tells_the_round_and_the_images(
    network: SegmentationNetwork, data: TrainingData, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    look(context_of(network, tmp_path, on_images=lambda *words: told.append(words)), data)
    assert told == [("looking", done, 5) for done in (2, 4, 5)]


KILLED = """
import dataclasses, os, signal, sys
from pathlib import Path
import torch
from autoadapt.config.settings import DataSettings, DatasetSettings, TrainingSettings
from autoadapt.data.open import open_source, open_target
from autoadapt.data.training import TrainingData
from autoadapt.data.views import subset
from autoadapt.networks.build import build
from autoadapt.space import load
from autoadapt.training.fit import fit
from autoadapt.uda import _sweep
from autoadapt.uda.ccm import Ccm

_sweep.SAVE_EVERY = 0.0
folder, kill = Path(sys.argv[1]), sys.argv[2]
drawn = {name: DatasetSettings(kind="procedural", options={"style": style, "count": 4, "seed": 1})
         for name, style in (("source", "game"), ("target", "camera"))}
settings = DataSettings(**drawn, size=(32, 48), cache=str(folder.parent / "cache"))
source = open_source(settings)
data = TrainingData(source, open_target(settings), len(source.classes), settings, 1, 3)

def told(progress):
    if progress.doing and progress.doing == kill:
        os.kill(os.getpid(), signal.SIGKILL)

network = build(load("deeplab_tiny").reference, data.num_classes, seed=2)
method = Ccm(warm_up=0.25, rounds=2, portion=0.5, source_pool=1.0, preset="quick")
fit(method, network, data, TrainingSettings(steps=4, batch_size=1), seed=3,
    device=torch.device("cpu"), folder=folder, on_progress=told)
"""


@pytest.mark.slow
def test_a_killed_process_continues(tmp_path: Path) -> None:
    def run(folder: str, kill: str = "") -> int:
        command = [sys.executable, "-c", KILLED, str(tmp_path / folder), kill]
        return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode

    assert run("whole") == 0
    assert run("killed", "round 2 of 2: labelling 3 of 4") == -signal.SIGKILL
    left = {path.suffix for path in (tmp_path / "killed").iterdir()}
    assert {".sweep", ".growing"} <= left
    assert run("killed") == 0
    for name in ("checkpoint.pt", "steps.jsonl"):
        whole, killed = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "killed"))
        assert whole == killed, name
    assert len(list((tmp_path / "killed").iterdir())) == 2
