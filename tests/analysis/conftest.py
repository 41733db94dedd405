"""Records, pictures and a strict reader of pages, shared by the tests of reports."""

import re
import struct
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from autoadapt.records import Record
from autoadapt.space.architecture import Architecture

MakeRecord = Callable[..., Record]
VOID = {"img", "meta", "br", "link", "hr", "input"}


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """Make a trial; its architecture is its number unless choices are given."""

    def make(number: int, *, choices: dict[str, Any] | None = None, **fields: Any) -> Record:
        architecture = Architecture.of("elastic", choices or {"depth": number})
        given: dict[str, Any] = {"status": "finished", "seed": 7, "steps": 20, **fields}
        return Record(number=number, architecture=architecture, **given)

    return make


@pytest.fixture(scope="session")
def png() -> bytes:
    """A grey picture, 3 pixels wide and 2 high, made by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\x00\x10\x80\xf0" * 2)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


class Page(HTMLParser):
    """Reads a page and fails on an element that is not closed, or closed out of turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
                self.links.append(value or "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> is out of turn"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts).replace("\u00a0", " ")

    def check(self) -> None:
        """Nothing from outside, every reference inside has its target, ids are unique."""
        assert all(link.startswith(("#", "data:")) for link in self.links)
        assert not re.search(r"@import|url\((?!#)", self.html)
        assert len(self.ids) == len(set(self.ids))
        used = {link[1:] for link in self.links if link.startswith("#")}
        used |= set(re.findall(r"url\(#([^)]*)\)", self.html))
        assert used <= set(self.ids)


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], Page]:
    """Parse a page and check what holds for every page."""

    def read(html: str) -> Page:
        page = Page(html)
        page.check()
        return page

    return read
