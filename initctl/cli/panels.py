"""The headings under which `--help` shows options, in this order."""

from __future__ import annotations

PANELS = RULES, COMPARISON, CHECKS, CHECKPOINT, OUTPUT, REPORTING, PERFORMANCE = (
    "Rules",
    "Comparison",
    "Checks",
    "Checkpoint",
    "Output",
    "Reporting",
    "Performance",
)
