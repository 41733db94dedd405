import torch
from torch import nn

from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap, upsample


class Toy(SegmentationNetwork):
    """A backbone and a head that share nothing, next to a frozen parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes, self.has_aux = 2, False
        self.taps = {role: Tap(4, 1) for role in ("low", "mid", "deep")}
        self.backbone = nn.Conv2d(3, 4, 1)
        self.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.head = nn.Conv2d(4, 2, 1)

    def encode(self, images: torch.Tensor) -> Features:
        features = self.backbone(images)
        return Features(features, features, features)

    def decode(self, features: Features) -> Output:
        return Output(self.head(features.deep), features, None)

    def head_modules(self) -> list[nn.Module]:
        return [self.head]


def test_heads_learn_faster_and_frozen_parameters_not_at_all() -> None:
    network = Toy()
    backbone, head = network.parameter_groups(0.1, 10.0)

    assert (backbone["name"], backbone["lr"]) == ("backbone", 0.1)
    assert (head["name"], head["lr"]) == ("head", 1.0)
    assert backbone["params"] == list(network.backbone.parameters())
    assert head["params"] == list(network.head.parameters())


def test_a_group_without_parameters_is_left_out() -> None:
    network = Toy()
    network.head.requires_grad_(False)

    assert [group["name"] for group in network.parameter_groups(0.1, 10.0)] == ["backbone"]


def test_upsampling_aligns_corners() -> None:
    # 3 pixels to 5: source coordinates 0, 0.5, 1, 1.5, 2.
    logits = torch.tensor([0.0, 10.0, 40.0]).view(1, 1, 1, 3)
    expected = torch.tensor([0.0, 5.0, 10.0, 25.0, 40.0])

    torch.testing.assert_close(upsample(logits, (2, 5))[0, 0, 1], expected)
