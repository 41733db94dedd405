"""Images per second of the street renderer, on one core.

    OMP_NUM_THREADS=1 python benchmarks/render_speed.py [--count 300] [--size 120x160]

Prints, for each style, images per second of wall-clock and of processor time, and the latter's
ratio to the aim of 100 per second for 120 x 160. On a machine that is busy otherwise the two
differ; take the second, and know that a busy sibling hyper-thread slows that too.
"""

import argparse
import time

from autoadapt.data.street import render
from autoadapt.data.street.styles import STYLES

AIM = 100.0
WARM_UP = 40
"""Images that fill the tables of noise and sprites first."""


def measure(style: str, count: int, size: tuple[int, int]) -> tuple[float, float]:
    """Return images per second by wall clock and by processor time."""
    for index in range(WARM_UP):
        render(style, 1, index, size)
    wall, cpu = time.perf_counter(), time.process_time()
    for index in range(count):
        render(style, 0, index, size)
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


def main() -> None:
    """Measure every style and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--size", default="120x160", help="height x width")
    arguments = parser.parse_args()
    height, width = (int(side) for side in arguments.size.split("x"))
    for style in STYLES:
        wall, cpu = measure(style, arguments.count, (height, width))
        print(
            f"{style:7s} {height} x {width}: {wall:6.1f} images/s wall clock, "
            f"{cpu:6.1f} per second of processor time = {cpu / AIM:.2f} x the aim"
        )


if __name__ == "__main__":
    main()
