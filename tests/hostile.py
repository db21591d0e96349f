"""Text that foreign files may hold, and what may come out of it."""

from __future__ import annotations

import re

from initctl.escaping import is_visible

_ESCAPE = re.compile(r"(\\*)\\(x[0-9a-f]{2}|u\{[0-9a-f]+\})")
_LIKE_AN_ESCAPE = re.compile(r"(\\+)(x[0-9a-fA-F]{2}|u\{[0-9a-fA-F]+\})")
_COMMAND = re.compile(r"##\w*\[")
"""What Azure Pipelines, GitHub Actions and TeamCity look for anywhere in a line."""

TEXTS = {
    "colour": "a\x1b[31mred\x1b[0m",
    "clipboard": "a\x1b]52;c;cHduZWQ=\x07",
    "C1": "a\x9b31m\x85b",
    "bidi": "a\u202egnp.exe\u2066\u2069",
    "zero width": "a\u200bb\u200d\ufeff\u034f\u3164",
    "line breaks": "a\r\n::error file=a.py::pwned",
    "line separators": "a\u2028::error::x\u2029\x0b::error::y\x0c",
    "GitHub": "::add-mask::secret",
    "GitHub, indented": "  ::stop-commands::x",
    "GitHub, of old": "a##[set-output name=x]1",
    "Azure": "a##vso[task.setvariable variable=PATH]evil",
    "TeamCity": "##teamcity[buildStop comment='x']",
    "surrogate": "a\ud800b",
    "markup": "[red]x[/red][/nope]:smile:[link=http://x]",
    "erased": "real\rfake\x08\x08",
    "backslashes": "a\\x1b[31m\\u{202e}\\\\x0a",
}
"""By what they do: they move a cursor, hide, break a line, or pass for an escape or for a command of a CI system."""

PLANTED = {
    "at the start": "::error::x\x1b]52;c;x\x07\x9b31m\u202e\u200b",
    "on its own line": "a\r\n::error file=a.py::b\u2028::c\x08",
    "anywhere": "a##vso[task.setvariable]b##[set-output]c##teamcity[x]\ud800",
    "indented": "  ::add-mask::x [red]y[/nope] \\x1b\\u{202e}",
}
"""All of that in four texts, for places that are many."""


def decoded(text: str) -> str:
    """The string that was shown as `text`, which is not cut."""
    if len(text) > 1 and text[0] == text[-1] == "'" and _is_overlooked(text[1:-1]):
        text = text[1:-1]
    return _LIKE_AN_ESCAPE.sub(_decoded, text)


def _decoded(found: re.Match[str]) -> str:
    backslashes, tail = found.groups()
    literal = "\\" * (len(backslashes) // 2)
    if len(backslashes) % 2 == 0:
        return literal + tail
    return literal + chr(int(tail.strip("xu{}"), 16))


def _is_overlooked(text: str) -> bool:
    quoted = len(text) > 1 and text[0] == text[-1] == "'"
    return not text or text != text.strip() or text[0] == "-" or (quoted and _is_overlooked(text[1:-1]))


def is_safe(text: str) -> bool:
    """Whether no line of `text` holds a raw control character, or a command of a CI system."""
    return all(
        all(map(is_visible, line)) and not line.lstrip().startswith("::") and not _COMMAND.search(line)
        for line in text.split("\n")
    )
