"""Names and shapes of published state dictionaries, written down from the projects' code.

Nothing here is derived from the networks of this package: the lists are the other side of the
comparison. Widths are a parameter, so that a list also describes a network small enough to run.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

RESNET101 = (3, 4, 23, 3)
FULL = 64
"""Width of the first stage of a ResNet."""


def batch_norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def trunk(depths: tuple[int, ...] = RESNET101, base: int = FULL) -> Shapes:
    """A ResNet with bottlenecks; ``downsample`` in the first block of every stage."""
    shapes: Shapes = {"conv1.weight": (base, 3, 7, 7), **dict(batch_norm("bn1", base))}
    inputs = base
    for stage, depth in enumerate(depths, start=1):
        width = base * 2 ** (stage - 1)
        for block in range(depth):
            name = f"layer{stage}.{block}"
            shapes |= bottleneck(name, inputs, width)
            if block == 0:
                shapes |= projection(name, inputs, 4 * width)
            inputs = 4 * width
    return shapes


def bottleneck(name: str, inputs: int, width: int) -> Shapes:
    shapes: Shapes = {
        f"{name}.conv1.weight": (width, inputs, 1, 1),
        f"{name}.conv2.weight": (width, width, 3, 3),
        f"{name}.conv3.weight": (4 * width, width, 1, 1),
    }
    for number, channels in ((1, width), (2, width), (3, 4 * width)):
        shapes |= dict(batch_norm(f"{name}.bn{number}", channels))
    return shapes


def projection(name: str, inputs: int, outputs: int) -> Shapes:
    convolution: Shapes = {f"{name}.downsample.0.weight": (outputs, inputs, 1, 1)}
    return convolution | dict(batch_norm(f"{name}.downsample.1", outputs))


def aspp(name: str, inputs: int, classes: int) -> Shapes:
    shapes: Shapes = {}
    for branch in range(4):
        shapes[f"{name}.conv2d_list.{branch}.weight"] = (classes, inputs, 3, 3)
        shapes[f"{name}.conv2d_list.{branch}.bias"] = (classes,)
    return shapes


def two_level(classes: int = 19, base: int = FULL) -> Shapes:
    """AdaptSegNet's ``deeplab_multi``, AdvEnt and IntraDA."""
    return (
        trunk(base=base) | aspp("layer5", 16 * base, classes) | aspp("layer6", 32 * base, classes)
    )


def single(head: str, classes: int = 19, base: int = FULL) -> Shapes:
    """One head: ``layer5`` in AdaptSegNet, CRST, FDA, DACS, ``layer6`` in AdvEnt."""
    return trunk(base=base) | aspp(head, 32 * base, classes)


def equal_heads(classes: int = 19, base: int = FULL) -> Shapes:
    """CCM, whose first head predicts, and CLAN, which adds both."""
    return (
        trunk(base=base) | aspp("layer5", 32 * base, classes) | aspp("layer6", 32 * base, classes)
    )


def tllib(classes: int = 19, base: int = FULL) -> Shapes:
    body = {f"backbone.{name}": shape for name, shape in trunk(base=base).items()}
    return body | aspp("classifier", 32 * base, classes)


def dast(classes: int = 19, base: int = FULL) -> Shapes:
    """``layer4`` has two blocks; ``layer5`` is one bottleneck with a projection."""
    width = 8 * base
    return (
        trunk((3, 4, 23, 2), base)
        | bottleneck("layer5.0", 4 * width, width)
        | projection("layer5.0", 4 * width, 4 * width)
        | aspp("layer6", 4 * width, classes)
    )


def initial(classes: int = 21, base: int = FULL) -> Shapes:
    """``DepLab_resnet_pretrained_init``: a prefix, a head of Pascal VOC, no counters."""
    shapes = single("layer5", classes, base)
    return {f"Scale.{n}": s for n, s in shapes.items() if not n.endswith("num_batches_tracked")}


def torchvision_resnet(base: int = FULL) -> Shapes:
    return trunk(base=base) | {"fc.weight": (1000, 32 * base), "fc.bias": (1000,)}


VGG16 = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}
CONV4_AND_5 = (17, 19, 21)


def vgg(indices: tuple[int, ...], scale: int = 1) -> Shapes:
    """The thirteen convolutions of VGG-16; the last six at ``indices``."""
    widths = VGG16 | dict.fromkeys(indices, 512)
    shapes: Shapes = {}
    inputs = 3
    for index, width in widths.items():
        shapes[f"features.{index}.weight"] = (width // scale, inputs, 3, 3)
        shapes[f"features.{index}.bias"] = (width // scale,)
        inputs = width // scale
    return shapes


def torchvision_vgg(scale: int = 1) -> Shapes:
    shapes = vgg((17, 19, 21, 24, 26, 28), scale)
    for index, (outputs, inputs) in ((0, (4096, 25088)), (3, (4096, 4096)), (6, (1000, 4096))):
        shapes[f"classifier.{index}.weight"] = (outputs // scale, inputs // scale)
        shapes[f"classifier.{index}.bias"] = (outputs // scale,)
    return shapes


def deeplab_vgg(classes: int = 19, scale: int = 1) -> Shapes:
    """AdaptSegNet's ``deeplab_vgg``: one pooling left out, fc6 and fc7 as convolutions."""
    shapes = vgg((17, 19, 21, 23, 25, 27), scale)
    wide = 1024 // scale
    for index, inputs in ((29, 512 // scale), (31, wide)):
        shapes[f"features.{index}.weight"] = (wide, inputs, 3, 3)
        shapes[f"features.{index}.bias"] = (wide,)
    return shapes | aspp("classifier", wide, classes)


def dast_vgg(classes: int = 19, scale: int = 1) -> Shapes:
    """The same in four parts: 0 to 15, 16 to 20, 21 to 28, fc6 and fc7."""
    renamed: Shapes = {}
    for name, shape in deeplab_vgg(classes, scale).items():
        if name.startswith("classifier."):
            renamed[name] = shape
            continue
        _, index, part = name.split(".")
        at = int(index)
        number, first = next((n, f) for n, f in ((4, 29), (3, 21), (2, 16), (1, 0)) if at >= f)
        renamed[f"layer{number}.{at - first}.{part}"] = shape
    return renamed


def torchvision_vgg_bn(scale: int = 1) -> Shapes:
    shapes: Shapes = {}
    inputs = 3
    widths = (64, 64, 128, 128, 256, 256, 256, *[512] * 6)
    places = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)
    for index, width in zip(places, widths, strict=True):
        outputs = width // scale
        shapes[f"features.{index}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"features.{index}.bias"] = (outputs,)
        shapes |= dict(batch_norm(f"features.{index + 1}", outputs))
        inputs = outputs
    return shapes | {"classifier.0.weight": (4096, 25088), "classifier.0.bias": (4096,)}


MIT_B0 = ((32, 64, 160, 256), (2, 2, 2, 2))
MIT_B5 = ((64, 128, 320, 512), (3, 6, 40, 3))


def affine(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def mix_transformer(size: tuple[tuple[int, ...], tuple[int, ...]] = MIT_B5) -> Shapes:
    """NVlabs' ``MixVisionTransformer``; the last stage reduces no keys."""
    shapes: Shapes = {}
    inputs = 3
    for stage, (width, depth, reduction) in enumerate(zip(*size, (8, 4, 2, 1), strict=True), 1):
        kernel = 7 if stage == 1 else 3
        shapes |= affine(f"patch_embed{stage}.proj", width, inputs, kernel, kernel)
        shapes |= affine(f"patch_embed{stage}.norm", width)
        for block in range(depth):
            shapes |= mix_block(f"block{stage}.{block}", width, reduction)
        shapes |= affine(f"norm{stage}", width)
        inputs = width
    return shapes


def mix_block(name: str, width: int, reduction: int) -> Shapes:
    shapes = affine(f"{name}.norm1", width) | affine(f"{name}.attn.q", width, width)
    shapes |= affine(f"{name}.attn.kv", 2 * width, width)
    shapes |= affine(f"{name}.attn.proj", width, width)
    if reduction > 1:
        shapes |= affine(f"{name}.attn.sr", width, width, reduction, reduction)
        shapes |= affine(f"{name}.attn.norm", width)
    shapes |= affine(f"{name}.norm2", width) | affine(f"{name}.mlp.fc1", 4 * width, width)
    shapes |= affine(f"{name}.mlp.dwconv.dwconv", 4 * width, 1, 3, 3)
    return shapes | affine(f"{name}.mlp.fc2", width, 4 * width)


def mit_imagenet(size: tuple[tuple[int, ...], tuple[int, ...]] = MIT_B5) -> Shapes:
    return mix_transformer(size) | affine("head", 1000, size[0][-1])


def conv_module(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    """mmcv's ``ConvModule`` with batch normalisation."""
    convolution: Shapes = {f"{name}.conv.weight": (outputs, inputs, kernel, kernel)}
    return convolution | dict(batch_norm(f"{name}.bn", outputs))


def daformer(
    size: tuple[tuple[int, ...], tuple[int, ...]] = MIT_B5, classes: int = 19, width: int = 256
) -> Shapes:
    """Encoder and ``DAFormerHead`` with separable convolutions at rates 1, 6, 12, 18."""
    head: Shapes = {}
    for index, inputs in enumerate(size[0]):
        head |= affine(f"embed_layers.{index}.proj", width, inputs)
    fused = 4 * width
    head |= conv_module("fuse_layer.aspp_modules.0", width, fused, 1)
    for branch in (1, 2, 3):
        name = f"fuse_layer.aspp_modules.{branch}"
        head |= {f"{name}.depthwise_conv.conv.weight": (fused, 1, 3, 3)}
        head |= dict(batch_norm(f"{name}.depthwise_conv.bn", fused))
        head |= conv_module(f"{name}.pointwise_conv", width, fused, 1)
    head |= conv_module("fuse_layer.bottleneck", width, fused, 3)
    head |= affine("conv_seg", classes, width, 1, 1)
    return network_of(size, head)


def segformer(
    size: tuple[tuple[int, ...], tuple[int, ...]] = MIT_B0,
    classes: int = 19,
    width: int = 256,
    embedding: str = "linear_c{}",
) -> Shapes:
    """Encoder and ``SegFormerHead``, with the classifier of its base class that it never uses."""
    head: Shapes = affine("conv_seg", classes, 128, 1, 1)
    for index, inputs in enumerate(size[0]):
        number = index if embedding.endswith(".{}") else index + 1
        head |= affine(f"{embedding.format(number)}.proj", width, inputs)
    head |= conv_module("linear_fuse", width, 4 * width, 1)
    head |= affine("linear_pred", classes, width, 1, 1)
    return network_of(size, head)


def network_of(size: tuple[tuple[int, ...], tuple[int, ...]], head: Shapes) -> Shapes:
    backbone = {f"backbone.{name}": shape for name, shape in mix_transformer(size).items()}
    return backbone | {f"decode_head.{name}": shape for name, shape in head.items()}


def filled(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random values: variances positive, counters whole numbers, everything moderate."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
            continue
        values = torch.rand(shape, generator=generator)
        fan_in = max(1, values[0].numel() if values.dim() > 1 else 1)
        state[name] = values + 0.5 if values.dim() < 2 else (values - 0.5) * (6 / fan_in) ** 0.5
    return state


def on_meta(shapes: Shapes) -> dict[str, Tensor]:
    """The full size, without memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


class Official:
    """The lists, for tests to ask for."""

    trunk = staticmethod(trunk)
    aspp = staticmethod(aspp)
    two_level = staticmethod(two_level)
    single = staticmethod(single)
    equal_heads = staticmethod(equal_heads)
    tllib = staticmethod(tllib)
    dast = staticmethod(dast)
    initial = staticmethod(initial)
    torchvision_resnet = staticmethod(torchvision_resnet)
    torchvision_vgg = staticmethod(torchvision_vgg)
    deeplab_vgg = staticmethod(deeplab_vgg)
    dast_vgg = staticmethod(dast_vgg)
    torchvision_vgg_bn = staticmethod(torchvision_vgg_bn)
    mit_imagenet = staticmethod(mit_imagenet)
    daformer = staticmethod(daformer)
    segformer = staticmethod(segformer)
    filled = staticmethod(filled)
    on_meta = staticmethod(on_meta)


@pytest.fixture(scope="session")
def official() -> type[Official]:
    """Returns the published names and shapes."""
    return Official
