"""Adversarial alignment of output maps, shared by AdaptSegNet and AdvEnt."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from autoadapt.config.settings import Above0, NotNegative, Positive
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.networks.contract import Output
from autoadapt.uda._discriminator import adam, check_size, output_discriminator, scored
from autoadapt.uda._losses import SOURCE_LABEL, TARGET_LABEL, domain_loss
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
    small: ClassVar[Mapping[str, Any]] = {
        "warm_up": 0.5,
        "main_weight": 0.01,
        "aux_weight": 0.002,
        "discriminator_width": 16,
    }

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
        """Source loss, fool the discriminators, train them on the same maps, move all.

        What a discriminator says of the target is asked once, for both: the network learns from
        the gradient of fooling it, which ends at the maps, and the discriminator from telling.
        """
        source_output, losses = context.supervised(source, self.aux_source_weight)
        output = context.forward(target.images, "target")
        maps = {name: self.represent(z) for name, z in levels(output).items()}
        cut = {name: one.detach().requires_grad_() for name, one in maps.items()}
        said = {name: self.scores(context, name, one) for name, one in cut.items()}
        factors = self.factors(output)

        weights = {"main": self.main_weight, "aux": self.aux_weight}
        fooling = {
            f"fool_{name}": weights[name] * domain_loss(one, SOURCE_LABEL, self.loss, factors)
            for name, one in said.items()
        }
        total = torch.stack(list(fooling.values())).sum()
        torch.autograd.backward(list(maps.values()), context.gradients(total, list(cut.values())))

        telling = self.tell(context, source_output, said, factors)
        context.update("network", *maps)
        return losses | {name: loss.detach() for name, loss in (fooling | telling).items()}

    def tell(
        self,
        context: Context,
        source: Output,
        said: Mapping[str, Tensor],
        factors: Tensor | None,
    ) -> dict[str, Tensor]:
        """Train the discriminators; ``said`` is what they say of the target, by name."""
        telling: dict[str, Tensor] = {}
        with torch.no_grad():
            maps = {name: self.represent(z) for name, z in levels(source).items()}
        for name, of_target in said.items():
            of_source = self.scores(context, name, maps[name])
            on_source = domain_loss(of_source, SOURCE_LABEL, self.loss)
            on_target = domain_loss(of_target, TARGET_LABEL, self.loss, factors)
            telling[f"tell_{name}"] = (on_source + on_target) / 2
            own = [*context.modules[name].parameters()]
            context.backward(telling[f"tell_{name}"], only=own)
        return telling

    def scores(self, context: Context, name: str, maps: Tensor) -> Tensor:
        """Return what a discriminator says of maps (N, C, H, W), before any sigmoid.

        Raises:
            ConfigError: The maps are too small for the discriminator.
        """
        check_size(maps)
        return scored(context, name, maps)

    def factors(self, output: Output) -> Tensor | None:
        """Return factors on what is said of each place of target maps; absent: 1."""
        return None
