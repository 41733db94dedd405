"""What choosing a snapshot without labels is worth, measured.

Trains the hand-crafted network of deeplab_tiny from scratch by a few methods, as
``method_table.py`` does (60x80, 400 steps, seeds 0 to 2; 40 source images are held out for
validation), and keeps eight snapshots of each training, from 30 % of the steps to the last.
Every snapshot is scored without labels; each objective then chooses one as ``adapt.selection``
does, standardised by the snapshots of that training. Last of all, all snapshots are compared with
the labelled target images, which says what each choice was worth.

Results are files of ``runs/reference/snapshots/``, one per pair; the same command continues what
was interrupted. Without a pair the tables are printed, or put where a page has room for them.

    python -m benchmarks.snapshot_selection day_to_dusk
    python -m benchmarks.snapshot_selection --write docs/evaluation.md
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoadapt.analysis.tables import markdown_table
from autoadapt.config.load import load
from autoadapt.config.settings import ExperimentSettings, PluginSettings
from autoadapt.experiment.adapt import Contender, adapt_fully
from autoadapt.experiment.evaluate import evaluate, open_labelled
from autoadapt.experiment.run_folder import snapshot_folder
from autoadapt.experiment.selection import Selector, best_step
from autoadapt.experiment.trial import score_model
from autoadapt.files import waiting_lock, write_json
from autoadapt.records import Record
from autoadapt.space import load as load_space
from autoadapt.space.architecture import Architecture
from autoadapt.training.model import MODEL, load_model
from benchmarks.result_tables import filled, spread

RESULTS = Path(__file__).parent.parent / "runs/reference/snapshots"
PAIRS = ("carla_to_camvid", "day_to_dusk", "quickstart")
SMALL = {"preset": "small"}
METHODS: dict[str, dict[str, Any]] = {
    "source_only": {},
    "advent": SMALL,
    "min_ent": SMALL,
    "dacs": SMALL,
}
OBJECTIVES: dict[str, list[dict[str, Any]]] = {
    "SoftmaxCorr": [{"score": "softmax_corr"}],
    "SoftmaxCorr + source mIoU": [{"score": "softmax_corr"}, {"score": "source_miou"}],
    "source mIoU": [{"score": "source_miou"}],
    "MMD + ReEnt": [{"score": "mmd"}, {"score": "reent"}],
    "entropy": [{"score": "entropy"}],
}
STEPS, SIZE, SNAPSHOTS, START, HELD_OUT = 400, [60, 80], 8, 0.3, 40


def settings_of(pair: str, terms: Sequence[Mapping[str, Any]]) -> ExperimentSettings:
    """Return the settings of a pair, with an objective of these terms."""
    return load(
        pair,
        [
            f"data.size={SIZE}",
            f"data.source.hold_out={HELD_OUT}",
            f"adapt.training.steps={STEPS}",
            f"adapt.selection={json.dumps({'snapshots': SNAPSHOTS, 'start': START})}",
            f"objective={json.dumps({'terms': list(terms)})}",
            "scoring.scores=[]",
            "scoring.images=100",
            "threads=1",
        ],
    )


def all_terms() -> list[dict[str, Any]]:
    """Return every score that an objective uses, once."""
    names = dict.fromkeys(term["score"] for terms in OBJECTIVES.values() for term in terms)
    return [{"score": name} for name in names]


@dataclass(frozen=True)
class Training:
    """One method with one seed."""

    pair: str
    method: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where it is trained."""
        return Path("runs/snapshots") / self.pair / self.method / f"seed-{self.seed}"

    def run(self) -> dict[str, Any]:
        """Train, score and, at the very end, evaluate; return both by step."""
        settings = settings_of(self.pair, all_terms())
        assert settings.adapt is not None
        assert settings.adapt.selection is not None
        method = PluginSettings(name=self.method, options=METHODS[self.method])
        architecture = load_space("deeplab_tiny").reference
        contender = Contender("reference", architecture, method)
        adapt_fully(contender, settings, settings.adapt, self.folder, self.seed)
        steps = settings.adapt.selection.steps(STEPS)
        models = {step: self.model(step) for step in steps}
        scores = {step: scored(path, settings, self.seed) for step, path in models.items()}
        labelled = open_labelled(settings.data, settings.evaluation.convention)
        mious = {
            step: evaluate(
                load_model(path, torch.device("cpu")), labelled, settings.evaluation
            ).headline
            for step, path in models.items()
        }
        return {
            str(step): {"miou": round(100 * mious[step], 3), "scores": scores[step]}
            for step in steps
        }

    def model(self, step: int) -> Path:
        """Return the model file of a snapshot; the last step is the training's own."""
        return (self.folder if step == STEPS else snapshot_folder(self.folder, step)) / MODEL


def scored(path: Path, settings: ExperimentSettings, seed: int) -> dict[str, float]:
    """Return the scores of a model by name."""
    found = score_model(path, settings, costs={}, seed=seed)
    assert not found.errors, found.errors
    return dict(found.values)


def note(training: Training, found: Mapping[str, Any]) -> None:
    """Add a result to the file of its pair."""
    path = RESULTS / f"{training.pair}.json"
    with waiting_lock(Path("runs/snapshots") / f"{training.pair}.lock"):
        results = read(path)
        results |= {"pair": training.pair, "size": SIZE, "steps": STEPS, "held_out": HELD_OUT}
        results["methods"].setdefault(training.method, {})[str(training.seed)] = dict(found)
        write_json(path, results)


def read(path: Path) -> dict[str, Any]:
    """Return the results in a file."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"methods": {}}
    return found


# Tables


def chosen(snapshots: Mapping[str, Any], terms: Sequence[Mapping[str, Any]]) -> int:
    """Return the step that an objective chooses among the snapshots of one training."""
    settings = settings_of("quickstart", terms)
    selector = Selector(settings, frozen=None, reference_costs={})
    architecture: Architecture = load_space("deeplab_tiny").reference
    records = [
        Record(
            number=int(step),
            architecture=architecture,
            status="finished",
            seed=0,
            steps=int(step),
            scores=one["scores"],
        )
        for step, one in snapshots.items()
    ]
    return selector.choose(sorted(records, key=lambda one: one.steps)).selected


def gains(trainings: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return by way of choosing what it gains over the last step, for each seed, in points."""
    found: dict[str, list[float]] = {name: [] for name in OBJECTIVES}
    found |= {"by lot (expected)": [], "best by labels": []}
    for snapshots in trainings.values():
        mious = {int(step): float(one["miou"]) for step, one in snapshots.items()}
        last = mious[max(mious)]
        for name, terms in OBJECTIVES.items():
            found[name].append(mious[chosen(snapshots, terms)] - last)
        found["by lot (expected)"].append(float(np.mean(list(mious.values()))) - last)
        found["best by labels"].append(mious[best_step(mious)] - last)
    return found


def table(results: Mapping[str, Any]) -> str:
    """Return one line per method as a Markdown table."""
    rows, ways = [], None
    everything: dict[str, list[float]] = {}
    for method, trainings in results["methods"].items():
        found = gains(trainings)
        ways = list(found)
        last = [one[max(one, key=int)]["miou"] for one in trainings.values()]
        rows.append([method, spread(last), *(spread(found[way], "+") for way in ways)])
        for way in ways:
            everything.setdefault(way, []).extend(found[way])
    if ways is None:
        return "Nothing measured yet."
    rows.append(["all", "", *(spread(everything[way], "+") for way in ways)])
    return markdown_table(["method", "mIoU, last step", *ways], rows)


def tables() -> Iterator[tuple[str, str]]:
    """Yield each table with the name of its place on a page."""
    for path in sorted(RESULTS.glob("*.json")):
        yield f"snapshots {path.stem}", table(read(path))


def main() -> None:
    """Train what is missing, or print or place the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pair", nargs="?", choices=PAIRS)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--write", type=Path, help="page with places for the tables")
    options = parser.parse_args()
    if options.pair:
        for seed in options.seeds:
            for method in METHODS:
                training = Training(options.pair, method, seed)
                known = read(RESULTS / f"{options.pair}.json")["methods"]
                if str(seed) not in known.get(method, {}):
                    note(training, training.run())
                    print(method, seed, flush=True)
    elif options.write:
        options.write.write_text(filled(options.write.read_text(), tables()))
    else:
        print("\n\n".join(f"{name}\n\n{text}" for name, text in tables()))


if __name__ == "__main__":
    main()
