"""The picture of the confusion matrix says what the counts say."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from autoadapt.analysis.confusion import COLOURS, draw_confusion, plot_confusion
from autoadapt.analysis.results import AdaptationResult

COUNTS = np.array([[996, 4, 0], [250, 750, 0], [0, 0, 0]])
CLASSES = ("road", "car", "train")


def axes() -> Axes:
    return Figure(layout="constrained").add_subplot()


def texts(ax: Axes) -> dict[tuple[float, float], str]:
    """Text of each cell by (row, column)."""
    return {(one.get_position()[1], one.get_position()[0]): one.get_text() for one in ax.texts}


def test_rows_are_labels_and_add_up_to_100() -> None:
    ax = plot_confusion(COUNTS, CLASSES, ax=axes())
    # .4 % is left blank: it would be written as 0; the class without labels has a dash
    assert texts(ax) == {(0, 0): "100", (1, 0): "25", (1, 1): "75", (2, 2): "–"}
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CLASSES)
    assert ax.get_ylabel() == "labelled as"
    assert ax.get_ylim() == (2.5, -0.5)  # the first class on top
    (mesh,) = (one for one in ax.collections if isinstance(one, QuadMesh))
    shares = np.asarray(mesh.get_array()).reshape(3, 3)
    wanted = np.array([[0.996, 0.004, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(shares, wanted)


def test_counts_can_stand_in_the_cells() -> None:
    ax = plot_confusion(1000 * COUNTS, CLASSES, ax=axes(), text="counts")
    found = texts(ax)
    assert found == {
        (0, 0): "996.0 k",
        (0, 1): "4.0 k",
        (1, 0): "250.0 k",
        (1, 1): "750.0 k",
        (2, 2): "–",
    }


def test_shades_can_be_told_apart_without_colour_and_text_on_them_be_read() -> None:
    def luminance(colour: tuple[float, float, float]) -> float:
        """Relative luminance after WCAG 2."""
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    shades = [luminance(COLOURS(x)[:3]) for x in np.linspace(0, 1, 50)]
    assert np.all(np.diff(shades) < 0)
    counts = np.array([[n, 1000 - n] for n in range(0, 1001, 50)])
    for row in counts:
        ax = plot_confusion(np.stack([row, row[::-1]]), ("a", "b"), ax=axes())
        (mesh,) = (one for one in ax.collections if isinstance(one, QuadMesh))
        shares = np.asarray(mesh.get_array()).reshape(2, 2)
        for text in ax.texts:
            column, line = (round(value) for value in text.get_position())
            cell = luminance(mesh.to_rgba(shares)[line, column][:3])
            ink = luminance(to_rgb(text.get_color()))
            light, dark = max(cell, ink), min(cell, ink)
            assert (light + 0.05) / (dark + 0.05) > 4.5  # the contrast that WCAG asks of text


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\) for 2 classes"):
        plot_confusion(COUNTS, ("a", "b"), ax=axes())


def test_a_result_is_drawn_with_its_name() -> None:
    result = AdaptationResult(
        name="winner, AdvEnt", classes=CLASSES, values=np.zeros((1, 3)), confusion=COUNTS
    )
    drawing = draw_confusion(result)
    assert drawing.name == "confusion-winner-AdvEnt"
    assert draw_confusion(result, text="counts").name == "confusion-winner-AdvEnt-counts"
    assert drawing.png.startswith(b"\x89PNG")
    assert "train" in drawing.svg
    bare = AdaptationResult(name="a", classes=CLASSES, values=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="carries no counts"):
        draw_confusion(bare)
