"""Other opinions about the target, held-out labels, and networks before training."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from autoadapt.networks.build import build
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap, upsample
from autoadapt.scores._agreement import pair_counts
from autoadapt.scores._collect import Sample, collect, locations
from autoadapt.scores._views import BRIGHTNESS, CONTRAST, DROPPED, MIXED, kept_channels
from autoadapt.scores._zero_cost import (
    classifier_of,
    fisher,
    grad_norm,
    grasp,
    jacov,
    l2_norm,
    naswot,
    saliencies,
    synflow,
)
from autoadapt.scores.base import Need, Statistics
from autoadapt.space.architecture import Architecture

HEIGHT, WIDTH, CLASSES = 6, 10, 3


class Whole:
    """Region maps of one region."""

    def __init__(self, images: int) -> None:
        self.images = images

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        return np.zeros((HEIGHT, WIDTH), np.uint16)

    def count(self, index: int) -> int:
        return 1


class Net(nn.Module):
    """Normalises the image, adds what depends on the column, and takes its channels as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(CLASSES, affine=False)
        self.norm.running_mean = torch.tensor([1.0, 0.0, -1.0])

    def forward(self, images: Tensor) -> Output:
        ramp = torch.linspace(0, 1, images.shape[-1])
        values = self.norm(images) + ramp * torch.eye(3)[0][:, None, None]
        return Output(values, Features(values, values, values), None)


def images(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, HEIGHT, WIDTH, generator=generator)


TARGET = images(5, 1)


def sample(batch: int = 2, target: Tensor = TARGET) -> Sample:
    labels = torch.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH) % 4
    labels[labels == 3] = 255
    return Sample(
        source=list(images(2, 0)[:, None]),
        target=[target[i : i + batch] for i in range(0, len(target), batch)],
        regions=Whole(len(target)),
        pixels_per_image=40,
        seed=3,
        held_out=[(images(2, 5), labels.repeat(2, 1, 1))],
        committee=[np.full((len(target), HEIGHT, WIDTH), member, np.uint8) for member in (2, 0)],
    )


def measured(*needs: Need, batch: int = 2) -> Statistics:
    return collect(Net(), sample(batch), costs={}, needs=frozenset(needs), teacher=Net())


def own_map(image: Tensor) -> NDArray[np.int64]:
    logits: Tensor = Net().eval()(image[None]).logits[0]
    return logits.argmax(0).numpy()


def counts_of(other: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    own = np.stack([own_map(image) for image in TARGET])
    return pair_counts(own, np.stack(other), CLASSES)


def test_nothing_is_measured_that_no_score_asks_for() -> None:
    found = measured()

    assert (found.held_out, found.source_prior, found.label_maps, found.classifier) == (None,) * 4
    assert (found.agreements, found.untrained) == ({}, {})


def test_mirrored_predictions_are_mirrored_back() -> None:
    (found,) = measured("mirrored").agreements["mirrored"]

    other = [own_map(image.flip(-1))[:, ::-1] for image in TARGET]
    np.testing.assert_array_equal(found, counts_of(other))
    assert np.trace(found) < found.sum()


def test_jittered_predictions() -> None:
    (found,) = measured("jittered").agreements["jittered"]

    other = [own_map(CONTRAST * image + BRIGHTNESS) for image in TARGET]
    np.testing.assert_array_equal(found, counts_of(other))


def test_each_image_is_its_own_batch_for_batch_norm() -> None:
    network = Net()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    (found,) = collect(
        network, sample(batch=3), costs={}, needs=frozenset({"batch_norm"})
    ).agreements["batch_norm"]

    def alone(image: Tensor) -> NDArray[np.int64]:
        logits: Tensor = Net().train()(image[None]).logits[0]
        return logits.argmax(0).numpy()

    np.testing.assert_array_equal(found, counts_of([alone(image) for image in TARGET]))
    assert np.trace(found) < 0.9 * found.sum()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
    assert network.norm.track_running_stats
    assert network.training


def test_batches_do_not_matter() -> None:
    needs: tuple[Need, ...] = ("mirrored", "batch_norm", "teacher", "label_maps", "committee")
    one, many = measured(*needs, batch=1), measured(*needs, batch=4)

    assert list(one.agreements) == list(many.agreements)
    for name, counts in one.agreements.items():
        np.testing.assert_array_equal(counts, many.agreements[name])
    assert one.label_maps is not None
    assert many.label_maps is not None
    np.testing.assert_array_equal(one.label_maps, many.label_maps)
    np.testing.assert_array_equal(one.label_maps[3], own_map(TARGET[3]))


def test_members_of_the_committee_one_by_one() -> None:
    first, second = measured("committee").agreements["committee"]

    # One always says class 2, the other always 0.
    assert (first[:, :2] == 0).all()
    assert (second[:, 1:] == 0).all()
    np.testing.assert_array_equal(first[:, 2], second[:, 0])
    assert first.sum() == TARGET.numel() / 3


def test_a_teacher_of_equal_weights_agrees() -> None:
    (found,) = measured("teacher").agreements["teacher"]

    assert np.trace(found) == found.sum() == TARGET.numel() / 3


def test_labels_of_held_out_source_images_without_void() -> None:
    held_out = measured("held_out").held_out

    assert held_out is not None
    assert held_out.counts.sum() == 2 * 45  # every fourth of 60 pixels is void
    labels = (np.arange(HEIGHT * WIDTH) % 4).reshape(HEIGHT, WIDTH)
    maps = [own_map(image) for image in images(2, 5)]
    assert held_out.counts[1, 2] == sum(((labels == 1) & (one == 2)).sum() for one in maps)
    cells = [
        labels[int(y * HEIGHT), int(x * WIDTH)]
        for image in range(2)
        for y, x in locations(3, "held_out", image, 40)
    ]
    np.testing.assert_array_equal(held_out.labels, [label for label in cells if label < 3])
    assert held_out.outputs.shape == (len(held_out.labels), CLASSES)
    assert len(held_out.features) == len(held_out.labels) < 80


class Tiny(SegmentationNetwork):
    """A convolution, a rectifier and a head, and an auxiliary head beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes, self.has_aux = 2, True
        self.taps = {role: Tap(2, 1) for role in ("low", "mid", "deep")}
        self.body, self.head, self.aux = (nn.Conv2d(i, 2, 1, bias=False) for i in (3, 2, 2))
        with torch.no_grad():
            self.body.weight.copy_(torch.tensor([[1.0, -2, 0], [0, 1, 1]])[..., None, None])
            self.head.weight.copy_(torch.tensor([[1.0, 0], [-1, 3]])[..., None, None])

    def encode(self, images: Tensor) -> Features:
        values = self.body(images).relu_()
        return Features(values, values, values)

    def decode(self, features: Features) -> Output:
        return Output(self.head(features.deep), features, self.aux(features.mid))

    def head_modules(self) -> list[nn.Module]:
        return [self.aux, self.head]


def test_synaptic_flow_by_hand() -> None:
    # |W1| on ones: (3, 2); |W2|: (3, 9), sum 12. Each of both layers conserves it, per pixel.
    assert synflow(Tiny(), (2, 3)) == pytest.approx(math.log(2 * 12 * 6))


def test_activation_patterns_by_hand() -> None:
    # Before the rectifier: (1 - 2, 1) = (-1, 1) and (1, 0): no sign is equal; (2 - 2, 2): (0, 2).
    pixels = torch.tensor([[1.0, 1, 0], [1, 0, 0], [2, 1, 1]])[..., None, None]

    # Signs (-, +), (+, -), (-, +): with the third alike the first, nothing tells them apart.
    assert naswot(Tiny(), pixels[:2]) == pytest.approx(0.0)
    assert naswot(Tiny(), pixels) == -math.inf


def test_gradient_of_the_entropy_against_differences() -> None:
    network, pixels = Tiny().double(), images(2, 9).double()

    def entropy() -> float:
        log_p = network(pixels).logits.log_softmax(1)
        return float((-(log_p.exp() * log_p).sum(1)).mean().detach())

    squares = 0.0
    with torch.no_grad():
        for parameter in [*network.body.parameters(), *network.head.parameters()]:
            for index in range(parameter.numel()):
                place = parameter.view(-1)
                place[index] += 1e-6
                high = entropy()
                place[index] -= 2e-6
                squares += ((high - entropy()) / 2e-6) ** 2
                place[index] += 1e-6
    assert grad_norm(network, pixels) == pytest.approx(math.log(squares) / 2, rel=1e-6)


def entropy_of(network: Tiny, pixels: Tensor) -> Tensor:
    log_p: Tensor = network(pixels).logits.log_softmax(1)
    entropy: Tensor = -(log_p.exp() * log_p).sum(1)
    return entropy.mean()


def test_saliencies_against_derivatives_along_the_weights() -> None:
    network, pixels = Tiny().double(), images(2, 9).double()
    weights = [network.body.weight, network.head.weight]
    start = [weight.detach().clone() for weight in weights]

    def at(scale: float) -> tuple[float, list[Tensor]]:
        with torch.no_grad():
            for weight, before in zip(weights, start, strict=True):
                weight.copy_(scale * before)
        loss = entropy_of(network, pixels)
        return float(loss.detach()), list(torch.autograd.grad(loss, weights))

    (high, up), (low, down), (_, here) = at(1 + 1e-5), at(1 - 1e-5), at(1)
    found = saliencies(network, pixels)

    # Along w itself the loss has the derivative w g; half the squared gradient has w H g.
    assert found["plain"] == pytest.approx((high - low) / 2e-5, rel=1e-5)
    squares = [sum(float(g.square().sum()) for g in each) / 2 for each in (up, down)]
    assert grasp(network, pixels) == pytest.approx(-(squares[0] - squares[1]) / 2e-5, rel=1e-5)
    total = sum(float((w * g).abs().sum()) for w, g in zip(start, here, strict=True))
    assert found["snip"] == pytest.approx(math.log(total))


def test_sensitivity_to_activations_by_scaling_them() -> None:
    network, pixels = Tiny().double(), images(3, 9).double()
    total = 0.0
    for layer in (network.body, network.head):
        for channel in range(2):
            for number in range(3):
                slopes = []
                for step in (1e-6, -1e-6):

                    def scale(
                        _: nn.Module, __: object, output: Tensor, step: float = step,
                        place: tuple[int, int] = (number, channel),
                    ) -> Tensor:  # fmt: skip
                        factor = torch.ones_like(output)
                        factor[place] += step
                        return output * factor

                    hook = layer.register_forward_hook(scale)
                    slopes.append(float(entropy_of(network, pixels).detach()))
                    hook.remove()
                total += ((slopes[0] - slopes[1]) / 2e-6) ** 2 / 2 / 3

    assert fisher(network, pixels) == pytest.approx(math.log(total), rel=1e-6)


def test_correlation_of_input_gradients_by_hand() -> None:
    # Body rows (1, -2, 0) and (0, 1, 1); what both heads together give to them: 2 and 3.
    pixels = torch.tensor([[1.0, 1, 0], [3, 1, 1]])[..., None, None].double()
    network = Tiny().double()
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[1.0, 0], [1, 3]])[..., None, None])

    # First image: features (-1, 1): (0, 3, 3); second: (1, 2): (2, -4, 0) + (0, 3, 3).
    correlation = np.corrcoef([[0, 3, 3], [2, -1, 3]])[0, 1]
    values = np.array([1 + correlation, 1 - correlation]) + 1e-5
    expected = -(np.log(values) + 1 / values).sum()
    assert jacov(network, pixels) == pytest.approx(expected)


def test_norms_of_the_weights_by_hand() -> None:
    # sqrt(1 + 4 + 1 + 1) and sqrt(1 + 1 + 9), and of the auxiliary head.
    network = Tiny()
    expected = math.sqrt(7) + math.sqrt(11) + float(network.aux.weight.detach().norm())

    assert l2_norm(network) == pytest.approx(expected)


def test_classifier_is_that_of_the_main_head() -> None:
    network = Tiny()
    network.head.weight.requires_grad_(False)

    found = classifier_of(network, images(1, 2))

    assert found is not None
    assert found.tolist() == [[1, 0], [-1, 3]]
    assert not network.head.weight.requires_grad


def test_classifier_of_several_branches(tiny_architecture: Architecture) -> None:
    network = build(tiny_architecture, 4, seed=1)

    found = classifier_of(network.eval(), torch.randn(1, 3, 32, 48))

    assert found is not None
    assert found.shape[0] == 4
    assert found.std() > 0


def class_maps(pixels: Tensor) -> NDArray[np.int64]:
    logits: Tensor = Net().eval()(pixels).logits
    return logits.argmax(1).numpy()


def test_smaller_and_larger_images() -> None:
    found = measured("scaled").agreements["scaled"]

    for counts, size in zip(found, ((4, 8), (8, 12)), strict=True):  # rounded to even numbers
        pixels = interpolate(TARGET, size=size, mode="bilinear", align_corners=False)
        logits: Tensor = Net().eval()(pixels).logits
        maps = upsample(logits, (HEIGHT, WIDTH)).argmax(1).numpy()
        np.testing.assert_array_equal(counts, counts_of(list(maps)))
    assert np.trace(found[0]) < found[0].sum()


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_each_image_is_mixed_with_the_one_before(batch: int) -> None:
    found = measured("mixed", batch=batch).agreements
    own = class_maps(TARGET)
    mixed = class_maps(MIXED * TARGET[1:] + (1 - MIXED) * TARGET[:-1])

    same = own[1:] == own[:-1]
    (intra,), (inter,) = found["mixed_intra"], found["mixed_inter"]
    np.testing.assert_array_equal(intra, pair_counts(own[1:][same], mixed[same], CLASSES))
    np.testing.assert_array_equal(inter, pair_counts(own[1:][~same], mixed[~same], CLASSES))
    assert intra.sum() + inter.sum() == 4 * HEIGHT * WIDTH
    assert np.trace(inter) < inter.sum()


class Wide(SegmentationNetwork):
    """Twenty features that are rectified mixtures of the colours, and a head of three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes, self.has_aux = CLASSES, False
        self.taps = {role: Tap(20, 1) for role in ("low", "mid", "deep")}
        self.body, self.head = nn.Conv2d(3, 20, 1), nn.Conv2d(20, CLASSES, 1)
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def encode(self, images: Tensor) -> Features:
        values = self.body(images).relu()
        return Features(values, values, values)

    def decode(self, features: Features) -> Output:
        return Output(self.head(features.deep), features, None)

    def head_modules(self) -> list[nn.Module]:
        return [self.head]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_channels_of_the_deep_features_are_dropped(batch: int) -> None:
    network = Wide().eval()
    (found,) = collect(network, sample(batch), costs={}, needs=frozenset({"dropped"})).agreements[
        "dropped"
    ]

    own, other = [], []
    with torch.no_grad():
        for number, image in enumerate(TARGET):
            features = network.encode(image[None])
            kept = torch.from_numpy(kept_channels(3, number, 20))
            deep = features.deep * kept[:, None, None] / (1 - DROPPED)
            own.append(network.head(features.deep)[0].argmax(0).numpy())
            other.append(network.head(deep)[0].argmax(0).numpy())
    expected = pair_counts(np.stack(own), np.stack(other), CLASSES)
    np.testing.assert_array_equal(found, expected)
    assert 0 < np.trace(found) < found.sum()
    assert "decode" not in vars(network)


def test_a_share_of_the_channels_is_dropped_for_every_image_anew() -> None:
    kept = np.stack([kept_channels(3, number, 1000) for number in range(4)])

    assert kept.mean() == pytest.approx(1 - DROPPED, abs=0.03)
    assert (kept[0] != kept[1]).any()
    np.testing.assert_array_equal(kept[2], kept_channels(3, 2, 1000))


def test_a_network_without_a_decoder_of_its_own_drops_nothing() -> None:
    assert measured("dropped").agreements == {}


def test_vote_of_the_committee() -> None:
    (found,) = measured("committee").agreements["ensemble"]

    # One member always says class 2, the other always 0: half a vote for each.
    own = np.bincount(class_maps(TARGET).ravel(), minlength=CLASSES)
    np.testing.assert_allclose(found, np.outer(own, [0.5, 0, 0.5]))
