"""Processor time of ``autoadapt --help`` against importing PyTorch, and against bare Python.

Prints the median of several fresh processes and ratios; the aim is under 0.5 s.
"""

import resource
import statistics
import subprocess
import sys

REPEATS = 7
HELP = "from autoadapt.cli import main; main(['--help'])"


def processor_seconds(code: str) -> float:
    """Return user plus system time of a fresh interpreter running ``code``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure in turns, so that other load hits all alike."""
    codes = {"bare Python": "pass", "autoadapt --help": HELP, "import torch": "import torch"}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(REPEATS):
        for name, code in codes.items():
            times[name].append(processor_seconds(code))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:18s} {value:.3f} s")
    help_time = medians["autoadapt --help"]
    print(f"help / import torch: {help_time / medians['import torch']:.2f}")
    print(f"help / 0.5 s: {help_time / 0.5:.2f} (aim: at most 1)")


if __name__ == "__main__":
    main()
