"""Training beside another job on the same cores: ``python benchmarks/busy_machine.py``.

Trains the reference of deeplab_tiny with AdvEnt for four steps of 4 + 4 rendered images at 96x128
on all cores, in a process of its own: with the waiting of GNU OpenMP as it comes (300,000 looks for
work before a thread sleeps) and as ``autoadapt`` sets it, each while the machine is calm and while
one other process computes all the time. Prints seconds of the steps and their ratios.
"""

import os
import subprocess
import sys
import time

from autoadapt.cli import SPINS

STEPS = 4
SETTINGS = {"as it comes": None, "as set": SPINS}


def train() -> float:
    """Train in this process and return the seconds that it took."""
    import torch

    from autoadapt.config.load import load as load_config
    from autoadapt.config.load import make
    from autoadapt.config.settings import PluginSettings, TrainingSettings
    from autoadapt.data.training import TrainingData
    from autoadapt.experiment.trial import domains_of
    from autoadapt.networks.build import build
    from autoadapt.space import load
    from autoadapt.training.fit import fit

    settings = load_config("quickstart", ["data.source.count=32", "data.target.count=32"]).data
    domains = domains_of(settings)
    classes = len(domains.classes)
    data = TrainingData(domains.source, domains.target, classes, settings, batch_size=4, seed=0)
    method = make("uda", PluginSettings(name="advent", options={"discriminator_width": 16}))
    network = build(load("deeplab_tiny").reference, classes)
    start = time.perf_counter()
    fit(method, network, data, TrainingSettings(steps=STEPS), seed=0, device=torch.device("cpu"))
    return time.perf_counter() - start


def seconds(spins: str | None) -> float:
    """Return the seconds of a training in a fresh process."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    }
    environment.pop("GOMP_SPINCOUNT", None)
    if spins is not None:
        environment["GOMP_SPINCOUNT"] = spins
    command = [sys.executable, __file__, "train"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measured(name: str) -> None:
    """Print both settings and their ratio."""
    found = {setting: seconds(spins) for setting, spins in SETTINGS.items()}
    before, after = found.values()
    words = ", ".join(f"{setting} {value:.1f} s" for setting, value in found.items())
    print(f"{name}: {words}; ratio {before / after:.2f}", flush=True)


def main() -> None:
    """Measure a calm and a busy machine."""
    measured("calm")
    command = [sys.executable, "-c", "while True: pass"]
    # A session of its own, as jobs of others have: Linux shares cores among sessions first.
    with subprocess.Popen(command, start_new_session=True) as other:
        try:
            measured("beside another job")
        finally:
            other.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["train"]:
        print(train())
    else:
        main()
