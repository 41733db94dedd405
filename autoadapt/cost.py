"""What a network costs: multiply-adds, parameters, activations, measured latency.

Convention: one multiply-add counts as one. Convolutions, linear layers, matrix products and
attention (``COUNTED``) count, a bias does not; ``IGNORED`` says what does not count and why, and
an operator in neither table is an error rather than a silent zero. Published tables of this field
often add two operations per output element of a batch normalisation: ``paper_macs`` does
(DeepLabV2-ResNet101 with both heads at 512 x 1024: 379.53 G, and 380.50 G by the rule of the
papers).
"""

import math
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from autoadapt import __version__, files
from autoadapt.errors import SpaceError
from autoadapt.networks.build import skeleton
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture

with warnings.catch_warnings():
    # On import, fvcore compiles a loss that nobody here uses, which PyTorch warns about.
    warnings.simplefilter("ignore", DeprecationWarning)
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import (
        addmm_flop_jit,
        bmm_flop_jit,
        conv_flop_jit,
        linear_flop_jit,
        matmul_flop_jit,
    )

Size = tuple[int, int]
"""Height and width in pixels."""

Handle = Callable[[list[Any], list[Any]], Any]
"""Counts one traced operator from its inputs and outputs."""


def attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Count similarity of every query and key, and the mean of the values it weighs."""
    query, key, value = (part.type().sizes() for part in inputs[:3])
    return int(math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


COUNTED: dict[str, Handle] = {
    "_convolution": conv_flop_jit,
    "addmm": addmm_flop_jit,
    "bmm": bmm_flop_jit,
    "linear": linear_flop_jit,
    "matmul": matmul_flop_jit,
    "mm": matmul_flop_jit,
    "scaled_dot_product_attention": attention_macs,
}
"""Operators made of multiply-adds, and how many those are."""

IGNORED = {
    "one or two operations per element, below a percent of a convolution": (
        "add",
        "add_",
        "div",
        "gelu",
        "hardsigmoid",
        "hardsigmoid_",
        "hardswish",
        "hardswish_",
        "mul",
        "mul_",
        "neg",
        "relu",
        "relu6",
        "relu_",
        "sigmoid",
        "silu",
        "silu_",
        "softmax",
        "sub",
        "tanh",
    ),
    "pooling and resizing have no weights": (
        "adaptive_avg_pool2d",
        "avg_pool2d",
        "max_pool2d",
        "max_pool2d_with_indices",
        "max_unpool2d",
        "mean",
        "upsample_bilinear2d",
        "upsample_nearest2d",
    ),
    "statistics of the image at hand, a few operations per element": (
        "group_norm",
        "instance_norm",
        "layer_norm",
    ),
    "a copy, a view or a size": (
        "clone",
        "expand_as",
        "flip",
        "numel",
        "pad",
        "roll",
        "unflatten",
        "view_as",
    ),
    "does nothing outside training": ("dropout", "feature_dropout"),
}
"""Operators that count nothing, by the reason why, besides the reshaping and copying ones that
fvcore knows to be free. Batch normalisation has a count of its own: with stored statistics it
folds into the convolution before it."""

ACTIVATIONS = "activations"


def count(architecture: Architecture, num_classes: int, input_size: Size) -> dict[str, float]:
    """Return ``macs``, ``params`` and ``activations`` of one image of ``input_size``.

    ``activations`` are the output elements of the counted operators (Radosavovic et al. 2020):
    the memory traffic that multiply-adds do not show. Results are kept in memory.

    Raises:
        SpaceError: The architecture is malformed, or holds an operator without a rule.
    """
    counts = _operations(architecture, num_classes, input_size)
    return {key: counts[key] for key in ("macs", "params", "activations")}


def paper_macs(architecture: Architecture, num_classes: int, input_size: Size) -> float:
    """Return multiply-adds plus two per output element of each batch normalisation.

    Reproduces the costs in Table 1 of AutoAdapt (arXiv 2106.13227).

    Raises:
        SpaceError: The architecture is malformed, or holds an operator without a rule.
    """
    counts = _operations(architecture, num_classes, input_size)
    return counts["macs"] + 2 * counts["batch_norm"]


class CostCache:
    """``count`` with its results kept in a file, for searches that are started again.

    Lines carry the version of this package: a new version counts anew.

    Args:
        path: A JSON-lines file; several processes may use it at the same time.
    """

    def __init__(self, path: Path) -> None:
        self.lines = files.JsonLines(path)
        self.known = {line["key"]: line["cost"] for line in self.lines.read()}

    def count(
        self, architecture: Architecture, num_classes: int, input_size: Size
    ) -> dict[str, float]:
        """Return ``macs``, ``params`` and ``activations``, from the file if they are there.

        Raises:
            SpaceError: The architecture is malformed, or holds an operator without a rule.
        """
        height, width = input_size
        key = f"{__version__}/{architecture.id}/{num_classes}/{height}x{width}"
        if key not in self.known:
            self.known[key] = count(architecture, num_classes, input_size)
            with files.waiting_lock(self.lines.path.with_suffix(".lock")):
                self.lines.mend()
                self.lines.append({"key": key, "cost": self.known[key]})
        return dict(self.known[key])


def latency(network: SegmentationNetwork, input_size: Size, repeats: int = 10) -> float:
    """Return the median time in seconds of one image through the network, where it is now.

    The network runs in eval mode without gradients; its modes are restored. Two runs to warm up
    are not counted.

    Args:
        network: Its device and number type are those measured.
        input_size: Height and width of the image.
        repeats: Timed runs, one or more.

    Raises:
        ValueError: ``repeats`` is below one.
    """
    if repeats < 1:
        raise ValueError(f"latency needs at least one repeat, got {repeats}")
    parameter = next(network.parameters())
    image = torch.zeros(1, 3, *input_size, device=parameter.device, dtype=parameter.dtype)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.inference_mode():
            times = [_timed(network, image) for _ in range(2 + repeats)]
    finally:
        for module, mode in modes:
            module.training = mode
    return statistics.median(times[2:])


def _timed(network: nn.Module, image: Tensor) -> float:
    start = time.perf_counter()
    network(image)
    if image.is_cuda:
        torch.cuda.synchronize(image.device)
    return time.perf_counter() - start


class _Tensors(nn.Module):
    """Gives the tracer the logits alone: it cannot carry the absent ones."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        output = self.network(images)
        return tuple(t for t in (output.logits, output.aux_logits) if t is not None)


@lru_cache(maxsize=4096)
def _operations(architecture: Architecture, num_classes: int, input_size: Size) -> dict[str, float]:
    network = skeleton(architecture, num_classes).eval()
    counts = operations(_Tensors(network), torch.empty(1, 3, *input_size, device="meta"))
    params = sum(parameter.numel() for parameter in network.parameters())
    return {name: float(number) for name, number in (counts | {"params": params}).items()}


def operations(module: nn.Module, images: Tensor) -> dict[str, int]:
    """Count ``macs``, ``activations`` and ``batch_norm`` elements of one forward pass.

    Args:
        module: Returns tensors or tuples of them; on the meta device nothing is computed.
        images: Its input, on the same device.

    Raises:
        SpaceError: An operator is in neither table.
    """
    analysis = FlopCountAnalysis(module, images).clear_op_handles()
    analysis.set_op_handle(**_handles())
    analysis.tracer_warnings("none").unsupported_ops_warnings(False)
    analysis.uncalled_modules_warnings(False)
    with _Metered() as meter:
        found = analysis.by_operator()
    unknown = analysis.unsupported_ops()
    if unknown:
        raise SpaceError(
            f"no rule to count {', '.join(sorted(unknown))} in {type(module).__name__}; "
            "add the operator to the counted or the ignored ones in autoadapt/cost.py"
        )
    return {
        "macs": int(found["macs"]),
        "activations": int(found[ACTIVATIONS]),
        "batch_norm": meter.batch_norm_elements,
    }


def _handles() -> dict[str, Handle | None]:
    free = {f"aten::{name}": None for names in IGNORED.values() for name in names}
    counted = {f"aten::{name}": _with_activations(handle) for name, handle in COUNTED.items()}
    return {**free, **counted}


def _with_activations(handle: Handle) -> Handle:
    """Count the output elements next to the multiply-adds, in one trace instead of two."""

    def counter(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        found = handle(inputs, outputs)
        macs = sum(found.values()) if isinstance(found, Counter) else found
        return Counter({"macs": macs, ACTIVATIONS: _elements(outputs)})

    return counter


def _elements(outputs: list[Any]) -> int:
    return math.prod(outputs[0].type().sizes())


class _Metered(TorchFunctionMode):
    """Makes networks without memory traceable, and counts what batch normalisations put out.

    PyTorch works out the shape of a convolution without memory in Python, where sizes are tensors
    while a trace is recorded, and fails; the operator below it is recorded first and then runs
    untraced. Its batch normalisation without memory is dozens of small operators, half the time
    of a trace: here it passes its input on and is counted by this mode instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batch_norm_elements = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.conv2d:
            images, weight, bias, stride, padding, dilation, groups = args
            return _convolution(images, weight, bias, (stride, padding, dilation, None, groups))
        if func is torch.conv_transpose2d:
            images, weight, bias, stride, padding, extra, groups, dilation = args
            return _convolution(images, weight, bias, (stride, padding, dilation, extra, groups))
        if func is nn.functional.max_unpool2d:
            return _unpooled(*args, **(kwargs or {}))
        if func is nn.functional.batch_norm:
            self.batch_norm_elements += int(args[0].numel())
            return args[0]
        return func(*args, **(kwargs or {}))


def _convolution(
    images: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple[Any, ...]
) -> Tensor:
    """Record a convolution; one with an extra output size is a transposed one."""
    stride, padding, dilation, extra, groups = geometry
    transposed, cudnn = extra is not None, (False, False, False, False)
    extra = extra if transposed else [0, 0]
    return torch._convolution(
        images, weight, bias, stride, padding, dilation, transposed, extra, groups, *cudnn
    )


def _unpooled(
    maxima: Tensor,
    places: Tensor,
    kernel_size: Sequence[int],
    stride: None = None,
    padding: int = 0,
    output_size: None = None,
) -> Tensor:
    """Record an unpooling; PyTorch's own function wants to check sizes, which are tensors here."""
    if stride is not None or padding or output_size is not None:
        raise SpaceError("an unpooling is counted only with the stride of its kernel, unpadded")
    sides = zip(maxima.shape[2:], kernel_size, strict=True)
    size = [int(side) * kernel for side, kernel in sides]
    unpooled: Tensor = torch._C._nn.max_unpool2d(maxima, places, size)
    return unpooled
