"""Any encoder of timm by its name, with a DeepLab, SegFormer or DAFormer head.

Needs the extra ``timm``. Weights are random, as of every network here; load them from a file.

Choices (flat keys; a key that has no effect next to the others must be absent):

================================== ==========================================================
``encoder``                        name of a model of timm, such as ``convnext_tiny``
``head.kind`` and ``head.*``       as of ``elastic_deeplab`` (deep features, perhaps refined by
                                   low ones) or as of ``segformer`` (all levels)
``aux``                            auxiliary head on the mid features
================================== ==========================================================
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.heads import AsppSum
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._head_plan import HeadKind, HeadPlan
from autoadapt.networks.families._pyramid_head_plan import PyramidHeadKind, PyramidHeadPlan
from autoadapt.networks.values import ValueReader, options
from autoadapt.plugins import suggestion
from autoadapt.space.architecture import Value

LEVELS = 4
"""How many maps are used, the deepest ones."""


@dataclass(frozen=True, kw_only=True)
class TimmPlan:
    """Every decision about one network."""

    encoder: str
    head: HeadPlan | PyramidHeadPlan
    aux: bool

    @classmethod
    def read(cls, values: Mapping[str, Value]) -> "TimmPlan":
        """Make a plan of the values of an architecture; timm is not asked.

        Raises:
            SpaceError: A key is missing, unknown, without effect, or has an impossible value.
        """
        reader = ValueReader("timm_encoder", values)
        pyramids = options(PyramidHeadKind)
        kind = reader.one_of("head.kind", (*options(HeadKind), *pyramids))
        head = PyramidHeadPlan if kind in pyramids else HeadPlan
        if kind not in pyramids:
            reader.inactive("head.dropout")
        else:
            reader.inactive("head.skip")
        plan = cls(encoder=reader.text("encoder"), head=head.read(reader), aux=reader.flag("aux"))
        reader.finish()
        return plan

    def describe(self) -> str:
        """Return the plan in a few sentences."""
        encoder = f"The encoder {self.encoder} of timm."
        aux = "the mid features" if self.aux else None
        if isinstance(self.head, HeadPlan):
            return f"{encoder} {self.head.sentence(aux_reads=aux)}"
        ending = f"An auxiliary head reads {aux}." if aux else "There is no auxiliary head."
        return f"{encoder} {self.head.sentence()} {ending}"


class TimmEncoder(SegmentationNetwork):
    """The feature maps of a model of timm, a main and perhaps an auxiliary head.

    Of the last four maps, ``low`` is the first, ``mid`` the one before the last, ``deep`` the
    last, and ``skips`` are those between.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: timm is not installed or does not import; it has no such model, or none whose
            features suit; a value is missing, unknown or malformed.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {
        "encoder": "test_efficientnet",
        "head.kind": "mlp",
        "head.width": 9,
        "head.dropout": 0.1,
        "aux": True,
    }
    extra = "timm"

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = TimmPlan.read(values)
        self.num_classes = num_classes
        self.has_aux = plan.aux
        self.encoder = feature_encoder(plan.encoder)
        taps = levels_of(self.encoder, plan.encoder)
        low, *_, mid, deep = taps
        self.taps = {"low": low, "mid": mid, "deep": deep}
        self.levels = len(taps)
        # Formats of timm are text: NCHW, or NHWC with the channels at the end.
        self.channels_at_end = getattr(self.encoder, "output_fmt", "NCHW") == "NHWC"
        self.aux_head: AsppSum | None = None
        if isinstance(plan.head, HeadPlan):
            self.head: nn.Module = plan.head.main(self.taps, num_classes)
            self.reads_all = False
        else:
            self.head = plan.head.build([tap.channels for tap in taps], num_classes)
            self.reads_all = True
        if plan.aux:
            self.aux_head = AsppSum(mid.channels, num_classes, plan.head.rates or (1,))

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return TimmPlan.read(values).describe()

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into the last maps of the encoder."""
        maps = self.encoder(images)[-self.levels :]
        if self.channels_at_end:
            maps = [features.permute(0, 3, 1, 2) for features in maps]
        low, *skips, mid, deep = maps
        return Features(low=low, mid=mid, deep=deep, skips=tuple(skips))

    def decode(self, features: Features) -> Output:
        """Return logits at the size that the head has."""
        low, mid, deep, skips = features
        logits = self.head((low, *skips, mid, deep)) if self.reads_all else self.head(deep, low)
        return Output(logits, features, None if self.aux_head is None else self.aux_head(mid))

    def head_modules(self) -> list[nn.Module]:
        """Return the auxiliary head, if any, and the main one."""
        return [head for head in (self.aux_head, self.head) if head is not None]


def feature_encoder(name: str) -> nn.Module:
    """Return a model of timm that puts out its feature maps.

    Raises:
        SpaceError: timm is not there, or has no such model, or the model suits one size alone.
    """
    timm = import_timm()
    known = timm.list_models()
    if name.partition(".")[0] not in known:
        raise SpaceError(
            f"timm_encoder: 'encoder' is {name!r}, which timm {timm.__version__} does not have"
            f"{suggestion(name, known)}; timm.list_models() has all {len(known)}"
        )
    if timm.get_pretrained_cfg(name).fixed_input_size:
        raise SpaceError(
            f"timm_encoder: 'encoder' is {name!r}, which takes images of one size alone; expected "
            "a model for any size, such as one of the convnext, resnet or efficientnet names"
        )
    try:
        encoder: nn.Module = timm.create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, AttributeError) as error:
        raise SpaceError(
            f"timm_encoder: 'encoder' is {name!r}, which has no feature maps: {error}"
        ) from error
    return encoder


def import_timm() -> Any:
    """Return the module timm.

    Raises:
        SpaceError: It is not installed, or does not import.
    """
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name == "timm":
            raise SpaceError(
                "timm_encoder: the package timm is not installed; install the extra with "
                "pip install 'autoadapt[timm]'"
            ) from error
        raise unusable(error) from error
    except (ImportError, RuntimeError) as error:
        raise unusable(error) from error


def unusable(error: Exception) -> SpaceError:
    """Return what to tell about a timm that is there but does not import."""
    return SpaceError(
        f"timm_encoder: timm is installed but does not import: {error}; timm imports torchvision, "
        "which must come from the same index as torch (a CPU torch needs the CPU torchvision)"
    )


def levels_of(encoder: nn.Module, name: str) -> list[Tap]:
    """Return channels and strides of the last maps of an encoder.

    Raises:
        SpaceError: There are fewer than three.
    """
    info: Any = encoder.feature_info
    pairs = zip(info.channels(), info.reduction(), strict=True)
    taps = [Tap(channels, stride) for channels, stride in pairs][-LEVELS:]
    if len(taps) < 3:
        raise SpaceError(
            f"timm_encoder: 'encoder' is {name!r}, which has {len(taps)} feature maps, expected "
            "three or more"
        )
    return taps
