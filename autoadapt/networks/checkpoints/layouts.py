"""How other projects name the weights of a segmentation network: tables, found by the keys.

A layout is a way of naming. Projects that share their code share a layout, and then nothing in
the file says which of them wrote it: ``project`` in the settings does. Names are translated to
those of this package: torchvision's for a residual trunk, ``layer6`` for the main head and
``layer5`` for the auxiliary one; ``features`` and ``classifier`` for VGG; ``backbone`` and
``decode_head`` for Mix Transformers.

Facts from the code of each project; addresses in ``docs/checkpoints.md``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from autoadapt.config.settings import Normalisation
from autoadapt.errors import CheckpointError
from autoadapt.plugins import suggestion

Tensors = Mapping[str, Tensor]

FOUR_RATES = (6, 12, 18, 24)
TWO_RATES = (6, 12)


@dataclass(frozen=True)
class Project:
    """What the code around a file does with it.

    Attributes:
        normalisation: Input convention of its weights (``data.normalisation``).
        rates: Dilation rates that its DeepLabV2 head computes with; a file may hold more.
        stride_in: Which convolution of its bottlenecks carries the stride.
    """

    normalisation: Normalisation
    rates: tuple[int, ...] = ()
    stride_in: Literal["1x1", "3x3", ""] = ""


PROJECTS: dict[str, Project] = {
    "torchvision": Project("imagenet", stride_in="3x3"),
    "vgg_caffe": Project("caffe_bgr"),
    "deeplab_init": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "deeplab_coco": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "adaptsegnet": Project("caffe_bgr", TWO_RATES, "1x1"),
    "advent": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "intrada": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "crst": Project("imagenet", FOUR_RATES, "1x1"),
    "ccm": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "fda": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "clan": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "dacs": Project("caffe_bgr", TWO_RATES, "1x1"),
    "dast": Project("caffe_bgr", TWO_RATES, "1x1"),
    "tllib": Project("caffe_bgr", FOUR_RATES, "1x1"),
    "segformer": Project("imagenet"),
    "daformer": Project("imagenet"),
    "daformer_teacher": Project("imagenet"),
    "smp": Project("imagenet", stride_in="3x3"),
}


@dataclass(frozen=True)
class Layout:
    """One way of naming, as a table.

    Attributes:
        name: Of the layout, in reports.
        projects: Who writes it.
        fits: Whether a file has it.
        rules: Regular expressions at the start of names and what replaces them, each in turn.
        dropped: Regular expressions of names that are left out, before renaming, and why.
        merged: Whether tensors that get the same name are added: two heads whose logits a
            project adds are one head, as both are linear in the same features.
        backbone: Whether it is of a classifier of images, whose layers are an encoder here.
        backbone: Whether the weights are of a classifier, for encoders alone.
    """

    name: str
    projects: tuple[str, ...]
    fits: Callable[[Tensors], bool]
    rules: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    merged: bool = False
    backbone: bool = False

    def translate(self, tensors: Tensors) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return tensors by the names of this package, and why the others were left out."""
        kept: dict[str, Tensor] = {}
        skipped: dict[str, str] = {}
        for name, tensor in tensors.items():
            reason = next((why for what, why in self.dropped if re.match(what, name)), None)
            if reason is not None:
                skipped[name] = reason
                continue
            new = self.renamed(name)
            kept[new] = kept[new] + tensor if self.merged and new in kept else tensor
        for name in [name for name in kept if name.startswith(UNUSED)]:
            if USED_INSTEAD in kept:
                skipped[name] = "a classifier that SegFormer's head inherits and does not use"
                del kept[name]
        if FUSION in kept and any(re.search(SHALLOWEST_FIRST, name) for name in tensors):
            kept[FUSION] = reversed_levels(kept[FUSION])
        return kept, skipped

    def renamed(self, name: str) -> str:
        """Return the name of this package."""
        for pattern, replacement in self.rules:
            name = re.sub(rf"\A{pattern}", replacement, name, count=1)
        return name


def channels(tensors: Tensors, name: str) -> int:
    """Return the input channels of a convolution, 0 if it is not there."""
    return tensors[name].shape[1] if name in tensors else 0


def head_inputs(tensors: Tensors) -> tuple[int, int]:
    """Return the input channels of the heads ``layer5`` and ``layer6`` of a DeepLabV2."""
    first, second = (f"layer{number}.conv2d_list.0.weight" for number in (5, 6))
    return channels(tensors, first), channels(tensors, second)


def has_one_head(tensors: Tensors, number: int) -> bool:
    """Whether only ``layer5``, or only ``layer6``, is a DeepLabV2 head."""
    return [inputs > 0 for inputs in head_inputs(tensors)] == [number == 5, number == 6]


def has_equal_heads(tensors: Tensors) -> bool:
    """Whether both heads read the same features; two projects mean different things by it."""
    first, second = head_inputs(tensors)
    return has(*TRUNK)(tensors) and first == second > 0


def has_two_levels(tensors: Tensors) -> bool:
    """Whether the heads read features of different depth."""
    first, second = head_inputs(tensors)
    return first > 0 and second > 0 and first != second


def reversed_levels(weight: Tensor) -> Tensor:
    """Return the weights (O, 4 * I, k, k) that read four levels in the opposite order."""
    return torch.cat(weight.chunk(4, dim=1)[::-1], dim=1)


def has(*names: str) -> Callable[[Tensors], bool]:
    """Return a test for names that are all there."""
    return lambda tensors: all(name in tensors for name in names)


UNUSED, USED_INSTEAD = "decode_head.conv_seg.", "decode_head.linear_pred.weight"
TRUNK = ("conv1.weight", "layer1.0.conv1.weight")
PARTS = ((1, 0), (2, 16), (3, 21), (4, 29))
"""DAST cuts VGG-16 into four parts; the second number is where each begins."""
EMBEDDINGS = tuple(
    (rf"decode_head\.linear_c\.{level}\.", f"decode_head.linear_c{level + 1}.")
    for level in range(4)
)
"""SegFormer's head in DAFormer's code, by the names of SegFormer's own code."""
FUSION = "decode_head.linear_fuse.conv.weight"
SHALLOWEST_FIRST = r"decode_head\.linear_c\.\d"
"""What tells DAFormer's code, which joins the levels the other way round than SegFormer's."""
IMAGENET_CLASSES = "classes of ImageNet"
OTHER_COPY = "another copy of the network; name it with 'project'"


def split_vgg(number: int, first: int, last: int) -> tuple[tuple[str, str], ...]:
    """Return rules from part ``number`` of DAST's VGG-16 to ``features``."""
    return tuple(
        (rf"layer{number}\.{index}\.", f"features.{first + index}.") for index in range(last)
    )


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "names with the prefix 'Scale.'",
        ("deeplab_init",),
        has("Scale.conv1.weight", "Scale.layer1.0.conv1.weight"),
        rules=((r"Scale\.", ""),),
        dropped=((r"Scale\.layer5\.", "head of the initialisation file, of other classes"),),
        backbone=True,
    ),
    Layout(
        "torchvision's ResNet",
        ("torchvision",),
        has(*TRUNK, "fc.weight"),
        dropped=((r"fc\.", IMAGENET_CLASSES),),
        backbone=True,
    ),
    Layout(
        "DAST's ResNet-101: last block and a new shortcut apart",
        ("dast",),
        has(*TRUNK, "layer5.0.conv1.weight", "layer6.conv2d_list.0.weight"),
        rules=((r"layer5\.0\.", "layer4.2."),),
    ),
    Layout(
        "DeepLabV2, heads at two depths",
        ("adaptsegnet", "advent", "intrada"),
        lambda tensors: has(*TRUNK)(tensors) and has_two_levels(tensors),
    ),
    Layout(
        "DeepLabV2, one head named layer5",
        ("adaptsegnet", "crst", "fda", "dacs", "deeplab_coco"),
        lambda tensors: has(*TRUNK)(tensors) and has_one_head(tensors, 5),
        rules=((r"layer5\.", "layer6."),),
    ),
    Layout(
        "DeepLabV2, one head named layer6",
        ("advent", "intrada"),
        lambda tensors: has(*TRUNK)(tensors) and has_one_head(tensors, 6),
    ),
    Layout(
        "DeepLabV2, two heads on the same features, of which the first predicts",
        ("ccm",),
        has_equal_heads,
        rules=((r"layer5\.", "layer6."),),
        dropped=((r"layer6\.", "a head that CCM never trains"),),
    ),
    Layout(
        "DeepLabV2, two heads on the same features, which predict by their sum",
        ("clan",),
        has_equal_heads,
        rules=((r"layer5\.", "layer6."),),
        merged=True,
    ),
    Layout(
        "TLlib's DeepLabV2",
        ("tllib",),
        has("backbone.conv1.weight", "backbone.layer1.0.conv1.weight"),
        rules=((r"backbone\.", ""), (r"classifier\.", "layer6.")),
    ),
    Layout(
        "DeepLabV2 on VGG-16",
        ("adaptsegnet",),
        has("features.0.weight", "features.31.weight", "classifier.conv2d_list.0.weight"),
    ),
    Layout(
        "DAST's DeepLabV2 on VGG-16: features in four parts",
        ("dast",),
        has("layer1.0.weight", "layer4.2.weight", "classifier.conv2d_list.0.weight"),
        rules=tuple(rule for number, first in PARTS for rule in split_vgg(number, first, last=16)),
    ),
    Layout(
        "VGG-16 for ImageNet",
        ("torchvision", "vgg_caffe"),
        lambda tensors: "features.28.weight" in tensors and "features.1.weight" not in tensors,
        dropped=((r"classifier\.", IMAGENET_CLASSES),),
        backbone=True,
    ),
    Layout(
        "VGG-16 with batch normalisation for ImageNet",
        ("torchvision",),
        has("features.40.weight", "features.41.running_mean"),
        dropped=((r"classifier\.", IMAGENET_CLASSES),),
        backbone=True,
    ),
    Layout(
        "Mix Transformer for ImageNet",
        ("segformer",),
        has("patch_embed1.proj.weight", "block1.0.attn.q.weight"),
        rules=((r"", "backbone."),),
        dropped=((r"head\.", IMAGENET_CLASSES),),
        backbone=True,
    ),
    Layout(
        "SegFormer or DAFormer network",
        ("segformer", "daformer"),
        has("backbone.patch_embed1.proj.weight"),
        rules=EMBEDDINGS,
    ),
    Layout(
        "DAFormer's training state: student",
        ("daformer",),
        has("model.backbone.patch_embed1.proj.weight"),
        rules=((r"model\.", ""), *EMBEDDINGS),
        dropped=((r"ema_model\.|imnet_model\.", OTHER_COPY),),
    ),
    Layout(
        "DAFormer's training state: teacher",
        ("daformer_teacher",),
        has("ema_model.backbone.patch_embed1.proj.weight"),
        rules=((r"ema_model\.", ""), *EMBEDDINGS),
        dropped=((r"model\.|imnet_model\.", OTHER_COPY),),
    ),
    Layout(
        "U-Net of segmentation_models_pytorch",
        ("smp",),
        has("encoder.layer1.0.conv1.weight", "decoder.blocks.0.conv1.0.weight"),
    ),
    Layout("residual trunk without a head", (), has(*TRUNK), backbone=True),
)
"""From the most to the least particular."""


@dataclass(frozen=True)
class Origin:
    """Who wrote a file, as far as its keys and the settings tell.

    Attributes:
        projects: Candidates; what they disagree about is unknown.
    """

    layout: Layout
    projects: tuple[str, ...]

    def agreed(self, fact: str) -> Any:
        """Return a field of ``Project`` if all candidates have the same value, else None."""
        values = {getattr(PROJECTS[name], fact) for name in self.projects}
        return values.pop() if len(values) == 1 else None


def recognise(tensors: Tensors, where: str, project: str | None = None) -> Origin:
    """Return the layout of a file by its keys; ``project`` decides where they do not.

    Raises:
        CheckpointError: Nobody known names weights so, not that project, or two projects name
            them so and mean something different.
    """
    if project is not None and project not in PROJECTS:
        hint = suggestion(project, list(PROJECTS))
        raise CheckpointError(f"no project {project!r}{hint}; known: {', '.join(PROJECTS)}")
    fitting = [layout for layout in LAYOUTS if layout.fits(tensors)]
    if not fitting:
        shown = ", ".join(list(tensors)[:6])
        raise CheckpointError(
            f"{where}: nobody known names weights so: {shown}, … ({len(tensors)} names); "
            "expected weights of torchvision or of the projects in docs/checkpoints.md"
        )
    if project is not None:
        return chosen(fitting, project, where)
    rivals = [layout for layout in fitting if layout.fits is fitting[0].fits]
    if len(rivals) > 1:
        meanings = "; ".join(f"{'/'.join(each.projects)}: {each.name}" for each in rivals)
        raise CheckpointError(
            f"{where}: these names and shapes have more than one meaning ({meanings}); "
            "say which with 'project'"
        )
    return Origin(fitting[0], fitting[0].projects)


def chosen(fitting: Sequence[Layout], project: str, where: str) -> Origin:
    """Return the layout that a project uses, of those that fit.

    Raises:
        CheckpointError: The project uses none of them.
    """
    mine = [layout for layout in fitting if project in layout.projects]
    if mine:
        return Origin(mine[0], (project,))
    names = sorted({name for layout in fitting for name in layout.projects})
    raise CheckpointError(
        f"{where} was not written by {project}: its names are those of "
        f"{' or '.join(names) or 'a trunk alone'} ({fitting[0].name})"
    )
