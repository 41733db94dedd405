"""Adversarial alignment of output maps, shared by AdaptSegNet and AdvEnt."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from autoadapt.config.settings import Above0, NotNegative, Positive
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.uda._discriminator import adam, judge, output_discriminator
from autoadapt.uda._losses import SOURCE_LABEL, TARGET_LABEL
from autoadapt.uda.base import Context, Method, Needs, levels


@dataclass
class OutputAdversarial(Method):
    """One discriminator per output level tells the domains apart; the network fools them.

    A network without an auxiliary output is trained with the main level alone.

    Attributes:
        main_weight: Weight of fooling the discriminator of the main output.
        aux_weight: The same for the auxiliary output.
        loss: ``bce``, or ``mse`` for the least-squares form (main weight 0.01 there).
        discriminator_rate: Learning rate of the discriminators (Adam, betas 0.9 and 0.99).
        discriminator_width: Channels after their first layer; 64 as published.
    """

    needs: ClassVar[Needs] = Needs(networks=("a discriminator per output",))

    main_weight: NotNegative = 0.001
    aux_weight: NotNegative = 0.0002
    loss: Literal["bce", "mse"] = "bce"
    discriminator_rate: Above0 = 1e-4
    discriminator_width: Positive = 64

    @abstractmethod
    def represent(self, logits: Tensor) -> Tensor:
        """Return the maps that the discriminator sees, (N, C, H, W)."""

    def setup(self, context: Context) -> None:
        """Create a discriminator with its own Adam per output level."""
        for name in ("main", "aux") if context.network.has_aux else ("main",):
            module = output_discriminator(context.num_classes, self.discriminator_width)
            module.to(context.device)  # before the optimiser looks at its parameters
            context.add(name, module, adam(module, self.discriminator_rate))

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source loss, fool the discriminators, train them on the same maps, move all."""
        source_output, losses = context.supervised(source, self.aux_source_weight)
        target_output = context.forward(target.images, "target")
        target_maps = {name: self.represent(z) for name, z in levels(target_output).items()}
        source_maps = {name: self.represent(z) for name, z in levels(source_output).items()}

        weights = {"main": self.main_weight, "aux": self.aux_weight}
        with context.frozen(*target_maps):
            fooling = {
                f"fool_{name}": weights[name] * self.judge(context, name, maps, SOURCE_LABEL)
                for name, maps in target_maps.items()
            }
        context.backward(torch.stack(list(fooling.values())).sum())

        telling: dict[str, Tensor] = {}
        for name in target_maps:
            on_source = self.judge(context, name, source_maps[name].detach(), SOURCE_LABEL)
            on_target = self.judge(context, name, target_maps[name].detach(), TARGET_LABEL)
            telling[f"tell_{name}"] = (on_source + on_target) / 2
            context.backward(telling[f"tell_{name}"])
        context.update("network", *target_maps)
        return losses | {name: loss.detach() for name, loss in (fooling | telling).items()}

    def judge(self, context: Context, name: str, maps: Tensor, label: float) -> Tensor:
        """Return the loss of one discriminator if ``maps`` came from the domain of ``label``.

        Raises:
            ConfigError: The maps are too small for the discriminator.
        """
        return judge(context, name, maps, label, kind=self.loss)
