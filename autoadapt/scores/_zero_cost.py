"""What can be said of a network before it is trained."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import log_softmax
from torch.utils._python_dispatch import TorchDispatchMode

from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.scores.base import Need

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


LAYERS = nn.Conv2d, nn.ConvTranspose2d, nn.Linear
"""What has the weights that proxies look at."""


def proxies(
    build: Callable[[], SegmentationNetwork], images: Tensor, needs: frozenset[Need]
) -> Mapping[str, float]:
    """Return zero-cost proxies of an untrained network by name; larger is taken as better.

    Args:
        build: Returns a new network with the same weights each time.
        images: (n, 3, H, W) normalised.
        needs: ``untrained``; ``curvature``, which takes several times the memory; or both.
    """
    network = build().to(images.device).eval()
    with torch.enable_grad():
        curvature = {"grasp": grasp(network, images)} if "curvature" in needs else {}
        if "untrained" not in needs:
            return curvature
        return curvature | {
            "synflow": synflow(build().to(images.device).eval(), images.shape[-2:]),
            "grad_norm": grad_norm(network, images),
            **saliencies(network, images),
            "fisher": fisher(network, images),
            "jacov": jacov(network, images),
            "l2_norm": l2_norm(network),
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
    weights = layer_weights(network)
    total = network(torch.ones(1, 3, *size, dtype=torch.float64, device=device)).logits.sum()
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    flow = sum(
        float((weight.detach() * gradient).abs().sum())
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    )
    return log_or_lowest(flow)


def mean_entropy(network: nn.Module, images: Tensor) -> Tensor:
    """Return the mean pixel entropy, the loss of the proxies that need one without labels."""
    log_p = log_softmax(network(images).logits, dim=1)
    return -(log_p.exp() * log_p).sum(1).mean()


def grad_norm(network: nn.Module, images: Tensor) -> float:
    """Return the log of the norm of the gradient of the mean pixel entropy."""
    learned = [p for p in network.parameters() if p.requires_grad]
    loss = mean_entropy(network, images)
    gradients = torch.autograd.grad(loss, learned, allow_unused=True)
    squares = sum(float(g.double().square().sum()) for g in gradients if g is not None)
    return log_or_lowest(squares) / 2.0


def saliencies(network: nn.Module, images: Tensor) -> dict[str, float]:
    """Return ``snip``, log sum |w g|, and ``plain``, sum w g, of the weights w and gradients g.

    Over convolutions and linear layers, of the mean pixel entropy.
    """
    weights = learned_weights(network)
    gradients = torch.autograd.grad(mean_entropy(network, images), weights, allow_unused=True)
    products = [
        (w.detach() * g).double() for w, g in zip(weights, gradients, strict=True) if g is not None
    ]
    return {
        "snip": log_or_lowest(sum(float(each.abs().sum()) for each in products)),
        "plain": sum(float(each.sum()) for each in products),
    }


def grasp(network: nn.Module, images: Tensor) -> float:
    """Return - sum w (H g) of weights w, gradients g and the Hessian H, as in ``saliencies``."""
    weights = learned_weights(network)
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no second derivative
        loss = mean_entropy(network, images)
    first = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    # Half the squared length of g has the gradient H g.
    length = torch.stack([g.square().sum() for g in first if g is not None]).sum() / 2.0
    second = torch.autograd.grad(length, weights, allow_unused=True)
    return -sum(
        float((w.detach() * h).double().sum())
        for w, h in zip(weights, second, strict=True)
        if h is not None
    )


def fisher(network: nn.Module, images: Tensor) -> float:
    """Return the log of the sum over channels of the mean over images of (sum of a g)^2 / 2.

    a are the outputs of convolutions and linear layers and g their gradients; the sum inside is
    over the places of one image.
    """
    outputs: list[Tensor] = []
    hooks = [
        part.register_forward_hook(lambda _, __, output: outputs.append(output))
        for part in network.modules()
        if isinstance(part, LAYERS)
    ]
    try:
        loss = mean_entropy(network, images)
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(loss, outputs, allow_unused=True)
    total = 0.0
    for output, gradient in zip(outputs, gradients, strict=True):
        if gradient is not None:
            products = (output.detach() * gradient).double()
            channels = (
                products.flatten(2).sum(2) if products.dim() == 4 else products.flatten(0, -2)
            )
            total += float(channels.square().mean(0).sum()) / 2.0
    return log_or_lowest(total)


def jacov(network: nn.Module, images: Tensor) -> float:
    """Return -sum(log v + 1 / v) over the eigenvalues v of the correlation of input gradients.

    Of the sum of the logits of each image; each v has 1e-5 added, as published.
    """
    pixels = images.detach().clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(pixels).logits.sum(), pixels)
    rows = gradient.flatten(1).double()
    rows = rows - rows.mean(1, keepdim=True)
    lengths = rows.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all()):
        return -math.inf
    rows = rows / lengths
    values = torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0.0) + 1e-5
    return -float((values.log() + 1.0 / values).sum())


def l2_norm(network: nn.Module) -> float:
    """Return the sum of the norms of the weights of convolutions and linear layers."""
    return sum(float(weight.detach().double().norm()) for weight in layer_weights(network))


def layer_weights(network: nn.Module) -> list[Tensor]:
    """Return the weights of convolutions and linear layers."""
    return [part.weight for part in network.modules() if isinstance(part, LAYERS)]


def learned_weights(network: nn.Module) -> list[Tensor]:
    """Return those of them that are not frozen."""
    return [weight for weight in layer_weights(network) if weight.requires_grad]


def log_or_lowest(value: float) -> float:
    """Return the logarithm, minus infinity of zero."""
    return math.log(value) if value > 0 else -math.inf


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
