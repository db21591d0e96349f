"""The headings under which `--help` shows options, in this order."""

from __future__ import annotations

PANELS = SOURCE, RULES, SIZES, COMPARISON, CHECKS, CHECKPOINT, OUTPUT, PARTS, REPORTING, PERFORMANCE = (
    "Source",
    "Rules",
    "Sizes",
    "Comparison",
    "Checks",
    "Checkpoint",
    "Output",
    "Parts",
    "Reporting",
    "Performance",
)
