from collections.abc import Callable
from typing import Any

import pytest

from autoadapt.analysis import page

NASTY = "<script>alert('x')</script> & \"quoted\""


def test_everything_but_markup_is_escaped() -> None:
    assert page.tag("p", NASTY) == (
        "<p>&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;quoted&quot;</p>"
    )
    assert page.tag("p", page.tag("b", "a<b"), "<") == "<p><b>a&lt;b</b>&lt;</p>"
    assert page.tag("p", "", title='a"b<') == '<p title="a&quot;b&lt;"></p>'


def test_attribute_names() -> None:
    assert page.tag("td", "1", class_="x", data_value="2") == '<td class="x" data-value="2">1</td>'
    assert page.tag("td", class_=None) == "<td></td>"
    assert page.tag("br") == "<br>"


def test_cells_sort_by_their_value() -> None:
    assert page.cell("380.5 G", value=380.5e9) == (
        '<td class="number" data-value="380500000000.0">380.5 G</td>'
    )
    assert 'data-value=""' in page.cell("–", value=float("nan"))


def test_numbers_keep_their_units() -> None:
    assert page.prose("41.2 % of 3 G, 4 models") == "<p>41.2\u00a0% of 3\u00a0G, 4 models</p>"


def test_only_png_is_taken_for_an_image(png: bytes) -> None:
    assert page.png_image(png, NASTY).startswith('<img src="data:image/png;base64,iVBOR')
    assert "<script" not in page.png_image(png, NASTY)
    with pytest.raises(ValueError, match="PNG"):
        page.png_image(b"<svg onload=alert(1)>", "a")


def test_a_whole_page(read_page: Callable[[str], Any]) -> None:
    html = page.document(
        NASTY,
        page.section(NASTY, page.facts({NASTY: NASTY}), anchor="one"),
        page.table([NASTY], [page.tag("tr", page.cell(NASTY))], numeric=[NASTY]),
        page.tiles([(NASTY, NASTY, NASTY)]),
        contents={"one": NASTY},
    )
    read = read_page(html)
    assert read.tags.count("script") == 1, "its own, and no other"
    assert html.startswith("<!doctype html>")
    assert "default-src &#x27;none&#x27;" in html, "the browser refuses every request"
