"""The formulas behind a dry run, against sums on paper and against PyTorch's own accounts."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy

from autoadapt.config.load import load as load_config
from autoadapt.config.settings import ExperimentSettings, TrainingSettings
from autoadapt.cost import count
from autoadapt.experiment import estimates, throughput
from autoadapt.experiment.estimates import Counts
from autoadapt.networks.build import build
from autoadapt.networks.contract import upsample
from autoadapt.space import Architecture, load
from autoadapt.uda.advent import Advent

SGD = TrainingSettings(steps=10, batch_size=3)
COUNTS = Counts(params=1e6, activations=2e6, pixels=32 * 48, classes=7, outputs=2)


def test_time_of_training() -> None:
    # 3 passes x 5 G x 100 images / 1 T per second = 1.5 s
    assert estimates.training_seconds(5e9, 100, 1e12) == 1.5
    # forward alone: 5 G x 100 / 1 T = 0.5 s
    assert estimates.inference_seconds(5e9, 100, 1e12) == 0.5


@pytest.mark.parametrize(("parallel", "rounds"), [(1, 7), (2, 4), (7, 1), (9, 1)])
def test_trials_side_by_side_take_whole_rounds(parallel: int, rounds: int) -> None:
    assert estimates.search_seconds(10.0, 7, parallel) == 10.0 * rounds


def test_memory_with_sgd() -> None:
    # weights, gradients, momentum: 3 x 4 bytes x 1 M               =    12 000 000
    # kept: 2 tensors x 4 bytes x 2 M x batch 3                     =    48 000 000
    # maps: 6 x 4 bytes x 2 outputs x 7 classes x 1536 x batch 3    =     1 548 288
    # reserved                                                      = 1 073 741 824
    assert estimates.training_bytes(COUNTS, SGD) == 1_135_290_112


def test_memory_with_adamw_and_autocast() -> None:
    # weights, gradients, two moments: 4 x 4 x 1 M; weights once more in 16 bits: 2 x 1 M
    # kept: 2 tensors x 2 bytes x 2 M x batch 3; maps and reserve as above
    mixed = dataclasses.replace(SGD, optimizer="adamw", precision="bf16")
    expected = 18_000_000 + 24_000_000 + 1_548_288 + 1_073_741_824
    assert estimates.training_bytes(COUNTS, mixed) == expected


def test_disk_space_of_decoded_images() -> None:
    assert estimates.decoded_bytes(10, (20, 30), labelled=True) == 24_000
    assert estimates.decoded_bytes(10, (20, 30), labelled=False) == 18_000


def test_data_sheets_count_two_operations_per_multiply_add() -> None:
    old = estimates.gpu("old", 16, fp32=10e12, fp16=100e12)
    # ordinary units: 10 T / 2 x 0.4; matrix units: 100 T / 2 x 0.15; there is no bfloat16
    assert old.macs_per_second == pytest.approx({"fp32": 2e12, "bf16": 2e12, "fp16": 7.5e12})
    new = estimates.gpu("new", 16, fp32=10e12, tf32=80e12, bf16=160e12, fp16=160e12)
    assert new.macs_per_second == pytest.approx({"fp32": 6e12, "bf16": 12e12, "fp16": 12e12})
    assert estimates.processor(3).macs_per_second["bf16"] == pytest.approx(37.5e9)
    assert (new.name, new.memory) == ("new 16 GB", 16 * 1024**3)


def kept_bytes(architecture: Architecture, size: tuple[int, int]) -> tuple[int, int]:
    """Return what PyTorch keeps for the backward pass: of the network, and of the loss."""
    network = build(architecture, 19).train()
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(torch.rand(1, 3, *size))
        inside = sum(storage.nbytes() for storage in kept.values())
        cross_entropy(upsample(output.logits, size), torch.zeros(1, *size, dtype=torch.long))
    return inside, sum(storage.nbytes() for storage in kept.values()) - inside


def test_kept_tensors_are_what_pytorch_keeps() -> None:
    """1.8 to 1.9 tensors per convolution in DeepLab, rounded up; a loss keeps 1.1 class maps."""
    reference, size = load("deeplab_tiny").reference, (64, 96)
    network, loss = kept_bytes(reference, size)
    activations = count(reference, 19, size)["activations"]
    assert 0.85 * estimates.KEPT < network / (4 * activations) <= estimates.KEPT
    assert loss / (4 * 19 * 64 * 96) < estimates.MAPS / 2


@pytest.fixture
def settings_of(small_config: Path) -> Callable[[str], ExperimentSettings]:
    """The small search with another method, and three images per step and domain."""

    def make(method: str) -> ExperimentSettings:
        changes = [f"search.method={method}", "search.training.batch_size=3"]
        return load_config(small_config, changes)

    return make


@pytest.mark.parametrize(
    ("method", "domains"),
    [("source_only", 1), ("{name: advent, discriminator_width: 4}", 2), ("cbst", 1)],
)
def test_throughput_is_work_by_the_median_time(
    tiny_architecture: Architecture,
    settings_of: Callable[[str], ExperimentSettings],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    domains: int,
) -> None:
    """CBST needs a round before its first step: a step on the source alone stands for it."""
    times = iter([50.0, 4.0, 9.0, 2.0])  # the first step is a warm-up
    monkeypatch.setattr(throughput, "seconds_of", lambda step, context: next(times))
    cpu = torch.device("cpu")
    found = throughput.measured_throughput(tiny_architecture, 7, settings_of(method), cpu)
    macs = count(tiny_architecture, 7, throughput.SIZE)["macs"]
    assert found == pytest.approx(3 * macs * 3 * domains / 4.0)


def test_the_clock_times_a_step_that_trains(tiny_architecture: Architecture) -> None:
    context = throughput.context_for(tiny_architecture, 7, SGD, torch.device("cpu"))
    before = [parameter.detach().clone() for parameter in context.network.parameters()]
    method = Advent(discriminator_width=4)
    batch = throughput.noise(7, SGD, torch.device("cpu"))
    step, _ = throughput.step_of(method, context, batch)
    assert throughput.seconds_of(step, context) > 0
    after = context.network.parameters()
    assert all(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert set(context.modules) == {"main", "aux"}
