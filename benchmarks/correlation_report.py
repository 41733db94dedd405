"""The whole correlation report of a large bank, beside scipy's bootstrap of one score.

Usage: python benchmarks/correlation_report.py [--models N] [--scores M] [--out FOLDER]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from autoadapt.analysis.correlation_page import write_correlation
from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.ranks import Float, rowwise_pearson
from autoadapt.analysis.resampling import BLOCK, DRAWS, bootstrap_interval


def bank(models: int, scores: int) -> CorrelationReport:
    """Return a made-up bank: five methods, scores of every strength, one in 50 values missing."""
    random = np.random.Generator(np.random.PCG64(0))
    truth = 0.3 + 0.06 * random.normal(size=models).clip(-3, 3)
    columns = {}
    for place in range(scores):
        values = -(truth - 0.3) / 0.06 + 4 * (place + 1) / scores * random.normal(size=models)
        missing = random.random(models) < 0.02
        columns[f"score {place + 1}"] = np.where(missing, np.nan, values).tolist()
    return CorrelationReport(
        title=f"{models} models",
        models=[f"#{number}" for number in range(models)],
        truth=truth.tolist(),
        scores=columns,
        controls={"macs": (1e9 * random.random(models)).tolist()},
        groups=[f"method {number % 5}" for number in range(models)],
        clusters=[f"architecture {number // 2}" for number in range(models)],
    )


def sorted_interval(score: Float, truth: Float) -> Float:
    """Return the interval as textbooks have it: every resample is sorted."""
    random = np.random.Generator(np.random.PCG64(0))
    values = []
    for _ in range(DRAWS // BLOCK):
        drawn = random.integers(len(score), size=(BLOCK, len(score)))
        ranks = (rankdata(side[drawn], axis=1) for side in (score, truth))
        values.append(rowwise_pearson(*ranks))
    interval: Float = np.quantile(np.concatenate(values), [0.025, 0.975])
    return interval


def main() -> None:
    """Print the time of the report, and of one interval next to sorting every resample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--scores", type=int, default=40)
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    report = bank(wanted.models, wanted.scores)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        _ = report.agreements
        counted = time.perf_counter()
        page = write_correlation(report, wanted.out or Path(folder))
        done = time.perf_counter()
        size = page.stat().st_size / 2**20
    print(f"report of {wanted.models} models, {wanted.scores} scores, {DRAWS} draws: ", end="")
    print(f"{done - started:.1f} s (statistics {counted - started:.1f} s), page {size:.1f} MiB")
    score, truth = np.nan_to_num(report.values("score 1")), report.true
    started = time.perf_counter()
    sorted_interval(score, truth)
    middle = time.perf_counter()
    bootstrap_interval(score, truth, seed=0)
    ours = time.perf_counter() - middle
    print(f"one interval, every resample sorted / ours: {(middle - started) / ours:.1f} ", end="")
    print(f"({middle - started:.2f} s / {ours:.2f} s)")


if __name__ == "__main__":
    main()
