r"""Foreign text as terminals and logs get it: printable, on one line, and nothing that a CI system reads as a command.

Text of foreign origin (a tensor's name, a path, a rule) goes into a sentence as `Shown`. Whoever prints passes each
whole line through `as_line`, which is the last defense: it sees what a line's parts make only together. Both write an
escape in place of a dangerous character: `\xNN`, or `\u{…}` from 0x100 on. All else reads as it was written.
"""

from __future__ import annotations

import re
from unicodedata import category, east_asian_width

SHOWN_LENGTH = 256
"""Characters of a foreign string that a message shows at most."""

_COMMAND = re.compile(r"#(#)(?=\w*\[)")
"""`##[…]` of GitHub Actions and Azure Pipelines, `##vso[…]` of Azure, `##teamcity[…]`: anywhere in a line."""
_COMMAND_AT_START = re.compile(r" *:(:)")
"""`::error::` of GitHub Actions, which ignores blanks before it."""
_IGNORED = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""What Unicode calls default ignorable, and Python printable: letters and marks that show nothing."""
_ON_THE_LAST = ("Mn", "Me")
"""Categories of marks, which share the column of the character before them."""
_IN_QUOTES = "\\'#"
"""What means something in `$'…'`, and what makes a command of a line."""
_BACKSLASHES = re.compile(r"\\+")
_LIKE_AN_ESCAPE = re.compile(r"x[0-9a-fA-F]{2}|u\{[0-9a-fA-F]+\}")
"""What a backslash before it would make an escape of."""


class Shown(str):
    """A foreign string as sentences and tables show it. `shown` makes it, and makes it once."""

    __slots__ = ()


def shown(text: object) -> Shown:
    r"""A foreign string (a tensor name, a path, a rule) as sentences and tables show it.

    Backslashes before an escape, or before what looks like one, are doubled, so that every string is shown in its own
    way. What is empty or could be overlooked is quoted; what is long is cut.
    """
    if isinstance(text, Shown):
        return text
    written = str(text)[: SHOWN_LENGTH + 1]
    safe = written if _is_harmless(written) and "\\" not in written else "".join(forms(written))
    safe = safe if len(safe) <= SHOWN_LENGTH else safe[:SHOWN_LENGTH] + "…"
    return Shown(f"'{safe}'" if _needs_quotes(safe) else safe)


def escape(text: str) -> str:
    """`text` without what could move a cursor, break a line, hide itself or command a CI system anywhere in a line.

    Backslashes stay, so that what is escaped already stays as it is.
    """
    return text if _is_harmless(text) else "".join(_escaped(text))


def as_line(text: str) -> str:
    """`text` as a whole line, or the beginning of one: as `escape` has it, and no command at its start."""
    safe = escape(text)
    command = _COMMAND_AT_START.match(safe)
    return f"{safe[: command.start(1)]}{_code_point(':')}{safe[command.end() :]}" if command else safe


def shell_word(text: str) -> str:
    r"""`text` as a word of a command line that can be pasted into a shell. If it holds anything dangerous, it is in
    `$'…'`, with `\xNN` for the bytes of that, as bash, ksh and zsh read it.
    """
    import shlex

    if escape(text) == text:
        return shlex.quote(text)
    return f"$'{''.join(char if escape(char) == char and char not in _IN_QUOTES else _bytes(char) for char in text)}'"


def forms(text: str, *, begins_line: bool = False) -> list[str]:
    """What each character of `text` is shown as, which `begins_line` or follows something else."""
    found = _escaped(text)
    for run in _BACKSLASHES.finditer(text):
        follows = run.end()
        if _LIKE_AN_ESCAPE.match(text, follows) or (follows < len(text) and found[follows] != text[follows]):
            found[run.start() : follows] = ["\\\\"] * (follows - run.start())
    if begins_line and (command := _COMMAND_AT_START.match(text)):
        found[command.start(1)] = _code_point(":")
    return found


def is_visible(char: str) -> bool:
    """Whether `char` takes a place of its own in a line, and does nothing else."""
    return char.isprintable() and not _IGNORED.match(char)


def columns(text: str) -> int:
    """Columns of a terminal that `text`, which is escaped, takes."""
    if text.isascii():
        return len(text)
    return sum(0 if category(char) in _ON_THE_LAST else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _escaped(text: str) -> list[str]:
    """Each character, or its escape if it is dangerous anywhere in a line."""
    found = [char if is_visible(char) else _code_point(char) for char in text]
    for command in _COMMAND.finditer(text):
        found[command.start(1)] = _code_point("#")
    return found


def _is_harmless(text: str) -> bool:
    return text.isprintable() and "##" not in text and (text.isascii() or not _IGNORED.search(text))


def _needs_quotes(text: str) -> bool:
    """Whether `text` could be overlooked, or taken for something quoted that could be."""
    while text and text == text.strip() and not text.startswith("-"):
        if len(text) == 1 or not text[0] == text[-1] == "'":
            return False
        text = text[1:-1]
    return True


def _bytes(char: str) -> str:
    """Each byte as `$'…'` has it: of a file's name as it is there, and of half a surrogate pair as of a character."""
    is_of_file = "\udc80" <= char <= "\udcff"
    return "".join(
        f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape" if is_of_file else "surrogatepass")
    )


def _code_point(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}"
