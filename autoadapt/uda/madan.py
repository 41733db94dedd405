"""MADAN: several sources, each translated to the target and brought nearer to each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from autoadapt.config.settings import Fraction, NotNegative
from autoadapt.data.training import TrainingData
from autoadapt.errors import ConfigError
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.uda._translating import Contest, Made, Translating
from autoadapt.uda.base import Context, Needs
from autoadapt.uda.cycada import SMALL


@dataclass
class Madan(Translating):
    """MADAN (Zhao et al., NeurIPS 2019): adversarial domain aggregation of several sources.

    Each source has generators of its own; one discriminator of the target judges all. Two kinds of
    discriminators aggregate: of sub-domains, which tell translated sources apart, and of cycles,
    which tell a source from another one that went through the target. They begin after a share
    of the translation. What a translation must not change is measured by the KL divergence of
    what the source network sees (dynamic semantic consistency). One source network, trained on
    all sources, stands for the one per source of the released code.

    Attributes:
        sources_apart: Number of labelled sources.
        aggregate_weight: Of fooling the sub-domain discriminators.
        aggregate_from: Share of the translation after which they count (published: 5 of 40
            epochs).
        cycle_judge_weight: Of fooling the cycle discriminators.
        cycle_judge_from: Share after which they count (published: 10 of 40).
        semantic_weight: Of the KL divergence per class and pixel; released: 20 times 10.
        cycle_weight: 10 as in CycleGAN; the released code has 1.
    """

    summary = "several sources translated to the target and aggregated"
    paper = "Zhao et al., Multi-source Domain Adaptation for Semantic Segmentation, NeurIPS 2019"
    needs: ClassVar[Needs] = Needs(
        sources=2,
        networks=(
            "two generators per source",
            "patch discriminators",
            "a frozen twin",
            "a classifier",
        ),
    )
    quick: ClassVar[Mapping[str, Any]] = SMALL
    small: ClassVar[Mapping[str, Any]] = {"feature_share": 0.0}
    smoke_options: ClassVar[Mapping[str, Any]] = {
        "generator_width": 4,
        "generator_blocks": 1,
        "judge_width": 4,
        "accuracy_from": 0.0,
        "translate_share": 0.4,
        "feature_share": 0.2,
        "aggregate_from": 0.0,
        "cycle_judge_from": 0.0,
    }

    sources_apart: Annotated[int, Field(ge=2)] = 2
    generator_dropout: Fraction = 0.5
    semantic_weight: NotNegative = 200.0
    aggregate_weight: NotNegative = 1.0
    aggregate_from: Fraction = 5 / 40
    cycle_judge_weight: NotNegative = 0.2
    cycle_judge_from: Fraction = 10 / 40

    def check(self, network: SegmentationNetwork, data: TrainingData) -> None:
        """Refuse another number of sources than the networks are made for."""
        super().check(network, data)
        found = 1 + len(data.further)
        if found != self.sources_apart:
            raise ConfigError(
                f"madan.sources_apart is {self.sources_apart}, but the data has {found} labelled "
                f"sources; set sources_apart: {found}"
            )

    def count(self) -> int:
        """Return the number of sources."""
        return self.sources_apart

    def judges(self) -> list[str]:
        """Return the names of the patch discriminators, those that aggregate at the end."""
        numbers = range(1, self.count() + 1)
        apart = [f"judge_apart{one}{two}" for one, two in combinations(numbers, 2)]
        cycles = [f"judge_cycle{one}{two}" for one, two in permutations(numbers, 2)]
        return [*super().judges(), *apart, *cycles]

    def contests(self, context: Context, made: Sequence[Made]) -> list[Contest]:
        """Add those between sources to those of each source with the target."""
        found = [
            Contest(c.judge, c.real, c.fake, 2.0 if c.judge == "judge_target" else 1.0)
            for c in super().contests(context, made)
        ]
        done = (context.step - self.translating_from) / max(1, self.translating_for)
        if self.aggregate_weight and done >= self.aggregate_from:
            found += [
                Contest(
                    f"judge_apart{one.number}{two.number}",
                    two.translated,
                    one.translated,
                    self.aggregate_weight,
                )
                for one, two in combinations(made, 2)
            ]
        if self.cycle_judge_weight and done >= self.cycle_judge_from:
            found += [
                self.through_the_target(context, one, two) for one, two in permutations(made, 2)
            ]
        return found

    def through_the_target(self, context: Context, one: Made, two: Made) -> Contest:
        """Return the contest of a source with another one, brought to it through the target."""
        with context.autocast():
            fake = context.modules[f"to_source{one.number}"](two.translated)
        judge = f"judge_cycle{one.number}{two.number}"
        return Contest(judge, one.source, fake, self.cycle_judge_weight)

    def semantic(self, context: Context, made: Made) -> Tensor:
        """Return the KL divergence per class and pixel between before and after translation."""
        with torch.no_grad():
            before = self.segmented(context, made.source).log_softmax(dim=1)
        after = self.segmented(context, made.translated).log_softmax(dim=1)
        return (before.exp() * (before - after)).mean()
