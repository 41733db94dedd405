"""Generators, patch discriminators and image pools."""

from pathlib import Path

import numpy as np
import pytest
import torch

from autoadapt.uda._translation import (
    FAKE,
    REAL,
    Generator,
    ImagePool,
    PatchDiscriminator,
    from_signed,
    judged,
    to_signed,
)


def test_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        generator, judge = Generator(), PatchDiscriminator()
    assert sum(p.numel() for p in generator.parameters()) == 11_378_179
    assert sum(p.numel() for p in judge.parameters()) == 2_764_737


def test_the_official_patch_discriminator(vectors: Path) -> None:
    """Official names count the layers without parameters alike, so weights go by order."""
    with np.load(vectors / "madan_patch_discriminator.npz") as case:
        weights = [torch.from_numpy(case[name]) for name in case.files if name.startswith("w_")]
        judge = PatchDiscriminator(width=3)
        for parameter, weight in zip(judge.parameters(), weights, strict=True):
            parameter.data.copy_(weight)
        found = judge(torch.from_numpy(case["in_x"])).detach()
        np.testing.assert_allclose(found, case["out_y"], rtol=1e-3, atol=1e-4)


def test_least_squares(vectors: Path) -> None:
    with np.load(vectors / "madan_ganloss.npz") as case:
        scores = torch.from_numpy(case["in_d"]).requires_grad_()
        real, fake = judged(scores, REAL), judged(scores, FAKE)
        assert real.item() == pytest.approx(float(case["out_loss_real"]), rel=1e-5)
        assert fake.item() == pytest.approx(float(case["out_loss_fake"]), rel=1e-5)
        (gradient,) = torch.autograd.grad(real, scores)
        np.testing.assert_allclose(gradient, case["out_grad_real"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(32, 48), (37, 50), (33, 47)])
def test_a_generator_keeps_the_size(size: tuple[int, int]) -> None:
    made = Generator(width=4, blocks=1)(torch.zeros(2, 3, *size))
    assert made.shape == (2, 3, *size)
    assert made.abs().max() <= 1


def test_dropout_lies_between_the_convolutions_of_a_block() -> None:
    names = [type(part).__name__ for part in Generator(2, 1, dropout=0.5).modules()]
    assert names.count("Dropout") == 1
    assert "Dropout" not in [type(part).__name__ for part in Generator(2, 1).modules()]


def test_signed_colours() -> None:
    images = torch.randn(1, 3, 4, 5)
    signed = to_signed(images, "imagenet")
    black = from_signed(torch.full((1, 3, 1, 1), -1.0), "imagenet")
    torch.testing.assert_close(
        black.flatten(),
        torch.tensor([-0.485, -0.456, -0.406]) / torch.tensor([0.229, 0.224, 0.225]),
    )
    torch.testing.assert_close(from_signed(signed, "imagenet"), images)


def numbered(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_a_pool_fills_and_then_exchanges_half() -> None:
    pool, rng = ImagePool(size=4), np.random.default_rng(0)
    assert torch.equal(pool.exchanged(numbered(0, 1, 2, 3), rng), numbered(0, 1, 2, 3))
    returned = [int(pool.exchanged(numbered(n), rng)[0, 0, 0, 0]) for n in range(4, 404)]
    fresh = sum(old == new for old, new in zip(returned, range(4, 404), strict=True))
    assert 160 < fresh < 240  # 200 expected, deviation 10
    assert len(pool.images) == 4
    old = [number for number, new in zip(returned, range(4, 404), strict=True) if number != new]
    assert len(old) == len(set(old))  # none comes out twice


def test_a_pool_of_size_0_returns_what_it_is_given() -> None:
    pool, rng = ImagePool(size=0), np.random.default_rng(0)
    assert torch.equal(pool.exchanged(numbered(1, 2), rng), numbered(1, 2))
    assert not pool.images
