"""Content → HTML: one document with its style and script, and a policy that lets nothing else run or load."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from initctl.escaping import escape
from initctl.page.content import Page, TensorTable
from initctl.page.drawing import HEIGHT, WIDTH
from initctl.version import __version__

_AT_ONCE = {"charts_at_once": 12, "rows_at_once": 500}
"""How many charts and rows are shown until the reader wants to see the rest."""
_STYLES = {"number": "text-align: right;", "prose": "white-space: normal; min-width: 14rem;"}
"""Styles of columns, by their kinds."""
_PARTS = re.compile(r".{9,}?\.(?:\d+\.)*|.+", re.DOTALL)
"""Parts of a name between which a line may break: they end with a dot, are not too short, and keep layer numbers."""


def html(page: Page) -> str:
    """`page` as a document. All texts in it are escaped, so that a name in a file cannot become markup or code."""
    style, script = _own("page.css") + _alignment(page), _own("page.js")
    environment = Environment(
        autoescape=True, finalize=_plain, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["breaking"] = _breaking
    return environment.from_string(_own("page.html")).render(
        page=page,
        style=Markup(style),  # noqa: S704 - style and script are files of this package
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script),
        version=__version__,
        **_AT_ONCE,
        width=WIDTH,
        height=HEIGHT,
    )


def _plain(value: object) -> object:
    """A text without characters that are invisible or reverse the text after them. Markup is from the template."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breaking(name: str) -> Markup:
    """`name`, escaped. A line may break after some of its dots."""
    return Markup("<wbr>").join(_PARTS.findall(escape(name)))


def _own(name: str) -> str:
    return files("initctl.page").joinpath(name).read_text(encoding="utf-8")


def _alignment(page: Page) -> str:
    """The styles of whole columns. A class for each cell would make the page longer by a fifth."""
    return "".join(
        f"#section-{place}-table tr > :nth-child({number}) {{ {_STYLES[column.kind]} }}\n"
        for place, section in enumerate(page.sections, 1)
        if isinstance(section, TensorTable)
        for number, column in enumerate(section.columns, 1)
        if column.kind in _STYLES
    )


def _policy(style: str, script: str) -> str:
    """A browser may run this script and apply this style, and nothing else."""
    digests = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    allowed = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:".format(*digests)
    return f"{allowed}; base-uri 'none'; form-action 'none'"
