"""Logits of one image to sums over its regions, reading every logit once.

``region_statistics`` takes one of two paths: a fused kernel for the CPU and a few PyTorch
operations for CUDA, which also serve as the reference that the kernel is tested against.

The kernel walks down the image in strips ``STRIP`` columns wide. For each row of a strip it takes
the softmax over the classes and adds ``p`` and ``p log p`` to one accumulator per class and
*column*; these loops run over neighbouring columns, so the compiler turns them into vector
instructions. Only where the region of a column changes from one row to the next are the column's
accumulators handed to the table of the region that ends there. Nothing of the size of the image
is ever written.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoadapt.scores.base import RegionStatistics

STRIP = 512
"""Columns at a time: the scratch space of 19 classes stays in a second-level cache."""
PADDING = 16
"""Extra floats per row of scratch space: rows a power of two apart would share cache sets."""
PIXELS_PER_THREAD = 16384
"""A thread is not worth starting for less."""

LOG2_E = np.float32(1.4426950408889634)
LN_2 = 0.6931471805599453
SQRT_HALF_BITS = np.int32(0x3F3504F3)
EXPONENT = np.int32(23)
ROUND = np.float32(12582912.0)  # 1.5 * 2**23: adding it rounds a float32 to a whole number
LOWEST = np.float32(-126.0)  # 2**-126 is the smallest normal float32
ONE = np.float32(1.0)
# 2**f on [-1/2, 1/2], relative error below 2e-7; the constant term is 1.
E1 = np.float32(0.693147182464599609375)
E2 = np.float32(0.240226507186889648)
E3 = np.float32(0.05550410971045494)
E4 = np.float32(0.009618236683309078)
E5 = np.float32(0.001333355996653438)
# log2((1 + t) / (1 - t)) = t * (L0 + L1 t^2 + ...)
L0 = np.float32(2.8853900817779268)
L1 = np.float32(0.9617966939259756)
L2 = np.float32(0.5770780163555854)
L3 = np.float32(0.4121985831111324)
L4 = np.float32(0.3205988979753252)

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile with Numba on first use, without the GIL; keep the machine code on disk if possible.

    Only fused multiply-adds are allowed to change the arithmetic: the rounding trick below does
    not survive reassociation, and NaN must stay NaN.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        return cast(Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither the installation nor the user's cache folder can be written
        return cast(Function, numba.njit(**options)(function))


@compiled
def _largest(logits: Any, row: int, left: int, width: int, best: Any, top: Any) -> None:
    """Write the largest logit of each column to ``top`` and its class to ``best``.

    Classes go in pairs: half the reading and writing of ``top`` and ``best``.
    """
    if row < 0 or left < 0:  # never; tells the compiler that no index wraps around
        return
    classes = logits.shape[0]
    for j in range(width):
        top[j] = logits[0, row, left + j]
        best[j] = np.int32(0)
    for c in range(1, classes - 1, 2):
        first, second = np.int32(c), np.int32(c + 1)
        for j in range(width):
            a, b = logits[c, row, left + j], logits[c + 1, row, left + j]
            old, label = top[j], best[j]
            label = first if a > old else label
            old = a if a > old else old
            best[j] = second if b > old else label
            top[j] = b if b > old else old
    if classes % 2 == 0:
        last = np.int32(classes - 1)
        for j in range(width):
            new, old, label = logits[classes - 1, row, left + j], top[j], best[j]
            best[j] = last if new > old else label
            top[j] = new if new > old else old


@compiled
def _powers(
    logits: Any, row: int, left: int, width: int, top: Any, logs: Any, powers: Any, total: Any
) -> None:
    """Write ``x = log2(e) * (logit - top)`` to ``logs``, ``2**x`` to ``powers`` and their sum.

    ``2**x = 2**n * 2**(x - n)`` with n the nearest whole number: adding ``ROUND`` leaves n in the
    lowest bits, from where a shift moves it into the exponent of the polynomial's value.
    """
    if row < 0 or left < 0:
        return
    for j in range(width):
        total[j] = np.float32(0.0)
    for c in range(logits.shape[0]):
        for j in range(width):
            x = (logits[c, row, left + j] - top[j]) * LOG2_E
            x = LOWEST if x < LOWEST else x
            logs[c, j] = x
            n = x + ROUND
            f = x - (n - ROUND)
            y = ((((E5 * f + E4) * f + E3) * f + E2) * f + E1) * f + ONE
            shifted = np.int32(np.float32(n).view(np.int32) << EXPONENT)
            power = np.int32(np.float32(y).view(np.int32) + shifted).view(np.float32)
            powers[c, j] = power
            total[j] += power


@compiled
def _logarithms(total: Any, width: int, inverse: Any, log_total: Any) -> None:
    """Write one over the sum of the powers of each column, and the log2 of the sum."""
    for j in range(width):
        bits = np.float32(total[j]).view(np.int32)
        n = np.int32(bits - SQRT_HALF_BITS) >> EXPONENT
        mantissa = np.int32(bits - np.int32(n << EXPONENT)).view(np.float32)
        t = (mantissa - ONE) / (mantissa + ONE)
        q = t * t
        log_total[j] = t * ((((L4 * q + L3) * q + L2) * q + L1) * q + L0) + np.float32(n)
        inverse[j] = ONE / total[j]


@compiled
def _accumulate(
    logs: Any, powers: Any, width: int, inverse: Any, log_total: Any, columns: Any
) -> None:
    """Add p and p log2 p of one row to the accumulators of the columns, (2, C, width)."""
    for c in range(powers.shape[0]):
        for j in range(width):
            p = powers[c, j] * inverse[j]
            columns[0, c, j] += p
            columns[1, c, j] += p * (logs[c, j] - log_total[j])


@compiled
def _hand_over(columns: Any, j: int, end: int, sums: Any, region: int) -> None:
    """Add the accumulators of columns j to end - 1 to the sums of a region, and clear them."""
    if j < 0 or region < 0:
        return
    for kind in range(2):
        for c in range(columns.shape[1]):
            total = columns[kind, c, j]
            columns[kind, c, j] = np.float32(0.0)
            for k in range(j + 1, end):
                total += columns[kind, c, k]
                columns[kind, c, k] = np.float32(0.0)
            sums[region, kind, c] += total


@compiled
def _leave(row: int, labels: Any, current: Any, since: Any, columns: Any, tables: Any) -> None:
    """Hand over the columns whose region is another one in this row; few are.

    Neighbours that leave the same region together are handed over together.
    """
    areas, sums, _ = tables
    j = 0
    while j < labels.size:
        region = current[j]
        if labels[j] == region:
            j += 1
            continue
        start = j
        while j < labels.size and current[j] == region and labels[j] != region:
            areas[region] += row - since[j]
            current[j] = labels[j]
            since[j] = row
            j += 1
        _hand_over(columns, start, j, sums, region)


@compiled
def _count(labels: Any, best: Any, places: Any, hard: Any) -> None:
    """Count the most probable classes of one row, (R, C).

    Neighbours mostly share a counter, and an addition to it waits for the one before; so four
    parts of the row take turns. ``places`` is scratch space for the counter of each column,
    unsigned because a negative index would have to be looked for.
    """
    classes = np.int32(hard.shape[1])
    for j in range(labels.size):
        places[j] = np.uint32(labels[j] * classes + best[j])
    counters, quarter = hard.reshape(-1), labels.size // 4
    for j in range(quarter):
        for part in range(4):
            counters[places[part * quarter + j]] += 1
    for j in range(4 * quarter, labels.size):
        counters[places[j]] += 1


@compiled
def _band(logits: Any, regions: Any, first: int, last: int, tables: Any) -> None:
    """Add some rows of the image to the tables (areas (R,), sums (R, 2, C), hard (R, C))."""
    classes = logits.shape[0]
    logs = np.empty((classes, STRIP + PADDING), np.float32)
    powers = np.empty((classes, STRIP + PADDING), np.float32)
    columns = np.zeros((2, classes, STRIP + PADDING), np.float32)
    pixels = np.empty((4, STRIP), np.float32)
    top, total, inverse, log_total = pixels[0], pixels[1], pixels[2], pixels[3]
    best = np.empty(STRIP, np.int32)
    places = np.empty(STRIP, np.uint32)
    since = np.empty(STRIP, np.int64)
    nowhere = np.full(STRIP, -1, np.int32)
    for left in range(0, regions.shape[1], STRIP):
        width = min(STRIP, regions.shape[1] - left)
        current = regions[first, left : left + width].copy()
        since[:] = first
        for row in range(first, last):
            labels = regions[row, left : left + width]
            _leave(row, labels, current, since, columns, tables)
            _largest(logits, row, left, width, best, top)
            _count(labels, best, places, tables[2])
            _powers(logits, row, left, width, top, logs, powers, total)
            _logarithms(total, width, inverse, log_total)
            _accumulate(logs, powers, width, inverse, log_total, columns)
        _leave(last, nowhere[:width], current, since, columns, tables)


def region_statistics(
    logits: NDArray[np.float32] | Tensor, regions: NDArray[Any] | Tensor, count: int
) -> RegionStatistics:
    """Sum class probabilities over the regions of one image (``scores.md`` 1.4).

    Args:
        logits: (C, H, W) class scores before softmax, at the size of the image. CUDA tensors stay
            on their device; everything else goes through the CPU kernel, on as many threads as
            PyTorch may use.
        regions: (H, W) whole numbers in ``[0, count)``; regions may be scattered or empty.
        count: Number of regions R.

    Raises:
        ValueError: The shapes differ or a region number is out of range.
    """
    _check(logits, regions, count)
    if isinstance(logits, Tensor):
        if logits.is_cuda:
            return reference_statistics(logits, torch.as_tensor(regions), count)
        logits = logits.detach().float().cpu().numpy()
    if isinstance(regions, Tensor):
        regions = regions.cpu().numpy()
    return _fused(
        np.ascontiguousarray(logits, np.float32), np.ascontiguousarray(regions, np.int32), count
    )


def _check(logits: NDArray[Any] | Tensor, regions: NDArray[Any] | Tensor, count: int) -> None:
    if logits.ndim != 3 or tuple(logits.shape[1:]) != tuple(regions.shape) or 0 in logits.shape:
        raise ValueError(
            f"expected logits (C, H, W) and regions (H, W), found {tuple(logits.shape)} and "
            f"{tuple(regions.shape)}"
        )
    lowest, highest = int(regions.min()), int(regions.max())
    if lowest < 0 or highest >= count:
        raise ValueError(f"expected regions in [0, {count}), found {lowest} to {highest}")


def _fused(logits: NDArray[np.float32], regions: NDArray[np.int32], count: int) -> RegionStatistics:
    """Run the kernel on bands of rows, one thread each, with tables of their own."""
    classes, height, _ = logits.shape
    bands = max(1, min(torch.get_num_threads(), regions.size // PIXELS_PER_THREAD, height))
    edges = [height * band // bands for band in range(bands + 1)]

    def tables_of(band: int) -> tuple[NDArray[Any], ...]:
        tables = (
            np.zeros(count, np.int64),
            np.zeros((count, 2, classes)),
            np.zeros((count, classes), np.int64),
        )
        _band(logits, regions, edges[band], edges[band + 1], tables)
        return tables

    if bands == 1:
        results = [tables_of(0)]
    else:
        with ThreadPoolExecutor(bands) as pool:
            results = list(pool.map(tables_of, range(bands)))
    areas, sums, hard = (sum(parts[1:], start=parts[0]) for parts in zip(*results, strict=True))
    # Rounding may leave a confident pixel a hair above zero; p log p never is.
    plogp = np.minimum(sums[:, 1] * LN_2, 0.0)
    return RegionStatistics(
        areas.astype(np.float64), sums[:, 0].copy(), plogp, hard.astype(np.float64)
    )


def reference_statistics(logits: Tensor, regions: Tensor, count: int) -> RegionStatistics:
    """Compute the same with PyTorch, on the device of ``logits``.

    The sums are kept in double precision, where the changing order of atomic additions on a GPU
    moves the last bits only.
    """
    log_p = torch.log_softmax(logits.detach().float(), dim=0).flatten(1)
    p = log_p.exp()
    index = regions.to(logits.device, torch.int64).flatten()
    classes = log_p.shape[0]

    def by_region(values: Tensor) -> NDArray[np.float64]:
        table = torch.zeros(classes, count, dtype=torch.float64, device=logits.device)
        table.scatter_add_(1, index.expand(classes, -1), values.double())
        return table.T.contiguous().cpu().numpy()

    hard = torch.bincount(index * classes + log_p.argmax(0), minlength=count * classes)
    return RegionStatistics(
        torch.bincount(index, minlength=count).double().cpu().numpy(),
        by_region(p),
        by_region(torch.where(p > 0, p * log_p, 0.0)),
        hard.view(count, classes).double().cpu().numpy(),
    )
