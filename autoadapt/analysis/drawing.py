"""From a plot to files and to SVG inside a page that follows the reader's light or dark theme.

Nothing here touches matplotlib's pyplot: each figure is an object of its own, drawn without a
display, and the style holds only while it is drawn.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from autoadapt.files import replacing, write_text

# Colours of figures; each is also a variable of the page (``var(--blue)``), which is how one
# drawing serves light and dark. The series are Okabe and Ito's, told apart by colour-blind
# readers; markers and hatches tell them apart in black and white.
INK, MUTED, LINE, PAPER = "#1b1f25", "#69707b", "#d8dce2", "#fefefe"
BLUE, VERMILLION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
SKY, PURPLE = "#56b4e9", "#cc79a7"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "paper",
    BLUE: "blue",
    VERMILLION: "vermillion",
    GREEN: "green",
    ORANGE: "orange",
    SKY: "sky",
    PURPLE: "purple",
}
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "||", "\\\\\\", "xx", "--", "++")
DPI = 160
"""Dots per inch of a PNG."""

STYLE = {
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a name is a "$"
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One finished plot.

    Attributes:
        name: File name without ending, unique in its page.
        description: What a reader who cannot see it is told.
        svg: Stand-alone SVG.
        png: The same as pixels, on white.
    """

    name: str
    description: str
    svg: str
    png: bytes

    def save(self, folder: Path) -> None:
        """Write ``<name>.svg`` and ``<name>.png``."""
        write_text(folder / f"{self.name}.svg", self.svg)
        with replacing(folder / f"{self.name}.png") as file:
            file.write(self.png)

    def inline(self) -> str:
        """Return the SVG for use inside an HTML page: scaled by the page, coloured by it.

        Identifiers get the plot's name in front, since all plots share the page's.
        """
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
        svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
        svg = re.sub(r'\bid="', f'id="{self.name}-', svg)
        svg = re.sub(r'href="#', f'href="#{self.name}-', svg)
        svg = svg.replace("url(#", f"url(#{self.name}-")
        for colour, variable in VARIABLES.items():
            svg = svg.replace(colour, f"var(--{variable})")
        return svg


@contextlib.contextmanager
def style(name: str) -> Iterator[None]:
    """Hold the style of all figures; ``name`` makes the identifiers of an SVG reproducible."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):  # type: ignore[arg-type]
        yield


def draw(
    plot: Callable[[Axes], Axes], *, name: str, description: str, size: tuple[float, float]
) -> Drawing:
    """Draw one plot on fresh axes.

    Args:
        plot: Draws on the axes it is given.
        name: File name without ending.
        description: For readers who cannot see the plot.
        size: Width and height in inches.
    """
    with style(name):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        plot(figure.add_subplot())
        svg, png = io.BytesIO(), io.BytesIO()
        # Not savefig: it draws everything once more to measure it, here twice for nothing.
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # keeps the layout just found
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(svg, metadata=nothing)  # type: ignore[no-untyped-call]
    return Drawing(
        name=name, description=description, svg=svg.getvalue().decode(), png=png.getvalue()
    )


def file_name(text: str) -> str:
    """Return a text as a file name: letters, digits, dots and dashes only."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "unnamed"
