"""Packages that add initializers, as an installation leaves them: modules, and a dist-info with entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
from initctl.initializers import Initializer, Number, Parameter, Resolved
from initctl.stream import Constant, Normal
"""
ANSWER = f"""{HEAD}
def build(tensor, *, scale):
    return Resolved(Constant(42 * scale), {{"answer": 42 * scale}})

INITIALIZER = Initializer("answer", build, (Parameter("scale", Number(0, 10), 1),), summary="the answer, scaled")
"""
BUG = f"""{HEAD}
def build(tensor):
    raise KeyError(f"lost {{tensor.name}} " + chr(27) + "[31m" + chr(10) + "::error::lost")

INITIALIZER = Initializer("broken", build)
"""
LATE_BUG = f"""{HEAD}
class Late(Normal):
    def values(self, draws, start, stop):
        raise ZeroDivisionError("lost")

INITIALIZER = Initializer("late", lambda tensor: Resolved(Late(0, 1)))
"""
REVERSED = f"""{HEAD}
from dataclasses import dataclass
from initctl.stream import Table, WholeLaw

@dataclass(frozen=True)
class Reversed(WholeLaw):
    numel: int
    largest: float = 7

    @property
    def workspace(self):
        return 8 * self.numel

    def prepared(self, draws):
        return Table(draws.normal01(0, self.numel)[::-1])

INITIALIZER = Initializer("reversed", lambda tensor: Resolved(Reversed(tensor.numel)))
"""
NO_FILL = REVERSED.replace("(WholeLaw)", "")


def installed(site: Path, name: str, text: str) -> str:
    """A package `name` in the directory `site` whose module is `text`; returns the path to put on PYTHONPATH."""
    information = site / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (site / f"{name}.py").write_text(text)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[initctl.initializers]\n{name} = {name}:INITIALIZER\n")
    return str(site)
