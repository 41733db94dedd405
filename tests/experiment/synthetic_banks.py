"""Banks of models that were never trained: truths and scores with known relations."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from autoadapt.experiment.bank_file import Bank, BankModel
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.records import Record
from autoadapt.space import Architecture

STRENGTHS = {
    "mmd": 0.3,
    "entropy": 0.2,
    "reent": 0.2,
    "softmax_corr": 1.5,
    "source_miou": 0.8,
    "committee_agreement": 1.5,
    "batch_norm_agreement": 1.0,
    "ts_miou": 1.0,
    "useless": 0.0,
}
"""How much of a score is the quality of the model; the rest is noise of deviation 1."""
PIXELS = 1_000_000


def evaluation(miou: float) -> Evaluation:
    """Return counts of two classes that both have this IoU: right / (2 labelled - right)."""
    right = round(2 * PIXELS * miou / (1 + miou))
    counts = np.array([[right, PIXELS - right], [PIXELS - right, right]])
    return Evaluation(classes=("road", "rest"), confusion=counts, images=3)


def synthetic_bank(
    name: str = "made_up",
    *,
    architectures: int = 30,
    repeated: int = 6,
    collapsed: int = 2,
    seed: int = 0,
    strengths: Mapping[str, float] = STRENGTHS,
    fingerprint: Mapping[str, Any] | None = None,
) -> Bank:
    """Return a bank in which every score is ``-strength * quality + noise``.

    Quality is that of the architecture plus a little of the seed; ``collapsed`` architectures
    have a source mIoU near 0. ``source_miou`` is moved so that it is minus a fraction.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    models = []
    for number in range(architectures):
        kind = random.normal() - 4.0 * (number >= architectures - collapsed)
        for training in range(3 if number < repeated else 1):
            quality = kind + 0.3 * random.normal()
            values = {one: -w * quality + random.normal() for one, w in strengths.items()}
            if "source_miou" in values:
                held_out = 0.4 - 0.05 * values["source_miou"]
                low = number >= architectures - collapsed
                values["source_miou"] = -float(np.clip(held_out, 0.25, 0.9)) * (0.1 if low else 1)
            record = Record(
                number=number,
                architecture=Architecture.of("made_up", {"number": number, "bank": name}),
                status="finished",
                seed=seed,
                steps=10,
                scores=values,
                costs={"macs": 1e8 * float(np.exp(0.3 * kind + random.normal())), "params": 1e6},
            )
            miou = float(0.05 + 0.4 / (1 + np.exp(-quality)))
            models.append(
                BankModel(
                    method="advent",
                    training_seed=training,
                    record=record,
                    objective=values.get("mmd"),
                    evaluation=evaluation(miou),
                )
            )
    marks = {"source": "s", "target": f"target of {name}", "evaluation": f"held out of {name}"}
    return Bank(
        name=name,
        space="deeplab_tiny",
        seed=0,
        fingerprint=fingerprint or marks,
        models=tuple(models),
        reference_costs={"macs": 1e8, "params": 1e6},
        facts={"Method of the candidates": "advent"},
        opened_labels=("yesterday: all models (true mIoU of a bank)",),
    )
