"""Every network can be scored: statistics are collected from small ones of all families."""

import numpy as np
import torch
from numpy.typing import NDArray

from autoadapt import plugins
from autoadapt.networks.build import build
from autoadapt.scores._collect import Sample, collect
from autoadapt.scores._compute import compute, make
from autoadapt.scores._sums import label_statistics
from autoadapt.scores._views import batch_norms
from autoadapt.scores.base import Need
from autoadapt.space.architecture import Architecture

SIZE = (45, 62)
SCORES = plugins.available("scores")


class Halves:
    """Region maps of two images, an upper and a lower half."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        upper, lower = SIZE[0] // 2, SIZE[0] - SIZE[0] // 2
        return np.repeat([0, 1], [upper, lower]).astype(np.uint16)[:, None].repeat(SIZE[1], 1)

    def count(self, index: int) -> int:
        return 2


def test_all_scores_are_finite(smoke_architecture: Architecture) -> None:
    network = build(smoke_architecture, 4, seed=5).train()
    source, target = torch.randn(2, 2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(SIZE[0] * SIZE[1]).reshape(1, *SIZE) % 4
    sample = Sample(
        source=source.split(1),
        target=target.split(1),
        regions=Halves(),
        pixels_per_image=12,
        seed=3,
        held_out=[(images, labels) for images in source.split(1)],
        source_regions=[label_statistics(labels[0].numpy(), Halves()[0], 2, 4)],
        source_prior=np.array([0.4, 0.3, 0.2, 0.1]),
        committee=[np.zeros((2, *SIZE), np.uint8)],
    )
    scores = {name: make(name, {}) for name in SCORES}
    statistics = collect(
        network,
        sample,
        costs={"macs": 1.0, "params": 2.0, "latency": 3.0},
        needs=frozenset[Need]().union(*(score.needs for score in scores.values())),
        teacher=build(smoke_architecture, 4, seed=6),
        untrained=lambda: build(smoke_architecture, 4, seed=5),
    )
    values, errors = compute(scores, statistics)

    # The pool is not known to one candidate, an untrained network may predict a single class, and
    # not every family has batch norm. FCN starts from heads of zeros.
    single = {"dispersion", "silhouette", "calinski_harabasz", "class_mmd", "mixval"}
    pooled = {"pool_agreement", "spectral_agreement", "ensv", "aline_d"}
    excused = {"batch_norm_agreement"} | pooled | single
    zeros = {"grad_norm", "snip", "fisher", "jacov", "synflow", "transfer_score"}
    excused |= zeros if smoke_architecture.family == "fcn8s" else set()
    assert set(errors) <= excused
    assert pooled <= set(errors)
    has_norms = bool(batch_norms(list(network.modules())))
    assert ("batch_norm_agreement" in values) == has_norms
    assert set(values) | set(errors) == set(SCORES)
    assert np.isfinite(list(values.values())).all()
    assert statistics.target_features.shape == (24, network.taps["deep"].channels)
    assert network.training
