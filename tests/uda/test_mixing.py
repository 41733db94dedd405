"""Class mixing, mean teachers and strong augmentation, against official numbers and by hand."""

import dataclasses
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.transforms import from_pixels, to_pixels
from autoadapt.errors import ConfigError
from autoadapt.networks.build import build
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.plugins import find
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted, Loop, Progress, fit
from autoadapt.uda._mixing import (
    PseudoLabels,
    class_mask,
    half_of,
    mean_over_all_pixels,
    mixed,
    present_classes,
    pseudo_labels,
)
from autoadapt.uda._strong import blurred, strongly_augmented
from autoadapt.uda._teacher import follow, teacher_of
from autoadapt.uda.base import Context
from autoadapt.uda.crst import Crst
from autoadapt.uda.da_former import DaFormer, RareClasses, cell_labels, feature_distance
from autoadapt.uda.dacs import Dacs
from autoadapt.uda.mic import Mic, block_mask, grid

Case = dict[str, Tensor]


def load(folder: Path, name: str) -> Case:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def part(case: Case, prefix: str) -> Case:
    return {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}


def lists(values: Tensor, offsets: Tensor) -> list[list[int]]:
    return [values[start:stop].tolist() for start, stop in pairwise(offsets.tolist())]


# Class mixing.


def test_dacs_mixes_the_drawn_classes(vectors: Path) -> None:
    case = load(vectors, "dacs_class_mix")
    chosen = lists(case["in_chosen_classes"], case["in_chosen_offsets"])
    source = case["in_source_label"]
    mask = torch.stack([class_mask(one, two) for one, two in zip(source, chosen, strict=True)])
    assert torch.equal(mask.long(), case["out_mask"])
    assert torch.equal(mixed(mask, case["in_source"], case["in_target"]), case["out_mixed"])
    labels = mixed(mask, source, case["in_target_label"])
    assert torch.equal(labels, case["out_mixed_label"])
    for one, classes in zip(source, chosen, strict=True):
        present = present_classes(one)
        assert len(half_of(present, np.random.default_rng(0))) == len(classes)
        assert set(classes) <= set(present)


def test_daformer_draws_from_the_whole_batch(vectors: Path) -> None:
    case = load(vectors, "daformer_class_mix")
    source, chosen = case["in_source_label"][:, 0], case["in_chosen_classes"]
    mask = torch.stack(
        [class_mask(one, two.tolist()) for one, two in zip(source, chosen, strict=True)]
    )
    assert torch.equal(mask.long(), case["out_mask"])
    assert torch.equal(mixed(mask, case["in_source"], case["in_target"]), case["out_mixed"])
    labels = mixed(mask, source, case["in_target_label"])
    assert torch.equal(labels, case["out_mixed_label"][:, 0])
    weights = mixed(mask, torch.ones_like(case["in_target_weight"]), case["in_target_weight"])
    assert torch.equal(weights, case["out_mixed_weight"][:, 0])
    assert len(half_of(present_classes(source), np.random.default_rng(0))) == chosen.shape[1]


def test_half_of_the_classes_is_rounded_up_and_depends_on_the_generator_alone() -> None:
    classes = [0, 2, 5, 7, 255]
    drawn = {tuple(half_of(classes, np.random.default_rng(seed))) for seed in range(40)}
    assert all(len(set(one)) == 3 and set(one) <= set(classes) for one in drawn)
    assert len(drawn) > 5
    assert half_of([3], np.random.default_rng(1)) == [3]


@pytest.mark.parametrize(("pool", "expected"), [("image", {1}), ("batch", {0, 1, 2})])
def test_classes_come_from_the_image_or_from_the_batch(pool: str, expected: set[int]) -> None:
    labels = torch.tensor([[[1, 1, 1]], [[0, 2, 2]]])
    method = Dacs(classes_from=pool)  # type: ignore[arg-type]
    offered: list[set[int]] = []

    def chosen(context: Context, labels: Tensor, number: int) -> list[int]:
        offered.append(set(present_classes(labels)))
        return []

    method.chosen = chosen  # type: ignore[method-assign]
    context = Context(nn.Module(), 3, TrainingSettings(steps=1), torch.device("cpu"))  # type: ignore[arg-type]
    assert not method.mask(context, labels).any()
    assert offered[0] == expected


# Pseudo-labels and losses.


def test_pseudo_labels_and_weights(vectors: Path) -> None:
    case = load(vectors, "mic_pseudo_label_weight")
    threshold = float(case["in_threshold"])
    whole = pseudo_labels(case["in_logits"], threshold)
    assert torch.equal(whole.labels, case["out_label"])
    torch.testing.assert_close(whole.weights, case["out_weight"], rtol=1e-6, atol=1e-7)
    top, bottom = int(case["in_ignore_top"]), int(case["in_ignore_bottom"])
    cut = pseudo_labels(case["in_logits"], threshold, top=top, bottom=bottom)
    torch.testing.assert_close(cut.weights, case["out_weight_filtered"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["dacs_pixel_weighted_ce", "daformer_ce"])
def test_cross_entropy_over_all_pixels(vectors: Path, name: str) -> None:
    case = load(vectors, name)
    logits = case["in_logits"].requires_grad_()
    loss = mean_over_all_pixels(logits, case["in_label"], case["in_weight"])
    dacs = name.startswith("dacs")
    wanted = case["out_loss" if dacs else "out_loss_weighted"]
    torch.testing.assert_close(loss, wanted, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    expected = case["out_grad_logits" if dacs else "out_grad_logits_weighted"]
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8)
    if not dacs:
        plain = mean_over_all_pixels(logits, case["in_label"])
        torch.testing.assert_close(plain, case["out_loss"], rtol=1e-5, atol=1e-6)


# Masked images.


def test_blocks_are_hidden(vectors: Path) -> None:
    case = load(vectors, "mic_block_mask")
    size, block = (40, 48), int(case["in_block"])
    uniform = case["in_uniform"][:, 0].numpy()
    assert grid(size, block) == uniform.shape[1:]
    mask = block_mask(uniform, size, float(case["in_ratio"]))
    assert torch.equal(mask, case["out_mask"])
    assert torch.equal(case["in_x"] * mask, case["out_masked"])


@pytest.mark.parametrize(
    ("size", "expected"),
    [((512, 512), (16, 16)), ((1024, 1024), (16, 16)), ((120, 160), (15, 20)), ((8, 30), (8, 30))],
)
def test_blocks_grow_with_the_image(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """32 pixels of 512 and 64 of 1024 as published; 8 of 120."""
    assert grid(size, None) == expected


@pytest.mark.parametrize(
    "host", ["source_only", "min_ent", "advent", "da_former", "crst", "dast", "intra_da", "tpld"]
)
def test_a_host_learns_masked_images_too(
    host: str, tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    options = dict(find("uda", host).smoke_options) | {"warm_up": 0.0}
    method = make(
        "uda",
        PluginSettings(
            name="mic", options={"host": host, "host_options": options, "mask_threshold": 0.0}
        ),
    )
    settings = TrainingSettings(steps=2, checkpoint_every=1)
    seen: list[Progress] = []
    fit(
        method, build(tiny_architecture, 4, seed=5), toy_data, settings, seed=1,
        device=torch.device("cpu"), on_progress=seen.append,
    )  # fmt: skip
    assert [one.losses["masked"] > 0 for one in seen if not one.doing] == [True, True]


def test_a_host_keeps_its_own_defaults_and_takes_what_is_set() -> None:
    own = Mic(host="crst").guest
    assert isinstance(own, Crst)
    assert (own.warm_up, own.portion) == (0.5, 0.2)
    given = Mic(host="crst", warm_up=0.2, preset="quick").guest
    assert isinstance(given, Crst)
    assert (given.warm_up, given.portion, given.preset) == (0.2, 0.3, "quick")
    named = Mic(host="crst", warm_up=0.2, host_options={"warm_up": 0.3}).guest
    assert named.warm_up == 0.3


@pytest.mark.parametrize(("start", "policy"), [({}, "train"), ({"file": "known"}, "eval")])
def test_a_host_knows_whether_the_network_was_trained_before(
    start: dict[str, str], policy: str,
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path,
) -> None:  # fmt: skip
    loop = Loop(
        Mic(host="crst"), build(tiny_architecture, 4), toy_data, TrainingSettings(steps=4),
        seed=1, device=torch.device("cpu"), scratch=tmp_path, start=start,
    )  # fmt: skip
    assert [stretch.phase.batch_norm for stretch in loop.stretches] == ["train", policy, policy]


def test_the_masked_gradient_is_added_to_that_of_the_host(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    """With SGD without momentum, the moves of one step add up."""

    def moved(method: PluginSettings) -> Tensor:
        network = build(tiny_architecture, 4, seed=5)
        start = network.get_parameter("layer6.conv2d_list.0.weight").detach().clone()
        settings = TrainingSettings(steps=1, learning_rate=0.1, weight_decay=0.0, momentum=0.0)
        fit(make("uda", method), network, toy_data, settings, seed=1, device=torch.device("cpu"))
        return network.get_parameter("layer6.conv2d_list.0.weight").detach() - start

    options = {"mask_threshold": 0.0, "mask_jitter": 0.0}
    host = moved(PluginSettings(name="source_only"))
    moves = [
        moved(
            PluginSettings(
                name="mic", options=options | {"host": "source_only", "masked_weight": weight}
            )
        )
        for weight in (0.0, 1.0, 2.0)
    ]
    torch.testing.assert_close(moves[0], host)
    torch.testing.assert_close(moves[2] - host, 2 * (moves[1] - host), rtol=1e-3, atol=1e-7)
    assert (moves[1] - host).abs().max() > 1e-6


def test_methods_that_are_added_are_not_added_to_each_other() -> None:
    with pytest.raises(ConfigError, match="cannot be added to 'mic'"):
        Mic(host="mic")


# Teachers.


def test_the_teacher_follows_as_officially(vectors: Path) -> None:
    case = load(vectors, "ema_teacher")
    teacher = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
    student = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
    first, norm = teacher[0], teacher[1]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        first.weight.copy_(case["in_teacher_conv0"])
        norm.weight.copy_(case["in_teacher_bn0"])
        norm.running_mean.copy_(case["in_teacher_running_mean0"])  # type: ignore[union-attr]
    for number, step in enumerate(case["in_iterations"].tolist()):
        with torch.no_grad():
            student[0].weight.copy_(case["in_student_conv"][number])  # type: ignore[operator]
            student[1].weight.copy_(case["in_student_bn"][number])  # type: ignore[operator]
        follow(teacher, student, step, float(case["in_alpha"]))
        close = dataclasses.asdict(Close(1e-6))
        torch.testing.assert_close(first.weight.data, case["out_teacher_conv"][number], **close)
        torch.testing.assert_close(norm.weight.data, case["out_teacher_bn"][number], **close)
    assert torch.equal(norm.running_mean, case["out_teacher_running_mean"])  # type: ignore[arg-type]


@dataclass
class Close:
    """The same relative and absolute tolerance."""

    rtol: float
    atol: float = field(init=False)

    def __post_init__(self) -> None:
        self.atol = self.rtol


def test_a_teacher_normalises_by_batch_and_drops_nothing(tiny_architecture: Architecture) -> None:
    student = build(tiny_architecture, 4, seed=5).train()
    student.add_module("dropout", nn.Dropout())
    teacher = teacher_of(student)
    modes = {type(module): module.training for module in teacher.modules()}
    assert modes[nn.BatchNorm2d]
    assert not modes[nn.Dropout]
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


# DAFormer.


def test_cells_take_the_class_that_rules_them(vectors: Path) -> None:
    case = load(vectors, "daformer_downscale_label")
    wanted = case["out_label_small"][:, 0]
    share = float(case["in_min_ratio"])
    found = cell_labels(case["in_label"][:, 0], wanted.shape[1:], int(case["in_n_classes"]), share)
    assert torch.equal(found, wanted)


def test_feature_distance(vectors: Path) -> None:
    case = load(vectors, "daformer_masked_feature_distance")
    mine = case["in_f1"].requires_grad_()
    mask = case["in_mask"][:, 0].bool()
    distance = feature_distance(mine, case["in_f2"], mask)
    torch.testing.assert_close(distance, case["out_dist"], rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(distance, mine)
    torch.testing.assert_close(gradient, case["out_grad_f1"], rtol=1e-4, atol=1e-7)
    everywhere = feature_distance(mine, case["in_f2"], torch.ones_like(mask))
    torch.testing.assert_close(everywhere, case["out_dist_unmasked"], rtol=1e-5, atol=1e-6)
    nowhere = feature_distance(mine, case["in_f2"], torch.zeros_like(mask))
    assert nowhere == 0
    (gradient,) = torch.autograd.grad(nowhere, mine)
    assert torch.equal(gradient, case["out_grad_empty_mask"])


def test_equal_features_have_a_finite_gradient() -> None:
    """Before the first step the network is its own twin, and a norm has no slope at 0."""
    same = torch.ones(1, 3, 2, 4, requires_grad=True)
    feature_distance(same, same.detach(), torch.ones(1, 2, 4, dtype=torch.bool)).backward()  # type: ignore[no-untyped-call]
    assert same.grad is not None
    assert torch.equal(same.grad, torch.zeros_like(same))


def rare(data: TrainingData, pixels: list[list[int]], share: float) -> RareClasses:
    return RareClasses(np.array(pixels), data, share, temperature=1.0)


def test_images_are_drawn_for_the_classes_they_show(toy_data: TrainingData) -> None:
    """48 x 32 pixels, of which 10 % are 153.6: class 2 is shown by images 1 and 4 alone."""
    pixels = [[900, 0, 153, 0], [900, 0, 154, 0], [900, 0, 0, 0], [900, 0, 0, 0], [900, 0, 400, 0]]
    sampler = rare(toy_data, pixels, 0.1)
    drawn = [sampler.drawn(np.random.default_rng(seed), 0.1 * 32 * 48) for seed in range(200)]
    assert {label for label, _ in drawn} == {0, 2}
    assert {index for label, index in drawn if label == 2} == {1, 4}
    assert {index for label, index in drawn if label == 0} == {0, 1, 2, 3, 4}
    # Shares of the pixels: 4500/5207 and 707/5207, so class 2 is e^0.728 = 2.07 times likelier:
    # 135 of 200 expected, with a standard deviation of 6.6.
    assert 108 < sum(label == 2 for label, _ in drawn) < 162


def test_without_an_image_that_shows_enough_all_are_drawn(toy_data: TrainingData) -> None:
    sampler = rare(toy_data, [[1, 1, 1, 1]] * 5, 0.5)
    drawn = {sampler.drawn(np.random.default_rng(seed), 768.0) for seed in range(60)}
    assert {index for _, index in drawn} == {0, 1, 2, 3, 4}


def test_a_batch_of_rare_classes_is_a_function_of_the_step(toy_data: TrainingData) -> None:
    data = replace(toy_data, settings=replace(toy_data.settings, crop=(16, 16)))
    sampler = rare(data, [[900, 10, 154, 0]] * 5, 0.1)
    first, again, other = sampler.batch(3), sampler.batch(3), sampler.batch(4)
    assert torch.equal(first.images, again.images)
    assert first.ids == again.ids
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (2, 3, 16, 16)


# Two official steps.


class Single(SegmentationNetwork):
    """A network of one output that carries official training steps."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.num_classes, self.has_aux = classes, False
        self.taps = {name: Tap(8, 2) for name in ("low", "mid", "deep")}

    def head_modules(self) -> list[nn.Module]:
        return [self.head]  # type: ignore[list-item]


class DacsCarrier(Single):
    """Convolution, batch normalisation, head."""

    def __init__(self) -> None:
        super().__init__(5)
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 5, 1)

    def encode(self, images: Tensor) -> Features:
        features = self.bn1(self.conv1(images)).relu()
        return Features(features, features, features)

    def decode(self, features: Features) -> Output:
        return Output(self.head(features.deep), features, None)


class DaFormerCarrier(Single):
    """Convolution and head; enlarges its logits itself, without aligned corners."""

    def __init__(self) -> None:
        super().__init__(5)
        self.enc = nn.Conv2d(3, 8, 5, stride=4, padding=2)
        self.head = nn.Conv2d(8, 5, 1)

    def encode(self, images: Tensor) -> Features:
        features = self.enc(images).tanh()
        return Features(features, features, features)

    def decode(self, features: Features) -> Output:
        logits = functional.interpolate(self.head(features.deep), scale_factor=4, mode="bilinear")
        return Output(logits, features, None)


@dataclass
class ReplayedDacs(Dacs):
    """DACS on recorded images and draws; keeps what was mixed."""

    case: Case = field(default_factory=dict, init=False)
    seen: list[Tensor] = field(default_factory=list, init=False)

    def setup(self, context: Context) -> None:
        super().setup(context)
        load_weights(context.modules["teacher"], part(self.case, "w_teacher."))

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        return recorded(self.case, step)

    def chosen(self, context: Context, labels: Tensor, number: int) -> list[int]:
        drawn = lists(self.case["in_chosen_classes"], self.case["in_chosen_offsets"])
        return drawn[2 * context.step + number]

    def begin_round(self, *_: object) -> None:
        """The official teacher is copied after the first step."""

    def pixel_loss(
        self, context: Context, logits: Tensor, labels: Tensor, weights: Tensor
    ) -> Tensor:
        self.seen[:] = [labels, weights]
        return super().pixel_loss(context, logits, labels, weights)


@dataclass
class ReplayedDaFormer(DaFormer):
    """DAFormer on recorded images and draws."""

    case: Case = field(default_factory=dict, init=False)
    seen: list[Tensor] = field(default_factory=list, init=False)

    def setup(self, context: Context) -> None:
        super().setup(context)
        load_weights(context.modules["teacher"], part(self.case, "w_teacher."))
        load_weights(context.modules["twin"], part(self.case, "w_reference."))
        self.held = tuple(self.case["in_fd_classes"].tolist())

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        return recorded(self.case, step)

    def chosen(self, context: Context, labels: Tensor, number: int) -> list[int]:
        drawn = lists(self.case["in_chosen_classes"], self.case["in_chosen_offsets"])
        return drawn[2 * context.step + number]

    def begin_round(self, *_: object) -> None:
        """Classes are recorded."""

    def labelled(self, output: Output) -> PseudoLabels:
        return pseudo_labels(output.logits, self.threshold, top=2, bottom=3)

    def pixel_loss(
        self, context: Context, logits: Tensor, labels: Tensor, weights: Tensor
    ) -> Tensor:
        self.seen += [labels, weights]
        return super().pixel_loss(context, logits, labels, weights)


def recorded(case: Case, step: int) -> StepBatch:
    labels = case["in_label"][step]
    labels = labels[:, 0] if labels.dim() == 4 else labels
    source = SourceBatch(case["in_source"][step], labels, ("s0", "s1"))
    return StepBatch(source, TargetBatch(case["in_target"][step], ("t0", "t1")))


def replayed(
    method: Dacs, network: SegmentationNetwork, data: TrainingData, settings: TrainingSettings
) -> tuple[Fitted, list[list[float]]]:
    rows: list[list[float]] = []
    five = replace(data, num_classes=5)
    fitted = fit(
        method,
        network,
        five,
        settings,
        seed=0,
        device=torch.device("cpu"),
        on_progress=lambda progress: rows.append(list(progress.losses.values())),
    )
    return fitted, rows


def check_weights(module: nn.Module, wanted: Case) -> None:
    assert wanted
    for name, tensor in wanted.items():
        torch.testing.assert_close(module.state_dict()[name], tensor, rtol=1e-4, atol=2e-5)


def test_two_official_steps_of_dacs(vectors: Path, toy_data: TrainingData) -> None:
    case = load(vectors, "dacs_two_steps")
    method = ReplayedDacs(jitter=0.0, blur=False)
    method.case = case
    network = DacsCarrier()
    load_weights(network, part(case, "w_student."))
    settings = TrainingSettings(
        steps=2, horizon=int(case["in_max_iters"]), learning_rate=float(case["in_learning_rate"]),
        checkpoint_every=1,
    )  # fmt: skip
    fitted, rows = replayed(method, network, toy_data, settings)
    np.testing.assert_allclose(rows, case["out_losses"], rtol=1e-4, atol=1e-6)
    labels, weights = method.seen
    assert torch.equal(labels.float(), case["out_targets_last"])
    torch.testing.assert_close(weights, case["out_weight_last"], rtol=1e-4, atol=2e-5)
    check_weights(fitted.network, part(case, "out_student."))
    check_weights(fitted.modules["teacher"], part(case, "out_teacher."))


def test_two_official_steps_of_daformer(vectors: Path, toy_data: TrainingData) -> None:
    case = load(vectors, "daformer_two_steps")
    method = ReplayedDaFormer(
        momentum=float(case["in_alpha"]), feature_weight=float(case["in_fd_weight"]),
        jitter=0.0, blur=False, ramp=0.0, power=0.0,
    )  # fmt: skip
    method.case = case
    network = DaFormerCarrier()
    load_weights(network, part(case, "w_student."))
    settings = TrainingSettings(
        steps=2, learning_rate=float(case["in_learning_rate"]), head_multiplier=1.0,
        weight_decay=0.0, checkpoint_every=1,
    )  # fmt: skip
    fitted, rows = replayed(method, network, toy_data, settings)
    np.testing.assert_allclose(rows, case["out_losses"], rtol=1e-4, atol=1e-6)
    labels, weights = torch.stack(method.seen[::2]), torch.stack(method.seen[1::2])
    assert torch.equal(labels, case["out_mixed_label"][:, :, 0])
    torch.testing.assert_close(weights, case["out_mixed_weight"], rtol=1e-4, atol=2e-5)
    check_weights(fitted.network, part(case, "out_student."))
    check_weights(fitted.modules["teacher"], part(case, "out_teacher."))


# Strong augmentation.


def test_blur_is_a_gaussian_over_a_tenth_of_the_side() -> None:
    """Sides of 24 and 44 pixels have kernels of 3 and 5; one bright pixel shows the weights."""
    pixels = torch.zeros(1, 3, 24, 44, dtype=torch.float64)
    pixels[0, 1, 10, 20] = 1
    found = blurred(pixels, deviation=0.8)
    rows = torch.exp(-(torch.tensor([-1.0, 0, 1], dtype=torch.float64) ** 2) / 1.28)
    columns = torch.exp(-(torch.tensor([-2.0, -1, 0, 1, 2], dtype=torch.float64) ** 2) / 1.28)
    wanted = torch.outer(rows / rows.sum(), columns / columns.sum())
    torch.testing.assert_close(found[0, 1, 9:12, 18:23], wanted)
    assert found.sum() == pytest.approx(1)
    assert not found[0, [0, 2]].any()


@pytest.mark.parametrize("convention", ["imagenet", "caffe_bgr"])
def test_augmentation_happens_in_pixels(convention: str) -> None:
    pixels = torch.rand(2, 3, 20, 30) * 255
    images = from_pixels(pixels, convention)  # type: ignore[arg-type]
    torch.testing.assert_close(to_pixels(images, convention), pixels, rtol=0, atol=1e-3)  # type: ignore[arg-type]
    seen = [
        strongly_augmented(images, convention, np.random.default_rng(seed), strength=0.25)  # type: ignore[arg-type]
        for seed in range(12)
    ]
    unchanged = [torch.equal(one, images) for one in seen]
    assert any(unchanged)
    assert not all(unchanged)
    for one in seen:
        back = to_pixels(one, convention)  # type: ignore[arg-type]
        assert back.min() > -1e-3
        assert back.max() < 255.001
