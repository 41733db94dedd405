import csv
import io
import math

import numpy as np
import pytest

from autoadapt.analysis import tables
from autoadapt.analysis.results import AdaptationResult


@pytest.fixture
def results() -> list[AdaptationResult]:
    classes = ("road", "train")
    nan = math.nan
    return [
        AdaptationResult(
            name="winner, AdvEnt",
            classes=classes,
            values=np.array([[0.5, nan], [0.7, nan], [0.6, nan]]),
            seeds=(3, 4, 9),
        ),
        AdaptationResult(name="a|b", classes=classes, values=np.array([[0.25, 0.125]])),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (380.5e9, "380.5 G"),
        (44.6e6, "44.6 M"),
        (1.5e12, "1.5 T"),
        (999_950.0, "1.0 M"),  # rounds up into the next prefix
        (2_000.0, "2.0 k"),
        (999.0, "999"),
        (0.0, "0"),
        (math.nan, "–"),
        (None, "–"),
    ],
)
def test_quantity(value: float | None, text: str) -> None:
    assert tables.quantity(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.7, "1 min 0 s"), (725, "12 min 5 s"), (12_000, "3 h 20 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


def test_numbers_as_words() -> None:
    assert tables.decimal(-1.23456) == "−1.235"
    assert tables.decimal(math.nan) == tables.decimal(None) == "–"
    assert tables.percent(0.4125, 0.0051) == "41.2 ± 0.5"
    assert tables.percent(0.4125) == "41.2"
    assert tables.percent(math.nan, 0.1) == "–"


def test_iou_table_for_a_terminal(results: list[AdaptationResult]) -> None:
    # .5, .7, .6: mean .6, deviation sqrt((.01 + .01 + 0) / 2) = .1; mIoU of "a|b": .1875
    assert tables.results_text(results) == (
        "IoU in %  winner, AdvEnt   a|b\n"
        "--------  --------------  ----\n"
        "road         60.0 ± 10.0  25.0\n"
        "train                  –  12.5\n"
        "mIoU         60.0 ± 10.0  18.8"
    )


def test_iou_table_as_markdown(results: list[AdaptationResult]) -> None:
    assert tables.results_markdown(results).splitlines() == [
        "| IoU in % | winner, AdvEnt | a\\|b |",
        "|:---|---:|---:|",
        "| road | 60.0 ± 10.0 | 25.0 |",
        "| train | – | 12.5 |",
        "| mIoU | 60.0 ± 10.0 | 18.8 |",
    ]


def test_iou_table_for_latex(results: list[AdaptationResult]) -> None:
    assert tables.results_latex(results).splitlines() == [
        r"\begin{tabular}{lrr}",
        r"  \toprule",
        r"  IoU in \% & winner, AdvEnt & a\textbar{}b \\",
        r"  \midrule",
        r"  road & 60.0 $\pm$ 10.0 & 25.0 \\",
        r"  train & -- & 12.5 \\",
        r"  \midrule",
        r"  mIoU & 60.0 $\pm$ 10.0 & 18.8 \\",
        r"  \bottomrule",
        r"\end{tabular}",
    ]


def test_every_sign_that_means_something_to_latex_is_escaped() -> None:
    assert tables.latex_text(r"50% & a_b #1 {x} $y ~z ^ \cmd <|>") == (
        r"50\% \& a\_b \#1 \{x\} \$y \textasciitilde{}z \textasciicircum{} "
        r"\textbackslash{}cmd \textless{}\textbar{}\textgreater{}"
    )


def test_means_below_the_classes_and_digits_are_the_result_s() -> None:
    one = AdaptationResult(
        name="crst",
        classes=("road",),
        values=np.array([[0.98765]]),
        means={"mIoU13": np.array([0.47394]), "pixel accuracy": np.array([0.9])},
        digits=2,
    )
    assert tables.result_cells([one])[1] == [
        ["road", "98.77"],
        ["mIoU13", "47.39"],
        ["pixel accuracy", "90.00"],
    ]
    header = tables.results_csv([one]).splitlines()[0]
    assert header == "model,seed,mIoU13,pixel accuracy,road"


def test_iou_table_as_csv(results: list[AdaptationResult]) -> None:
    rows = list(csv.reader(io.StringIO(tables.results_csv(results))))
    assert rows == [
        ["model", "seed", "mIoU", "road", "train"],
        ["winner, AdvEnt", "3", "0.5", "0.5", ""],
        ["winner, AdvEnt", "4", "0.7", "0.7", ""],
        ["winner, AdvEnt", "9", "0.6", "0.6", ""],
        ["a|b", "0", "0.1875", "0.25", "0.125"],
    ]
    assert tables.results_csv([]) == "model,seed\n"


def test_csv_keeps_every_digit_and_quotes_what_needs_it() -> None:
    text = tables.csv_table(["a", "b"], [[0.1 + 0.2, 'say "hi",\nbye'], [None, math.nan]])
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "b"],
        ["0.30000000000000004", 'say "hi",\nbye'],
        ["", ""],
    ]
