"""The class that transformers has for a configuration, and the fields that it has or may have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from initctl.architecture.refusing import refused
from initctl.errors import Problem, StorageError, escape, shown
from initctl.suggestions import did_you_mean

_EXTRA = "pip install 'initctl[transformers]'"


class Kind(NamedTuple):
    """The class of a configuration."""

    config_class: Any

    @classmethod
    def of(cls, config: Mapping[str, Any], path: str) -> Kind:
        """The kind that `config`, which was read from `path`, names.

        Raises `InputError` if transformers does not know it, and `StorageError` if transformers is missing.
        """
        kinds = _known_kinds()
        kind = config.get("model_type")
        if isinstance(kind, str) and kind in kinds:
            return cls(kinds[kind])
        if "auto_map" in config:
            fault = "describes a model with code of its own (auto_map), which initctl does not run"
            raise refused(path, fault, "save one checkpoint of it and use --like")
        if kind is None:
            hint = "a config.json of transformers has one; for other models, use --like or --table"
            raise refused(path, "has no model_type", hint)
        from transformers import __version__

        proposal = did_you_mean(kind, list(kinds)) if isinstance(kind, str) else None
        raise refused(path, f"transformers {__version__} does not know model_type {shown(kind)}", proposal)

    def known(self, config: Mapping[str, Any]) -> list[str]:
        """The dotted keys of all fields that `config`, and its parts, have or may have."""
        return list(dict.fromkeys(_fields(self.config_class, config)))

    def canonical(self, key: str) -> str:
        """The name that the configuration has for the field `key`: some have several."""
        *above, last = key.split(".")
        found = self.config_class
        for part in above:
            found = getattr(found, "sub_configs", {}).get(part)
        return ".".join((*above, getattr(found, "attribute_map", {}).get(last, last)))

    def part(self, keys: Sequence[str], config: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """The class of the part of `config` that `keys` lead to; None if it is not known."""
        found, inner = self.config_class, config
        for key in keys:
            inner = inner.get(key) or {}
            found = _part_class(getattr(found, "sub_configs", {}).get(key), inner)
        return found


def _known_kinds() -> Mapping[str, Any]:
    """The classes of configurations by model type. Raises `StorageError` if transformers is missing."""
    try:
        import torch  # noqa: F401 - without it, transformers has no models
        from transformers.core_model_loading import revert_weight_conversion  # noqa: F401
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    except ImportError as error:
        fault = f"--config needs transformers 5.24 or later: {escape(str(error))}"
        raise StorageError(Problem("config.transformers", fault, _EXTRA)) from error
    kinds: Mapping[str, Any] = CONFIG_MAPPING
    return kinds


def _fields(config_class: Any, config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:  # noqa: ANN401
    """The dotted keys of a configuration and of its parts."""
    from transformers import PreTrainedConfig

    is_known = isinstance(config_class, type) and issubclass(config_class, PreTrainedConfig)
    own = {*(field.name for field in dataclasses.fields(config_class)), "num_labels"} if is_known else set()
    names = [*config, *sorted(own), *(config_class.attribute_map if is_known else ())]
    yield from (f"{prefix}{name}" for name in names)
    parts = dict(config_class.sub_configs) if is_known else {}
    for name, inner in config.items():
        if isinstance(inner, dict) or name in parts:
            yield from _fields(_part_class(parts.get(name), inner), inner or {}, f"{prefix}{name}.")
    for name in sorted(parts.keys() - config.keys()):
        yield from _fields(parts[name], {}, f"{prefix}{name}.")


def _part_class(declared: Any, inner: object) -> Any:  # noqa: ANN401
    """The class of a part of a configuration: its own model type decides if several fit."""
    from transformers import PreTrainedConfig

    if isinstance(declared, type) and issubclass(declared, PreTrainedConfig):
        return declared
    kind = inner.get("model_type") if isinstance(inner, dict) else None
    kinds = _known_kinds()
    return kinds[kind] if isinstance(kind, str) and kind in kinds else None
