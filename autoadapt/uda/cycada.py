"""CyCADA: cycle-consistent translation of pixels, then alignment of features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autoadapt.uda._translating import Translating
from autoadapt.uda.base import Needs

SMALL: Mapping[str, Any] = {"generator_width": 16, "generator_blocks": 4, "judge_width": 16}


@dataclass
class Cycada(Translating):
    """CyCADA (Hoffman et al., ICML 2018): pixel- and feature-level adaptation.

    ``feature_share: 0`` is its pixel-level part alone. The domain classifier has source = 0 and
    target = 1, the other way round than in the released code, and Adam instead of SGD with a
    momentum of 0.99, which needs tens of thousands of steps.
    """

    summary = "cycle-consistent translation of the source, then feature alignment"
    paper = "Hoffman et al., CyCADA, ICML 2018"
    needs: ClassVar[Needs] = Needs(
        networks=("two generators", "two patch discriminators", "a frozen twin", "a classifier")
    )
    quick: ClassVar[Mapping[str, Any]] = SMALL
    small: ClassVar[Mapping[str, Any]] = {"feature_share": 0.0}
    smoke_options: ClassVar[Mapping[str, Any]] = {
        "generator_width": 4,
        "generator_blocks": 1,
        "judge_width": 4,
        "accuracy_from": 0.0,
        "translate_share": 0.3,
        "feature_share": 0.2,
    }
