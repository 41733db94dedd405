import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autoadapt.networks.blocks.residual import BasicBlock, BlockPlan, Bottleneck, StrideIn

Block = type[BasicBlock] | type[Bottleneck]


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("stride", [1, 2])
def test_shape_law(kind: Block, stride: int) -> None:
    plan = BlockPlan(planes=4, kernel=5, stride=stride, dilation=2, project=True, norm="ibn_a")
    outputs = kind(6, plan)(torch.randn(1, 6, 13, 18))

    assert outputs.shape == (1, 4 * kind.expansion, -(-13 // stride), -(-18 // stride))


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_a_silenced_branch_leaves_the_shortcut(kind: Block) -> None:
    block = kind(8 * kind.expansion, BlockPlan(planes=8, squeeze_excite=True)).eval()
    last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
    nn.init.zeros_(last.weight)
    features = torch.rand(2, 8 * kind.expansion, 5, 7)

    torch.testing.assert_close(block(features), features)


@pytest.mark.parametrize(
    ("stride_in", "strides"),
    [("1x1", ((2, 2), (1, 1))), ("3x3", ((1, 1), (2, 2)))],
)
def test_the_stride_sits_where_the_plan_says(
    stride_in: StrideIn, strides: tuple[tuple[int, int], ...]
) -> None:
    block = Bottleneck(6, BlockPlan(planes=4, stride=2, project=True, stride_in=stride_in))

    assert (block.conv1.stride, block.conv2.stride) == strides


def test_dilation_reaches_every_spatial_convolution() -> None:
    # An impulse through two 3x3 convolutions of dilation 3 reaches 6 pixels, in steps of 3.
    block = BasicBlock(1, BlockPlan(planes=1, dilation=3)).eval()
    nn.init.ones_(block.conv1.weight)
    nn.init.ones_(block.conv2.weight)
    image = torch.zeros(1, 1, 1, 17)
    image[..., 8] = 1.0

    reached = block(image)[0, 0, 0].nonzero().flatten().tolist()
    assert reached == [2, 5, 8, 11, 14]


@pytest.mark.skipif("AUTOADAPT_VECTORS" not in os.environ, reason="AUTOADAPT_VECTORS is not set")
def test_the_bottleneck_equals_the_published_one() -> None:
    case = np.load(Path(os.environ["AUTOADAPT_VECTORS"]) / "caffe_bottleneck.npz")
    block = Bottleneck(6, BlockPlan(planes=4, stride=2, project=True))
    state = {k[2:]: torch.from_numpy(case[k]) for k in case.files if k.startswith("w_")}
    block.load_state_dict(state, strict=False)
    features = torch.from_numpy(case["in_x"])

    def close(found: torch.Tensor | None, name: str, tolerance: tuple[float, float]) -> None:
        assert found is not None
        rtol, atol = tolerance
        np.testing.assert_allclose(found.detach().numpy(), case[name], rtol=rtol, atol=atol)

    assert set(state) == {k for k in block.state_dict() if not k.endswith("batches_tracked")}
    close(block.eval()(features), "out_y_eval", (1e-4, 1e-5))
    close(block.train()(features), "out_y_train", (1e-4, 1e-4))
    close(block.bn2.running_mean, "out_bn2_running_mean_after", (1e-5, 1e-6))
    close(block.bn2.running_var, "out_bn2_running_var_after", (1e-5, 1e-6))
