import re
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes

from autoadapt.analysis.drawing import BLUE, PAPER, VARIABLES, draw, file_name


def line(ax: Axes) -> Axes:
    ax.plot([0, 1], [0, 2], "o-", color=BLUE, label="a $1 < 2$ & more")
    ax.bar([0], [1], hatch="//", edgecolor=PAPER)
    ax.legend()
    return ax


def test_equal_plots_are_equal_bytes_and_the_style_does_not_stay() -> None:
    before = dict(matplotlib.rcParams)
    first, second = (draw(line, name="a", description="A line", size=(4, 3)) for _ in range(2))
    assert first.svg == second.svg
    assert first.png == second.png
    assert dict(matplotlib.rcParams) == before


def test_inline_svg_follows_the_page(tmp_path: Path) -> None:
    drawing = draw(line, name="a", description="A line", size=(4, 3))
    inline = drawing.inline()
    assert inline.startswith("<svg")
    assert not [colour for colour in VARIABLES if colour in inline]
    assert "var(--blue)" in inline
    assert "<style" not in inline
    assert not re.search(r'<svg[^>]* (width|height)="', inline)
    assert "a $1 &lt; 2$ &amp; more" in inline, "text stays text: no formulas, escaped"
    ids = re.findall(r'\bid="([^"]*)"', inline)
    assert all(identifier.startswith("a-") for identifier in ids)

    drawing.save(tmp_path)
    assert (tmp_path / "a.svg").read_text() == drawing.svg
    assert BLUE in drawing.svg, "the file needs no page"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_file_names() -> None:
    assert file_name("mmd/σ=2 (median)") == "mmd-2-median"
    assert file_name("../..") == "unnamed"
