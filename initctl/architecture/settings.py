"""Other values for fields of a configuration, by dotted keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from initctl.errors import Problem, UsageError, shown
from initctl.formats.config import Setting, meant_field
from initctl.reshaping.settings import with_settings

_CODE = "usage.set"


Canonical = Callable[[str], str]
"""The name that a configuration has for the field that a dotted key names."""


def with_fields(
    config: Mapping[str, Any], fields: Mapping[str, Any], known: Collection[str], canonical: Canonical
) -> dict[str, Any]:
    """`config` with new values of `fields`, whose keys must be `known`.

    The names of labels follow their number, unless they are given too. Raises `UsageError`.
    """
    settings = [Setting(tuple(canonical(key).split(".")), value) for key, value in _checked(fields, known).items()]
    return with_settings(config, settings, code=_CODE)


def _checked(fields: Mapping[str, Any], known: Collection[str]) -> Mapping[str, Any]:
    for key in fields:
        if key not in known:
            raise UsageError(Problem(_CODE, f"the configuration has no field {shown(key)}", meant_field(key, known)))
    return fields
