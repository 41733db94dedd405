"""Every method on one pair of domains: ``python benchmarks/method_table.py PAIR [options]``.

Trains the hand-crafted network of deeplab_tiny from scratch by each method, with the same steps,
batches and seeds, and compares all with the labelled target images at the very end. Each training
is a run folder below ``runs/methods/``; the same command continues what was interrupted and skips
what is done. Prints a Markdown table: mean and spread over the seeds, difference to training on the
source alone, and the oracle, which is trained on the labels of the target.

    python benchmarks/method_table.py day_to_dusk --seeds 0 1 2
    python benchmarks/method_table.py quickstart --methods advent dacs --steps 800
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from autoadapt.analysis.tables import markdown_table
from autoadapt.config.load import load
from autoadapt.data.counting import silent
from autoadapt.errors import AutoAdaptError
from autoadapt.experiment.comparison import evaluate_models, find_models
from autoadapt.experiment.jobs import run_adapt
from autoadapt.experiment.watching import Watcher
from autoadapt.plugins import available
from autoadapt.space import load as load_space

SMALL_JUDGE = {"discriminator_width": 16}
ADVERSARIAL = {"main_weight": 0.01, "aux_weight": 0.002, **SMALL_JUDGE}
OPTIONS: dict[str, dict[str, Any]] = {
    "source_only": {},
    "min_ent": {"warm_up": 0.5, "main_weight": 0.01, "aux_weight": 0.002},
    "adapt_seg_net": {"warm_up": 0.5, **ADVERSARIAL},
    "advent": {"warm_up": 0.5, **ADVERSARIAL},
    "dast": {"warm_up": 0.4, "preset": "quick"},
    "intra_da": {"warm_up": 0.4, **ADVERSARIAL},
    "cbst": {"preset": "quick", "batch_norm": "train"},
    "crst": {"preset": "quick", "batch_norm": "train"},
    "tpld": {"preset": "quick", "batch_norm": "train"},
    "ccm": {"preset": "quick", "source_pool": 1.0},
    "structure_enhancement": {"warm_up": 0.5, "decoder_width": 32, **SMALL_JUDGE},
    "fda": {"bands": [0.05]},
    "fcan": {"preset": "quick", **SMALL_JUDGE},
    "cycada": {"preset": "quick"},
    "ada_bn": {},
    "dacs": {"warm_up": 0.3},
    "da_former": {"warm_up": 0.3, "feature_weight": 0.0},
    "mic": {"warm_up": 0.3, "host": "dacs"},
}
"""What small networks from scratch need beside the published values; MADAN needs two sources."""

ORACLES = {
    "day_to_dusk": ["data.source.split=dusk", "data.source.order=name", "data.source.part=[0,0.5]"],
    "carla_to_camvid": ["data.source.root=${AUTOADAPT_DATA}/camvid", "data.source.split=train"],
    "quickstart": ["data.source.style=camera", "data.source.seed=2"],
}
"""Changes that make the target, with its labels, the source."""


def changes_for(options: argparse.Namespace, method: Mapping[str, Any]) -> list[str]:
    """Return the settings of one row."""
    return [
        f"data.size={list(options.size)}",
        f"adapt.training.steps={options.steps}",
        f"adapt.seeds={options.seeds}",
        f"adapt.method={json.dumps(method)}",
        "adapt.source_only=false",
        "threads=1",
    ]


def train(pair: str, row: str, changes: Sequence[str], network: Path, root: Path) -> float:
    """Train one row with all its seeds and return how long it took."""
    started = time.perf_counter()
    settings = load(pair, changes)
    run_adapt(root / row, settings, Watcher(), networks=[str(network)])
    return time.perf_counter() - started


def row_of(pair: str, row: str, changes: Sequence[str], root: Path) -> list[float]:
    """Return the mIoU of each seed, in percent."""
    found = evaluate_models(find_models([root / row]), load(pair, changes), silent)
    return [100 * float(evaluation.miou) for _, evaluation in found]


def cells(name: str, values: Sequence[float], baseline: float, seconds: float) -> list[str]:
    """Return one line of the table."""
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    mean = float(np.mean(values))
    return [name, f"{mean:.1f}{spread}", f"{mean - baseline:+.1f}", f"{seconds:.0f}"]


def rows_of(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the settings of each row: source-only, the methods, the oracle."""
    alone = {"name": "source_only"}
    names = [name for name in options.methods or OPTIONS if name != "source_only"]
    rows = {"source_only": changes_for(options, alone)}
    rows |= {name: changes_for(options, {"name": name, **OPTIONS[name]}) for name in names}
    return rows | {"oracle": [*changes_for(options, alone), *ORACLES[options.pair]]}


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pair", choices=sorted(ORACLES))
    parser.add_argument("--methods", nargs="*", choices=sorted(set(OPTIONS) & {*available("uda")}))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, nargs=2, default=(60, 80))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    options = parser.parse_args()
    height, width = options.size
    root = Path("runs/methods") / f"{options.pair}-{height}x{width}-{options.steps}"
    root.mkdir(parents=True, exist_ok=True)
    network = root / "hand_crafted.yaml"
    network.write_text(yaml.safe_dump(load_space("deeplab_tiny").reference.to_json()))
    table, baseline = [], float("nan")
    for name, changes in rows_of(options).items():
        try:
            seconds = train(options.pair, name, changes, network, root)
            values = row_of(options.pair, name, changes, root)
        except AutoAdaptError as error:
            table.append([name, "failed", str(error).splitlines()[0], ""])
            continue
        baseline = float(np.mean(values)) if name == "source_only" else baseline
        table.append(cells(name, values, baseline, seconds))
        print("  ".join(table[-1]), flush=True)
    print(markdown_table(["method", "mIoU", "against source-only", "seconds"], table))


if __name__ == "__main__":
    main()
