"""The manual page, `man initctl`: what `--help` of each command and the help topics say, on one page.

`python -m tests.manual` writes it anew; read the diff before keeping it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode as Node

import initctl
from initctl.cli.commands import GROUPS, explanation
from initctl.cli.main import initctl_app
from initctl.topics import topics

PAGE = Path(__file__).parent.parent / "initctl" / "man" / "initctl.1"

_HEAD = f"""\
'\\" t
.\\" Made by `python -m tests.manual` of what help says.
.TH INITCTL 1 "" "initctl {initctl.__version__}" "User Commands"
.nh
.ad l
.SH NAME
initctl \\- initialize the weights of a saved checkpoint by rules
.SH SYNOPSIS
\\fBinitctl\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]
.SH DESCRIPTION"""
_READ_ON = (
    "`initctl COMMAND --help` shows what this page says of a command, and `initctl help TOPIC` what it says of a topic."
)
_COMMON = [row for section in explanation("version").sections for row in section.rows]
"""Options that most commands take: those of a command that takes nothing else."""
_CUSTOMARY = {"statuses": "EXIT STATUS"}
"""What manuals call a topic."""
_ESCAPES = {"\\": "\\e", "-": "\\-", "'": "\\(aq", '"': "\\(dq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
"""Characters that roff obeys, or draws as others."""
_OPTION = re.compile(r"--?[a-z][a-z-]*")
_MEASURE, _GAP = 73, 3
"""Columns of a page on a terminal of 80, and those between two columns of a table."""
_MARKDOWN = MarkdownIt("commonmark").enable("table")


def manual() -> str:
    """The page in roff, with the macros of man(7) and tables of tbl(1)."""
    lines = [_HEAD, *_markdown(f"{initctl_app.__doc__}\n\n{_READ_ON}"), ".SH COMMANDS"]
    lines += [line for group in GROUPS.values() for name in group for line in _command(name)]
    lines += [".SH OPTIONS OF MOST COMMANDS", *_rows(_COMMON)]
    lines += [line for topic in topics() for line in _topic(topic.name, topic.text)]
    return re.sub(r"^(\.S[HS] .*)\n\.PP$", r"\1", "\n".join(lines), flags=re.MULTILINE) + "\n"


def _command(name: str) -> Iterator[str]:
    """What its help says, but for what most commands take."""
    explained = explanation(name)
    yield f".SS {_literal(explained.usage)}"
    yield from _markdown(explained.text)
    for heading, rows in explained.sections:
        if own := [row for row in rows if row not in _COMMON]:
            yield from (".PP", f"{heading}:", ".RS 2", *_rows(own), ".RE")
    if explained.examples:
        yield from (".PP", "Examples:", *_verbatim("\n".join(explained.examples)))
    yield from _markdown(explained.see)


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, meaning in rows:
        bold = _OPTION.sub(lambda option: f"**{option[0]}**", term.strip())
        yield from (".TP", _inline(_parsed(bold)), _inline(_parsed(meaning)))


def _topic(name: str, text: str) -> Iterator[str]:
    _, rest = text.split("\n", 1)  # the title
    yield f".SH {_CUSTOMARY.get(name, name.upper())}"
    yield from _markdown(rest)


def _markdown(text: str) -> Iterator[str]:
    """The lines of a document."""
    for block in _parsed(text).children:
        yield from _block(block)


def _parsed(text: str) -> Node:
    return Node(_MARKDOWN.parse(text))


def _block(block: Node) -> Iterable[str]:
    match block.type:
        case "heading":
            return [f".SS {_inline(block)}"]
        case "paragraph":
            return [".PP", _inline(block)]
        case "fence" | "code_block":
            return _verbatim(block.content)
        case "bullet_list":
            return (line for item in block.children for line in _item(item))
        case "table":
            return _table(block)
    raise NotImplementedError(block.type)


def _item(item: Node) -> Iterator[str]:
    first, *others = item.children
    yield from (".IP \\(bu 2", _inline(first))
    for block in others:
        yield from (".RS 2", *_block(block), ".RE")


def _verbatim(text: str) -> list[str]:
    return [".PP", ".RS 4", ".nf", _guarded(_literal(text.rstrip("\n"))), ".fi", ".RE"]


def _table(table: Node) -> Iterator[str]:
    """A table if it is narrow enough, or else a list of what is in the first column, with the others behind it."""
    head, body = ([[*row.children] for row in part.children] for part in table.children)
    widths = [max(len(_plain(cell)) for cell in column) + _GAP for column in zip(*head, *body, strict=True)]
    if len(widths) > 2 and sum(widths) <= _MEASURE:
        lines = ["\t".join(map(_inline, row)) for row in (*head, *body)]
        yield from (".PP", ".TS", " ".join("lb" for _ in widths), f"{' '.join('l' for _ in widths)}.", *lines, ".TE")
        return
    headings = [""] if len(widths) == 2 else [f"{_inline(cell)}: " for cell in head[0][1:]]
    for term, *others in body:
        cells = zip(headings, others, strict=True)
        yield from (
            ".TP",
            _inline(term),
            "; ".join(f"{heading}{_inline(cell)}" for heading, cell in cells if _plain(cell)),
        )


def _inline(node: Node) -> str:
    """The text of a block, over one or more lines."""
    return _guarded("".join(map(_formatted, node.children)))


def _formatted(node: Node) -> str:
    match node.type:
        case "text":
            return _literal(node.content)
        case "code_inline":
            return f"\\fB{_literal(node.content)}\\fR"
        case "strong":
            return f"\\fB{''.join(map(_formatted, node.children))}\\fR"
        case "softbreak":
            return "\n"
        case "root" | "paragraph" | "inline" | "link":
            return "".join(map(_formatted, node.children))
    raise NotImplementedError(node.type)


def _plain(node: Node) -> str:
    """The text alone."""
    return "".join(part.content for part in node.walk() if part.type in ("text", "code_inline"))


def _literal(text: str) -> str:
    """`text` as roff draws it character by character."""
    return "".join(_ESCAPES.get(c) or (c if c.isascii() else f"\\[u{ord(c):04X}]") for c in text)


def _guarded(text: str) -> str:
    """`text` without a line that is a request."""
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(manual())
