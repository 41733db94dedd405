"""Labelled images straight from their files, one at a time, at any size.

For evaluation against labels at full resolution: the cache holds one size, and a data set of
large images at full size would fill a disk for a single pass over it.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.decode import BrokenFileError, Size
from autoadapt.errors import DataError

logger = logging.getLogger(__name__)

AHEAD = 2
"""Pairs that are decoded while another one is used; memory holds one more than these."""

Pixels = NDArray[np.uint8]
Read = Callable[[int, Size | None], Pixels]
"""Decodes one image or label map at a size, or at the size of the image's file (None)."""


@dataclass(frozen=True, eq=False)
class LabelledFiles:
    """Labelled images that are decoded when they are asked for.

    Attributes:
        classes: Name of each class index.
        ids: Name of each image.
        image: Returns image i, (H, W, 3) RGB.
        label: Returns its class indices, (H, W), ``IGNORE`` for void.
        broken: What a file that cannot be decoded does: stop, or be skipped with a warning.
    """

    classes: tuple[str, ...]
    ids: tuple[str, ...]
    image: Read = field(repr=False)
    label: Read = field(repr=False)
    broken: Literal["stop", "skip"] = "stop"

    def __len__(self) -> int:
        return len(self.ids)

    def pairs(
        self, image_size: Size | None, label_size: Size | None
    ) -> Iterator[tuple[Pixels, Pixels]]:
        """Yield (1, H, W, 3) and (1, h, w) of each pair in order; None is the size of the file.

        Raises:
            DataError: A file is broken and ``broken`` says stop, or none is sound.
        """
        found = 0
        for index, pair in enumerate(self._decoded(image_size, label_size)):
            if isinstance(pair, str):
                self._broken(index, pair)
                continue
            found += 1
            image, label = pair
            yield image[None], label[None]
        if not found:
            raise DataError(f"none of {len(self)} images can be used; the log says why")

    def _decoded(
        self, image_size: Size | None, label_size: Size | None
    ) -> Iterator[tuple[Pixels, Pixels] | str]:
        def decode(index: int) -> tuple[Pixels, Pixels] | str:
            try:
                return self.image(index, image_size), self.label(index, label_size)
            except BrokenFileError as error:
                return str(error)

        pending: deque[Future[tuple[Pixels, Pixels] | str]] = deque()
        with ThreadPoolExecutor(AHEAD) as pool:
            for index in range(len(self)):
                pending.append(pool.submit(decode, index))
                if len(pending) > AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _broken(self, index: int, reason: str) -> None:
        text = f"{self.ids[index]} cannot be used: {reason}"
        if self.broken == "stop":
            raise DataError(f"{text}; mend or remove it, or set data.broken: skip")
        logger.warning("left out of the evaluation: %s", text)
