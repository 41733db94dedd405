"""Methods that add something to another method, their host."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from torch import Tensor, nn

from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.errors import ConfigError
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.uda.base import Context, Method, Phase, default_of

SHARED = ("warm_up", "aux_source_weight", "batch_norm", "preset")


@dataclass
class Hosted(Method):
    """Hands everything to the host; subclasses add to it.

    ``warm_up``, ``aux_source_weight``, ``batch_norm`` and ``preset`` are handed down where they are
    set, by their name or by a preset, and the options of the host do not name them.

    Attributes:
        host: Name of the method to add to.
        host_options: Its options.
    """

    host: str = "source_only"
    host_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        shared = {
            option.name: getattr(self, option.name)
            for option in fields(self)
            if option.name in SHARED and self.is_set(option)
        }
        guest = make("uda", PluginSettings(name=self.host, options=shared | self.host_options))
        if isinstance(guest, Hosted):
            raise ConfigError(
                f"{type(self).__name__} cannot be added to {self.host!r}, which itself is added to "
                "another method; name that one as host"
            )
        self.guest: Method = guest

    def is_set(self, option: Field[Any]) -> bool:
        """Whether an option was given, or is not what it is by default."""
        return self.is_given(option.name) or getattr(self, option.name) != default_of(option)

    def check(self, network: SegmentationNetwork, data: TrainingData) -> None:
        """Check what both need."""
        super().check(network, data)
        self.guest.check(network, data)

    def check_start(self, weights: bool) -> None:
        """Check what the host needs."""
        self.guest.check_start(weights)

    def keeps_sources_apart(self) -> bool:
        """Do as the host does."""
        return self.guest.keeps_sources_apart()

    def setup(self, context: Context) -> None:
        """Set up the host."""
        self.guest.setup(context)

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Return the phases of the host."""
        self.guest.pretrained = self.pretrained
        return self.guest.phases(steps)

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Let the host prepare."""
        self.guest.begin_round(context, data, phase, index)

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Return the data as the host sees it."""
        return self.guest.view(context, data, phase)

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        """Let the host choose the images."""
        return self.guest.draw(data, step)

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Take the step of the host."""
        return self.guest.train_step(context, phase, batch)

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Take the step of the host's adaptation."""
        return self.guest.step(context, source, target)

    def predictor(
        self, network: SegmentationNetwork, modules: Mapping[str, nn.Module]
    ) -> nn.Module:
        """Return what predicts for the host."""
        return self.guest.predictor(network, modules)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the host."""
        return {"guest": self.guest.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.guest.load_state_dict(state["guest"])
