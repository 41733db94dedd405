"""One round of labelling the target: a pass for the thresholds, a pass for the labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from autoadapt.data.batches import IGNORE
from autoadapt.data.training import TrainingData
from autoadapt.networks.batch_norm import Policy
from autoadapt.networks.contract import Output
from autoadapt.uda._pseudo_labels import balanced_labels
from autoadapt.uda._sweep import Sums, Sweep, Tally
from autoadapt.uda._thresholds import Confidences
from autoadapt.uda.base import Context

Maps = dict[str, Tensor]


@dataclass
class Labelling:
    """Passes over the target images of one round.

    Attributes:
        predictor: What predicts; absent: the network.
        policy: Batch-norm policy of the passes.
        prior: (C, H, W) factors on the class probabilities.
        found: (256,) how many pixels got each label in ``store``, ``IGNORE`` last.
    """

    context: Context
    data: TrainingData
    predictor: nn.Module | None = None
    policy: Policy = "eval"
    prior: Tensor | None = None
    found: Tensor = field(
        default_factory=lambda: torch.zeros(IGNORE + 1, dtype=torch.int64), init=False
    )

    def probabilities(self, output: Output) -> Tensor:
        """Return class probabilities (N, C, H, W), those times the prior where there is one."""
        probabilities = output.logits.softmax(dim=1)
        if self.prior is None:
            return probabilities
        return probabilities.mul_(self.prior.to(probabilities.device))

    def confidences(self) -> Confidences:
        """Make a pass and return how sure the predictions are."""
        confidences = Confidences(self.context.num_classes, self.ceilings())
        sweep = self.sweep("measuring confidence", {"confidences": confidences})
        for _, output in sweep:
            confidences.add(self.probabilities(output))
        return confidences

    def ceilings(self) -> Tensor | None:
        """Return the largest value of the predictions of each class, (C,), if it is not 1."""
        if self.prior is None:
            return None
        largest = self.prior.amax(dim=(1, 2))
        return torch.where(largest > 0, largest, 1.0)

    def store(
        self,
        label: Callable[[Tensor], Maps],
        thresholds: Tensor,
        shapes: Mapping[str, tuple[int, ...]],
        tallies: Mapping[str, Tally] | None = None,
    ) -> dict[str, str]:
        """Make a pass and store what it says about each image; none of it stays in memory.

        Args:
            label: Turns probabilities (N, C, H, W) into uint8 maps by name, ``labels`` among them.
            thresholds: What it decides by.
            shapes: Of one map of each name.
            tallies: What it adds up besides.

        Returns:
            References for ``Context.stored``, by name.
        """
        counted = {**(tallies or {}), "found": Sums({"found": self.found})}
        sweep = self.sweep("labelling", counted, shapes=shapes, thresholds=thresholds)
        for _, output in sweep:
            made = label(self.probabilities(output))
            labels = made["labels"].flatten()
            self.found += torch.bincount(labels, minlength=len(self.found)).cpu()
            sweep.put(**made)
        return sweep.references

    def store_balanced(self, thresholds: Tensor) -> dict[str, str]:
        """Store class-balanced labels alone."""
        return self.store(
            lambda probabilities: {"labels": balanced_labels(probabilities, thresholds)},
            thresholds,
            {"labels": self.data.target.size},
        )

    def sweep(
        self,
        doing: str,
        tallies: Mapping[str, Tally],
        *,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        thresholds: Tensor | None = None,
    ) -> Sweep[Output]:
        """Return a pass over the target."""
        return self.context.sweep(
            self.data,
            self.data.target,
            doing,
            predictor=self.predictor,
            policy=self.policy,
            tallies=tallies,
            shapes=shapes,
            given=(self.prior, thresholds),
        )

    def note(self, portion: float, thresholds: Tensor) -> None:
        """Write down how many pixels got a label; none is no error, training goes on without."""
        labelled = self.found[: self.context.num_classes]
        self.context.notes |= {
            "portion": portion,
            "labelled_pixels": int(labelled.sum()),
            "labelled_share": float(labelled.sum() / max(1, int(self.found.sum()))),
            "labelled_per_class": labelled.tolist(),
            "thresholds": thresholds.tolist(),
        }
