"""Where files are written and measured, and how often."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.bench.checkpoints import archive, language_model
from tests.bench.timing import compared, timed, warm_memory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.timing import Command, Comparison

Kind = Literal["safetensors", "torch"]

GIGABYTE, MEGABYTE = 10**9, 10**6
PYTHON = sys.executable
INITCTL = [PYTHON, "-m", "initctl"]

_HELD = 2
"""How many times its result a side may hold in memory: what it loaded, and what it wrote."""


@dataclass(frozen=True)
class Bench:
    """Where files go, how often each side runs, and the bytes of the large checkpoint."""

    folder: Path
    runs: int
    size: float

    @property
    def out(self) -> Path:
        """Without a suffix: the result is of the input's format."""
        return self.folder / "out"

    def checkpoint(self, size: float, kind: Kind = "safetensors") -> Path:
        path = language_model(self.folder / f"model-{size / GIGABYTE:g}.safetensors", size)
        if kind == "torch":
            path = archive(path)
        with path.open("rb") as stream:  # read once: what is measured is not the disk's reading
            while stream.read(1 << 24):
                pass
        return path

    def apply(self, path: Path, rule: str, out: Path | None = None) -> list[str]:
        return [*INITCTL, "apply", str(path), "-o", str(out or self.out), "-q", "-r", rule]

    def copy(self, path: Path) -> str:
        return f"cp '{path}' '{self.out}' && sync '{self.out}'"

    def compared(self, path: Path, ours: Command, theirs: Command) -> Comparison:
        """Two ways to write a file as large as `path`."""
        nbytes = _HELD * path.stat().st_size

        def clear() -> None:
            self.out.unlink(missing_ok=True)
            os.sync()
            warm_memory(nbytes)

        return compared(ours, theirs, runs=self.runs, before=clear)

    def peak(self, path: Path, rule: str) -> float:
        """Megabytes of memory that applying `rule` to `path` held at most."""
        self.out.unlink(missing_ok=True)
        return timed(self.apply(path, rule)).peak / MEGABYTE
