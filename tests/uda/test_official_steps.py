"""Two training iterations of the official code, replayed by the methods and the one loop."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.training.fit import Fitted, fit
from autoadapt.uda._losses import TARGET_LABEL, domain_loss
from autoadapt.uda.advent import Advent
from autoadapt.uda.base import Context, Method
from autoadapt.uda.min_ent import MinEnt

Case = dict[str, Tensor]


class Carrier(SegmentationNetwork):
    """The small network that carries the official training steps."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes, self.has_aux = 5, True
        self.taps = {"low": Tap(6, 2), "mid": Tap(6, 2), "deep": Tap(8, 2)}
        self.conv1 = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6).requires_grad_(False)
        self.head1 = nn.Conv2d(6, 5, 1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.head2 = nn.Conv2d(8, 5, 1)

    def encode(self, images: Tensor) -> Features:
        middle = self.bn1(self.conv1(images)).relu()
        return Features(middle, middle, self.conv2(middle).relu())

    def decode(self, features: Features) -> Output:
        return Output(self.head2(features.deep), features, self.head1(features.mid))

    def head_modules(self) -> list[nn.Module]:
        return [self.head1, self.head2]


def part(case: Case, prefix: str) -> Case:
    return {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}


def recorded(case: Case, step: int) -> StepBatch:
    source = SourceBatch(case["in_source"][step], case["in_label"][step], ("s",))
    return StepBatch(source, TargetBatch(case["in_target"][step], ("t",)))


@dataclass
class ReplayedMinEnt(MinEnt):
    """MinEnt on recorded images."""

    case: Case = field(default_factory=dict, init=False)

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        return recorded(self.case, step)


@dataclass
class ReplayedAdvent(Advent):
    """AdvEnt on recorded images, with recorded first weights; keeps what discriminators say."""

    case: Case = field(default_factory=dict, init=False)
    judged: list[float] = field(default_factory=list, init=False)

    def setup(self, context: Context) -> None:
        super().setup(context)
        for name in ("main", "aux"):
            context.modules[name].load_state_dict(part(self.case, f"w_d_{name}."))

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        return recorded(self.case, step)

    def scores(self, context: Context, name: str, maps: Tensor) -> Tensor:
        scores = super().scores(context, name, maps)
        self.judged.append(domain_loss(scores, TARGET_LABEL).item())
        return scores


def replay(method: Method, case: Case, data: TrainingData, folder: Path | None) -> Fitted:
    network = Carrier()
    load_weights(network, part(case, "w_net."))
    settings = TrainingSettings(
        steps=2,
        horizon=int(case["in_max_iters"]),
        learning_rate=float(case["in_learning_rate"]),
        checkpoint_every=1,  # every step is reported
    )
    five = replace(data, num_classes=5)
    return fit(method, network, five, settings, seed=0, device=torch.device("cpu"), folder=folder)


def steps_of(folder: Path, *names: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return np.array([[line[name] for name in names] for line in lines])


def load(folder: Path, name: str) -> Case:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def check_weights(module: nn.Module, wanted: Case) -> None:
    state = module.state_dict()
    assert wanted
    for name, tensor in wanted.items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-4, atol=2e-5, msg=name)


def test_two_official_steps_of_minent(
    vectors: Path, toy_data: TrainingData, tmp_path: Path
) -> None:
    case = load(vectors, "minent_two_steps")
    method = ReplayedMinEnt(
        main_weight=float(case["in_lambda_ent_main"]),
        aux_weight=float(case["in_lambda_ent_aux"]),
        aux_source_weight=float(case["in_lambda_seg_aux"]),
    )
    method.case = case
    fitted = replay(method, case, toy_data, tmp_path)
    weighted = steps_of(tmp_path, "source_aux", "source", "entropy_aux", "entropy_main")
    weights = [method.aux_source_weight, 1.0, method.aux_weight, method.main_weight]
    np.testing.assert_allclose(weighted / weights, case["out_losses"], rtol=1e-4, atol=1e-6)
    check_weights(fitted.network, part(case, "out_net."))


def test_two_official_steps_of_advent(
    vectors: Path, toy_data: TrainingData, tmp_path: Path
) -> None:
    case = load(vectors, "advent_two_steps")
    method = ReplayedAdvent(
        main_weight=float(case["in_lambda_adv_main"]),
        aux_weight=float(case["in_lambda_adv_aux"]),
        aux_source_weight=float(case["in_lambda_seg_aux"]),
        discriminator_rate=float(case["in_learning_rate_d"]),
        discriminator_width=2,
    )
    method.case = case
    fitted = replay(method, case, toy_data, tmp_path)
    weighted = steps_of(tmp_path, "source_aux", "source", "fool_aux", "fool_main")
    weights = [method.aux_source_weight, 1.0, method.aux_weight, method.main_weight]
    np.testing.assert_allclose(weighted / weights, case["out_losses"][:, :4], rtol=1e-4, atol=1e-6)
    # Per step: main and aux see target maps, then source maps.
    judged = np.array(method.judged).reshape(2, 4)
    half_on_target = judged[:, [1, 0]] / 2
    np.testing.assert_allclose(half_on_target, case["out_losses"][:, 4:], rtol=1e-4, atol=1e-6)
    check_weights(fitted.network, part(case, "out_net."))
    for name in ("main", "aux"):
        check_weights(fitted.modules[name], part(case, f"out_d_{name}."))


@pytest.mark.parametrize("weight", ["main_weight", "aux_weight"])
def test_the_replay_notices_another_weight(
    vectors: Path, toy_data: TrainingData, weight: str
) -> None:
    case = load(vectors, "minent_two_steps")
    method = ReplayedMinEnt(main_weight=0.5, aux_weight=0.2)
    setattr(method, weight, 0.3)
    method.case = case
    fitted = replay(method, case, toy_data, None)
    with pytest.raises(AssertionError):
        check_weights(fitted.network, part(case, "out_net."))
