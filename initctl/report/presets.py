"""The list of presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initctl.display.tables import Listing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initctl.display.tables import Report
    from initctl.recipes import Preset


def presets_report(presets: Iterable[Preset]) -> Report:
    """One row each: its name, what it gives, and the model types that `auto` takes it for."""
    rows = [(preset.name, preset.summary, ", ".join(preset.model_types) or "-") for preset in presets]
    return [Listing(("preset", "gives", "model_type"), rows)]


def preset_json(preset: Preset) -> dict[str, Any]:
    """One preset as data."""
    return {
        "name": preset.name,
        "summary": preset.summary,
        "source": preset.source,
        "model_types": list(preset.model_types),
    }
