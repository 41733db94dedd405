"""AdaptSegNet: adversarial alignment of class probability maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from autoadapt.uda._adversarial import OutputAdversarial


@dataclass
class AdaptSegNet(OutputAdversarial):
    """AdaptSegNet (Tsai et al., CVPR 2018): discriminators see the softmax of both levels.

    Weights and order of passes follow the released code.
    """

    summary = "adversarial alignment of class probability maps"
    paper = "Tsai et al., Learning to Adapt Structured Output Space, CVPR 2018"
    smoke_options: ClassVar[Mapping[str, Any]] = {"discriminator_width": 4}

    def represent(self, logits: Tensor) -> Tensor:
        """Return class probabilities."""
        return logits.softmax(dim=1)
