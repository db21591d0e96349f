"""The text of `--help`: as data, from which the manual is made too, and as text for a terminal or a pipe."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from shutil import get_terminal_size
from typing import Any, NamedTuple, Self

from initctl.cli.panels import PANELS, REPORTING
from initctl.display.colors import has_colors

_FEW = 10
"""Fewer options than this are one list."""
_EXAMPLES, _SEE = "\n\nExamples:\n", "\n\nSee: "
"""The beginnings of the last parts of a command's docstring."""
_WIDEST, _NARROW = 100, 60
"""The largest width of a text in columns. Below the second width, two texts are not put beside each other."""
_LONGEST_TERM = 28
_HEADING, _BOLD = re.compile(r"^[A-Z][\w ]*:", re.MULTILINE), "\x1b[1m\\g<0>\x1b[0m"
_DEFAULT, _UNBROKEN = "[default: ", "[default:\xa0"
"""The second has a space at which no line breaks."""


class Section(NamedTuple):
    """Arguments, options or commands, each with its help."""

    heading: str
    rows: tuple[tuple[str, str], ...]


class Explanation(NamedTuple):
    """The usage of a command, its description, its parameters, examples, and what to read next."""

    usage: str
    text: str
    sections: tuple[Section, ...]
    examples: tuple[str, ...]
    see: str

    @classmethod
    def of(cls, context: Any) -> Self:  # noqa: ANN401 - types that typer hides
        """The explanation of a command, from its docstring and its parameters."""
        parameters = context.command.get_params(context)
        about, _, topics = (context.command.help or "").partition(_SEE)
        text, _, examples = about.partition(_EXAMPLES)
        return cls(
            " ".join((context.command_path, "[OPTIONS]", *map(_in_usage, _of_kind("argument", parameters)))),
            text,
            tuple(_sections(parameters)),
            tuple(textwrap.dedent(examples).splitlines()),
            "See: " + ", ".join(f"initctl help {topic}" for topic in topics.split(", ")) if topics else "",
        )

    def drawn(self) -> str:
        """All of it as text that fits the terminal, which also gets bold headings. Lines of examples do not break."""
        text = "\n\n".join(self._parts(get_terminal_size().columns))
        return _HEADING.sub(_BOLD, text) if has_colors(sys.stdout) else text

    def _parts(self, columns: int) -> Iterator[str]:
        width = min(columns, _WIDEST)
        lengths = (len(term) for section in self.sections for term, _ in section.rows)
        column = 4 if columns < _NARROW else max(length for length in lengths if length <= _LONGEST_TERM)
        yield _filled(f"Usage: {self.usage}", width, "", "           ")
        for paragraph in self.text.split("\n\n"):
            yield _filled(paragraph, width, "  ")
        for section in self.sections:
            yield "\n".join(_lines(section, column, width))
        if self.examples:
            yield "\n  ".join(("Examples:", *self.examples))
        if self.see:
            yield _filled(self.see, width, "")


def _of_kind(kind: str, parameters: Iterable[Any]) -> list[Any]:
    return [parameter for parameter in parameters if parameter.param_type_name == kind]


def _in_usage(argument: Any) -> str:  # noqa: ANN401
    name = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{name}..." if argument.nargs != 1 else name


def _sections(parameters: Sequence[Any]) -> Iterator[Section]:
    arguments, options = (_of_kind(kind, parameters) for kind in ("argument", "option"))
    if arguments:
        yield Section("Arguments", tuple((argument.metavar, _meaning(argument)) for argument in arguments))
    if len(options) < _FEW:
        yield Section("Options", tuple(map(_row, options)))
        return
    for panel in PANELS:
        if rows := tuple(_row(option) for option in options if (option.rich_help_panel or REPORTING) == panel):
            yield Section(panel, rows)


def _row(option: Any) -> tuple[str, str]:  # noqa: ANN401
    """An option with its value, as typed, and its meaning. Options without a short name are indented."""
    names = ", ".join(sorted(option.opts, key=len))
    term = names if option.is_flag else f"{names} {option.metavar}"
    return f"    {term}" if term.startswith("--") else term, _meaning(option)


def _meaning(parameter: Any) -> str:  # noqa: ANN401
    """The help of a parameter, and its default."""
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    return f"{parameter.help} {_DEFAULT}{default}]" if default else parameter.help


def _lines(section: Section, column: int, width: int) -> Iterator[str]:
    """The heading, and the rows. The meaning is beside the term, or below a long term."""
    yield f"{section.heading}:"
    indent = " " * (column + 4)
    for term, meaning in section.rows:
        text = _filled(meaning, width, indent)
        if len(term) <= column:
            yield f"  {term:{column}}  {text.lstrip()}"
        else:
            yield f"  {term}"
            yield text


def _filled(text: str, width: int, first: str, others: str | None = None) -> str:
    """The words of `text` in lines of at most `width`, with one indent for the first line and one for the others."""
    indent = first if others is None else others
    lines = textwrap.fill(
        text.replace(_DEFAULT, _UNBROKEN),
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines.replace(_UNBROKEN, _DEFAULT)
