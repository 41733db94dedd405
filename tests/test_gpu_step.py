"""The GPU benchmark, in miniature on the CPU: that it runs, and that it compares like with like."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from autoadapt.config.settings import TrainingSettings
from autoadapt.training.fit import Loop
from autoadapt.uda.advent import Advent

PATH = Path(__file__).parent.parent / "benchmarks" / "gpu_step.py"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpu_step() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_step", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_step"] = module  # its dataclasses look there for their annotations
    spec.loader.exec_module(module)
    return module


def test_without_a_gpu_it_says_so(
    gpu_step: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_step.main([]) == 0
    assert "no CUDA device" in capsys.readouterr().out


def test_both_sides_take_the_same_steps_in_fp32(gpu_step: ModuleType, tmp_path: Path) -> None:
    """The baseline and the loop differ in how they compute, not in what."""
    scene = gpu_step.scene_on(CPU, rehearse=True)
    data = gpu_step.noise(tmp_path, scene.size)
    released = gpu_step.Released(scene)
    settings = TrainingSettings(
        steps=2, batch_size=1, learning_rate=gpu_step.RATE, norm_affine="frozen", power=0.0
    )
    network = gpu_step.build(scene.architecture, gpu_step.CLASSES)
    loop = Loop(Advent(), network, data, settings, 0, CPU, tmp_path)
    for name, judge in released.judges.items():
        judge.load_state_dict(loop.context.modules[name].state_dict())
    loop.begin(loop.stretches[0])
    batch = data.draw(0)
    released.step(batch)
    loop.take_step(loop.stretches[0], [batch])

    pairs = [(network, released.network)]
    pairs += [(loop.context.modules[name], judge) for name, judge in released.judges.items()]
    for ours, theirs in pairs:
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None) == (not one.requires_grad)
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-7)
    for (name, one), other in zip(
        network.state_dict().items(), released.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7, msg=name)


def test_both_sides_are_timed(gpu_step: ModuleType, tmp_path: Path) -> None:
    scene = gpu_step.scene_on(CPU, rehearse=True)
    data = gpu_step.noise(tmp_path, scene.size)

    assert gpu_step.released(scene, data, tf32=False).seconds > 0
    assert gpu_step.ours(scene, data, tmp_path, channels_last=True).seconds > 0
