from pathlib import Path

import numpy as np
import pytest
import torch

from autoadapt.uda._discriminator import SMALLEST, output_discriminator


def test_size_as_published() -> None:
    # 16 * (19*64 + 64*128 + 128*256 + 256*512 + 512*1) + 64 + 128 + 256 + 512 + 1
    module = output_discriminator(19)
    assert sum(parameter.numel() for parameter in module.parameters()) == 2_781_121


@pytest.mark.parametrize(
    ("size", "scores"), [((SMALLEST, SMALLEST), (1, 1)), ((64, 100), (2, 3)), ((95, 32), (2, 1))]
)
def test_one_score_per_32_pixels(size: tuple[int, int], scores: tuple[int, int]) -> None:
    module = output_discriminator(3, width=2)
    assert module(torch.rand(2, 3, *size)).shape == (2, 1, *scores)


def test_official_discriminator(vectors: Path) -> None:
    with np.load(vectors / "advent_discriminator.npz") as file:
        case = {key: torch.from_numpy(file[key]) for key in file.files}
    module = output_discriminator(7, width=3)
    prefix = "w_"
    weights = {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}
    module.load_state_dict(weights)  # the same places in the sequence as in AdvEnt
    images = case["in_x"].requires_grad_()
    scores = module(images)
    scores.mean().backward()
    torch.testing.assert_close(scores.detach(), case["out_y"], rtol=1e-4, atol=1e-6)
    assert images.grad is not None
    shown = images.grad[:, :, ::4, ::4]
    torch.testing.assert_close(shown, case["out_grad_x_of_mean"], rtol=1e-3, atol=1e-8)
