import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, relu

from autoadapt.networks.blocks.cells import (
    Atrous,
    AutoDeeplabCell,
    DartsCell,
    Edge,
    FactorizedReduce,
    SeparableTwice,
    auto_deeplab_operation,
    darts_operation,
    run_graph,
)
from autoadapt.networks.families.auto_deeplab import CELL
from autoadapt.networks.families.darts import GENOTYPES

DARTS_NAMES = {edge.operation for g in GENOTYPES.values() for edge in (*g.normal, *g.reduce)}


def test_a_graph_sums_two_states_at_a_time() -> None:
    states = [torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 3.0)]
    edges = [Edge("a", 0), Edge("b", 1), Edge("c", 2), Edge("d", 0)]
    result = run_graph(states, edges, [nn.Identity(), nn.Identity(), nn.Identity(), nn.ReLU()])
    # State 2 is 2 + 3, state 3 is 5 + 2.

    assert result.flatten().tolist() == [5.0, 7.0]


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=list(GENOTYPES))
def test_published_cells_look_back_only(genotype: object) -> None:
    for cell in (genotype.normal, genotype.reduce):  # type: ignore[attr-defined]
        assert len(cell) == 8
        for number, edge in enumerate(cell):
            assert 0 <= edge.state < 2 + number // 2


def test_the_published_cell_of_auto_deeplab_looks_back_only() -> None:
    assert len(CELL) == 10
    for number, edge in enumerate(CELL):
        assert 0 <= edge.state < 2 + number // 2


@pytest.mark.parametrize("name", sorted(DARTS_NAMES))
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(12, 18), (13, 17)])
def test_operations_of_darts_round_up(name: str, stride: int, size: tuple[int, int]) -> None:
    found = darts_operation(name, 4, stride)(torch.randn(2, 4, *size))

    assert found.shape == (2, 4, *(-(-side // stride) for side in size))


@pytest.mark.parametrize("name", sorted({edge.operation for edge in CELL}))
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(12, 18), (13, 17)])
def test_operations_of_auto_deeplab_round_up(name: str, stride: int, size: tuple[int, int]) -> None:
    operation = auto_deeplab_operation(name, 4, stride, eps=1e-3)
    found = operation(torch.randn(2, 4, *size))

    assert found.shape == (2, 4, *(-(-side // stride) for side in size))


def test_averages_leave_the_border_out() -> None:
    average = darts_operation("avg_pool_3x3", 4, 1)

    assert torch.equal(average(torch.ones(1, 4, 5, 7)), torch.ones(1, 4, 5, 7))


def test_unknown_operations_are_refused() -> None:
    with pytest.raises(ValueError, match="no operation of DARTS is named 'sep_pool_3x3'"):
        darts_operation("sep_pool_3x3", 4, 1)
    with pytest.raises(ValueError, match="no operation of Auto-DeepLab is named 'pool_3x3'"):
        auto_deeplab_operation("pool_3x3", 4, 1, eps=1e-3)


def test_a_factorized_reduction_looks_at_different_pixels() -> None:
    layer = FactorizedReduce(3, 6).eval()
    layer.bn.eps = 0.0
    images = torch.randn(2, 3, 8, 12)
    rectified = relu(images)
    expected = torch.cat(
        [
            conv2d(rectified[:, :, ::2, ::2], layer.conv_1.weight),
            conv2d(rectified[:, :, 1::2, 1::2], layer.conv_2.weight),
        ],
        dim=1,
    )

    torch.testing.assert_close(layer(images), expected)
    assert layer(torch.randn(2, 3, 9, 7)).shape == (2, 6, 5, 4)


def test_a_separable_convolution_has_few_weights_and_the_stride_once() -> None:
    layer = SeparableTwice(4, 5, stride=2)
    convolutions = [part for part in layer if isinstance(part, nn.Conv2d)]

    assert [part.stride for part in convolutions] == [(2, 2), (1, 1), (1, 1), (1, 1)]
    # Twice: 25 taps of 4 channels, 4 x 4 across, scale and shift.
    assert sum(p.numel() for p in layer.parameters()) == 2 * (25 * 4 + 16 + 8)


def test_atrous_convolutions_dilate_unless_they_halve() -> None:
    plain, halving = (Atrous(4, 5, stride=stride, eps=1e-3) for stride in (1, 2))

    assert (plain.conv.dilation, halving.conv.dilation) == ((2, 2), (1, 1))
    assert (plain.conv.stride, halving.conv.stride) == ((1, 1), (1, 1))


def test_halving_is_bilinear_with_aligned_corners() -> None:
    layer = Atrous(1, 3, stride=2, eps=0.0).eval()
    with torch.no_grad():
        layer.conv.weight.zero_()
        layer.conv.weight[..., 1, 1] = 1.0
    # Five columns to three: source columns 0, 2, 4.
    row = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).view(1, 1, 1, 5)

    assert layer(row).flatten().tolist() == [1.0, 4.0, 16.0]


def test_a_darts_cell_is_named_as_published() -> None:
    """The first cell follows the stem, which halves the size."""
    cell = DartsCell(GENOTYPES["darts_v2"].normal, (6, 8), 4, reduce=False, after_reduction=True)
    separable = [f"op.{i}" for i in (1, 2, 3, 5, 6, 7)]
    dilated = [f"op.{i}" for i in (1, 2, 3)]
    layers = ["preprocess0.conv_1", "preprocess0.conv_2", "preprocess0.bn"]
    layers += [f"preprocess1.op.{i}" for i in (1, 2)]
    layers += [f"_ops.{number}.{layer}" for number in range(5) for layer in separable]
    layers += [f"_ops.7.{layer}" for layer in dilated]

    found = {name.rpartition(".")[0] for name, _ in cell.named_parameters()}
    assert found == set(layers)
    assert cell.outputs == 16
    assert cell(torch.randn(2, 6, 13, 18), torch.randn(2, 8, 7, 9)).shape == (2, 16, 7, 9)


def test_a_reduction_cell_halves_its_inputs_once() -> None:
    cell = DartsCell(GENOTYPES["darts_v2"].reduce, (6, 8), 4, reduce=True, after_reduction=False)

    assert cell(torch.randn(2, 6, 7, 9), torch.randn(2, 8, 7, 9)).shape == (2, 16, 4, 5)


@pytest.mark.parametrize("stride", [1, 2])
def test_an_auto_deeplab_cell_has_the_size_of_the_newer_input(stride: int) -> None:
    cell = AutoDeeplabCell(CELL, (6, 8), 4, stride=stride)
    found = cell(torch.randn(2, 6, 13, 18), torch.randn(2, 8, 7, 9))

    assert found.shape == (2, 20, -(-7 // stride), -(-9 // stride))
    assert cell.outputs == 20
