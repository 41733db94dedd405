"""Fills a network with the weights of a file: strict, all or nothing, with a report.

``exact`` wants the network that the file was written for. ``slice`` cuts the weights of a larger
network to a child of an elastic family. Either way the head belongs to its classes: another
number of classes is an error unless dropping the head is asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from autoadapt.config.settings import Normalisation
from autoadapt.errors import CheckpointError
from autoadapt.networks.blocks.heads import AsppSum
from autoadapt.networks.checkpoints.exact import counter, listing
from autoadapt.networks.checkpoints.layouts import FOUR_RATES, PROJECTS, TWO_RATES, recognise
from autoadapt.networks.checkpoints.reading import Weights
from autoadapt.networks.checkpoints.report import Report
from autoadapt.networks.checkpoints.slicing import (
    block_of,
    cut,
    identity_shortcut,
    normalisation_part,
)
from autoadapt.networks.contract import SegmentationNetwork

Head = Literal["keep", "drop"]
Fit = Literal["exact", "slice"]

CLASSIFIERS = (
    "layer6.conv2d_list.0.weight",
    "classifier.conv2d_list.0.weight",
    "decode_head.linear_pred.weight",
    "decode_head.conv_seg.weight",
    "segmentation_head.0.weight",
)
"""Weights whose first dimension is the number of classes."""

AUXILIARY = "layer5."
HEADS = (AUXILIARY, "layer6.", "classifier.", "decode_head.", "decoder.", "segmentation_head.")
"""Where heads stand in the names of this package."""

DILATED = ("features.29.", "features.31.")
"""fc6 and fc7 of DeepLabV2 on VGG-16."""

UNTRAINED, TOLERANCE = 0.01, 0.005
"""Standard deviation that heads of the family start with; that of a branch nobody trained."""


@dataclass(frozen=True)
class Source:
    """Weights by the names of this package, and what is known of them.

    Attributes:
        projects: Who may have written the file.
        skipped: What of the file has no name here, and why.
        num_classes: Of the head in it; None without one.
        backbone: Whether it is of a classifier of images: parts of a network beside the encoder
            start anew.
        rates: Dilation rates of the branches of its heads, in the order of their names.
        computed: Which rates its writers may have computed with, the first ones or all.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    layout: str
    projects: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    num_classes: int | None = None
    normalisation: Normalisation | None = None
    rates: tuple[int, ...] = FOUR_RATES
    computed: frozenset[tuple[int, ...]] = frozenset({FOUR_RATES})
    stride_in: str | None = None
    backbone: bool = False


def foreign(weights: Weights, project: str | None = None) -> Source:
    """Return the weights of another project by the names of this package.

    Raises:
        CheckpointError: Unknown names, or names with more than one meaning.
    """
    origin = recognise(weights.tensors, str(weights.path), project)
    tensors, skipped = origin.layout.translate(weights.tensors)
    rates = {PROJECTS[name].rates for name in origin.projects} - {()}
    normalisation: Normalisation | None = origin.agreed("normalisation")
    return Source(
        weights.path,
        tensors,
        origin.layout.name,
        origin.projects,
        skipped,
        next((len(tensors[name]) for name in CLASSIFIERS if name in tensors), None),
        normalisation,
        computed=frozenset(rates) or frozenset({FOUR_RATES}),
        stride_in=origin.agreed("stride_in") or None,
        backbone=origin.layout.backbone,
    )


def load_source(
    network: SegmentationNetwork, source: Source, *, head: Head = "keep", fit: Fit = "exact"
) -> Report:
    """Fill a network; on an error it is left as it was.

    Args:
        network: Its weights are what is kept where the file has none.
        source: The weights.
        head: ``drop`` leaves the heads of the network as they are.
        fit: ``exact``, or ``slice`` to cut the weights to the size of the network.

    Raises:
        CheckpointError: Weights are missing or unexpected, shapes differ, or the head is of other
            classes or rates; everything is listed.
    """
    loading = Loading(network, source, head, fit)
    loading.run()
    network.load_state_dict(loading.new)
    return loading.report()


@dataclass
class Loading:
    """One network being filled from one source.

    Attributes:
        given: Tensors of the file that are not used yet.
        new: The state of the network to be.
        problems: Names by what is wrong with them.
    """

    network: SegmentationNetwork
    source: Source
    head: Head
    fit: Fit
    given: dict[str, Tensor] = field(init=False)
    new: dict[str, Tensor] = field(init=False)
    matched: int = 0
    sliced: dict[str, str] = field(default_factory=dict)
    initial: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.new = dict(self.network.state_dict())
        self.given = dict(self.source.tensors)
        if self.source.backbone:
            self.given = as_encoder(self.given, self.new)
        self.source = replace(self.source, tensors=dict(self.given))
        self.parts = {part_of(name) for name in self.given}
        self.skipped |= self.source.skipped
        heads = {id(module): module for module in self.network.head_modules()}
        self.heads = {
            f"{name}.": module
            for name, module in self.network.named_modules()
            if id(module) in heads
        }

    def run(self) -> None:
        """Decide about every weight of the network, then about the rest of the file."""
        self.check_block_kind()
        for prefix, module in self.heads.items():
            self.take_head(prefix, module)
        for name, own in self.new.items():
            if not name.startswith(tuple(self.heads)):
                self.take(name, own)
        self.leave_the_rest()
        if self.problems:
            raise self.refusal()
        if not self.matched and not self.sliced:
            raise CheckpointError(
                f"{self.source.path} ({self.source.layout}) has not a single weight for this "
                f"network ({type(self.network).__name__}); choose weights of its family"
            )

    def check_block_kind(self) -> None:
        """Refuse bottlenecks for basic blocks and the other way round: nothing would fit."""
        theirs, own = ("layer1.0.conv3.weight" in names for names in (self.given, self.new))
        residual = "layer1.0.conv1.weight" in self.given and "layer1.0.conv1.weight" in self.new
        if residual and theirs != own:
            kinds = {True: "bottleneck", False: "basic"}
            raise CheckpointError(
                f"{self.source.path} is for {kinds[theirs]} blocks, the network has {kinds[own]} "
                f"blocks; choose weights of a network with {kinds[own]} blocks"
            )

    def take_head(self, prefix: str, module: nn.Module) -> None:
        """Load one head, or leave it as it is."""
        theirs = [name for name in self.given if name.startswith(prefix)]
        own = [name for name in self.new if name.startswith(prefix)]
        if self.head == "drop" or not theirs:
            self.leave_head(theirs, own, any(n.startswith(tuple(self.heads)) for n in self.given))
            return
        classes = self.source.num_classes
        if classes is not None and classes != self.network.num_classes:
            raise CheckpointError(
                f"{self.source.path} has a head of {classes} classes, the network has "
                f"{self.network.num_classes}; a head is only left out when asked for: "
                "set head: drop to start with a fresh one"
            )
        if isinstance(module, AsppSum):
            self.take_branches(prefix, module)
        elif self.fit == "slice" and not self.same_shapes(theirs, own):
            self.keep_initial(own, "a head of another kind or width")
            self.skip(theirs, "a head of another kind or width")
        else:
            for name in own:
                self.take(name, self.new[name])

    def leave_head(self, theirs: list[str], own: list[str], file_has_heads: bool) -> None:
        """Keep a head as it is: dropped when asked, or the file has none."""
        self.skip(theirs, "the head is dropped, as asked for")
        if self.head == "drop":
            self.keep_initial(own, "the head is dropped, as asked for")
        elif self.fit == "slice" or not file_has_heads:
            self.keep_initial(own, "the file has no such head")
        else:
            self.problem("missing", own)

    def take_branches(self, prefix: str, head: AsppSum) -> None:
        """Load the branches of a DeepLabV2 head by their dilation rates."""
        computed = head.rates[: head.used]
        if self.fit == "exact" and computed not in self.source.computed:
            known = [str(list(each)) for each in sorted(self.source.computed)]
            fitting = " or ".join(known) or "rates that are not known"
            raise CheckpointError(
                f"{self.source.path}: the head of the network computes with the dilation rates "
                f"{list(computed)}, that of the file with {fitting}; the outputs would differ: set "
                "head.kind (aspp_sum, or aspp_first_two for two of four) and head.rates accordingly"
            )
        for index, rate in enumerate(head.rates):
            for part in ("weight", "bias"):
                name = f"{prefix}conv2d_list.{index}.{part}"
                where = self.source.rates.index(rate) if rate in self.source.rates else None
                theirs = f"{prefix}conv2d_list.{where}.{part}"
                if theirs in self.source.tensors:
                    self.given.pop(theirs, None)
                    self.put(name, self.source.tensors[theirs])
                else:
                    self.keep_initial([name], "no branch of this dilation rate in the file")
        unused = [name for name in self.given if name.startswith(f"{prefix}conv2d_list.")]
        self.skip(unused, "a branch of a dilation rate that the network does not have")

    def same_shapes(self, theirs: list[str], own: list[str]) -> bool:
        """Whether a head of the file is the same module."""
        return set(theirs) == set(own) and all(
            self.given[name].shape == self.new[name].shape for name in own
        )

    def take(self, name: str, own: Tensor) -> None:
        """Load one weight from wherever the file has it, or decide what it starts with."""
        if name in self.given:
            self.put(name, self.given.pop(name))
            return
        neutral = identity_shortcut(name, own) if self.lacks_shortcut(name) else None
        if neutral is not None:
            self.new[name] = neutral
            self.keep_initial([name], "an identity in the file, written as a projection")
        elif name.endswith(counter):
            self.keep_initial([name], "a counter that files of old versions of PyTorch lack")
        elif self.source.backbone and part_of(name) not in self.parts:
            self.keep_initial([name], "the file is of a classifier, which has no such part")
        elif self.fit == "slice":
            self.take_unlike(name, own)
        else:
            self.problem("missing", [name])

    def lacks_shortcut(self, name: str) -> bool:
        """Whether a weight belongs to a projection that the block of the file does without."""
        block = block_of(name)
        if block is None or not name.startswith(f"{block}downsample."):
            return False
        names = self.source.tensors
        return f"{block}conv1.weight" in names and f"{block}downsample.0.weight" not in names

    def take_unlike(self, name: str, own: Tensor) -> None:
        """Load a weight of a child that the larger network does not have under this name."""
        block = block_of(name)
        part = normalisation_part(name, self.new, self.source.tensors)
        if part is not None:
            self.put(name, part, "another kind of normalisation")
        elif ".se." in name:
            self.keep_initial([name], "a new gate, which changes nothing yet")
        elif block is not None and f"{block}conv1.weight" not in self.source.tensors:
            if name == f"{block}{self.last_norm}.weight":
                self.new[name] = torch.zeros_like(own)
            self.keep_initial([name], "a block beyond those of the file, which changes nothing yet")
        else:
            self.problem("missing", [name])

    @property
    def last_norm(self) -> str:
        """The normalisation whose scale multiplies the residual branch of a block."""
        return "bn3" if "layer1.0.bn3.weight" in self.new else "bn2"

    def put(self, name: str, tensor: Tensor, why: str = "channels or kernels") -> None:
        """Copy a tensor, cut it, or note that it does not fit."""
        own = self.new[name]
        if tensor.shape == own.shape:
            self.new[name] = tensor.to(own)
            self.matched += 1
            return
        fitted = cut(own, tensor.to(own)) if self.fit == "slice" else None
        shapes = f"{tuple(tensor.shape)} instead of {tuple(own.shape)}"
        if fitted is None:
            self.problem("of another shape", [f"{name} {shapes}"])
            return
        self.new[name] = fitted
        self.sliced[name] = f"{why} from {shapes}"

    def leave_the_rest(self) -> None:
        """Decide about what the network has no place for."""
        rest = [name for name in self.given if not name.endswith(counter)]
        heads = [name for name in rest if name.startswith(HEADS)]
        if self.head == "drop":
            self.skip(heads, "the head is dropped, as asked for")
        elif AUXILIARY not in self.heads:
            auxiliary = [name for name in heads if name.startswith(AUXILIARY)]
            self.skip(auxiliary, "the network has no auxiliary head")
        rest = [name for name in rest if name in self.given]
        if self.fit == "slice":
            self.skip(rest, "the network has no such part")
        else:
            self.problem("unexpected", rest)

    def skip(self, names: list[str], why: str) -> None:
        """Leave tensors of the file out."""
        for name in names:
            self.given.pop(name, None)
            self.skipped[name] = why

    def keep_initial(self, names: list[str], why: str) -> None:
        """Leave weights of the network as they are."""
        self.initial |= dict.fromkeys(names, why)

    def problem(self, what: str, names: list[str]) -> None:
        """Note what does not fit."""
        if names:
            self.problems.setdefault(what, []).extend(names)

    def refusal(self) -> CheckpointError:
        """Return the error that lists everything that does not fit."""
        listed = "; ".join(listing(what, names) for what, names in self.problems.items())
        hints = "; set fit: slice to cut the weights of a larger network to this one"
        return CheckpointError(
            f"{self.source.path} ({self.source.layout}) does not belong to this network "
            f"({type(self.network).__name__}): {listed}" + (hints if self.fit == "exact" else "")
        )

    def report(self) -> Report:
        """Return what became of everything."""
        return Report(
            str(self.source.path),
            self.source.layout,
            self.source.projects,
            self.matched,
            self.sliced,
            self.initial,
            self.skipped,
            tuple(notes(self.network, self.source)),
        )


def part_of(name: str) -> str:
    """Return the part of a network that stands or falls as one: its module on the highest level.

    In the DeepLabV2 of VGG-16, ``features`` holds fc6 and fc7 too, unlike that of a classifier.
    """
    if name.startswith(DILATED):
        return "dilated convolutions"
    return name.partition(".")[0]


def as_encoder(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a classifier by the names that they have inside a network.

    An encoder may be one of its modules (``encoder.layer1…``), and DeepLabV2 leaves out the
    fourth pooling of VGG-16, so that later layers move up by one.
    """
    last, moved = "features.28.weight", "features.27.weight"
    if last in given and last not in own and moved in own:
        return {moved_up(name): tensor for name, tensor in given.items()}
    for mark in ("layer1.0.conv1.weight", "features.0.weight"):
        inside = [name.removesuffix(mark) for name in own if name.endswith(f".{mark}")]
        if mark in given and mark not in own and len(inside) == 1:
            return {f"{inside[0]}{name}": tensor for name, tensor in given.items()}
    return dict(given)


def moved_up(name: str) -> str:
    """Return the name of a layer of VGG-16 without its fourth pooling, number 23."""
    _, number, part = name.split(".")
    return f"features.{int(number) - (int(number) > 23)}.{part}"


def notes(network: SegmentationNetwork, source: Source) -> Iterator[str]:
    """Yield what the settings should say with these weights."""
    if source.normalisation is not None:
        yield convention_note(source.normalisation)
    elif source.projects:
        told = (f"{name}: {PROJECTS[name].normalisation}" for name in source.projects)
        yield (
            "the keys do not tell which data.normalisation these weights expect; " + ", ".join(told)
        )
    stride_in = own_stride_in(network)
    if source.stride_in and stride_in and source.stride_in != stride_in:
        yield (
            f"the file's bottlenecks stride in the {source.stride_in} convolution, the network's "
            f"in the {stride_in}; stride_in: {source.stride_in} is what the weights were made for"
        )
    if any(isinstance(m, AsppSum) and m.used == len(FOUR_RATES) for m in network.head_modules()):
        yield from two_branches(source)
        yield from untrained_branches(source)


def convention_note(normalisation: str) -> str:
    """Return what is said about the input convention of weights."""
    return f"these weights expect data.normalisation: {normalisation}"


def own_stride_in(network: nn.Module) -> str | None:
    """Return which convolution of the bottlenecks carries the stride; None without any."""
    modules = dict(network.named_modules())
    first, last = modules.get("layer2.0.conv1"), modules.get("layer2.0.conv3")
    if not isinstance(first, nn.Conv2d) or last is None:
        return None
    return "1x1" if first.stride != (1, 1) else "3x3"


def two_branches(source: Source) -> Iterator[str]:
    """Say so if the writer of a head may have computed with two of its four branches."""
    two = [name for name in source.projects if PROJECTS[name].rates == TWO_RATES]
    if two and source.num_classes is not None:
        yield (
            f"{' and '.join(two)} compute with the first two branches of the head; where the file "
            "is theirs, head.kind: aspp_first_two gives its outputs"
        )


def untrained_branches(source: Source) -> Iterator[str]:
    """Say so if branches of the head still have the values they were initialised with."""
    names = [f"layer6.conv2d_list.{index}.weight" for index in (2, 3)]
    if all(name in source.tensors and is_untrained(source.tensors[name]) for name in names):
        yield (
            "branches 3 and 4 of the head were never trained: the file is of code that adds the "
            "first two only (AdaptSegNet, DAST, DACS); head.kind: aspp_first_two gives its outputs"
        )


def is_untrained(weight: Tensor) -> bool:
    """Whether a weight is spread as the family initialises it; training moves it by percents."""
    if weight.is_meta or weight.numel() < 2:
        return False
    return bool(abs(weight.float().std() / UNTRAINED - 1) < TOLERANCE)
