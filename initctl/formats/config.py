"""`config.json` beside a checkpoint: what transformers writes down about a model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from initctl.errors import InputError, Problem, shown
from initctl.formats.opening import open_regular, read_at
from initctl.formats.strict_json import InvalidJson, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = "config.json"
LONGEST = 10_000_000
"""Bytes."""


def read_config(directory: str) -> Mapping[str, Any] | None:
    """What `config.json` in `directory` holds, or None where there is none. Raises `InputError`."""
    path = os.path.join(directory, CONFIG)
    if not os.path.lexists(path):
        return None
    descriptor, status = open_regular(path)
    try:
        if status.st_size > LONGEST:
            raise _malformed(path, f"longer than {LONGEST:,} bytes")
        return parse_object(read_at(descriptor, status.st_size, 0))
    except InvalidJson as error:
        raise _malformed(path, str(error)) from None
    finally:
        os.close(descriptor)


def _malformed(path: str, fault: str) -> InputError:
    return InputError(Problem("config.malformed", f"{shown(path)}: {fault}"))
