"""AdaptSegNet: adversarial alignment of class probability maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from autoadapt.config.settings import NotNegative
from autoadapt.data.training import TrainingData
from autoadapt.errors import ConfigError
from autoadapt.networks.contract import Output, SegmentationNetwork
from autoadapt.uda._adversarial import OutputAdversarial
from autoadapt.uda._losses import disagreement


@dataclass
class AdaptSegNet(OutputAdversarial):
    """AdaptSegNet (Tsai et al., CVPR 2018): discriminators see the softmax of both levels.

    Weights and order of passes follow the released code.

    With ``local_weight`` the adversarial loss counts more where the two outputs disagree, as in
    CLAN (Luo et al., CVPR 2019). That is its weighting alone: CLAN has two heads at one depth, a
    loss that keeps their weights apart, and one discriminator on the sum of both.

    Attributes:
        local_weight: Factor on the disagreement (published: 40 from GTA5, 10 from SYNTHIA); 0, as
            in AdaptSegNet, for places that all count the same.
        local_floor: What a place counts where both outputs agree.
    """

    summary = "adversarial alignment of class probability maps"
    paper = "Tsai et al., Learning to Adapt Structured Output Space, CVPR 2018"
    smoke_options: ClassVar[Mapping[str, Any]] = {"discriminator_width": 4}

    local_weight: NotNegative = 0.0
    local_floor: NotNegative = 0.4

    def check(self, network: SegmentationNetwork, data: TrainingData) -> None:
        """Refuse to compare two outputs of a network that has one."""
        super().check(network, data)
        if self.local_weight and not network.has_aux:
            raise ConfigError(
                "adapt_seg_net.local_weight compares the main output with an auxiliary one, which "
                "this network does not have; choose an architecture with one ('aux: true'), or 0"
            )

    def factors(self, output: Output) -> Tensor | None:
        """Return the weights of CLAN, (N, 1, H, W), constant; absent where they are off."""
        if not self.local_weight or output.aux_logits is None:
            return None
        with torch.no_grad():
            main, aux = (z.softmax(dim=1) for z in (output.logits, output.aux_logits))
            return self.local_floor + self.local_weight * disagreement(main, aux)

    def represent(self, logits: Tensor) -> Tensor:
        """Return class probabilities."""
        return logits.softmax(dim=1)
