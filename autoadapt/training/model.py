"""A finished model: one file that holds all that prediction needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoadapt.config.load import make
from autoadapt.config.settings import (
    DataSettings,
    Normalisation,
    PluginSettings,
    Resampling,
    TrainingSettings,
)
from autoadapt.data.transforms import normalise
from autoadapt.errors import CheckpointError
from autoadapt.networks.build import build
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.contract import Output, SegmentationNetwork, upsample
from autoadapt.space.architecture import Architecture
from autoadapt.training.checkpoints import read_checkpoint, write_checkpoint
from autoadapt.training.fit import Fitted
from autoadapt.uda.base import Context, Method

FORMAT = 1
KEYS = {
    "format",
    "architecture",
    "classes",
    "size",
    "normalisation",
    "method",
    "network",
    "modules",
}
"""What a model file holds."""


@dataclass(frozen=True)
class Card:
    """What a model file says about itself.

    Attributes:
        classes: Class names in the order of the outputs.
        size: Height and width that target images were resized to in training.
        resampling: Filter that they were resized with.
        method: How it was trained; rebuilds predictors that are more than the network.
    """

    architecture: Architecture
    classes: tuple[str, ...]
    size: tuple[int, int]
    normalisation: Normalisation
    method: PluginSettings
    resampling: Resampling = "lanczos"


@dataclass(frozen=True)
class Model:
    """A network that predicts, with what it needs to know about images and classes."""

    card: Card
    network: SegmentationNetwork
    predictor: nn.Module
    device: torch.device

    def forward(self, images: Tensor) -> Output:
        """Run normalised images (N, 3, H, W); no gradients, evaluation mode."""
        with torch.inference_mode():
            output: Output = self.predictor(images.to(self.device))
        return output

    def predict(self, images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return class indices (N, *size) of RGB images (N, H, W, 3) at the training size."""
        output = self.forward(normalise(images, self.card.normalisation))
        labels = upsample(output.logits.float(), size).argmax(dim=1)
        return labels.to(torch.uint8).cpu().numpy()


def save_model(path: Path, fitted: Fitted, card: Card) -> None:
    """Write a model file atomically."""
    state = {
        "format": FORMAT,
        "architecture": card.architecture.to_json(),
        "classes": list(card.classes),
        "size": list(card.size),
        "normalisation": card.normalisation,
        "resampling": card.resampling,
        "method": {"name": card.method.name, "options": card.method.options},
        "network": fitted.network.state_dict(),
        "modules": {name: module.state_dict() for name, module in fitted.modules.items()},
    }
    write_checkpoint(path, state)


def load_model(path: Path, device: torch.device) -> Model:
    """Read a model file.

    Raises:
        CheckpointError: Missing, damaged, not a model, or weights of another architecture.
        ConfigError: There is no such method or option any more.
    """
    state = read_checkpoint(path)
    missing = KEYS - state.keys()
    if missing:
        raise CheckpointError(
            f"{path} is not a model of autoadapt: it lacks {', '.join(sorted(missing))}; "
            "expected a model.pt that search or adapt wrote"
        )
    if state["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {state['format']}, this version reads up to {FORMAT}; "
            "update autoadapt"
        )
    card = Card(
        Architecture.from_json(state["architecture"]),
        tuple(state["classes"]),
        (state["size"][0], state["size"][1]),
        state["normalisation"],
        PluginSettings(name=state["method"]["name"], options=state["method"]["options"]),
        state.get("resampling", "lanczos"),
    )
    network = build(card.architecture, len(card.classes)).to(device)
    load_weights(network, state["network"])
    network.eval()
    method: Method = make("uda", card.method)
    modules = restored_modules(method, network, state["modules"], device)
    return Model(card, network, method.predictor(network, modules).eval(), device)


def restored_modules(
    method: Method,
    network: SegmentationNetwork,
    states: Mapping[str, Mapping[str, Tensor]],
    device: torch.device,
) -> dict[str, nn.Module]:
    """Rebuild the extra modules of a method, which its predictor may need.

    Raises:
        CheckpointError: The method has other modules.
    """
    context = Context(network, network.num_classes, TrainingSettings(steps=1), device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        method.setup(context)
    if context.modules.keys() != states.keys():
        raise CheckpointError(
            f"the model has the modules {sorted(states)}, but {type(method).__name__} with these "
            f"options has {sorted(context.modules)}; it was written by another version"
        )
    for name, module in context.modules.items():
        load_weights(module, states[name])
    return context.modules


def card_of(
    architecture: Architecture, data: DataSettings, classes: tuple[str, ...], method: PluginSettings
) -> Card:
    """Return the card of a model trained on ``data``."""
    size = data.size_of("target")
    return Card(architecture, classes, size, data.normalisation, method, data.resampling)
