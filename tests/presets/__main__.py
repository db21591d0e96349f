"""A table of how close presets come to what libraries give fresh models, as Markdown: `python -m tests.presets`.

Libraries that are not installed are left out.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.presets.comparing import NONE, Comparison, Deviation
from tests.presets.fresh import saved
from tests.presets.libraries import libraries
from tests.presets.models import models


@dataclass
class Row:
    """What was found of one preset."""

    classes: int = 0
    kinds: set[str] = field(default_factory=set)
    spellings: set[str] = field(default_factory=set)
    tensors: int = 0
    elements: int = 0
    worst: Deviation = NONE

    def add(self, comparison: Comparison) -> None:
        self.tensors += comparison.tensors
        self.elements += comparison.elements
        self.worst = max(self.worst, comparison.worst)


def rows() -> dict[str, Row]:
    found: dict[str, Row] = {}
    for model in models():
        row = found.setdefault(model.preset, Row())
        row.classes += 1
        row.kinds.add(model.config().model_type)
        with tempfile.TemporaryDirectory() as folder:
            for spelling, checkpoint in saved(model, Path(folder)).items():
                row.spellings.add(spelling)
                row.add(checkpoint.compared(Path(folder) / "out", preset=model.preset))
    for made in libraries():
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ImportError):
            checkpoint = made.saved(Path(folder))
            row = found.setdefault(made.preset, Row())
            row.classes += 1
            row.kinds.add(made.model.name)
            row.spellings.add(made.library)
            row.add(checkpoint.compared(Path(folder) / "out", **made.asked(Path(folder))))
    return found


def main() -> None:
    print("| preset | kinds | models | names of | tensors | elements | worst deviation |")
    print("|---|---|---:|---|---:|---:|---|")
    for preset, row in rows().items():
        spellings = " and ".join(sorted(row.spellings))
        counts = f"{row.classes} | {spellings} | {row.tensors:,} | {row.elements:,}"
        print(f"| {preset} | {', '.join(sorted(row.kinds))} | {counts} | {row.worst} |")


if __name__ == "__main__":
    main()
