"""Where the table of a new checkpoint comes from: one of three sources, each with what belongs to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from initctl.creating.from_checkpoint import Like
from initctl.creating.from_config import Config
from initctl.creating.from_table import Table
from initctl.dtypes import BY_NAME, DType
from initctl.errors import Problem, UsageError, listed, shown
from initctl.suggestions import did_you_mean

Source = Like | Table | Config

_SOURCES = "--like, --config or --table"


def source_of(
    *,
    like: str | None = None,
    table: str | None = None,
    config: str | None = None,
    settings: Mapping[str, Any],
    root: str | None = None,
    dtype: str | None = None,
) -> Source:
    """The source that the arguments of `initctl.new` name. Raises `UsageError` if they do not name one, or if one of
    the others does not belong to it.
    """
    _check_one({"--like": like, "--table": table, "--config": config})
    if settings and config is None:
        fault = "--set changes a configuration, and needs --config"
        raise UsageError(Problem("usage.set", fault, "--dtype changes the dtype of any source"))
    if root is not None and like is None:
        raise UsageError(Problem("usage.root", "--root needs --like, whose file it looks into", "leave it out"))
    made = None if dtype is None else _float_dtype(dtype)
    if like is not None:
        return Like(like, root=root, dtype=made)
    if table is not None:
        return Table(table, dtype=made)
    _check_settings(settings)
    return Config(str(config), settings=settings, dtype=made)


def _check_one(sources: Mapping[str, str | None]) -> None:
    """Raise `UsageError` unless exactly one of `sources`, by their options, has a path."""
    given = [option for option, path in sources.items() if path is not None]
    if not given:
        raise UsageError(Problem("new.source", "new: no source given", f"name one: {_SOURCES}"))
    if len(given) > 1:
        raise UsageError(Problem("new.source", f"new: {listed(given)} exclude each other", "leave one"))


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` if JSON cannot hold `settings`."""
    try:
        json.dumps(settings, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(Problem("usage.set", f"settings: cannot be written as JSON: {shown(error)}")) from None


def _float_dtype(name: str) -> DType:
    """The floating-point dtype `name`, which safetensors can hold. Raises `UsageError`."""
    known = [dtype.name for dtype in BY_NAME.values() if dtype.kind == "float" and dtype.tag]
    if name not in known:
        hint = did_you_mean(name, known) or f"use {', '.join(known)}"
        raise UsageError(Problem("usage.dtype", f"dtype: {shown(name)} is not a floating-point dtype", hint))
    return BY_NAME[name]
