from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoadapt.networks import batch_norm


@pytest.fixture
def network() -> nn.Sequential:
    """One batch norm with known statistics, behind nothing that learns."""
    layer = nn.BatchNorm2d(1, momentum=0.5)
    assert layer.running_mean is not None
    layer.running_mean.fill_(8.0)
    return nn.Sequential(layer, nn.Dropout(0.5))


def images(*values: float) -> Tensor:
    """Four images of one pixel per value."""
    return torch.tensor(values).view(-1, 1, 1, 1)


def mean_and_variance(network: nn.Sequential) -> tuple[float, float]:
    layer = network[0]
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean.item(), layer.running_var.item()


def test_train_updates_running_statistics_with_every_forward(network: nn.Sequential) -> None:
    batch_norm.set_policy(network, "train")
    network(images(0.0, 2.0))
    # mean: 0.5 * 8 + 0.5 * 1; unbiased variance of (0, 2) is 2: 0.5 * 1 + 0.5 * 2
    assert mean_and_variance(network) == (4.5, 1.5)
    with batch_norm.target_pass(network, "train"):
        network(images(0.0, 2.0))
    # 0.5 * 4.5 + 0.5 * 1; 0.5 * 1.5 + 0.5 * 2
    assert mean_and_variance(network) == (2.75, 1.75)


def test_eval_uses_running_statistics_and_keeps_them(network: nn.Sequential) -> None:
    network.train()
    batch_norm.set_policy(network, "eval")
    normalised = network[0](images(8.0, 9.0)).flatten()

    torch.testing.assert_close(normalised, torch.tensor([0.0, 1.0]), atol=1e-4, rtol=0)
    assert mean_and_variance(network) == (8.0, 1.0)
    assert network[1].training  # dropout is none of its business


def test_source_only_leaves_statistics_alone_in_target_passes(network: nn.Sequential) -> None:
    batch_norm.set_policy(network, "source_only")
    with batch_norm.target_pass(network, "source_only"):
        normalised = network[0](images(98.0, 102.0)).flatten()
    # Normalised by the batch, mean 100 and deviation 2, not by the running mean 8 ...
    torch.testing.assert_close(normalised, torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0)
    assert mean_and_variance(network) == (8.0, 1.0)  # ... which stays

    network(images(0.0, 2.0))
    assert mean_and_variance(network) == (4.5, 1.5)


def test_statistics_are_tracked_again_after_an_error(network: nn.Sequential) -> None:
    network.train()
    with (
        pytest.raises(RuntimeError, match="inside"),
        batch_norm.target_pass(network, "source_only"),
    ):
        raise RuntimeError("inside")
    network(images(0.0, 2.0))

    assert mean_and_variance(network) == (4.5, 1.5)


def test_reestimate_is_the_plain_average_over_batches(network: nn.Sequential) -> None:
    network.eval()
    batches = [images(0.0, 2.0), images(4.0, 8.0), images(1.0, 1.0, 4.0)]
    batch_norm.reestimate(network, batches)
    # means 1, 6, 2; unbiased variances 2, 8, 3
    assert mean_and_variance(network) == pytest.approx((3.0, 13 / 3))
    batch_norm.reestimate(network, reversed(batches))
    assert mean_and_variance(network) == pytest.approx((3.0, 13 / 3))


def test_reestimate_with_a_momentum_moves_from_the_old_statistics(network: nn.Sequential) -> None:
    batch_norm.reestimate(network, [images(0.0, 2.0), images(4.0, 8.0)], momentum=0.25)
    # mean 8 -> 0.75 * 8 + 0.25 * 1 = 6.25 -> 0.75 * 6.25 + 0.25 * 6 = 6.1875
    # variance 1 -> 0.75 + 0.25 * 2 = 1.25 -> 0.9375 + 0.25 * 8 = 2.9375
    assert mean_and_variance(network) == pytest.approx((6.1875, 2.9375))
    assert network[0].momentum == 0.5


def test_mixed_statistics_are_those_of_all_images_together(vectors: Path) -> None:
    with np.load(vectors / "adabn_closed_form.npz") as file:
        case = {name: torch.from_numpy(file[name]) for name in file.files}
    layer = nn.BatchNorm2d(6).double().eval()
    with torch.no_grad():
        layer.weight.copy_(case["in_weight"])
        layer.bias.copy_(case["in_bias"])
        for mean, variance in batch_norm.running(layer):
            mean.copy_(case["in_mean_t"])
            variance.copy_(case["in_var_t"])
    source = [(case["in_mean_s"], case["in_var_s"])]
    batch_norm.mix_statistics(layer, source, float(case["in_alpha"]))
    ((mean, variance),) = batch_norm.statistics_of(layer)
    torch.testing.assert_close(mean, case["out_mean"], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(variance, case["out_var_biased"], rtol=1e-6, atol=1e-7)
    found = layer(case["in_x"].double())
    torch.testing.assert_close(found, case["out_y"], rtol=1e-5, atol=1e-6)


def test_reestimate_restores_modes_momentum_and_gradients(network: nn.Sequential) -> None:
    network.train()
    network[1].eval()
    batch_norm.reestimate(network, [images(0.0, 2.0)])

    assert network.training
    assert network[0].training
    assert not network[1].training
    assert network[0].momentum == 0.5
    assert network[0].weight.grad is None


def test_reestimate_without_batches_keeps_the_statistics(network: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="no batches"):
        batch_norm.reestimate(network, [])
    assert mean_and_variance(network) == (8.0, 1.0)


def test_freezing_stops_scale_and_shift_only() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4), nn.InstanceNorm2d(4, affine=True)
    )
    batch_norm.freeze_norm_affine(network)

    learning = [name for name, p in network.named_parameters() if p.requires_grad]
    assert learning == ["0.weight", "0.bias"]
