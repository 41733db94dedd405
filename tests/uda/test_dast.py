"""DAST against its released functions; attention in prediction; the order of moves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.batches import IGNORE, SourceBatch, TargetBatch
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Loop, fit
from autoadapt.uda._pseudo_labels import balanced_labels
from autoadapt.uda.base import Context
from autoadapt.uda.dast import Dast, attended, discoverer, reweighted

CPU = torch.device("cpu")


def case_of(folder: Path, name: str) -> dict[str, Tensor]:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def fill(module: nn.Module, case: dict[str, Tensor], prefix: str) -> None:
    """Load recorded weights layer by layer; the released names are those of attributes."""
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    names = list(dict.fromkeys(k.rpartition(".")[0] for k in case if k.startswith(prefix)))
    for layer, name in zip(convolutions, names, strict=True):
        layer.load_state_dict({"weight": case[f"{name}.weight"], "bias": case[f"{name}.bias"]})


def test_attention_of_the_released_code(vectors: Path) -> None:
    case = case_of(vectors, "dast_attention_forward")
    module = discoverer(16, 8)
    fill(module, case, "w_")
    features = case["in_x"].requires_grad_()
    scores = module(features)
    found = attended(features, scores)
    torch.testing.assert_close(scores.detach(), case["out_d_map"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.detach(), case["out_target"], rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad((found * case["in_upstream"]).sum(), features)
    torch.testing.assert_close(gradient, case["out_grad_x_target"], rtol=1e-3, atol=1e-4)
    assert torch.equal(case["in_x"], case["out_source"])  # the source is left alone


class Recorded(SegmentationNetwork):
    """Gives recorded features and logits: images of zeros are source, of ones target."""

    def __init__(self, case: dict[str, Tensor]) -> None:
        super().__init__()
        self.num_classes, self.has_aux = 4, False
        self.taps = {name: Tap(16, 8) for name in ("low", "mid", "deep")}
        self.parts = nn.ParameterDict(
            {
                f"{what}_{domain}": nn.Parameter(case[f"in_{what}_{domain}"].clone())
                for what in ("feat", "pred")
                for domain in ("source", "target")
            }
        )
        self.domain = "source"

    def encode(self, images: Tensor) -> Features:
        self.domain = "target" if images.max() > 0 else "source"
        deep = self.parts[f"feat_{self.domain}"] * 1
        return Features(deep, deep, deep)

    def decode(self, features: Features) -> Output:
        return Output(self.parts[f"pred_{self.domain}"] * 1, features, None)

    def head_modules(self) -> list[nn.Module]:
        return []


def step_of(case: dict[str, Tensor], method: Dast) -> tuple[Context, dict[str, Tensor]]:
    """Make one step on recorded features and logits, in which nothing moves."""
    network = Recorded(case)
    context = Context(network, 4, TrainingSettings(steps=1), CPU)
    method.setup(context)
    fill(context.modules["discoverer"], case, "w_D0.")
    fill(context.modules["corrector"], case, "w_D1.")
    context.optimizers["network"] = torch.optim.SGD(network.parameters(), lr=1.0)
    context.last_micro_batch = False
    images, void = torch.zeros(1, 3, 64, 64), torch.full((1, 64, 64), IGNORE)
    source, target = SourceBatch(images, void, ("s",)), TargetBatch(images + 1, ("t",))
    return context, method.learn(context, source, target, labels=case["in_label_target"])


def test_losses_and_gradients_of_the_released_code(vectors: Path) -> None:
    case = case_of(vectors, "dast_adversarial_losses")
    method = Dast(discoverer_width=8, discriminator_width=2, pseudo_weight=0.0)
    context, losses = step_of(case, method)
    expected = {
        "fool_discoverer": 0.01 * case["out_loss_adv1"],
        "fool_corrector": 0.01 * case["out_loss_adv2"],
    }
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-5, atol=1e-6)
    fooling = losses["fool_discoverer"] + losses["fool_corrector"]
    torch.testing.assert_close(fooling, case["out_loss_adv"], rtol=1e-5, atol=1e-6)
    telling = losses["tell_discoverer"] + losses["tell_corrector"]
    wanted = case["out_loss_D_source"] + case["out_loss_D_target"]
    torch.testing.assert_close(telling, wanted, rtol=1e-5, atol=1e-6)
    parts = context.network.get_submodule("parts")
    assert isinstance(parts, nn.ParameterDict)
    gradients: list[tuple[Any, str, float]] = [
        (parts["feat_target"].grad, "out_grad_feat_target", 1e-8),
        (parts["pred_target"].grad[..., ::4, ::4], "out_grad_pred_target", 1e-9),
        (first_gradient(context, "discoverer"), "out_grad_D0_conv1", 1e-6),
        (first_gradient(context, "corrector"), "out_grad_D1_conv1", 1e-6),
    ]
    for found, name, atol in gradients:
        torch.testing.assert_close(found, case[name], rtol=1e-3, atol=atol, msg=name)
    assert parts["feat_source"].grad is None or not parts["feat_source"].grad.any()


def first_gradient(context: Context, name: str) -> Tensor | None:
    return next(context.modules[name].parameters()).grad


def test_the_loss_on_pseudo_labels_of_the_released_code(vectors: Path) -> None:
    case = case_of(vectors, "dast_adversarial_losses")
    method = Dast(discoverer_width=8, discriminator_width=2)
    _, losses = step_of(case, method)
    torch.testing.assert_close(losses["pseudo"], case["out_loss_seg_target"], rtol=1e-5, atol=1e-6)


def test_a_discoverer_has_the_published_size() -> None:
    with torch.device("meta"):
        published = discoverer(2048)
    parameters = sum(parameter.numel() for parameter in published.parameters())
    assert round(parameters / 1e6, 2) == 24.78


def test_attention_weighs_the_pixels_of_the_corrector() -> None:
    """Attention 0 and |tanh(-1)| = 0.761594 on two pixels, scores 3 and 2: 0.761594 * 4 / 2."""
    scores = torch.tensor([[[[3.0, 2.0]]]])
    attention = torch.tensor([[[[0.0, -1.0]]]])
    assert reweighted(scores, attention).item() == pytest.approx(1.523188, rel=1e-5)


@pytest.fixture
def network(tiny_architecture: Architecture) -> SegmentationNetwork:
    return build(tiny_architecture, 4, seed=5)


def small(**options: Any) -> Dast:
    return Dast(discriminator_width=4, **options)


def test_prediction_depends_on_the_discoverer_and_on_no_other_module(
    network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    settings = TrainingSettings(steps=2, learning_rate=0.01)
    fitted = fit(small(), network, toy_data, settings, seed=11, device=CPU)
    images = toy_data.draw(0).target.images
    with torch.inference_mode():
        before = fitted.predictor(images).logits
        plain = fitted.network(images).logits
        for name, same in (("corrector", True), ("discoverer", False)):
            for parameter in fitted.modules[name].parameters():
                parameter.add_(0.1)
            assert torch.equal(fitted.predictor(images).logits, before) == same
    assert not torch.allclose(before, plain)


def test_the_network_moves_before_the_discriminators(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=1, learning_rate=0.01)
    loop = Loop(small(), network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    loop.run(loop.stretches[0])
    assert loop.context.moved == ["network", "discriminators"]


def test_rounds_label_with_attention_and_thresholds_below_the_cap(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=7, learning_rate=0.01)
    method = small(cap=0.26)
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    assert [s.stop - s.start for s in loop.stretches] == [5, 1, 1]
    loop.begin(loop.stretches[0])
    loop.begin(loop.stretches[1])
    predictor = method.predictor(network, loop.context.modules).eval()
    maps = []
    with torch.no_grad():
        for _, batch in toy_data.sweep(toy_data.target):
            logits = predictor(batch.images).logits
            maps.append(
                nn.functional.interpolate(
                    logits, size=(32, 48), mode="bilinear", align_corners=True
                ).softmax(dim=1)
            )
    thresholds = torch.tensor(loop.context.notes["thresholds"])
    capped = thresholds == torch.tensor(0.26)
    assert capped.any()
    assert ((thresholds <= 0.26) | capped | (thresholds == 1)).all()
    view = method.view(loop.context, toy_data, loop.stretches[1].phase)
    found = torch.from_numpy(view.further["pseudo"].labels(range(3)))
    assert torch.equal(found, balanced_labels(torch.cat(maps), thresholds))
    drawn = method.draw(view, 5)
    assert torch.equal(drawn.target.images, drawn.further["pseudo"].images)


def test_self_training_has_one_rate_for_all_and_a_long_schedule(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=21, learning_rate=0.01)
    method = small()
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    assert [s.stop - s.start for s in loop.stretches] == [15, 2, 2, 2]
    assert [s.horizon for s in loop.stretches] == [15, 10, 10, 10]
    loop.begin(loop.stretches[0])
    loop.begin(loop.stretches[1])
    rates = [g["initial_lr"] for g in loop.context.optimizers["network"].param_groups]
    assert rates == pytest.approx([0.008, 0.008])
    (discriminators,) = loop.context.optimizers["discriminators"].param_groups
    assert discriminators["initial_lr"] == 1e-4
    assert loop.stretches[1].phase.batch_norm == "train"
    method.pretrained = True
    assert [phase.batch_norm for phase in method.phases(21)] == ["train", "eval"]


def test_discriminator_attention_alone_has_no_rounds() -> None:
    assert [phase.name for phase in Dast(rounds=0, warm_up=0.1).phases(50)] == ["warm_up", "adapt"]
    assert Dast(preset="quick").rounds == 1
