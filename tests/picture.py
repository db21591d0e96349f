"""The picture of a first run in the README: real commands, on a terminal of their own.

`python -m tests.picture` draws it anew; look at it before keeping it.
"""

from __future__ import annotations

import html
import io
import os
import re
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.cli.processes import on_terminal
from tests.jobs import network

PICTURE = Path(__file__).parent.parent / "examples" / "first-run.svg"
COMMANDS = (
    "initctl plan net.safetensors -r 'fc*.weight=kaiming_normal' -r '*.bias=zeros'",
    "initctl apply net.safetensors -o init.safetensors -r 'fc*.weight=kaiming_normal' -r '*.bias=zeros' -q",
    "initctl stats init.safetensors",
    "initctl apply net.safetensors -o init.safetensors -r 'fc3.weight=zeros'",
)
_COLUMNS = 112
_WHITE, _RED, _GREEN, _YELLOW, _CYAN = (
    (229, 229, 229),
    (248, 113, 113),
    (134, 239, 172),
    (253, 224, 71),
    (103, 232, 249),
)
_COLORS = [(60, 60, 60), _RED, _GREEN, _YELLOW, (147, 197, 253), (216, 180, 254), _CYAN, _WHITE]
_THEME = TerminalTheme((24, 26, 31), _WHITE, _COLORS)
_WIPED = "\x1b[2K"
"""What ends progress, and takes it off the screen."""
_FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="initctl in a terminal">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
line-height: {line_height}px; }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g>
</svg>
"""
"""As rich's own, without the font that a browser would have to fetch."""


def drawn(folder: Path) -> str:
    """The picture as SVG, of commands that are run in `folder` now."""
    network(folder / "net.safetensors")
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    for command in COMMANDS:
        console.print(Text.assemble(("$ ", "green"), (command, "bold")), soft_wrap=True)
        _, *arguments = shlex.split(command)
        _, _, shown = on_terminal(*arguments, columns=_COLUMNS).out.rpartition(_WIPED)
        console.print(Text.from_ansi(shown), end="")
        console.print()
    return console.export_svg(title="initctl", theme=_THEME, code_format=_FORMAT, unique_id="initctl")


def words(svg: str) -> list[str]:
    """What is written in a picture: versions of rich cut it into texts in their own ways."""
    return html.unescape("".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))).split()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        PICTURE.write_text(drawn(Path(folder)))
