"""How ρ depends on the target images, by hand, and what the report says of it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoadapt.analysis.correlation_page import write_correlation
from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.correlation_summary import summarise
from autoadapt.analysis.image_samples import (
    ImageColumns,
    ImageFinding,
    distinct,
    image_finding,
    image_sentences,
)
from autoadapt.config.correlation_protocol import CorrelationProtocol, Pair
from autoadapt.config.settings import ObjectiveSettings, TermSettings

ReadPage = Callable[[str], Any]
SIZES = np.array([6, 2, 2, 4, 4, 6, 6, 6])
TRUTH = np.array([0.1, 0.2, 0.3, 0.4])
# Of four models in order ρ is -1, and -(1 - 6 * 2 / 60) = -.8 with two neighbours exchanged.
ORDER, FIRST, LAST, WRONG = [4, 3, 2, 1], [3, 4, 2, 1], [4, 3, 1, 2], [1, 2, 3, 4]
VALUES = np.array([ORDER, FIRST, WRONG, LAST, ORDER, ORDER, FIRST, LAST], dtype=float).T


def columns(**found: Any) -> ImageColumns:
    return ImageColumns(sizes=SIZES, columns={"mmd": VALUES, **found})


def finding(values: Any = VALUES) -> ImageFinding:
    return image_finding("mmd", columns(mmd=np.array(values)), TRUTH)


def test_curve_and_spread_by_hand() -> None:
    one = finding()
    assert one.rhos == pytest.approx([-1, -0.8, 1, -0.8, -1, -1, -0.8, -0.8])
    assert one.rho == pytest.approx(-1)
    assert one.sizes.tolist() == [2, 4, 6]
    # between two values the quantiles are linear: -.8 + .025 * 1.8 and so on
    assert one.at(2) == pytest.approx((-0.755, 0.1, 0.955))
    assert one.at(4) == pytest.approx((-0.995, -0.9, -0.805))
    assert one.at(6) == pytest.approx((-1, -1, -1)), "resamples are no subsets"
    # -1, -.8, -.8: mean -.86667, squares .01778 + 2 * .00444 over 2
    assert one.deviation == pytest.approx(math.sqrt(0.0266667 / 2), abs=1e-6)
    assert one.resamples == 3
    assert one.interval == pytest.approx((-0.99, -0.8))


def test_noise_is_relative_to_the_spread_and_without_what_all_models_share() -> None:
    # Over the resamples each model has one value that is off by 1: variance 1/3; the four
    # values of all images have the variance 5/3.
    assert finding().noise == pytest.approx(math.sqrt(1 / 5))
    shifted = VALUES + np.array([0, 0, 0, 0, 0, 10, -20, 30])
    assert finding(shifted).noise == pytest.approx(math.sqrt(1 / 5))
    assert finding(3 * VALUES).noise == pytest.approx(math.sqrt(1 / 5))


def test_models_without_a_value_are_left_out_of_that_choice() -> None:
    values = VALUES.copy()
    values[1, 0] = values[2:, 1] = math.nan
    one = finding(values)
    assert one.rhos[0] == pytest.approx(-1), "of three models"
    assert math.isnan(one.rhos[1]), "of two models"
    assert one.at(2) == pytest.approx((1, 1, 1))
    nothing = finding(np.full((4, 8), math.nan))
    assert math.isnan(nothing.deviation)
    assert math.isnan(nothing.noise)
    assert math.isnan(nothing.interval[0])
    assert image_sentences(nothing) == []


def test_the_same_value_on_every_image_does_not_vary() -> None:
    given = columns(source_miou=np.tile(VALUES[:, :1], 8), none=np.full((4, 8), math.nan))
    assert given.varying == ["mmd"]
    assert given.images == 6
    assert given.resampled.tolist() == [False] * 5 + [True] * 3


def test_columns_of_equal_order_are_one_curve() -> None:
    given = columns(twice=2 * VALUES - 7, other=VALUES[::-1])
    found = [image_finding(name, given, TRUTH) for name in ("mmd", "twice", "other")]
    assert [one.name for one in distinct(found, 3)] == ["mmd", "other"]
    assert [one.name for one in distinct(found, 1)] == ["mmd"]


def test_what_is_said() -> None:
    first, second = image_sentences(finding())
    assert first == (
        "With 4 target images instead of 6, ρ of “mmd” is −0.90 in the median instead of −1.00 "
        "(95 % of the choices: −0.99 to −0.81)."
    )
    assert second == (
        "Other 6 target images would change it by about 0.12 (standard deviation over 3 resamples "
        "of the images, 95 % of them −0.99 to −0.80)."
    )


def test_without_subsets_only_the_resamples_are_spoken_of() -> None:
    given = ImageColumns(sizes=SIZES[[0, 5, 6, 7]], columns={"mmd": VALUES[:, [0, 5, 6, 7]]})
    one = image_finding("mmd", given, TRUTH)
    assert one.small == 0
    assert image_sentences(one) == image_sentences(finding())[1:]


def report(**fields: Any) -> CorrelationReport:
    given: dict[str, Any] = {
        "title": "bank",
        "models": ["a", "b", "c", "d"],
        "truth": TRUTH.tolist(),
        "scores": {"mmd": ORDER, "snd": [4.0, 1, 2, 3]},
        "image_samples": columns(absent=VALUES),
    }
    return CorrelationReport(**given | fields)


def test_the_report_has_a_figure_a_table_and_a_sentence(
    tmp_path: Path, read_page: ReadPage
) -> None:
    page = read_page(write_correlation(report(), tmp_path).read_text())
    assert "Other target images" in page.text
    assert "With 4 target images instead of 6, ρ of “mmd” is −0.90" in page.text
    assert "noise / spread" in page.text
    assert (tmp_path / "plots/images.svg").is_file()
    assert not (tmp_path / "plots/images-named.svg").exists()
    values = json.loads((tmp_path / "correlation.json").read_text())["target_images"]
    assert values["scored"] == 6
    (one,) = values["scores"]
    assert one["score"] == "mmd"
    assert one["rho_deviation"] == pytest.approx(0.115470, abs=1e-6)
    assert one["by_images"][1]["images"] == 4
    assert one["by_images"][1]["rho_median"] == pytest.approx(-0.9)


def test_without_choices_of_images_nothing_is_different(
    tmp_path: Path, read_page: ReadPage
) -> None:
    bare = report(image_samples=None)
    page = read_page(write_correlation(bare, tmp_path).read_text())
    assert "target images" not in page.text
    assert not list((tmp_path / "plots").glob("images*"))
    assert "target_images" not in json.loads((tmp_path / "correlation.json").read_text())
    assert summarise(report())[:-2] == summarise(bare)


def test_what_was_named_beforehand_has_its_own_figure(tmp_path: Path) -> None:
    term = ObjectiveSettings(terms=(TermSettings(score="mmd"),))
    protocol = CorrelationProtocol(
        combinations={"J1": term, "D3": term}, baseline="J1", primary=Pair(first="D3", second="J1")
    )
    fixed = report(
        protocol=protocol,
        named={"J1": ORDER, "D3": WRONG},
        image_samples=columns(J1=VALUES, D3=-VALUES),
    )
    write_correlation(fixed, tmp_path)
    assert (tmp_path / "plots/images-named.svg").is_file()
    assert (tmp_path / "plots/images.svg").is_file()
    assert any("ρ of “D3” is 0.90 in the median instead of 1.00" in one for one in summarise(fixed))


def test_some_of_the_models_have_their_own_rows() -> None:
    part = report().only([3, 1, 0])
    assert part.image_samples is not None
    np.testing.assert_array_equal(part.image_samples.columns["mmd"], VALUES[[3, 1, 0]])
    part = report(truth=[None, 0.2, 0.3, 0.4])
    # 3, 2, 1 is in order; so is the choice that exchanges the first two of all four
    assert part.by_images["mmd"].rhos[:2] == pytest.approx([-1, -1])
    assert report(truth=[None] * 4).by_images == {}


def test_another_number_of_models_is_refused() -> None:
    with pytest.raises(ValueError, match="4 models but 3 image samples of 'mmd'"):
        report(image_samples=columns(mmd=VALUES[:3]))
