"""A finished model: weights as safetensors, and beside them a JSON card that says what they are.

``model.safetensors`` holds the tensors of the network (``network.<name>``) and of the modules of
the method (``modules.<module>.<name>``); ``model.json`` all else that prediction needs, and the
checksum of the tensors. Reading either runs no code. ``model.pt`` of earlier versions still loads.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from autoadapt import __version__
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
from autoadapt.files import replacing, sha256_of, write_json
from autoadapt.networks.build import build
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.checkpoints.reading import read_state
from autoadapt.networks.contract import Output, SegmentationNetwork
from autoadapt.networks.inference import PLAIN, Views, class_maps
from autoadapt.space.architecture import Architecture
from autoadapt.training.checkpoints import read_checkpoint
from autoadapt.training.fit import Fitted
from autoadapt.uda._ensemble import LogitEnsemble
from autoadapt.uda._teacher import TEACHER, teacher_of
from autoadapt.uda.base import Context, Method

FORMAT = 2
MODEL = "model.safetensors"
OLD_MODEL = "model.pt"
"""Format 1: one file of ``torch.save`` with card and tensors."""
SELECTED = "selected"
"""Folder beside the last step of a training: the snapshot that was chosen without labels."""

KEYS = {"format", "architecture", "classes", "size", "normalisation", "method"}
"""What a card says."""


@dataclass(frozen=True)
class Card:
    """What a model says about itself.

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

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "format": FORMAT,
            "architecture": self.architecture.to_json(),
            "classes": list(self.classes),
            "size": list(self.size),
            "normalisation": self.normalisation,
            "resampling": self.resampling,
            "method": {"name": self.method.name, "options": self.method.options},
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], path: Path) -> "Card":
        """Undo ``to_json``.

        Raises:
            CheckpointError: Keys are missing, or a newer version wrote it.
        """
        missing = KEYS - raw.keys()
        if missing:
            raise CheckpointError(
                f"{path} is not a model of autoadapt: it lacks {', '.join(sorted(missing))}; "
                f"expected a {MODEL} that search or adapt wrote"
            )
        if raw["format"] > FORMAT:
            raise CheckpointError(
                f"{path} has format {raw['format']}, this version reads up to {FORMAT}; "
                "update autoadapt"
            )
        return cls(
            Architecture.from_json(raw["architecture"]),
            tuple(raw["classes"]),
            (raw["size"][0], raw["size"][1]),
            raw["normalisation"],
            PluginSettings(name=raw["method"]["name"], options=raw["method"]["options"]),
            raw.get("resampling", "lanczos"),
        )


@dataclass(frozen=True)
class Model:
    """A network that predicts, with what it needs to know about images and classes.

    Attributes:
        modules: Extra modules of the method, which scores may ask for.
    """

    card: Card
    network: SegmentationNetwork
    predictor: nn.Module
    device: torch.device
    modules: Mapping[str, nn.Module] = field(default_factory=dict)

    def forward(self, images: Tensor) -> Output:
        """Run normalised images (N, 3, H, W); no gradients, evaluation mode."""
        with torch.inference_mode():
            output: Output = self.predictor(images.to(self.device))
        return output

    def predict(
        self,
        images: NDArray[np.uint8],
        size: tuple[int, int],
        views: Views = PLAIN,
        *,
        resize: Literal["logits", "classes"] = "logits",
    ) -> NDArray[np.uint8]:
        """Return class indices (N, *size) of RGB images (N, H, W, 3).

        Images have the training size, unless a convention of evaluation asks for another one;
        ``views`` and ``resize`` are those of ``class_maps``.
        """
        inputs = normalise(images, self.card.normalisation).to(self.device)
        found = class_maps(self._logits, inputs, size, views, resize=resize)
        return found.cpu().numpy()

    def _logits(self, images: Tensor) -> Tensor:
        return self.forward(images).logits


@dataclass(frozen=True)
class Stored:
    """What a model file holds: the card, the network's tensors, and those of each module."""

    card: Card
    network: Mapping[str, Tensor]
    modules: Mapping[str, Mapping[str, Tensor]]


def save_model(path: Path, fitted: Fitted, card: Card) -> None:
    """Write ``path`` (safetensors) and the card beside it, each atomically, the card last.

    A card vouches for its tensors by their checksum, so a crash between the two cannot pair the
    card of one model with the weights of another.
    """
    tensors = {f"network.{name}": tensor for name, tensor in fitted.network.state_dict().items()}
    for module, part in fitted.modules.items():
        tensors |= {f"modules.{module}.{name}": t for name, t in part.state_dict().items()}
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    with replacing(path) as file:
        file.write(content)
    write_json(
        card_path(path),
        {
            **card.to_json(),
            "modules": sorted(fitted.modules),
            "sha256": hashlib.sha256(content).hexdigest(),
            "autoadapt": __version__,
        },
    )


def card_path(path: Path) -> Path:
    """Return the path of the card of a model."""
    return path.with_suffix(".json")


def find_model(folder: Path) -> Path | None:
    """Return the model in a folder, of this or of an earlier format; None if none is whole."""
    if (folder / MODEL).is_file() and card_path(folder / MODEL).is_file():
        return folder / MODEL
    return folder / OLD_MODEL if (folder / OLD_MODEL).is_file() else None


def used_model(folder: Path) -> Path | None:
    """Return the model that a folder stands for: the selected snapshot, else the one in it."""
    return find_model(folder / SELECTED) or find_model(folder)


def locate(path: Path) -> Path:
    """Return the file with the tensors of a model, given that, its card or its folder."""
    if path.is_dir():
        return used_model(path) or path / MODEL
    return path.with_suffix(Path(MODEL).suffix) if path.suffix == ".json" else path


def is_model(path: Path) -> bool:
    """Whether a file was written by ``save_model``, of this or an earlier version."""
    if path.suffix == Path(MODEL).suffix:
        return card_path(path).is_file()
    return path.suffix == Path(OLD_MODEL).suffix and read_state(path).keys() >= KEYS


def read_model(path: Path) -> Stored:
    """Read a model file, its card, or the folder that holds them.

    Raises:
        CheckpointError: Missing, damaged, not a model, or tensors that are not the card's.
    """
    path = locate(path)
    if path.suffix == Path(MODEL).suffix:
        return read_pair(path)
    state = read_checkpoint(path)
    card = Card.from_json(state, path)
    return Stored(card, state.get("network", {}), state.get("modules", {}))


def read_pair(path: Path) -> Stored:
    """Read tensors with the card that stands beside them."""
    raw = read_card(card_path(path))
    card, state = Card.from_json(raw, card_path(path)), read_state(path)
    if sha256_of(path) != raw.get("sha256"):
        raise CheckpointError(
            f"{path} holds other weights than {card_path(path).name} beside it describes; "
            "restore the pair from where it was written"
        )
    modules: dict[str, dict[str, Tensor]] = {name: {} for name in raw.get("modules", ())}
    network: dict[str, Tensor] = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        if part == "network":
            network[rest] = tensor
        else:
            module, _, inner = rest.partition(".")
            modules.setdefault(module, {})[inner] = tensor
    return Stored(card, network, modules)


def read_card(path: Path) -> dict[str, Any]:
    """Read a JSON card.

    Raises:
        CheckpointError: Missing or damaged.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"no checkpoint at {path}; a model is two files, {path.stem}.json and the weights"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} is damaged: expected a JSON object")
    return raw


def load_model(path: Path, device: torch.device) -> Model:
    """Read a model, ready to predict.

    Raises:
        CheckpointError: Missing, damaged, not a model, or weights of another architecture.
        ConfigError: There is no such method or option any more.
    """
    stored = read_model(path)
    card = stored.card
    network = build(card.architecture, len(card.classes)).to(device)
    load_weights(network, stored.network)
    network.eval()
    method: Method = make("uda", card.method)
    modules = restored_modules(method, network, stored.modules, device)
    predictor = method.predictor(network, modules).eval()
    return Model(card, network, predictor, device, modules)


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
    if states.keys() - context.modules.keys() == {TEACHER}:  # kept by the loop, not the method
        context.add(TEACHER, teacher_of(network).eval())
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


def ensembled(models: Sequence[Model]) -> Model:
    """Return models as one that predicts with the mean of their logits.

    Raises:
        CheckpointError: They were made for other classes, sizes or input conventions.
    """
    first = models[0]
    for other in models[1:]:
        for key in ("classes", "size", "normalisation", "resampling"):
            mine, theirs = getattr(first.card, key), getattr(other.card, key)
            if mine != theirs:
                raise CheckpointError(
                    f"models of an ensemble must agree in {key}: {mine} and {theirs}; average "
                    "models that were trained with the same data settings"
                )
    if len(models) == 1:
        return first
    predictor = LogitEnsemble([model.predictor for model in models]).eval()
    return replace(first, predictor=predictor)
