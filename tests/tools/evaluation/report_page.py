"""Reads the page of a report."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """The page's table rows, figures, list items, and every address in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.figures: list[list[str]] = []
        self.captions: list[str] = []
        self.items: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._into = self.rows[-1]
        elif tag == "figure":
            self.figures.append([])
        elif tag == "img":
            self.figures[-1].append(dict(attrs)["src"] or "")
        elif tag in ("figcaption", "li", "h2"):
            self._into = {"figcaption": self.captions, "li": self.items, "h2": self.headings}[tag]
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "figcaption", "li", "h2"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] = " ".join(f"{self._into[-1]} {data}".split())
