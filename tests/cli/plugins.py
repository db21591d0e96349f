"""Packages that add to initctl, as an installation leaves them: modules, and a dist-info with entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
from initctl.plugins import Constant, Initializer, Normal, Number, Parameter, Resolved
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
from initctl.plugins import Table, WholeLaw

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


PAIRS = """
from initctl.plugins import FileContents, Malformed, StoredTensor, file_format

def read(file):
    if len(file.read()) < 24:
        raise Malformed("is cut off", "get it anew")
    places = {"a": 8, "b": SECOND}
    return FileContents([StoredTensor(name, "float32", (2,), at) for name, at in places.items()], {"by": "us"})

FORMAT = file_format("pairs", "a file of pairs", is_at=lambda content: content.startswith(b"PAIRS"), read=read)
"""


def installed(site: Path, name: str, text: str, *, group: str = "initializers", attribute: str = "INITIALIZER") -> str:
    """A package `name` in the directory `site` whose module is `text`; returns the path to put on PYTHONPATH."""
    information = site / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (site / f"{name}.py").write_text(text)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[initctl.{group}]\n{name} = {name}:{attribute}\n")
    return str(site)
