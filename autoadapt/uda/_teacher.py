"""A mean teacher: a network whose weights follow those of a student."""

import copy

import torch
from torch import Tensor, nn

from autoadapt.networks.batch_norm import set_policy
from autoadapt.networks.contract import SegmentationNetwork

TEACHER = "teacher"
"""Name of the module that holds one, whoever keeps it."""


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


def share_kept(step: int, momentum: float) -> float:
    """Return ``min(1 - 1 / (step + 1), momentum)``, what a teacher keeps of itself.

    Step 0 copies the student, and early steps average over all students so far.
    """
    return min(1 - 1 / (step + 1), momentum)


def follow(teacher: nn.Module, student: nn.Module, step: int, momentum: float) -> None:
    """Move the parameters of the teacher towards the student; buffers stay (Tarvainen 2017).

    Args:
        teacher: Changed in place.
        student: Of the same form.
        step: Number of updates before this one.
        momentum: Largest weight kept, in [0, 1).
    """
    kept = share_kept(step, momentum)
    with torch.no_grad():
        mine: list[Tensor] = list(teacher.parameters())
        theirs: list[Tensor] = list(student.parameters())
        torch._foreach_mul_(mine, kept)
        torch._foreach_add_(mine, theirs, alpha=1 - kept)


def average(teacher: nn.Module, student: nn.Module, step: int, momentum: float) -> None:
    """Let a teacher that sees no images follow: ``follow``, and batch-norm statistics as well.

    Counters and other whole numbers are copied.
    """
    follow(teacher, student, step, momentum)
    kept = share_kept(step, momentum)
    with torch.no_grad():
        for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
            if mine.is_floating_point():
                mine.mul_(kept).add_(theirs, alpha=1 - kept)
            else:
                mine.copy_(theirs)
