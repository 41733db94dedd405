"""Ordered passes over images that go on where they were interrupted.

A round of self-training may spend more time on labelling its images than on its steps. So what a
pass has stored and added up is on disk every few seconds, in the folder of the training, together
with a hash of all that it depends on: the run and its options, the round, the weights, the images.
Whoever makes the same pass again goes on behind the last image that is safe; where anything
differs, it starts anew. What comes out is the same to the last bit, since a pass is a function of
what was hashed and each batch of images is the same in both.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autoadapt import interrupts
from autoadapt.data.batches import TargetBatch
from autoadapt.data.cache import GrowingRows
from autoadapt.errors import CheckpointError
from autoadapt.files import replacing
from autoadapt.networks.batch_norm import layers
from autoadapt.networks.checkpoints.reading import read_state

Seen = TypeVar("Seen")

SAVE_EVERY = 5.0
"""Seconds between two times that the state of a pass is written."""

STATE, GROWING = ".sweep", ".growing"
"""Endings of the files of passes whose round has not begun yet."""


class Tally(Protocol):
    """Something that a pass adds up, and that must survive an interruption."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors, numbers, texts, and lists and dictionaries of them."""

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take back what ``state_dict`` returned."""


@dataclass
class Numbers:
    """A number per image, such as its rank; a tally."""

    values: list[float] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers."""
        return {"values": list(self.values)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take back what ``state_dict`` returned."""
        self.values = list(state["values"])


@dataclass
class Sums:
    """Tensors that are added to in place; a tally."""

    tensors: dict[str, Tensor]

    def state_dict(self) -> dict[str, Any]:
        """Return the tensors."""
        return dict(self.tensors)

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take back what ``state_dict`` returned."""
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])


@dataclass
class RunningStatistics:
    """The running statistics of a network, which a pass may move; a tally."""

    network: nn.Module

    def state_dict(self) -> dict[str, Any]:
        """Return the buffers of each batch-normalisation layer, in order."""
        return {"layers": [dict(layer.named_buffers()) for layer in layers(self.network)]}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take back what ``state_dict`` returned."""
        for layer, buffers in zip(layers(self.network), state["layers"], strict=True):
            for name, buffer in layer.named_buffers():
                buffer.copy_(buffers[name])


@dataclass
class Sweep(Generic[Seen]):
    """One pass over images, in order: iterate over it, and ``put`` what is to be stored.

    The body of the loop must keep what it adds up in ``tallies`` and nowhere else: images that
    were seen before an interruption do not come again.

    Attributes:
        count: Number of images.
        batches: Makes the batches from an image on, and their indices.
        see: Turns a batch into what is iterated over.
        tallies: What the body of the loop adds up, by name.
        rows: Files that ``put`` writes to, by name.
        state: File of the state; absent: the pass cannot be resumed.
        key: Hash of all that the pass depends on.
        around: Makes the context that images are seen in, such as the modes of a network.
        on_images: Told how many images are done.
    """

    count: int
    batches: Callable[[int], Iterator[tuple[Sequence[int], TargetBatch]]]
    see: Callable[[TargetBatch], Seen]
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    rows: Mapping[str, GrowingRows] = field(default_factory=dict)
    state: Path | None = None
    key: str = ""
    around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    on_images: Callable[[int], None] = lambda _: None

    def __iter__(self) -> Iterator[tuple[Sequence[int], Seen]]:
        """Yield indices and what is seen of them, from the first image that is not done."""
        try:
            done = self.resume()
            if done < self.count:
                yield from self.rest(done)
            for rows in self.rows.values():
                rows.finish()
        finally:
            for rows in self.rows.values():
                rows.close()

    def rest(self, done: int) -> Iterator[tuple[Sequence[int], Seen]]:
        """Go through the images that are left, and save now and then, at the end in any case."""
        saved = time.monotonic()
        with self.around():
            for indices, batch in self.batches(done):
                interrupts.check()
                yield indices, self.see(batch)
                done = indices[-1] + 1
                self.check(done)
                self.on_images(done)
                if done == self.count or time.monotonic() - saved >= SAVE_EVERY:
                    self.save(done)
                    saved = time.monotonic()

    def put(self, **maps: NDArray[np.uint8] | Tensor) -> None:
        """Store arrays of the images at hand, (n, ...) uint8, under the names of ``rows``."""
        for name, found in maps.items():
            for row in found.cpu().numpy() if isinstance(found, Tensor) else found:
                self.rows[name].add(row)

    @property
    def references(self) -> dict[str, str]:
        """What ``Context.stored`` takes once the pass is over, by name."""
        return {name: rows.path.name for name, rows in self.rows.items()}

    def check(self, done: int) -> None:
        """Refuse a body that does not put what it promised.

        Raises:
            ValueError: There are more, or fewer, rows than images.
        """
        for name, rows in self.rows.items():
            if len(rows.digests) != done:
                raise ValueError(f"{len(rows.digests)} rows of {name!r} for {done} images")

    def save(self, done: int) -> None:
        """Write how far the pass has come, rows first: what the state counts is there."""
        if self.state is None:
            return
        for rows in self.rows.values():
            rows.sync()
        state = {
            "key": self.key,
            "done": done,
            "rows": {name: list(rows.digests) for name, rows in self.rows.items()},
            "tallies": {name: tally.state_dict() for name, tally in self.tallies.items()},
        }
        with replacing(self.state) as file:
            torch.save(state, file)

    def resume(self) -> int:
        """Take back what an interrupted pass has left and return how many images are done."""
        state = self.left()
        whole = [rows.resume(state["rows"][name]) for name, rows in self.rows.items() if state]
        if not state or not all(whole):
            for rows in self.rows.values():
                rows.restart()
            return 0
        for name, tally in self.tallies.items():
            tally.load_state_dict(state["tallies"][name])
        done: int = state["done"]
        self.on_images(done)
        return done

    def left(self) -> dict[str, Any]:
        """Return the state that the same pass has left; empty without one."""
        if self.state is None or not self.state.exists():
            return {}
        try:
            state = dict(read_state(self.state))
        except CheckpointError:  # no reason to stop: the pass can be made again
            return {}
        return state if state.get("key") == self.key else {}


def digest(*parts: Any) -> str:
    """Return a hash of values: modules with their weights, arrays, tensors, plain values."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        for piece in pieces(part):
            found.update(hashlib.blake2b(piece, digest_size=16).digest())
    return found.hexdigest()


def pieces(part: Any) -> Iterable[bytes | memoryview]:
    """Yield a value as bytes."""
    if isinstance(part, nn.Module):
        for name, tensor in part.state_dict().items():
            yield name.encode()
            yield from pieces(tensor)
    elif isinstance(part, Tensor):
        flat = part.detach().cpu().contiguous().reshape(-1)
        yield f"{part.dtype} {tuple(part.shape)}".encode()
        yield flat.view(torch.uint8).numpy().data
    else:
        yield json.dumps(part).encode()


def remove_left(folder: Path) -> None:
    """Remove what passes have left, once the round that they prepared has begun for good."""
    for ending in (STATE, GROWING):
        for path in folder.glob(f"*{ending}"):
            path.unlink(missing_ok=True)
