"""A mean teacher: a network whose weights follow those of a student."""

import copy

import torch
from torch import Tensor, nn

from autoadapt.networks.batch_norm import set_policy
from autoadapt.networks.contract import SegmentationNetwork


def teacher_of(student: SegmentationNetwork) -> SegmentationNetwork:
    """Return a copy that no optimiser moves.

    Its batch normalisation uses, and updates, statistics of the batch, as in the released code
    of DACS and DAFormer: running statistics follow the target. Everything else, such as dropout,
    is in evaluation mode.
    """
    teacher = copy.deepcopy(student).requires_grad_(False)
    return ready(teacher)


def ready(teacher: SegmentationNetwork) -> SegmentationNetwork:
    """Put a teacher into the modes it teaches in."""
    teacher.eval()
    set_policy(teacher, "train")
    return teacher


def copy_weights(teacher: nn.Module, student: nn.Module) -> None:
    """Set parameters and buffers of the teacher to those of the student."""
    teacher.load_state_dict(student.state_dict())


def follow(teacher: nn.Module, student: nn.Module, step: int, momentum: float) -> None:
    """Move the parameters of the teacher towards the student; buffers stay (Tarvainen 2017).

    The weight kept is ``min(1 - 1 / (step + 1), momentum)``: step 0 copies, and early steps
    average over all students so far.

    Args:
        teacher: Changed in place.
        student: Of the same form.
        step: Number of updates before this one.
        momentum: Largest weight kept, in [0, 1).
    """
    kept = min(1 - 1 / (step + 1), momentum)
    with torch.no_grad():
        mine: list[Tensor] = list(teacher.parameters())
        theirs: list[Tensor] = list(student.parameters())
        torch._foreach_mul_(mine, kept)
        torch._foreach_add_(mine, theirs, alpha=1 - kept)
