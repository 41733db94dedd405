"""The evaluation conventions of the field by name: what a published mIoU was measured with.

Two numbers can be compared only if images went in at the same size, logits came back to labels
of the same size in the same way, and the same classes entered the mean. A convention says all of
it; its name and every part of it are written beside each result.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from autoadapt.errors import ConfigError

Side = Annotated[int, Field(ge=16)]
Resolution = Literal["working", "original"] | tuple[Side, Side]
"""The size the model was trained at; the size of the file; or height and width in pixels."""
Absent = Literal["nan", "zero", "plain"]
Subset = Literal["all", "synthia16", "synthia13"] | tuple[str, ...]


def not_empty(scales: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse an average over no scale."""
    if not scales:
        raise ValueError("at least one scale is needed, such as [1.0]")
    return scales


@dataclass(frozen=True, kw_only=True)
class Convention:
    """How predictions are made and compared with labels.

    In a file: ``convention: crst``, or ``convention: {name: crst, scales: [1.0]}``; a part that
    is not given is that of the named convention.

    Attributes:
        name: Which convention the parts started from.
        input: Size of the network's input; ``working``: the size the model was trained at.
        labels: Size at which labels are compared; they are resized with nearest neighbour.
        scales: Factors on the input size; the predictions at all of them are averaged.
        flip: Also average over the mirrored images.
        average: What is averaged over scales and mirrored images.
        window: Height and width of a sliding window; absent: whole images.
        stride: Distance between windows; absent: half a window.
        resize: ``logits`` are resized to the labels before the argmax; or the argmax is taken at
            the input size and the map of ``classes`` is resized with nearest neighbour.
        corners: Whether bilinear resizing of logits aligns the corner pixels.
        measure: What the headline is a mean of.
        absent: A class without a pixel in labels and predictions: ``nan`` leaves it out of the
            mean, ``zero`` counts it as 0, ``plain`` makes the mean NaN.
        subset: Classes in the headline: all, the 16 or 13 of SYNTHIA, or names.
        outside: Pixels labelled with a class outside the subset: ``counted`` keeps them as
            errors of the class predicted there (a 19-output head on 19-class labels); ``void``
            leaves them out (labels that never had these classes, as with a 16-output head). A
            pixel of the subset that is predicted as a class outside it is an error in both.
        background: Whether a class named ``background`` enters means.
        rare: Classes with a smaller share of the labelled evaluation pixels are rare; or names.
        digits: Decimals of percentages in tables.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str = "working"
    input: Resolution = "working"
    labels: Resolution = "working"
    scales: Annotated[
        tuple[Annotated[float, Field(gt=0, le=4)], ...], AfterValidator(not_empty)
    ] = (1.0,)
    flip: bool = False
    average: Literal["logits", "probabilities"] = "logits"
    window: tuple[Side, Side] | None = None
    stride: tuple[Side, Side] | None = None
    resize: Literal["logits", "classes"] = "logits"
    corners: bool = True
    measure: Literal["iou", "dice"] = "iou"
    absent: Absent = "nan"
    subset: Subset = "all"
    outside: Literal["counted", "void"] = "counted"
    background: bool = True
    rare: Annotated[float, Field(ge=0, le=1)] | tuple[str, ...] = 0.01
    digits: Annotated[int, Field(ge=0, le=6)] = 1

    def __post_init__(self) -> None:
        window, stride = self.window, self.stride
        if stride and (window is None or stride[0] > window[0] or stride[1] > window[1]):
            raise ValueError(
                f"stride {stride} with window {window}: windows must touch, so the stride is at "
                "most as large as the window"
            )

    @property
    def from_files(self) -> bool:
        """Whether images or labels are needed at another size than the cache holds."""
        return self.input != "working" or self.labels != "working"


WORKING = Convention()
"""The default: quick, from the cache, good enough to rank candidates."""
HALF, FULL = (512, 1024), (1024, 2048)
"""Cityscapes at half and at full size, height and width."""

_FAMILY = Convention(name="adaptsegnet", input=HALF, labels="original", digits=2)

CONVENTIONS = {
    known.name: known
    for known in (
        WORKING,
        _FAMILY,
        Convention(
            name="advent_synthia",
            input=HALF,
            labels="original",
            subset="synthia16",
            outside="void",
            digits=2,
        ),
        Convention(name="ccm", input=HALF, labels="original", absent="plain", digits=2),
        Convention(name="dacs", input=HALF, labels=HALF, digits=2),
        Convention(name="daformer", input=HALF, labels="original", corners=False, digits=2),
        Convention(
            name="hrda",
            input=FULL,
            labels="original",
            corners=False,
            window=(1024, 1024),
            stride=(512, 512),
            digits=2,
        ),
        Convention(
            name="crst",
            input=FULL,
            labels="original",
            scales=(0.9, 1.0, 1.2),
            flip=True,
            absent="zero",
            digits=2,
        ),
        Convention(name="camvid", input=(360, 480), labels="original"),
        Convention(name="adabn", input=HALF, labels=HALF, measure="dice", absent="zero", digits=3),
    )
}
"""Conventions by name.

``working`` is for quick runs and for ranking candidates; the others are those of the papers:
``adaptsegnet`` is also that of AdvEnt, IntraDA, CLAN and DAST, ``hrda`` that of MIC.
"""


def with_parts_of_name(raw: Any) -> Any:
    """Complete what a file says with the parts of the convention it names."""
    if isinstance(raw, Convention):
        return raw
    given = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(given, Mapping):
        return raw
    name = given.get("name", "working")
    if name not in CONVENTIONS:
        close = difflib.get_close_matches(str(name), CONVENTIONS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no convention {name!r}; {hint}known: {', '.join(CONVENTIONS)}")
    return asdict(CONVENTIONS[name]) | dict(given)


ConventionChoice = Annotated[Convention, BeforeValidator(with_parts_of_name)]


def convention_of(raw: str | Mapping[str, Any]) -> Convention:
    """Return the convention of a name, or of a name with other parts.

    Raises:
        ConfigError: There is no such name or part.
    """
    try:
        found: Convention = TypeAdapter(ConventionChoice).validate_python(raw)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError("evaluation convention: " + "; ".join(lines)) from None
    return found


def convention_words(convention: Convention) -> str:
    """Return a convention in one sentence, for tables and reports."""
    changed = "" if convention == CONVENTIONS.get(convention.name) else " (changed)"
    parts = [
        f"network input at {_size_words(convention.input)}",
        f"labels at {_size_words(convention.labels)}",
        *_view_words(convention),
        _resize_words(convention),
        _mean_words(convention),
    ]
    return f"Convention {convention.name}{changed}: {'; '.join(parts)}."


def _size_words(resolution: Resolution) -> str:
    if isinstance(resolution, tuple):
        return f"{resolution[1]} × {resolution[0]}"
    return {"working": "the working size", "original": "their own size"}[resolution]


def _view_words(convention: Convention) -> list[str]:
    words = []
    if convention.scales != (1.0,) or convention.flip:
        scales = ", ".join(f"{scale:g}" for scale in convention.scales)
        mirrored = " and their mirror images" if convention.flip else ""
        words.append(f"mean of {convention.average} over scales {scales}{mirrored}")
    if convention.window:
        height, width = convention.window
        words.append(f"in windows of {width} × {height}")
    return words


def _resize_words(convention: Convention) -> str:
    corners = "aligned" if convention.corners else "not aligned"
    if convention.resize == "classes":
        return f"classes resized to the labels by nearest neighbour (logits: corners {corners})"
    return f"logits resized bilinearly, corners {corners}"


def _mean_words(convention: Convention) -> str:
    absent = {
        "nan": "left out of the mean",
        "zero": "counted as 0",
        "plain": "making the mean undefined",
    }
    words = f"one confusion matrix, absent classes {absent[convention.absent]}"
    if convention.outside == "void" and convention.subset != "all":
        words += ", labels outside the subset are void"
    return words + ("" if convention.background else ", background not counted")
