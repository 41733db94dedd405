import pytest
import torch

from autoadapt.networks.blocks.layers import (
    InstanceBatchNorm,
    SqueezeExcite,
    conv_norm_relu,
    convolution,
)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("dilation", [1, 3])
def test_convolutions_keep_the_size_up_to_the_stride(kernel: int, dilation: int) -> None:
    images = torch.zeros(2, 3, 13, 18)

    same = convolution(3, 4, kernel, dilation=dilation)(images)
    half = convolution(3, 4, kernel, dilation=dilation, stride=2)(images)
    assert same.shape == (2, 4, 13, 18)
    assert half.shape == (2, 4, 7, 9)


def test_conv_norm_relu_has_no_bias_and_no_negative_output() -> None:
    block = conv_norm_relu(3, 4, 3)

    assert block[0].bias is None
    assert block(torch.randn(2, 3, 9, 11)).min() >= 0


def test_a_new_gate_passes_everything_unchanged() -> None:
    features = torch.rand(2, 32, 5, 7)

    torch.testing.assert_close(SqueezeExcite(32)(features), features, rtol=0, atol=0)


def test_the_gate_of_a_channel_follows_the_mean_of_the_image() -> None:
    gate = SqueezeExcite(16)  # 16 / 16 = 1 would be too narrow: 4 hidden channels
    assert gate.fc1.weight.shape == (4, 16, 1, 1)
    torch.nn.init.constant_(gate.fc1.weight, 1 / 16)
    torch.nn.init.constant_(gate.fc2.weight, 0.25)
    features = torch.stack([torch.full((16, 3, 5), 1.0), torch.full((16, 3, 5), -1.0)])
    # Mean 1: hidden 1, gate 2 * sigmoid(4 * 0.25) = 1.46212; mean -1: hidden 0, gate 1.
    gated = gate(features)

    torch.testing.assert_close(gated[0], torch.full((16, 3, 5), 1.46212), atol=1e-5, rtol=0)
    torch.testing.assert_close(gated[1], features[1])


def test_ibn_removes_contrast_from_the_first_half_of_the_channels_only() -> None:
    norm = InstanceBatchNorm(5)
    images = torch.randn(2, 5, 6, 7)
    images[1] = 3 * images[0] + 2  # the same image, brighter and of more contrast
    first, second = norm(images)

    torch.testing.assert_close(first[:2], second[:2], atol=1e-4, rtol=1e-4)
    assert (first[2:] - second[2:]).abs().mean() > 0.5
    assert (norm.IN.num_features, norm.BN.num_features) == (2, 3)
