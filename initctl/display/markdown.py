"""Markdown, drawn by Rich, with lines of code that are not wrapped."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, ClassVar

from rich.markdown import CodeBlock, Markdown, TableElement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import MarkdownElement


class _Code(CodeBlock):
    """Lines as they are, whatever their language."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(indent(str(self.text).rstrip(), "  "), no_wrap=True, overflow="ignore")


class _Table(TableElement):
    """A table in which a long word goes on in the next line, instead of losing its end."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table):
                for column in part.columns:
                    column.overflow = "fold"
            yield part


class Document(Markdown):
    """A document of the package itself, without links."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "table_open": _Table,
    }

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False)
