"""Kill a real search at random moments, continue it, and print what became of it.

Run by ``test_interruption.py`` in a process of its own: everything is imported once, then each
attempt is a fork of this process, so that an attempt costs a search and not the imports.

Usage: interrupted_search.py CONFIG FOLDER SIGNAL KILLS SEED
"""

import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autoadapt.config.load import load
from autoadapt.config.settings import ExperimentSettings
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.watching import Watcher
from autoadapt.files import owning

FINISHED, INTERRUPTED = 0, 130


def search(settings: ExperimentSettings, path: Path) -> None:
    """Search as the command does, without the parts before and after it."""
    with owning(path):
        folder = RunFolder(path)
        folder.prepare(settings)
        Experiment(folder, settings, Watcher()).search()


def attempt(settings: ExperimentSettings, path: Path) -> int:
    """Start a search in a fork and return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        search(settings, path)
        status = FINISHED
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        os._exit(status)


def wait(child: int) -> int:
    """Wait for a fork and return its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def uninterrupted(settings: ExperimentSettings, path: Path) -> float:
    """Search in one go and return how long it took."""
    started = time.perf_counter()
    code = wait(attempt(settings, path))
    assert code == FINISHED, code
    return time.perf_counter() - started


def interrupted(
    settings: ExperimentSettings,
    path: Path,
    how: signal.Signals,
    delays: Iterator[float],
    most: int,
) -> list[dict[str, Any]]:
    """Kill a search so many times at most until it is done; return what each kill left behind."""
    kills: list[dict[str, Any]] = []
    while True:
        child = attempt(settings, path)
        killing = len(kills) < most
        if killing:
            time.sleep(next(delays))
            os.kill(child, how)  # one that has finished is still there to be waited for
        code = wait(child)
        if code == FINISHED:
            return kills
        assert killing, code
        assert code == (INTERRUPTED if how == signal.SIGINT else -how), code
        kills.append(left_behind(path))


def left_behind(path: Path) -> dict[str, Any]:
    """Say how far a search had come when it was killed."""
    half = len(list(path.glob("trials/*/checkpoint.pt")))
    events = RunFolder(path).events.read()
    return {"over": sum(event["event"] == "over" for event in events), "half_done": half > 0}


def records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a search without their wall times, in their order."""
    return [record.comparable() for record in RunFolder(path).records()]


def main(config: str, root: Path, how: signal.Signals, kills: int, seed: int) -> dict[str, Any]:
    """Compare searches that were killed so many times in all with one that was not."""
    settings = load(config)
    uninterrupted(settings, root / "warm")  # decodes the images, which later runs find cached
    seconds = uninterrupted(settings, root / "whole")
    expected, calibration = records(root / "whole"), (root / "whole/calibration.json").read_text()
    rng = random.Random(seed)
    delays = (rng.uniform(0, seconds / 2) for _ in itertools.count())
    left: list[dict[str, Any]] = []
    equal: list[bool] = []
    while len(left) < kills:
        path = root / f"broken-{len(equal)}"
        left += interrupted(settings, path, how, delays, kills - len(left))
        same_calibration = (path / "calibration.json").read_text() == calibration
        equal.append(records(path) == expected and same_calibration)
    return {"expected": len(expected), "equal": equal, "left": left, "seconds": seconds}


if __name__ == "__main__":
    config, root, how, kills, seed = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    found = main(config, Path(root), signal.Signals(int(how)), int(kills), int(seed))
    sys.stdout.write(json.dumps(found))
