"""Weights by name, from a state dictionary into a network."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from autoadapt.errors import CheckpointError

counter = "num_batches_tracked"
"""Suffix of the batch-norm counters, which files of old versions of PyTorch lack."""


def load_weights(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy every tensor of ``state`` to the parameter or buffer of the same name.

    All or nothing: on a mismatch the network is left as it was. Batch-norm counters may be
    missing; they keep their value.

    Raises:
        CheckpointError: Names are missing or unexpected, or shapes differ; all are listed.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith(counter)]
    unexpected = [name for name in state if name not in own]
    mismatched = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    problems = [
        listing(title, names)
        for title, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", mismatched),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"the weights do not belong to this network ({type(network).__name__}): "
            + "; ".join(problems)
            + "; build the network from the architecture that the weights were saved with"
        )
    network.load_state_dict(dict(state), strict=False)


def listing(title: str, names: Iterable[str], shown: int = 8) -> str:
    """Return ``2 missing: a, b``, cut after a few names."""
    names = list(names)
    dots = f", … ({len(names) - shown} more)" if len(names) > shown else ""
    return f"{len(names)} {title}: {', '.join(names[:shown])}{dots}"
