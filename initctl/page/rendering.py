"""Content → HTML: one document with its style and its script in it, and a policy that lets nothing else run or load."""

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
"""What is shown before the rest is asked for."""
_STYLES = {"number": "text-align: right;", "prose": "white-space: normal; min-width: 14rem;"}
"""Of columns, by their kinds."""
_PARTS = re.compile(r".{9,}?\.(?:\d+\.)*|.+", re.DOTALL)
"""Parts of a name: from one dot to another, of some length, and with the number of the layer."""


def html(page: Page) -> str:
    """`page` as a document. Every text in it is escaped: nothing that a file calls itself is markup or code."""
    style, script = _own("page.css") + _alignment(page), _own("page.js")
    environment = Environment(
        autoescape=True, finalize=_plain, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["breaking"] = _breaking
    return environment.from_string(_own("page.html")).render(
        page=page,
        style=Markup(style),  # noqa: S704 - of this package, as the script is
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script),
        version=__version__,
        **_AT_ONCE,
        width=WIDTH,
        height=HEIGHT,
    )


def _plain(value: object) -> object:
    """Each text without what could hide itself, or turn what follows around. Markup is the template's own."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breaking(name: str) -> Markup:
    """`name`, escaped, which may go on in a new line after some of its dots."""
    return Markup("<wbr>").join(_PARTS.findall(escape(name)))


def _own(name: str) -> str:
    return files("initctl.page").joinpath(name).read_text(encoding="utf-8")


def _alignment(page: Page) -> str:
    """The style of whole columns: a class for each cell would make the page longer by a fifth."""
    return "".join(
        f"#section-{place}-table tr > :nth-child({number}) {{ {_STYLES[column.kind]} }}\n"
        for place, section in enumerate(page.sections, 1)
        if isinstance(section, TensorTable)
        for number, column in enumerate(section.columns, 1)
        if column.kind in _STYLES
    )


def _policy(style: str, script: str) -> str:
    """What a browser may do with the page: run this script, apply this style, and nothing else."""
    digests = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    allowed = "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:".format(*digests)
    return f"{allowed}; base-uri 'none'; form-action 'none'"
