"""Every method on a pair of domains: ``python -m benchmarks.method_table PAIR [options]``.

Trains the hand-crafted network of deeplab_tiny from scratch by each method, with the same steps
and seeds, and compares all with the labelled target images at the very end. Equal seeds mean equal
initial weights and, until a method chooses its images itself, equal batches: what a method changes
is the difference to source-only training with the same seed, whose spread over seeds is smaller
than that of either.

Each training is a folder below ``runs/methods/``, its result a line of
``runs/reference/methods/PAIR-HxW-STEPS.json``. The same command continues what was interrupted and
skips what is done; several may run side by side. Without a pair the tables are printed, or put
where a page has room for them.

    python -m benchmarks.method_table day_to_dusk                      # all rows, three seeds
    python -m benchmarks.method_table carla_to_camvid --rows advent    # one row
    python -m benchmarks.method_table --write docs/methods.md
"""

import argparse
import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoadapt.analysis.tables import markdown_table
from autoadapt.config.load import load, make
from autoadapt.config.settings import ExperimentSettings, PluginSettings
from autoadapt.errors import AutoAdaptError, RunError
from autoadapt.experiment.adapt import Contender, adapt_fully
from autoadapt.experiment.evaluate import evaluate, open_labelled
from autoadapt.files import owning, waiting_lock, write_json
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.plugins import find
from autoadapt.space import load as load_space
from autoadapt.training.model import ensembled, load_model
from benchmarks.result_tables import filled, spread

RESULTS = Path(__file__).parent.parent / "runs/reference/methods"
BASELINE, ORACLE = "source_only", "oracle"

TWO_SOURCES = {
    "day_to_dusk": [
        "data.source={kind: folder, root: '${AUTOADAPT_DATA}/camvid', split: day, order: name, "
        "part: [0, 0.5]}",
        "data.further_sources={second: {kind: folder, root: '${AUTOADAPT_DATA}/camvid', "
        "split: day, order: name, part: [0.5, 1]}}",
    ],
    "carla_to_camvid": [
        "data.source={kind: folder, root: '${AUTOADAPT_DATA}/carla', split: train_spread, "
        "ignore: [bicyclist], order: name, part: [0, 0.5]}",
        "data.further_sources={second: {kind: folder, root: '${AUTOADAPT_DATA}/carla', "
        "split: train_spread, ignore: [bicyclist], order: name, part: [0.5, 1]}}",
    ],
    "quickstart": [
        "data.source={kind: procedural, style: game, count: 240, seed: 1, part: [0, 0.5]}",
        "data.further_sources={second: {kind: procedural, style: game, count: 240, seed: 1, "
        "part: [0.5, 1]}}",
    ],
}
"""Changes that make two sources of one: its halves, in the order of their names."""

ORACLES = {
    "day_to_dusk": ["data.source.split=dusk", "data.source.order=name", "data.source.part=[0,0.5]"],
    "carla_to_camvid": ["data.source.root=${AUTOADAPT_DATA}/camvid", "data.source.split=train"],
    "quickstart": ["data.source.style=camera", "data.source.seed=2"],
}
"""Changes that make the target, with its labels, the source."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        method: Its name.
        options: Those that differ from the defaults.
        changes: Of the config, by pair.
        members: Rows whose models predict together; nothing is trained.
    """

    method: str = BASELINE
    options: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    members: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """What the table says of the options."""
        if self.members:
            return "mean of the logits"
        chosen = find("uda", self.method).options_of(self.options.get("preset", "published"))
        shown = {"preset": "", **chosen, **self.options}
        words = [f"{name}: {json.dumps(value)}" for name, value in shown.items() if value != ""]
        return ", ".join(words).replace('"', "")


SMALL = {"preset": "small"}
PORTIONS = {"preset": "quick", "source_pool": 1.0}
METHODS = {
    BASELINE: Row(),
    **{name: Row(name, SMALL) for name in ("min_ent", "adapt_seg_net", "advent")},
    "advent + min_ent": Row(members=("advent", "min_ent")),
    **{name: Row(name, SMALL) for name in ("dast", "intra_da", "cbst", "crst", "tpld", "ccm")},
    **{name: Row(name, SMALL) for name in ("structure_enhancement", "fda", "fcan", "cycada")},
    "madan": Row("madan", SMALL, TWO_SOURCES),
    **{name: Row(name, SMALL) for name in ("ada_bn", "dacs", "da_former")},
    "mic": Row("mic", {**SMALL, "host": "dacs"}),
    ORACLE: Row(changes=ORACLES),
}
"""Each method as its preset for small networks has it."""

VARIANTS = {
    "source_only, target statistics": Row(options={"target_statistics": True}),
    "advent, faster discriminators": Row("advent", {**SMALL, "discriminator_rate": 1e-3}),
    "advent, then ada_bn": Row("ada_bn", {**SMALL, "host": "advent"}),
    "fda, then ada_bn": Row("ada_bn", {**SMALL, "host": "fda"}),
    "dacs, then ada_bn": Row("ada_bn", {**SMALL, "host": "dacs"}),
    "crst, frozen batch norm": Row("crst", {**SMALL, "self_training_batch_norm": "eval"}),
    "crst, published mixture": Row("crst", {"preset": "quick"}),
    "dast, frozen batch norm": Row("dast", {**SMALL, "self_training_batch_norm": "eval"}),
    "dast, no rounds": Row("dast", {**SMALL, "rounds": 0}),
    "dast, lower rate": Row("dast", {**SMALL, "rate": 0.25}),
    "intra_da, from scratch again": Row("intra_da", dict(find("uda", "intra_da").small)),
    "ccm, published portions": Row("ccm", PORTIONS),
    "ccm, more source": Row("ccm", {**PORTIONS, "source_kept": 0.6}),
    "ccm, more labels": Row("ccm", {**PORTIONS, "portion": 0.3}),
    "ccm, all of the source": Row("ccm", {**SMALL, "source_kept": 1.0}),
    "fda, published band": Row("fda", {**SMALL, "bands": [0.01]}),
    "cycada, features too": Row("cycada", {"preset": "quick"}),
    "da_former, quick teacher": Row("da_former", {**SMALL, "momentum": 0.9}),
    "da_former, no rare classes": Row("da_former", {**SMALL, "rare_temperature": 0.0}),
}
"""Rows that say why another one is as it is."""

ROWS = METHODS | VARIANTS


@dataclass(frozen=True)
class Protocol:
    """What all rows of a table share.

    Attributes:
        pair: Name of a shipped config.
        size: Height and width of the images.
        steps: Of each training.
    """

    pair: str
    size: tuple[int, int] = (60, 80)
    steps: int = 400

    @property
    def name(self) -> str:
        """Of the folder of the trainings and the file of the results."""
        return f"{self.pair}-{self.size[0]}x{self.size[1]}-{self.steps}"

    @property
    def results(self) -> Path:
        """File of the results."""
        return RESULTS / f"{self.name}.json"

    def settings(self, row: Row) -> ExperimentSettings:
        """Return the settings of a row."""
        shared = [f"data.size={list(self.size)}", f"adapt.training.steps={self.steps}", "threads=1"]
        return load(self.pair, [*shared, *row.changes.get(self.pair, ())])


@dataclass(frozen=True)
class Training:
    """One row with one seed."""

    protocol: Protocol
    row: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return Path("runs/methods") / self.protocol.name / self.row / f"seed-{self.seed}"

    def train(self) -> float | None:
        """Train, or continue; return the processor seconds where nothing was there before."""
        row = ROWS[self.row]
        settings = self.protocol.settings(row)
        assert settings.adapt is not None
        method = PluginSettings(name=row.method, options=dict(row.options))
        architecture = load_space("deeplab_tiny").reference
        fresh, started = not self.folder.exists(), time.process_time()
        contender = Contender("reference", architecture, method)
        adapt_fully(contender, settings, settings.adapt, self.folder, self.seed)
        return round(time.process_time() - started, 1) if fresh else None

    def members(self) -> list["Training"]:
        """Return the trainings whose models predict together."""
        names = ROWS[self.row].members or (self.row,)
        return [Training(self.protocol, name, self.seed) for name in names]

    def evaluated(self) -> Evaluation:
        """Compare what it trained with the labelled target images."""
        models = [load_model(one.folder, torch.device("cpu")) for one in self.members()]
        settings = self.protocol.settings(Row())
        return evaluate(ensembled(models), labelled(self.protocol), settings.evaluation)

    def result(self) -> dict[str, Any]:
        """Train and evaluate."""
        seconds = [one.train() for one in self.members()]
        found = self.evaluated()
        spent = seconds[0] if len(seconds) == 1 else None
        ious = [None if np.isnan(v) else round(100 * float(v), 2) for v in found.values]
        return {"miou": round(100 * float(found.miou), 3), "iou": ious, "cpu_seconds": spent}


@functools.cache
def labelled(protocol: Protocol) -> Any:
    """Return the labelled target images."""
    settings = protocol.settings(Row())
    return open_labelled(settings.data, settings.evaluation.convention)


def read(path: Path) -> dict[str, Any]:
    """Return the results in a file."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    return found


def note(training: Training, result: Mapping[str, Any]) -> None:
    """Add a result to the file of its pair."""
    protocol, row = training.protocol, ROWS[training.row]
    with waiting_lock(Path("runs/methods") / f"{protocol.name}.lock"):
        found = read(protocol.results)
        found |= asdict(protocol)
        found["classes"] = list(labelled(protocol).classes)
        entry = found["rows"].setdefault(training.row, {"seeds": {}})
        entry["method"] = {"name": row.method, **row.options}
        entry["resolved"] = resolved(row)
        entry["changes"] = list(row.changes.get(protocol.pair, ()))
        entry["members"] = list(row.members)
        entry["seeds"][str(training.seed)] = dict(result)
        write_json(protocol.results, found)


def resolved(row: Row) -> dict[str, Any]:
    """Return all options of a row, as its presets and defaults make them."""
    method = make("uda", PluginSettings(name=row.method, options=dict(row.options)))
    values = {one.name: getattr(method, one.name) for one in fields(method) if one.init}
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def run(protocol: Protocol, names: Sequence[str], seeds: Sequence[int]) -> None:
    """Train and note what is missing and nobody else is training."""
    for training in (Training(protocol, name, seed) for seed in seeds for name in names):
        claim = Path("runs/methods") / protocol.name / "claims" / f"{training.row}-{training.seed}"
        try:
            with owning(claim):
                done = read(protocol.results)["rows"].get(training.row, {"seeds": {}})["seeds"]
                if str(training.seed) not in done:
                    result = training.result()
                    note(training, result)
                    print(training.row, training.seed, result["miou"], flush=True)
        except RunError:
            print(training.row, training.seed, "is being trained elsewhere", flush=True)
        except AutoAdaptError as error:
            print(training.row, training.seed, "failed:", error, flush=True)


# Tables


def mious(found: Mapping[str, Any], row: str) -> dict[str, float]:
    """Return the mIoU of a row by seed, in percent."""
    seeds = found["rows"].get(row, {"seeds": {}})["seeds"]
    return {seed: result["miou"] for seed, result in sorted(seeds.items())}


def cells(found: Mapping[str, Any], name: str) -> list[str]:
    """Return one line of a table."""
    values, baseline = mious(found, name), mious(found, BASELINE)
    paired = [value - baseline[seed] for seed, value in values.items() if seed in baseline]
    results = found["rows"][name]["seeds"].values()
    seconds = [one["cpu_seconds"] for one in results if one["cpu_seconds"] is not None]
    against = "" if name == BASELINE else spread(paired, "+")
    better = "" if name == BASELINE else f"{sum(d > 0 for d in paired)} of {len(paired)}"
    spent = f"{np.median(seconds):.0f}" if seconds else ""
    return [name, ROWS[name].described, spread(list(values.values())), against, better, spent]


def table(found: Mapping[str, Any], rows: Mapping[str, Row]) -> str:
    """Return the rows that have results as a Markdown table."""
    head = ["row", "options", "mIoU", "against source-only, paired", "better", "seconds"]
    lines = [cells(found, name) for name in rows if mious(found, name)]
    return markdown_table(head, lines) if lines else "Nothing measured yet."


def tables() -> Iterator[tuple[str, str]]:
    """Yield each table with the name of its place on a page."""
    for path in sorted(RESULTS.glob("*.json")):
        found = read(path)
        yield f"methods {path.stem}", table(found, METHODS)
        yield f"variants {path.stem}", table(found, VARIANTS)


def main() -> None:
    """Train what is missing, or print or place the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pair", nargs="?", choices=sorted(ORACLES))
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(METHODS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, nargs=2, default=(60, 80))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--write", type=Path, help="page with places for the tables")
    options = parser.parse_args()
    if options.pair:
        size = (options.size[0], options.size[1])
        run(Protocol(options.pair, size, options.steps), options.rows, options.seeds)
    elif options.write:
        options.write.write_text(filled(options.write.read_text(), tables()))
    else:
        print("\n\n".join(f"{name}\n\n{text}" for name, text in tables()))


if __name__ == "__main__":
    main()
