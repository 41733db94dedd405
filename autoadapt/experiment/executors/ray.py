"""Trials on Ray Tune: on this machine alone or on a cluster. All Ray code is in this file.

Tune starts the workers, gives each its share of cores and GPUs and keeps as many trials going as
fit. It decides nothing and remembers nothing: its searcher forwards to our controller, whose log
is the only owner of the search, so that a killed search is continued by the same command and
``Tuner.restore`` is never used. A trial of Tune is one attempt at one trial of ours: attempts that
lose their worker are given back to the controller, which counts them (``executor.retries``).

Measured on two busy cores (``benchmarks/search_overhead.py``, medians): a trial that does nothing
costs 22 ms here, 14 ms in a plain Tuner that keeps its workers, 5 s in one that does not, and 5 ms
on plain Ray tasks below our controller. Next to a trial, which trains a network, 17 ms more than
plain tasks do not count while a new process does: Tune stays, and on CPUs it may reuse a worker
for the next trial. With GPUs each trial has a process of its own, because nothing else gives back
all device memory.
"""

import contextlib
import dataclasses
import json
import logging
import math
import os
import shutil
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.search import Searcher

from autoadapt import errors
from autoadapt.config.load import from_plain, to_plain
from autoadapt.config.settings import ExecutorSettings, ExperimentSettings
from autoadapt.errors import AutoAdaptError, ExecutorError
from autoadapt.experiment.executors import Work
from autoadapt.experiment.trial import Task, run_trial, without_evaluation
from autoadapt.experiment.watching import Watcher
from autoadapt.records import Record
from autoadapt.space.architecture import Architecture

Run = Callable[[Task, ExperimentSettings], Record]
"""What runs a trial in a worker: ``run_trial`` or something with the same promise."""

CONNECT_SECONDS = 10.0
OBJECT_STORE_BYTES = 128 * 1024**2
"""Memory for what workers exchange: here a few kilobytes per trial."""
SESSIONS = "autoadapt-ray"

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths in a config may be relative
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer one prints even when told to be silent
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C stops now instead of when the trials are over
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Tune's snapshots are never read
    "TUNE_WARN_THRESHOLD_S": "1000000000",
}
"""Environment of Ray and Tune while a search runs."""


def execute(controller: Work, watcher: Watcher, run: Run = run_trial) -> None:
    """Run trials until the search is over.

    Raises:
        ExecutorError: The machine or cluster cannot be reached, or cannot run a trial.
        AutoAdaptError: What would fail every trial alike: data, disk or config.
    """
    settings = controller.settings
    check_request(settings)
    with environment(QUIET), quiet_logs(), connected(settings.executor):
        parallel = trials_at_once(settings.executor, nodes())
        watcher.stage(words(settings, parallel, nodes()))
        search(controller, run, parallel)


def search(controller: Work, run: Run, parallel: int) -> None:
    """Let Tune run the search on the connected cluster."""
    settings = controller.settings
    bridge = Bridge(controller, parallel)
    share = {"cpu": settings.executor.cpus, "gpu": settings.executor.gpus}
    # Hidden, inside the run folder: workers on other machines must reach both.
    storage = controller.folder.path.resolve() / ".tune"
    shutil.rmtree(storage, ignore_errors=True)  # left by a search that was killed
    try:
        worker = tune.with_parameters(
            Worker, settings=to_plain(for_workers(settings)), run=run, folder=os.getcwd()
        )
        tuner = tune.Tuner(
            tune.with_resources(worker, share),
            tune_config=tune.TuneConfig(
                search_alg=Forwarding(bridge), num_samples=-1, reuse_actors=not share["gpu"]
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(storage),
                verbose=0,
                callbacks=[Listening(bridge)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    bridge.check()


# What runs in the driver.


@dataclass
class Bridge:
    """Between Tune, which speaks of its own trials by id, and the controller.

    An error in a callback of Tune would be logged and counted as the failure of a trial; here it
    is kept, and raised where it stops the search.

    Attributes:
        parallel: Trials handed out at the same time.
        numbers: Our number of each running trial of Tune.
        error: What stops the search.
    """

    controller: Work
    parallel: int
    numbers: dict[str, int] = field(default_factory=dict)
    error: BaseException | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial; None while there is none to be had; the end once all are over."""
        if self.error is not None:
            return str(Searcher.FINISHED)
        if len(self.controller.running) >= self.parallel:
            return None
        task = self.controller.next_task()
        if task is None:
            return None if self.controller.running else str(Searcher.FINISHED)
        self.numbers[trial_id] = task.number
        return {"task": json.dumps(plain_task(task))}  # text: Tune flattens what is nested

    def over(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Record a trial that returned."""
        number = self.numbers.pop(trial_id)
        if "record" not in result:
            raise error_from(result.get("fatal") or {"text": f"trial {number} returned nothing"})
        self.controller.commit(Record.from_json(json.loads(result["record"])))

    def lost(self, trial_id: str, error: Exception | None) -> None:
        """Give a trial back whose worker died; a worker that cannot even start is fatal."""
        number = self.numbers.pop(trial_id)
        why = reason_of(error)
        unable = isinstance(error, RayActorError) and error.actor_init_failed
        if unable or isinstance(error, RayTaskError):
            raise ExecutorError(
                f"a Ray worker could not start trial {number}: {why}; every machine of the "
                "cluster needs this version of autoadapt and its packages"
            )
        self.controller.give_back(number, why)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the first error of a callback for ``check``."""
        try:
            yield
        except Exception as error:
            self.error = self.error or error

    def check(self) -> None:
        """Raise what was kept."""
        if self.error is not None:
            raise self.error


class Forwarding(Searcher):
    """Tune's searcher: has no state, pickles to nothing, restores nothing."""

    def __init__(self, bridge: Bridge | None = None) -> None:
        super().__init__()
        self.bridge = bridge

    def __reduce__(self) -> tuple[type["Forwarding"], tuple[()]]:
        return Forwarding, ()

    def suggest(self, trial_id: str) -> Any:
        """Return the config of the next trial, None for "not now", or the end."""
        assert self.bridge is not None
        with self.bridge.keeping():
            return self.bridge.suggest(trial_id)
        return str(Searcher.FINISHED)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: ``Listening`` is told the same, with the result and the error unflattened."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


class Listening(tune.Callback):
    """Takes results and lost workers from Tune."""

    def __init__(self, bridge: Bridge | None = None) -> None:
        self.bridge = bridge

    def __reduce__(self) -> tuple[type["Listening"], tuple[()]]:
        return Listening, ()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Hand the record over."""
        assert self.bridge is not None
        with self.bridge.keeping():
            self.bridge.over(trial.trial_id, trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Hand the trial back."""
        assert self.bridge is not None
        with self.bridge.keeping():
            self.bridge.lost(trial.trial_id, error_of(trial))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Stop Tune when an error was kept: what is raised here ends the search."""
        assert self.bridge is not None
        self.bridge.check()


# What runs in a worker.


class Worker(tune.Trainable):
    """Runs trials, one after the other; one step of Tune is a whole trial."""

    def setup(  # type: ignore[override]  # ``tune.with_parameters`` adds the others
        self, config: dict[str, Any], settings: Mapping[str, Any], run: Run, folder: str
    ) -> None:
        """Make the process ready for trials."""
        import torch

        if not settings["executor"]["gpus"]:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what was not asked for is not used
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self.settings = from_plain(settings)
        self.run_one = run
        self.task = config["task"]
        torch.set_num_threads(self.settings.threads or 1)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial into the same process."""
        self.task = new_config["task"]
        return True

    def step(self) -> dict[str, Any]:
        """Run the trial; what stops the search travels as plain values, never as an exception."""
        try:
            record = self.run_one(task_from_plain(json.loads(self.task)), self.settings)
            return {"done": True, "record": json.dumps(record.to_json(), allow_nan=False)}
        except AutoAdaptError as error:
            return {"done": True, "fatal": {"kind": type(error).__name__, "text": str(error)}}
        except Exception:
            return {"done": True, "fatal": {"text": traceback.format_exc()}}


def for_workers(settings: ExperimentSettings) -> ExperimentSettings:
    """Return the settings a worker gets: no evaluation data, one thread per core it was given."""
    threads = settings.threads or max(1, math.ceil(settings.executor.cpus))
    return dataclasses.replace(without_evaluation(settings), threads=threads)


def plain_task(task: Task) -> dict[str, Any]:
    """Return a task as plain values; ``task_from_plain`` undoes it."""
    return task.to_json() | {"costs": dict(task.costs), "folder": str(task.folder.resolve())}


def task_from_plain(raw: Mapping[str, Any]) -> Task:
    """Undo ``plain_task``."""
    return Task(
        number=raw["number"],
        architecture=Architecture.from_json(raw["architecture"]),
        origin=raw["origin"],
        parents=tuple(raw["parents"]),
        costs=raw["costs"],
        folder=Path(raw["folder"]),
    )


# Errors.


def error_from(fatal: Mapping[str, Any]) -> Exception:
    """Return the error that stopped a worker: the user's as it was, a bug with its traceback."""
    kind = getattr(errors, str(fatal.get("kind")), None)
    if isinstance(kind, type) and issubclass(kind, AutoAdaptError):
        return kind(fatal["text"])
    return RuntimeError(f"a bug in a Ray worker:\n{fatal['text']}")


def error_of(trial: Any) -> Exception | None:
    """Return the error of a trial of Tune, which it looks for where only its snapshots put it."""
    path = trial.pickled_error_file
    if not path or not Path(path).exists():
        return None
    error: Exception = cloudpickle.loads(Path(path).read_bytes())
    return error


def reason_of(error: Exception | None) -> str:
    """Return one line of what Ray says about a lost worker."""
    lines = [line.strip() for line in str(error or "no reason given").splitlines()]
    telling = [line for line in lines if line and not line.startswith(IDENTITIES)]
    return " ".join(telling)[:400]


IDENTITIES = ("class_name:", "actor_id:", "pid:", "namespace:", "ip:")
"""Lines of Ray's error messages that say which process, in Ray's own numbers."""


# The cluster.


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def quiet_logs() -> Iterator[None]:
    """Let Ray's loggers in this process speak of errors only while the block runs."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train", "ray.data")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def connected(executor: ExecutorSettings) -> Iterator[None]:
    """Be connected to the cluster of the settings; leave running what was running before.

    Raises:
        ExecutorError: It cannot be reached or started.
    """
    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        if executor.address is None:
            options = local_cluster(stack.enter_context(session_folder()))
        else:
            check_address(executor.address)
            options = {"address": executor.address}
        stack.callback(ray.shutdown)
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            what = f"connect to Ray at {executor.address}" if executor.address else "start Ray"
            raise ExecutorError(
                f"cannot {what}: {first_line(error)}; start the cluster first ('ray start --head'),"
                " leave executor.address out to use this machine alone, or choose "
                "executor.kind=local to do without Ray"
            ) from error
        yield


def local_cluster(folder: Path) -> dict[str, Any]:
    """Return how to start a cluster of this machine alone, whatever RAY_ADDRESS says."""
    return {
        "address": "local",
        "num_cpus": os.cpu_count(),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(folder),
    }


@contextlib.contextmanager
def session_folder() -> Iterator[Path]:
    """Make a folder for the logs and sockets of a local cluster, which Ray itself never removes.

    Its path is short, because Ray puts sockets deep inside and their paths may have 107 bytes. The
    folders of processes that were killed are removed as well.
    """
    root = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    for old in root.glob(f"{SESSIONS}-*-*"):
        owner = old.name.split("-")[2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc").is_dir():
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{SESSIONS}-{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_address(address: str) -> None:
    """Knock at a cluster before Ray does, which takes minutes to give up.

    Raises:
        ExecutorError: Not an address, or nobody answers there.
    """
    if address in ("auto", "local"):
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not host or not port.isdigit():
        raise ExecutorError(
            f"executor.address: {address!r} is not the address of a cluster; expected 'auto' on a "
            "machine of the cluster, or HOST:PORT of its head, such as 10.0.0.1:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ExecutorError(
            f"executor.address: no Ray cluster answers at {address} ({error}); check the address, "
            "start the cluster ('ray start --head'), or leave executor.address out to use this "
            "machine alone"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


# Resources.


def nodes() -> list[Mapping[str, float]]:
    """Return the resources of each living machine of the connected cluster."""
    known = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in known if node["Alive"]]


def check_request(settings: ExperimentSettings) -> None:
    """Refuse what no cluster can do.

    Raises:
        ExecutorError: The settings of device, cores and GPUs do not go together.
    """
    gpus = settings.executor.gpus
    if gpus > 1 and gpus != int(gpus):
        raise ExecutorError(
            f"executor.gpus: {gpus:g} GPUs per trial; only one GPU can be shared, expected a "
            "fraction up to 1 or a whole number"
        )
    if not gpus and settings.device not in ("auto", "cpu"):
        raise ExecutorError(
            f"executor.gpus: 0 GPUs per trial while device is {settings.device!r}; ask for "
            "executor.gpus=1, or for a fraction to let trials share one"
        )


def trials_at_once(executor: ExecutorSettings, machines: list[Mapping[str, float]]) -> int:
    """Return how many trials run at the same time.

    Raises:
        ExecutorError: Not a single one fits; Ray would wait for a larger machine for ever.
    """
    fit = sum(trials_on(machine, executor) for machine in machines)
    if not fit:
        have = "; ".join(
            f"{machine.get('CPU', 0):g} CPUs and {machine.get('GPU', 0):g} GPUs"
            for machine in machines
        )
        raise ExecutorError(
            f"a trial asks for executor.cpus={executor.cpus:g} and executor.gpus={executor.gpus:g} "
            f"on one machine, but the cluster has {have or 'no machine'}; ask for less, or connect "
            "to a larger cluster with executor.address"
        )
    return min(fit, executor.parallel or fit)


def trials_on(machine: Mapping[str, float], executor: ExecutorSettings) -> int:
    """Return how many trials fit on one machine; a GPU is never split between machines."""
    by_cpu = int(machine.get("CPU", 0) / executor.cpus + 1e-9)
    if not executor.gpus:
        return by_cpu
    gpus = machine.get("GPU", 0)
    per_gpu = int(1 / executor.gpus + 1e-9)
    by_gpu = int(gpus) * per_gpu if executor.gpus <= 1 else int(gpus / executor.gpus)
    return min(by_cpu, by_gpu)


def words(settings: ExperimentSettings, parallel: int, machines: list[Mapping[str, float]]) -> str:
    """Say what the search runs on."""
    executor = settings.executor
    text = (
        f"on Ray, {len(machines)} machine{'s' * (len(machines) != 1)}: {parallel} trials at a "
        f"time, {executor.cpus:g} CPUs and {executor.gpus:g} GPUs each"
    )
    idle = not executor.gpus and any(machine.get("GPU", 0) for machine in machines)
    return text + ("; set executor.gpus to use the GPUs there are" if idle else "")
