"""What a search costs besides training: proposal, log, records, and the executor.

Trials do nothing here. ``local`` is the controller alone: one durable line per trial is most of
it, so the time of such a line is measured beside it. ``ray`` is compared, in the same run and on
the same cluster, with a plain Tuner that runs the same number of empty functions without our
controller, in Tune's default way (a process per trial) and with its workers kept, and with plain
Ray tasks below our controller.

Command: python benchmarks/search_overhead.py [--trials 200 2000] [--ray-trials 100]
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from autoadapt.config.load import from_plain
from autoadapt.config.settings import ExperimentSettings
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.executors import local
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import Task, record_of
from autoadapt.experiment.watching import Watcher
from autoadapt.files import JsonLines
from autoadapt.records import Record
from autoadapt.space import Architecture


def settings_of(trials: int) -> ExperimentSettings:
    """Return settings of a search with so many trials, one core each."""
    images = {"kind": "procedural", "count": 1}
    return from_plain(
        {
            "name": "overhead",
            "data": {"source": images, "target": images},
            "search": {
                "space": "deeplab_tiny",
                "trials": trials,
                "strategy": "evolution",
                "training": {"steps": 1},
            },
        }
    )


def costs(architecture: Architecture) -> dict[str, float]:
    """Return made-up costs within the limits of the space, as if they had been counted before."""
    return {"macs": 2e8 + int(architecture.id[:6], 16), "params": 1e6}


def nothing(task: Task, settings: ExperimentSettings, told: object = None) -> Record:
    """Return the record of a trial that was not run."""
    scores = {"mmd": int(task.architecture.id[:4], 16) / 16**4, "reent": float(task.number % 7)}
    return record_of(task, settings, status="finished", scores=scores)


def controller_of(trials: int, root: Path) -> tuple[Controller, list[float]]:
    """Return a new search and the list that its times will be written to."""
    times: list[float] = []
    settings = settings_of(trials)
    folder = RunFolder(Path(tempfile.mkdtemp(dir=root)))
    folder.prepare(settings)

    def told(record: Record, objective: float | None) -> None:
        times.append(time.perf_counter())

    return Controller(folder, settings, costs, on_record=told), times


def line(name: str, times: list[float]) -> float:
    """Print the time between trials that are over; return the median in milliseconds."""
    gaps = [1000 * (b - a) for a, b in itertools.pairwise(times)]
    median, mean = statistics.median(gaps), statistics.fmean(gaps)
    tail = statistics.median(gaps[-max(1, len(gaps) // 10) :])
    print(f"{name:48} median {median:8.2f}  mean {mean:8.2f}  last tenth {tail:8.2f}  ms per trial")
    return median


def durable_line(root: Path) -> None:
    """Print what one durable line of a log costs on this disk."""
    log = JsonLines(root / "durable.jsonl")
    times = [time.perf_counter()]
    for _ in range(200):
        log.append({"text": "x" * 800})
        times.append(time.perf_counter())
    line("one durable line of 800 bytes", times)


def measure_local(trials: int, root: Path) -> None:
    """Print the cost of a trial and of continuing a search that has so many."""
    controller, times = controller_of(trials, root)
    busy = time.process_time()
    local.execute(controller, Watcher(), nothing)
    busy = 1000 * (time.process_time() - busy) / trials
    line(f"local, {trials} trials", times)
    print(f"{'':4}of it {busy:.2f} ms of computing, the rest waits for the disk")
    started = time.perf_counter()
    Controller(controller.folder, controller.settings, costs)
    print(f"{'':4}continuing it takes {1000 * (time.perf_counter() - started):.0f} ms to read")


def measure_ray(trials: int, root: Path) -> None:
    """Print the cost of a trial on Ray with and without our controller."""
    import ray

    from autoadapt.experiment.executors import ray as on_ray

    quiet = on_ray.environment(on_ray.QUIET), on_ray.session_folder(), on_ray.quiet_logs()
    with quiet[0], quiet[1] as folder, quiet[2]:
        ray.init(**on_ray.local_cluster(folder) | {"log_to_driver": False})
        try:
            ours = steady("ray: our controller on Tune", tune_with_us(trials, root))
            kept = steady("plain Tuner, workers kept", plain_tune(trials, root, keep=True))
            fresh = steady("plain Tuner, its default", plain_tune(trials // 5, root, keep=False))
            tasks = steady("our controller on plain Ray tasks", plain_tasks(trials, root))
        finally:
            ray.shutdown()
    print(f"ours / plain Tuner, workers kept: {ours / kept:.2f}")
    print(f"ours / plain Tuner, its default:  {ours / fresh:.3f}")
    print(f"ours / plain Ray tasks:           {ours / tasks:.2f}")


def steady(name: str, times: list[float]) -> float:
    """Print the time between trials once the workers have started; return the mean."""
    later = times[len(times) // 5 :]
    line(name, later)
    return (later[-1] - later[0]) / (len(later) - 1)


def tune_with_us(trials: int, root: Path) -> list[float]:
    """Return when the trials of our executor were over."""
    from autoadapt.experiment.executors import ray as on_ray

    controller, times = controller_of(trials, root)

    def run(task: Task, settings: ExperimentSettings) -> Record:
        from autoadapt.experiment.trial import record_of

        scores = {"mmd": int(task.architecture.id[:4], 16) / 16**4, "reent": 0.0}
        return record_of(task, settings, status="finished", scores=scores)

    on_ray.execute(controller, Watcher(), run)
    assert len(controller.records) == trials
    return times


def plain_tune(trials: int, root: Path, *, keep: bool) -> list[float]:
    """Return when the empty functions of a Tuner of its own were over."""
    from ray import tune

    times: list[float] = []

    class Clock(tune.Callback):
        def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
            return tune.Callback, ()

        def on_trial_complete(self, *which: object, **info: object) -> None:
            times.append(time.perf_counter())

    def empty(config: dict[str, float]) -> None:
        tune.report({"loss": config["x"]})

    tune.Tuner(
        tune.with_resources(empty, {"cpu": 1}),
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=keep),
        run_config=tune.RunConfig(
            storage_path=tempfile.mkdtemp(dir=root), verbose=0, callbacks=[Clock()]
        ),
    ).fit()
    return times


def plain_tasks(trials: int, root: Path) -> list[float]:
    """Return when trials were over that our controller gave to plain Ray tasks."""
    import ray

    controller, times = controller_of(trials, root)

    @ray.remote(num_cpus=1, max_retries=0)
    def remote(record: dict[str, object]) -> dict[str, object]:
        return record

    running: list[Any] = []
    while True:
        while len(running) < (os.cpu_count() or 1):
            task = controller.next_task()
            if task is None:
                break
            running.append(remote.remote(nothing(task, controller.settings).to_json()))
        if not running:
            return times
        (done, *_), running = ray.wait(running)
        controller.commit(Record.from_json(ray.get(done)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--ray-trials", type=int, default=100, help="0 leaves Ray out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        durable_line(root)
        for trials in arguments.trials:
            measure_local(trials, root)
        if arguments.ray_trials:
            measure_ray(arguments.ray_trials, root)


if __name__ == "__main__":
    main()
