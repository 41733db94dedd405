"""What can be said of a network before it is trained."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax
from torch.utils._python_dispatch import TorchDispatchMode

from autoadapt.networks.contract import SegmentationNetwork

IMAGES = 8
"""Target images that the proxies look at."""

RECTIFIERS = {
    f"aten.{name}"
    for name in (
        "relu", "relu_", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "_prelu_kernel",
        "elu", "elu_", "silu", "silu_", "gelu", "gelu_", "hardswish", "hardswish_", "mish", "mish_",
    )
}  # fmt: skip
"""Operations whose sign pattern ``naswot`` reads, whichever module calls them."""


def proxies(build: Callable[[], SegmentationNetwork], images: Tensor) -> Mapping[str, float]:
    """Return zero-cost proxies of an untrained network by name; larger is taken as better.

    Args:
        build: Returns a new network with the same weights each time.
        images: (n, 3, H, W) normalised.
    """
    network = build().to(images.device).eval()
    with torch.enable_grad():
        return {
            "synflow": synflow(build().to(images.device).eval(), images.shape[-2:]),
            "grad_norm": grad_norm(network, images),
            **({} if (patterns := naswot(network, images)) is None else {"naswot": patterns}),
        }


def synflow(network: nn.Module, size: Sequence[int]) -> float:
    """Return the log of the synaptic flow of an image of ones; the weights are overwritten."""
    network.double().requires_grad_(True)
    tensors = [*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())]
    with torch.no_grad():
        for tensor in tensors:
            tensor.abs_()
    device = tensors[0].device
    weights = [
        part.weight
        for part in network.modules()
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    ]
    total = network(torch.ones(1, 3, *size, dtype=torch.float64, device=device)).logits.sum()
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    flow = sum(
        float((weight.detach() * gradient).abs().sum())
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    )
    return math.log(flow) if flow > 0 else -math.inf


def grad_norm(network: nn.Module, images: Tensor) -> float:
    """Return the log of the norm of the gradient of the mean pixel entropy."""
    log_p = log_softmax(network(images).logits, dim=1)
    entropy = -(log_p.exp() * log_p).sum(1).mean()
    learned = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(entropy, learned, allow_unused=True)
    squares = sum(float(g.double().square().sum()) for g in gradients if g is not None)
    return math.log(squares) / 2.0 if squares > 0 else -math.inf


def naswot(network: nn.Module, images: Tensor) -> float | None:
    """Return log det of the shares of equal signs of all pairs of images; None: no rectifier."""
    signs = Signs(len(images))
    with torch.no_grad(), signs:
        network(images)
    if signs.number == 0:
        return None
    return float(torch.linalg.slogdet(signs.equal / signs.number).logabsdet)


class Signs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts, for each pair of images, the equal signs before every rectifier.

    Attributes:
        equal: (n, n) equal signs.
        number: Signs per image.
    """

    def __init__(self, images: int) -> None:
        """Start from nothing.

        Args:
            images: How many go through the network at once, n.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.equal = torch.zeros(images, images, dtype=torch.float64)
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Read the input of a rectifier before it may be overwritten."""
        if str(func.overloadpacket) in RECTIFIERS:
            positive = (args[0] > 0).reshape(len(self.equal), -1)
            ones = positive.float()
            both = ones @ ones.T + (1.0 - ones) @ (1.0 - ones).T
            self.equal += both.double().cpu()
            self.number += positive.shape[1]
        return func(*args, **(kwargs or {}))


def classifier_of(network: SegmentationNetwork, image: Tensor) -> Tensor | None:
    """Return the weights of the last layer, (C, K), one row per class; None where there is none.

    These are the convolutions of the heads with one output channel per class that the logits
    depend on; those of an auxiliary head are not among them. Several, as the branches of
    DeepLabV2, stand side by side.

    Args:
        network: In evaluation mode.
        image: (1, 3, H, W).
    """
    weights = [
        part.weight
        for head in network.head_modules()
        for part in head.modules()
        if isinstance(part, nn.Conv2d) and part.out_channels == network.num_classes
    ]
    if not weights:
        return None
    learned = [weight.requires_grad for weight in weights]
    for weight in weights:
        weight.requires_grad_(True)
    with torch.enable_grad():
        total = network(image).logits.sum()
        gradients = torch.autograd.grad(total, weights, allow_unused=True)
    for weight, before in zip(weights, learned, strict=True):
        weight.requires_grad_(before)
    used = [w.detach().flatten(1) for w, g in zip(weights, gradients, strict=True) if g is not None]
    return torch.cat(used, dim=1) if used else None
