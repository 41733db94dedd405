"""AdvEnt: adversarial alignment of self-information maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from autoadapt.uda._adversarial import OutputAdversarial
from autoadapt.uda._losses import self_information


@dataclass
class Advent(OutputAdversarial):
    """AdvEnt (Vu et al., CVPR 2019): discriminators see ``-p log p``, so confidence is aligned.

    Weights and order of passes follow the released code.
    """

    summary = "adversarial alignment of entropy maps"
    paper = "Vu et al., ADVENT, CVPR 2019"
    smoke_options: ClassVar[Mapping[str, Any]] = {"discriminator_width": 4}

    def represent(self, logits: Tensor) -> Tensor:
        """Return weighted self-information maps."""
        return self_information(logits)
