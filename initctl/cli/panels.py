"""The headings under which `--help` shows options, in this order."""

from __future__ import annotations

PANELS = SOURCE, RULES, COMPARISON, CHECKS, CHECKPOINT, OUTPUT, REPORTING, PERFORMANCE = (
    "Source",
    "Rules",
    "Comparison",
    "Checks",
    "Checkpoint",
    "Output",
    "Reporting",
    "Performance",
)
