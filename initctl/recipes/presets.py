"""The presets that are here: one recipe for each model family, in `initctl/presets`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

PRESET = "preset:"
"""What the name of a preset follows among documents."""
AUTO = "auto"
"""Stands for the preset that fits the `model_type` of config.json."""
_FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "presets")
_SUFFIX = ".toml"


class Preset(NamedTuple):
    """A recipe that ships with the package: what it is for, and its text."""

    name: str
    text: str
    summary: str
    source: str
    model_types: tuple[str, ...]


@cache
def preset_names() -> tuple[str, ...]:
    """Those of all presets, in order."""
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in os.listdir(_FOLDER) if name.endswith(_SUFFIX)))


def presets() -> Mapping[str, Preset]:
    """All of them by name, in order."""
    return {name: _preset(name) for name in preset_names()}


def find_preset(name: str) -> Preset:
    """The preset called `name`. Raises `UsageError` that proposes the nearest names."""
    if name not in preset_names():
        hint = did_you_mean(name, [*preset_names(), AUTO], n=2) or "`initctl presets` lists them"
        raise UsageError(Problem("preset.unknown", f"no preset is called {shown(name)}", hint))
    return _preset(name)


def preset_for(config: Mapping[str, Any] | None) -> Preset:
    """The preset that fits a model with this `config.json`. Raises `UsageError` if none does, or without one."""
    if config is None:
        fault = "there is no config.json beside the checkpoint"
    elif (kind := config.get("model_type")) is None:
        fault = "config.json does not name a model_type"
    elif fitting := _fitting(kind):
        return fitting
    else:
        fault = f"no preset is for model_type {shown(kind)}"
    hint = "name a preset with -p; `initctl presets` lists them"
    raise UsageError(Problem("preset.auto", f"preset auto: {fault}", hint))


def better_preset(name: str, config: Mapping[str, Any] | None) -> Preset | None:
    """Another preset that is for the `model_type` of this `config.json`, if `name` is for other types."""
    kind = config.get("model_type") if config else None
    given = find_preset(name)
    return _fitting(kind) if given.model_types and kind not in given.model_types else None


def _fitting(kind: object) -> Preset | None:
    return next((preset for preset in presets().values() if kind in preset.model_types), None)


@cache
def _preset(name: str) -> Preset:
    import tomllib

    with open(os.path.join(_FOLDER, name + _SUFFIX), encoding="utf-8") as file:
        text = file.read()
    about = tomllib.loads(text)["preset"]
    return Preset(name, text, about["summary"], about["source"], tuple(about.get("model_types", ())))
