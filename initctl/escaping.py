r"""Foreign text for terminals and logs: printable, on one line, and without commands to a CI system.

Foreign text (a tensor's name, a path, a rule) goes into a sentence as `Shown`. Code that prints passes each whole line
through `as_line`, the last defense, which also sees commands that span several parts. Both replace a dangerous
character by an escape: `\xNN`, or `\u{…}` from 0x100 on. All other text stays unchanged.
"""

from __future__ import annotations

import re
from unicodedata import category, east_asian_width

SHOWN_LENGTH = 256
"""The most characters of a foreign string that a message shows."""

_COMMAND = re.compile(r"#(#)(?=\w*\[)")
"""`##[…]` of GitHub Actions and Azure Pipelines, `##vso[…]` of Azure, `##teamcity[…]`: anywhere in a line."""
_COMMAND_AT_START = re.compile(r" *:(:)")
"""`::error::` of GitHub Actions, which ignores blanks before it."""
_IGNORED = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Characters that are default ignorable in Unicode but printable for Python: letters and marks that show nothing."""
_ON_THE_LAST = ("Mn", "Me")
"""Categories of marks, which share the column of the character before them."""
_IN_QUOTES = "\\'#"
"""Characters that are special in `$'…'`, or make a line a command."""
_BACKSLASHES = re.compile(r"\\+")
_LIKE_AN_ESCAPE = re.compile(r"x[0-9a-fA-F]{2}|u\{[0-9a-fA-F]+\}")
"""Text that a backslash before it would turn into an escape."""


_SECRETS = re.compile(r"(?P<scheme>\w[\w+.-]*://)(?:[^\s/@]*@|[^\s@]*:[^\s@]*@)?(?P<rest>[^\s?#]*)(?:\?[^\s#]*)?")
"""A URL in a text. What is before an @ stays if it contains a slash but not a colon: it is a key, or a model on the
Hugging Face Hub, whose revision follows. What is after a # stays: it may be the name of a tensor.
"""


_aliases: dict[str, str] = {}
"""What is shown in place of the beginnings of some paths."""


class Shown(str):
    """A foreign string as sentences and tables show it. `shown` makes it, and does not escape it twice."""

    __slots__ = ()


def shown(text: object) -> Shown:
    r"""A foreign string (a tensor name, a path, a rule) as sentences and tables show it.

    Backslashes before an escape, or before text like an escape, are doubled, so that different strings are shown
    differently. A string that is empty or easily overlooked is quoted; a long one is cut. URLs lose their secrets.
    """
    if isinstance(text, Shown):
        return text
    written = as_named(without_secrets(str(text)))[: SHOWN_LENGTH + 1]
    safe = written if _is_harmless(written) and "\\" not in written else "".join(forms(written))
    safe = safe if len(safe) <= SHOWN_LENGTH else safe[:SHOWN_LENGTH] + "…"
    return Shown(f"'{safe}'" if _needs_quotes(safe) else safe)


def without_secrets(text: str) -> str:
    """`text` without what may be a name, a password, a query or a signature in a URL."""
    return _SECRETS.sub(r"\g<scheme>\g<rest>", text) if "://" in text else text


def show_as(beginning: str, name: str) -> None:
    """Let `shown` show paths that begin with `beginning` as if they began with `name`."""
    _aliases[beginning] = name


def escape(text: str) -> str:
    """`text` with escapes for characters that move a cursor, break a line, hide, or command a CI system.

    Backslashes stay, so that escaped text stays unchanged.
    """
    return text if _is_harmless(text) else "".join(_escaped(text))


def as_named(text: str) -> str:
    """`text` with the name of a path that `show_as` gave."""
    beginning = next((known for known in _aliases if text.startswith(known)), "")
    return _aliases[beginning] + text[len(beginning) :] if beginning else text


def as_line(text: str) -> str:
    """`text` as a whole line, or the beginning of one: escaped, and without a command at its start."""
    safe = escape(text)
    command = _COMMAND_AT_START.match(safe)
    return f"{safe[: command.start(1)]}{_code_point(':')}{safe[command.end() :]}" if command else safe


def shell_word(text: str) -> str:
    r"""`text` as a word of a command line that can be pasted into a shell. Dangerous text becomes `$'…'`, with `\xNN`
    for the dangerous bytes, as bash, ksh and zsh read it.
    """
    import shlex

    if escape(text) == text:
        return shlex.quote(text)
    return f"$'{''.join(char if escape(char) == char and char not in _IN_QUOTES else _bytes(char) for char in text)}'"


def forms(text: str, *, begins_line: bool = False) -> list[str]:
    """The shown form of each character of `text`; `begins_line` says whether it is at the start of a line."""
    found = _escaped(text)
    for run in _BACKSLASHES.finditer(text):
        follows = run.end()
        if _LIKE_AN_ESCAPE.match(text, follows) or (follows < len(text) and found[follows] != text[follows]):
            found[run.start() : follows] = ["\\\\"] * (follows - run.start())
    if begins_line and (command := _COMMAND_AT_START.match(text)):
        found[command.start(1)] = _code_point(":")
    return found


def is_visible(char: str) -> bool:
    """Whether `char` is visible and has no side effect."""
    return char.isprintable() and not _IGNORED.match(char)


def columns(text: str) -> int:
    """The columns of a terminal that `text`, which is escaped, occupies."""
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
    """Whether `text` is easily overlooked, or looks like such a text in quotes."""
    while text and text == text.strip() and not text.startswith("-"):
        if len(text) == 1 or not text[0] == text[-1] == "'":
            return False
        text = text[1:-1]
    return True


def _bytes(char: str) -> str:
    """The bytes of `char` as in `$'…'`: for a file's name the original ones, else those of the character."""
    is_of_file = "\udc80" <= char <= "\udcff"
    return "".join(
        f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape" if is_of_file else "surrogatepass")
    )


def _code_point(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}"
