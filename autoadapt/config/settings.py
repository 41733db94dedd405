"""The settings of an experiment: frozen values, checked once, passed as arguments.

Every field here is a key of an experiment file (``configs/*.yaml``); its comment there and its
docstring here say the same. Pydantic checks files at the border (``config/load.py``); inside the
package these are plain dataclasses.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from autoadapt.config.conventions import WORKING, ConventionChoice, Side
from autoadapt.config.named_objectives import keys_of, with_named
from autoadapt.config.preprocessing import Preprocessing, with_preset

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Above0 = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Size = tuple[Side, Side]
"""Height and width in pixels."""
Resampling = Literal["lanczos", "bicubic", "bilinear"]
Normalisation = Literal["imagenet", "caffe_bgr", "unit_bgr"]


class Strict:
    """Makes a misspelt key an error instead of a setting that has no effect."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class DatasetSettings(Strict):
    """One set of images of one domain, in one of the formats of ``data.formats``.

    In a file the options of the format stand beside the keys that every format has:
    ``source: {kind: gta5, root: /data/gta5, hold_out: 500}``.

    Attributes:
        kind: Name of the format, such as ``folder``, ``procedural``, ``gta5`` or ``cityscapes``.
        options: Keys of that format alone, such as ``root`` and ``split``; they are described at
            its class, ``data/formats/<kind>.py``.
        subset: Path of a text file with one image name per line; only these images are meant.
            Folders before a name and what follows it in a file's name do not matter.
        order: ``listed`` keeps the order of the format, ``name`` sorts by file name (the order in
            time where names carry frame numbers).
        hold_out: Number of images kept apart for validation, chosen by their names alone.
        side: Which images are meant: ``train`` without, ``validation`` only those held out.
        hold_out_seed: Another seed holds out other images.
        part: Which share of the images left, from and to, e.g. ``[0, 0.5]``: the first half.
        size: Height and width that these images are resized to; absent: ``data.size``.
        merge: Class names to rename, e.g. ``{bicyclist: pedestrian}``.
        ignore: Class names whose pixels count as void.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    subset: str = ""
    order: Literal["listed", "name"] = "listed"
    hold_out: Annotated[int, Field(ge=0)] = 0
    side: Literal["train", "validation"] = "train"
    hold_out_seed: int = 0
    part: tuple[Fraction, Fraction] = (0.0, 1.0)
    size: Size | None = None
    merge: dict[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    def with_options(self, **changes: Any) -> "DatasetSettings":
        """Return the same with some options of the format changed."""
        return replace(self, options={**self.options, **changes})


COMMON_KEYS = tuple(f.name for f in fields(DatasetSettings) if f.name != "options")
"""Keys that a data set of any format has."""

_FORMER: dict[str, dict[str, Any]] = {
    "folder": {"style": "game", "count": 100, "seed": 0},
    "procedural": {"root": "", "split": "train"},
}
"""What earlier versions wrote into the config of every run, whatever the kind of data set."""


def nest_format(raw: Any) -> Any:
    """Move the keys of a data set's format in a file into ``options``."""
    if not isinstance(raw, dict) or "options" in raw:
        return raw
    former = _FORMER.get(str(raw.get("kind")), {}).items()
    common = {key: value for key, value in raw.items() if key in COMMON_KEYS}
    own = {key: value for key, value in raw.items() if key not in COMMON_KEYS}
    options = {key: value for key, value in own.items() if (key, value) not in former}
    return {**common, "options": options}


DatasetChoice = Annotated[DatasetSettings, BeforeValidator(nest_format)]
ProtocolName = Literal["cityscapes19", "synthia16", "synthia13", "camvid11", "dice20"]


@dataclass(frozen=True, kw_only=True)
class DataSettings(Strict):
    """Both domains, and the labelled target images that evaluation and correlation may open.

    Attributes:
        further_sources: More labelled sets by name, e.g. ``{synthia: {…}}``. Methods that keep
            sources apart find them by name; for all others they and ``source`` are one set.
        preprocessing: A published set-up by name (``config/preprocessing.py``), which sets sizes,
            crop, resampling, normalisation and augmentation; keys given beside it go first.
        size: Height and width that all images are resized to, once, when they are decoded; a
            data set may have its own, and ``evaluation`` follows ``target``.
        resampling: Filter that images are resized with; labels are resized with the nearest.
        crop: Height and width of a training crop; absent: the whole image.
        scales: Factors of which one is drawn for each training image before it is cropped; where
            the crop does not fit, it is padded with the mean colour and void.
        crop_max_share: A crop is drawn again, ten times at most, while one class has this share
            of its labelled pixels; 1 switches it off.
        protocol: A class set of the field by name, with the maps into it; instead of ``classes``.
        classes: Class names in the order of the network's outputs; absent: those of the
            protocol, else those of the source.
        normalisation: Input convention of the network: ``imagenet`` (RGB of 0 to 1, minus mean,
            divided by deviation), ``caffe_bgr`` (BGR of 0 to 255, minus mean) or ``unit_bgr``
            (BGR of 0 to 1).
        broken: What an unreadable image or label, or one of the wrong format or size, does: stop
            with its name, or be skipped and reported. Missing files and undeclared label ids
            always stop.
        flip: Mirror training images with probability one half.
        jitter: Strength of random brightness, contrast and saturation of training images.
        hue: Largest turn of the colours of training images either way, of a full turn.
        blur: Share of the training images that are blurred, with 0.15 to 1.15 pixels.
        cache: Folder of decoded images, shared by all trials and runs; absent: a folder
            ``autoadapt`` in the user's cache directory.
    """

    source: DatasetChoice
    target: DatasetChoice
    further_sources: dict[SourceName, DatasetChoice] = field(default_factory=dict)
    evaluation: DatasetChoice | None = None
    preprocessing: Preprocessing | None = None
    size: Size = (120, 160)
    resampling: Resampling = "lanczos"
    crop: Size | None = None
    scales: tuple[Above0, ...] = ()
    crop_max_share: Fraction = 1.0
    protocol: ProtocolName | None = None
    classes: tuple[str, ...] = ()
    normalisation: Normalisation = "imagenet"
    broken: Literal["stop", "skip"] = "stop"
    flip: bool = True
    jitter: Fraction = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    blur: Fraction = 0.0
    cache: str | None = None

    @property
    def sources(self) -> dict[str, DatasetSettings]:
        """All labelled sources by key below ``data``, the main one first."""
        further = {f"further_sources.{name}": one for name, one in self.further_sources.items()}
        return {"source": self.source, **further}

    @property
    def datasets(self) -> dict[str, DatasetSettings]:
        """All data sets by key below ``data``."""
        evaluation = {} if self.evaluation is None else {"evaluation": self.evaluation}
        return {**self.sources, "target": self.target, **evaluation}

    def size_of(self, key: str) -> Size:
        """Return the height and width that the images of a data set are resized to.

        Args:
            key: As in ``datasets``. Without a size of their own, further sources follow
                ``source`` and the evaluation set follows ``target``.
        """
        followed = self.source if key in self.sources else self.target
        return self.datasets[key].size or followed.size or self.size

    def for_model(
        self, size: Size, normalisation: Normalisation, resampling: Resampling
    ) -> "DataSettings":
        """Return the settings with the target's images as a model expects them."""
        evaluation = self.evaluation and replace(self.evaluation, size=size)
        return replace(
            self,
            target=replace(self.target, size=size),
            evaluation=evaluation,
            normalisation=normalisation,
            resampling=resampling,
        )

    def misfits(self) -> Iterator[str]:
        """Say which training images ``crop`` and ``scales`` do not suit."""
        if self.crop is None:
            if self.scales:
                yield "data.scales needs data.crop: images of one batch must have one size"
            return
        for key in (*self.sources, "target"):
            height, width = self.size_of(key)
            if not self.scales and (self.crop[0] > height or self.crop[1] > width):
                yield (
                    f"data.crop {list(self.crop)} is larger than the {key} images "
                    f"{[height, width]} (height, width); make the crop smaller or the images larger"
                )


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Strict):
    """The one training loop.

    Attributes:
        steps: Optimiser steps of the network.
        batch_size: Images per domain and step.
        accumulate: Micro-batches per step; ``batch_size`` is the size of one.
        optimizer: Optimiser of the network.
        learning_rate: The rate that both multipliers refer to.
        backbone_multiplier: Rate of the backbone over ``learning_rate``; 1 as in the papers. The
            released code of the DeepLabV2 family lists the convolutions of residual blocks three
            times to SGD, whose steps are then three times as long: 3 stands in for that.
        head_multiplier: Rate of the heads over ``learning_rate``; 1 for VGG in published work.
        norm_affine: Whether scale and shift of normalisation layers are ``learned`` or stay
            ``frozen``, as in the DeepLabV2 family; running statistics are the method's affair.
        power: Polynomial decay, ``(1 - step / horizon) ** power``.
        horizon: Length of the schedule; absent: ``steps``.
        class_weights: ``sqrt_inverse`` weighs the source loss of a class by one over the square
            root of its share of the source pixels (mean 1): rare classes matter on small sets.
        precision: Autocast type; ``fp32`` switches autocast off.
        channels_last: Memory layout of images and network that suits half precision on a GPU.
        compile: Compile the network with ``torch.compile``: minutes at first, faster steps later.
        ema: Keep a teacher for ``teacher_agreement``: a network whose weights and statistics
            follow, of which each step keeps this share (0.99, say). A method with a teacher has
            its own. Absent: none. It doubles the size of the model and changes no training.
        checkpoint_every: Steps between checkpoints.
    """

    steps: Positive
    batch_size: Positive = 4
    accumulate: Positive = 1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Above0 = 2.5e-4
    backbone_multiplier: Above0 = 1.0
    head_multiplier: Above0 = 10.0
    momentum: Fraction = 0.9
    weight_decay: NotNegative = 5e-4
    norm_affine: Literal["learned", "frozen"] = "learned"
    power: NotNegative = 0.9
    horizon: Positive | None = None
    gradient_clip: Above0 | None = None
    class_weights: Literal["none", "sqrt_inverse"] = "none"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = False
    compile: bool = False
    ema: Fraction | None = None
    checkpoint_every: Positive = 200


@dataclass(frozen=True, kw_only=True)
class PluginSettings(Strict):
    """A plug-in by name, with its options.

    In a file: ``method: advent``, or ``method: {name: advent, main_weight: 0.01}``.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)


SCORE = "score"
"""Key beside the options of a score: which one is meant, where the name is one of your own."""


def nest_options(raw: Any, default: str) -> Any:
    """Turn the short forms of a plug-in in a file into ``name`` and ``options``.

    Options without a name are options of the default.
    """
    if isinstance(raw, str):
        return {"name": raw}
    if isinstance(raw, dict) and "options" not in raw:
        options = {key: value for key, value in raw.items() if key != "name"}
        return {"name": raw.get("name", default), "options": options}
    return raw


StrategyChoice = Annotated[
    PluginSettings, BeforeValidator(partial(nest_options, default="evolution"))
]
MethodChoice = Annotated[PluginSettings, BeforeValidator(partial(nest_options, default="advent"))]


@dataclass(frozen=True, kw_only=True)
class TermSettings(Strict):
    """One term of the objective.

    Attributes:
        score: Name of a score of ``scores``, or a cost (``macs``, ``params``).
        weight: Factor after standardisation.
        form: ``standard`` uses the frozen robust z-score; ``rank`` the place among the frozen
            values of the calibration trials, from -1.7 to 1.7; ``hinge`` the relative excess over
            ``budget``; ``linear`` the ratio to ``budget``, the paper's term; ``raw`` the value;
            ``guard`` the excess over ``limit``, which should cost more than all else can gain.
        budget: For ``hinge`` the value up to which nothing is added, for ``linear`` the unit;
            absent: the cost of the reference architecture of the space.
        limit: For ``guard``: up to this value of the score nothing is added.
    """

    score: str
    weight: float = 1.0
    form: Literal["standard", "rank", "hinge", "linear", "raw", "guard"] = "standard"
    budget: Above0 | None = None
    limit: float = 0.0


def default_terms() -> tuple[TermSettings, ...]:
    """Return the terms of the objective named ``default``."""
    return tuple(TermSettings(**term) for term in keys_of("default")["terms"])


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings(Strict):
    """The number a search minimises: a weighted sum of standardised terms.

    In a file: ``objective: mmd_reent``, ``objective: {name: mmd_reent, calibration: 8}``, or the
    terms themselves.

    Attributes:
        name: Of an objective in ``config/objectives``, or the path of a file like those; what it
            says holds for the keys that are not given.
        calibration: Number of first finished trials whose medians and deviations standardise
            the terms, frozen for the rest of the run; absent: half of the trials, 30 at most.
        calibration_from: A ``calibration.json`` of another run to use instead.
        clip: Largest standardised value of a term, either way.
    """

    name: str = ""
    terms: tuple[TermSettings, ...] = field(default_factory=default_terms)
    calibration: Positive | None = None
    calibration_from: str | None = None
    clip: Above0 = 5.0


@dataclass(frozen=True, kw_only=True)
class RegionSettings(Strict):
    """How target images are cut into regions of similar appearance (``scores.md`` 6.3).

    Attributes:
        segments: Number of regions asked for; absent: one per 655 pixels, as 200 at 256x512.
        smallest: Regions below this many pixels are merged into a neighbour.
    """

    algorithm: Literal["slic", "grid", "felzenszwalb", "cws"] = "slic"
    segments: Positive | None = None
    compactness: Above0 = 20.0
    sigma: NotNegative = 1.0
    smallest: Positive = 16


@dataclass(frozen=True, kw_only=True)
class ScoringSettings(Strict):
    """What is measured of each trained candidate, without target labels.

    Attributes:
        images: Number of source and of target images looked at, the same for every candidate.
        pixels_per_image: Sampled feature locations per image.
        scores: Names of scores; those that the objective needs are added.
        options: Options per score, e.g. ``{reent: {smallest: 32}}``. With the key ``score`` the
            name is one of your own for another reading of that score, and counts as a score in
            ``scores`` and in objectives: ``{reent_loc: {score: reent, variant: loc}}``.
        committee: Models that never change while this search runs, with which
            ``committee_agreement`` compares every candidate: files (``model.safetensors``),
            folders (all models in or below them, such as the run folder of a bank) or patterns.
    """

    images: Positive = 100
    pixels_per_image: Positive = 16
    scores: tuple[str, ...] = ()
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    committee: tuple[str, ...] = ()
    regions: RegionSettings = field(default_factory=RegionSettings)
    batch_size: Positive = 8

    def plugin(self, name: str) -> PluginSettings:
        """Return the plug-in and the options that the name of a score stands for here."""
        options = {**self.options.get(name, {})}
        return PluginSettings(name=options.pop(SCORE, name), options=options)


@dataclass(frozen=True, kw_only=True)
class ExecutorSettings(Strict):
    """Where trials run.

    Attributes:
        kind: ``local`` (this process, one after the other) or ``ray`` (Ray Tune).
        parallel: Trials at the same time; absent: as many as the resources allow.
        address: Ray cluster; absent: a cluster of this machine alone.
        cpus: CPU cores per trial.
        gpus: GPUs per trial; a fraction shares one.
        retries: Times a trial is run again after its worker was lost.
    """

    kind: Literal["local", "ray"] = "local"
    parallel: Positive | None = None
    address: str | None = None
    cpus: Above0 = 1.0
    gpus: NotNegative = 0.0
    retries: Annotated[int, Field(ge=0)] = 2


@dataclass(frozen=True, kw_only=True)
class WeightsSettings(Strict):
    """The weights that networks start from; either ``file`` or ``name``.

    Attributes:
        file: Weights of another project, or a model of autoadapt; ``${NAME}`` is replaced from
            the environment.
        name: A published file by its name here (``autoadapt weights list``).
        project: Who wrote the file, where its keys leave that open.
        head: ``drop`` starts with a fresh head; a head of other classes is an error otherwise.
        fit: ``exact`` wants the network of the file; ``slice`` cuts the weights of a larger
            network to the size of each candidate: leading channels, first blocks.
        download: Whether a published file may be downloaded to the cache.
    """

    file: str | None = None
    name: str | None = None
    project: str | None = None
    head: Literal["keep", "drop"] = "keep"
    fit: Literal["exact", "slice"] = "exact"
    download: bool = False


@dataclass(frozen=True, kw_only=True)
class SearchSettings(Strict):
    """The search itself.

    Attributes:
        space: A shipped search space by name, or the path of a YAML file.
        trials: Number of architectures of the space tried; may be left out beside a ``bank``
            section, and is the number of its architectures then.
        include: Named networks (or files of one) that are tried first, besides ``trials``. They
            need not be of the space, and its limits do not apply to them.
        limits: Smallest and largest cost of an architecture, by cost name; narrows the limits
            of the space.
        weights: What every candidate starts from; absent: random weights.
        strategy: What proposes architectures.
        method: The adaptation method that trains every candidate.
        training: The budget of a candidate.
        training_seed: Another one gives every candidate another initial network and other
            batches; what is tried, and what is measured of it, stays the same.
    """

    space: str
    trials: Positive
    strategy: StrategyChoice = field(default_factory=lambda: PluginSettings(name="evolution"))
    method: MethodChoice = field(default_factory=lambda: PluginSettings(name="advent"))
    training: TrainingSettings
    include: tuple[str, ...] = ()
    limits: dict[str, tuple[NotNegative, Above0]] = field(default_factory=dict)
    weights: WeightsSettings | None = None
    training_seed: int = 0


def switched(raw: Any) -> Any:
    """Let ``true`` stand for a section with its defaults, and ``false`` for none."""
    return {True: {}, False: None}[raw] if isinstance(raw, bool) else raw


@dataclass(frozen=True, kw_only=True)
class ImageSampleSettings(Strict):
    """Choices of target images that scores are computed on again, the same for all models.

    Attributes:
        sizes: Numbers of images to choose; those not below the number that is scored are left out.
        subsets: Choices of each size, without repetition.
        resamples: Choices of as many images as are scored, with repetition.
        scores: Which of the bank's scores; empty: those that are cheap (``TYPICAL``).
    """

    sizes: tuple[Positive, ...] = (5, 10, 20, 40)
    subsets: Annotated[int, Field(ge=2)] = 10
    resamples: Annotated[int, Field(ge=2)] = 20
    scores: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ScoredTruthSettings(Strict):
    """How the labels of the scored target images are read, once a bank is trained and scored.

    Attributes:
        merge: Class names to rename, besides those of ``data.target``.
        ignore: Class names whose pixels count as void, besides those of ``data.target``.
    """

    merge: dict[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BankSettings(Strict):
    """A bank: many trained models whose scores are compared with their true metric.

    Attributes:
        architectures: Number of random architectures, spread evenly over the multiply-adds that
            the space has to offer; each is trained with every method.
        repeated: How many of them, spread the same way, are trained with all seeds.
        seeds: Training seeds; the first trains all architectures.
        methods: Adaptation methods; absent: that of the search.
        statistics: What the bank keeps of each model so that more can be derived later: the
            predicted classes (``maps``), or also the sums and samples that scores are computed
            from (``full``).
        image_samples: How scores depend on the target images: on which choices of them they are
            computed besides. Needs ``statistics: full``; absent: on none.
        scored_truth: Also compare every model with the labels of the very target images that
            scores look at, for the report alone; ``true`` for the defaults, absent: only held-out
            images (``data.evaluation``) are compared. Can be added to a bank that is trained.
    """

    architectures: Annotated[int, Field(ge=3)] = 100
    repeated: Annotated[int, Field(ge=0)] = 20
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    methods: tuple[MethodChoice, ...] = ()
    statistics: Literal["maps", "full"] = "maps"
    image_samples: Annotated[ImageSampleSettings | None, BeforeValidator(switched)] = None
    scored_truth: Annotated[ScoredTruthSettings | None, BeforeValidator(switched)] = None


@dataclass(frozen=True, kw_only=True)
class SelectionSettings(Strict):
    """Which snapshot of a full training is used, chosen without target labels.

    The last step is always among the snapshots, and always kept.

    Attributes:
        snapshots: How many there are, evenly spaced from ``start`` to the last step.
        every: Steps from one to the next, instead of a number of them.
        start: Share of the steps before the first one may be taken: while the rate is high,
            the order of snapshots is that of chance.
        objective: What chooses, written like ``objective``; absent: that of the search.
        keep: ``needed`` removes the weights of snapshots that were not chosen once everything is
            scored and evaluated; ``all`` leaves them.
        best_by_labels: Where there are labelled target images, also evaluate every snapshot, to
            know what the choice without labels has cost. For analysis only: nothing is chosen by
            it.
    """

    snapshots: Annotated[int, Field(ge=2)] = 5
    every: Positive | None = None
    start: Annotated[float, Field(ge=0, lt=1)] = 0.5
    objective: Annotated[ObjectiveSettings | None, BeforeValidator(with_named)] = None
    keep: Literal["needed", "all"] = "needed"
    best_by_labels: bool = True

    def steps(self, last: int) -> tuple[int, ...]:
        """Return after which steps of a training snapshots are taken, in order, ``last`` last."""
        first = max(1, math.ceil(self.start * last))
        if self.every is not None:
            return (*(step for step in range(self.every, last, self.every) if step >= first), last)
        gaps = self.snapshots - 1
        return tuple(sorted({last - (last - first) * gap // gaps for gap in range(gaps + 1)}))


@dataclass(frozen=True, kw_only=True)
class AdaptSettings(Strict):
    """What happens to the winner, and to the references trained the same way.

    Attributes:
        finalists: How many of the best candidates are trained fully; of several, the one whose
            full models have the smallest objective is the winner.
        selection: Choose among snapshots of each training without labels; ``true`` for the
            defaults, absent: the last step is used. Off by default: it scores every snapshot, and
            whether it beats the last step depends on how well the objective ranks models, which
            ``autoadapt correlate`` can say.
        source_only: Also train the winner on source images alone.
        hand_crafted: Also train the space's reference architecture with the same method.
        networks: Named networks (or files of one) that are trained the same way.
        weights: What all of them start from; absent: random weights.
        seeds: Each is trained once per seed; results are reported as mean and spread.
    """

    method: MethodChoice = field(default_factory=lambda: PluginSettings(name="advent"))
    training: TrainingSettings
    finalists: Positive = 1
    selection: Annotated[SelectionSettings | None, BeforeValidator(switched)] = None
    source_only: bool = True
    hand_crafted: bool = True
    networks: tuple[str, ...] = ()
    weights: WeightsSettings | None = None
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Strict):
    """How labelled target images are compared with predictions.

    Attributes:
        convention: How exactly, by the name of a convention of the field or part by part; the
            default compares at the working size, which is quick and enough to rank candidates.
        samples: Number of predictions shown in the report.
    """

    convention: ConventionChoice = WORKING
    samples: Annotated[int, Field(ge=0)] = 4
    batch_size: Positive = 8


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings(Strict):
    """One experiment file."""

    name: str
    data: Annotated[DataSettings, BeforeValidator(with_preset)]
    search: SearchSettings
    seed: int = 0
    device: Device = "auto"
    threads: Positive | None = None
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    objective: Annotated[ObjectiveSettings, BeforeValidator(with_named)] = field(
        default_factory=ObjectiveSettings
    )
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    adapt: AdaptSettings | None = None
    bank: BankSettings | None = None
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    @property
    def calibration_trials(self) -> int:
        """Number of finished trials after which the objective is frozen."""
        return self.objective.calibration or max(1, min(30, self.search.trials // 2))
