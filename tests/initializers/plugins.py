"""Packages that add initializers, written out as an installer leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TWOS = """
from initctl.initializers import Initializer, Number, Parameter, Resolved
from initctl.stream import Constant


def twos(tensor, *, factor):
    return Resolved(Constant(2 * factor))


TWOS = Initializer("twos", twos, (Parameter("factor", Number(), 1),), aliases=("deux",), example="w=twos")
NORMAL = Initializer("normal", twos)
"""


def write_plugin(site: Path, module: str, *, source: str = TWOS, names: str = "TWOS") -> None:
    """Put a module and its distribution, with an entry point for the attribute `names`, into the directory `site`."""
    (site / f"{module}.py").write_text(source)
    distribution = site / f"{module}-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (distribution / "entry_points.txt").write_text(f"[initctl.initializers]\ntwos = {module}:{names}\n")
