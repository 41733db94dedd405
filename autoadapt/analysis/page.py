"""HTML that cannot forget to escape, in pages that need nothing from outside.

``tag`` escapes every child that is not ``Markup``, and only ``tag`` and this module make
``Markup``: a name with a ``<`` in it is text wherever it turns up.
"""

import base64
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

from autoadapt.analysis.drawing import Drawing
from autoadapt.analysis.page_style import SCRIPT, STYLE

VOID = {"img", "meta", "br"}
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Tells the browser to refuse any request: the page is one file."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | None) -> Markup:
    """Return one element; children are escaped unless they are ``Markup``.

    Args:
        name: Element name.
        children: Text or ``Markup``.
        attributes: ``class_`` is ``class``, ``data_value`` is ``data-value``; None is left out.
    """
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    written = "".join(f' {key}="{escape(value)}"' for key, value in pairs if value is not None)
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[str]) -> Markup:
    """Return the children one after the other, escaped unless they are ``Markup``."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    )


def section(title: str, *children: str, anchor: str) -> Markup:
    """Return a part of the page with a heading that can be linked to."""
    return tag("section", tag("h2", title), *children, id=anchor)


def picture(drawing: Drawing, caption: str = "", *, class_: str = "plot") -> Markup:
    """Return a plot with its caption."""
    svg = tag(
        "div", Markup(drawing.inline()), class_="canvas", role="img", aria_label=drawing.description
    )
    below = [tag("figcaption", caption)] if caption else []
    return tag("figure", svg, *below, class_=class_)


def png_image(png: bytes, description: str) -> Markup:
    """Return a PNG that is part of the page.

    Raises:
        ValueError: The bytes are not a PNG.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"{description}: expected the bytes of a PNG, found {png[:8]!r}")
    return tag(
        "img", src=f"data:image/png;base64,{base64.b64encode(png).decode()}", alt=description
    )


def facts(pairs: Mapping[str, str]) -> Markup:
    """Return names and values side by side."""
    rows = (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs.items())
    return tag("dl", *rows, class_="facts")


def tiles(entries: Sequence[tuple[str, str, str]]) -> Markup:
    """Return the key numbers: name, value and what to compare it with."""
    return tag(
        "div",
        *(
            tag("div", tag("span", name), tag("strong", value), tag("small", note), class_="tile")
            for name, value, note in entries
        ),
        class_="tiles",
    )


def cell(text: str, *, value: float | None = None, class_: str | None = None) -> Markup:
    """Return a table cell; ``value`` is what a numeric column is sorted by (NaN: last)."""
    if value is None:
        return tag("td", text, class_=class_)
    return tag("td", text, class_="number", data_value="" if value != value else repr(float(value)))


def table(header: Sequence[str], rows: Iterable[Markup], *, numeric: Collection[str]) -> Markup:
    """Return a table that scrolls inside its own box and can be sorted by its headings.

    Args:
        header: Names of the columns.
        rows: One ``tr`` each.
        numeric: Columns whose headings stand to the right, as their numbers do.
    """
    heads = (
        tag(
            "th",
            tag("button", name, type="button"),
            scope="col",
            class_="number" if name in numeric else None,
        )
        for name in header
    )
    whole = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="sortable")
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label="Table")


def prose(sentence: str) -> Markup:
    """Return a paragraph in which no number is torn from its unit."""
    return tag("p", re.sub(r"(?<=\d) (?=%|[kMGT]\b)", "\u00a0", sentence))


def document(title: str, *children: str, contents: Mapping[str, str]) -> str:
    """Return a whole page.

    Args:
        title: Plain text, of the window.
        children: Header and sections.
        contents: Title of each linked section by its anchor.
    """
    links = (tag("a", name, href=f"#{anchor}") for anchor, name in contents.items())
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    body = tag(
        "body",
        tag("nav", *links, aria_label="Contents"),
        tag("main", *children),
        tag("script", Markup(SCRIPT)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"
