"""Where the table of a new checkpoint comes from: one of three sources, each with what belongs to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from initctl.creating.from_checkpoint import Like
from initctl.creating.from_config import Config
from initctl.creating.from_table import Table
from initctl.creating.template import float_dtype
from initctl.errors import Problem, UsageError, listed, shown

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
    made = None if dtype is None else float_dtype(dtype)
    if like is not None:
        return Like(like, root=root, dtype=made)
    if table is not None:
        return Table(table, dtype=made)
    _check_settings(settings)
    return Config(str(config), settings=settings, dtype=made)


def _check_one(sources: Mapping[str, str | None]) -> None:
    given = [option for option, path in sources.items() if path is not None]
    if not given:
        raise UsageError(Problem("new.source", "new: no source given", f"name one: {_SOURCES}"))
    if len(given) > 1:
        raise UsageError(Problem("new.source", f"new: {listed(given)} exclude each other", "leave one"))


def _check_settings(settings: Mapping[str, Any]) -> None:
    try:
        json.dumps(settings, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(Problem("usage.set", f"settings: cannot be written as JSON: {shown(error)}")) from None
