"""The presets: one recipe for each model family, in `initctl/presets`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

PRESET = "preset:"
"""The prefix of a preset's name in `extends`."""
AUTO = "auto"
"""The name for the preset that fits the kind of model in config.json."""
KINDS = ("model_type", "_class_name")
"""The keys of config.json that say what kind of model it is: of transformers, and of diffusers."""
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
    family = re.split("[^a-z]", name, maxsplit=1)[0]  # of resnet50, vit_base_patch16_224
    same = [preset for preset in preset_names() if preset.partition("-")[0] == family]
    if same and same != [family]:
        return f"did you mean {' or '.join(same)}?"
    if fitting := _fitting(bare):
        return f"did you mean {fitting.name}? It is for model_type {bare}"
    return did_you_mean(name, [*preset_names(), AUTO], n=2) or "`initctl presets` lists them"


def preset_for(config: Mapping[str, Any] | None, without: str) -> Preset:
    """The preset for a model with this `config.json`. Raises `UsageError` if no preset fits, or, with the reason that
    `without` gives, if `config` is None.
    """
    key, kind = model_kind(config)
    if config is None:
        fault = without
    elif kind is None:
        fault = f"config.json has no {key}"
    elif fitting := _fitting(kind):
        return fitting
    else:
        fault = f"there is no preset for {key} {shown(kind)}"
    hint = "name a preset with -p (`initctl presets` lists them), or let `initctl suggest` make a recipe for the model"
    raise UsageError(Problem("preset.auto", f"preset auto: {fault}", hint))


def model_kind(config: Mapping[str, Any] | None) -> tuple[str, object]:
    """The key of `config.json` that says what kind of model it is, and its value; None if no key does."""
    given = config or {}
    return next(((key, given[key]) for key in KINDS if given.get(key) is not None), (KINDS[0], None))


def preset_of(config: Mapping[str, Any] | None) -> Preset | None:
    """The preset for the kind of model that this `config.json` names, if there is one."""
    _, kind = model_kind(config)
    return _fitting(kind)


def better_preset(name: str, config: Mapping[str, Any] | None) -> Preset | None:
    """Another preset, for the kind of model in this `config.json`, if the preset `name` is for other kinds."""
    _, kind = model_kind(config)
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
