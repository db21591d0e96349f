"""A page as a parser of HTML sees it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

_VOID = {"meta", "input", "br", "wbr", "link", "img"}
_FETCHES = {"src", "href", "srcset", "action", "data", "poster", "background", "formaction", "ping"}


class Document(HTMLParser):
    """Elements by their tags, each with its attributes; the text of all; the rows of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.inside: dict[str, str] = {}
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._tag = tag
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        if tag == "table":
            self._tag = tag

    def handle_data(self, data):
        if self._tag in ("style", "script"):
            self.inside[self._tag] = self.inside.get(self._tag, "") + data
            self._tag = ""
            return
        self.text += data
        if self.rows and self._tag in ("td", "th", "wbr"):
            self.rows[-1][-1] += data.rstrip("\n")

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def paths(self) -> list[str]:
        return [attributes["d"] for attributes in self.named("path")]

    @property
    def policy(self) -> str:
        return next(meta["content"] for meta in self.named("meta") if meta.get("http-equiv"))

    @property
    def fetched(self) -> list[str]:
        """What a browser would ask for, but for places in the page."""
        asked = [value for _, attributes in self.elements for name, value in attributes.items() if name in _FETCHES]
        return [value for value in asked if not value.startswith("#")] + re.findall(r"url\(|@import", str(self.inside))


def digest(text: str) -> str:
    """As a policy has it."""
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
