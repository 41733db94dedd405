"""The run folder: what is in it, who may write to it, and whether a config fits it."""

import datetime
import importlib.metadata
import os
import platform
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autoadapt import __version__
from autoadapt.config.load import from_plain, to_plain
from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import RunError
from autoadapt.files import JsonLines, sweep, write_json, write_text
from autoadapt.records import Record
from autoadapt.space.architecture import Architecture

PLACES = {
    "executor",
    "device",
    "threads",
    "data.cache",
    "search.weights.download",
    "adapt.weights.download",
}
"""Settings that say where a run happens, not what it is; they may change when it is resumed."""

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-image",
    "pillow",
    "ray",
    "fvcore",
    "numba",
    "safetensors",
)


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run.

    ``config.yaml``, ``environment.json``, ``records.jsonl`` (one line per trial event),
    ``calibration.json``, ``trials/<number>-<architecture id>/``, ``winner.yaml``,
    ``finalists.json``, ``adapted/<candidate>/seed-<seed>/``, ``labels_opened.jsonl``,
    ``report/``, ``correlation/``.
    """

    path: Path

    @property
    def events(self) -> JsonLines:
        """The append-only log that owns the state of the search."""
        return JsonLines(self.path / "records.jsonl")

    @property
    def label_events(self) -> JsonLines:
        """When labelled target images were opened, and why."""
        return JsonLines(self.path / "labels_opened.jsonl")

    def trial(self, number: int, architecture: Architecture) -> Path:
        """Return the folder of one trial."""
        return self.path / "trials" / f"{number:04d}-{architecture.id}"

    def adapted(self, candidate: str, seed: int) -> Path:
        """Return the folder of one full adaptation."""
        return self.path / "adapted" / candidate / f"seed-{seed}"

    def settings(self) -> ExperimentSettings:
        """Return the settings the run was made with.

        Raises:
            RunError: Not a run folder, or its config is damaged.
        """
        path = self.path / "config.yaml"
        if not path.is_file():
            raise RunError(
                f"{self.path} is not a run folder: it has no config.yaml; "
                "'autoadapt runs' lists those that are"
            )
        try:
            raw = yaml.safe_load(path.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        if not isinstance(raw, dict):
            raise RunError(f"{path} is damaged: expected 'key: value' lines")
        return from_plain(raw)

    def check(self, settings: ExperimentSettings, free: Collection[str] = ()) -> None:
        """Make sure that the folder is new, or a run with these settings; nothing is written.

        Args:
            settings: What is asked for.
            free: Settings that may differ besides ``PLACES``.

        Raises:
            RunError: The folder belongs to other settings, whose differences are listed, or holds
                something else.
        """
        if (self.path / "config.yaml").is_file():
            before = to_plain(self.settings())
            changed = list(differences(before, to_plain(settings), free={*PLACES, *free}))
            if changed:
                shown = "\n  ".join(changed[:12])
                raise RunError(
                    f"{self.path} belongs to another config:\n  {shown}\n"
                    "choose another folder with --run, or use the config of the folder"
                )
        elif self.path.exists():
            names = sorted(entry.name for entry in self.path.iterdir())
            # Hidden files are left by a crash in the middle of this, or by the file manager.
            strange = [name for name in names if name != "lock" and not name.startswith(".")]
            if strange:
                raise RunError(
                    f"{self.path} is neither empty nor a run folder (it holds {strange[0]!r}); "
                    "choose another folder with --run"
                )

    def prepare(self, settings: ExperimentSettings, free: Collection[str] = ()) -> None:
        """Make the folder ready for these settings, new or resumed; call it while owning it.

        The config of a folder that is there already stays as it is.

        Args:
            settings: What is asked for.
            free: As in ``check``.

        Raises:
            RunError: The folder belongs to other settings, or holds something else.
        """
        self.check(settings, free)
        path = self.path / "config.yaml"
        if not path.is_file():
            text = yaml.safe_dump(to_plain(settings), sort_keys=False)
            write_text(path, f"# resolved settings; written by autoadapt {__version__}\n{text}")
        if not (self.path / "environment.json").is_file():
            write_json(self.path / "environment.json", environment())
        sweep(self.path)
        self.events.mend()
        self.label_events.mend()

    def records(self) -> list[Record]:
        """Return the trials that are over, in the order in which they ended."""
        return [
            Record.from_json(event["record"])
            for event in self.events.read()
            if event.get("event") == "over"
        ]

    def note_labels_opened(self, what: str, why: str) -> None:
        """Write down that labelled target images were opened."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.label_events.append({"at": now, "what": what, "why": why})

    def labels_opened(self) -> list[dict[str, Any]]:
        """Return when and why labelled target images were opened."""
        return self.label_events.read()


def snapshot_folder(training: Path, step: int) -> Path:
    """Return where a full training leaves what is known of it after a step."""
    return training / "snapshots" / f"step-{step:07d}"


def differences(
    before: Any, after: Any, name: str = "", free: Collection[str] = frozenset(PLACES)
) -> Iterator[str]:
    """Yield ``key: old -> new`` for every setting that differs, but for those that may."""
    if name in free:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{name}.{key}" if name else str(key)
            yield from differences(before.get(key), after.get(key), inner, free)
    elif before != after:
        yield f"{name}: {before!r} in the folder, {after!r} now"


def environment() -> dict[str, Any]:
    """Return what a reader needs to judge or repeat a run on another machine."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "autoadapt": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "packages": versions,
    }
