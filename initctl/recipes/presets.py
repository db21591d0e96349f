"""The presets: one recipe for each model family, in `initctl/presets`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

PRESET = "preset:"
"""The prefix of a preset's name in `extends`."""
AUTO = "auto"
"""The name for the preset that fits the `model_type` of config.json."""
_FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "presets")
_SUFFIX = ".toml"


class Preset(NamedTuple):
    """A recipe that ships with the package: its purpose and its text."""

    name: str
    text: str
    summary: str
    source: str
    model_types: tuple[str, ...]


@cache
def preset_names() -> tuple[str, ...]:
    """The names of all presets, sorted."""
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in os.listdir(_FOLDER) if name.endswith(_SUFFIX)))


def presets() -> Mapping[str, Preset]:
    """All presets by name, sorted."""
    return {name: _preset(name) for name in preset_names()}


def find_preset(name: str) -> Preset:
    """The preset `name`. Raises `UsageError` that proposes the nearest names."""
    if name not in preset_names():
        raise UsageError(Problem("preset.unknown", f"unknown preset {shown(name)}", _meant(name)))
    return _preset(name)


def _meant(name: str) -> str:
    """What to do about the unknown preset `name`."""
    bare = name.removeprefix(PRESET).removesuffix(_SUFFIX)
    if bare in preset_names() and not os.path.isfile(name):
        return f"did you mean -p {bare}?"
    if name.endswith(_SUFFIX) or os.path.isfile(name):
        return "a recipe goes with -f"
    family = name.rstrip("0123456789").rstrip("-_")
    same = [preset for preset in preset_names() if preset.partition("-")[0] == family]  # resnet50: resnet-hf and others
    if len(same) > 1:
        return f"did you mean {' or '.join(same)}?"
    return did_you_mean(name, [*preset_names(), AUTO], n=2) or "`initctl presets` lists them"


def preset_for(config: Mapping[str, Any] | None) -> Preset:
    """The preset for a model with this `config.json`. Raises `UsageError` if `config` is None or no preset fits."""
    if config is None:
        fault = "there is no config.json beside the checkpoint"
    elif (kind := config.get("model_type")) is None:
        fault = "config.json has no model_type"
    elif fitting := _fitting(kind):
        return fitting
    else:
        fault = f"there is no preset for model_type {shown(kind)}"
    hint = "name a preset with -p (`initctl presets` lists them), or let `initctl suggest` make a recipe for the model"
    raise UsageError(Problem("preset.auto", f"preset auto: {fault}", hint))


def better_preset(name: str, config: Mapping[str, Any] | None) -> Preset | None:
    """Another preset, for the `model_type` of this `config.json`, if the preset `name` is for other types."""
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
