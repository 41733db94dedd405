"""Translate source images, learn the task on them, align features: CyCADA and MADAN."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoadapt.config.settings import Above0, Fraction, NotNegative, Positive
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.images import LabelledImages
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import joined, repainted
from autoadapt.seeding import generator
from autoadapt.uda._losses import SOURCE_LABEL, TARGET_LABEL
from autoadapt.uda._teacher import copy_weights
from autoadapt.uda._translation import (
    FAKE,
    REAL,
    Generator,
    ImagePool,
    PatchDiscriminator,
    from_signed,
    judged,
    pixels_of,
    to_signed,
)
from autoadapt.uda.base import Context, Method, Phase, divided, full_size

BETAS = (0.5, 0.999)
"""Of Adam, for generators and patch discriminators (CycleGAN)."""

WINDOW = 100
"""Steps over which the accuracy of the domain classifier is averaged (CyCADA)."""


@dataclass(frozen=True)
class Made:
    """Images of one source and of the target in [-1, 1], and what generators made of them.

    Attributes:
        number: Of the source, from 1.
        translated: The source images in the style of the target.
        back: The target images in the style of the source.
        source_again: The translated ones, brought back.
        target_again: The others, brought back.
    """

    number: int
    source: Tensor
    target: Tensor
    translated: Tensor
    back: Tensor
    source_again: Tensor
    target_again: Tensor


@dataclass(frozen=True)
class Contest:
    """A discriminator, what it is to accept and what it is to reject.

    Attributes:
        judge: Name of the discriminator.
        weight: Of fooling it, in the loss of the generators.
    """

    judge: str
    real: Tensor
    fake: Tensor
    weight: float = 1.0


@dataclass
class Translating(Method):
    """Four stages: source, translation, task on translated images, alignment of features.

    The network that the source stage trains judges what a translation must not change, and is
    where the task stage goes on. (The released code of CyCADA and MADAN starts that one from
    ImageNet weights.) Each stage has a learning-rate schedule of its own.

    Attributes:
        warm_up: Share of the steps that train on the source as it is.
        translate_share: Share of the steps that train generators and discriminators.
        feature_share: Share of the steps that align features; 0 for pixels alone.
        generator_width: Channels after the first layer of a generator.
        generator_blocks: Residual blocks of a generator.
        generator_dropout: Dropout in these blocks.
        judge_width: Channels after the first layer of a patch discriminator.
        generator_rate: Learning rate of both (Adam, betas 0.5 and 0.999), constant.
        cycle_weight: Of the L1 distance between images and themselves brought back.
        semantic_weight: Of changing what the source network sees in an image.
        pool: Number of images made before that a discriminator may see.
        feature_weight: Of fooling the domain classifier.
        feature_rate: Learning rate of the network while features are aligned, in units of that of
            the settings.
        classifier_rate: Learning rate of the domain classifier (Adam).
        accuracy_from: The network moves only while the classifier is right more often than this.
            In some ten steps it does not get there, and the alignment does nothing: the preset
            ``small`` has none.
    """

    warm_up: Fraction = 0.2
    translate_share: Fraction = 0.4
    feature_share: Fraction = 0.1
    generator_width: Positive = 64
    generator_blocks: Positive = 9
    generator_dropout: Fraction = 0.0
    judge_width: Positive = 64
    generator_rate: Above0 = 2e-4
    cycle_weight: NotNegative = 10.0
    semantic_weight: NotNegative = 1.0
    pool: int = 50
    feature_weight: NotNegative = 0.1
    feature_rate: Above0 = 0.1
    classifier_rate: Above0 = 1e-4
    accuracy_from: Fraction = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pools: dict[str, ImagePool] = {}
        self.translations: list[str] = []
        self.accuracies: list[float] = []
        self.translating_from = 0
        self.translating_for = 1

    def count(self) -> int:
        """Return the number of sources that are translated apart."""
        return 1

    def setup(self, context: Context) -> None:
        """Create generators, discriminators, the frozen segmenter and the domain classifier."""
        for number in range(1, self.count() + 1):
            pair = [self.generator(), self.generator()]
            names = [f"to_target{number}", f"to_source{number}"]
            self.add_together(context, f"generators{number}", dict(zip(names, pair, strict=True)))
        judges = {name: PatchDiscriminator(self.judge_width) for name in self.judges()}
        self.add_together(context, "judges", judges)
        segmenter = copy.deepcopy(context.network).requires_grad_(False).eval()
        context.add("segmenter", segmenter)
        if self.feature_share:
            classifier = domain_classifier(context.num_classes).to(context.device)
            adam = torch.optim.Adam(classifier.parameters(), lr=self.classifier_rate)
            context.add("classifier", classifier, adam)

    def generator(self) -> Generator:
        """Return a fresh generator."""
        dropout = self.generator_dropout
        return Generator(self.generator_width, self.generator_blocks, dropout=dropout)

    def judges(self) -> list[str]:
        """Return the names of the patch discriminators."""
        sources = [f"judge_source{number}" for number in range(1, self.count() + 1)]
        return ["judge_target", *sources]

    def add_together(self, context: Context, name: str, modules: Mapping[str, nn.Module]) -> None:
        """Put modules that one optimiser moves under the care of the loop."""
        for key, module in modules.items():
            context.add(key, module)
        parameters = [p for module in modules.values() for p in module.parameters()]
        context.optimizers[name] = torch.optim.Adam(parameters, lr=self.generator_rate, betas=BETAS)

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Divide the steps by the shares."""
        task = max(0.0, 1 - self.warm_up - self.translate_share - self.feature_share)
        shares = (self.warm_up, self.translate_share, task, self.feature_share)
        parts = divided(steps, [round(1000 * share) for share in shares])
        policy = self.batch_norm
        laid = (
            Phase("warm_up", parts[0], batch_norm=policy),
            Phase("translate", parts[1], batch_norm="eval", restart="schedule", power=0.0),
            Phase("task", parts[2], batch_norm=policy, restart="schedule"),
            Phase(
                "feature", parts[3], batch_norm=policy, restart="schedule", rate=self.feature_rate
            ),
        )
        return tuple(phase for phase in laid if phase.steps)

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Freeze the source network before translation; translate all images after it."""
        if phase.name == "translate":
            copy_weights(context.modules["segmenter"], context.network)
            self.translating_from, self.translating_for = context.step, phase.steps
        if phase.name in ("task", "feature") and not self.translations:
            self.translations = [
                self.translated(context, data, number, images)
                for number, images in self.sources(data)
            ]

    def sources(self, data: TrainingData) -> list[tuple[int, LabelledImages]]:
        """Return the number of each source, from 1, and its images."""
        return list(enumerate([data.source, *data.further.values()], start=1))

    def translated(
        self, context: Context, data: TrainingData, number: int, images: LabelledImages
    ) -> str:
        """Store the translated images of a source and return where."""
        make, name = context.modules[f"to_target{number}"], f"translated{number}"

        def translate(batch: TargetBatch) -> Tensor:
            signed = to_signed(batch.images.to(context.device), context.normalisation)
            with torch.no_grad(), context.autocast():
                return pixels_of(make(signed))

        make.eval()
        sweep = context.go_through(
            data,
            images.unlabelled(),
            f"translating source {number}",
            translate,
            shapes={name: (*images.size, 3)},
            given=[make],
        )
        for _, pixels in sweep:
            sweep.put(**{name: pixels})
        make.train()
        return sweep.references[name]

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Replace the sources by their translations once these are made."""
        if phase.name not in ("task", "feature"):
            return data
        painted = [
            repainted(images, context.stored(reference))
            for (_, images), reference in zip(self.sources(data), self.translations, strict=True)
        ]
        return replace(data, source=joined(*painted), further={})

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Take the step of a stage."""
        if phase.name == "translate":
            return self.translate(context, batch)
        if phase.name == "feature":
            return self.align(context, batch.source, batch.target)
        losses: dict[str, Tensor] = {}
        for name, labelled in {"": batch.source, **batch.further}.items():
            _, found = context.supervised(labelled, self.aux_source_weight)
            losses |= {f"{loss}_{name}" if name else loss: value for loss, value in found.items()}
        context.update("network")
        return losses

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Take a step of the task stage."""
        _, losses = context.supervised(source, self.aux_source_weight)
        context.update("network")
        return losses

    # Translation.

    def translate(self, context: Context, batch: StepBatch) -> dict[str, Tensor]:
        """Train the generators, then the discriminators on what they made."""
        made = list(self.made(context, batch))
        contests = self.contests(context, made)
        with context.frozen(*self.judges()):
            losses = self.generator_losses(context, made, contests)
            context.backward(torch.stack(list(losses.values())).sum())
        context.update(*[f"generators{one.number}" for one in made])
        telling = self.judge_loss(context, contests)
        context.backward(telling)
        context.update("judges")
        return {name: loss.detach() for name, loss in losses.items()} | {"tell": telling.detach()}

    def made(self, context: Context, batch: StepBatch) -> Iterator[Made]:
        """Yield what the generators make of the images of each source and of the target."""
        target = to_signed(batch.target.images, context.normalisation)
        for number, labelled in enumerate([batch.source, *batch.further.values()], start=1):
            source = to_signed(labelled.images, context.normalisation)
            with context.autocast():
                forth = context.modules[f"to_target{number}"]
                back = context.modules[f"to_source{number}"]
                translated, returned = forth(source), back(target)
                yield Made(
                    number, source, target, translated, returned, back(translated), forth(returned)
                )

    def contests(self, context: Context, made: Sequence[Made]) -> list[Contest]:
        """Return who is to be fooled by what."""
        return [
            contest
            for one in made
            for contest in (
                Contest("judge_target", one.target, one.translated),
                Contest(f"judge_source{one.number}", one.source, one.back),
            )
        ]

    def generator_losses(
        self, context: Context, made: Sequence[Made], contests: Sequence[Contest]
    ) -> dict[str, Tensor]:
        """Return the weighted losses of the generators."""
        fooling = [c.weight * judged(self.scores(context, c.judge, c.fake), REAL) for c in contests]
        cycles = [
            distance
            for one in made
            for distance in (
                functional.l1_loss(one.source_again.float(), one.source),
                functional.l1_loss(one.target_again.float(), one.target),
            )
        ]
        losses = {
            "fool": torch.stack(fooling).sum(),
            "cycle": self.cycle_weight * torch.stack(cycles).sum(),
        }
        if self.semantic_weight:
            changed = torch.stack([self.semantic(context, one) for one in made]).sum()
            losses["semantic"] = self.semantic_weight * changed
        return losses

    def semantic(self, context: Context, made: Made) -> Tensor:
        """Return how much translation changes what the source network sees, both ways (CyCADA)."""
        pairs = ((made.source, made.translated), (made.target, made.back))
        losses = []
        for before, after in pairs:
            with torch.no_grad():
                label = self.segmented(context, before).argmax(dim=1)
            losses.append(functional.cross_entropy(self.segmented(context, after), label))
        return torch.stack(losses).sum()

    def segmented(self, context: Context, signed: Tensor) -> Tensor:
        """Return the logits of the frozen source network, gradients flow to the images."""
        images = from_signed(signed.float(), context.normalisation)
        with context.autocast():
            output = context.modules["segmenter"].eval()(images)
        return full_size(output, images).logits

    def judge_loss(self, context: Context, contests: Sequence[Contest]) -> Tensor:
        """Return the loss of the discriminators on real images and on those of the pools."""
        losses = []
        for place, contest in enumerate(contests):
            pool = self.pools.setdefault(f"{contest.judge}-{place}", ImagePool(self.pool))
            rng = generator(context.seed, "pool", place, context.step, context.micro_batch)
            fake = pool.exchanged(contest.fake.float(), rng)
            on_real = judged(self.scores(context, contest.judge, contest.real.detach()), REAL)
            on_fake = judged(self.scores(context, contest.judge, fake), FAKE)
            losses.append((on_real + on_fake) / 2)
        return torch.stack(losses).sum()

    def scores(self, context: Context, judge: str, images: Tensor) -> Tensor:
        """Return what a discriminator says about images."""
        with context.autocast():
            scores: Tensor = context.modules[judge](images)
        return scores.float()

    # Alignment.

    def align(
        self, context: Context, source: SourceBatch, target: TargetBatch
    ) -> dict[str, Tensor]:
        """Train the domain classifier; while it is good enough, fool it and learn."""
        told, accuracy = self.classify(context, source, target)
        self.accuracies = [*self.accuracies, accuracy][-WINDOW:]
        if sum(self.accuracies) / len(self.accuracies) <= self.accuracy_from:
            return told
        output = context.forward(target.images, "target")
        with context.frozen("classifier"):
            fooling = self.feature_weight * self.domain_loss(context, output.logits, SOURCE_LABEL)
        context.backward(fooling)
        _, losses = context.supervised(source, self.aux_source_weight)
        context.update("network")
        return told | losses | {"fool_domain": fooling.detach()}

    def classify(
        self, context: Context, source: SourceBatch, target: TargetBatch
    ) -> tuple[dict[str, Tensor], float]:
        """Move the domain classifier; return its loss and how often it was right."""
        with torch.no_grad():
            scores = [
                context.forward(source.images, "source").logits,
                context.forward(target.images, "target").logits,
            ]
        losses, right = [], []
        for logits, label in zip(scores, (SOURCE_LABEL, TARGET_LABEL), strict=True):
            said = self.domains(context, logits)
            losses.append(functional.cross_entropy(said, full_of(said, label)))
            right.append((said.argmax(dim=1) == int(label)).float().mean())
        loss = torch.stack(losses).sum()
        context.backward(loss)
        context.update("classifier")
        return {"tell_domain": loss.detach()}, float(torch.stack(right).mean())

    def domain_loss(self, context: Context, logits: Tensor, label: float) -> Tensor:
        """Return the loss of the classifier if the maps came from the domain of ``label``."""
        said = self.domains(context, logits)
        return functional.cross_entropy(said, full_of(said, label))

    def domains(self, context: Context, logits: Tensor) -> Tensor:
        """Return two scores per position, (N, 2, H, W), source first."""
        with context.autocast():
            said: Tensor = context.modules["classifier"](logits)
        return said.float()

    def state_dict(self) -> dict[str, Any]:
        """Return pools, translations and the accuracies of the classifier."""
        return {
            "pools": {name: list(pool.images) for name, pool in self.pools.items()},
            "translations": list(self.translations),
            "accuracies": list(self.accuracies),
            "translating": [self.translating_from, self.translating_for],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.pools = {
            name: ImagePool(self.pool, list(images)) for name, images in state["pools"].items()
        }
        self.translations = list(state["translations"])
        self.accuracies = list(state["accuracies"])
        self.translating_from, self.translating_for = state["translating"]


def domain_classifier(num_classes: int) -> nn.Sequential:
    """Return the classifier of score maps of CyCADA: 1x1, C -> 512 -> 256 -> 2.

    After each hidden convolution whole channels are dropped, half of them, before the rectifier.
    """
    return nn.Sequential(
        nn.Conv2d(num_classes, 512, 1),
        nn.Dropout2d(0.5),
        nn.ReLU(inplace=True),
        nn.Conv2d(512, 256, 1),
        nn.Dropout2d(0.5),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 2, 1),
    )


def full_of(said: Tensor, label: float) -> Tensor:
    """Return a map of one domain label for scores (N, 2, H, W)."""
    count, _, *size = said.shape
    return said.new_full((count, *size), int(label), dtype=torch.long)
